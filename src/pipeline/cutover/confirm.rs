//! Proving one replacement, and then ending its original.

use std::time::Duration;

use super::audit::Note;
use super::desk::{Desk, Left, Way};
use super::proof::{Confirmed, Look, look, same_amounts};
use crate::ledger::{ParkReason, Parked, Replacement, Stage};
use crate::provider::{Cancelling, Disposition, Original, OriginalId, PendingItems, Provider, ProviderError};

/// How long a replacement may take to be active and at the billing provider before it is left to the next run.
const PROVED_WITHIN: Duration = Duration::from_secs(120);

/// Most cancellations of one original in one run.
const CANCELS_MAX: u32 = 5;

impl Desk {
    /// Reads a provisioned replacement back until it holds.
    pub(super) async fn confirm(&self, replacement: &mut Replacement) -> Way<()> {
        let (confirmed, proved, _) = self.prove(replacement, PROVED_WITHIN).await?;
        replacement.billing_id = Some(confirmed.billing_id().to_owned());
        self.step(replacement, Stage::Confirmed, &Note::of(proved)).await
    }

    /// Looks at it in Stigg and, where the provider can be asked, there; until it holds or `within` has passed. Parks what
    /// does not hold. With the proof come its words, and the original where it was read for them.
    async fn prove(
        &self,
        replacement: &mut Replacement,
        within: Duration,
    ) -> Way<(Confirmed, String, Option<Box<Original>>)> {
        let began = tokio::time::Instant::now();
        let mut tries = 0;
        loop {
            let read = self.subscription(&replacement.subscription_id).await?;
            let why = match look(read.as_ref(), replacement) {
                Look::Park(parked) => return self.park(replacement, parked, &Note::default()).await,
                Look::NotYet(why) => why,
                Look::Holds(confirmed) => {
                    let status = read.map(|read| read.status).unwrap_or_default();
                    match self.amounts(replacement, &confirmed).await? {
                        Ok((said, original)) => {
                            let proved = format!("{status} in Stigg, {} at the provider{said}", confirmed.billing_id());
                            return Ok((confirmed, proved, original));
                        }
                        Err(Some(parked)) => return self.park(replacement, parked, &Note::default()).await,
                        Err(None) => "the billing provider does not know it yet".to_owned(),
                    }
                }
            };
            tries += 1;
            let wait = self.reading.retry.wait(tries, fastrand::f64());
            if began.elapsed() + wait > within || !self.reading.stop.wait(wait).await {
                return Err(Left::Open(why));
            }
        }
    }

    /// Compares what the provider charges. `Err(None)`: it does not know the replacement.
    async fn amounts(
        &self,
        replacement: &Replacement,
        confirmed: &Confirmed,
    ) -> Way<Result<(&'static str, Option<Box<Original>>), Option<Parked>>> {
        let Some(provider) = self.provider(replacement).filter(|_| self.compare_amounts) else {
            return Ok(Ok(("", None)));
        };
        let Ok(new_id) = OriginalId::parse(confirmed.billing_id()) else {
            let detail = "its id at the billing provider is none that could be read there".to_owned();
            return Ok(Err(Some(Parked { reason: ParkReason::SyncError, detail })));
        };
        let Some(new) = self.original(&**provider, &new_id).await? else { return Ok(Err(None)) };
        if new.status.has_ended() {
            let detail = format!("{new_id} is {} at the billing provider", new.status.as_str());
            return Ok(Err(Some(Parked { reason: ParkReason::NotActive, detail })));
        }
        let old_id = original_id(replacement)?;
        // One that is gone has no amount any more; the next step says so.
        let Some(old) = self.original(&**provider, &old_id).await? else { return Ok(Ok(("", None))) };
        match same_amounts(&old, &new) {
            Ok(true) => Ok(Ok((", the same amount as the original", Some(old)))),
            Ok(false) => Ok(Ok((", amounts not comparable", Some(old)))),
            Err(parked) => Ok(Err(Some(parked))),
        }
    }

