//! A transport that is looked at: how long each answer took, what it said of the time, and how an error came.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::transport::{HttpAnswer, RequestBody, Transport, TransportError};
use crate::clock::Clock;

/// Most exchanges that are kept; later ones are carried and not kept.
const EXCHANGES_MAX: usize = 1000;

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The operation's name.
    pub operation: &'static str,
    /// From sending to the end of the answer.
    pub took: Duration,
    /// When it was sent, by this machine's clock.
    pub sent_at: Timestamp,
    /// When it was answered, by this machine's clock.
    pub answered_at: Timestamp,
    /// When it was answered, by the server's clock, which says whole seconds.
    pub date: Option<Timestamp>,
    /// The HTTP status.
    pub status: u16,
    /// The code of the first error in the answer, as it was spelled.
    pub code: Option<String>,
}

/// Carries requests over another transport, and keeps what was seen of each.
pub struct Watched {
    inner: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    seen: Mutex<Vec<Exchange>>,
}

impl Watched {
    /// Watches `inner` by `clock`.
    pub fn new(inner: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, clock, seen: Mutex::default() }
    }

    /// What was answered so far, in the order of the answers.
    pub fn seen(&self) -> Vec<Exchange> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn watch(&self, operation: &'static str, body: RequestBody) -> Result<HttpAnswer, TransportError> {
        let (began, sent_at) = (Instant::now(), self.clock.now());
        let answer = self.inner.post(operation, body).await?;
        let exchange = Exchange {
            operation,
            took: began.elapsed(),
            sent_at,
            answered_at: self.clock.now(),
            date: answer.date,
            status: answer.status,
            code: first_code(&answer.body),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < EXCHANGES_MAX {
            seen.push(exchange);
        }
        drop(seen);
        Ok(answer)
    }
}

impl Transport for Watched {
    fn post(&self, operation: &'static str, body: RequestBody) -> BoxFuture<'_, Result<HttpAnswer, TransportError>> {
        Box::pin(self.watch(operation, body))
    }
}

/// The code of the first error. An answer without errors is not read to its end.
fn first_code(body: &[u8]) -> Option<String> {
    memchr::memmem::find(body, b"\"errors\"")?;
    let answer: Value = serde_json::from_slice(body).ok()?;
    let code = answer.get("errors")?.get(0)?.get("extensions")?.get("code")?.as_str()?;
    let is_code =
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_code.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;

    struct Slow;

    impl Transport for Slow {
        fn post(&self, _: &'static str, body: RequestBody) -> BoxFuture<'_, Result<HttpAnswer, TransportError>> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(30)).await;
                let date = "2026-01-01T00:00:05Z".parse().ok();
                Ok(HttpAnswer { status: 400, retry_after: None, date, body: body.into_bytes() })
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_has_its_time_its_date_its_status_and_its_code() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let watched = Watched::new(Arc::new(Slow), Arc::new(FixedClock::at(now)));
        let body = br#"{"data":null,"errors":[{"message":"m","extensions":{"code":"BAD_USER_INPUT"}}]}"#;

        watched.post("Customers", body.to_vec().into()).await.unwrap();

        let expected = Exchange {
            operation: "Customers",
            took: Duration::from_millis(30),
            sent_at: now,
            answered_at: now,
            date: "2026-01-01T00:00:05Z".parse().ok(),
            status: 400,
            code: Some("BAD_USER_INPUT".to_owned()),
        };
        assert_eq!(watched.seen(), [expected]);
    }

    #[test]
    fn what_is_no_code_is_none() {
        let of = |code: &str| first_code(format!(r#"{{"errors":[{{"extensions":{{"code":"{code}"}}}}]}}"#).as_bytes());
        assert_eq!(of("PlanNotFound").as_deref(), Some("PlanNotFound"));
        assert_eq!(of("ada@example.com"), None, "what may be a person's is not kept");
        assert_eq!(first_code(b"{\"data\":1}"), None);
    }
}
