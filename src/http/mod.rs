//! HTTP as this program speaks it, to whichever server: TLS except to this machine, no redirects (a key would follow
//! them), no repeats that nobody asked for, bounded answers, and no key or address in what is printed.

mod answer_body;
mod client;
mod endpoint;
mod one_line;
mod request_body;
mod retry_after;

pub use client::{Answer, Client, ClientSettings, HttpSetupError, Sent, TransportError, key_header};
pub use endpoint::{Endpoint, EndpointError};
pub use one_line::one_line;
pub use request_body::RequestBody;
pub use retry_after::{RETRY_AFTER_MAX, date, retry_after};
