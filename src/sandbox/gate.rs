//! What happens to a request before and after GraphQL: body, key, aliases, rate limit, faults, status and headers.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType, Selection, SelectionSet};
use async_graphql::{Request as GraphQlRequest, Response, ServerError, Value};
use tokio::time::Instant;

use super::environment::{Environment, lock};
use super::error::{Code, Refusal, screaming};
use super::faults::FaultKind;
use super::limits::{Operation, by_root_field};
use super::unknowns::{CodeSpelling, ErrorStatus, RateLimitStatus, RetryHeader};
use super::wire::ApiSchema;
use super::wire::mutation::Caller;
use super::wire::scalars::Uuid;
use super::{Reply, Request};

/// The one alias of the official clients (contract 3.4).
const OFFICIAL_ALIAS: (&str, &str) = ("provisionSubscription", "provisionSubscriptionV2");

/// A request that was understood so far.
struct Call {
    graphql: GraphQlRequest,
    writes: bool,
    root_fields: Vec<String>,
    operation_name: Option<String>,
}

impl Call {
    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.root_fields.iter().map(String::as_str).chain(self.operation_name.as_deref())
    }

    fn operations(&self) -> impl Iterator<Item = &'static Operation> + '_ {
        self.root_fields.iter().filter_map(|name| by_root_field(name))
    }
}

/// Answers one request.
pub(crate) async fn answer(environment: &Arc<Environment>, schema: &ApiSchema, request: Request) -> Reply {
    let now = Instant::now();
    lock(&environment.counters).requests += 1;
    let call = read(environment, &request);
    if let Ok(call) = &call {
        let mut counters = lock(&environment.counters);
        call.operations().for_each(|operation| counters.request(operation.root_field, now));
    }
    let header_name = request.operation.as_deref();
    let names: Vec<&str> = call.as_ref().map_or_else(|_| Vec::new(), |call| call.names().collect());
    let fault = lock(&environment.faults).next(names.into_iter().chain(header_name));
    if let Some((kind, _)) = fault {
        *lock(&environment.counters).faults.entry(kind.name()).or_default() += 1;
    }
    let latency = environment.next_latency();
    let reply = match fault {
        Some((kind, delay)) if !kind.work_is_done() => undone(environment, kind, delay),
        fault => {
            let reply = match (check_key(environment, &request), call) {
                (Err(refusal), _) | (Ok(_), Err(refusal)) => refused(environment, &refusal),
                (Ok(key), Ok(call)) => work(environment, schema, call, key, now).await,
            };
            done(environment, fault, reply).await
        }
    };
    match &reply {
        Reply::Answer { .. } | Reply::Truncated { .. } if !latency.is_zero() => tokio::time::sleep(latency).await,
        Reply::Answer { .. } | Reply::Truncated { .. } | Reply::Reset | Reply::Silent => {}
    }
    reply
}

/// Reads the body, and looks at its document.
fn read(environment: &Environment, request: &Request) -> Result<Call, Refusal> {
    if request.body.len() > environment.body_bytes_max {
        return Err(Refusal::new(Code::BadUserInput, "request entity too large"));
    }
    if request.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let message = "batched operations are not allowed";
        return Err(Refusal::new(Code::GraphQLBatchedOperationsLimitExceeded, message));
    }
    let bad = |message: String| Refusal::new(Code::BadUserInput, message);
    let mut graphql: GraphQlRequest = serde_json::from_slice(&request.body)
        .map_err(|error| bad(format!("the body is not a GraphQL request: {error}")))?;
    let document =
        async_graphql::parser::parse_query(&graphql.query).map_err(|error| bad(format!("Syntax Error: {error}")))?;
    let operation_name = graphql.operation_name.clone().or_else(|| match &document.operations {
        DocumentOperations::Single(_) => None,
        DocumentOperations::Multiple(list) if list.len() == 1 => list.keys().next().map(ToString::to_string),
        DocumentOperations::Multiple(_) => None,
    });
    check_aliases(&document)?;
    let (root_fields, writes) = root_fields(&document, operation_name.as_deref());
    graphql.set_parsed_query(document);
    Ok(Call { graphql, writes, root_fields, operation_name })
}

