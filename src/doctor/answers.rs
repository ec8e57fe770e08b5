//! Questions that the API's documents leave open, and what was answered to them, remembered for each target.
//!
//! A file of its own beside the ledger and not a table in it: a ledger is held by one run at a time and its format is
//! versioned, while these are facts about a target that decide nothing about a record, and may be deleted at any time.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file's name, beside the ledger.
pub const FILE: &str = "doctor.json";

/// Most bytes of the file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The form of the file that this release writes.
const FORMAT: u32 = 1;

/// What the documents don't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// How many entries a page of a list has at most.
    PageSize,
    /// With which HTTP status an error of GraphQL comes, and how its code is spelled.
    ErrorStatus,
    /// Whether the key may read the tasks of subscription imports.
    TaskRead,
    /// What `importCustomersBulk` answers.
    CustomerAnswer,
    /// What becomes of the good rows of a customer batch with a bad one.
    CustomerBatch,
    /// Whether a refused customer batch names its bad rows.
    CustomerError,
    /// Whether the id that a subscription import answers is its task's.
    TaskId,
    /// What the errors of a task name.
    TaskErrorId,
    /// Whether an archived customer is still listed.
    Archived,
}

impl Question {
    /// As it is put.
    pub fn text(self) -> &'static str {
        match self {
            Self::PageSize => "how long is the longest page of a list?",
            Self::ErrorStatus => "with which status does an error come, and how is its code spelled?",
            Self::TaskRead => "may the key read import tasks?",
            Self::CustomerAnswer => "what does importCustomersBulk answer?",
            Self::CustomerBatch => "what becomes of the good rows of a refused customer batch?",
            Self::CustomerError => "does a refused customer batch name its bad rows?",
            Self::TaskId => "is the id that a subscription import answers its task's?",
            Self::TaskErrorId => "what do the errors of an import task name?",
            Self::Archived => "is an archived customer still listed?",
        }
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// To what.
    pub question: Question,
    /// In words. Holds nobody's data.
    pub says: String,
}

impl Answer {
    /// An answer.
    pub fn new(question: Question, says: impl Into<String>) -> Self {
        Self { question, says: says.into() }
    }
}

/// What a target answered at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RememberedAnswers {
    /// When it was asked: an instant, to the second.
    pub asked_at: String,
    /// The answers.
    pub answers: Vec<Answer>,
}

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RememberedError {
    /// It can't be read or written.
    #[error("what was answered before can't be kept in {file}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It was read and is not of this program, or of a newer version.
    #[error("{file} is not a file of answers that this version reads")]
    Form {
        /// The file.
        file: String,
    },
}

/// The answers of each target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    format: u32,
    targets: BTreeMap<String, RememberedAnswers>,
}

impl Remembered {
    /// Reads the file; without one nothing is remembered.
    ///
    /// # Errors
    ///
    /// [`RememberedError`].
    pub fn read(path: &Path) -> Result<Self, RememberedError> {
        let file = path.display().to_string();
        let bytes = match std::fs::metadata(path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(RememberedError::Io { file, source }),
        };
        if bytes > FILE_BYTES_MAX {
            return Err(RememberedError::Form { file });
        }
        let text = std::fs::read(path).map_err(|source| RememberedError::Io { file: file.clone(), source })?;
        match serde_json::from_slice::<Self>(&text) {
            Ok(read) if read.format == FORMAT => Ok(read),
            Ok(_) | Err(_) => Err(RememberedError::Form { file }),
        }
    }

    /// What `target` (its name in the ledger) answered last.
    pub fn of(&self, target: &str) -> Option<&RememberedAnswers> {
        self.targets.get(target)
    }

    /// Takes the place of what `target` answered before.
    pub fn put(&mut self, target: &str, answers: RememberedAnswers) {
        self.targets.insert(target.to_owned(), answers);
    }

    /// Writes the file, whole or not at all, for its owner only. Its folder is made where it is missing.
    ///
    /// # Errors
    ///
    /// [`RememberedError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), RememberedError> {
        let fail = |source: std::io::Error| RememberedError::Io { file: path.display().to_string(), source };
        let kept = Self { format: FORMAT, targets: self.targets.clone() };
        let mut text = serde_json::to_string_pretty(&kept).map_err(|error| fail(error.into()))?;
        text.push('\n');
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder).map_err(fail)?;
        // Made with mode 0600.
        let mut written = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
        written.write_all(text.as_bytes()).map_err(fail)?;
        written.persist(path).map_err(|error| fail(error.error))?;
        Ok(())
    }
}
