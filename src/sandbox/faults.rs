//! Trouble on demand: scripted for the next matching requests, or at random with a seed.

use std::str::FromStr;
use std::time::Duration;

use super::text::{SettingError, parse_duration_ms, parse_probability, parse_switch};

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Refused with the rate-limit error. Nothing was done.
    RateLimited,
    /// HTTP 500 with an error body. Nothing was done.
    ServerErrorBefore,
    /// HTTP 500 with an error body. The work was done.
    ServerErrorAfter,
    /// The connection is cut without an answer. The work was done.
    LostAnswer,
    /// The connection is cut without an answer. Nothing was done.
    ResetBefore,
    /// The answer comes later. The work was done.
    Slow,
    /// The answer's body is cut off. The work was done.
    Truncated,
    /// No answer ever comes. Nothing was done.
    Silent,
    /// No answer ever comes. The work was done.
    SilentAfter,
    /// HTTP 502 with an HTML page of a proxy. Nothing was done.
    BadGateway,
    /// HTTP 502 with an HTML page of a proxy. The work was done.
    BadGatewayAfter,
    /// HTTP 200 with a body that is not JSON. The work was done.
    NotJson,
    /// The key is refused. Nothing was done.
    Unauthenticated,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::RateLimited,
        Self::ServerErrorBefore,
        Self::ServerErrorAfter,
        Self::LostAnswer,
        Self::ResetBefore,
        Self::Slow,
        Self::Truncated,
        Self::Silent,
        Self::SilentAfter,
        Self::BadGateway,
        Self::BadGatewayAfter,
        Self::NotJson,
        Self::Unauthenticated,
    ];

    /// The kinds' names, and the two settings that come with them.
    pub const NAMES: &'static [&'static str] = &[
        "rate-limited",
        "server-error-before",
        "server-error-after",
        "lost-answer",
        "reset-before",
        "slow",
        "truncated",
        "silent",
        "silent-after",
        "bad-gateway",
        "bad-gateway-after",
        "not-json",
        "unauthenticated",
        "slow-ms",
        "unauthenticated-after",
    ];

    /// Its name on the command line and in [`crate::sandbox::Stats`].
    pub fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    fn index(self) -> usize {
        match self {
            Self::RateLimited => 0,
            Self::ServerErrorBefore => 1,
            Self::ServerErrorAfter => 2,
            Self::LostAnswer => 3,
            Self::ResetBefore => 4,
            Self::Slow => 5,
            Self::Truncated => 6,
            Self::Silent => 7,
            Self::SilentAfter => 8,
            Self::BadGateway => 9,
            Self::BadGatewayAfter => 10,
            Self::NotJson => 11,
            Self::Unauthenticated => 12,
        }
    }

    /// Whether the work is done although the answer goes wrong.
    pub fn work_is_done(self) -> bool {
        match self {
            Self::ServerErrorAfter
            | Self::LostAnswer
            | Self::Slow
            | Self::Truncated
            | Self::SilentAfter
            | Self::BadGatewayAfter
            | Self::NotJson => true,
            Self::RateLimited
            | Self::ServerErrorBefore
            | Self::ResetBefore
            | Self::Silent
            | Self::BadGateway
            | Self::Unauthenticated => false,
        }
    }
}

impl FromStr for FaultKind {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| SettingError::Name { given: text.to_owned(), names: Self::NAMES })
    }
}

/// A scripted fault: it hits the next requests that match, before any random one is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Only requests with this root field or operation name. `None`: any.
    pub operation: Option<String>,
    /// How many requests it hits. Default of [`Fault::once`]: 1.
    pub times: u32,
    /// How many matching requests pass before it starts. Default: 0.
    pub skip: u32,
    /// Extra delay of [`FaultKind::Slow`], and the pause that [`FaultKind::RateLimited`] asks for. Default: 1 s.
    pub delay: Duration,
}

impl Fault {
    /// Hits the next request, whatever it is.
    pub fn once(kind: FaultKind) -> Self {
        Self { kind, operation: None, times: 1, skip: 0, delay: Duration::from_secs(1) }
    }

