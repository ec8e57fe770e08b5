//! Where a report goes: seen to be writable before anything is sent, and replaced as a whole at the end.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::page::Page;
use crate::cli::args;
use crate::cli::exit::{Exit, Failure};

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
        destination.begin().map(drop).map_err(|error| {
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

    fn put(&self, page: &Page) -> std::io::Result<()> {
        let html = page.html().map_err(std::io::Error::other)?;
        let mut file = self.begin()?;
        file.write_all(html.as_bytes())?;
        // A full disk may be told only now.
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }

    /// A new file beside it, which only its owner may read.
    fn begin(&self) -> std::io::Result<NamedTempFile> {
        if self.path.is_dir() {
            return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a folder"));
        }
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        if !folder.is_dir() {
            let missing = format!("there is no folder {}", folder.display());
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, missing));
        }
        Builder::new().prefix(".report-").suffix(".tmp").tempfile_in(folder)
    }

    fn failure(&self, exit: Exit, error: &std::io::Error) -> Failure {
        Failure::because(exit, format!("the report {} can't be written", self.path.display()), error)
    }
}
