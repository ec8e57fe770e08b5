//! The GraphQL schema: the part of the API's that an import and its proof use, name by name and type by type.

mod catalog_query;
mod entitlements;
pub(crate) mod enums;
mod environment_query;
pub(crate) mod filters;
pub(crate) mod inputs;
mod lists;
pub(crate) mod mutation;
pub(crate) mod objects;
pub(crate) mod query;
pub(crate) mod scalars;
pub(crate) mod terms;
pub(crate) mod view;

use async_graphql::{EmptySubscription, Schema};

use self::mutation::Mutation;
use self::query::Query;

/// The schema.
pub(crate) type ApiSchema = Schema<Query, Mutation, EmptySubscription>;
