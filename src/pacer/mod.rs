//! Paces calls to a server: evenly, in the order of asking, and held back while the server asks for a pause.
//!
//! A waiter sleeps to the exact instant; the calculation is governor's GCRA on a clock of our own, so that tests which
//! pause tokio's time own this one too.

#[cfg(test)]
pub(crate) mod conformance;
mod shared;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::Quota;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use tokio::time::{Instant, sleep, sleep_until};

pub use shared::{InProcess, NoMoment, Shared, SharedRate};

/// The part of a published rate that is used. One request in a hundred is the room for answers that travel faster
/// than others, so that requests which left evenly arrive bunched.
pub const SHARE_OF_RATE: f64 = 0.99;

/// How far back a permit may be dated, to make up for a timer that fired late (tokio's has a grain of 1 ms).
const LATENESS: Duration = Duration::from_millis(5);

/// The time without calls that is made up for, a little faster than the pace: what was asked before the first of them (which
/// environment a key belongs to), or a source that paused. It is four calls in a thousand of a minute's: with [`SHARE_OF_RATE`]
/// six stay the room for those that arrive bunched. Up to 400 ms none of six limiters refused, half a second away.
const CATCH_UP: Duration = Duration::from_millis(250);

/// The shortest time between two calls, as a part of the usual, while time is made up for: no two leave at once.
const CATCH_UP_INTERVAL: f64 = 0.8;

/// Moments of a shared rate are taken for about so long ahead, and one at least: a way to whoever hands them out for each
/// call would be too slow for high rates.
const TAKEN_AHEAD: Duration = Duration::from_millis(50);

/// How long a shared rate is left alone after it could not be asked.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Lets calls through at a rate.
#[derive(Debug)]
pub struct Pacer {
    pace: Pace,
    paused_until: Mutex<Option<Instant>>,
    spent: AtomicU64,
}

type Limiter = governor::RateLimiter<NotKeyed, InMemoryState, PacingClock, NoOpMiddleware<Nanos>>;

#[derive(Debug)]
enum Pace {
    /// As fast as it goes.
    Free,
    /// This process's own.
    Own(OwnRate),
    /// Shared with other processes.
    Shared(Moments),
}

/// Moments that were taken of a shared rate.
#[derive(Debug)]
struct Moments {
    rate: SharedRate,
    interval: Duration,
    /// Those that are taken and not used yet. Held while waiting: tokio's mutex is fair, so permits go out in the order of
    /// asking.
    taken: tokio::sync::Mutex<VecDeque<Instant>>,
}

struct OwnRate {
    /// The pace, and how far a call may lag behind it.
    pace: Cadence,
    /// The shortest time between two calls; none where some may leave at once.
    gap: Option<Cadence>,
    origin: Instant,
    /// Held while waiting: tokio's mutex is fair, so permits go out in the order of asking.
    turn: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for OwnRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnRate")
    }
}

impl Pacer {
    /// Paces to [`SHARE_OF_RATE`] of `per_minute` calls a minute, or not at all; `burst` calls may leave at once after a
    /// time of rest.
    pub fn new(per_minute: Option<f64>, burst: NonZeroU32) -> Self {
        let own = per_minute.and_then(|per_minute| {
            let interval = interval_of(per_minute);
            let (lag, gap) = if burst == NonZeroU32::MIN {
                (CATCH_UP, Cadence::new(interval.mul_f64(CATCH_UP_INTERVAL), burst, LATENESS))
            } else {
                (LATENESS, None)
            };
            // No quota has an interval of nothing: more than a request each nanosecond is no limit.
            let pace = Cadence::new(interval, burst, lag)?;
            Some(OwnRate { pace, gap, origin: Instant::now(), turn: tokio::sync::Mutex::new(()) })
        });
        Self::at(own.map_or(Pace::Free, Pace::Own))
    }

