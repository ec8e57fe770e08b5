//! Whole runs against the embedded API, in process and in virtual time.

mod budget;
mod changes;
mod data;
mod deliver;
mod events;
mod faults;
mod ledger;
mod many;
mod parts;
mod progress;
mod rerun;
mod scheduled;
mod selection;
mod stop;
mod subscriptions;
mod unknowns;
mod usage;
mod wire;
mod world;
