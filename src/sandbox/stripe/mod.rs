//! The bit of Stripe that a cutover needs, written from Stripe's documents (contract 12) and stricter than Stripe: a
//! version has to be named, unknown parameters are refused, a second cancellation is a 404.
//!
//! Test mode only. Cancelling makes no proration and no invoice unless it is asked to, and then notes them, so that
//! tests can hold that nobody asked.

mod access;
mod objects;
mod page;
mod params;
mod refusal;
mod reply;
mod subscribe;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use self::access::{check_key, check_version};
use self::objects::Listed as _;
pub use self::objects::{StripeCustomer, StripeInvoiceItem, StripeItem, StripeSubscription};
use self::page::Paging;
use self::params::Params;
use self::refusal::Refusal;
use self::reply::{done, throttled, undone};
use super::Reply;
use super::environment::lock;
use super::faults::{Fault, FaultBox, Faults};

/// Requests a second of a sandbox account. Contract 12.
const PER_SECOND: f64 = 25.0;

/// A request as HTTP carries it.
#[derive(Debug, Clone, Default)]
pub struct StripeRequest {
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// The path, from `/v1` on.
    pub path: String,
    /// The address's parameters, as they were sent.
    pub query: String,
    /// Header `Authorization`.
    pub authorization: Option<String>,
    /// Header `Stripe-Version`.
    pub version: Option<String>,
    /// A form.
    pub body: Bytes,
}

/// Everything in an account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StripeSnapshot {
    /// Customers.
    pub customers: Vec<StripeCustomer>,
    /// Subscriptions.
    pub subscriptions: Vec<StripeSubscription>,
    /// What waits for an invoice.
    pub invoice_items: Vec<StripeInvoiceItem>,
    /// Subscriptions that were invoiced when they were cancelled.
    pub invoiced: Vec<String>,
    /// How often each subscription was really ended.
    pub cancellations: BTreeMap<String, u64>,
}

/// An account in test mode.
pub struct StripeAccount {
    state: Mutex<StripeSnapshot>,
    faults: Mutex<FaultBox>,
    recent: Mutex<VecDeque<Instant>>,
    log: Mutex<Vec<String>>,
    /// Requests a second; `None`: no limit.
    per_second: Option<usize>,
}

impl std::fmt::Debug for StripeAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StripeAccount").finish_non_exhaustive()
    }
}

