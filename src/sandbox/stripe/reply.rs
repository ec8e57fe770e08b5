//! Answers as Stripe gives them, and as faults spoil them.

use std::time::Duration;

use super::access::VERSION;
use super::refusal::Refusal;
use crate::sandbox::Reply;
use crate::sandbox::faults::FaultKind;

/// What comes of a request whose work is not done.
pub(super) fn undone(kind: FaultKind, delay: Duration, number: usize) -> Reply {
    match kind {
        FaultKind::RateLimited => throttled(delay, number),
        FaultKind::Unauthenticated => {
            answer(&Refusal::key("Invalid API Key provided: sk_test_****".to_owned()).shown(), number)
        }
        FaultKind::Silent => Reply::Silent,
        FaultKind::ResetBefore => Reply::Reset,
        FaultKind::BadGateway => gateway(),
        FaultKind::ServerErrorBefore
        | FaultKind::ServerErrorAfter
        | FaultKind::LostAnswer
        | FaultKind::Slow
        | FaultKind::Truncated
        | FaultKind::SilentAfter
        | FaultKind::BadGatewayAfter
        | FaultKind::NotJson => answer(&Refusal::failed().shown(), number),
    }
}

/// What comes of a request whose work is done: `shown`, perhaps spoilt.
pub(super) async fn done(fault: Option<(FaultKind, Duration)>, shown: &(u16, Vec<u8>), number: usize) -> Reply {
    match fault {
        None => answer(shown, number),
        Some((FaultKind::LostAnswer, _)) => Reply::Reset,
        Some((FaultKind::SilentAfter, _)) => Reply::Silent,
        Some((FaultKind::BadGatewayAfter, _)) => gateway(),
        Some((FaultKind::NotJson, _)) => answer(&(200, b"OK".to_vec()), number),
        Some((FaultKind::Truncated, _)) => match answer(shown, number) {
            Reply::Answer { status, mut headers, body } => {
                headers.push(("content-length".to_owned(), body.len().to_string()));
                Reply::Truncated { status, headers, body: body[..body.len() / 2].to_vec() }
            }
            other => other,
        },
        Some((FaultKind::Slow, delay)) => {
            tokio::time::sleep(delay).await;
            answer(shown, number)
        }
        Some((
            FaultKind::ServerErrorAfter
            | FaultKind::RateLimited
            | FaultKind::ServerErrorBefore
            | FaultKind::ResetBefore
            | FaultKind::Silent
            | FaultKind::BadGateway
            | FaultKind::Unauthenticated,
            _,
        )) => answer(&Refusal::failed().shown(), number),
    }
}

fn answer((status, body): &(u16, Vec<u8>), number: usize) -> Reply {
    let headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("request-id".to_owned(), format!("req_{number}")),
        ("stripe-version".to_owned(), VERSION.to_owned()),
    ];
    Reply::Answer { status: *status, headers, body: body.clone() }
}

pub(super) fn throttled(pause: Duration, number: usize) -> Reply {
    match answer(&Refusal::rate().shown(), number) {
        Reply::Answer { status, mut headers, body } => {
            // Whole seconds, as HTTP has them; never too few.
            let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
            headers.push(("retry-after".to_owned(), seconds.to_string()));
            headers.push(("stripe-should-retry".to_owned(), "true".to_owned()));
            Reply::Answer { status, headers, body }
        }
        other => other,
    }
}

fn gateway() -> Reply {
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    Reply::Answer { status: 502, headers, body: b"<html><body>502 Bad Gateway</body></html>".to_vec() }
}
