//! What is true of the data when a request did not succeed.

use std::time::Duration;

use super::code::ErrorCode;
pub(super) use crate::http::one_line as bounded;

/// Most characters kept of a message of the API.
pub const MESSAGE_CHARS_MAX: usize = 500;

/// Where in a request the API found fault, as far as it said. Hints: send what they name alone before believing them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Ids of customers or subscriptions (`failedCustomerIds`, `customerRefId`, …).
    pub ids: Vec<String>,
    /// Ids at the billing provider (`failedBillingIds`).
    pub billing_ids: Vec<String>,
    /// Positions in the request's list, from 0.
    pub indices: Vec<usize>,
}

impl Named {
    /// Most hints of each kind that are kept: the most records of a request.
    pub const EACH_MAX: usize = 1000;

    /// Whether nothing was named.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.billing_ids.is_empty() && self.indices.is_empty()
    }
}

/// Why there is no answer that could be believed, after a request that left.
#[derive(Debug, thiserror::Error)]
pub enum UnknownCause {
    /// The connection failed or timed out after the request may have left, or the answer broke off.
    #[error("the answer was lost")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server failed.
    #[error("the server failed with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The API reported that it failed, or that it lost a race, with the work perhaps begun.
    #[error("the API failed: {code}: {message}")]
    Api {
        /// Its code.
        code: ErrorCode,
        /// Its message.
        message: String,
    },
    /// What answered does not speak for the API: a page for people, or JSON of something else. Perhaps a proxy put it
    /// in the place of the API's answer, with the work done.
    #[error("the answer is not the API's: {what}")]
    Foreign {
        /// What it is.
        what: &'static str,
    },
    /// The answer was not what the API answers: cut off, no data, or data of another shape.
    #[error("the answer could not be read: {reason}")]
    Unreadable {
        /// What was wrong with it.
        reason: String,
    },
}

/// Why a request has no good answer. Each variant says what is true of the data afterwards; what to do next follows
/// from the variant alone ([`SinkError::disposition`]).
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The request never left: no address, no connection, no TLS. Nothing was applied.
    #[error("the API could not be reached")]
    NotSent {
        /// What the connection said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API asked for a pause. Nothing was applied.
    #[error("the API asked for a pause")]
    Throttled {
        /// How long, where it said so; at most [`RETRY_AFTER_MAX`](crate::http::RETRY_AFTER_MAX).
        retry_after: Option<Duration>,
    },
    /// Another import is under way at the API. Nothing was applied.
    #[error("another import is under way: {message}")]
    Busy {
        /// The API's message.
        message: String,
        /// How long to wait, where it said so.
        retry_after: Option<Duration>,
    },
    /// The request left, and nobody knows what became of it. All, part or nothing of it may have been applied.
    #[error("it is not known whether the request was applied")]
    Unknown {
        /// What was seen instead of an answer.
        #[source]
        cause: UnknownCause,
        /// How long to wait, where the answer said so.
        retry_after: Option<Duration>,
    },
    /// The API refused the request because of one or more records; sent again unchanged, it is refused again. Whether
    /// the other records were applied is not documented: sending them again is harmless.
    #[error("the API refused it: {code}: {message}")]
    Refused {
        /// The API's code.
        code: ErrorCode,
        /// The API's message.
        message: String,
        /// Records that it named.
        named: Named,
    },
    /// The request's body is larger than the server takes. Nothing was applied.
    #[error("the request is larger than the server takes")]
    TooLarge,
    /// The API says that the import as a whole failed. Records that it did not name may have been applied.
    #[error("the API reported the whole import as failed: {code}: {message}")]
    WholeImport {
        /// The API's code.
        code: ErrorCode,
        /// The API's message.
        message: String,
        /// Records that it named.
        named: Named,
    },
    /// The API refused a record because what it stands on is not there; an imported subscription may only not be
    /// there *yet*. The record was not applied.
    #[error("what the record stands on is not there: {code}: {message}")]
    NotReady {
        /// The API's code.
        code: ErrorCode,
        /// The API's message.
        message: String,
        /// Records that it named.
        named: Named,
    },
    /// The key is not accepted. Nothing was applied, and nothing else would be.
    #[error("the API does not accept the key: {message}")]
    Unauthorized {
        /// The API's message.
        message: String,
    },
    /// The key is accepted, and has no right to this operation. Nothing was applied.
    #[error("the key has no right to this: {code}: {message}")]
    Forbidden {
        /// The API's code.
        code: ErrorCode,
        /// The API's message.
        message: String,
    },
    /// The request is built wrongly whatever its records hold: a bug of ours, or a schema that has moved on. Nothing
    /// was applied.
    #[error("the request does not hold: {message}")]
    Malformed {
        /// What was said about it.
        message: String,
    },
    /// What answered is not the API: a redirect, a page that is not there, a web page. Nothing was applied.
    #[error("no Stigg API answers at this address: {answer}")]
    NotTheApi {
        /// What came instead: a status, or what the answer is.
        answer: String,
    },
    /// The files that stand in for the API can't be written ([`super::BulkFiles`]). Some of the batch may be in them.
    #[error("the files can't be written")]
    FilesCannotWrite(#[source] std::io::Error),
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Send it again unchanged, after this pause or the caller's own: nothing was applied.
    Resend {
        /// The pause that was asked for.
        after: Option<Duration>,
    },
    /// Read back what was applied, then send what is missing; pause first.
    ReadBack {
        /// The pause that was asked for.
        after: Option<Duration>,
    },
    /// Read back what was applied, then send what is missing in smaller parts.
    ReadBackAndSplit,
    /// Send it in smaller parts; a single record has failed.
    Split,
    /// Send it once more when the subscriptions are there; the second time, split.
    ResendOnceReady,
    /// Stop the run.
    Stop(Stop),
}

/// Why a run has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The key is refused, or has too few rights.
    Credentials,
    /// We build requests that don't hold.
    Request,
    /// The address is not the API's.
    Endpoint,
    /// Files can't be written.
    Files,
}

