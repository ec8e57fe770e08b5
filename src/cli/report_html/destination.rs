//! Where a report goes: seen to be writable before anything is sent, and replaced as a whole at the end.

use std::io::Write as _;
use std::path::PathBuf;

use super::page::Page;
use crate::cli::args;
use crate::cli::exit::{Exit, Failure};
use crate::cli::whole_file::WholeFile;

/// A report that is asked for.
pub(in crate::cli) struct Destination {
    path: PathBuf,
    /// Whether values of rows may be shown: they are personal data.
    pub(super) with_samples: bool,
}

impl Destination {
    /// None where no report is asked for.
    ///
    /// # Errors
    ///
    /// No file can be written there; nothing was sent.
    pub(in crate::cli) fn of(words: &args::Report) -> Result<Option<Self>, Failure> {
        let Some(path) = &words.report else { return Ok(None) };
        let destination = Self { path: path.clone(), with_samples: words.report_samples };
        WholeFile::private(path).map(drop).map_err(|error| {
            destination.failure(Exit::Config, &error).hint("name another place with --report; nothing was sent")
        })?;
        Ok(Some(destination))
    }

    /// Puts the page in place.
    ///
    /// # Errors
    ///
    /// It is not there; what was there is as before. What the command did stands.
    pub(in crate::cli) fn write(&self, page: &Page) -> Result<(), Failure> {
        self.put(page).map_err(|error| {
            self.failure(Exit::Ledger, &error).hint(
                "what the command did stands, and only its report is missing; its numbers are above, and those of a run \
                 in stigg-import status --json",
            )
        })
    }

    /// One that is only asked whether values may be shown.
    #[cfg(test)]
    pub(super) fn unwritten(with_samples: bool) -> Self {
        Self { path: PathBuf::new(), with_samples }
    }

    fn put(&self, page: &Page) -> std::io::Result<()> {
        let html = page.html().map_err(std::io::Error::other)?;
        let mut file = WholeFile::private(&self.path)?;
        file.write_all(html.as_bytes())?;
        file.done()
    }

    fn failure(&self, exit: Exit, error: &std::io::Error) -> Failure {
        Failure::because(exit, format!("the report {} can't be written", self.path.display()), error)
    }
}
