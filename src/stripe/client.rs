//! The client: a paced request, sent once, and Stripe's JSON or what it says instead.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{ApiError, MESSAGE_CHARS_MAX, StripeError};
use super::key::StripeKey;
use crate::clock::{Clock, SystemClock};
use crate::http::{Answer, Client, ClientSettings, Endpoint, HttpSetupError, Sent, key_header, one_line, retry_after};
use crate::pacer::Pacer;

/// The version of the API that every request names, so that answers keep their shape whatever the account's own version
/// is. Source: Stripe's client library 23.1.0 pins it (our contract, section 12; 2026).
pub const VERSION: &str = "2026-10-28.endive";

/// Calls a second, all together. Stripe takes 25 for a sandbox account and for a single endpoint, and 100 for a live
/// account (rate-limit page, 2026): a live account's own traffic keeps three quarters.
pub const CALLS_PER_SECOND: u32 = 25;

/// How long all calls are held back after a 429 that does not say how long.
const PAUSE_UNSAID: Duration = Duration::from_secs(1);

const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// How Stripe is reached.
#[derive(Debug, Clone)]
pub struct StripeSettings {
    /// Its address up to the version, so without `/v1`.
    pub endpoint: Endpoint,
    /// The key.
    pub key: StripeKey,
    /// Longest time for one request with its answer. Default 60 s.
    pub timeout: Duration,
    /// Longest time to connect. Default 10 s.
    pub connect_timeout: Duration,
    /// Largest answer, in bytes. Default 16 MiB: a page of 100 subscriptions with their items is below 2.
    pub answer_bytes_max: usize,
    /// Calls a second. Default [`CALLS_PER_SECOND`].
    pub calls_per_second: NonZeroU32,
}

impl StripeSettings {
    /// Stripe's address.
    pub const URL: &str = "https://api.stripe.com";

    /// The defaults.
    pub fn new(endpoint: Endpoint, key: StripeKey) -> Self {
        Self {
            endpoint,
            key,
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            answer_bytes_max: 16 << 20,
            calls_per_second: NonZeroU32::new(CALLS_PER_SECOND).unwrap_or(NonZeroU32::MIN),
        }
    }
}

/// A client of one account. It never repeats a request.
pub struct StripeClient {
    http: Client,
    key: StripeKey,
    pacer: Pacer,
    clock: Arc<dyn Clock>,
}

