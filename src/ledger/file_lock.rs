//! One run at a time over a ledger that is a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::run_lock::Holder;
use super::{LedgerError, LedgerPlace, WriteFailure};

/// Holds a ledger for one run until it is dropped, or its process ends however it may.
///
/// The operating system keeps the lock, on a file beside the ledger (`ledger.db.lock`); the file's
/// content only says who. The file stays: deleting it would let two processes lock two files of
/// the same name.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Most bytes read of a lock file's content.
    const HOLDER_BYTES_MAX: u64 = 1024;

    /// Takes hold of the ledger at `ledger_path`, whose folder is made where it is missing.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Held`] names the process that has it; [`LedgerError::CannotWrite`].
    pub fn acquire(ledger_path: &Path, now: Timestamp) -> Result<Self, LedgerError> {
        let path = Self::path(ledger_path);
        let failed = |error: std::io::Error| LedgerError::CannotWrite {
            ledger: LedgerPlace::File(path.clone()),
            failure: WriteFailure::of(&error),
            detail: error.to_string(),
        };
        make_folder_of(&path).map_err(failed)?;
        let mut file = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who it is may be unreadable (just being written); that it is held is certain.
                let by = match file.take(Self::HOLDER_BYTES_MAX).read_to_string(&mut text) {
                    Ok(_) => Holder::parse(&text),
                    Err(_) => Holder::default(),
                };
                return Err(LedgerError::Held { ledger: LedgerPlace::File(ledger_path.to_owned()), by: Box::new(by) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let text = format!("{} {now}\n", std::process::id());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
        Ok(Self { file })
    }

    /// The lock's file.
    pub fn path(ledger_path: &Path) -> PathBuf {
        let mut name = ledger_path.as_os_str().to_owned();
        name.push(".lock");
        PathBuf::from(name)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the file frees the lock, whatever becomes of this.
        if let Err(error) = self.file.set_len(0) {
            tracing::debug!(%error, "could not empty the lock file");
        }
    }
}

/// Makes the folder of `path` where it is missing, for its owner only.
pub(super) fn make_folder_of(path: &Path) -> std::io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) else {
        return Ok(());
    };
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Options that make a file for its owner only.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_who_holds_the_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("new/ledger.db");
        let now: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();

        let lock = FileLock::acquire(&ledger, now).unwrap();
        let error = FileLock::acquire(&ledger, now).unwrap_err();
        let LedgerError::Held { by, .. } = &error else { panic!("{error}") };
        assert_eq!(**by, Holder { pid: Some(std::process::id()), since: Some(now), ..Holder::default() });
        assert!(error.to_string().ends_with("since 2026-05-01T00:00:00Z"), "{error}");

        drop(lock);
        FileLock::acquire(&ledger, now).unwrap();
    }

    #[test]
    fn a_lock_file_that_a_killed_run_left_does_not_hold() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        std::fs::write(FileLock::path(&ledger), "1 2026-05-01T00:00:00Z and then some more text").unwrap();
        FileLock::acquire(&ledger, Timestamp::UNIX_EPOCH).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_made_is_its_owners_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("new/ledger.db");
        let _lock = FileLock::acquire(&ledger, Timestamp::UNIX_EPOCH).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(ledger.parent().unwrap()), 0o700);
        assert_eq!(mode(&FileLock::path(&ledger)), 0o600);
    }
}
