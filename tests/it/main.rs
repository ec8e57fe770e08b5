//! The integration tests, as one binary: one link, one run.

mod bench_tools;
mod cli;
mod databases;
mod kill;
mod layering;
mod pipeline;
mod program;
mod samples;
mod sql;