impl StripeClient {
    /// Makes a client; see [`Client::new`]. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`HttpSetupError`].
    pub fn new(settings: StripeSettings) -> Result<Self, HttpSetupError> {
        let StripeSettings { endpoint, key, timeout, connect_timeout, answer_bytes_max, calls_per_second } = settings;
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, key_header("Bearer ", key.secret())?),
            (STRIPE_VERSION, HeaderValue::from_static(VERSION)),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let http = Client::new(ClientSettings { endpoint, headers, timeout, connect_timeout, answer_bytes_max })?;
        let pacer = Pacer::new(Some(f64::from(calls_per_second.get()) * 60.0), NonZeroU32::MIN);
        Ok(Self { http, key, pacer, clock: Arc::new(SystemClock) })
    }

    /// Whether its key is of live mode.
    pub fn is_live(&self) -> bool {
        self.key.is_live()
    }

    /// The address, which prints without secrets.
    pub fn endpoint(&self) -> &Endpoint {
        self.http.endpoint()
    }

    /// Asks for `/v1/` and `path`, with `query`. The second value is Stripe's id of the request.
    ///
    /// # Errors
    ///
    /// [`StripeError`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(T, Option<String>), StripeError> {
        let answer = self.send(Method::GET, path, query).await?;
        Ok((serde_json::from_slice(&answer.body).map_err(|error| StripeError::misread(&error))?, id_of(&answer)))
    }

    /// As [`Self::get`], the body as it came.
    ///
    /// # Errors
    ///
    /// [`StripeError`].
    pub async fn get_bytes(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Bytes, StripeError> {
        Ok(self.send(Method::GET, path, query).await?.body)
    }

    /// Deletes `/v1/` and `path`. The parameters go into the address: not everything on the way passes the body of such
    /// a request on.
    ///
    /// # Errors
    ///
    /// [`StripeError`].
    pub async fn delete<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(T, Option<String>), StripeError> {
        let answer = self.send(Method::DELETE, path, query).await?;
        Ok((serde_json::from_slice(&answer.body).map_err(|error| StripeError::misread(&error))?, id_of(&answer)))
    }

    async fn send(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<Answer, StripeError> {
        let url = self.url(path, query);
        self.pacer.acquire().await;
        let answer = self.http.send(self.http.request(method, url)).await.map_err(|error| match error.sent {
            Sent::No => StripeError::NotSent(error.source),
            Sent::Maybe => StripeError::Lost(error.source),
        })?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let error = self.error_of(&answer);
        if let StripeError::Api(api) = &error
            && api.status == 429
        {
            self.pacer.pause(api.retry_after.unwrap_or(PAUSE_UNSAID));
        }
        Err(error)
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.http.endpoint().url().clone();
        url.set_query(None);
        // Fails only for addresses without a host, which are no endpoints.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn error_of(&self, answer: &Answer) -> StripeError {
        let status = answer.status;
        let said = serde_json::from_slice::<Envelope>(&answer.body).ok().map(|envelope| envelope.error);
        let unknown_path = said
            .as_ref()
            .and_then(|said| said.message.as_deref())
            .is_some_and(|message| status == 404 && message.starts_with("Unrecognized request URL"));
        match status {
            // These speak for themselves, whoever says them.
            401 | 403 | 409 | 429 | 500.. => {}
            _ if said.is_some() && !unknown_path => {}
            _ => return StripeError::NotStripe { answer: format!("status {status}") },
        }
        let (code, message) = said.map_or((None, None), |said| (said.code, said.message));
        let message = message.unwrap_or_else(|| "no message".to_owned());
        StripeError::Api(Box::new(ApiError {
            status,
            code: code.map(|code| one_line(&code, 64)),
            // First the key, then the length: half a key would not be found.
            message: one_line(&self.key.taken_out_of(&message), MESSAGE_CHARS_MAX),
            request_id: id_of(answer),
            retry_after: retry_after(&answer.headers, &*self.clock),
            should_retry: match answer.headers.get(SHOULD_RETRY).map(HeaderValue::as_bytes) {
                Some(b"true") => Some(true),
                Some(b"false") => Some(false),
                Some(_) | None => None,
            },
        }))
    }
}

impl fmt::Debug for StripeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StripeClient({})", self.endpoint())
    }
}

fn id_of(answer: &Answer) -> Option<String> {
    answer.headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).map(|id| one_line(id, 64))
}

#[derive(Deserialize)]
struct Envelope {
    error: Said,
}

#[derive(Deserialize)]
struct Said {
    code: Option<String>,
    message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::LiveKeys;
    use crate::stripe::recorder::{Recorder, Scripted};

    const KEY: &str = "sk_test_51SecretAbc";

    async fn client(answers: Vec<Scripted>) -> (StripeClient, Recorder) {
        let recorder = Recorder::start(answers).await;
        let key = StripeKey::parse(&KEY.into(), LiveKeys::Refused).expect("a key");
        let endpoint = Endpoint::parse(&recorder.url("/prefix/")).expect("an address");
        (StripeClient::new(StripeSettings::new(endpoint, key)).expect("a client"), recorder)
    }

    async fn failed(answer: Scripted) -> StripeError {
        let (client, _recorder) = client(vec![answer]).await;
        client.get::<serde_json::Value>(&["customers"], &[]).await.expect_err("an error")
    }

