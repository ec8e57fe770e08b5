//! What a run counts while it goes on, for whoever shows it.

use std::sync::{Arc, Mutex};

use stigg_import::mapping;
use stigg_import::pipeline::{Event, Observer, OpenStep, Progress};
use stigg_import::source::{CsvOptions, Input, open_csv};

use super::data;
use super::world::{World, accounts, clock, settings};

/// Keeps the counts of the step that began last.
#[derive(Default)]
struct Kept(Mutex<Arc<Progress>>);

impl Observer for Kept {
    fn event(&self, event: &Event) {
        if let Event::StepStarted { progress, .. } = event {
            *self.0.lock().unwrap() = progress.clone();
        }
    }
}

#[tokio::test]
async fn a_source_is_read_to_its_end_although_no_row_comes_of_its_last_bytes() {
    // Given: four rows, which fill two batches, and blank lines behind them.
    let world = World::new(settings());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.csv");
    let text = "id,name,email\ncus-1,Ada,\ncus-2,Bob,\ncus-3,Carl,\ncus-4,Dora,\n\n\n\n";
    std::fs::write(&path, text).unwrap();
    let options = CsvOptions { batch_rows: 2, ..CsvOptions::default() };
    let rows = open_csv(&[Input::Path(path)], &options).await.expect("the source opens");
    let mapping = mapping::parse("m.toml", data::CUSTOMERS, std::path::Path::new("")).expect("the mapping holds");
    let kept = Arc::new(Kept::default());
    let mut job = world.job(&[]).await;
    job.steps = vec![OpenStep::new("customers", &mapping, rows, &clock()).expect("the mapping fits")];
    job.observer = kept.clone();
    // When
    let finished = world.finish(job).await.expect("the run begins");
    // Then
    assert_eq!(accounts(&finished), [[4, 0, 0, 0, 4, 0, 0]]);
    let progress = kept.0.lock().unwrap().clone();
    let size = text.len() as u64;
    assert_eq!((progress.bytes_read.get(), progress.bytes_total.get()), (size, size));
    assert_eq!(progress.share_read(), Some(1.0));
}
