//! A paid subscription's way from its original at the billing provider to its replacement in Stigg, step by step.
//!
//! ```text
//!  planned ─► provisioning ─► provisioned ─► confirmed ─► cancelling ─► cancelled
//!     ▲            │               │             │             │
//!     └── parked ◄─┴───────────────┴─────────────┴─────────────┘
//! ```
//!
//! A step is durable before its effect: *provisioning* before the request that provisions, *cancelling* before the one
//! that cancels. [`Stage::may_become`] is the only place that says which step may follow which, and a ledger refuses any
//! other, so that nothing that was not confirmed is ever written down as being cancelled.

use std::fmt;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::LedgerError;
use crate::record::Fingerprint;

/// A subscription at a billing provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginalRef {
    /// The provider's name, as in mappings.
    pub provider: String,
    /// The subscription's id there.
    pub id: String,
}

/// A paid subscription that takes the place of an original, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Its id in Stigg.
    pub subscription_id: String,
    /// Its customer's id in Stigg.
    pub customer_id: String,
    /// Who pays for it, by its id in Stigg: the customer, unless another was named.
    pub payer_id: String,
    /// Its resource, where the customer has several subscriptions of a product.
    pub resource_id: Option<String>,
    /// Its plan.
    pub plan_id: String,
    /// What it takes the place of.
    pub original: OriginalRef,
    /// Fingerprint of the record that it was made from.
    pub content: Fingerprint,
    /// How far it is.
    pub stage: Stage,
    /// Its id at the billing provider, once that is known.
    pub billing_id: Option<String>,
    /// How often the present stage's request was sent, or was about to be.
    pub attempts: u32,
    /// When this step was written.
    pub changed_at: Timestamp,
}

/// How far a replacement is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing was sent.
    Planned,
    /// A request that provisions it was sent or is about to be; what became of it is not known.
    Provisioning,
    /// It is in Stigg. Nothing is proved.
    Provisioned,
    /// It was read back: active, at the provider under an id of its own, without a sync error.
    Confirmed,
    /// A request that cancels the original was sent or is about to be, or a person was asked to cancel it.
    Cancelling,
    /// The original has ended. The last stage.
    Cancelled,
    /// It goes no further until a person has looked.
    Parked(Parked),
}

/// Why a replacement goes no further.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parked {
    /// The kind.
    pub reason: ParkReason,
    /// In words, bounded; ids but no names.
    pub detail: String,
}

/// The kinds of reasons. `docs/cutover.md` says what to do about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParkReason {
    /// Stigg wants a payment first: nothing is active.
    PaymentRequired,
    /// Stigg refused to provision it.
    Refused,
    /// Stigg could not bring it to the billing provider.
    SyncError,
    /// It is in Stigg, and not active.
    NotActive,
    /// The provider has no such original.
    OriginalNotFound,
    /// The original had ended before it was replaced.
    OriginalCancelled,
    /// The original belongs to another customer of the provider than the replacement's.
    OtherCustomer,
    /// Stigg has another subscription under its id.
    OtherSubscription,
    /// Provisioning it would end another replacement of the same customer.
    WouldEndAnother,
    /// The provider charges another amount for the replacement than for the original.
    AmountsDiffer,
    /// The replacement has the original's id at the provider: cancelling would end both.
    SameAsOriginal,
    /// Whether it was provisioned could not be found out.
    Unresolved,
    /// The provider refused to cancel the original.
    CancelRefused,
}

impl ParkReason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::PaymentRequired,
        Self::Refused,
        Self::SyncError,
        Self::NotActive,
        Self::OriginalNotFound,
        Self::OriginalCancelled,
        Self::OtherCustomer,
        Self::OtherSubscription,
        Self::WouldEndAnother,
        Self::AmountsDiffer,
        Self::SameAsOriginal,
        Self::Unresolved,
        Self::CancelRefused,
    ];

    /// Its name in the ledger, in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::PaymentRequired => "payment-required",
            Self::Refused => "refused",
            Self::SyncError => "sync-error",
            Self::NotActive => "not-active",
            Self::OriginalNotFound => "original-not-found",
            Self::OriginalCancelled => "original-cancelled",
            Self::OtherCustomer => "other-customer",
            Self::OtherSubscription => "other-subscription",
            Self::WouldEndAnother => "would-end-another",
            Self::AmountsDiffer => "amounts-differ",
            Self::SameAsOriginal => "same-as-original",
            Self::Unresolved => "unresolved",
            Self::CancelRefused => "cancel-refused",
        }
    }

    /// The reason of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for ParkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Stage {
    /// Their names, in the order of the way.
    pub const NAMES: [&'static str; 7] =
        ["planned", "provisioning", "provisioned", "confirmed", "cancelling", "cancelled", "parked"];

    /// Its name in the ledger and in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Provisioning => "provisioning",
            Self::Provisioned => "provisioned",
            Self::Confirmed => "confirmed",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Parked(_) => "parked",
        }
    }

    /// Why it is parked; none where it is not.
    pub fn parked(&self) -> Option<&Parked> {
        match self {
            Self::Parked(parked) => Some(parked),
            Self::Planned
            | Self::Provisioning
            | Self::Provisioned
            | Self::Confirmed
            | Self::Cancelling
            | Self::Cancelled => None,
        }
    }

    /// The stage of a name; a parked one needs its reason.
    pub fn of_name(name: &str, parked: Option<Parked>) -> Option<Self> {
        match (name, parked) {
            ("planned", None) => Some(Self::Planned),
            ("provisioning", None) => Some(Self::Provisioning),
            ("provisioned", None) => Some(Self::Provisioned),
            ("confirmed", None) => Some(Self::Confirmed),
            ("cancelling", None) => Some(Self::Cancelling),
            ("cancelled", None) => Some(Self::Cancelled),
            ("parked", Some(parked)) => Some(Self::Parked(parked)),
            _ => None,
        }
    }

    /// Whether `next` may follow. Sending again is a step of its own, so *provisioning* and *cancelling* may follow
    /// themselves. A parked one begins anew: every step reads before it writes, so that what is there is found.
    pub fn may_become(&self, next: &Self) -> bool {
        match self {
            Self::Planned => {
                matches!(next, Self::Planned | Self::Provisioning | Self::Provisioned | Self::Parked(_))
            }
            Self::Provisioning => matches!(next, Self::Provisioning | Self::Provisioned | Self::Parked(_)),
            Self::Provisioned => matches!(next, Self::Confirmed | Self::Parked(_)),
            Self::Confirmed => matches!(next, Self::Cancelling | Self::Parked(_)),
            Self::Cancelling => matches!(next, Self::Cancelling | Self::Cancelled | Self::Parked(_)),
            Self::Cancelled => false,
            Self::Parked(_) => matches!(next, Self::Planned),
        }
    }
}

