//! The integration tests, as one binary: one link, one run.
//!
//! They print what a failure needs to be run again (seeds), so printing is allowed here.
#![allow(clippy::print_stderr)]

mod bench_tools;
mod cli;
mod databases;
mod fuzz;
mod import_sql;
mod kill;
mod layering;
mod mapping_reference;
mod pipeline;
mod program;
mod provisioning;
mod relay;
mod samples;
mod shipped;
mod sql;
mod stripe;
