//! What is true of the original when a call did not succeed.

use std::time::Duration;

/// Why there is no answer that could be believed, after a call that left.
#[derive(Debug, thiserror::Error)]
pub enum UnknownCause {
    /// The connection failed or timed out after the call may have left, or the answer broke off.
    #[error("the answer was lost")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server failed.
    #[error("the server failed with status {status}: {message}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// Its message, bounded.
        message: String,
    },
    /// What answered does not speak for the provider, or not as it is documented.
    #[error("the answer could not be read: {reason}")]
    Unreadable {
        /// What was wrong with it.
        reason: String,
    },
}

/// Why a call has no good answer. Each variant says what is true of the original afterwards; what to do next follows
/// from the variant alone ([`ProviderError::disposition`]).
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The call never left: no address, no connection, no TLS. Nothing was done.
    #[error("the provider could not be reached")]
    NotSent {
        /// What the connection said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The provider asks to come again later. Nothing was done.
    #[error("the provider asked for a pause: {message}")]
    Throttled {
        /// How long, where it said so; at most [`RETRY_AFTER_MAX`](crate::http::RETRY_AFTER_MAX).
        retry_after: Option<Duration>,
        /// Its message, bounded.
        message: String,
    },
    /// The call left, and nobody knows what became of it. A cancellation may have happened: read.
    #[error("it is not known whether the call was carried out")]
    Unknown {
        /// What was seen instead of an answer.
        #[source]
        cause: UnknownCause,
        /// How long to wait, where the answer said so.
        retry_after: Option<Duration>,
        /// Whether the provider said that sending the same again is of no use.
        is_final: bool,
    },
    /// The provider refused this call for what it names; sent again unchanged, it is refused again. Nothing was done.
    #[error("the provider refused it with status {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The provider's code, where it gave one.
        code: Option<String>,
        /// Its message, bounded.
        message: String,
        /// The provider's id of the request, where it gave one.
        request_id: Option<String>,
    },
    /// The key is not accepted. Nothing was done, and nothing else would be.
    #[error("the provider does not accept the key: {message}")]
    Unauthorized {
        /// Its message, bounded.
        message: String,
    },
    /// The key is accepted, and has no right to this. Nothing was done.
    #[error("the key has no right to this: {message}")]
    Forbidden {
        /// Its message, bounded.
        message: String,
    },
    /// The subscription is of the other mode: a test key met a real one, or the other way round. Nothing was done.
    #[error("the key is of {} mode, and the subscription is not", if *.live_key { "live" } else { "test" })]
    OtherMode {
        /// Whether the key is a live one.
        live_key: bool,
    },
    /// What answered is not the provider: a redirect, a page that is not there, a web page. As far as can be told nothing
    /// was done; who comes back reads first.
    #[error("no such provider answers at this address: {answer}")]
    NotTheProvider {
        /// What came instead.
        answer: String,
    },
    /// This program can't call the provider: its subscriptions are cancelled by hand, from a file. Nothing was done.
    #[error("originals of this provider are not read or cancelled by this program")]
    ByHand,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Call again unchanged, after this pause or the caller's own: nothing was done.
    Again {
        /// The pause that was asked for.
        after: Option<Duration>,
    },
    /// Read the original before anything else; pause first.
    ReadBack {
        /// The pause that was asked for.
        after: Option<Duration>,
        /// Whether to cancel again if it is still there: the provider may have said that it's of no use.
        may_repeat: bool,
    },
    /// Leave this original to a person.
    Park,
    /// Stop the run.
    Stop(Stop),
}

/// Why a run has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The key is refused, has too few rights, or is of the other mode.
    Credentials,
    /// The address is not the provider's.
    Endpoint,
}

impl ProviderError {
    /// What to do next with a *cancellation*. No wildcard arm: a new variant has to choose.
    ///
    /// A read that fails with [`Disposition::Again`] or [`Disposition::ReadBack`] is simply asked again.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::NotSent { .. } => Disposition::Again { after: None },
            Self::Throttled { retry_after, .. } => Disposition::Again { after: *retry_after },
            Self::Unknown { retry_after, is_final, .. } => {
                Disposition::ReadBack { after: *retry_after, may_repeat: !is_final }
            }
            Self::Refused { .. } | Self::ByHand => Disposition::Park,
            Self::Unauthorized { .. } | Self::Forbidden { .. } | Self::OtherMode { .. } => {
                Disposition::Stop(Stop::Credentials)
            }
            Self::NotTheProvider { .. } => Disposition::Stop(Stop::Endpoint),
        }
    }
}
