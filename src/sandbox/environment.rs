//! An environment at work: its state, its clock, its limits and its counters, behind locks that are held only briefly.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::catalog::Shelf;
use super::faults::FaultBox;
use super::limits::Limits;
use super::settings::Settings;
use super::stats::Counters;
use super::store::Store;
use super::stripe::StripeAccount;
use super::unknowns::Unknowns;
use super::wire::enums::EnvironmentType;
use super::wire::scalars::Uuid;
use super::wire::view::View;

/// Everything that requests share. It does not print itself: it holds keys.
pub(crate) struct Environment {
    pub id: Uuid,
    pub name: String,
    pub environment_type: EnvironmentType,
    pub unknowns: Unknowns,
    pub keys: Vec<String>,
    pub page_size_max: usize,
    pub body_bytes_max: usize,
    latency: Duration,
    latency_jitter: Duration,
    start: Instant,
    start_ms: i64,
    store: Mutex<Store>,
    pub limits: Mutex<Limits>,
    pub faults: Mutex<FaultBox>,
    pub counters: Mutex<Counters>,
    jitter: Mutex<fastrand::Rng>,
    pub stripe: StripeAccount,
}

/// Locks. A panic elsewhere leaves counts and records that are whole, so a poisoned lock is taken as it is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Environment {
    pub fn new(settings: Settings) -> Self {
        let start = Instant::now();
        let start_ms = settings.started_at.unwrap_or_else(jiff::Timestamp::now).as_millisecond();
        let id = uuid::Uuid::parse_str(&settings.environment)
            .map_or_else(|_| Uuid::of("environment", &settings.environment), |id| Uuid(id.to_string()));
        let store = Store {
            usage_needs_subscription: settings.usage_needs_subscription.unwrap_or(settings.catalog.is_some()),
            shelf: Shelf::new(settings.catalog),
            unknowns: settings.unknowns.clone(),
            pace: settings.import_pace,
            without_payment_method: settings.without_payment_method,
            ..Store::default()
        };
        let limits = Limits::new(settings.rate_scale, settings.limiter, settings.unknowns.rate_limit_by, start);
        let stripe = StripeAccount::new(settings.rate_scale, settings.faults.clone(), settings.seed);
        Self {
            stripe,
            id,
            name: settings.environment,
            environment_type: settings.environment_type,
            unknowns: settings.unknowns,
            keys: settings.keys,
            page_size_max: settings.page_size_max,
            body_bytes_max: settings.body_bytes_max,
            latency: settings.latency,
            latency_jitter: settings.latency_jitter,
            start,
            start_ms,
            store: Mutex::new(store),
            limits: Mutex::new(limits),
            faults: Mutex::new(FaultBox::new(settings.faults, settings.seed)),
            counters: Mutex::new(Counters::default()),
            jitter: Mutex::new(fastrand::Rng::with_seed(settings.seed ^ 0x6a69_7474_6572)),
        }
    }

    /// The time of day, in milliseconds since 1970: it moves with tokio's clock.
    pub fn now_ms(&self) -> i64 {
        let elapsed = Instant::now().saturating_duration_since(self.start);
        self.start_ms.saturating_add(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// The state, caught up to now, and the time.
    pub fn store(&self) -> (MutexGuard<'_, Store>, i64) {
        let mut store = lock(&self.store);
        let now_ms = self.now_ms();
        store.catch_up(now_ms);
        (store, now_ms)
    }

    /// The state as the API shows it.
    pub fn view<'a>(&'a self, store: &'a Store, now_ms: i64) -> View<'a> {
        View { store, environment: &self.id, since_ms: self.start_ms, now_ms }
    }

    /// How long the next answer takes.
    pub fn next_latency(&self) -> Duration {
        if self.latency_jitter.is_zero() {
            return self.latency;
        }
        self.latency + self.latency_jitter.mul_f64(lock(&self.jitter).f64())
    }
}
