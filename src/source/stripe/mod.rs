//! Stripe's own lists, read through its API: no export has to be made.
//!
//! ```text
//!  pages (a task: cursor, retries) ──lines──► channel ──► reader ──► JSON, record by record
//! ```
//!
//! Stripe writes JSON, so its objects go the way of JSON records, with nested values by their paths. At most three
//! pages are in memory: one that is read, one that waits, one that is fetched.

mod pages;
mod reader;
#[cfg(test)]
mod tests;

use tokio::sync::mpsc;

use self::pages::{Failure, Pages};
use self::reader::LinesReader;
use super::Rows;
use super::error::{OpenProblem, SourceError};
use super::json::{JsonForm, JsonOptions, open_json_reader};
use crate::stripe::{StripeClient, StripeSettings};

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StripeList {
    /// `GET /v1/customers`.
    Customers,
    /// `GET /v1/subscriptions`, those that were cancelled included.
    Subscriptions,
}

impl StripeList {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Customers, Self::Subscriptions];

    /// As people write it: the list's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Subscriptions => "subscriptions",
        }
    }

    fn query(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Customers => &[],
            // Without it, those that were cancelled are left out.
            Self::Subscriptions => &[("status", "all")],
        }
    }
}

/// How a list is read.
#[derive(Debug, Clone)]
pub struct StripeOptions {
    /// Which one.
    pub list: StripeList,
    /// Where, and with which key; a live one is taken, as nothing is changed by reading.
    pub settings: StripeSettings,
}

/// Opens a list and starts to read it, newest first; `wanted` are the columns, names and paths as
/// [`open_json`](super::open_json) has them.
///
/// The first page is read before this ends, so that a wrong key or address is found here. Answers that ask for a pause
/// (429), failures of the server and lost answers are asked for again from the same object on: a list is never begun
/// anew, and no object comes twice. Objects made meanwhile are left to the next run. A record's line is its number.
///
/// # Errors
///
/// All that is wrong before the first row; [`SourceError::before_reading`] is true of it.
pub async fn open_stripe(options: &StripeOptions, wanted: &[String]) -> Result<Rows, SourceError> {
    let name = format!("stripe {}", options.list.as_str());
    let client = StripeClient::new(options.settings.clone())
        .map_err(|error| SourceError::open(&name, OpenProblem::Stripe(error.to_string())))?;
    let mut pages = Pages::new(client, options.list);
    let first = pages.first().await.map_err(|failure| SourceError::open(&name, failure.at_open()))?;
    let (lines, received) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut next = Ok(first);
        loop {
            let ended = next.is_err();
            // Nobody reads any more if this can't be sent.
            if lines.send(next.map_err(Failure::part_way)).await.is_err() || ended {
                return;
            }
            next = match pages.next().await {
                None => return,
                Some(page) => page,
            };
        }
    });
    let json =
        JsonOptions { form: Some(JsonForm::Lines), encoding: Some("utf-8".to_owned()), ..JsonOptions::default() };
    open_json_reader(&name, LinesReader::new(received), &json, wanted).await
}