impl Replacement {
    /// Why `next` can't follow what is written (`before`; none at first), where it can't.
    pub(super) fn refuses(before: Option<&Self>, next: &Self) -> Option<LedgerError> {
        let refused = |from: &'static str| LedgerError::StepRefused {
            subscription: next.subscription_id.clone(),
            from,
            to: next.stage.name(),
        };
        let Some(before) = before else {
            return (next.stage != Stage::Planned).then(|| refused("unknown"));
        };
        // What it is for may only change while nothing was sent for it.
        let replanned = matches!(next.stage, Stage::Planned);
        let same = before.original == next.original
            && before.customer_id == next.customer_id
            && before.payer_id == next.payer_id
            && before.resource_id == next.resource_id
            && before.plan_id == next.plan_id;
        (!before.stage.may_become(&next.stage) || !(same || replanned)).then(|| refused(before.stage.name()))
    }
}

/// How many replacements are at a stage, with a reason where they are parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageCount {
    /// The stage's name.
    pub stage: &'static str,
    /// Why they are parked; none at the other stages.
    pub reason: Option<ParkReason>,
    /// How many.
    pub count: u64,
}

/// Remembers how far each paid subscription is. One process writes at a time ([`super::RunLock`]).
///
/// `target` names the environment, as in a [`super::Scope`].
pub trait Replacements: Send + Sync {
    /// One replacement; none where it was never planned.
    fn replacement<'a>(
        &'a self,
        target: &'a str,
        subscription_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>>;

    /// The replacement of an original, under whatever id.
    fn replacement_of<'a>(
        &'a self,
        target: &'a str,
        original: &'a OriginalRef,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>>;

    /// The replacement that is the subscription `billing_id` at the billing provider.
    fn replacement_billed_as<'a>(
        &'a self,
        target: &'a str,
        billing_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Replacement>, LedgerError>>;

    /// All of a customer, in order of their ids.
    fn replacements_of_customer<'a>(
        &'a self,
        target: &'a str,
        customer_id: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Replacement>, LedgerError>>;

    /// Up to `limit` whose id comes after `after`, in order of their ids, whatever their stage.
    fn replacements<'a>(
        &'a self,
        target: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Replacement>, LedgerError>>;

    /// Writes a step. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError::StepRefused`] where [`Stage::may_become`] says no, or what the replacement is for has changed after
    /// it was planned; [`LedgerError::OriginalTaken`] where another has the original. Nothing was written then, nor
    /// after any other error.
    fn write_step<'a>(&'a self, target: &'a str, next: &'a Replacement) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// How many are where, in the order of the way.
    fn stage_counts<'a>(&'a self, target: &'a str) -> BoxFuture<'a, Result<Vec<StageCount>, LedgerError>>;

    /// The targets that have any, in order.
    fn replacement_targets(&self) -> BoxFuture<'_, Result<Vec<String>, LedgerError>>;
}

/// What a cutover writes into: runs, and how far each paid subscription is.
pub trait CutoverLedger: super::Ledger + Replacements {}

impl<L: super::Ledger + Replacements> CutoverLedger for L {}

/// Counts in the order of the way, from each replacement's stage.
pub(super) fn counted<'a>(stages: impl Iterator<Item = &'a Stage>) -> Vec<StageCount> {
    let mut counts = std::collections::BTreeMap::new();
    for stage in stages {
        let reason = stage.parked().map(|parked| parked.reason);
        let position = Stage::NAMES.iter().position(|name| *name == stage.name());
        *counts.entry((position, reason)).or_insert(0) += 1;
    }
    counts
        .into_iter()
        .filter_map(|((position, reason), count)| Some(StageCount { stage: Stage::NAMES[position?], reason, count }))
        .collect()
}
