//! Whole runs against the embedded API, in process and in virtual time.

mod data;
mod ledger;
mod rerun;
mod wire;
mod world;
