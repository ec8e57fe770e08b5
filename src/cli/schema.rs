//! `schema`: JSON Schemas for editors.

use super::args::{Schema, SchemaOf};
use super::exit::Exit;
use super::out;

/// Prints one.
pub(super) fn main(args: &Schema) -> Exit {
    let schema = match args.of {
        SchemaOf::Mapping => crate::mapping::json_schema(),
        SchemaOf::Pipeline => crate::config::json_schema(),
    };
    out(&format!("{schema:#}\n"));
    Exit::Settled
}
