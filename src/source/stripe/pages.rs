//! The pages of a list, one after the other, and what is done when one doesn't come.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::StripeList;
use crate::source::error::{BrokeProblem, OpenProblem};
use crate::stripe::{StripeClient, StripeError};

/// Objects in a page: Stripe's largest (API reference, 2026).
const PAGE_OBJECTS: &str = "100";

/// Tries of one page. With the waits below the last is about a minute after the first.
const TRIES_MAX: u32 = 8;

/// The first wait, where the answer does not say how long; each is twice the one before.
const WAIT_FIRST: Duration = Duration::from_millis(500);

/// The longest of these waits.
const WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) struct Pages {
    client: StripeClient,
    list: StripeList,
    /// The last object that was given.
    after: Option<String>,
    more: bool,
}

/// Why there is no (further) page.
#[derive(Debug)]
pub(super) enum Failure {
    /// Stripe refuses the key, or the key has no right to the list.
    Key(String),
    /// All else, in one clause.
    Other(String),
}

impl Failure {
    pub fn at_open(self) -> OpenProblem {
        match self {
            Self::Key(message) => OpenProblem::StripeKey(message),
            Self::Other(message) => OpenProblem::Stripe(message),
        }
    }

    pub fn part_way(self) -> BrokeProblem {
        match self {
            Self::Key(message) | Self::Other(message) => BrokeProblem::Stripe(message),
        }
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Pages {
    pub fn new(client: StripeClient, list: StripeList) -> Self {
        Self { client, list, after: None, more: true }
    }

    /// The first page. An address where nobody is may be misspelt: it is not asked again.
    pub async fn first(&mut self) -> Result<Vec<u8>, Failure> {
        self.page(1).await
    }

    /// The next page, each object on a line of its own; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        if !self.more {
            return None;
        }
        let page = self.page(TRIES_MAX).await;
        self.more &= page.is_ok();
        Some(page)
    }

    async fn page(&mut self, unsent_tries_max: u32) -> Result<Vec<u8>, Failure> {
        let body = self.fetch(unsent_tries_max).await?;
        let unreadable = |what: &str| Failure::Other(format!("Stripe's answer could not be read: {what}"));
        let page: Page<'_> = serde_json::from_slice(&body).map_err(|_| unreadable("it is no list"))?;
        if let Some(last) = page.data.last() {
            let last: Identified<'_> =
                serde_json::from_str(last.get()).map_err(|_| unreadable("an object has no id"))?;
            if self.after.as_deref() == Some(&*last.id) {
                return Err(unreadable("the list does not go on"));
            }
            self.after = Some(last.id.into_owned());
        } else if page.has_more {
            return Err(unreadable("a page is empty and not the last"));
        }
        self.more = page.has_more;
        let mut lines = Vec::with_capacity(body.len());
        for object in page.data {
            // In JSON a line's end is only ever between two tokens.
            lines.extend(object.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
            lines.push(b'\n');
        }
        Ok(lines)
    }

    async fn fetch(&self, unsent_tries_max: u32) -> Result<Bytes, Failure> {
        let mut query = vec![("limit", PAGE_OBJECTS)];
        query.extend(self.list.query());
        query.extend(self.after.as_deref().map(|after| ("starting_after", after)));
        let mut tries = 0;
        loop {
            let error = match self.client.get_bytes(&[self.list.as_str()], &query).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            tries += 1;
            match wait_after(&error, tries, unsent_tries_max) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failure(&error)),
            }
        }
    }
}

/// How long to wait before the page is asked for again; `None`: not at all.
fn wait_after(error: &StripeError, tries: u32, unsent_tries_max: u32) -> Option<Duration> {
    let own = WAIT_FIRST.saturating_mul(1 << (tries - 1).min(16)).min(WAIT_MAX);
    let (asked, tries_max) = match error {
        StripeError::NotSent(_) => (None, unsent_tries_max),
        StripeError::Lost(_) => (None, TRIES_MAX),
        StripeError::Api(api) => {
            let passing = matches!(api.status, 409 | 429 | 500..);
            let again = api.should_retry.unwrap_or(passing);
            (api.retry_after, if again { TRIES_MAX } else { 0 })
        }
        StripeError::Unreadable { .. } | StripeError::NotStripe { .. } => (None, 0),
    };
    (tries < tries_max).then_some(asked.unwrap_or(own))
}

fn failure(error: &StripeError) -> Failure {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    match error {
        StripeError::Api(api) if matches!(api.status, 401 | 403) => Failure::Key(api.message.clone()),
        StripeError::Api(_)
        | StripeError::NotSent(_)
        | StripeError::Lost(_)
        | StripeError::Unreadable { .. }
        | StripeError::NotStripe { .. } => Failure::Other(text),
    }
}
