//! Runs a piece of work again and again, one at a time, for years.
//!
//! [`When`] says when a run is due, [`run`] waits for it, starts it, and decides what comes after it: the next time of the
//! schedule, or sooner or later after a failure. It knows nothing of what a run is; it is handed in, with the time.
//! [`Metrics`] and [`Notifier`] tell others how it goes.

mod metrics;
mod notify;
mod runner;
mod serve;
mod when;

pub use metrics::Metrics;
pub use notify::{News, Notifier, NotifyError, NotifySettings};
pub use runner::{Backoff, End, Happened, Outcome, Settings, Watcher, run};
pub use serve::serve;
pub use when::{INTERVAL_MIN, When, WhenError};
