//! Reads an answer: data, or what is true without any.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::code::{Class, ErrorCode};
use super::error::{MESSAGE_CHARS_MAX, Named, SinkError, UnknownCause, bounded};
use super::message::without_values;
use super::transport::{HttpAnswer, Sent, TransportError};

/// The `data` of an answer without errors.
///
/// # Errors
///
/// [`SinkError`] for everything else. Errors beside partial data are never success.
pub(super) fn data(answer: &HttpAnswer) -> Result<&RawValue, SinkError> {
    let HttpAnswer { status, retry_after, body, .. } = answer;
    // These four say all there is to know, whatever the body.
    match status {
        429 => return Err(SinkError::Throttled { retry_after: *retry_after }),
        413 => return Err(SinkError::TooLarge),
        300..=399 => return Err(SinkError::NotTheApi { answer: format!("status {status}") }),
        401 => return Err(SinkError::Unauthorized { message: first_message(body, "status 401") }),
        _ => {}
    }
    let envelope = match serde_json::from_slice::<Envelope<'_>>(body) {
        Ok(envelope) => envelope,
        Err(error) => return Err(without_graphql(*status, *retry_after, body, &misread("the body", &error))),
    };
    match envelope.errors {
        Some(errors) if !errors.is_empty() => Err(of_errors(&errors, *status, *retry_after)),
        _ => match envelope.data {
            Some(data) if data.get() != "null" && (200..300).contains(status) => Ok(data),
            Some(_) if (200..300).contains(status) => Err(SinkError::unreadable("neither data nor errors")),
            _ => Err(without_graphql(*status, *retry_after, body, "neither data nor errors")),
        },
    }
}

/// Where JSON could not be read. serde_json's own message quotes what it met, which is customers' data.
pub(super) fn misread(what: &str, error: &serde_json::Error) -> String {
    let problem = match error.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "is not JSON",
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Data => "has another shape",
    };
    format!("{what} {problem}, at line {} column {}", error.line(), error.column())
}

/// What a request that has no answer means.
pub(super) fn of_transport(error: TransportError) -> SinkError {
    match error.sent {
        Sent::No => SinkError::NotSent { source: error.source },
        Sent::Maybe => SinkError::Unknown { cause: UnknownCause::Lost(error.source), retry_after: None },
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    errors: Option<Vec<ApiError>>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    message: Value,
    #[serde(default)]
    path: Value,
    #[serde(default)]
    extensions: Value,
}

impl ApiError {
    fn code(&self) -> ErrorCode {
        self.extensions.get("code").and_then(Value::as_str).map_or(ErrorCode::Absent, ErrorCode::parse)
    }

    fn message(&self) -> String {
        let message = &without_values(self.message.as_str().unwrap_or("no message"));
        match self.extensions.get("traceId").and_then(Value::as_str) {
            // The vendor's support asks for it; it must survive the cut.
            Some(trace) => {
                let trace = bounded(trace, 64);
                let room = MESSAGE_CHARS_MAX - trace.chars().count() - " (trace )".len();
                format!("{} (trace {trace})", bounded(message, room))
            }
            None => bounded(message, MESSAGE_CHARS_MAX),
        }
    }
}

/// An answer that is not GraphQL's: a gateway's page, or REST's error object.
fn without_graphql(status: u16, retry_after: Option<Duration>, body: &[u8], reason: &str) -> SinkError {
    let rest = rest_error(body);
    if let Some((code, message)) = &rest
        && !matches!(code, ErrorCode::Absent | ErrorCode::Unrecognised(_))
        && !(200..300).contains(&status)
    {
        return of_code(code.clone(), message.clone(), Named::default(), retry_after);
    }
    let message = rest.map(|(_, message)| message).filter(|message| !message.is_empty());
    match status {
        200..=299 => match foreign(body) {
            Some(what) => SinkError::Unknown { cause: UnknownCause::Foreign { what }, retry_after },
            None => SinkError::unreadable(reason),
        },
        403 => SinkError::Forbidden {
            code: ErrorCode::AccessDeniedError,
            message: message.unwrap_or_else(|| "status 403".to_owned()),
        },
        // A web page is a gateway's or a firewall's, which did not let the request through.
        400 | 422 if body.trim_ascii().starts_with(b"<") => {
            SinkError::NotTheApi { answer: format!("status {status} and a web page") }
        }
        400 | 422 => SinkError::Malformed { message: message.unwrap_or_else(|| format!("status {status}")) },
        // Not even the request's arrival is certain: 408 and the like, and whatever is yet to be invented.
        ..=199 | 408 | 409 | 425 | 500.. => SinkError::Unknown { cause: UnknownCause::Status { status }, retry_after },
        300..=499 => SinkError::NotTheApi { answer: format!("status {status}") },
    }
}

/// What a good status came with, where that is not an answer of the API, nor one that broke off.
fn foreign(body: &[u8]) -> Option<&'static str> {
    let body = body.trim_ascii();
    match body.first() {
        None => return Some("an empty answer"),
        Some(b'<') => return Some("a web page"),
        Some(_) => {}
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) if object.contains_key("data") || object.contains_key("errors") => None,
        Ok(_) => Some("JSON of something else"),
        // Begun as the API begins, it may be the API's and damaged.
        Err(_) if body.starts_with(b"{") => None,
        Err(_) => Some("text that is not JSON"),
    }
}