    /// Hits requests with this root field or operation name only.
    #[must_use]
    pub fn on(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Hits this many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Lets this many matching requests pass first.
    #[must_use]
    pub fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// The delay of a slow answer, or the pause that a rate-limit refusal asks for.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// Random faults: a probability from 0 to 1 for each kind, drawn per request. Default: none.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    probabilities: [f64; FaultKind::ALL.len()],
    /// Extra delay of a slow answer, and the pause that a random rate-limit refusal asks for. Default: 1 s.
    pub slow_delay: Duration,
    /// Refuse the key of every request after this many. Default: never.
    pub unauthenticated_after: Option<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            probabilities: [0.0; FaultKind::ALL.len()],
            slow_delay: Duration::from_secs(1),
            unauthenticated_after: None,
        }
    }
}

impl Faults {
    /// Sets the probability of a kind; out of range is clamped.
    #[must_use]
    pub fn with(mut self, kind: FaultKind, probability: f64) -> Self {
        self.probabilities[kind.index()] = probability.clamp(0.0, 1.0);
        self
    }

    /// The probability of a kind.
    pub fn probability(&self, kind: FaultKind) -> f64 {
        self.probabilities[kind.index()]
    }

    /// Sets one fault from `KIND=PROBABILITY`, `slow-ms=MILLISECONDS` or `unauthenticated-after=REQUESTS`.
    ///
    /// # Errors
    ///
    /// Says which names there are or what the number has to be. Nothing was changed.
    pub fn set(&mut self, setting: &str) -> Result<(), SettingError> {
        let (name, value) = parse_switch(setting, "KIND=PROBABILITY")?;
        match name {
            "slow-ms" => self.slow_delay = parse_duration_ms(value)?,
            "unauthenticated-after" => {
                self.unauthenticated_after =
                    Some(value.parse().map_err(|_| SettingError::Number {
                        given: value.to_owned(),
                        expected: "a number of requests",
                    })?);
            }
            _ => {
                let kind: FaultKind = name.parse()?;
                self.probabilities[kind.index()] = parse_probability(value)?;
            }
        }
        Ok(())
    }
}

/// Reads a comma-separated list of `KIND=PROBABILITY`; an empty text is no faults.
impl FromStr for Faults {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let mut faults = Self::default();
        for setting in text.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            faults.set(setting)?;
        }
        Ok(faults)
    }
}

/// Decides what goes wrong with each request.
#[derive(Debug)]
pub(crate) struct FaultBox {
    scripted: Vec<Fault>,
    random: Faults,
    rng: fastrand::Rng,
    requests: u64,
}

impl FaultBox {
    pub fn new(random: Faults, seed: u64) -> Self {
        Self { scripted: Vec::new(), random, rng: fastrand::Rng::with_seed(seed), requests: 0 }
    }

    pub fn inject(&mut self, fault: Fault) {
        self.scripted.push(fault);
    }

    /// The fault of the next request, whose root fields and operation name are `operations`.
    pub fn next<'a>(&mut self, operations: impl Iterator<Item = &'a str> + Clone) -> Option<(FaultKind, Duration)> {
        self.requests += 1;
        let mut hit = None;
        for fault in &mut self.scripted {
            let named = fault.operation.as_deref().is_none_or(|name| operations.clone().any(|other| other == name));
            if named && hit.is_none() {
                if fault.skip > 0 {
                    fault.skip -= 1;
                } else if fault.times > 0 {
                    fault.times -= 1;
                    hit = Some((fault.kind, fault.delay));
                }
            }
        }
        self.scripted.retain(|fault| fault.times > 0);
        if hit.is_none() && self.random.unauthenticated_after.is_some_and(|passed| self.requests > passed) {
            hit = Some((FaultKind::Unauthenticated, Duration::ZERO));
        }
        // Every kind is drawn for every request, so that one probability does not shift the draws of another.
        for kind in FaultKind::ALL {
            let drawn = self.rng.f64() < self.random.probability(kind);
            if drawn && hit.is_none() {
                hit = Some((kind, self.random.slow_delay));
            }
        }
        hit
    }
}
