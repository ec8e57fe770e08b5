//! How runs go, in numbers for Prometheus.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use super::{Happened, Outcome, Watcher};
use crate::clock::Clock;
use crate::pipeline::{Event, Finished, Observer, Progress, StepSummary};

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Numbers = Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>;
type Number = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Upper bounds of the classes of run durations, in seconds: from a sync that finds nothing to an import of a day.
const DURATION_CLASSES_S: [f64; 12] =
    [0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 10_800.0, 28_800.0, 86_400.0];

/// How runs go, in numbers. It watches runs and their schedule.
pub struct Metrics {
    clock: Arc<dyn Clock>,
    registry: Registry,
    numbers: Gauges,
    state: Mutex<State>,
}

/// What is counted.
struct Gauges {
    records: Counters,
    rows: Counters,
    requests: Counters,
    reads: Counters,
    retries: Counters,
    throttled: Counters,
    open_records: Numbers,
    budget_share: Numbers,
    mark_lag: Numbers,
    open_batches: Number,
    runs: Counters,
    missed: Counter,
    failures: Number,
    running: Number,
    next_run: Number,
    last_success: Number,
    last_exit: Number,
    duration: Histogram,
}

#[derive(Default)]
struct State {
    /// The step that is going on.
    live: Option<Live>,
    /// How far the changes are read, by step: the mark, and the instant that it stands for.
    marks: BTreeMap<String, Timestamp>,
    ready: Ready,
}

/// Whether the last run did what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ready {
    /// No run is over yet.
    #[default]
    NotYet,
    /// It did.
    Yes,
    /// So many runs in a row did not.
    Failed(u32),
}

struct Live {
    step: String,
    progress: Arc<Progress>,
    per_minute: Option<f64>,
    began: Instant,
    counted: BTreeMap<&'static str, u64>,
}