impl SinkError {
    /// What to do next with a *write*. No wildcard arm: a new variant has to choose.
    ///
    /// A read that fails with [`Disposition::ReadBack`] or [`Disposition::Resend`] is simply asked again.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::NotSent { .. } => Disposition::Resend { after: None },
            Self::Throttled { retry_after } | Self::Busy { retry_after, .. } => {
                Disposition::Resend { after: *retry_after }
            }
            Self::Unknown { retry_after, .. } => Disposition::ReadBack { after: *retry_after },
            Self::WholeImport { .. } => Disposition::ReadBackAndSplit,
            Self::Refused { .. } | Self::TooLarge => Disposition::Split,
            Self::NotReady { .. } => Disposition::ResendOnceReady,
            Self::Unauthorized { .. } | Self::Forbidden { .. } => Disposition::Stop(Stop::Credentials),
            Self::Malformed { .. } => Disposition::Stop(Stop::Request),
            Self::NotTheApi { .. } => Disposition::Stop(Stop::Endpoint),
            Self::FilesCannotWrite(_) => Disposition::Stop(Stop::Files),
        }
    }

    /// Whether the server is overloaded or unwell, so that fewer requests should be in flight.
    pub fn is_overload(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Busy { .. } | Self::Unknown { .. } | Self::NotSent { .. } => true,
            Self::Refused { .. }
            | Self::TooLarge
            | Self::WholeImport { .. }
            | Self::NotReady { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Malformed { .. }
            | Self::NotTheApi { .. }
            | Self::FilesCannotWrite(_) => false,
        }
    }

    /// Code and message for a record that this refuses for good: the API's where it gave them, ours elsewhere.
    pub fn code_and_message(&self) -> (String, String) {
        match self {
            Self::Refused { code, message, .. }
            | Self::WholeImport { code, message, .. }
            | Self::NotReady { code, message, .. }
            | Self::Forbidden { code, message }
            | Self::Unknown { cause: UnknownCause::Api { code, message }, .. } => {
                (code.as_str().to_owned(), message.clone())
            }
            Self::Busy { message, .. } => (ErrorCode::ImportAlreadyInProgress.as_str().to_owned(), message.clone()),
            Self::Throttled { .. } => (ErrorCode::RateLimitExceeded.as_str().to_owned(), self.to_string()),
            Self::Unauthorized { message } => (ErrorCode::Unauthenticated.as_str().to_owned(), message.clone()),
            Self::NotSent { .. } => ("NotSent".to_owned(), self.with_causes()),
            Self::Unknown { .. } => ("Unknown".to_owned(), self.with_causes()),
            Self::TooLarge => ("TooLarge".to_owned(), self.to_string()),
            Self::Malformed { message } => ("Malformed".to_owned(), message.clone()),
            Self::NotTheApi { .. } => ("NotTheApi".to_owned(), self.to_string()),
            Self::FilesCannotWrite(_) => ("FilesCannotWrite".to_owned(), self.with_causes()),
        }
    }

    /// Message and causes in one line, bounded.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        bounded(&text, MESSAGE_CHARS_MAX)
    }

    /// The same for the first request to an address, a read: where the answer is not the API's, no API is there.
    #[must_use]
    pub fn at_first_contact(self) -> Self {
        match self {
            Self::Unknown { cause: UnknownCause::Foreign { what }, .. } => {
                Self::NotTheApi { answer: format!("it gave {what}") }
            }
            other => other,
        }
    }

    pub(super) fn unreadable(reason: impl std::fmt::Display) -> Self {
        let reason = bounded(&reason.to_string(), MESSAGE_CHARS_MAX);
        Self::Unknown { cause: UnknownCause::Unreadable { reason }, retry_after: None }
    }

    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::Malformed { message: message.into() }
    }
}
