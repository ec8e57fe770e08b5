//! The pipeline file: which sources go through which mappings, in which order, to which target.

mod notify;
mod pipeline_file;
mod schema;
mod source;
mod sql_source;
mod stripe_source;

pub use notify::{MissingVariable, NotifyWritten};
pub use pipeline_file::{ConfigError, PipelineFile, load, parse};
pub use schema::json_schema;
pub use source::{csv_options, input_of, quote_of};
pub use sql_source::{SqlFault, SqlWritten};
pub use stripe_source::{StripeFault, StripeWritten};