/// What a request asks for; the name is that of [`Fault::on`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'r> {
    Customers,
    Customer(&'r str),
    Subscriptions,
    Subscription(&'r str),
    Cancel(&'r str),
    InvoiceItems,
}

impl<'r> Route<'r> {
    fn of(method: &str, path: &'r str) -> Option<Self> {
        let mut parts = path.strip_prefix("/v1/")?.split('/');
        let (collection, id, more) = (parts.next()?, parts.next(), parts.next());
        match (method, collection, id, more) {
            ("GET", "customers", None, None) => Some(Self::Customers),
            ("GET", "customers", Some(id), None) => Some(Self::Customer(id)),
            ("GET", "subscriptions", None, None) => Some(Self::Subscriptions),
            ("GET", "subscriptions", Some(id), None) => Some(Self::Subscription(id)),
            ("DELETE", "subscriptions", Some(id), None) => Some(Self::Cancel(id)),
            ("GET", "invoiceitems", None, None) => Some(Self::InvoiceItems),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Customers => "stripe.customers.list",
            Self::Customer(_) => "stripe.customers.retrieve",
            Self::Subscriptions => "stripe.subscriptions.list",
            Self::Subscription(_) => "stripe.subscriptions.retrieve",
            Self::Cancel(_) => "stripe.subscriptions.cancel",
            Self::InvoiceItems => "stripe.invoiceitems.list",
        }
    }
}

impl StripeAccount {
    pub(super) fn new(rate_scale: Option<f64>, faults: Faults, seed: u64) -> Self {
        Self {
            state: Mutex::default(),
            // Not the same draws as the other API's.
            faults: Mutex::new(FaultBox::new(faults, seed ^ 0x7374_7269_7065)),
            recent: Mutex::default(),
            log: Mutex::default(),
            per_second: rate_scale.map(|scale| (PER_SECOND * scale).max(1.0) as usize),
        }
    }

    /// Replaces everything in it.
    pub fn load(&self, snapshot: StripeSnapshot) {
        *lock(&self.state) = snapshot;
    }

    /// Everything in it.
    pub fn snapshot(&self) -> StripeSnapshot {
        lock(&self.state).clone()
    }

    /// Scripts a fault for the next matching requests; [`Fault::on`] takes names as `stripe.subscriptions.cancel`.
    pub fn inject(&self, fault: Fault) {
        lock(&self.faults).inject(fault);
    }

    /// Every request that came, as `DELETE /v1/subscriptions/sub_1?prorate=false`, refused ones included.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.log).clone()
    }

    /// Answers a request at `now_s` seconds since 1970. The work is done at once, a slow answer waits afterwards.
    pub(super) async fn handle(&self, request: StripeRequest, now_s: i64) -> Reply {
        let StripeRequest { method, path, query, .. } = &request;
        let separator = if query.is_empty() { "" } else { "?" };
        let number = {
            let mut log = lock(&self.log);
            log.push(format!("{method} {path}{separator}{query}"));
            log.len()
        };
        let name = Route::of(method, path).map(Route::name);
        let fault = lock(&self.faults).next(name.into_iter());
        if let Some((kind, delay)) = fault.filter(|(kind, _)| !kind.work_is_done()) {
            return undone(kind, delay, number);
        }
        if let Err(pause) = self.take() {
            return throttled(pause, number);
        }
        let shown = match self.work(&request, now_s) {
            Ok(value) => (200, value.to_string().into_bytes()),
            Err(refusal) => refusal.shown(),
        };
        done(fault, &shown, number).await
    }

    /// Counts a request, or says how long until one can pass.
    fn take(&self) -> Result<(), Duration> {
        const SECOND: Duration = Duration::from_secs(1);
        let Some(per_second) = self.per_second else { return Ok(()) };
        let now = Instant::now();
        let mut recent = lock(&self.recent);
        while recent.front().is_some_and(|first| now.saturating_duration_since(*first) >= SECOND) {
            recent.pop_front();
        }
        if recent.len() >= per_second {
            return Err(recent.front().map_or(SECOND, |first| *first + SECOND - now));
        }
        recent.push_back(now);
        Ok(())
    }

    fn work(&self, request: &StripeRequest, now_s: i64) -> Result<Value, Refusal> {
        check_key(request.authorization.as_deref())?;
        check_version(request.version.as_deref())?;
        let route = Route::of(&request.method, &request.path)
            .ok_or_else(|| Refusal::address(&request.method, &request.path))?;
        let mut params = Params::read(&request.query, &request.body)?;
        let mut state = lock(&self.state);
        match route {
            Route::Customers => {
                let (paging, email) = (Paging::read(&mut params)?, params.text("email"));
                params.end()?;
                paging.page(&state.customers, "customer", "/v1/customers", |customer| {
                    email.as_ref().is_none_or(|email| customer.email.as_ref() == Some(email))
                })
            }
            Route::Customer(id) => {
                params.end()?;
                let found = state.customers.iter().find(|customer| customer.id == id);
                Ok(found.ok_or_else(|| Refusal::missing("customer", "id", id))?.shown())
            }
            Route::Subscriptions => {
                let (paging, customer) = (Paging::read(&mut params)?, params.text("customer"));
                let status = params.text("status");
                params.end()?;
                check_status(status.as_deref())?;
                paging.page(&state.subscriptions, "subscription", "/v1/subscriptions", |subscription| {
                    customer.as_ref().is_none_or(|id| subscription.customer == *id)
                        && match status.as_deref() {
                            // Without a status, those that have ended are left out.
                            None => subscription.status != "canceled",
                            Some("all") => true,
                            Some("ended") => ["canceled", "incomplete_expired"].contains(&&*subscription.status),
                            Some(status) => subscription.status == status,
                        }
                })
            }
            Route::Subscription(id) => {
                params.end()?;
                let found = state.subscriptions.iter().find(|subscription| subscription.id == id);
                Ok(found.ok_or_else(|| Refusal::missing("subscription", "id", id))?.shown())
            }
            Route::Cancel(id) => {
                let prorate = params.flag("prorate")?.unwrap_or(false);
                let invoice_now = params.flag("invoice_now")?.unwrap_or(false);
                params.end()?;
                state.cancel(id, prorate, invoice_now, now_s)
            }
            Route::InvoiceItems => {
                let (paging, customer) = (Paging::read(&mut params)?, params.text("customer"));
                let pending = params.flag("pending")?;
                params.end()?;
                // All of them are pending: nothing here makes invoices of them.
                paging.page(&state.invoice_items, "invoiceitem", "/v1/invoiceitems", |item| {
                    pending != Some(false) && customer.as_ref().is_none_or(|id| item.customer == *id)
                })
            }
        }
    }
}

impl StripeSnapshot {
    fn cancel(&mut self, id: &str, prorate: bool, invoice_now: bool, now_s: i64) -> Result<Value, Refusal> {
        let missing = || Refusal::missing("subscription", "id", id);
        let subscription = self.subscriptions.iter_mut().find(|other| other.id == id).ok_or_else(missing)?;
        if ["canceled", "incomplete_expired"].contains(&&*subscription.status) {
            return Err(missing());
        }
        "canceled".clone_into(&mut subscription.status);
        (subscription.canceled_at, subscription.ended_at) = (Some(now_s), Some(now_s));
        *self.cancellations.entry(id.to_owned()).or_default() += 1;
        if prorate {
            for item in &subscription.items {
                self.invoice_items.push(StripeInvoiceItem {
                    id: format!("ii_{}", self.invoice_items.len() + 1),
                    customer: subscription.customer.clone(),
                    subscription: id.to_owned(),
                    // How much of it is left is not what anybody asks this sandbox for.
                    amount: -item.unit_amount,
                    currency: item.currency.clone(),
                    proration: true,
                    created: now_s,
                });
            }
        }
        if invoice_now {
            self.invoiced.push(id.to_owned());
        }
        Ok(subscription.shown())
    }
}

fn check_status(status: Option<&str>) -> Result<(), Refusal> {
    const STATUSES: [&str; 10] = [
        "active",
        "trialing",
        "past_due",
        "unpaid",
        "incomplete",
        "incomplete_expired",
        "paused",
        "canceled",
        "ended",
        "all",
    ];
    match status {
        Some(status) if !STATUSES.contains(&status) => {
            Err(Refusal::request(Some("parameter_invalid"), Some("status"), format!("Invalid status: {status}")))
        }
        Some(_) | None => Ok(()),
    }
}
