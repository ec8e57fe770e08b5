//! Whole runs against the embedded API, in process and in virtual time.

mod data;
mod deliver;
mod ledger;
mod rerun;
mod stop;
mod subscriptions;
mod usage;
mod wire;
mod world;
