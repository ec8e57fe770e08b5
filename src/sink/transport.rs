//! One request over HTTP, sent once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

use crate::clock::{Clock, SystemClock};
use crate::http::{Client, ClientSettings, Endpoint, date, key_header, retry_after};
pub use crate::http::{HttpSetupError, RequestBody, Sent, TransportError};

/// An answer, whatever its status.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The pause that it asked for, at most [`RETRY_AFTER_MAX`](crate::http::RETRY_AFTER_MAX).
    pub retry_after: Option<Duration>,
    /// When it was made, by the server's clock, in whole seconds; where it says so.
    pub date: Option<Timestamp>,
    /// The whole body.
    pub body: Bytes,
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body is customers' data.
        write!(f, "HttpAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Carries one request to the API and its answer back. It never repeats a request.
pub trait Transport: Send + Sync {
    /// Posts a GraphQL request body. `operation` is the operation's name, for the header. Dropping the future leaves
    /// it open whether the request was received.
    fn post(&self, operation: &'static str, body: RequestBody) -> BoxFuture<'_, Result<HttpAnswer, TransportError>>;
}

/// How the API is reached.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Its address.
    pub endpoint: Endpoint,
    /// The key.
    pub key: SecretString,
    /// Longest time for one request with its answer. Default 60 s: the vendor's TypeScript client (2026) waits as
    /// long, the others 30 s, and a request with 1000 rows takes longer than most.
    pub timeout: Duration,
    /// Longest time to connect. Default 10 s.
    pub connect_timeout: Duration,
    /// Largest answer, in bytes. Default 32 MiB.
    pub answer_bytes_max: usize,
}

impl HttpSettings {
    /// Default of [`Self::timeout`].
    pub const TIMEOUT: Duration = Duration::from_secs(60);
    /// Default of [`Self::connect_timeout`].
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    /// Default of [`Self::answer_bytes_max`].
    pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

    /// The defaults.
    pub fn new(endpoint: Endpoint, key: SecretString) -> Self {
        Self {
            endpoint,
            key,
            timeout: Self::TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
            answer_bytes_max: Self::ANSWER_BYTES_MAX,
        }
    }
}

/// The API over HTTP.
pub struct HttpTransport {
    client: Client,
    clock: Arc<dyn Clock>,
}

const OPERATION_NAME: HeaderName = HeaderName::from_static("x-graphql-operation-name");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

impl HttpTransport {
    /// Makes a transport; see [`Client::new`].
    ///
    /// # Errors
    ///
    /// [`HttpSetupError`].
    pub fn new(settings: HttpSettings) -> Result<Self, HttpSetupError> {
        let HttpSettings { endpoint, key, timeout, connect_timeout, answer_bytes_max } = settings;
        let headers = HeaderMap::from_iter([
            (API_KEY, key_header("", &key)?),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let client = Client::new(ClientSettings { endpoint, headers, timeout, connect_timeout, answer_bytes_max })?;
        Ok(Self { client, clock: Arc::new(SystemClock) })
    }

    /// The same with another clock, against which a `Retry-After` date counts where the answer has no `Date`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The address, which prints without secrets.
    pub fn endpoint(&self) -> &Endpoint {
        self.client.endpoint()
    }

    async fn send(&self, operation: &'static str, body: RequestBody) -> Result<HttpAnswer, TransportError> {
        let request = self
            .client
            .request(Method::POST, self.endpoint().url().clone())
            .header(OPERATION_NAME, HeaderValue::from_static(operation))
            .body(reqwest::Body::wrap(body));
        let answer = self.client.send(request).await?;
        let retry_after = retry_after(&answer.headers, &*self.clock);
        Ok(HttpAnswer { status: answer.status, retry_after, date: date(&answer.headers), body: answer.body })
    }
}

impl Transport for HttpTransport {
    fn post(&self, operation: &'static str, body: RequestBody) -> BoxFuture<'_, Result<HttpAnswer, TransportError>> {
        Box::pin(self.send(operation, body))
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpTransport({})", self.endpoint())
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