    #[tokio::test]
    async fn a_request_names_key_and_version_and_keeps_the_addresss_own_path() {
        let (client, recorder) = client(vec![Scripted::json(200, r#"{"id":"x"}"#).header("request-id", "req_1")]).await;

        let (value, request_id): (serde_json::Value, _) =
            client.get(&["subscriptions", "a/b"], &[("limit", "1"), ("x[y]", "&")]).await.expect("an answer");

        assert_eq!((value["id"].as_str(), request_id.as_deref()), (Some("x"), Some("req_1")));
        let [request] = &recorder.requests()[..] else { panic!("one request") };
        assert_eq!(request.line, "GET /prefix/v1/subscriptions/a%2Fb?limit=1&x%5By%5D=%26");
        assert_eq!(request.header("authorization"), Some("Bearer sk_test_51SecretAbc"));
        assert_eq!(request.header("stripe-version"), Some("2026-10-28.endive"));
        assert_eq!(request.body, "");
    }

    #[tokio::test]
    async fn an_error_is_stripes_words_without_the_key_and_bounded() {
        let long = "x".repeat(900);
        let body = format!(r#"{{"error":{{"code":"c","message":"bad key {KEY}\n{long}"}}}}"#);
        let answer = Scripted::json(400, &body).header("stripe-should-retry", "false").header("retry-after", "3");

        let StripeError::Api(api) = failed(answer).await else { panic!("an error of Stripe") };

        assert_eq!((api.status, api.code.as_deref(), api.should_retry), (400, Some("c"), Some(false)));
        assert!(api.message.starts_with("bad key *** x"), "{}", api.message);
        assert_eq!(api.message.chars().count(), MESSAGE_CHARS_MAX);
        assert_eq!(api.retry_after, Some(Duration::from_secs(3)));
    }

    #[tokio::test]
    async fn what_is_not_stripe_is_told_from_stripe_that_fails() {
        let unknown_path =
            r#"{"error":{"type":"invalid_request_error","message":"Unrecognized request URL (GET: /v1/x)."}}"#;
        for answer in [
            Scripted::json(404, unknown_path),
            Scripted::json(404, "<html>nothing here</html>"),
            Scripted::json(302, ""),
            Scripted::json(405, "{}"),
        ] {
            let error = failed(answer).await;
            assert!(matches!(error, StripeError::NotStripe { .. }), "{error:?}");
        }
        for status in [401, 403, 409, 429, 500, 502, 503] {
            let error = failed(Scripted::json(status, "<html>oops</html>")).await;
            assert!(matches!(&error, StripeError::Api(api) if api.status == status), "{error:?}");
        }
        assert!(matches!(failed(Scripted::json(200, "<html>")).await, StripeError::Unreadable { .. }));
        assert!(matches!(failed(Scripted::cut()).await, StripeError::Lost(_)));
    }

    #[tokio::test]
    async fn a_429_holds_back_the_next_call_as_long_as_it_says() {
        let throttled = Scripted::json(429, "{}").header("retry-after-ms", "300");
        let (client, _recorder) = client(vec![throttled, Scripted::json(200, "{}")]).await;
        assert!(client.get_bytes(&["customers"], &[]).await.is_err());

        let before = std::time::Instant::now();
        client.get_bytes(&["customers"], &[]).await.expect("an answer");

        assert!(before.elapsed() >= Duration::from_millis(290), "{:?}", before.elapsed());
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_not_sent() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let key = StripeKey::parse(&KEY.into(), LiveKeys::Refused).expect("a key");
        let endpoint = Endpoint::parse(&format!("http://{address}")).expect("an address");
        let client = StripeClient::new(StripeSettings::new(endpoint, key)).expect("a client");

        let error = client.get_bytes(&["customers"], &[]).await.expect_err("nobody is there");

        assert!(matches!(error, StripeError::NotSent(_)), "{error:?}");
        assert!(!format!("{client:?} {error:?}").contains("51Secret"));
    }
}
