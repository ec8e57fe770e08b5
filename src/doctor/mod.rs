//! What a target is like, before anything is written to it: asked by reads alone ([`examine`]), or with a throw-away
//! customer in a non-production environment ([`probe`]), and remembered ([`Remembered`]).
//!
//! What is found is only found here; whoever shows it judges it.

mod answers;
mod examine;
mod probe;
#[cfg(test)]
mod tests;

pub use answers::{Answer, FILE, Question, Remembered, RememberedAnswers, RememberedError};
pub use examine::{Asking, ClockOff, Examination, Seen, clock_off, examine, median};
pub use probe::{ID_PREFIX, NOT_PROBED, Probed, probe};
