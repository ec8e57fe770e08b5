//! Which inputs are meant: files, patterns, standard input.

use std::convert::Infallible;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::error::{BrokeProblem, OpenProblem, SourceError};
use super::pattern::{self, PatternProblem};

/// One input as the user named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file, also a pipe or a device.
    Path(PathBuf),
    /// All files that match a pattern (`*`, `?`, `[…]`, `**`), in the order of their paths' bytes.
    ///
    /// As in a shell, `*` does not match a leading dot.
    Glob(String),
    /// Standard input.
    Stdin,
}

impl FromStr for Input {
    type Err = Infallible;

    /// `-` is standard input; a text with `*`, `?` or `[` is a pattern unless a file of that very
    /// name exists; all else is a path.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" {
            Self::Stdin
        } else if text.contains(['*', '?', '[']) && !Path::new(text).exists() {
            Self::Glob(text.to_owned())
        } else {
            Self::Path(PathBuf::from(text))
        })
    }
}

/// What can be read, byte by byte.
pub(super) type Bytes = Box<dyn Read + Send>;

/// One input to read, with a name.
pub(super) struct Named {
    pub(super) name: Arc<str>,
    pub(super) origin: Origin,
}

/// Where its bytes come from.
pub(super) enum Origin {
    File(PathBuf),
    Stdin,
    Reader(Option<Bytes>),
}

/// Bytes to read, and whether the input can be opened a second time to read them again.
pub(super) struct Opened {
    pub(super) bytes: Bytes,
    pub(super) again: bool,
    /// Size, where it is known.
    pub(super) bytes_total: Option<u64>,
}

impl Named {
    pub(super) fn open(&mut self) -> Result<Opened, OpenProblem> {
        match &mut self.origin {
            Origin::File(path) => {
                let file = File::open(&*path).map_err(OpenProblem::io)?;
                let about = file.metadata().map_err(OpenProblem::io)?;
                if about.is_dir() {
                    return Err(OpenProblem::Directory(self.name.trim_end_matches('/').to_owned()));
                }
                // A pipe (`<(zcat a.gz)`) can be read only once.
                let again = about.is_file();
                let bytes_total = again.then_some(about.len());
                let bytes: Bytes = if again { Box::new(Steady { file, about }) } else { Box::new(file) };
                Ok(Opened { bytes, again, bytes_total })
            }
            Origin::Stdin => Ok(Opened { bytes: Box::new(io::stdin()), again: false, bytes_total: None }),
            Origin::Reader(bytes) => {
                let bytes = bytes.take().expect("a reader is opened once");
                Ok(Opened { bytes, again: false, bytes_total: None })
            }
        }
    }
}

/// A file that ends only if nobody wrote it meanwhile: whoever still writes may have come to the middle of a row.
struct Steady {
    file: File,
    /// As it was opened.
    about: Metadata,
}

impl Read for Steady {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        if count == 0 && !out.is_empty() {
            let now = self.file.metadata()?;
            if now.len() != self.about.len() || now.modified()? != self.about.modified()? {
                return Err(io::Error::other(BrokeProblem::ChangedMeanwhile));
            }
        }
        Ok(count)
    }
}

/// Expands patterns; refuses an input that is named twice.
pub(super) fn resolve(inputs: &[Input]) -> Result<Vec<Named>, SourceError> {
    let mut named: Vec<Named> = Vec::new();
    let mut seen: Vec<(PathBuf, Arc<str>)> = Vec::new();
    let mut add = |path: PathBuf, origin: Origin| -> Result<(), SourceError> {
        let name: Arc<str> = path.to_string_lossy().into();
        // What can't be made canonical can't be opened either, and says so then.
        let canonical = path.canonicalize().unwrap_or(path);
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == canonical) {
            return Err(SourceError::open(&name, OpenProblem::Twice(first.to_string())));
        }
        seen.push((canonical, name.clone()));
        named.push(Named { name, origin });
        Ok(())
    };
    for input in inputs {
        match input {
            Input::Path(path) => add(path.clone(), Origin::File(path.clone()))?,
            Input::Stdin => add(PathBuf::from("-"), Origin::Stdin)?,
            Input::Glob(pattern) => {
                for path in matches(pattern)? {
                    add(path.clone(), Origin::File(path))?;
                }
            }
        }
    }
    if named.is_empty() {
        return Err(SourceError::Options("no input is named".to_owned()));
    }
    Ok(named)
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>, SourceError> {
    let paths = pattern::files(pattern).map_err(|problem| match problem {
        PatternProblem::Syntax(error) => SourceError::open(pattern, OpenProblem::Pattern(error.to_string())),
        PatternProblem::Folder(folder, error) => SourceError::open(&folder.to_string_lossy(), OpenProblem::Io(error)),
    })?;
    if paths.is_empty() {
        return Err(SourceError::open(pattern, OpenProblem::NoMatch));
    }
    Ok(paths)
}