/// `{message, code}` or `{"error": {code, message}}`, the two forms of REST errors.
fn rest_error(body: &[u8]) -> Option<(ErrorCode, String)> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let inner = value.get("error").filter(|error| error.is_object()).unwrap_or(&value);
    let text = |name| inner.get(name).and_then(Value::as_str);
    // Edge form: `{"error": "rate_limit_exceeded", "message": …}`.
    let code = text("code").or_else(|| text("error"));
    if code.is_none() && text("message").is_none() {
        return None;
    }
    Some((
        code.map_or(ErrorCode::Absent, ErrorCode::parse),
        bounded(&without_values(text("message").unwrap_or("")), MESSAGE_CHARS_MAX),
    ))
}

fn first_message(body: &[u8], otherwise: &str) -> String {
    if let Ok(Envelope { errors: Some(errors), .. }) = serde_json::from_slice(body)
        && let Some(first) = errors.first()
    {
        return first.message();
    }
    rest_error(body).map(|(_, message)| message).filter(|m| !m.is_empty()).unwrap_or_else(|| otherwise.to_owned())
}

/// The error that promises least decides, so that no promise is broken by one that stands beside it.
fn of_errors(errors: &[ApiError], status: u16, retry_after: Option<Duration>) -> SinkError {
    let rank = |error: &&ApiError| match error.code().class() {
        Class::Unauthenticated => 9,
        Class::Forbidden => 8,
        Class::Contention | Class::Server => 7,
        Class::WholeImport => 6,
        Class::Row => 5,
        Class::NotReady => 4,
        Class::Busy => 3,
        Class::Malformed => 2,
        Class::SlowDown => 1,
    };
    // `max_by_key` keeps the last of equals; the first is the one that people look for.
    let Some(worst) = errors.iter().rev().max_by_key(rank) else {
        return SinkError::unreadable("an empty list of errors");
    };
    let code = worst.code();
    let nameless = matches!(code, ErrorCode::Absent | ErrorCode::Unrecognised(_));
    if nameless && status >= 500 {
        let cause = UnknownCause::Api { code, message: worst.message() };
        return SinkError::Unknown { cause, retry_after };
    }
    if nameless && status == 403 {
        return SinkError::Forbidden { code, message: worst.message() };
    }
    let mut named = Named::default();
    for error in errors {
        collect_named(error, &mut named);
    }
    of_code(code, worst.message(), named, retry_after)
}

/// The error that a code stands for. One match, no wildcard.
pub(super) fn of_code(code: ErrorCode, message: String, named: Named, retry_after: Option<Duration>) -> SinkError {
    match code.class() {
        Class::Unauthenticated => SinkError::Unauthorized { message },
        Class::Forbidden => SinkError::Forbidden { code, message },
        Class::SlowDown => SinkError::Throttled { retry_after },
        Class::Busy => SinkError::Busy { message, retry_after },
        Class::Contention | Class::Server => {
            SinkError::Unknown { cause: UnknownCause::Api { code, message }, retry_after }
        }
        Class::Malformed => SinkError::Malformed { message: bounded(&format!("{code}: {message}"), MESSAGE_CHARS_MAX) },
        Class::WholeImport => SinkError::WholeImport { code, message, named },
        Class::NotReady => SinkError::NotReady { code, message, named },
        Class::Row => SinkError::Refused { code, message, named },
    }
}

/// Ids in the extensions, and positions in the path or in the message of a wrong variable
/// (`… at "input.usages[3].value"`, `input.usages.3.value`).
fn collect_named(error: &ApiError, named: &mut Named) {
    collect_ids(&error.extensions, named, 0);
    // Path `["reportUsageBulk", 3, …]`.
    if let Some(index) = error.path.as_array().and_then(|path| path.get(1)).and_then(Value::as_u64) {
        push_index(named, index);
    }
    if let Some(message) = error.message.as_str() {
        for list in ["input.customers", "input.subscriptions", "input.usages"] {
            for (at, _) in message.match_indices(list) {
                let rest = &message[at + list.len()..];
                let Some(rest) = rest.strip_prefix(['[', '.']) else { continue };
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                if let Ok(index) = rest[..digits].parse() {
                    push_index(named, index);
                }
            }
        }
    }
}

