//! Files that commands make: there as a whole or not at all. What was there stays until the new one is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// A file that is being written.
pub(super) enum WholeFile {
    /// Beside its place, until it is complete.
    Beside {
        /// What is written so far; removed when this is dropped.
        file: NamedTempFile,
        /// Its place.
        path: PathBuf,
    },
    /// Into a pipe or a device, which nothing can take the place of.
    Through(File),
}

impl WholeFile {
    /// One that only its owner may read, whoever could read what was there.
    ///
    /// # Errors
    ///
    /// No file can be made there; nothing was changed.
    pub(super) fn private(path: &Path) -> io::Result<Self> {
        Self::begin(path, &mut Builder::new())
    }

    /// One that has the mode of what was there, and else that of any new file.
    ///
    /// # Errors
    ///
    /// No file can be made there; nothing was changed.
    pub(super) fn shared(path: &Path) -> io::Result<Self> {
        let mut builder = Builder::new();
        let before = fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|about| about.permissions());
        #[cfg(unix)]
        builder.permissions(before.unwrap_or_else(|| std::os::unix::fs::PermissionsExt::from_mode(0o666)));
        #[cfg(not(unix))]
        let _ = before;
        Self::begin(path, &mut builder)
    }

    fn begin(path: &Path, builder: &mut Builder<'_, '_>) -> io::Result<Self> {
        let path = match fs::metadata(path) {
            Ok(about) if about.is_dir() => return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")),
            Ok(about) if !about.is_file() => return OpenOptions::new().write(true).open(path).map(Self::Through),
            // What a link points to is replaced, not the link.
            Ok(_) => fs::canonicalize(path)?,
            Err(_) => path.to_owned(),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let missing = format!("there is no folder {}", folder.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, missing));
        }
        let file = builder.prefix(".stigg-import-").suffix(".tmp").tempfile_in(folder)?;
        Ok(Self::Beside { file, path })
    }

    /// Puts it in its place.
    ///
    /// # Errors
    ///
    /// It is not there; what was there is as before.
    pub(super) fn done(self) -> io::Result<()> {
        match self {
            Self::Beside { file, path } => {
                // A full disk may be told only now.
                file.as_file().sync_all()?;
                file.persist(path).map(drop).map_err(|error| error.error)
            }
            Self::Through(mut file) => file.flush(),
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            // Not through tempfile, whose errors would name a file that nobody knows.
            Self::Beside { file, .. } => file.as_file().write(bytes),
            Self::Through(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Beside { file, .. } => file.as_file().flush(),
            Self::Through(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
    }

    #[test]
    fn what_was_there_stays_until_the_new_one_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "before").unwrap();
        let mut file = WholeFile::private(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let mut file = WholeFile::private(&path).unwrap();
        file.write_all(b"whole").unwrap();
        file.done().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }

    #[cfg(unix)]
    #[test]
    fn modes_are_the_owners_or_those_that_were_there_and_a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        WholeFile::shared(&link).unwrap().done().unwrap();
        assert_eq!(mode(&path), 0o640);
        WholeFile::private(&link).unwrap().done().unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let mut file = WholeFile::private(Path::new("/dev/null")).unwrap();
        assert!(matches!(file, WholeFile::Through(_)));
        file.write_all(b"any").unwrap();
        file.done().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
