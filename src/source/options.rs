//! How CSV is to be read.

use super::encoding;
use super::error::SourceError;
use super::limits::Limits;

/// Which byte stands around cells that hold delimiters or line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quote {
    /// `"`, or `'` if the sample clearly uses that.
    #[default]
    Detect,
    /// This one.
    Byte(u8),
    /// None: quotes are characters like others.
    None,
}

/// How to read CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// What stands between cells, an ASCII character. Default: what a first line `sep=;` says
    /// (the line is then not the header), else detected among `,`, `;`, tab, `|`.
    pub delimiter: Option<u8>,
    /// What stands around cells. Default: detected. Inside, it is written twice.
    pub quote: Quote,
    /// Label of the encoding (`windows-1252`, `utf-16le`). Default: detected, see
    /// [`EncodingFrom`](super::EncodingFrom).
    pub encoding: Option<String>,
    /// What is taken at most.
    pub limits: Limits,
    /// Most rows in a batch. Default 1024: each batch wakes the thread that maps it.
    pub batch_rows: usize,
    /// A batch is closed when its cells have this many bytes. Default 128 KiB.
    pub batch_text_bytes: usize,
}

/// Most that the options may say for a row or a batch, in bytes: 1 GiB, so that a batch with one
/// row more than fits keeps its ends in 32 bits.
pub(super) const BYTES_MAX: usize = 1 << 30;

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: None,
            quote: Quote::Detect,
            encoding: None,
            limits: Limits::default(),
            batch_rows: 1024,
            batch_text_bytes: 128 << 10,
        }
    }
}

impl CsvOptions {
    /// Whether the options can be, as far as that shows without an input.
    pub(super) fn check(&self) -> Result<(), SourceError> {
        let shown = |byte: u8| char::from(byte).escape_default().to_string();
        let usable = |byte: u8| byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0);
        let wrong = match (self.delimiter, self.quote) {
            (Some(byte), _) if !usable(byte) => format!("`{}` can't be a delimiter", shown(byte)),
            (_, Quote::Byte(byte)) if !usable(byte) => format!("`{}` can't be a quote", shown(byte)),
            (Some(delimiter), Quote::Byte(quote)) if delimiter == quote => {
                format!("`{}` can't be both delimiter and quote", shown(quote))
            }
            (Some(delimiter @ (b'"' | b'\'')), Quote::Detect) => {
                format!("`{}` can be the delimiter only where the quote is said, too", shown(delimiter))
            }
            _ if self.limits.row_bytes_max > BYTES_MAX || self.batch_text_bytes > BYTES_MAX => {
                format!("a row or a batch can't have more than {BYTES_MAX} bytes")
            }
            _ => match self.encoding.as_deref().map(encoding::labelled) {
                Some(Err(problem)) => problem.to_string(),
                _ => return Ok(()),
            },
        };
        Err(SourceError::Options(wrong))
    }
}
