//! Five ways to limit a rate, exact to the nanosecond of tokio's clock, since the API does not tell its own.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

use super::text::SettingError;

/// Every published limit is per minute (contract 6).
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// How requests are counted against a limit per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimiterKind {
    /// So many in each minute since the sandbox started.
    #[default]
    FixedWindow,
    /// So many in any 60 seconds.
    SlidingLog,
    /// This minute's count plus the last minute's share that still overlaps.
    SlidingCounter,
    /// A bucket that fills at the limit's rate.
    TokenBucket {
        /// Requests that can come at once after a pause.
        capacity: u32,
    },
}

impl LimiterKind {
    /// Names on the command line.
    pub const NAMES: &'static [&'static str] = &["fixed-window", "sliding-log", "sliding-counter", "token-bucket:N"];
}

/// Reads `fixed-window`, `sliding-log`, `sliding-counter` or `token-bucket:N`.
impl FromStr for LimiterKind {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match (text, text.strip_prefix("token-bucket:").and_then(|n| n.parse().ok()).filter(|n| *n > 0)) {
            ("fixed-window", _) => Ok(Self::FixedWindow),
            ("sliding-log", _) => Ok(Self::SlidingLog),
            ("sliding-counter", _) => Ok(Self::SlidingCounter),
            (_, Some(capacity)) => Ok(Self::TokenBucket { capacity }),
            _ => Err(SettingError::Choice { given: text.to_owned(), choices: Self::NAMES }),
        }
    }
}

/// One limit's state. Refused requests do not count.
#[derive(Debug)]
pub(crate) struct Limiter {
    per_minute: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Fixed { window: u64, used: u32 },
    Log(VecDeque<Instant>),
    Counter { window: u64, used: u32, before: u32 },
    Bucket { capacity: f64, tokens: f64, at: Instant },
}

impl Limiter {
    pub fn new(kind: LimiterKind, per_minute: u32, now: Instant) -> Self {
        let state = match kind {
            LimiterKind::FixedWindow => State::Fixed { window: 0, used: 0 },
            LimiterKind::SlidingLog => State::Log(VecDeque::new()),
            LimiterKind::SlidingCounter => State::Counter { window: 0, used: 0, before: 0 },
            LimiterKind::TokenBucket { capacity } => {
                State::Bucket { capacity: f64::from(capacity), tokens: f64::from(capacity), at: now }
            }
        };
        Self { per_minute, state }
    }

    /// Takes one request at `now`, of a sandbox that started at `start`.
    ///
    /// # Errors
    ///
    /// How long until one can pass.
    pub fn take(&mut self, start: Instant, now: Instant) -> Result<(), Duration> {
        let elapsed = now.saturating_duration_since(start);
        let this_window = u64::try_from(elapsed.as_nanos() / WINDOW.as_nanos()).unwrap_or(u64::MAX);
        let into_window = Duration::from_nanos(u64::try_from(elapsed.as_nanos() % WINDOW.as_nanos()).unwrap_or(0));
        let limit = self.per_minute;
        match &mut self.state {
            State::Fixed { window, used } => {
                if *window != this_window {
                    (*window, *used) = (this_window, 0);
                }
                if *used >= limit {
                    return Err(WINDOW - into_window);
                }
                *used += 1;
            }
            State::Log(log) => {
                while log.front().is_some_and(|first| now.saturating_duration_since(*first) >= WINDOW) {
                    log.pop_front();
                }
                if log.len() >= limit as usize {
                    return Err(log.front().map_or(WINDOW, |first| *first + WINDOW - now));
                }
                log.push_back(now);
            }
            State::Counter { window, used, before } => {
                if *window != this_window {
                    *before = if *window + 1 == this_window { *used } else { 0 };
                    (*window, *used) = (this_window, 0);
                }
                let share = 1.0 - into_window.as_secs_f64() / WINDOW.as_secs_f64();
                if f64::from(*before) * share + f64::from(*used) + 1.0 > f64::from(limit) {
                    return Err((WINDOW - into_window).min(WINDOW / limit.max(1)));
                }
                *used += 1;
            }
            State::Bucket { capacity, tokens, at } => {
                let per_second = f64::from(limit) / WINDOW.as_secs_f64();
                *tokens = (*tokens + now.saturating_duration_since(*at).as_secs_f64() * per_second).min(*capacity);
                *at = now;
                // A billionth of a token is rounding, not a request too early.
                if *tokens < 1.0 - 1e-9 {
                    return Err(Duration::from_secs_f64((1.0 - *tokens) / per_second));
                }
                *tokens -= 1.0;
            }
        }
        Ok(())
    }
}
