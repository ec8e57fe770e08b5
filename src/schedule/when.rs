//! When a run is due: by a cron pattern in a zone, or at an interval.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Shortest interval. A run begins with a request to the API, of which there are 600 a minute.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// When runs are due.
#[derive(Debug, Clone)]
pub struct When(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Cron { cron: Box<Cron>, text: String, zone: TimeZone },
    Every(Duration),
}

/// Why there is no schedule.
#[derive(Debug, thiserror::Error)]
pub enum WhenError {
    /// The pattern is none.
    #[error("`{pattern}` is no cron pattern: {reason}")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The pattern fits no day of the years to come (30 February).
    #[error("`{pattern}` never comes")]
    Never {
        /// As it was written.
        pattern: String,
    },
    /// The zone is not known.
    #[error("`{zone}` is no time zone")]
    Zone {
        /// As it was written.
        zone: String,
        /// Why.
        #[source]
        source: jiff::Error,
    },
    /// The interval is shorter than [`INTERVAL_MIN`].
    #[error("runs can't follow one another faster than every second")]
    TooOften,
}

impl When {
    /// At the times of a cron pattern (five fields, or six with seconds in front; `@daily` and its like), in a zone.
    ///
    /// When the clocks go forward, a run at a time of day that does not exist comes at the first moment that does. When they
    /// go back, it comes once, at the first of the two; patterns that come again and again (`*/15 * * * *`) go on evenly.
    ///
    /// # Errors
    ///
    /// [`WhenError::Pattern`], [`WhenError::Never`].
    pub fn cron(pattern: &str, zone: TimeZone) -> Result<Self, WhenError> {
        let cron = Cron::from_str(pattern).map_err(|error| WhenError::Pattern {
            pattern: pattern.to_owned(),
            reason: first_clause(&error.to_string()),
        })?;
        let when = Self(Kind::Cron { cron: Box::new(cron), text: pattern.to_owned(), zone });
        // A pattern that fits no day fits none in the years after 2026 either.
        match when.next_after(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(when),
            None => Err(WhenError::Never { pattern: pattern.to_owned() }),
        }
    }

    /// At an interval, counted from the beginning.
    ///
    /// # Errors
    ///
    /// [`WhenError::TooOften`].
    pub fn every(interval: Duration) -> Result<Self, WhenError> {
        if interval < INTERVAL_MIN {
            return Err(WhenError::TooOften);
        }
        Ok(Self(Kind::Every(interval)))
    }

    /// A zone by its name in the IANA database, which is built in; or `local` for this machine's.
    ///
    /// # Errors
    ///
    /// [`WhenError::Zone`].
    pub fn zone(name: &str) -> Result<TimeZone, WhenError> {
        if name.eq_ignore_ascii_case("local") {
            return Ok(TimeZone::system());
        }
        TimeZone::get(name).map_err(|source| WhenError::Zone { zone: name.to_owned(), source })
    }

    /// The first moment after `now` at which a run is due; intervals count from `began`. None where the calendar ends.
    pub fn next_after(&self, began: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Cron { cron, zone, .. } => {
                let mut from = now.to_zoned(zone.clone());
                // The library looks at whole seconds, and may answer the second in which `from` is.
                loop {
                    let next = cron.find_next_occurrence(&from, false).ok()?;
                    if next.timestamp() > now {
                        return Some(next.timestamp());
                    }
                    from = next.checked_add(SignedDuration::from_secs(1)).ok()?;
                }
            }
            Kind::Every(interval) => {
                let interval_ns = i128::try_from(interval.as_nanos()).ok()?;
                let since_ns = now.as_nanosecond() - began.as_nanosecond();
                let intervals = since_ns.div_euclid(interval_ns) + 1;
                Timestamp::from_nanosecond(began.as_nanosecond() + intervals * interval_ns).ok()
            }
        }
    }

    /// Whether the first run begins at once instead of when it is due.
    pub fn begins_at_once(&self) -> bool {
        matches!(self.0, Kind::Every(_))
    }

    /// An instant in the schedule's zone, for people.
    pub fn shown(&self, at: Timestamp) -> String {
        let zone = match &self.0 {
            Kind::Cron { zone, .. } => zone.clone(),
            Kind::Every(_) => TimeZone::UTC,
        };
        at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Cron { text, zone, .. } => {
                write!(f, "at `{text}` ({})", zone.iana_name().unwrap_or("this machine's zone"))
            }
            Kind::Every(interval) => write!(f, "every {}", spoken(*interval)),
        }
    }
}

/// A duration in the largest units that say it exactly.
fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let mut parts = Vec::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)] {
        let number = match unit {
            "d" => seconds / length,
            "h" => seconds % 86_400 / length,
            "min" => seconds % 3_600 / length,
            _ => seconds % 60,
        };
        if number > 0 {
            parts.push(format!("{number} {unit}"));
        }
    }
    parts.join(" ")
}

