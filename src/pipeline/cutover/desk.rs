//! What every step of a cutover needs: reading both sides, and writing down before acting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::audit::{Audit, Note};
use super::tally::Tally;
use crate::clock::Clock;
use crate::ledger::{CutoverLedger, LedgerError, ParkReason, Parked, Replacement, Stage};
use crate::pipeline::reading::Reading;
use crate::pipeline::stop::Stopped;
use crate::provider::{
    Disposition as ProviderDisposition, Original, OriginalId, Provider, ProviderError, ProviderName,
    Reading as ProviderReading, Stop as ProviderStop,
};
use crate::sink::{Disposition, Provisioner, ReadCustomer, ReadSubscription, SinkError, Stop as SinkStop};

/// How long after a request without an answer the API may still carry it out: twice the longest time that an official
/// client waits for an answer (60 s, TypeScript client, contract 1). Only after that is "not there" believed, and the
/// request sent again: what the API does with an id that it knows is not documented.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// Replacements between the last look before their request and the request. Few, so that none waits long for its permit
/// after it has looked (four leave in a second); enough for the API's rate where an answer takes two seconds.
pub(super) const TURNS: usize = 32;

/// Most characters of a parked one's words.
const DETAIL_CHARS_MAX: usize = 300;

/// Why a replacement went no further in this run.
#[derive(Debug)]
pub(super) enum Left {
    /// It is as it was written last; the next run goes on.
    Open(String),
    /// It was parked.
    Parked,
}

pub(super) type Way<T> = Result<T, Left>;

/// The cutover's hands.
pub(super) struct Desk {
    pub reading: Reading,
    pub provisioner: Arc<dyn Provisioner>,
    pub ledger: Arc<dyn CutoverLedger>,
    pub providers: BTreeMap<ProviderName, Arc<dyn Provider>>,
    pub audit: Audit,
    pub clock: Arc<dyn Clock>,
    pub target: String,
    pub compare_amounts: bool,
    pub settles_within: Duration,
    pub tally: Arc<Tally>,
    /// Turns between the last look before a request and the request.
    pub turns: Semaphore,
}

impl Desk {
    /// Writes a step down: into the audit file, then into the ledger. Only then may its effect follow.
    pub(super) async fn step(&self, replacement: &mut Replacement, stage: Stage, note: &Note) -> Way<()> {
        let mut next = Replacement { stage, changed_at: self.clock.now(), ..replacement.clone() };
        if let Stage::Parked(parked) = &mut next.stage {
            parked.detail = parked.detail.chars().take(DETAIL_CHARS_MAX).collect();
        }
        self.audit.stage(next.changed_at, &next, note).map_err(|error| {
            self.halt(Stopped::LedgerCannotWrite(format!("the audit file can't be written: {error}")))
        })?;
        self.ledger.write_step(&self.target, &next).await.map_err(|error| self.ledger_failed(&error))?;
        *replacement = next;
        Ok(())
    }

    /// Writes an answer into the audit file.
    pub(super) fn note(&self, about: &Replacement, note: &Note) -> Way<()> {
        self.audit
            .answer(self.clock.now(), about, note)
            .map_err(|error| self.halt(Stopped::LedgerCannotWrite(format!("the audit file can't be written: {error}"))))
    }

    /// Parks it, and says so.
    pub(super) async fn park<T>(&self, replacement: &mut Replacement, parked: Parked, note: &Note) -> Way<T> {
        self.step(replacement, Stage::Parked(parked), note).await?;
        Err(Left::Parked)
    }

    pub(super) fn halt(&self, why: Stopped) -> Left {
        let text = why.to_string();
        self.reading.stop.raise(why);
        Left::Open(text)
    }

    pub(super) fn ledger_failed(&self, error: &LedgerError) -> Left {
        self.halt(Stopped::of_ledger(error))
    }

