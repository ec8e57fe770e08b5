//! Sorted runs on disk, merged when all is written: what doesn't fit into memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Runs of one level that are merged into one of the next, so that few files are open at once.
const FAN_IN: usize = 16;

/// Bytes read or written at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Totals that didn't fit into memory could not be kept on disk. What was collected is lost; no
/// total was given out that isn't whole.
#[derive(Debug, thiserror::Error)]
#[error("can't {action} a temporary file in {dir}")]
pub struct SpillError {
    /// `create`, `write` or `read`.
    pub action: &'static str,
    /// The folder.
    pub dir: String,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// Entries of a key and a payload, sorted by key within each run.
#[derive(Debug)]
pub(super) struct Runs {
    dir: PathBuf,
    levels: Vec<Vec<SpillFile>>,
}

impl Runs {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), levels: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(Vec::is_empty)
    }

    /// Writes a run. The entries come in the order of their keys.
    pub fn write<'a>(&mut self, entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), SpillError> {
        let mut writer = RunWriter::create(&self.dir)?;
        for (key, payload) in entries {
            writer.put(key, payload)?;
        }
        let run = writer.finish()?;
        self.keep(run, 0)
    }

    fn keep(&mut self, run: SpillFile, level: usize) -> Result<(), SpillError> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(run);
        if self.levels[level].len() < FAN_IN {
            return Ok(());
        }
        let full = std::mem::take(&mut self.levels[level]);
        let mut merge = Merge::new(full)?;
        let mut writer = RunWriter::create(&self.dir)?;
        let (mut key, mut payload) = (Vec::new(), Vec::new());
        while merge.next(&mut key, &mut payload)? {
            writer.put(&key, &payload)?;
        }
        let run = writer.finish()?;
        self.keep(run, level + 1)
    }

    /// All entries, in the order of their keys.
    pub fn merge(self) -> Result<Merge, SpillError> {
        Merge::new(self.levels.into_iter().flatten().collect())
    }
}

/// A temporary file that only this process sees: mode 0600, and without a name where the system
/// lets an open file lose it, so that not even a crash leaves it behind.
#[derive(Debug)]
struct SpillFile {
    file: File,
    dir: PathBuf,
    named: Option<PathBuf>,
}

