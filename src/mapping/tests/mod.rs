mod aggregate;
mod format;
mod group;
mod json;
mod paid;
mod problems;
mod shipped;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::clock::FixedClock;
use crate::record::{RecordBatch, RowBatch};

#[test]
fn plans_are_shared_and_mappers_move_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn moved<T: Send>() {}
    shared::<Plan>();
    moved::<Mapper>();
}

fn clock() -> FixedClock {
    FixedClock::at("2026-06-30T00:00:00Z".parse().unwrap())
}

fn file(text: &str) -> MappingFile {
    parse("m.toml", text, Path::new("")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn columns(names: &[&str]) -> Arc<[Box<str>]> {
    names.iter().map(|name| Box::from(*name)).collect()
}

fn plan(text: &str, names: &[&str]) -> Arc<Plan> {
    Arc::new(compile(&file(text), &columns(names), &clock()).unwrap_or_else(|problems| panic!("{problems}")))
}

fn batch(names: &[&str], first: u64, rows: &[&[&str]]) -> Arc<RowBatch> {
    let mut batch = RowBatch::new("test.csv".into(), columns(names));
    for (row, record) in rows.iter().zip(first..) {
        batch.push(record, record + 1, row.iter().map(|cell| Some(*cell)));
    }
    Arc::new(batch)
}

fn spill() -> SpillSettings {
    SpillSettings::in_dir(&std::env::temp_dir())
}

fn finish(mapper: &mut Mapper, out: &mut RecordBatch) {
    while mapper.finish(out).unwrap() {}
}

/// Maps rows in one batch.
fn map(text: &str, names: &[&str], rows: &[&[&str]]) -> RecordBatch {
    let mut out = RecordBatch::default();
    let mut mapper = Mapper::new(plan(text, names), spill());
    mapper.apply(&batch(names, 1, rows), &mut out).unwrap();
    finish(&mut mapper, &mut out);
    out
}

fn records(out: &RecordBatch) -> Vec<Value> {
    out.records.iter().map(|record| serde_json::from_slice(out.json_of(record)).unwrap()).collect()
}

fn rejects(out: &RecordBatch) -> Vec<(u64, String, String)> {
    let field = |field: &Option<String>| field.clone().unwrap_or_default();
    out.rejects.iter().map(|reject| (reject.place.record, field(&reject.field), reject.reason.clone())).collect()
}