fn push_index(named: &mut Named, index: u64) {
    let Ok(index) = usize::try_from(index) else { return };
    if named.indices.len() < Named::EACH_MAX && !named.indices.contains(&index) {
        named.indices.push(index);
    }
}

fn collect_ids(value: &Value, named: &mut Named, depth: usize) {
    // Where in the extensions the ids stand is not documented; deeper than this nothing is looked for.
    const DEPTH_MAX: usize = 4;
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match key.as_str() {
                    "failedCustomerIds"
                    | "failedSubscriptionIds"
                    | "customerRefId"
                    | "customerId"
                    | "subscriptionId" => push_texts(&mut named.ids, value),
                    "failedBillingIds" | "billingId" => push_texts(&mut named.billing_ids, value),
                    _ => collect_ids(value, named, depth + 1),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect_ids(value, named, depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn push_texts(texts: &mut Vec<String>, value: &Value) {
    let mut push = |text: &str| {
        // An id has at most 255 characters; what is longer names nothing of ours.
        if texts.len() < Named::EACH_MAX && !text.is_empty() && text.len() <= 1024 && !texts.iter().any(|t| t == text) {
            texts.push(text.to_owned());
        }
    };
    match value {
        Value::String(text) => push(text),
        Value::Array(values) => values.iter().filter_map(Value::as_str).for_each(push),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> HttpAnswer {
        HttpAnswer { status, retry_after: None, date: None, body: body.to_owned().into() }
    }

    fn error(status: u16, body: &str) -> SinkError {
        data(&answer(status, body)).map(|data| data.get().to_owned()).expect_err("an error")
    }

    fn coded(code: &str) -> String {
        format!(r#"{{"errors":[{{"message":"m","extensions":{{"code":"{code}"}}}}],"data":null}}"#)
    }

    #[test]
    fn data_without_errors_is_success_and_nothing_else_is() {
        assert_eq!(data(&answer(200, r#"{"data":{"a":null}}"#)).unwrap().get(), r#"{"a":null}"#);
        assert_eq!(data(&answer(200, r#"{"data":{"a":1},"errors":[]}"#)).unwrap().get(), r#"{"a":1}"#);
        let partial = r#"{"data":{"a":1},"errors":[{"message":"m","extensions":{"code":"PlanNotFound"}}]}"#;
        assert!(matches!(error(200, partial), SinkError::Refused { code: ErrorCode::PlanNotFound, .. }));
        for body in
            ["", "<html>", "{}", "[]", r#"{"data":null}"#, r#"{"data":{"a":1}"#, "null", r#"{"errors":"x","data":{}}"#]
        {
            assert!(matches!(error(200, body), SinkError::Unknown { .. }), "{body}");
        }
        assert!(matches!(error(500, r#"{"data":{"a":1}}"#), SinkError::Unknown { .. }));
    }

    #[test]
    fn an_answer_that_is_not_the_apis_is_told_from_one_that_broke_off() {
        for body in
            ["", " <!doctype html><title>Sign in</title>", "<html>", "OK", "[]", "null", "7", "{}", r#"{"ok":true}"#]
        {
            let foreign = error(200, body);
            assert!(matches!(foreign, SinkError::Unknown { cause: UnknownCause::Foreign { .. }, .. }), "{body}");
            // A write may have been done behind it; where no write was sent yet, no API is there.
            assert!(matches!(foreign.disposition(), crate::sink::Disposition::ReadBack { .. }), "{body}");
            assert!(matches!(foreign.at_first_contact(), SinkError::NotTheApi { .. }), "{body}");
        }
        for body in [r#"{"data":null}"#, r#"{"data":{"a":1}"#, "{", r#"{"errors":"x","data":{}}"#] {
            let unreadable = error(200, body).at_first_contact();
            assert!(matches!(unreadable, SinkError::Unknown { cause: UnknownCause::Unreadable { .. }, .. }), "{body}");
        }
    }

    #[test]
    fn a_code_decides_over_the_status_where_the_api_speaks() {
        for status in [200, 400, 500] {
            assert!(matches!(error(status, &coded("PlanNotFound")), SinkError::Refused { .. }), "{status}");
            assert!(matches!(error(status, &coded("RATE_LIMIT_EXCEEDED")), SinkError::Throttled { .. }), "{status}");
            assert!(matches!(error(status, &coded("Unauthenticated")), SinkError::Unauthorized { .. }), "{status}");
            assert!(matches!(error(status, &coded("UnexpectedError")), SinkError::Unknown { .. }), "{status}");
            assert!(matches!(error(status, &coded("OperationTimeout")), SinkError::Unknown { .. }), "{status}");
            assert!(matches!(error(status, &coded("ImportAlreadyInProgress")), SinkError::Busy { .. }), "{status}");
            assert!(matches!(error(status, &coded("FailedToImportCustomer")), SinkError::WholeImport { .. }));
            assert!(matches!(error(status, &coded("NoActiveSubscriptionForCustomer")), SinkError::NotReady { .. }));
            assert!(matches!(error(status, &coded("GRAPHQL_VALIDATION_FAILED")), SinkError::Malformed { .. }));
        }
        assert!(matches!(error(200, &coded("Newfangled")), SinkError::Refused { .. }));
        assert!(matches!(error(502, &coded("Newfangled")), SinkError::Unknown { .. }));
    }

    #[test]
    fn a_status_decides_where_nobody_speaks_graphql() {
        let html = "<html><body>Bad Gateway</body></html>";
        for status in [500, 502, 503, 504, 408, 100] {
            assert!(matches!(error(status, html), SinkError::Unknown { .. }), "{status}");
        }
        for status in [301, 302, 307, 404, 405] {
            assert!(matches!(error(status, html), SinkError::NotTheApi { .. }), "{status}");
        }
        assert!(matches!(error(401, html), SinkError::Unauthorized { .. }));
        assert!(matches!(error(403, html), SinkError::Forbidden { .. }));
        assert!(matches!(error(413, html), SinkError::TooLarge));
        assert!(matches!(error(400, html), SinkError::NotTheApi { .. }));
        assert!(matches!(error(400, "no"), SinkError::Malformed { .. }));
        let throttled =
            HttpAnswer { status: 429, retry_after: Some(Duration::from_secs(3)), date: None, body: html.into() };
        assert!(matches!(
            data(&throttled).unwrap_err(),
            SinkError::Throttled { retry_after: Some(pause) } if pause == Duration::from_secs(3)
        ));
    }

    #[test]
    fn rest_error_bodies_are_understood() {
        assert!(matches!(error(403, r#"{"message":"m","code":"IdentityForbidden"}"#), SinkError::Forbidden { .. }));
        assert!(matches!(
            error(400, r#"{"error":{"code":"UNAUTHENTICATED","message":"m"}}"#),
            SinkError::Unauthorized { .. }
        ));
        assert!(matches!(error(400, r#"{"error":"rate_limit_exceeded","message":"m"}"#), SinkError::Throttled { .. }));
    }

    #[test]
    fn of_several_errors_the_one_that_promises_least_decides() {
        let both = r#"{"errors":[{"message":"row","extensions":{"code":"PlanNotFound"}},
            {"message":"server","extensions":{"code":"UnexpectedError"}}]}"#;
        assert!(matches!(error(200, both), SinkError::Unknown { .. }));
        let rows = r#"{"errors":[{"message":"first","extensions":{"code":"PlanNotFound"}},
            {"message":"second","extensions":{"code":"FeatureNotFound"}}]}"#;
        assert!(matches!(error(200, rows), SinkError::Refused { message, .. } if message == "first"));
    }

    #[test]
    fn what_the_api_named_is_collected_once_and_bounded() {
        let body = r#"{"errors":[{"message":"Variable \"$input\" got invalid value at \"input.usages[3].value\"; x",
            "path":["reportUsageBulk",7],
            "extensions":{"code":"FailedToImportCustomer","traceId":"t1",
                "exception":{"failedCustomerIds":["a","b","a"],"failedBillingIds":["cus_1"],"customerId":"c"}}}]}"#;
        let SinkError::WholeImport { named, message, .. } = error(200, body) else { panic!("of another class") };
        assert_eq!(named.ids, ["a", "b", "c"]);
        assert_eq!(named.billing_ids, ["cus_1"]);
        assert_eq!(named.indices, [7, 3]);
        assert!(message.ends_with("(trace t1)"), "{message}");

        let long = format!(r#"{{"errors":[{{"message":"{}","extensions":{{"traceId":"t1"}}}}]}}"#, "x".repeat(9000));
        let SinkError::Refused { message, .. } = error(200, &long) else { panic!("of another class") };
        assert_eq!(message.chars().count(), MESSAGE_CHARS_MAX);
    }

    #[test]
    fn odd_members_of_an_error_are_survived() {
        for body in [
            r#"{"errors":[{}]}"#,
            r#"{"errors":[{"message":3,"path":"x","extensions":[1]}]}"#,
            r#"{"errors":[{"message":null,"extensions":{"code":7}}]}"#,
        ] {
            assert!(matches!(error(200, body), SinkError::Refused { code: ErrorCode::Absent, .. }), "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(status in 0u16..1000, body in "\\PC*") {
            let _ = data(&answer(status, &body));
        }
    }
}