/// No alias but the official one, no directive but `@skip` and `@include` (contract 11).
fn check_aliases(document: &ExecutableDocument) -> Result<(), Refusal> {
    let mut open: Vec<&SelectionSet> =
        document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node).collect();
    open.extend(document.fragments.values().map(|fragment| &fragment.node.selection_set.node));
    while let Some(set) = open.pop() {
        for item in &set.items {
            let known = |name: &str| name == "skip" || name == "include";
            if item.node.directives().iter().any(|directive| !known(&directive.node.name.node)) {
                return Err(Refusal::new(Code::GraphQLUnsupportedDirective, "this directive is not supported"));
            }
            match &item.node {
                Selection::Field(field) => {
                    let alias = field.node.alias.as_ref().map(|alias| alias.node.as_str());
                    let name = field.node.name.node.as_str();
                    if alias.is_some_and(|alias| alias != name && (alias, name) != OFFICIAL_ALIAS) {
                        return Err(Refusal::new(Code::GraphQLAliasesLimitExceeded, "aliases are not allowed"));
                    }
                    open.push(&field.node.selection_set.node);
                }
                Selection::InlineFragment(fragment) => open.push(&fragment.node.selection_set.node),
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    Ok(())
}

/// The root fields of the operation that is asked for, and whether it writes.
fn root_fields(document: &ExecutableDocument, operation_name: Option<&str>) -> (Vec<String>, bool) {
    let operation = match &document.operations {
        DocumentOperations::Single(operation) => Some(operation),
        DocumentOperations::Multiple(list) => operation_name.and_then(|name| list.get(name)),
    };
    let Some(operation) = operation else { return (Vec::new(), false) };
    let (mut names, mut seen) = (Vec::new(), Vec::new());
    let mut open = vec![&operation.node.selection_set.node];
    while let Some(set) = open.pop() {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => names.push(field.node.name.node.to_string()),
                Selection::InlineFragment(fragment) => open.push(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    // A fragment that spreads itself is refused later, by validation; here it must only end.
                    if !seen.contains(&name) {
                        seen.push(name);
                        open.extend(document.fragments.get(name).map(|fragment| &fragment.node.selection_set.node));
                    }
                }
            }
        }
    }
    (names, operation.node.ty == OperationType::Mutation)
}

/// The request's key, if it is one of this environment.
fn check_key<'a>(environment: &Environment, request: &'a Request) -> Result<&'a str, Refusal> {
    let key = request.api_key.as_deref().unwrap_or_default();
    let known = if environment.keys.is_empty() { !key.is_empty() } else { environment.keys.iter().any(|k| k == key) };
    if known { Ok(key) } else { Err(Refusal::new(Code::Unauthenticated, "Unauthenticated")) }
}

/// Checks the rate, and runs the operation.
async fn work(environment: &Arc<Environment>, schema: &ApiSchema, call: Call, key: &str, now: Instant) -> Reply {
    if call.writes && key.starts_with("client-") {
        let message = "a publishable key can't write";
        return refused(environment, &Refusal::new(Code::IdentityForbidden, message));
    }
    let root_fields: Vec<&'static str> = call.operations().map(|operation| operation.root_field).collect();
    for name in &root_fields {
        let taken = lock(&environment.limits).take(key, name, call.operation_name.as_deref(), now);
        if let Err(wait) = taken {
            root_fields.iter().for_each(|name| lock(&environment.counters).of(name).rate_limited += 1);
            return refused(environment, &Refusal::too_many_requests(wait));
        }
    }
    let graphql = call.graphql.data(Arc::clone(environment)).data(Caller { key: key.to_owned() });
    let response = schema.execute(graphql).await;
    let limited = response.errors.iter().any(|error| code_of(error) == Some(Code::RateLimitExceeded.as_str()));
    if !response.errors.is_empty() {
        let mut counters = lock(&environment.counters);
        for name in root_fields {
            let stats = counters.of(name);
            if limited { stats.rate_limited += 1 } else { stats.refused += 1 }
        }
    }
    encoded(environment, response)
}

fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

/// An answer with one error and no data.
fn refused(environment: &Environment, refusal: &Refusal) -> Reply {
    let error = async_graphql::Error::from(refusal.clone()).into_server_error(async_graphql::Pos::default());
    encoded(environment, Response::from_errors(vec![ServerError { locations: Vec::new(), ..error }]))
}

