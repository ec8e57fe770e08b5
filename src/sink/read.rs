//! What the API answers, in our words.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// What became of a batch that was taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Submission {
    /// The API applied it before it answered.
    Applied {
        /// Positions of items that the answer leaves out although it names the others: to be read back.
        unanswered: Vec<usize>,
    },
    /// The API applies it from now on. Only reading back proves a record.
    Started {
        /// The task to follow, where the API named one.
        task: Option<String>,
    },
}

impl Submission {
    /// Applied, with nothing more to say.
    pub fn applied() -> Self {
        Self::Applied { unanswered: Vec::new() }
    }
}

/// How a finished task ended. Source of the members: `TaskStatus` of the GraphQL schema, client release 6.25.0, 2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// Every record.
    Completed,
    /// Some records.
    PartiallyFailed,
    /// None, or it broke off.
    Failed,
    /// Someone stopped it.
    Canceled,
}

/// How far an import task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// It waits or works.
    Running {
        /// Per cent, 0 to 100.
        progress: u8,
    },
    /// It ended. That proves no record: skipped ones are silent. Read back.
    Finished {
        /// How.
        status: TaskStatus,
        /// What failed: id of a sub-task (how it maps to a record is not documented; it may be a record's id) and
        /// message. At most [`TaskState::ERRORS_MAX`].
        errors: Vec<(String, String)>,
    },
    /// No task of that id is listed: it is too new, too old, or was never one.
    NotListed,
    /// The API does not let us read tasks. Read the records back instead.
    Unreadable {
        /// The API's words.
        reason: String,
    },
}

impl TaskState {
    /// Most errors kept of a task: the most records that started it.
    pub const ERRORS_MAX: usize = 1000;
}

/// Some entries of a list, in order of creation.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page begins, or `None` at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The only page.
    pub fn only(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// The same page of something else.
    pub(super) fn map<U>(self, of: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(of).collect(), next: self.next }
    }
}

/// A customer as the API has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadCustomer {
    /// Our id of it.
    pub customer_id: String,
    /// Name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Id at the billing provider.
    pub billing_id: Option<String>,
    /// Id in Salesforce.
    pub salesforce_id: Option<String>,
    /// Free metadata.
    pub metadata: Map<String, Value>,
    /// When the API changed it last.
    pub updated_at: Option<Timestamp>,
}

/// A subscription as the API has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadSubscription {
    /// Our id of it.
    pub subscription_id: String,
    /// Our id of the customer.
    pub customer_id: String,
    /// The plan.
    pub plan_id: String,
    /// Our id of the resource.
    pub resource_id: Option<String>,
    /// `ACTIVE`, `CANCELED`, `EXPIRED`, `IN_TRIAL`, `NOT_STARTED`, `PAYMENT_PENDING`.
    pub status: String,
    /// `CUSTOM`, `FREE`, `PAID`.
    pub pricing_type: String,
    /// Start.
    pub start_date: Option<Timestamp>,
    /// End, where one is set.
    pub end_date: Option<Timestamp>,
    /// `MONTHLY`, `ANNUALLY`.
    pub billing_period: Option<String>,
    /// Id at the billing provider.
    pub billing_id: Option<String>,
    /// Why the billing provider refused it.
    pub billing_sync_error: Option<String>,
    /// How far it is on its way to each system outside.
    pub sync_states: Vec<SyncState>,
    /// Id in Salesforce.
    pub salesforce_id: Option<String>,
    /// Free metadata.
    pub metadata: Map<String, Value>,
    /// Entitlements of its own.
    pub entitlements: Vec<ReadEntitlement>,
    /// Add-ons.
    pub addons: Vec<ReadAddon>,
    /// When the API made it.
    pub created_at: Option<Timestamp>,
}

/// How far a subscription is on its way to a system outside Stigg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncState {
    /// `STRIPE`, `ZUORA`, `SALESFORCE`, …
    pub vendor: String,
    /// `ERROR`, `NO_SYNC_REQUIRED`, `PENDING`, `SUCCESS`.
    pub status: String,
    /// What went wrong, bounded.
    pub error: Option<String>,
}

/// An add-on of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadAddon {
    /// The add-on.
    pub addon_id: String,
    /// How many.
    pub quantity: f64,
}

/// An entitlement of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadEntitlement {
    /// A feature.
    Feature {
        /// The feature.
        feature_id: String,
        /// The limit.
        usage_limit: Option<f64>,
        /// Whether there is none.
        unlimited: bool,
        /// `YEAR`, `MONTH`, `WEEK`, `DAY`, `HOUR`.
        reset_period: Option<String>,
    },
    /// Credits.
    Credit {
        /// The credit currency.
        currency_id: String,
        /// Credits for each cadence.
        amount: f64,
        /// `MONTH`, `YEAR`.
        cadence: String,
    },
    /// A kind that this release does not know.
    Other,
}

/// What a customer has used of a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadUsage {
    /// The feature.
    pub feature_id: String,
    /// The total of the present period.
    pub current_usage: Option<f64>,
    /// The limit.
    pub usage_limit: Option<f64>,
    /// Start of the present period.
    pub period_start: Option<Timestamp>,
    /// End of the present period.
    pub period_end: Option<Timestamp>,
}

/// An environment, as the API lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentEntry {
    /// Its id.
    pub id: String,
    /// Its short name.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// `DEVELOPMENT`, `PRODUCTION`, `SANDBOX`.
    pub kind: String,
}

/// A plan of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogPlan {
    /// Its id.
    pub plan_id: String,
    /// `DRAFT`, `PUBLISHED`, `ARCHIVED`.
    pub status: String,
    /// `CUSTOM`, `FREE`, `PAID`, or none while a draft.
    pub pricing_type: Option<String>,
    /// Its product.
    pub product_id: Option<String>,
    /// Whether a customer may have several subscriptions of the product, told apart by `resourceId`.
    pub multiple_subscriptions: bool,
}

/// A feature of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogFeature {
    /// Its id.
    pub feature_id: String,
    /// `BOOLEAN`, `ENUM`, `NUMBER`.
    pub feature_type: String,
    /// `Fluctuating`, `Incremental`, `None`.
    pub meter_type: Option<String>,
    /// `ACTIVE`, `NEW`, `SUSPENDED`.
    pub status: String,
    /// Whether it is fed by raw events: then it refuses reported usage.
    pub has_meter: bool,
}

/// An add-on of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogAddon {
    /// Its id.
    pub addon_id: String,
    /// `DRAFT`, `PUBLISHED`, `ARCHIVED`.
    pub status: String,
    /// Its product.
    pub product_id: Option<String>,
}

/// A credit currency of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogCurrency {
    /// Its id.
    pub currency_id: String,
    /// Whether it is archived.
    pub archived: bool,
}
