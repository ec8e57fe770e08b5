//! The words of `sync`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::{ArgGroup, Args};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cli::args;
use crate::cli::exit::{Exit, Failure};
use crate::schedule::{Backoff, Settings, When, WhenError};

pub(in crate::cli) const LONG_ABOUT: &str = "\
Runs a pipeline again and again: at the times of a cron pattern, at an interval, or once under a scheduler of your own. \
Each run sends what has changed since the last, as `run` does.

Two runs over one ledger never overlap, whoever starts them: the second finds the ledger held and does nothing. A run that \
takes longer than the time between two starts leaves starts out, and says so. A failed run is tried again after a minute, \
then after two, four, up to an hour. The pipeline and mapping files are read again for each run.

An interrupt (Ctrl-C, SIGTERM) settles what is in flight and ends with 0 between two runs, with 4 in the middle of one. \
After too many failures in a row it ends with the exit code of the last.";

pub(in crate::cli) const EXAMPLES: &str = "Examples:
  stigg-import sync pipeline.toml --cron '30 2 * * *' --zone Europe/Berlin
  stigg-import sync pipeline.toml --every 15m --metrics 127.0.0.1:9464
  stigg-import sync pipeline.toml --once
  stigg-import sync pipeline.toml --every 5m --jitter 30s --log-format json";

/// `sync`
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("when").required(true).args(["cron", "every", "once"])))]
pub struct Sync {
    /// Data and mapping.
    #[command(flatten)]
    pub input: args::Input,
    /// Run at the times of this cron pattern: minute, hour, day, month, weekday
    #[arg(long, value_name = "PATTERN")]
    pub cron: Option<String>,
    /// The zone that the pattern's times are in [default: UTC]; `local` is this machine's
    #[arg(long, value_name = "ZONE", requires = "cron")]
    pub zone: Option<String>,
    /// Run at once, and then at this interval (15m, 1h30m)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub every: Option<Duration>,
    /// Run once, now: for cron, systemd timers and Kubernetes. Ends as `run` does
    #[arg(long)]
    pub once: bool,
    /// With --cron: run at once, too
    #[arg(long, requires = "cron")]
    pub now: bool,
    /// Begin each run up to this much later, at random
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration, conflicts_with = "once")]
    pub jitter: Duration,
    /// Try a failed run again after this long; it doubles with each further failure, up to an hour
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration, conflicts_with = "once")]
    pub retry_after: Duration,
    /// End after this many failed runs in a row; 0 never ends
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "once")]
    pub failures_max: u32,
    /// Forget runs that ended longer ago than this many days, and delete their rejects files
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub keep_days: u32,
    /// Answer Prometheus on this address (/metrics), and supervisors (/healthz, /readyz)
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Target and rate.
    #[command(flatten)]
    pub target: args::Target,
    /// Ledger.
    #[command(flatten)]
    pub ledger: args::LedgerAt,
    /// Part.
    #[command(flatten)]
    pub shard: args::Shard,
    /// Stop a run after this many rejects, or this share of the rows (5 %)
    #[arg(long, value_name = "N|N%")]
    pub max_rejects: Option<String>,
    /// Read all rows in each run, also where `changed` would leave some out
    #[arg(long)]
    pub full: bool,
    /// Report, written again after each run.
    #[command(flatten)]
    pub report: args::Report,
}

impl Sync {
    /// How runs follow one another; none with `--once`.
    ///
    /// # Errors
    ///
    /// The pattern, its zone or the interval does not hold.
    pub(super) fn settings(&self) -> Result<Option<Settings>, Failure> {
        let when = match (&self.cron, self.every) {
            (Some(pattern), _) => self.zone().and_then(|zone| When::cron(pattern, zone)),
            (None, Some(interval)) => When::every(interval),
            // The words' group takes one of the three.
            (None, None) => return Ok(None),
        };
        Ok(Some(Settings {
            when: when.map_err(|error| not_a_schedule(&error))?,
            jitter: self.jitter,
            backoff: Backoff { first: self.retry_after, ..Backoff::default() },
            failures_max: NonZeroU32::new(self.failures_max),
            at_once: self.now,
        }))
    }

    /// Runs that ended before this are forgotten.
    pub(super) fn keeps_since(&self, now: Timestamp) -> Timestamp {
        now.checked_sub(SignedDuration::from_hours(24 * i64::from(self.keep_days))).unwrap_or(Timestamp::MIN)
    }

    fn zone(&self) -> Result<TimeZone, WhenError> {
        self.zone.as_deref().map_or(Ok(TimeZone::UTC), When::zone)
    }
}

fn not_a_schedule(error: &WhenError) -> Failure {
    Failure::of(Exit::Arguments, error).hint(match error {
        WhenError::Pattern { .. } | WhenError::Never { .. } => {
            "a pattern has minute, hour, day, month and weekday: --cron '30 2 * * *' is every night at half past two"
        }
        WhenError::Zone { .. } => "zones are named as in the IANA database: --zone Europe/Berlin, --zone UTC",
        WhenError::TooOften => "--every takes a time from 1s on: 90s, 15m, 1h30m",
    })
}

/// A time as people write it: 90s, 15m, 1h30m, 1d.
fn duration(text: &str) -> Result<Duration, String> {
    let none = || format!("`{text}` is no time; write 90s, 15m or 1h30m");
    let span: jiff::Span = text.trim().parse().map_err(|_| none())?;
    let signed = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| none())?;
    Duration::try_from(signed).map_err(|_| none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_as_people_write_them() {
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("90 s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for text in ["", "15", "-5m", "soon", "1 month"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
