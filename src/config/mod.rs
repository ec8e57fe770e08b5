//! The pipeline file: which sources go through which mappings, in which order, to which target.

mod pipeline_file;
mod schema;

pub use pipeline_file::{ConfigError, PipelineFile, csv_options, input_of, load, parse, quote_of};
pub use schema::json_schema;