    /// What an error of the API means for the run; the replacement stays as it is.
    pub(super) fn api_failed(&self, error: &SinkError) -> Left {
        let why = error.with_causes();
        match error.disposition() {
            Disposition::Stop(SinkStop::Credentials) => self.halt(Stopped::CredentialsRefused(why)),
            Disposition::Stop(SinkStop::Request) => self.halt(Stopped::RequestMalformed(why)),
            Disposition::Stop(SinkStop::Endpoint) => self.halt(Stopped::NotTheApi(why)),
            Disposition::Stop(SinkStop::Files) => self.halt(Stopped::FilesCannotWrite(why)),
            Disposition::Resend { .. }
            | Disposition::ReadBack { .. }
            | Disposition::ReadBackAndSplit
            | Disposition::Split
            | Disposition::ResendOnceReady => Left::Open(why),
        }
    }

    pub(super) fn provider_stopped(&self, stop: ProviderStop, error: &ProviderError) -> Left {
        let why = format!("the billing provider: {}", crate::pipeline::with_causes(error));
        match stop {
            ProviderStop::Credentials => self.halt(Stopped::ProviderRefused(why)),
            ProviderStop::Endpoint => self.halt(Stopped::NotTheProvider(why)),
        }
    }

    /// The replacement as Stigg has it now.
    pub(super) async fn subscription(&self, id: &str) -> Way<Option<ReadSubscription>> {
        let found = self.reading.subscriptions(&[id]).await.map_err(|error| self.api_failed(&error))?;
        Ok(found.into_iter().find(|subscription| subscription.subscription_id == id))
    }

    /// A customer as Stigg has it now.
    pub(super) async fn customer(&self, id: &str) -> Way<Option<ReadCustomer>> {
        let found = self.reading.customers(&[id]).await.map_err(|error| self.api_failed(&error))?;
        Ok(found.into_iter().find(|customer| customer.customer_id == id))
    }

    /// The provider of a replacement's original; none where people cancel.
    pub(super) fn provider(&self, replacement: &Replacement) -> Option<&Arc<dyn Provider>> {
        let name = replacement.original.provider.parse::<ProviderName>().ok()?;
        self.providers.get(&name)
    }

    /// A subscription as its provider has it now; asked again after faults.
    pub(super) async fn original(&self, provider: &dyn Provider, id: &OriginalId) -> Way<Option<Box<Original>>> {
        let mut tries = 0;
        loop {
            let error = match provider.read(id).await {
                Ok(ProviderReading::Found(original)) => return Ok(Some(original)),
                Ok(ProviderReading::NotFound) => return Ok(None),
                Err(error) => error,
            };
            let after = match error.disposition() {
                ProviderDisposition::Again { after } | ProviderDisposition::ReadBack { after, .. } => after,
                ProviderDisposition::Park => return Err(Left::Open(crate::pipeline::with_causes(&error))),
                ProviderDisposition::Stop(stop) => return Err(self.provider_stopped(stop, &error)),
            };
            tries += 1;
            self.again_after(tries, after, || crate::pipeline::with_causes(&error)).await?;
        }
    }

    /// Waits before try `tries` + 1, or says that it was tried often enough.
    pub(super) async fn again_after(&self, tries: u32, after: Option<Duration>, why: impl Fn() -> String) -> Way<()> {
        let retry = self.reading.retry;
        let wait = after.unwrap_or_else(|| retry.wait(tries, fastrand::f64()));
        if tries >= retry.tries_max || !self.reading.stop.wait(wait).await {
            return Err(Left::Open(why()));
        }
        Ok(())
    }

    /// Whether the original at the provider belongs to the customer for whom it is replaced. Where Stigg has no billing
    /// id for the customer there is nothing to compare; then Stigg asks for a payment.
    pub(super) async fn is_of_customer(&self, original: &Original, payer_id: &str) -> Way<Result<(), Parked>> {
        let Some(customer) = self.customer(payer_id).await? else {
            let detail = format!("Stigg has no customer {payer_id}; import the customers first");
            return Ok(Err(Parked { reason: ParkReason::Refused, detail }));
        };
        match customer.billing_id {
            Some(billing_id) if billing_id != original.customer_id => {
                let detail = format!(
                    "the original belongs to {} at the provider, and customer {payer_id} is {billing_id} there",
                    original.customer_id
                );
                Ok(Err(Parked { reason: ParkReason::OtherCustomer, detail }))
            }
            Some(_) | None => Ok(Ok(())),
        }
    }
}