impl Metrics {
    /// Nothing is counted yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let mut registry = Registry::with_prefix("stigg_import");
        let numbers = Gauges::register(&mut registry);
        Arc::new(Self { clock, registry, numbers, state: Mutex::default() })
    }

    /// Takes note of what a run that is over says of itself.
    pub fn finished(&self, finished: &Finished) {
        for step in &finished.summary.steps {
            if let Some(mark) = step.mark.as_deref().and_then(instant_of) {
                self.state().marks.insert(step.name.clone(), mark);
            }
        }
        self.numbers.open_batches.set(finished.open_batches as f64);
    }

    /// Takes note of a run's exit code.
    pub fn exit(&self, code: i32) {
        self.numbers.last_exit.set(f64::from(code));
    }

    /// The numbers of this moment, in the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut state = self.state();
        if let Some(live) = &mut state.live {
            self.numbers.absorb(live);
        }
        let now = self.clock.now();
        for (step, mark) in &state.marks {
            let lag = now.duration_since(*mark).as_secs_f64().max(0.0);
            self.numbers.mark_lag.get_or_create(&of_step(step)).set(lag);
        }
        drop(state);
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(super) fn ready(&self) -> Ready {
        self.state().ready
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gauges {
    fn register(registry: &mut Registry) -> Self {
        let numbers = Self {
            records: Counters::default(),
            rows: Counters::default(),
            requests: Counters::default(),
            reads: Counters::default(),
            retries: Counters::default(),
            throttled: Counters::default(),
            open_records: Numbers::default(),
            budget_share: Numbers::default(),
            mark_lag: Numbers::default(),
            open_batches: Number::default(),
            runs: Counters::default(),
            missed: Counter::default(),
            failures: Number::default(),
            running: Number::default(),
            next_run: Number::default(),
            last_success: Number::default(),
            last_exit: Number::default(),
            duration: Histogram::new(DURATION_CLASSES_S),
        };
        registry.register("records", "Records by step and by what became of them", numbers.records.clone());
        registry.register("rows", "Rows read, by step", numbers.rows.clone());
        registry.register("requests", "Write requests sent, retries included, by step", numbers.requests.clone());
        registry.register("reads", "Read requests sent, by step", numbers.reads.clone());
        registry.register("retries", "Write requests sent again after a fault, by step", numbers.retries.clone());
        registry.register("throttled", "Requests answered with \"slow down\", by step", numbers.throttled.clone());
        registry.register("open_records", "Records whose outcome is not known, by step", numbers.open_records.clone());
        registry.register(
            "budget_share",
            "Write requests as a share of those that the rate limit allows, 0 to 1, of the last run of a step or of the one \
             that is going on",
            numbers.budget_share.clone(),
        );
        registry.register_with_unit(
            "mark_lag",
            "Age of the newest change that is known to be delivered, by step, where it is a time",
            Unit::Seconds,
            numbers.mark_lag.clone(),
        );
        registry.register("open_batches", "Batches left open by the last run", numbers.open_batches.clone());
        registry.register("runs", "Runs by what they came to: done, failed, held", numbers.runs.clone());
        registry.register("missed", "Times of the schedule that passed without a run", numbers.missed.clone());
        registry.register("failures_in_a_row", "Failed runs since the last good one", numbers.failures.clone());
        registry.register("running", "1 while a run is going on", numbers.running.clone());
        registry.register_with_unit(
            "next_run_timestamp",
            "When the next run begins, in seconds since 1970",
            Unit::Seconds,
            numbers.next_run.clone(),
        );
        registry.register_with_unit(
            "last_success_timestamp",
            "When the last good run ended, in seconds since 1970; 0 if none did since the start",
            Unit::Seconds,
            numbers.last_success.clone(),
        );
        registry.register(
            "last_exit",
            "What the last run would have ended the process with",
            numbers.last_exit.clone(),
        );
        registry.register_with_unit("run_duration", "How long runs took", Unit::Seconds, numbers.duration.clone());
        // So that an alert on them finds them before the first run is over.
        for outcome in [Outcome::Done, Outcome::Failed, Outcome::Held] {
            let _ = numbers.runs.get_or_create(&vec![("outcome", word(outcome).to_owned())]);
        }
        numbers
    }

    /// Adds what a step has done since it was last looked at.
    fn absorb(&self, live: &mut Live) {
        let Live { step, progress, per_minute, began, counted } = live;
        let mut since = |what: &'static str, now: u64| {
            let before = counted.insert(what, now).unwrap_or_default();
            now.saturating_sub(before)
        };
        for (outcome, count) in [
            ("filtered", &progress.filtered),
            ("rejected", &progress.rejected),
            ("unchanged", &progress.unchanged),
            ("accepted", &progress.accepted),
            ("failed", &progress.failed),
        ] {
            let labels = vec![("step", step.clone()), ("outcome", outcome.to_owned())];
            self.records.get_or_create(&labels).inc_by(since(outcome, count.get()));
        }
        for (what, family, count) in [
            ("rows", &self.rows, &progress.rows),
            ("requests", &self.requests, &progress.requests),
            ("reads", &self.reads, &progress.reads),
            ("retries", &self.retries, &progress.retries),
            ("throttled", &self.throttled, &progress.throttled),
        ] {
            family.get_or_create(&of_step(step)).inc_by(since(what, count.get()));
        }
        self.open_records.get_or_create(&of_step(step)).set(progress.open.get() as f64);
        if let Some(per_minute) = per_minute {
            let minutes = began.elapsed().as_secs_f64() / 60.0;
            let share = progress.requests.get() as f64 / (minutes * *per_minute).max(1.0);
            self.budget_share.get_or_create(&of_step(step)).set(share.min(1.0));
        }
    }

    fn step_is_over(&self, summary: &StepSummary) {
        if let Some(share) = summary.budget_share {
            self.budget_share.get_or_create(&of_step(&summary.name)).set(share);
        }
    }
}

