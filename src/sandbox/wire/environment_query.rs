//! What can be read of the environment itself (contract 1).

use async_graphql::{Context, Object, Result};

use super::filters::CursorPaging;
use super::lists::{environment, page_info};
use super::objects::{Edge, EnvironmentConnection, EnvironmentObject};
use super::scalars::Uuid;
use crate::sandbox::environment::Environment;
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::store::page::{Among, Ask, cursor};
use crate::sandbox::unknowns::EnvironmentRead;

/// The part of the root that reads the environment.
#[derive(Default)]
pub(crate) struct EnvironmentQuery;

fn check_readable(environment: &Environment) -> std::result::Result<(), Refusal> {
    match environment.unknowns.environment_read {
        EnvironmentRead::Readable => Ok(()),
        EnvironmentRead::Refused => Err(Refusal::new(Code::IdentityForbidden, "this key can't read the environment")),
    }
}

#[Object]
impl EnvironmentQuery {
    async fn current_environment(&self, context: &Context<'_>) -> Result<String> {
        let environment = environment(context);
        check_readable(environment)?;
        Ok(environment.id.0.clone())
    }

    /// An environment knows no other.
    async fn environments(&self, context: &Context<'_>, paging: Option<CursorPaging>) -> Result<EnvironmentConnection> {
        let environment = environment(context);
        check_readable(environment)?;
        let ask = Ask::new(paging, true, environment.page_size_max)?;
        let page = Among::All(1).page(ask, |_| true);
        let edges = page.positions.iter().map(|position| Edge { cursor: cursor(*position), node: shown(environment) });
        Ok(EnvironmentConnection { page_info: page_info(&page), edges: edges.collect() })
    }
}

fn shown(environment: &Environment) -> EnvironmentObject {
    EnvironmentObject {
        display_name: environment.name.clone(),
        id: Uuid(environment.id.0.clone()),
        is_sandbox: false,
        slug: environment.name.to_lowercase().replace(' ', "-"),
        r#type: environment.environment_type,
    }
}
