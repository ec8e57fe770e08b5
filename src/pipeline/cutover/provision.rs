//! Provisioning one replacement, so that it is provisioned once.
//!
//! Each turn reads before it writes. A request whose answer is lost leaves a doubt: until [`SETTLES_WITHIN`] has passed
//! since it was sent, nothing else is sent for this replacement, in this run or in the next.

use std::time::Duration;

use tokio::time::Instant;

use super::audit::Note;
#[cfg(doc)]
use super::desk::SETTLES_WITHIN;
use super::desk::{Desk, Left, Way};
use super::paid::Paid;
use super::products::Products;
use super::proof::is_ours;
use crate::ledger::{ParkReason, Parked, Replacement, Stage};
use crate::sink::{Disposition, Operation, ProvisionPermit, Provisioning, SinkError};

/// Most requests for one replacement whose outcome stayed unknown.
const UNKNOWN_MAX: u32 = 3;

/// What came of one request.
enum Sent {
    /// It is in Stigg, as the answer says.
    Done(Option<String>),
    /// Nothing was done, and it may be sent again.
    Nothing { after: Option<Duration>, is_throttled: bool, why: String },
    /// Nobody knows.
    InDoubt { after: Option<Duration> },
    /// It goes no further, unless it is there all the same.
    Park(Parked),
}

impl Desk {
    /// Brings a replacement that is planned or half provisioned into Stigg.
    pub(super) async fn provision(&self, replacement: &mut Replacement, paid: &Paid, products: &Products) -> Way<()> {
        let mut in_doubt = matches!(replacement.stage, Stage::Provisioning);
        let mut doubted_at = Instant::now();
        let (mut faults, mut throttles) = (0, 0);
        let mut to_park: Option<Parked> = None;
        loop {
            let turn = self.turns.acquire().await.expect("it is never closed");
            if let Some(read) = self.subscription(&replacement.subscription_id).await? {
                let found = Note::of(format!("read back: it is in Stigg, {}", read.status));
                if let Err(parked) = is_ours(&read, replacement) {
                    return self.park(replacement, parked, &found).await;
                }
                replacement.billing_id = read.billing_id;
                return self.step(replacement, Stage::Provisioned, &found).await;
            }
            if let Some(parked) = to_park {
                return self.park(replacement, parked, &Note::of("read back: it is not in Stigg")).await;
            }
            if in_doubt {
                let left = self.doubt_left(replacement, doubted_at);
                if !left.is_zero() {
                    drop(turn);
                    // Looked for now and then: it may be there long before.
                    let wait = left.min(Duration::from_secs(15));
                    if !self.reading.stop.wait(wait).await {
                        return Err(Left::Open("it is not known whether it was provisioned".to_owned()));
                    }
                    continue;
                }
                if replacement.attempts >= UNKNOWN_MAX {
                    let detail = format!(
                        "{} requests were not answered, and {} s after the last one it is not in Stigg",
                        replacement.attempts,
                        self.settles_within.as_secs()
                    );
                    let parked = Parked { reason: ParkReason::Unresolved, detail };
                    return self.park(replacement, parked, &Note::default()).await;
                }
            }
            self.may_be_provisioned(replacement, paid, products).await?;
            let permit = self.permit(paid).await?;
            // The attempt is counted, and its moment known, before the request can leave.
            if in_doubt || replacement.attempts == 0 {
                replacement.attempts += 1;
            }
            self.step(replacement, Stage::Provisioning, &Note::default()).await?;
            in_doubt = false;
            let sent = self.send(replacement, paid, permit).await?;
            drop(turn);
            match sent {
                Sent::Done(billing_id) => {
                    replacement.billing_id = billing_id;
                    return self.step(replacement, Stage::Provisioned, &Note::default()).await;
                }
                Sent::Park(parked) => to_park = Some(parked),
                Sent::InDoubt { after } => {
                    (in_doubt, doubted_at) = (true, Instant::now());
                    faults += 1;
                    self.again_after(faults, after, || "it is not known whether it was provisioned".to_owned()).await?;
                }
                Sent::Nothing { after, is_throttled: true, why } => {
                    throttles += 1;
                    let retry = self.reading.retry;
                    let pause = after.unwrap_or_else(|| retry.wait(throttles, fastrand::f64()));
                    self.reading.budgets.pause(Operation::ProvisionSubscription, pause);
                    if throttles > retry.throttles_max || self.reading.stop.ends_sending() {
                        return Err(Left::Open(why));
                    }
                }
                Sent::Nothing { after, is_throttled: false, why } => {
                    faults += 1;
                    self.again_after(faults, after, || why.clone()).await?;
                }
            }
        }
    }

