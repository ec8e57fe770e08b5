//! Why a request to Stripe has no good answer.

use std::time::Duration;

/// Most characters kept of a message of Stripe.
pub const MESSAGE_CHARS_MAX: usize = 500;

/// What Stripe says about a request that it did not carry out, or not to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Its code, as `resource_missing`.
    pub code: Option<String>,
    /// Its message in one line of at most [`MESSAGE_CHARS_MAX`] characters, without the key.
    pub message: String,
    /// Its id of the request, for its support.
    pub request_id: Option<String>,
    /// The pause that it asks for.
    pub retry_after: Option<Duration>,
    /// Its own word whether the same request may succeed later (header `Stripe-Should-Retry`).
    pub should_retry: Option<bool>,
}

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    /// It never left: no address, no connection, no TLS.
    #[error("Stripe could not be reached")]
    NotSent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection failed or timed out after it may have left, or the answer broke off.
    #[error("Stripe's answer was lost")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Stripe, or a server before it that failed, answered with an error.
    #[error("Stripe answered with status {}: {}", .0.status, .0.message)]
    Api(Box<ApiError>),
    /// A good status with something that is not Stripe's JSON, or not of the documented shape.
    #[error("Stripe's answer could not be read: {reason}")]
    Unreadable {
        /// What was wrong with it. Quotes nothing of it.
        reason: String,
    },
    /// What answered is not Stripe: a redirect, an address that it does not know, a web page.
    #[error("Stripe does not answer at this address: {answer}")]
    NotStripe {
        /// What came instead.
        answer: String,
    },
}

impl StripeError {
    pub(super) fn misread(error: &serde_json::Error) -> Self {
        // serde_json's own message quotes what it met, which is customers' data.
        let problem = match error.classify() {
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => "it is not JSON",
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Data => "it has another shape",
        };
        Self::Unreadable { reason: format!("{problem}, at line {} column {}", error.line(), error.column()) }
    }
}