impl Observer for Metrics {
    fn event(&self, event: &Event) {
        match event {
            Event::StepStarted { name, progress, requests_per_minute, .. } => {
                self.state().live = Some(Live {
                    step: name.clone(),
                    progress: progress.clone(),
                    per_minute: *requests_per_minute,
                    began: Instant::now(),
                    counted: BTreeMap::new(),
                });
            }
            Event::StepFinished(summary) => {
                if let Some(mut live) = self.state().live.take() {
                    self.numbers.absorb(&mut live);
                }
                self.numbers.step_is_over(summary);
            }
            Event::Reading { .. }
            | Event::Resuming { .. }
            | Event::GoneFromSource { .. }
            | Event::NotAmongChanges { .. }
            | Event::Held { .. }
            | Event::Throttled { .. }
            | Event::Resending { .. }
            | Event::Splitting { .. }
            | Event::LeftOpen { .. } => {}
        }
    }
}

impl Watcher for Metrics {
    fn happened(&self, what: Happened) {
        match what {
            Happened::Waits { until, is_retry: _ } => {
                self.numbers.next_run.set(seconds(until));
            }
            Happened::Begins => {
                self.numbers.running.set(1.0);
            }
            Happened::Ended { outcome, took, failures } => {
                // A step that broke off has told no end.
                if let Some(mut live) = self.state().live.take() {
                    self.numbers.absorb(&mut live);
                }
                self.numbers.running.set(0.0);
                self.numbers.runs.get_or_create(&vec![("outcome", word(outcome).to_owned())]).inc();
                self.numbers.failures.set(f64::from(failures));
                match outcome {
                    Outcome::Done => {
                        self.numbers.last_success.set(seconds(self.clock.now()));
                        self.state().ready = Ready::Yes;
                    }
                    Outcome::Failed => self.state().ready = Ready::Failed(failures),
                    Outcome::Held => return,
                }
                self.numbers.duration.observe(Duration::as_secs_f64(&took));
            }
            Happened::Missed { times, .. } | Happened::HeldBack { times } => {
                self.numbers.missed.inc_by(u64::from(times));
            }
            Happened::ClockWentBack { .. } => {}
        }
    }
}

