//! The list that goes out.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use jiff::civil::Date;

use super::CancelCall;
use crate::provider::{OriginalId, ProviderName};
use crate::spreadsheet::neutralise;

/// The columns, in order. Only `cancelled_at` is to be filled in.
pub const COLUMNS: [&str; 8] =
    ["provider", "original_id", "subscription_id", "method", "path", "header", "body", "cancelled_at"];

/// An original to cancel.
#[derive(Debug, Clone, Copy)]
pub struct OriginalRow<'a> {
    /// Where it is.
    pub provider: ProviderName,
    /// Its id there.
    pub id: &'a OriginalId,
    /// The id of its replacement in Stigg.
    pub subscription_id: &'a str,
}

/// Why the list could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OriginalsError {
    /// There is such a file. Somebody may have filled it in, so it is left as it is.
    #[error("is there already")]
    Exists,
    /// The system refuses it.
    #[error("can't be written")]
    Io(#[source] io::Error),
}

/// The list while it is written. Readable by its owner only: it says who the customers are.
#[derive(Debug)]
pub struct Originals {
    csv: csv::Writer<BufWriter<File>>,
    on: Date,
}

impl Originals {
    /// Begins a new file; `on` is the day on which people will cancel.
    ///
    /// # Errors
    ///
    /// [`OriginalsError`]. A file that is there is not touched.
    pub fn create(path: &Path, on: Date) -> Result<Self, OriginalsError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OriginalsError::Exists,
            _ => OriginalsError::Io(error),
        })?;
        let mut csv = csv::Writer::from_writer(BufWriter::new(file));
        csv.write_record(COLUMNS).map_err(failed)?;
        Ok(Self { csv, on })
    }

    /// Adds an original.
    ///
    /// # Errors
    ///
    /// [`OriginalsError::Io`].
    pub fn write(&mut self, row: &OriginalRow<'_>) -> Result<(), OriginalsError> {
        let call = CancelCall::of(row.provider, row.id, self.on);
        let cells = [
            row.provider.as_str(),
            row.id.as_str(),
            row.subscription_id,
            call.method,
            &call.path,
            call.header,
            &call.body,
            "",
        ];
        self.csv.write_record(cells.map(|cell| neutralise(cell).into_owned())).map_err(failed)
    }

    /// Puts it on disk.
    ///
    /// # Errors
    ///
    /// [`OriginalsError::Io`].
    pub fn finish(self) -> Result<(), OriginalsError> {
        let mut out = self.csv.into_inner().map_err(|error| OriginalsError::Io(error.into_error()))?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(OriginalsError::Io)
    }
}

fn failed(error: csv::Error) -> OriginalsError {
    OriginalsError::Io(error.into())
}