    /// Paces to [`SHARE_OF_RATE`] of `per_minute` calls a minute, counted over all who share the rate.
    pub fn sharing(per_minute: f64, rate: SharedRate) -> Self {
        Self::at(Pace::Shared(Moments {
            rate,
            interval: interval_of(per_minute),
            taken: tokio::sync::Mutex::default(),
        }))
    }

    fn at(pace: Pace) -> Self {
        Self { pace, paused_until: Mutex::new(None), spent: AtomicU64::new(0) }
    }

    /// Waits for the next free moment, in order of asking. Dropping the future spends nothing, but for a moment of a shared
    /// rate.
    pub async fn acquire(&self) {
        match &self.pace {
            Pace::Own(own) => {
                let _turn = own.turn.lock().await;
                // The gap first: whoever gives up in between has taken nothing of the pace.
                for cadence in own.gap.iter().chain([&own.pace]) {
                    loop {
                        // A server that asked for a pause does not hear of the time before it ended.
                        let not_before = self.pause_over().await.unwrap_or(own.origin);
                        let Err(next) = cadence.check(own.origin, not_before) else { break };
                        // A pause may begin while this sleeps: it is looked for again.
                        sleep_until(next).await;
                    }
                }
            }
            Pace::Shared(moments) => moments.next(|| self.pause_left()).await,
            Pace::Free => drop(self.pause_over().await),
        }
        self.spent.fetch_add(1, Ordering::Relaxed);
    }

    /// Holds all calls back for `pause` from now: the server asked for it. Pauses don't add up: the latest end counts,
    /// so that many answers of one moment make one pause.
    pub fn pause(&self, pause: Duration) {
        let Some(until) = Instant::now().checked_add(pause) else { return };
        let mut paused_until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused_until = Some(paused_until.map_or(until, |earlier| earlier.max(until)));
    }

    /// Calls let through so far.
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    fn pause_left(&self) -> Duration {
        let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Waits for the end of a pause; answers when the last one ended.
    async fn pause_over(&self) -> Option<Instant> {
        loop {
            let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            match paused_until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                over => return over,
            }
        }
    }
}

impl Moments {
    /// Waits for the next moment that is ours and in no pause.
    async fn next(&self, pause_left: impl Fn() -> Duration) {
        let mut taken = self.taken.lock().await;
        loop {
            let Some(moment) = taken.pop_front() else {
                taken.extend(self.take(pause_left()).await);
                continue;
            };
            sleep_until(moment).await;
            if pause_left().is_zero() {
                return;
            }
            // A pause has begun since: what is taken lies in it, most likely, and the others shall hear of it.
            taken.clear();
        }
    }

    /// Takes moments for a short while. Without an answer it asks again: whoever waits here can be dropped.
    async fn take(&self, pause: Duration) -> impl Iterator<Item = Instant> {
        let number = (TAKEN_AHEAD.as_secs_f64() / self.interval.as_secs_f64()).clamp(1.0, 1e6) as u32;
        let wait = loop {
            match self.rate.from.take(&self.rate.name, self.interval, number, pause).await {
                Ok(wait) => break wait,
                Err(error) => {
                    tracing::warn!(error, "the shared rate limit could not be asked; nothing is sent until it can");
                    sleep(ASK_AGAIN).await;
                }
            }
        };
        let first = Instant::now() + wait;
        let interval = self.interval;
        (0..number).map(move |number| first + interval * number)
    }
}

/// The time between two calls.
fn interval_of(per_minute: f64) -> Duration {
    Duration::from_secs_f64((60.0 / (per_minute * SHARE_OF_RATE)).min(3600.0))
}

/// Moments that lie an interval apart.
struct Cadence {
    limiter: Limiter,
    clock: PacingClock,
    /// How far back a moment may be dated.
    lag: Duration,
}

impl Cadence {
    fn new(interval: Duration, burst: NonZeroU32, lag: Duration) -> Option<Self> {
        let quota = Quota::with_period(interval)?.allow_burst(burst);
        let clock = PacingClock::default();
        Some(Self { limiter: Limiter::direct_with_clock(quota, clock.clone()), clock, lag })
    }

