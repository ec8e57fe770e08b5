//! How long it still takes, told from how it went of late.
//!
//! What is left is told in records: those that came out of so much of the source, for all of it, less those that are done.
//! How fast they get done is that of the last minute; where the last quarter of a minute went otherwise (the part of an export
//! that Stigg has already is over, say), of that alone; and while even that is not steady, nothing is told.

use std::collections::VecDeque;
use std::time::Duration;

/// How long what was seen is kept.
const LONG_S: f64 = 60.0;
/// The time by which a change of pace is noticed.
const SHORT_S: f64 = 15.0;
/// The time that has to go as the short one did.
const SHORTEST_S: f64 = 7.0;
/// How often something is kept.
const EVERY_S: f64 = 0.5;
/// How far two paces may be from each other and still be the same.
const SAME_PACE: f64 = 0.2;
/// A share of the source that says too little about the rest.
const SHARE_MIN: f64 = 0.01;

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Work {
    /// Records that came out of the source until now.
    pub known: u64,
    /// Those of them of which nothing is left to be done.
    pub done: u64,
    /// The share of the source that they came out of; none where its length is not known.
    pub share: Option<f64>,
}

/// How long it still takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Left {
    /// So long.
    About(Duration),
    /// Nobody can tell: the source does not say how long it is.
    NoLength,
    /// It is too early, or the pace has just changed.
    NotClear,
}

/// Watches how the work goes on.
#[derive(Debug, Default)]
pub(super) struct Eta {
    seen: VecDeque<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at_s: f64,
    known: u64,
    done: u64,
    /// Whether the source was read to its end.
    is_read: bool,
}

impl Eta {
    /// Takes note of how far the work is `at` so long after its beginning, and tells how long it still takes.
    pub(super) fn left(&mut self, at: Duration, work: Work) -> Left {
        let at_s = at.as_secs_f64();
        if self.seen.back().is_none_or(|last| at_s - last.at_s >= EVERY_S) {
            let is_read = work.share.is_some_and(|share| share >= 1.0);
            self.seen.push_back(Seen { at_s, known: work.known, done: work.done, is_read });
        }
        while self.seen.get(1).is_some_and(|second| second.at_s <= at_s - LONG_S) {
            self.seen.pop_front();
        }
        let Some(share) = work.share else { return Left::NoLength };
        if share < SHARE_MIN {
            return Left::NotClear;
        }
        let paces = (self.pace(at_s, SHORTEST_S), self.pace(at_s, SHORT_S), self.pace(at_s, LONG_S));
        let (Some(shortest), Some(short), Some(long)) = paces else { return Left::NotClear };
        if self.grows_after_the_end(at_s, work.known) {
            // Totals over a source come out of it at its end; how many there will be is not known.
            return Left::NotClear;
        }
        let pace = if is_same(long, short) { long } else { short };
        if !is_same(shortest, short) || pace <= 0.0 {
            return Left::NotClear;
        }
        let left = (work.known as f64 / share.min(1.0) - work.done as f64).max(0.0);
        Left::About(Duration::try_from_secs_f64(left / pace).unwrap_or(Duration::MAX))
    }

    /// Records a second in the last `time_s`, or since the beginning; none before the shortest time is over.
    fn pace(&self, at_s: f64, time_s: f64) -> Option<f64> {
        let last = self.seen.back()?;
        let first = self.seen.iter().rev().find(|seen| seen.at_s <= at_s - time_s).or(self.seen.front())?;
        let time_s = last.at_s - first.at_s;
        (time_s >= SHORTEST_S).then(|| last.done.saturating_sub(first.done) as f64 / time_s)
    }

    /// Whether records came of late although the source was read to its end before.
    fn grows_after_the_end(&self, at_s: f64, known: u64) -> bool {
        let before = self.seen.iter().find(|seen| seen.is_read && seen.at_s >= at_s - SHORT_S);
        before.is_some_and(|before| known.saturating_sub(before.known) as f64 > known as f64 * 0.01)
    }
}