    /// Finds one in Stigg without its record, and takes it as provisioned. What is not there stays as it is written: the
    /// record may come again.
    pub(super) async fn find(&self, replacement: &mut Replacement) -> Way<()> {
        let Some(read) = self.subscription(&replacement.subscription_id).await? else {
            return Err(Left::Open("it is not in Stigg; it goes on when its record comes again".to_owned()));
        };
        let found = Note::of(format!("read back: it is in Stigg, {}", read.status));
        if let Err(parked) = is_ours(&read, replacement) {
            return match replacement.stage {
                Stage::Parked(_) => Err(Left::Parked),
                _ => self.park(replacement, parked, &found).await,
            };
        }
        if replacement.stage.parked().is_some() {
            self.step(replacement, Stage::Planned, &Note::default()).await?;
        }
        replacement.billing_id = read.billing_id;
        self.step(replacement, Stage::Provisioned, &found).await
    }

    /// How long a request may still be carried out that was sent when the last step was written. Never longer than since
    /// this run began to wait: the clock may have been set back.
    fn doubt_left(&self, replacement: &Replacement, doubted_at: Instant) -> Duration {
        let since = self.clock.now().duration_since(replacement.changed_at);
        let waited = Duration::try_from(since).unwrap_or_default().max(doubted_at.elapsed());
        self.settles_within.saturating_sub(waited)
    }

    /// What has to be true before anything is sent: the original is there and alive, it is this customer's, and no other
    /// replacement would end.
    async fn may_be_provisioned(&self, replacement: &mut Replacement, paid: &Paid, products: &Products) -> Way<()> {
        let others = self
            .ledger
            .replacements_of_customer(&self.target, &replacement.customer_id)
            .await
            .map_err(|error| self.ledger_failed(&error))?;
        let other = others.iter().find(|other| {
            other.subscription_id != replacement.subscription_id
                && !matches!(other.stage, Stage::Planned | Stage::Parked(_))
                && products.excludes(other, replacement)
        });
        if let Some(other) = other {
            let detail = format!(
                "it would end {}, which replaces {} for the same customer and resource",
                other.subscription_id, other.original.id
            );
            return self
                .park(replacement, Parked { reason: ParkReason::WouldEndAnother, detail }, &Note::default())
                .await;
        }
        let Some(provider) = self.provider(replacement) else { return Ok(()) };
        let Some(original) = self.original(&**provider, &paid.original_id).await? else {
            let detail = "the billing provider has no such subscription".to_owned();
            return self
                .park(replacement, Parked { reason: ParkReason::OriginalNotFound, detail }, &Note::default())
                .await;
        };
        if original.status.has_ended() {
            let detail = format!("it is {} at the billing provider", original.status.as_str());
            let parked = Parked { reason: ParkReason::OriginalCancelled, detail };
            return self.park(replacement, parked, &Note::default()).await;
        }
        match self.is_of_customer(&original, &replacement.payer_id).await? {
            Ok(()) => Ok(()),
            Err(parked) => self.park(replacement, parked, &Note::default()).await,
        }
    }

    async fn permit(&self, paid: &Paid) -> Way<ProvisionPermit> {
        let request = &paid.request;
        tokio::select! {
            biased;
            () = self.reading.stop.sending_ended() => Err(Left::Open("the run was stopped".to_owned())),
            permit = self.reading.budgets.acquire_provision(&request.customer_id, request.resource_id.as_deref()) => Ok(permit),
        }
    }

    async fn send(&self, replacement: &Replacement, paid: &Paid, permit: ProvisionPermit) -> Way<Sent> {
        self.tally.requests.add(1);
        let error = match self.provisioner.provision(&paid.request, permit).await {
            Ok(Provisioning::Provisioned { subscription, is_scheduled, request_id }) => {
                let answer = match &subscription {
                    Some(one) => format!("SUCCESS, {}", one.status),
                    None if is_scheduled => "SUCCESS, scheduled".to_owned(),
                    None => "SUCCESS".to_owned(),
                };
                self.note(replacement, &Note::of(answer).with_request(request_id))?;
                return Ok(Sent::Done(subscription.and_then(|one| one.billing_id)));
            }
            Ok(Provisioning::PaymentRequired { checkout_url: _, request_id }) => {
                // The address of the checkout lets anybody pay: it is not for a file.
                self.note(replacement, &Note::of("PAYMENT_REQUIRED").with_request(request_id))?;
                let detail = "Stigg asks for a payment: the customer has no means of payment there".to_owned();
                return Ok(Sent::Park(Parked { reason: ParkReason::PaymentRequired, detail }));
            }
            Err(error) => error,
        };
        let why = error.with_causes();
        self.note(replacement, &Note::of(why.clone()))?;
        match error.disposition() {
            Disposition::Resend { after } => {
                let is_throttled = matches!(error, SinkError::Throttled { .. } | SinkError::Busy { .. });
                self.tally.throttled.add(u64::from(is_throttled));
                Ok(Sent::Nothing { after, is_throttled, why })
            }
            Disposition::ReadBack { after } => Ok(Sent::InDoubt { after }),
            Disposition::ReadBackAndSplit | Disposition::Split | Disposition::ResendOnceReady => {
                Ok(Sent::Park(Parked { reason: ParkReason::Refused, detail: why }))
            }
            Disposition::Stop(_) => Err(self.api_failed(&error)),
        }
    }
}
