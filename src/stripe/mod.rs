//! Stripe's API as this program speaks it: keys, one paced request sent once, and what its answers say.
//!
//! Two rooms stand on it: `provider` (originals that are cancelled) and `source` (lists that are read).

mod client;
mod error;
mod key;
#[cfg(test)]
pub mod recorder;

pub use crate::http::{Endpoint, EndpointError};
pub use client::{CALLS_PER_SECOND, StripeClient, StripeSettings, VERSION};
pub use error::{ApiError, MESSAGE_CHARS_MAX, StripeError};
pub use key::{KeyProblem, LiveKeys, StripeKey};
