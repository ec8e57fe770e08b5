//! How an embedded environment behaves.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::catalog::Catalog;
use super::faults::Faults;
use super::limiter::LimiterKind;
use super::store::tasks::Pace;
use super::unknowns::Unknowns;
use super::wire::enums::EnvironmentType;

/// Settings of a sandbox. The default takes any key, any catalog id and any rate, answers at once, and has no faults.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// Id of the environment: a UUID, or any name (then its UUID is made from it). Default: `sandbox`.
    pub environment: String,
    /// What it is for. Default: development.
    pub environment_type: EnvironmentType,
    /// Keys that are accepted. Empty (default): any that is not empty. A key that starts with `client-` can only read.
    pub keys: Vec<String>,
    /// What is for sale. `None` (default): every plan, feature, add-on and currency id is known.
    pub catalog: Option<Catalog>,
    /// The published limits (contract 6) times this number. `None` (default): no limits.
    pub rate_scale: Option<f64>,
    /// How requests are counted against a limit. Default: fixed windows of a minute.
    pub limiter: LimiterKind,
    /// Time until an answer leaves; the work is done at its beginning. Default: none.
    pub latency: Duration,
    /// Up to this much more, drawn per request. Default: none.
    pub latency_jitter: Duration,
    /// What the documents leave open.
    pub unknowns: Unknowns,
    /// Random faults. Scripted ones: [`super::Sandbox::inject`].
    pub faults: Faults,
    /// Whether usage needs an active subscription of its customer and resource. `None` (default): if there is a catalog.
    pub usage_needs_subscription: Option<bool>,
    /// Customers that have to pay first when a subscription is provisioned, whatever is known of them. Default: none.
    /// With a catalog, so do customers without `billingId` and `paymentMethodId` on a paid plan.
    pub without_payment_method: BTreeSet<String>,
    /// How fast subscription imports work.
    pub import_pace: Pace,
    /// Rows on the largest page of a list. Default: 100 (contract 8: the API's own is not documented).
    pub page_size_max: usize,
    /// Largest request body, in bytes. Default: 16 MiB (the API's own is not documented).
    pub body_bytes_max: usize,
    /// Time of day when the sandbox starts. `None` (default): the machine's. It then moves with tokio's clock.
    pub started_at: Option<jiff::Timestamp>,
    /// Seed of random faults and of the jitter. Default: 0.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            environment: String::from("sandbox"),
            environment_type: EnvironmentType::Development,
            keys: Vec::new(),
            catalog: None,
            rate_scale: None,
            limiter: LimiterKind::default(),
            latency: Duration::ZERO,
            latency_jitter: Duration::ZERO,
            unknowns: Unknowns::default(),
            faults: Faults::default(),
            usage_needs_subscription: None,
            without_payment_method: BTreeSet::new(),
            import_pace: Pace::default(),
            page_size_max: 100,
            body_bytes_max: 16 * 1024 * 1024,
            started_at: None,
            seed: 0,
        }
    }
}

/// Without the keys: only how many there are.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("environment", &self.environment)
            .field("keys", &self.keys.len())
            .field("rate_scale", &self.rate_scale)
            .field("limiter", &self.limiter)
            .field("latency", &self.latency)
            .field("unknowns", &self.unknowns)
            .field("faults", &self.faults)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
