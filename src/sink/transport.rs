//! One request over HTTP, sent once.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use secrecy::{ExposeSecret, SecretString};

use super::endpoint::Endpoint;
use super::error::RETRY_AFTER_MAX;
use crate::clock::{Clock, SystemClock};

/// An answer, whatever its status.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The pause that it asked for, at most [`RETRY_AFTER_MAX`].
    pub retry_after: Option<Duration>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body is customers' data.
        write!(f, "HttpAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Whether a request that failed may have reached the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It has not left: no address, no connection, no TLS.
    No,
    /// It may have.
    Maybe,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
pub struct TransportError {
    /// Whether the request may have been received.
    pub sent: Sent,
    /// What happened. Holds neither the key nor the address's secrets.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Carries one request to the API and its answer back. It never repeats a request.
pub trait Transport: Send + Sync {
    /// Posts a GraphQL request body. `operation` is the operation's name, for the header. Dropping the future leaves
    /// it open whether the request was received.
    fn post(&self, operation: &'static str, body: Vec<u8>) -> BoxFuture<'_, Result<HttpAnswer, TransportError>>;
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

/// Why no transport could be made. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The key is empty, or has characters that no header takes (a line break, most often).
    #[error("the key is empty or has characters that a key can't have")]
    Key,
    /// This machine's root certificates could not be loaded, so that no server could be trusted.
    #[error("no root certificates to check the API's with (package `ca-certificates`, or SSL_CERT_FILE)")]
    Roots(#[source] rustls::Error),
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
}

/// HTTP/1.1 through `reqwest`: no redirects, no retries, answers bounded.
pub struct HttpTransport {
    client: reqwest::Client,
    endpoint: Endpoint,
    answer_bytes_max: usize,
    clock: Arc<dyn Clock>,
}

const OPERATION_NAME: HeaderName = HeaderName::from_static("x-graphql-operation-name");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// How long an unused connection is kept. Shorter than the minute after which common gateways close theirs, so that
/// few requests run into a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

impl HttpTransport {
    /// Makes a transport. Nothing is sent; root certificates are read only where the address needs them.
    ///
    /// Proxies are taken from the environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) for TLS only: they see an
    /// encrypted tunnel, never the key. To this machine none is used.
    ///
    /// # Errors
    ///
    /// [`HttpSetupError`].
    pub fn new(settings: HttpSettings) -> Result<Self, HttpSetupError> {
        let HttpSettings { endpoint, key, timeout, connect_timeout, answer_bytes_max } = settings;
        let mut builder = reqwest::Client::builder()
            .default_headers(headers(&key)?)
            .tls_backend_preconfigured(tls(&endpoint)?)
            .https_only(endpoint.is_encrypted())
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .timeout(timeout)
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true);
        if endpoint.is_loopback() {
            // Whatever a resolver says: `localhost` is this machine, or the key would leave it in the clear.
            let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            builder = builder.no_proxy().resolve_to_addrs("localhost", &here.map(|ip| SocketAddr::new(ip, 0)));
        }
        let client = builder.build().map_err(|error| HttpSetupError::Client(error.without_url()))?;
        Ok(Self { client, endpoint, answer_bytes_max, clock: Arc::new(SystemClock) })
    }

    /// The same with another clock, against which a `Retry-After` date counts where the answer has no `Date`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The address, which prints without secrets.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn send(&self, operation: &'static str, body: Vec<u8>) -> Result<HttpAnswer, TransportError> {
        let request = self
            .client
            .post(self.endpoint.url().clone())
            .header(OPERATION_NAME, HeaderValue::from_static(operation))
            .body(body);
        let mut response = request.send().await.map_err(of_reqwest)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), &*self.clock);
        let limit = self.answer_bytes_max;
        let too_large = || TransportError { sent: Sent::Maybe, source: Box::new(AnswerTooLarge { bytes_max: limit }) };
        if response.content_length().is_some_and(|bytes| bytes > limit as u64) {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(response.content_length().unwrap_or(0) as usize);
        while let Some(chunk) = response.chunk().await.map_err(of_reqwest)? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { status, retry_after, body })
    }
}

impl Transport for HttpTransport {
    fn post(&self, operation: &'static str, body: Vec<u8>) -> BoxFuture<'_, Result<HttpAnswer, TransportError>> {
        Box::pin(self.send(operation, body))
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpTransport({})", self.endpoint)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is larger than {bytes_max} bytes")]
struct AnswerTooLarge {
    bytes_max: usize,
}

fn of_reqwest(error: reqwest::Error) -> TransportError {
    // `is_connect` holds for addresses, connections and TLS; a connect timeout is one of them. Everything later,
    // the timeout of the whole request included, may have reached the API.
    let sent = if error.is_connect() || error.is_builder() { Sent::No } else { Sent::Maybe };
    TransportError { sent, source: Box::new(error.without_url()) }
}

fn headers(key: &SecretString) -> Result<HeaderMap, HttpSetupError> {
    let text = key.expose_secret().trim();
    let mut key = HeaderValue::from_str(text).map_err(|_| HttpSetupError::Key)?;
    if text.is_empty() {
        return Err(HttpSetupError::Key);
    }
    key.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (API_KEY, key),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (reqwest::header::ACCEPT, HeaderValue::from_static("application/json")),
        (USER_AGENT, HeaderValue::from_static(concat!("stigg-import/", env!("CARGO_PKG_VERSION")))),
    ]))
}

/// TLS by the ring provider with the platform's roots, without touching the process-wide default provider: a program
/// that uses the library may have its own.
fn tls(endpoint: &Endpoint) -> Result<rustls::ClientConfig, HttpSetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(HttpSetupError::Tls)?;
    if !endpoint.is_encrypted() {
        // Never used; so a machine without certificates still reaches its own sandbox.
        return Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
    }
    let verifier = rustls_platform_verifier::Verifier::new(provider).map_err(HttpSetupError::Roots)?;
    // "Dangerous" is any verifier that rustls did not make itself; this one is its own project's.
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// The pause that an answer asks for: `retry-after-ms`, or `retry-after` in seconds or as a date.
fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str, unit_s: f64| {
        let seconds = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)? * unit_s;
        Some(Duration::from_secs_f64(seconds.min(RETRY_AFTER_MAX.as_secs_f64())))
    };
    if let Some(pause) = text(RETRY_AFTER_MS).and_then(|text| number(text, 0.001)) {
        return Some(pause);
    }
    let after = text(RETRY_AFTER)?;
    number(after, 1.0).or_else(|| {
        let until = http_date(after)?;
        // By the server's own clock where it says it: ours may be off by more than the pause.
        let now = text(DATE).and_then(http_date).unwrap_or_else(|| clock.now());
        let pause = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
        Some(pause.min(RETRY_AFTER_MAX))
    })
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
