//! Six kinds of rate limiter that an API may have. None says which it is, so a client has to be
//! welcome at all of them.

use std::collections::VecDeque;
use std::time::Duration;

/// The window that limits are published for.
pub const WINDOW: Duration = Duration::from_secs(60);

/// What kind, as written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LimiterKind {
    /// A count that starts anew every full minute.
    FixedWindow,
    /// The requests of the last 60 seconds.
    SlidingLog,
    /// This minute's count and the share of the last minute's that still lies in the window.
    SlidingCounter,
    /// A bucket that holds a whole minute's requests.
    BucketMinute,
    /// A bucket that holds a tenth of a minute's.
    BucketTenth,
    /// A bucket that holds a sixtieth of a minute's: one second.
    BucketSecond,
}

/// Says yes or no to each request. Refused requests don't count against the limit.
#[derive(Debug)]
pub enum Limiter {
    /// See [`LimiterKind::FixedWindow`].
    FixedWindow { limit: u32, window: u64, count: u32 },
    /// See [`LimiterKind::SlidingLog`].
    SlidingLog { limit: u32, log: VecDeque<Duration> },
    /// See [`LimiterKind::SlidingCounter`].
    SlidingCounter { limit: u32, window: u64, count: u32, count_before: u32 },
    /// The three buckets.
    Bucket { capacity: f64, per_second: f64, tokens: f64, at: Duration },
}

impl Limiter {
    /// A limiter that takes `limit` requests in 60 seconds.
    pub fn new(kind: LimiterKind, limit: u32) -> Self {
        let bucket = |share: f64| {
            let capacity = (f64::from(limit) * share).max(1.0);
            Self::Bucket {
                capacity,
                per_second: f64::from(limit) / WINDOW.as_secs_f64(),
                tokens: capacity,
                at: Duration::ZERO,
            }
        };
        match kind {
            LimiterKind::FixedWindow => Self::FixedWindow { limit, window: 0, count: 0 },
            LimiterKind::SlidingLog => Self::SlidingLog { limit, log: VecDeque::new() },
            LimiterKind::SlidingCounter => Self::SlidingCounter { limit, window: 0, count: 0, count_before: 0 },
            LimiterKind::BucketMinute => bucket(1.0),
            LimiterKind::BucketTenth => bucket(0.1),
            LimiterKind::BucketSecond => bucket(1.0 / 60.0),
        }
    }

    /// Whether a request at `now` (since any fixed instant; windows start at its full minutes) passes.
    pub fn admit(&mut self, now: Duration) -> bool {
        match self {
            Self::FixedWindow { limit, window, count } => {
                let current = now.as_secs() / WINDOW.as_secs();
                if current != *window {
                    (*window, *count) = (current, 0);
                }
                let passes = *count < *limit;
                *count += u32::from(passes);
                passes
            }
            Self::SlidingLog { limit, log } => {
                while log.front().is_some_and(|sent| now.saturating_sub(*sent) >= WINDOW) {
                    log.pop_front();
                }
                let passes = log.len() < *limit as usize;
                if passes {
                    log.push_back(now);
                }
                passes
            }
            Self::SlidingCounter { limit, window, count, count_before } => {
                let current = now.as_secs() / WINDOW.as_secs();
                if current != *window {
                    *count_before = if current == *window + 1 { *count } else { 0 };
                    (*window, *count) = (current, 0);
                }
                let into_window = (now.as_secs_f64() / WINDOW.as_secs_f64()).fract();
                let estimate = f64::from(*count_before) * (1.0 - into_window) + f64::from(*count);
                let passes = estimate + 1.0 <= f64::from(*limit);
                *count += u32::from(passes);
                passes
            }
            Self::Bucket { capacity, per_second, tokens, at } => {
                *tokens = (*tokens + now.saturating_sub(*at).as_secs_f64() * *per_second).min(*capacity);
                *at = now.max(*at);
                let passes = *tokens >= 1.0;
                if passes {
                    *tokens -= 1.0;
                }
                passes
            }
        }
    }
}