impl SpillFile {
    fn create(dir: &Path) -> Result<Self, SpillError> {
        let failed = |source| SpillError { action: "create", dir: dir.display().to_string(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        loop {
            let path = dir.join(format!(".spill-{}-{:016x}", std::process::id(), fastrand::u64(..)));
            match options.open(&path) {
                Ok(file) => {
                    let unnamed = cfg!(unix) && std::fs::remove_file(&path).is_ok();
                    return Ok(Self { file, dir: dir.to_owned(), named: (!unnamed).then_some(path) });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Called for every entry: the words are only put together when something has failed.
    fn failed(dir: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> SpillError {
        move |source| SpillError { action, dir: dir.display().to_string(), source }
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        if let Some(path) = &self.named {
            // A file that can't be removed now is removed by whoever cleans the folder.
            let _ = std::fs::remove_file(path);
        }
    }
}

struct RunWriter {
    run: SpillFile,
    buffer: BufWriter<File>,
}

impl RunWriter {
    fn create(dir: &Path) -> Result<Self, SpillError> {
        let run = SpillFile::create(dir)?;
        let file = run.file.try_clone().map_err(SpillFile::failed(dir, "create"))?;
        Ok(Self { run, buffer: BufWriter::with_capacity(BUFFER_BYTES, file) })
    }

    fn put(&mut self, key: &[u8], payload: &[u8]) -> Result<(), SpillError> {
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
        let parts: [&[u8]; 4] = [&length(key), &length(payload), key, payload];
        for part in parts {
            self.buffer.write_all(part).map_err(SpillFile::failed(&self.run.dir, "write"))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<SpillFile, SpillError> {
        self.buffer.flush().map_err(SpillFile::failed(&self.run.dir, "write"))?;
        Ok(self.run)
    }
}

struct RunReader {
    dir: PathBuf,
    buffer: BufReader<File>,
    payload: Vec<u8>,
    /// Keeps a named file until it is read.
    _run: SpillFile,
}

impl RunReader {
    fn open(run: SpillFile) -> Result<Self, SpillError> {
        let mut file = run.file.try_clone().map_err(SpillFile::failed(&run.dir, "read"))?;
        file.seek(SeekFrom::Start(0)).map_err(SpillFile::failed(&run.dir, "read"))?;
        let buffer = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self { dir: run.dir.clone(), buffer, payload: Vec::new(), _run: run })
    }

    /// Reads the next entry: its key into `key`, its payload into `self.payload`.
    fn next(&mut self, key: &mut Vec<u8>) -> Result<bool, SpillError> {
        let mut lengths = [0; 8];
        match self.buffer.read_exact(&mut lengths) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(SpillFile::failed(&self.dir, "read")(error)),
        }
        let [a, b, c, d, e, f, g, h] = lengths;
        key.resize(u32::from_le_bytes([a, b, c, d]) as usize, 0);
        self.payload.resize(u32::from_le_bytes([e, f, g, h]) as usize, 0);
        self.buffer
            .read_exact(key)
            .and_then(|()| self.buffer.read_exact(&mut self.payload))
            .map_err(SpillFile::failed(&self.dir, "read"))?;
        Ok(true)
    }
}

/// The entries of several runs as one.
pub(super) struct Merge {
    readers: Vec<RunReader>,
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    spare: Vec<u8>,
}

impl std::fmt::Debug for Merge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Merge({} runs)", self.readers.len())
    }
}

impl Merge {
    fn new(runs: Vec<SpillFile>) -> Result<Self, SpillError> {
        let mut merge = Self { readers: Vec::new(), heads: BinaryHeap::new(), spare: Vec::new() };
        for run in runs {
            let mut reader = RunReader::open(run)?;
            let mut key = Vec::new();
            if reader.next(&mut key)? {
                merge.heads.push(Reverse((key, merge.readers.len())));
                merge.readers.push(reader);
            }
        }
        Ok(merge)
    }

    /// The next entry. `false`: there is none.
    pub fn next(&mut self, key: &mut Vec<u8>, payload: &mut Vec<u8>) -> Result<bool, SpillError> {
        let Some(Reverse((least, from))) = self.heads.pop() else { return Ok(false) };
        self.spare = std::mem::replace(key, least);
        let reader = &mut self.readers[from];
        std::mem::swap(payload, &mut reader.payload);
        let mut next = std::mem::take(&mut self.spare);
        if reader.next(&mut next)? {
            self.heads.push(Reverse((next, from)));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_runs_come_back_sorted_and_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut runs = Runs::new(dir.path());
        let mut expected = Vec::new();
        for _ in 0..40 {
            let mut run: Vec<(Vec<u8>, Vec<u8>)> =
                (0..20).map(|_| (vec![fastrand::u8(..), fastrand::u8(..)], vec![7; fastrand::usize(0..9)])).collect();
            run.sort();
            runs.write(run.iter().map(|(key, payload)| (&key[..], &payload[..]))).unwrap();
            expected.extend(run);
        }
        expected.sort();
        let mut merge = runs.merge().unwrap();
        let (mut key, mut payload, mut found) = (Vec::new(), Vec::new(), Vec::new());
        while merge.next(&mut key, &mut payload).unwrap() {
            found.push((key.clone(), payload.clone()));
        }
        assert!(found.is_sorted_by_key(|(key, _)| key.clone()));
        found.sort();
        assert_eq!(found, expected);
        drop(merge);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_said() {
        let error = Runs::new(Path::new("no/such/folder")).write(std::iter::empty()).unwrap_err();
        assert_eq!(error.to_string(), "can't create a temporary file in no/such/folder");
    }
}