    /// Takes the next moment, none before `not_before`, or says when it is.
    fn check(&self, origin: Instant, not_before: Instant) -> Result<(), Instant> {
        // Governor would count the next interval from the moment of waking, and lose each time what the timer was
        // late. So it is asked for a little earlier, and if the moment has come since, for the moment itself.
        let now = Instant::now().duration_since(origin);
        let first = now.saturating_sub(self.lag).max(not_before.duration_since(origin));
        self.clock.set(first.min(now));
        let Err(early) = self.limiter.check() else { return Ok(()) };
        let due = Duration::from_nanos(early.earliest_possible().as_u64());
        if due > now {
            return Err(origin + due);
        }
        self.clock.set(due);
        self.limiter.check().map_err(|later| origin + Duration::from_nanos(later.earliest_possible().as_u64()))
    }
}

/// The moment for which governor is asked, in nanoseconds since the pacer was made.
#[derive(Debug, Clone, Default)]
struct PacingClock(Arc<AtomicU64>);

impl PacingClock {
    fn set(&self, since_origin: Duration) {
        // 584 years of nanoseconds fit.
        self.0.store(u64::try_from(since_origin.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for PacingClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_leave_evenly_and_a_pause_holds_all_of_them_back() {
        let pacer = Pacer::new(Some(60.0 / SHARE_OF_RATE), NonZeroU32::MIN);
        let start = Instant::now();
        pacer.acquire().await;
        pacer.acquire().await;
        assert_eq!(start.elapsed().as_millis(), 1_000);
        pacer.pause(Duration::from_secs(7));
        pacer.pause(Duration::from_secs(2));
        pacer.acquire().await;
        assert_eq!(start.elapsed().as_millis(), 8_000);
        assert_eq!(pacer.spent(), 3);
    }

    /// Given a rate of ten calls a second, when the first call comes late, then a quarter of a second is made up for, each
    /// call at four fifths of the usual time after the one before, and no more than that.
    #[tokio::test(start_paused = true)]
    async fn a_late_start_is_made_up_for_without_calls_at_once() {
        let pacer = Pacer::new(Some(600.0 / SHARE_OF_RATE), NonZeroU32::MIN);
        let start = Instant::now();
        sleep(Duration::from_secs(10)).await;
        let mut left_ms = Vec::new();
        for _ in 0..17 {
            pacer.acquire().await;
            left_ms.push(start.elapsed().as_millis() - 10_000);
        }
        // The five milliseconds are what a late timer may make up for.
        assert_eq!(left_ms, [0, 75, 155, 235, 315, 395, 475, 555, 635, 715, 795, 875, 955, 1_050, 1_150, 1_250, 1_350]);
    }

    /// The server asked for the pause: the time of it is not made up for.
    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_pause_is_lost() {
        let pacer = Pacer::new(Some(600.0 / SHARE_OF_RATE), NonZeroU32::MIN);
        pacer.acquire().await;
        let start = Instant::now();
        pacer.pause(Duration::from_secs(7));
        for expected_ms in [7_000, 7_100, 7_200] {
            pacer.acquire().await;
            assert_eq!(start.elapsed().as_millis(), expected_ms);
        }
    }

    /// Over any minute, whatever the rests between: the rate's share, one that was due, and what may be made up for.
    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_calls_than_its_rate() {
        let mut most = 0;
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let pacer = Pacer::new(Some(600.0), NonZeroU32::MIN);
            let mut left = VecDeque::new();
            for _ in 0..3_000 {
                if random.u32(..100) == 0 {
                    sleep(Duration::from_millis(random.u64(..2_000))).await;
                }
                pacer.acquire().await;
                let now = Instant::now();
                left.push_back(now);
                left.retain(|at| now - *at < Duration::from_secs(60));
                most = most.max(left.len());
            }
            assert!(most <= 598, "{most} in a minute, seed {seed}");
        }
        assert!(most >= 594, "{most}");
    }
}
