//! The integration tests, as one binary: one link, one run.

mod bench_tools;
mod databases;
mod layering;
mod sql;