/// Spells the codes, adds the trace, and finds the status.
fn encoded(environment: &Environment, mut response: Response) -> Reply {
    let mut status = 200;
    let mut retry_after = None;
    for (index, error) in response.errors.iter_mut().enumerate() {
        // An error of GraphQL itself (an unknown field, a wrong type) comes without a code.
        let code = code_of(error).unwrap_or(Code::BadUserInput.as_str()).to_owned();
        if let Some(refusal) = error.source::<Refusal>() {
            retry_after = retry_after.max(refusal.retry_after);
        }
        let this_status = if code == Code::RateLimitExceeded.as_str() {
            match environment.unknowns.rate_limit_status {
                RateLimitStatus::TooMany => 429,
                RateLimitStatus::Ok => 200,
            }
        } else if code == Code::Unauthenticated.as_str() {
            401
        } else if code == Code::UnexpectedError.as_str() {
            500
        } else {
            match environment.unknowns.error_status {
                ErrorStatus::Ok => 200,
                ErrorStatus::BadRequest => 400,
            }
        };
        status = status.max(this_status);
        let spelled = match environment.unknowns.code_spelling {
            CodeSpelling::Pascal => code.clone(),
            CodeSpelling::Screaming => screaming(&code),
        };
        let more = error.extensions.get_or_insert_default();
        more.set("code", spelled);
        more.set("traceId", Uuid::of("trace", &format!("{index} {code} {}", error.message)).0);
        if more.get("isValidationError").is_none() {
            more.set("isValidationError", true);
        }
    }
    let mut headers = vec![(String::from("content-type"), String::from("application/json; charset=utf-8"))];
    if let Some(wait) = retry_after {
        headers.extend(retry_header(environment.unknowns.retry_header, wait));
    }
    match serde_json::to_vec(&response) {
        Ok(body) => Reply::Answer { status, headers, body },
        Err(_) => Reply::Answer { status: 500, headers, body: Vec::new() },
    }
}

fn retry_header(kind: RetryHeader, wait: Duration) -> Option<(String, String)> {
    match kind {
        RetryHeader::Absent => None,
        // Rounded up: whoever comes at that time is not early.
        RetryHeader::RetryAfter => {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Some((String::from("retry-after"), seconds.to_string()))
        }
        RetryHeader::RetryAfterMs => {
            Some((String::from("retry-after-ms"), wait.as_nanos().div_ceil(1_000_000).to_string()))
        }
    }
}

fn server_error(environment: &Environment) -> Reply {
    refused(environment, &Refusal::new(Code::UnexpectedError, "Internal server error"))
}

/// As a proxy in front of the API answers.
fn bad_gateway() -> Reply {
    Reply::Answer {
        status: 502,
        headers: vec![(String::from("content-type"), String::from("text/html"))],
        body: b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>\
            </center>\r\n</body>\r\n</html>\r\n"
            .to_vec(),
    }
}

/// What a fault answers when nothing was done.
fn undone(environment: &Environment, kind: FaultKind, delay: Duration) -> Reply {
    match kind {
        FaultKind::RateLimited => refused(environment, &Refusal::too_many_requests(delay)),
        FaultKind::ServerErrorBefore => server_error(environment),
        FaultKind::ResetBefore => Reply::Reset,
        FaultKind::Silent => Reply::Silent,
        FaultKind::BadGateway => bad_gateway(),
        FaultKind::Unauthenticated => refused(environment, &Refusal::new(Code::Unauthenticated, "Unauthenticated")),
        FaultKind::ServerErrorAfter
        | FaultKind::LostAnswer
        | FaultKind::Slow
        | FaultKind::Truncated
        | FaultKind::SilentAfter
        | FaultKind::BadGatewayAfter
        | FaultKind::NotJson => server_error(environment),
    }
}

/// What becomes of the answer when the work was done.
async fn done(environment: &Environment, fault: Option<(FaultKind, Duration)>, reply: Reply) -> Reply {
    let Some((kind, delay)) = fault else { return reply };
    match kind {
        FaultKind::ServerErrorAfter => server_error(environment),
        FaultKind::LostAnswer => Reply::Reset,
        FaultKind::Slow => {
            tokio::time::sleep(delay).await;
            reply
        }
        FaultKind::Truncated => match reply {
            Reply::Answer { status, mut headers, mut body } => {
                headers.push((String::from("content-length"), body.len().to_string()));
                body.truncate(body.len() / 2);
                Reply::Truncated { status, headers, body }
            }
            other @ (Reply::Reset | Reply::Truncated { .. } | Reply::Silent) => other,
        },
        FaultKind::SilentAfter => Reply::Silent,
        FaultKind::BadGatewayAfter => bad_gateway(),
        FaultKind::NotJson => Reply::Answer {
            status: 200,
            headers: vec![(String::from("content-type"), String::from("application/json; charset=utf-8"))],
            body: b"upstream connect error or disconnect before headers".to_vec(),
        },
        FaultKind::RateLimited
        | FaultKind::ServerErrorBefore
        | FaultKind::ResetBefore
        | FaultKind::Silent
        | FaultKind::BadGateway
        | FaultKind::Unauthenticated => reply,
    }
}