fn is_same(one: f64, other: f64) -> bool {
    (one - other).abs() <= SAME_PACE * one.max(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchLimits;
    use crate::entity::Entity;
    use crate::sink::Operation;

    /// Records that are read in this many at once.
    const READ_AT_ONCE: u64 = 4096;

    /// A run in which `fast` records are done as soon as they are read, 100,000 a second, and the rest in requests of
    /// `request` records, so many a second. What is read is up to two groups ahead of what is done.
    struct Run {
        fast: u64,
        slow: u64,
        request: u64,
        requests_per_s: f64,
    }

    impl Run {
        fn done(&self, at_s: f64) -> u64 {
            let fast_s = self.fast as f64 / 100_000.0;
            if at_s < fast_s {
                return (at_s * 100_000.0) as u64;
            }
            let requests = ((at_s - fast_s) * self.requests_per_s) as u64;
            self.fast + (requests * self.request).min(self.slow)
        }

        fn ends_s(&self) -> f64 {
            self.fast as f64 / 100_000.0 + self.slow.div_ceil(self.request) as f64 / self.requests_per_s
        }

        fn work(&self, at_s: f64) -> Work {
            let (all, done) = (self.fast + self.slow, self.done(at_s));
            let known = ((done / READ_AT_ONCE + 2) * READ_AT_ONCE).min(all);
            Work { known, done, share: Some(known as f64 / all as f64) }
        }

        /// What is told each quarter of a second, and how long it really took from then on.
        fn told(&self) -> Vec<(f64, Left, f64)> {
            let mut eta = Eta::default();
            (1..)
                .map(|tick| f64::from(tick) / 4.0)
                .take_while(|at_s| *at_s < self.ends_s())
                .map(|at_s| (at_s, eta.left(Duration::from_secs_f64(at_s), self.work(at_s)), self.ends_s() - at_s))
                .collect()
        }
    }

    /// From the first minute on, to shortly before the end, an estimate is there and right within a tenth.
    fn assert_right_after_a_minute(run: &Run) {
        assert!(run.ends_s() > 240.0, "too short to say anything: {}", run.ends_s());
        for (at_s, left, really_s) in run.told() {
            if at_s < 60.0 || really_s < 5.0 {
                continue;
            }
            let Left::About(left) = left else { panic!("nothing is told after {at_s} s") };
            let wrong = (left.as_secs_f64() - really_s).abs() / really_s;
            // A request is settled as a whole: near the end that is more than a tenth of what is left.
            let one_request = 1.0 / run.requests_per_s / really_s;
            assert!(wrong <= 0.1 + one_request, "after {at_s} s: {left:?}, and it was {really_s} s");
        }
    }

    #[test]
    fn a_steady_run_is_told_right() {
        let run = Run { fast: 0, slow: 3_000_000, request: 100, requests_per_s: 100.0 };
        assert_right_after_a_minute(&run);
        let at_a_minute = run.told().into_iter().find(|(at_s, ..)| *at_s == 60.0).unwrap();
        assert_eq!(at_a_minute, (60.0, Left::About(Duration::from_secs(240)), 240.0));
    }

    #[test]
    fn a_run_at_a_low_rate_limit_is_told_right() {
        // Events: one request of 1,000 a second.
        assert_right_after_a_minute(&Run { fast: 0, slow: 600_000, request: 1000, requests_per_s: 1.0 });
        // Customers: 250 requests a minute.
        assert_right_after_a_minute(&Run { fast: 0, slow: 2_000_000, request: 1000, requests_per_s: 250.0 / 60.0 });
    }

    /// Given a pipeline at the published rates, minutes of each step, where an outcome is known some seconds after its request
    /// (subscriptions: a task that is asked for), when the steps run one after the other, each told by itself as the progress
    /// line does, then each is told right from its first minute on.
    #[test]
    fn each_step_of_a_pipeline_is_told_right_at_its_own_rate() {
        let steps = [
            (Operation::ImportCustomers, Entity::Customer, 2_000_000, 0.5),
            (Operation::ImportSubscriptions, Entity::Subscription, 1_500_000, 4.0),
            (Operation::ReportUsage, Entity::Usage, 600_000, 0.2),
        ];
        for (operation, entity, records, settles_s) in steps {
            let request = BatchLimits::of(entity).records_max as u64;
            let requests_per_s = f64::from(operation.rate().per_minute) / 60.0;
            let run = Run { fast: records / 10, slow: records, request, requests_per_s };
            assert!(run.ends_s() > 240.0, "{operation:?}: {} s", run.ends_s());
            let (mut eta, mut told) = (Eta::default(), 0);
            let ends_s = run.ends_s() + settles_s;
            for tick in 1.. {
                let at_s = f64::from(tick) / 4.0;
                if at_s >= ends_s {
                    break;
                }
                // What is known is read ahead; what is done was sent a while ago.
                let known = run.work(at_s.min(run.ends_s())).known;
                let done = run.done((at_s - settles_s).max(0.0));
                let share = known as f64 / (run.fast + run.slow) as f64;
                let left = eta.left(Duration::from_secs_f64(at_s), Work { known, done, share: Some(share) });
                let really_s = ends_s - at_s;
                if at_s < 60.0 || really_s < 10.0 {
                    continue;
                }
                let Left::About(left) = left else { panic!("{operation:?}: nothing is told after {at_s} s") };
                let wrong = (left.as_secs_f64() - really_s).abs() / really_s;
                let one_request = 1.0 / requests_per_s / really_s;
                assert!(wrong <= 0.1 + one_request, "{operation:?} after {at_s} s: {left:?}, and it was {really_s} s");
                told += 1;
            }
            assert!(told > 500, "{operation:?}: {told}");
        }
    }

    #[test]
    fn a_run_that_begins_with_unchanged_records_is_told_right() {
        // Given: two thirds of the records are unchanged and read in half a minute; the rest takes ten.
        let run = Run { fast: 3_000_000, slow: 600_000, request: 100, requests_per_s: 10.0 };
        assert_right_after_a_minute(&run);
        let at_a_minute = run.told().into_iter().find(|(at_s, ..)| *at_s == 60.0).unwrap();
        assert_eq!(at_a_minute, (60.0, Left::About(Duration::from_secs(570)), 570.0));
    }

    #[test]
    fn while_the_pace_changes_nothing_wrong_is_told() {
        let run = Run { fast: 3_000_000, slow: 600_000, request: 100, requests_per_s: 10.0 };
        for (at_s, left, really_s) in run.told() {
            match left {
                Left::About(left) if at_s > 30.0 => {
                    let wrong = (left.as_secs_f64() - really_s).abs() / really_s;
                    // For some seconds the new pace is hidden by the old one.
                    assert!(wrong < 0.2 || at_s < 37.0, "after {at_s} s: {left:?}, and it was {really_s} s");
                }
                Left::About(_) | Left::NotClear => {}
                Left::NoLength => panic!("it has a length"),
            }
        }
    }

    #[test]
    fn without_a_length_nothing_is_told() {
        let mut eta = Eta::default();
        for second in 1..120 {
            let work = Work { known: second * 100, done: second * 100, share: None };
            assert_eq!(eta.left(Duration::from_secs(second), work), Left::NoLength);
        }
    }

    #[test]
    fn totals_that_come_out_after_the_source_are_not_taken_for_all() {
        let mut eta = Eta::default();
        for second in 1..120 {
            let work = Work { known: second * 100, done: second * 100 - 50, share: Some(1.0) };
            assert_eq!(eta.left(Duration::from_secs(second), work), Left::NotClear, "after {second} s");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let run = Run { fast: 0, slow: 3_000_000, request: 100, requests_per_s: 100.0 };
        let mut eta = Eta::default();
        for tick in 1..1200 {
            let at_s = f64::from(tick) / 4.0;
            eta.left(Duration::from_secs_f64(at_s), run.work(at_s));
        }
        assert!(eta.seen.len() as f64 <= LONG_S / EVERY_S + 2.0, "{}", eta.seen.len());
    }
}
