//! How long an answer asks to wait.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::clock::Clock;

/// Longest pause that is taken from an answer. A longer one is cut to it, so that a wrong header can't stop a run for
/// days: whoever waited asks again, and is told again.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The pause that an answer asks for: `retry-after-ms`, or `retry-after` in seconds or as a date; at most [`RETRY_AFTER_MAX`].
pub fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str, unit_s: f64| {
        let seconds = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)? * unit_s;
        Some(Duration::from_secs_f64(seconds.min(RETRY_AFTER_MAX.as_secs_f64())))
    };
    if let Some(pause) = text(RETRY_AFTER_MS).and_then(|text| number(text, 0.001)) {
        return Some(pause);
    }
    let after = text(RETRY_AFTER)?;
    number(after, 1.0).or_else(|| {
        let until = http_date(after)?;
        // By the server's own clock where it says it: ours may be off by more than the pause.
        let now = text(DATE).and_then(http_date).unwrap_or_else(|| clock.now());
        let pause = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
        Some(pause.min(RETRY_AFTER_MAX))
    })
}

/// When an answer was made, by the server's clock: its `Date`.
pub fn date(headers: &HeaderMap) -> Option<Timestamp> {
    headers.get(DATE).and_then(|value| value.to_str().ok()).and_then(http_date)
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;
    use crate::clock::FixedClock;

    #[test]
    fn retry_after_is_read_in_all_its_forms_and_bounded() {
        let clock = FixedClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let pause = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            retry_after(&headers, &clock)
        };
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(pause(&[("retry-after", "7")]), seconds(7));
        assert_eq!(pause(&[("retry-after-ms", "1500"), ("retry-after", "7")]), Some(Duration::from_millis(1500)));
        assert_eq!(pause(&[("retry-after", "Thu, 01 Jan 2026 00:00:30 GMT")]), seconds(30));
        let by_server = [("date", "Thu, 01 Jan 2026 00:10:00 GMT"), ("retry-after", "Thu, 01 Jan 2026 00:10:05 GMT")];
        assert_eq!(pause(&by_server), seconds(5));
        assert_eq!(pause(&[("retry-after", "Wed, 31 Dec 2025 00:00:00 GMT")]), seconds(0));
        assert_eq!(pause(&[("retry-after", "999999999999999")]), Some(RETRY_AFTER_MAX));
        for nonsense in ["-1", "NaN", "inf", "soon", ""] {
            assert_eq!(pause(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }
}