fn of_step(step: &str) -> Labels {
    vec![("step", step.to_owned())]
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Held => "held",
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// The instant that a mark stands for, if it is a time. One without a zone is taken for UTC.
fn instant_of(mark: &str) -> Option<Timestamp> {
    let zoned = mark.parse().ok();
    zoned.or_else(|| mark.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;
    use crate::entity::Entity;
    use crate::pipeline::Summary;

    fn samples(metrics: &Metrics, of: &str) -> Vec<String> {
        let text = metrics.text();
        let lines = text.lines().filter(|line| line.starts_with(&format!("stigg_import_{of}")));
        lines.map(str::to_owned).collect()
    }

    fn begin(metrics: &Metrics) -> Arc<Progress> {
        let progress = Arc::<Progress>::default();
        let started = Event::StepStarted {
            name: "usage".to_owned(),
            number: 1,
            steps: 1,
            entity: Entity::Usage,
            progress: progress.clone(),
            requests_per_minute: Some(600.0),
        };
        metrics.event(&started);
        progress
    }

    #[tokio::test(start_paused = true)]
    async fn counts_are_told_while_a_step_goes_on_and_each_once() {
        let clock = Arc::new(FixedClock::at(Timestamp::UNIX_EPOCH));
        let metrics = Metrics::new(clock.clone());
        // Given: a run of a minute, in the middle of it, at half of the rate.
        metrics.happened(Happened::Begins);
        let progress = begin(&metrics);
        progress.accepted.add(30_000);
        progress.requests.add(150);
        progress.open.add(7);
        tokio::time::advance(Duration::from_secs(30)).await;
        // Then
        assert_eq!(samples(&metrics, "running"), ["stigg_import_running 1.0"]);
        assert_eq!(samples(&metrics, "budget_share"), ["stigg_import_budget_share{step=\"usage\"} 0.5"]);
        assert_eq!(samples(&metrics, "open_records"), ["stigg_import_open_records{step=\"usage\"} 7.0"]);
        // When: it goes on, ends, and a second run adds to it.
        progress.accepted.add(20_000);
        progress.open.set(0);
        metrics.event(&Event::StepFinished(Box::new(StepSummary::new(
            "usage",
            Entity::Usage,
            50_000,
            &progress,
            60.0,
        ))));
        metrics.happened(Happened::Ended { outcome: Outcome::Done, took: Duration::from_secs(60), failures: 0 });
        let progress = begin(&metrics);
        progress.accepted.add(5);
        let accepted = "stigg_import_records_total{step=\"usage\",outcome=\"accepted\"} 50005";
        assert!(samples(&metrics, "records").contains(&accepted.to_owned()), "{}", metrics.text());
        assert_eq!(samples(&metrics, "open_records"), ["stigg_import_open_records{step=\"usage\"} 0.0"]);
        assert_eq!(samples(&metrics, "running"), ["stigg_import_running 0.0"]);
    }

    #[test]
    fn the_age_of_the_mark_grows_until_a_later_one_comes() {
        let at = |text: &str| -> Timestamp { text.parse().expect("an instant") };
        let clock = Arc::new(FixedClock::at(at("2026-05-01T12:00:00Z")));
        let metrics = Metrics::new(clock.clone());
        let finished = |mark: &str| {
            let mut step = StepSummary::new("usage", Entity::Usage, 0, &Progress::default(), 1.0);
            step.mark = Some(mark.to_owned());
            let summary = Summary { run: 1, ok: true, exit: 0, duration_s: 1.0, stopped: None, steps: vec![step] };
            metrics.finished(&Finished { summary, stopped: None, open_batches: 2, rejects: Vec::new() });
        };
        finished("2026-05-01 11:59:00");
        clock.set(at("2026-05-01T12:01:00Z"));
        assert_eq!(samples(&metrics, "mark_lag"), ["stigg_import_mark_lag_seconds{step=\"usage\"} 120.0"]);
        finished("2026-05-01T14:00:30+02:00");
        assert_eq!(samples(&metrics, "mark_lag"), ["stigg_import_mark_lag_seconds{step=\"usage\"} 30.0"]);
        // A number says nothing of time, and takes nothing away.
        finished("4711");
        assert_eq!(samples(&metrics, "mark_lag"), ["stigg_import_mark_lag_seconds{step=\"usage\"} 30.0"]);
        assert_eq!(samples(&metrics, "open_batches"), ["stigg_import_open_batches 2.0"]);
    }

    #[test]
    fn runs_are_counted_by_what_they_came_to_and_readiness_follows() {
        let clock = Arc::new(FixedClock::at("2026-05-01T12:00:00Z".parse().expect("an instant")));
        let metrics = Metrics::new(clock);
        assert_eq!(metrics.ready(), Ready::NotYet);
        let ended = |outcome, failures| Happened::Ended { outcome, took: Duration::from_secs(3), failures };
        metrics.happened(ended(Outcome::Failed, 1));
        assert_eq!(metrics.ready(), Ready::Failed(1));
        metrics.happened(ended(Outcome::Held, 1));
        assert_eq!(metrics.ready(), Ready::Failed(1), "what another does says nothing of ours");
        assert_eq!(samples(&metrics, "failures"), ["stigg_import_failures_in_a_row 1.0"]);
        metrics.happened(ended(Outcome::Done, 0));
        assert_eq!(metrics.ready(), Ready::Yes);
        assert_eq!(samples(&metrics, "last_success"), ["stigg_import_last_success_timestamp_seconds 1777636800.0"]);
        assert_eq!(samples(&metrics, "run_duration_seconds_count"), ["stigg_import_run_duration_seconds_count 2"]);
        metrics.happened(Happened::Missed { times: 3, run_took: None });
        metrics.happened(Happened::HeldBack { times: 2 });
        assert_eq!(samples(&metrics, "missed"), ["stigg_import_missed_total 5"]);
        assert_eq!(samples(&metrics, "runs").len(), 3);
    }
}