/// The first clause of a library's message, without its full stop.
fn first_clause(message: &str) -> String {
    let message = message.split_once(": ").map_or(message, |(_, rest)| rest);
    message.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    /// The `n` moments after `from`.
    fn due(when: &When, from: &str, n: usize) -> Vec<String> {
        let mut now = at(from);
        (0..n)
            .map(|_| {
                now = when.next_after(at(from), now).expect("there is one");
                now.to_string()
            })
            .collect()
    }

    fn berlin(pattern: &str) -> When {
        When::cron(pattern, When::zone("Europe/Berlin").expect("known")).expect("a pattern")
    }

    #[test]
    fn a_pattern_counts_in_its_zone() {
        let night = berlin("30 3 * * *");
        assert_eq!(due(&night, "2026-01-10T12:00:00Z", 2), ["2026-01-11T02:30:00Z", "2026-01-12T02:30:00Z"]);
        assert_eq!(due(&night, "2026-07-10T12:00:00Z", 1), ["2026-07-11T01:30:00Z"]);
    }

    #[test]
    fn a_run_in_the_hour_that_is_left_out_comes_after_it_and_on_the_next_day_as_ever() {
        // Clocks go from 02:00 to 03:00 on 2026-03-29.
        let night = berlin("30 2 * * *");
        let told = due(&night, "2026-03-28T12:00:00Z", 2);
        assert_eq!(told, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn a_run_in_the_hour_that_comes_twice_comes_once() {
        // Clocks go from 03:00 back to 02:00 on 2026-10-25.
        let night = berlin("30 2 * * *");
        let told = due(&night, "2026-10-24T12:00:00Z", 2);
        assert_eq!(told, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        // And not again for one that starts between the two.
        assert_eq!(due(&night, "2026-10-25T00:45:00Z", 1), ["2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn a_pattern_that_comes_again_and_again_goes_on_evenly_when_the_clocks_change() {
        for from in ["2026-03-29T00:30:00Z", "2026-10-24T23:30:00Z"] {
            let told = due(&berlin("*/15 * * * *"), from, 12);
            for (n, told) in told.iter().enumerate() {
                let expected = at(from) + SignedDuration::from_mins(15 * (n as i64 + 1));
                assert_eq!(*told, expected.to_string(), "{n} after {from}");
            }
        }
    }

    #[test]
    fn a_moment_is_after_now_also_within_its_own_second() {
        let when = berlin("* * * * *");
        assert_eq!(due(&when, "2026-01-10T12:00:00.5Z", 1), ["2026-01-10T12:01:00Z"]);
        assert_eq!(due(&when, "2026-01-10T12:00:00Z", 1), ["2026-01-10T12:01:00Z"]);
    }

    #[test]
    fn an_interval_counts_from_the_beginning_whatever_the_clock_does_since() {
        let when = When::every(Duration::from_secs(900)).expect("an interval");
        let began = at("2026-01-10T12:07:00Z");
        let next = |now: &str| when.next_after(began, at(now)).expect("there is one").to_string();
        assert_eq!(next("2026-01-10T12:07:00Z"), "2026-01-10T12:22:00Z");
        assert_eq!(next("2026-01-10T12:21:59.999Z"), "2026-01-10T12:22:00Z");
        assert_eq!(next("2026-01-10T14:00:00Z"), "2026-01-10T14:07:00Z");
        assert_eq!(next("2025-12-31T23:59:00Z"), "2026-01-01T00:07:00Z", "a clock that was set back");
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        let told = |error: WhenError| error.to_string();
        let cron = |text: &str| told(When::cron(text, TimeZone::UTC).expect_err("no pattern"));
        insta::assert_snapshot!(cron("61 * * * *"), @r#"
        `61 * * * *` is no cron pattern: Number out of bounds
        "#);
        insta::assert_snapshot!(cron("every night"), @r#"
        `every night` is no cron pattern: Pattern must have between 5 and 7 fields
        "#);
        insta::assert_snapshot!(cron("0 0 30 2 *"), @r#"
        `0 0 30 2 *` never comes
        "#);
        insta::assert_snapshot!(cron(""), @r#"
        `` is no cron pattern: CronPattern cannot be an empty string
        "#);
        insta::assert_snapshot!(told(When::zone("Mars/Olympus").expect_err("no zone")), @r#"
        `Mars/Olympus` is no time zone
        "#);
        insta::assert_snapshot!(told(When::every(Duration::from_millis(1)).expect_err("too often")), @r#"
        runs can't follow one another faster than every second
        "#);
    }

    #[test]
    fn it_is_told_in_words() {
        assert_eq!(berlin("0 3 * * *").to_string(), "at `0 3 * * *` (Europe/Berlin)");
        assert_eq!(When::every(Duration::from_secs(5_400)).expect("an interval").to_string(), "every 1 h 30 min");
        let at = at("2026-07-01T01:00:00Z");
        assert_eq!(berlin("0 3 * * *").shown(at), "2026-07-01 03:00:00 CEST");
    }
}
