//! The client: one request, sent once, and its whole answer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem::Finder;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};

use super::Endpoint;
use super::answer_body::{AnswerBody, AnswerTooLarge};

/// How a server is reached.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Its address.
    pub endpoint: Endpoint,
    /// Headers that go with every request; the ones that hold a key are marked as sensitive ([`key_header`]).
    pub headers: HeaderMap,
    /// Longest time for one request with its answer.
    pub timeout: Duration,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Largest answer, in bytes.
    pub answer_bytes_max: usize,
}

/// An answer, whatever its status.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body is customers' data.
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
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

/// Why no client could be made. Nothing was sent.
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
pub struct Client {
    client: reqwest::Client,
    endpoint: Endpoint,
    answer_bytes_max: usize,
    /// What the sensitive headers hold, prepared to be looked for in every answer.
    keys: Vec<Finder<'static>>,
}

/// Bytes below which a key is no key, but a word that an answer may well have.
const KEY_BYTES_MIN: usize = 8;

/// How long an unused connection is kept. Shorter than the minute after which common gateways close theirs, so that
/// few requests run into a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// Makes a client. Nothing is sent; root certificates are read only where the address needs them.
    ///
    /// Proxies are taken from the environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) for TLS only: they see an
    /// encrypted tunnel, never the key. To this machine none is used.
    ///
    /// # Errors
    ///
    /// [`HttpSetupError`].
    pub fn new(settings: ClientSettings) -> Result<Self, HttpSetupError> {
        let ClientSettings { endpoint, mut headers, timeout, connect_timeout, answer_bytes_max } = settings;
        let keys = keys(&headers);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("stigg-import/", env!("CARGO_PKG_VERSION"))));
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
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
        Ok(Self { client, endpoint, answer_bytes_max, keys })
    }

    /// The address, which prints without secrets.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Begins a request to `url`, which is the endpoint's or below it.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request once, and reads its answer to the end. A key of ours that the server says back, as in an error or in a
    /// page that shows the request, is `***` in it: whatever is kept or shown of an answer can't hold one.
    ///
    /// # Errors
    ///
    /// [`TransportError`], where there is no whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, TransportError> {
        let mut response = request.send().await.map_err(of_reqwest)?;
        let bytes_max = self.answer_bytes_max;
        let too_large = |error: AnswerTooLarge| TransportError { sent: Sent::Maybe, source: Box::new(error) };
        let bytes_said = response.content_length().unwrap_or(0);
        if bytes_said > bytes_max as u64 {
            return Err(too_large(AnswerTooLarge { bytes_max }));
        }
        let mut body = AnswerBody::default();
        // To the end, also when all that was said is there: a connection whose answer was not read to its end is not used again.
        while let Some(chunk) = response.chunk().await.map_err(of_reqwest)? {
            body.add(chunk, bytes_said as usize, bytes_max).map_err(too_large)?;
        }
        let body = self.keys.iter().fold(body.finish(), |body, key| without(body, key));
        Ok(Answer { status: response.status().as_u16(), headers: std::mem::take(response.headers_mut()), body })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.endpoint)
    }
}

fn of_reqwest(error: reqwest::Error) -> TransportError {
    // `is_connect` holds for addresses, connections and TLS; a connect timeout is one of them. Everything later,
    // the timeout of the whole request included, may have reached the API.
    let sent = if error.is_connect() || error.is_builder() { Sent::No } else { Sent::Maybe };
    TransportError { sent, source: Box::new(error.without_url()) }
}

/// The keys in headers that are sensitive, without what stands before them.
fn keys(headers: &HeaderMap) -> Vec<Finder<'static>> {
    let sensitive = headers.values().filter(|value| value.is_sensitive()).map(HeaderValue::as_bytes);
    let keys = sensitive.filter_map(|value| value.rsplit(|byte| *byte == b' ').next());
    keys.filter(|key| key.len() >= KEY_BYTES_MIN).map(|key| Finder::new(key).into_owned()).collect()
}

/// `body` with `***` for each `key` in it.
fn without(body: Bytes, key: &Finder<'_>) -> Bytes {
    let mut found = key.find_iter(&body).peekable();
    if found.peek().is_none() {
        drop(found);
        return body;
    }
    let (mut kept, mut copied) = (Vec::with_capacity(body.len()), 0);
    for at in found {
        kept.extend_from_slice(&body[copied..at]);
        kept.extend_from_slice(b"***");
        copied = at + key.needle().len();
    }
    kept.extend_from_slice(&body[copied..]);
    kept.into()
}

/// A header that holds a key, after `prefix`; it prints nowhere.
///
/// # Errors
///
/// [`HttpSetupError::Key`].
pub fn key_header(prefix: &str, key: &SecretString) -> Result<HeaderValue, HttpSetupError> {
    let text = key.expose_secret().trim();
    if text.is_empty() {
        return Err(HttpSetupError::Key);
    }
    let mut value = HeaderValue::from_str(&format!("{prefix}{text}")).map_err(|_| HttpSetupError::Key)?;
    value.set_sensitive(true);
    Ok(value)
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
