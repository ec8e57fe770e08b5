//! What the file was when it was last closed, so that bits which change while it lies there are noticed.
//!
//! Beside the ledger stands `ledger.db.seal`: length, time of the last change, and hash of the file. Where length and time are
//! still those, so must the hash be. After a kill, or a copy to another place, they are not, and the seal says nothing: then
//! the whole file is looked through (see `examine.rs`), which takes longer.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use xxhash_rust::xxh3::Xxh3;

use crate::ledger::file_lock::private;

/// Most bytes of a seal that are read.
const SEAL_BYTES_MAX: u64 = 256;

/// Size of a page of the file: SQLite's usual one.
const PAGE_BYTES: u64 = 4096;

/// Digits of a hash.
const SUM_CHARS: usize = 32;

/// Where the seal of a ledger is.
pub(super) fn path_of(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".seal");
    PathBuf::from(name)
}

/// Length and time of the last change, as text; none while there is a log, which the file's content is not without.
fn stamp(ledger: &Path) -> io::Result<Option<String>> {
    let mut log = ledger.as_os_str().to_owned();
    log.push("-wal");
    if fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        return Ok(None);
    }
    let about = fs::metadata(ledger)?;
    let changed = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Ok(Some(format!("{} {changed}", about.len())))
}

/// Whether a part of a page is missing at the file's end, for which SQLite takes zeros without a word. A page that is being
/// written is in the log, too.
pub(super) fn is_cut_off(ledger: &Path) -> bool {
    let whole = |len: &str| len.parse::<u64>().is_ok_and(|len| len.is_multiple_of(PAGE_BYTES));
    stamp(ledger).ok().flatten().is_some_and(|stamp| !stamp.split(' ').next().is_some_and(whole))
}

fn hash(ledger: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(ledger)?, Xxh3::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:0SUM_CHARS$x}", hash.digest128())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Writes the seal of a file that was closed. One that is still written to by others gets none.
pub(super) fn put(ledger: &Path) -> io::Result<()> {
    let Some(before) = stamp(ledger)? else { return Ok(()) };
    let text = format!("{before} {}\n", hash(ledger)?);
    let mut seal = private(OpenOptions::new().write(true).create(true).truncate(true)).open(path_of(ledger))?;
    seal.write_all(text.as_bytes())
}

/// What a seal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    /// The file is what it was when it was sealed.
    Whole,
    /// The file is another than it was when it was sealed, though nobody wrote it since.
    Broken,
    /// Nothing: there is none, or the file was written since, or is a copy.
    Silent,
}

/// What the seal of a ledger says. Where that can't be read: nothing.
pub(super) fn of(ledger: &Path) -> Seal {
    let read = || -> io::Result<Seal> {
        let mut text = String::new();
        File::open(path_of(ledger))?.take(SEAL_BYTES_MAX).read_to_string(&mut text)?;
        let Some((sealed, sum)) = text.trim_end().rsplit_once(' ') else { return Ok(Seal::Silent) };
        // One that was cut off says nothing.
        if sum.len() != SUM_CHARS || stamp(ledger)?.as_deref() != Some(sealed) {
            return Ok(Seal::Silent);
        }
        let is_whole = hash(ledger)? == sum;
        // Meanwhile another process may have written it.
        Ok(match stamp(ledger)?.as_deref() == Some(sealed) {
            true if is_whole => Seal::Whole,
            true => Seal::Broken,
            false => Seal::Silent,
        })
    };
    read().unwrap_or(Seal::Silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_speaks_of_the_file_that_was_sealed_and_of_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        fs::write(&ledger, "sound").unwrap();
        assert_eq!(of(&ledger), Seal::Silent, "there is none");
        put(&ledger).unwrap();
        assert_eq!(of(&ledger), Seal::Whole);
        // When: its content changes, and its time does not.
        let changed = fs::metadata(&ledger).unwrap().modified().unwrap();
        let write = |text: &str, at| {
            fs::write(&ledger, text).unwrap();
            File::options().write(true).open(&ledger).unwrap().set_modified(at).unwrap();
        };
        write("sOund", changed);
        assert_eq!(of(&ledger), Seal::Broken);
        // It says nothing while there is a log, when it was cut off, and of a file that was written since.
        let log = folder.path().join("ledger.db-wal");
        fs::write(&log, "log").unwrap();
        assert_eq!(of(&ledger), Seal::Silent);
        fs::remove_file(&log).unwrap();
        let seal = fs::read_to_string(path_of(&ledger)).unwrap();
        fs::write(path_of(&ledger), &seal[..seal.len() - 3]).unwrap();
        assert_eq!(of(&ledger), Seal::Silent);
        fs::write(path_of(&ledger), &seal).unwrap();
        assert_eq!(of(&ledger), Seal::Broken);
        write("sOund", changed + std::time::Duration::from_secs(1));
        assert_eq!(of(&ledger), Seal::Silent);
    }
}
