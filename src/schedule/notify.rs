//! Tells a webhook of runs that failed, and of many rejects.

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::http::{Client, ClientSettings, Endpoint, EndpointError, HttpSetupError};
use crate::pipeline::{MaxRejects, Summary};

/// Longest time for one try, with its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tries. A webhook that is away must not hold the next run up for long.
const TRIES_MAX: u32 = 3;

/// Wait between two tries.
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// Largest answer that is read; it is not looked at.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where to tell it, and of what.
#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// The webhook's address. With most services, whoever knows it may post.
    pub url: SecretString,
    /// Runs that came to their end are told of, too, when more than this was rejected or refused; none: never.
    pub rejects_above: Option<MaxRejects>,
}

/// What a webhook gets, as a JSON object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct News {
    /// In a sentence. Chat services show this key.
    pub text: String,
    /// `failed` or `rejects`.
    pub event: &'static str,
    /// What was run: the pipeline's or mapping's file.
    pub pipeline: String,
    /// What the run would have ended the process with.
    pub exit: i32,
    /// Failed runs in a row, this one included.
    pub failures_in_a_row: u32,
    /// Why it failed, in one line; none where the summary says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The run's account; none where it did not begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// Why a webhook was not told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Its address can't be used.
    #[error("the webhook's address {0}")]
    Address(#[from] EndpointError),
    /// No client could be made.
    #[error("the webhook can't be reached")]
    Setup(#[from] HttpSetupError),
    /// It did not take it, in so many tries.
    #[error("the webhook at {host} was not told, in {tries} tries: {why}")]
    NotTaken {
        /// Its host. The path may be a secret.
        host: String,
        /// How often it was tried.
        tries: u32,
        /// What was answered.
        why: String,
    },
}

/// Tells a webhook.
#[derive(Debug)]
pub struct Notifier {
    client: Client,
    rejects_above: Option<MaxRejects>,
}

impl Notifier {
    /// Checks the address; sends nothing.
    ///
    /// # Errors
    ///
    /// [`NotifyError::Address`], [`NotifyError::Setup`].
    pub fn new(settings: &NotifySettings) -> Result<Self, NotifyError> {
        let endpoint = Endpoint::parse(settings.url.expose_secret())?;
        let client = Client::new(ClientSettings {
            endpoint,
            headers: reqwest::header::HeaderMap::new(),
            timeout: TIMEOUT,
            connect_timeout: TIMEOUT,
            answer_bytes_max: ANSWER_BYTES_MAX,
        })?;
        Ok(Self { client, rejects_above: settings.rejects_above })
    }

    /// Whether so many rejects of a run that came to its end are news.
    pub fn is_news(&self, summary: &Summary) -> bool {
        let rejects = summary.total(|step| step.rejected + step.failed);
        self.rejects_above.is_some_and(|most| most.is_passed(rejects, summary.total(|step| step.rows)))
    }

    /// Posts it, once more after a failure.
    ///
    /// # Errors
    ///
    /// [`NotifyError::NotTaken`]. It may have been told all the same.
    pub async fn tell(&self, news: &News) -> Result<(), NotifyError> {
        let body = serde_json::to_vec(news).unwrap_or_default();
        let (url, mut tries) = (self.client.endpoint().url(), 0);
        loop {
            tries += 1;
            let request = self.client.request(Method::POST, url.clone());
            let request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body.clone());
            let why = match self.client.send(request).await {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
                Ok(answer) => format!("HTTP {}", answer.status),
                Err(error) => error.source.to_string(),
            };
            if tries == TRIES_MAX {
                let host = url.host_str().unwrap_or_default().to_owned();
                return Err(NotifyError::NotTaken { host, tries, why });
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }
}