    /// Ends the original of a confirmed replacement, or asks people to (then it stays `Cancelling`).
    pub(super) async fn cancel(&self, replacement: &mut Replacement) -> Way<()> {
        // Between the confirmation and now anything may have happened.
        let (confirmed, proved, mut just_read) = self.prove(replacement, Duration::ZERO).await?;
        let Some(provider) = self.provider(replacement).cloned() else {
            if replacement.stage == Stage::Confirmed {
                let asked = Note::of(format!("{proved}; listed for people to cancel"));
                self.step(replacement, Stage::Cancelling, &asked).await?;
            }
            return Ok(());
        };
        let id = original_id(replacement)?;
        let mut tries = 0;
        loop {
            let original = match just_read.take() {
                Some(original) => Some(original),
                None => self.original(&*provider, &id).await?,
            };
            let Some(original) = original else {
                let detail = "the billing provider has no such subscription".to_owned();
                let parked = Parked { reason: ParkReason::OriginalNotFound, detail };
                return self.park(replacement, parked, &Note::default()).await;
            };
            if original.status.has_ended() {
                return self.ended(replacement, &original).await;
            }
            if tries == 0 {
                self.report(&original);
                if let Err(parked) = self.is_of_customer(&original, &replacement.payer_id).await? {
                    return self.park(replacement, parked, &Note::default()).await;
                }
            }
            if tries >= CANCELS_MAX {
                return Err(Left::Open("the original is still there after it was cancelled".to_owned()));
            }
            tries += 1;
            if self.reading.stop.ends_sending() {
                return Err(Left::Open("the run was stopped".to_owned()));
            }
            replacement.attempts = if replacement.stage == Stage::Cancelling { replacement.attempts + 1 } else { 1 };
            let before = Note::of(format!("{proved}; {}", described(&original)));
            self.step(replacement, Stage::Cancelling, &before).await?;
            self.end(replacement, &confirmed, &*provider, &id, tries).await?;
        }
    }

    /// The one place that cancels, and not without a proof. What became of it is read afterwards.
    async fn end(
        &self,
        replacement: &mut Replacement,
        confirmed: &Confirmed,
        provider: &dyn Provider,
        id: &OriginalId,
        tries: u32,
    ) -> Way<()> {
        assert_eq!(confirmed.subscription_id(), replacement.subscription_id, "a proof is of one replacement");
        self.tally.cancellations.add(1);
        let error = match provider.cancel(id).await {
            Ok(Cancelling::Cancelled { request_id }) => {
                return self.note(replacement, &Note::of("cancelled").with_request(request_id));
            }
            Ok(Cancelling::AlreadyCancelled) => return self.note(replacement, &Note::of("it was cancelled already")),
            Ok(Cancelling::NotFound) => return self.note(replacement, &Note::of("it was not found")),
            Err(error) => error,
        };
        let why = crate::pipeline::with_causes(&error);
        let request_id = match &error {
            ProviderError::Refused { request_id, .. } => request_id.clone(),
            _ => None,
        };
        self.note(replacement, &Note::of(why.clone()).with_request(request_id))?;
        match error.disposition() {
            Disposition::Again { after } | Disposition::ReadBack { after, may_repeat: true } => {
                self.again_after(tries, after, || why.clone()).await
            }
            Disposition::ReadBack { after, may_repeat: false } => {
                self.again_after(tries, after, || why.clone()).await?;
                match self.original(provider, id).await? {
                    Some(original) if !original.status.has_ended() => {
                        let parked = Parked { reason: ParkReason::CancelRefused, detail: why };
                        self.park(replacement, parked, &Note::default()).await
                    }
                    Some(_) | None => Ok(()),
                }
            }
            Disposition::Park => {
                let parked = Parked { reason: ParkReason::CancelRefused, detail: why };
                self.park(replacement, parked, &Note::default()).await
            }
            Disposition::Stop(stop) => Err(self.provider_stopped(stop, &error)),
        }
    }

    /// The original has ended: by us, or by somebody else in the meantime.
    async fn ended(&self, replacement: &mut Replacement, original: &Original) -> Way<()> {
        if replacement.stage == Stage::Confirmed {
            replacement.attempts = 0;
            let note = Note::of(format!("the original is {} already", original.status.as_str()));
            self.step(replacement, Stage::Cancelling, &note).await?;
        }
        let note = Note::of(format!("read back: the original is {}", original.status.as_str()));
        self.step(replacement, Stage::Cancelled, &note).await
    }

    fn report(&self, original: &Original) {
        if original.schedule_id.is_some() {
            self.tally.with_schedule.add(1);
        }
        if let PendingItems::Read { items, .. } = &original.pending_items
            && !items.is_empty()
        {
            self.tally.with_pending_items.add(1);
        }
    }
}

/// The original as it is before it ends, for the audit file.
fn described(original: &Original) -> String {
    let mut text = format!("the original is {}, of customer {}", original.status.as_str(), original.customer_id);
    if let Some(schedule) = &original.schedule_id {
        text.push_str(&format!(", under schedule {schedule}"));
    }
    match &original.pending_items {
        PendingItems::Unread => text.push_str(", pending invoice items not readable"),
        PendingItems::Read { items, .. } if items.is_empty() => {}
        PendingItems::Read { items, more } => {
            let sums: Vec<String> =
                items.iter().map(|item| format!("{} {} {}", item.id, item.amount_minor, item.currency)).collect();
            let more = if *more { " and more" } else { "" };
            text.push_str(&format!(", pending invoice items {}{more}", sums.join(", ")));
        }
    }
    text
}

fn original_id(replacement: &Replacement) -> Way<OriginalId> {
    OriginalId::parse(&replacement.original.id).map_err(|error| Left::Open(format!("its original's id {error}")))
}
