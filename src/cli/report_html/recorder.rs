//! Looks at a run while it goes on, for the chart, and passes everything on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::series::{FIRST_WIDTH, Series};
use crate::pipeline::{Event, Observer, Unwatched};

/// What was seen.
#[derive(Debug, Default, Clone)]
pub(in crate::cli) struct Seen {
    pub(super) lines: Vec<Line>,
    pub(super) pauses: u64,
    pub(super) paused: Duration,
}

/// Write requests of one step over time.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub name: String,
    /// When it began, after the first of all.
    pub began_s: f64,
    /// Most requests a minute; none where the rate is not limited.
    pub per_minute: Option<f64>,
    pub requests: Series,
}

/// Watches a run.
pub(in crate::cli) struct Recorder {
    inner: Arc<dyn Observer>,
    began: Instant,
    seen: Arc<Mutex<Seen>>,
    looking: Mutex<Option<Looking>>,
}

/// What is looked at again and again.
type Counter = Arc<dyn Fn() -> u64 + Send + Sync>;

struct Looking {
    ticker: JoinHandle<()>,
    began: Instant,
    counter: Counter,
}

impl Recorder {
    /// Passes all events on to `inner`.
    pub(in crate::cli) fn new(inner: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self { inner, began: Instant::now(), seen: Arc::default(), looking: Mutex::new(None) })
    }

    /// For what tells no events.
    pub(in crate::cli) fn alone() -> Arc<Self> {
        Self::new(Arc::new(Unwatched))
    }

    /// What was seen until now.
    pub(in crate::cli) fn seen(&self) -> Seen {
        locked(&self.seen).clone()
    }

    /// Looks at `counter`, requests of what `name` says, until [`Self::end`].
    pub(in crate::cli) fn begin(
        &self,
        name: &str,
        per_minute: Option<f64>,
        counter: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.end();
        let began = Instant::now();
        let began_s = began.duration_since(self.began).as_secs_f64();
        let line = Line { name: name.to_owned(), began_s, per_minute, requests: Series::default() };
        locked(&self.seen).lines.push(line);
        let counter: Counter = Arc::new(counter);
        let (seen, looked_at) = (self.seen.clone(), counter.clone());
        let ticker = tokio::spawn(async move {
            loop {
                tokio::time::sleep(FIRST_WIDTH).await;
                look(&seen, began, &looked_at);
            }
        });
        *locked(&self.looking) = Some(Looking { ticker, began, counter });
    }

    /// Looks for the last time.
    pub(in crate::cli) fn end(&self) {
        if let Some(looking) = locked(&self.looking).take() {
            looking.ticker.abort();
            look(&self.seen, looking.began, &looking.counter);
        }
    }
}

impl Observer for Recorder {
    fn event(&self, event: &Event) {
        match event {
            Event::StepStarted { name, progress, requests_per_minute, .. } => {
                let progress = progress.clone();
                self.begin(name, *requests_per_minute, move || progress.requests.get());
            }
            Event::StepFinished(_) => self.end(),
            Event::Throttled { pause } => {
                let mut seen = locked(&self.seen);
                seen.pauses += 1;
                seen.paused += *pause;
            }
            Event::Reading { .. }
            | Event::Resuming { .. }
            | Event::GoneFromSource { .. }
            | Event::NotAmongChanges { .. }
            | Event::Held { .. }
            | Event::Resending { .. }
            | Event::Splitting { .. }
            | Event::LeftOpen { .. } => {}
        }
        self.inner.event(event);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

fn look(seen: &Mutex<Seen>, began: Instant, counter: &Counter) {
    if let Some(line) = locked(seen).lines.last_mut() {
        line.requests.saw(began.elapsed(), counter());
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::pipeline::{Progress, StepSummary};

    #[tokio::test(start_paused = true)]
    async fn each_step_has_a_line_of_its_own_from_its_begin_to_its_end() {
        // Given
        let recorder = Recorder::new(Arc::new(Unwatched));
        let progress = Arc::new(Progress::default());
        let started = |name: &str| Event::StepStarted {
            name: name.to_owned(),
            number: 1,
            steps: 2,
            entity: Entity::Customer,
            progress: progress.clone(),
            requests_per_minute: Some(250.0),
        };
        // When: a step of two seconds with eight requests, and one of which only the beginning is seen.
        recorder.event(&started("first"));
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            progress.requests.add(1);
        }
        recorder.event(&Event::StepFinished(Box::new(StepSummary::new("first", Entity::Customer, 0, &progress, 2.0))));
        tokio::time::sleep(Duration::from_secs(3)).await;
        recorder.event(&Event::Throttled { pause: Duration::from_secs(7) });
        recorder.event(&started("second"));
        // Then
        let seen = recorder.seen();
        let count = |line: &Line| line.requests.windows(1.0, 100).iter().map(|window| window.count).sum::<f64>();
        assert_eq!(seen.lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        assert!((count(&seen.lines[0]) - 8.0).abs() < 1e-9, "{seen:?}");
        assert_eq!((seen.lines[0].requests.end_s(), seen.lines[1].began_s), (2.0, 5.0));
        assert_eq!((seen.pauses, seen.paused), (1, Duration::from_secs(7)));
    }
}
