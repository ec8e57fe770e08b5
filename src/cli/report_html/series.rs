//! How fast something went over time, in memory that does not grow with the time.

use std::time::Duration;

/// Most buckets that are kept; then each two become one.
const BUCKETS_MAX: usize = 240;
/// The width of a bucket at first.
pub(super) const FIRST_WIDTH: Duration = Duration::from_millis(250);

/// A counter's growth over time, from 0 on.
#[derive(Debug, Clone)]
pub(super) struct Series {
    width_s: f64,
    buckets: Vec<f64>,
    last: (f64, u64),
}

impl Default for Series {
    fn default() -> Self {
        Self { width_s: FIRST_WIDTH.as_secs_f64(), buckets: Vec::new(), last: (0.0, 0) }
    }
}

/// Some of the time, and how much the counter grew in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub from_s: f64,
    pub to_s: f64,
    pub count: f64,
}

impl Series {
    /// Takes note that the counter stands at `total` now. What it grew since the last time is spread over the time since:
    /// a look that comes late makes no peak.
    pub(super) fn saw(&mut self, at: Duration, total: u64) {
        let (from_s, before) = self.last;
        let at_s = at.as_secs_f64().max(from_s);
        let grown = total.saturating_sub(before) as f64;
        self.last = (at_s, total.max(before));
        while at_s >= self.width_s * BUCKETS_MAX as f64 {
            self.buckets = self.buckets.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.width_s *= 2.0;
        }
        let (first, last) = ((from_s / self.width_s) as usize, (at_s / self.width_s) as usize);
        if self.buckets.len() <= last {
            self.buckets.resize(last + 1, 0.0);
        }
        if at_s <= from_s {
            self.buckets[last] += grown;
            return;
        }
        for bucket in first..=last {
            let begin_s = (bucket as f64 * self.width_s).max(from_s);
            let end_s = ((bucket + 1) as f64 * self.width_s).min(at_s);
            self.buckets[bucket] += grown * (end_s - begin_s).max(0.0) / (at_s - from_s);
        }
    }

    /// Until when it was looked at, in seconds.
    pub(super) fn end_s(&self) -> f64 {
        self.last.0
    }

    /// The whole time in windows of at least `width_s` seconds, at most `windows_max` of them.
    pub(super) fn windows(&self, width_s: f64, windows_max: usize) -> Vec<Window> {
        let end_s = self.end_s();
        if end_s <= 0.0 {
            return Vec::new();
        }
        let wanted_s = width_s.max(end_s / windows_max.max(1) as f64);
        let each = (wanted_s / self.width_s).ceil().max(1.0) as usize;
        let mut windows: Vec<Window> = Vec::new();
        for (index, buckets) in self.buckets.chunks(each).enumerate() {
            let from_s = (index * each) as f64 * self.width_s;
            let to_s = (from_s + each as f64 * self.width_s).min(end_s);
            let count: f64 = buckets.iter().sum();
            match windows.last_mut() {
                // The rest is too short to say anything by itself.
                Some(last) if to_s - from_s < each as f64 * self.width_s / 2.0 => {
                    last.count += count;
                    last.to_s = to_s.max(last.to_s);
                }
                _ if to_s > from_s => windows.push(Window { from_s, to_s, count }),
                _ => {}
            }
        }
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn nothing_is_lost_and_memory_stays_bounded_however_long_it_goes() {
        let mut series = Series::default();
        for tick in 1..=400_000_u64 {
            series.saw(Duration::from_millis(tick * 250), tick * 3);
        }
        assert!(series.buckets.len() <= BUCKETS_MAX, "{}", series.buckets.len());
        let windows = series.windows(0.0, 120);
        assert!(windows.len() <= 120, "{}", windows.len());
        let sum: f64 = windows.iter().map(|window| window.count).sum();
        assert!((sum - 1_200_000.0).abs() < 0.01, "{sum}");
        // A steady rate is a flat line: 12 a second.
        for window in &windows {
            let rate = window.count / (window.to_s - window.from_s);
            assert!((rate - 12.0).abs() < 0.01, "{window:?}");
        }
        assert_eq!(windows.last().map(|last| last.to_s), Some(100_000.0));
    }

    #[test]
    fn a_late_look_makes_no_peak() {
        let mut series = Series::default();
        series.saw(seconds(1.0), 10);
        series.saw(seconds(5.0), 50);
        for window in series.windows(1.0, 100) {
            assert!((window.count - 10.0).abs() < 1e-9, "{window:?}");
        }
    }

    #[test]
    fn a_short_rest_belongs_to_the_window_before() {
        let mut series = Series::default();
        series.saw(seconds(10.3), 103);
        let windows = series.windows(5.0, 100);
        let ends: Vec<(f64, f64)> = windows.iter().map(|window| (window.from_s, window.to_s)).collect();
        assert_eq!(ends, [(0.0, 5.0), (5.0, 10.3)]);
        assert!((windows[1].count - 53.0).abs() < 1e-9, "{windows:?}");
    }

    #[test]
    fn a_counter_that_was_never_looked_at_has_no_windows() {
        assert_eq!(Series::default().windows(1.0, 10), []);
        let mut at_once = Series::default();
        at_once.saw(Duration::ZERO, 5);
        assert_eq!(at_once.windows(1.0, 10), []);
    }
}
