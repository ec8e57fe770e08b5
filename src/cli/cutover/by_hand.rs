//! The list of originals that people cancel, and its way back.

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use crate::cli::exit::{Exit, Failure};
use crate::ledger::Replacement;
use crate::pipeline::ByHand;
use crate::provider::file::{CancelledList, OriginalRow, Originals, OriginalsError, read_cancelled};
use crate::provider::{OriginalId, ProviderName};

/// Most faults of a list that are shown.
const FAULTS_MAX: usize = 10;

/// Writes the list when there is something to write.
pub(super) struct List {
    path: PathBuf,
    on: Date,
    open: Option<Originals>,
}

impl List {
    /// A list at `path`, for people who cancel on that day.
    pub(super) fn new(path: PathBuf, on: Date) -> Self {
        Self { path, on, open: None }
    }

    fn cannot(&self, error: &OriginalsError) -> String {
        let path = self.path.display();
        match error {
            OriginalsError::Exists => format!(
                "the list {path} is there already, and somebody may have filled it in: take it back with --cancelled, or \
                 name a new one with --originals"
            ),
            OriginalsError::Io(cause) => format!("the list {path} can't be written: {cause}"),
        }
    }
}

impl ByHand for List {
    fn add(&mut self, replacement: &Replacement) -> Result<(), String> {
        let provider = replacement.original.provider.parse::<ProviderName>().map_err(|error| error.to_string())?;
        let id = OriginalId::parse(&replacement.original.id).map_err(|error| error.to_string())?;
        if self.open.is_none() {
            self.open = Some(Originals::create(&self.path, self.on).map_err(|error| self.cannot(&error))?);
        }
        let row = OriginalRow { provider, id: &id, subscription_id: &replacement.subscription_id };
        let written = self.open.as_mut().map_or(Ok(()), |list| list.write(&row));
        written.map_err(|error| self.cannot(&error))
    }

    fn finish(&mut self) -> Result<(), String> {
        let finished = self.open.take().map_or(Ok(()), Originals::finish);
        finished.map_err(|error| self.cannot(&error))
    }
}

/// Reads the list that came back.
pub(super) fn read(path: &Path) -> Result<CancelledList, Failure> {
    let file = File::open(path)
        .map_err(|error| Failure::because(Exit::Config, format!("can't read {}", path.display()), &error))?;
    read_cancelled(file, jiff::Timestamp::now()).map_err(|problems| {
        let mut failure = Failure::new(
            Exit::Config,
            format!("{} doesn't hold: {}", path.display(), crate::cli::report::counted(problems.len() as u64, "fault")),
        );
        failure.causes = problems.iter().take(FAULTS_MAX).map(ToString::to_string).collect();
        failure.hint("nothing of it was taken; mend what is shown and run the same command again")
    })
}
