use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;

use super::*;
use crate::pipeline::Stopped;

const START: &str = "2026-03-01T00:00:00Z";

/// The machine's clock: it follows tokio's, and can be set.
struct Wall {
    began: tokio::time::Instant,
    ahead_s: AtomicI64,
}

impl Wall {
    fn new() -> Arc<Self> {
        Arc::new(Self { began: tokio::time::Instant::now(), ahead_s: AtomicI64::new(0) })
    }

    fn set_ahead(&self, seconds: i64) {
        self.ahead_s.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let start: Timestamp = START.parse().expect("an instant");
        start + signed(self.began.elapsed()) + SignedDuration::from_secs(self.ahead_s.load(Ordering::Relaxed))
    }
}

struct Log {
    wall: Arc<Wall>,
    lines: Mutex<Vec<String>>,
}

impl Watcher for Log {
    fn happened(&self, what: Happened) {
        let now = self.wall.now().strftime("%d %H:%M:%S");
        let line = match what {
            Happened::Waits { until, is_retry } => {
                format!("waits until {}{}", until.strftime("%d %H:%M:%S"), if is_retry { " to try again" } else { "" })
            }
            Happened::Begins => "begins".to_owned(),
            Happened::Ended { outcome, took, failures } => format!("{outcome:?} in {took:?}, {failures} failures"),
            Happened::Missed { times, run_took } => format!("missed {times}, run took {run_took:?}"),
            Happened::HeldBack { times } => format!("held back {times}"),
            Happened::ClockWentBack { by } => format!("clock went back by {by:?}"),
        };
        self.lines.lock().expect("no panic").push(format!("{now} {line}"));
    }
}

fn settings(when: When) -> Settings {
    Settings {
        when,
        jitter: Duration::ZERO,
        backoff: Backoff::default(),
        failures_max: NonZeroU32::new(5),
        at_once: false,
    }
}

fn every(seconds: u64) -> When {
    When::every(Duration::from_secs(seconds)).expect("an interval")
}

fn cron(pattern: &str) -> When {
    When::cron(pattern, TimeZone::UTC).expect("a pattern")
}

/// Runs that take so long and come to that, one after the other; after the last it is stopped.
async fn drive(settings: &Settings, wall: Arc<Wall>, runs: &[(u64, Outcome)]) -> (End, Vec<String>) {
    let log = Log { wall: wall.clone(), lines: Mutex::default() };
    let (stop, mut runs) = (Stop::default(), runs.iter());
    let mut random = fastrand::Rng::with_seed(1);
    let work = async || {
        let Some((seconds, outcome)) = runs.next() else {
            stop.raise(Stopped::Interrupted);
            return Outcome::Done;
        };
        tokio::time::sleep(Duration::from_secs(*seconds)).await;
        *outcome
    };
    let end = run(settings, &*wall, &stop, &log, &mut random, work).await;
    (end, log.lines.into_inner().expect("no panic"))
}

use Outcome::{Done, Failed, Held};

#[tokio::test(start_paused = true)]
async fn an_interval_begins_at_once_and_stays_even_whatever_a_run_takes() {
    let (end, log) = drive(&settings(every(60)), Wall::new(), &[(5, Done), (40, Done)]).await;
    assert_eq!(end, End::Stopped);
    insta::assert_snapshot!(log.join("\n"), @r#"
    01 00:00:00 begins
    01 00:00:05 Done in 5s, 0 failures
    01 00:00:05 waits until 01 00:01:00
    01 00:01:00 begins
    01 00:01:40 Done in 40s, 0 failures
    01 00:01:40 waits until 01 00:02:00
    01 00:02:00 begins
    01 00:02:00 Done in 0ns, 0 failures
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_longer_than_the_interval_leaves_times_out_and_says_so() {
    let (_, log) = drive(&settings(cron("*/15 * * * *")), Wall::new(), &[(40 * 60, Done)]).await;
    insta::assert_snapshot!(log.join("\n"), @r#"
    01 00:00:00 waits until 01 00:15:00
    01 00:15:00 begins
    01 00:55:00 Done in 2400s, 0 failures
    01 00:55:00 missed 2, run took Some(2400s)
    01 00:55:00 waits until 01 01:00:00
    01 01:00:00 begins
    01 01:00:00 Done in 0ns, 0 failures
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_failed_night_is_tried_again_before_the_next_with_waits_that_double() {
    let runs = [(10, Failed), (10, Failed), (10, Failed), (10, Done)];
    let (_, log) = drive(&settings(cron("0 3 * * *")), Wall::new(), &runs).await;
    insta::assert_snapshot!(log.join("\n"), @r#"
    01 00:00:00 waits until 01 03:00:00
    01 03:00:00 begins
    01 03:00:10 Failed in 10s, 1 failures
    01 03:00:10 waits until 01 03:01:10 to try again
    01 03:01:10 begins
    01 03:01:20 Failed in 10s, 2 failures
    01 03:01:20 waits until 01 03:03:20 to try again
    01 03:03:20 begins
    01 03:03:30 Failed in 10s, 3 failures
    01 03:03:30 waits until 01 03:07:30 to try again
    01 03:07:30 begins
    01 03:07:40 Done in 10s, 0 failures
    01 03:07:40 waits until 02 03:00:00
    02 03:00:00 begins
    02 03:00:00 Done in 0ns, 0 failures
    "#);
}

#[tokio::test(start_paused = true)]
async fn failures_of_a_run_of_every_minute_make_it_rarer_until_it_gives_up() {
    let (end, log) = drive(&settings(every(60)), Wall::new(), &[(1, Failed); 9]).await;
    assert_eq!(end, End::Failures(NonZeroU32::new(5).expect("five")));
    insta::assert_snapshot!(log.join("\n"), @r#"
    01 00:00:00 begins
    01 00:00:01 Failed in 1s, 1 failures
    01 00:00:01 held back 1
    01 00:00:01 waits until 01 00:01:01 to try again
    01 00:01:01 begins
    01 00:01:02 Failed in 1s, 2 failures
    01 00:01:02 held back 2
    01 00:01:02 waits until 01 00:03:02 to try again
    01 00:03:02 begins
    01 00:03:03 Failed in 1s, 3 failures
    01 00:03:03 held back 4
    01 00:03:03 waits until 01 00:07:03 to try again
    01 00:07:03 begins
    01 00:07:04 Failed in 1s, 4 failures
    01 00:07:04 held back 8
    01 00:07:04 waits until 01 00:15:04 to try again
    01 00:15:04 begins
    01 00:15:05 Failed in 1s, 5 failures
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_success_forgets_failures() {
    let mut runs = [(1, Failed); 9];
    runs[4] = (1, Done);
    let (end, log) = drive(&settings(every(60)), Wall::new(), &runs).await;
    assert_eq!(end, End::Stopped);
    assert!(log.iter().any(|line| line.ends_with("Failed in 1s, 4 failures")), "{log:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_another_one_kept_from_its_work_comes_again_soon_and_is_no_failure() {
    let (_, log) = drive(&settings(cron("0 3 * * *")), Wall::new(), &[(0, Held), (5, Done)]).await;
    insta::assert_snapshot!(log.join("\n"), @r#"
    01 00:00:00 waits until 01 03:00:00
    01 03:00:00 begins
    01 03:00:00 Held in 0ns, 0 failures
    01 03:00:00 waits until 01 03:01:00 to try again
    01 03:01:00 begins
    01 03:01:05 Done in 5s, 0 failures
    01 03:01:05 waits until 02 03:00:00
    02 03:00:00 begins
    02 03:00:00 Done in 0ns, 0 failures
    "#);
}

#[tokio::test(start_paused = true)]
async fn jitter_delays_each_run_by_less_than_it_and_never_adds_up() {
    let settings = Settings { jitter: Duration::from_secs(30), ..settings(cron("0 * * * *")) };
    let (_, log) = drive(&settings, Wall::new(), &[(1, Done); 20]).await;
    let begun: Vec<&String> = log.iter().filter(|line| line.ends_with("begins")).collect();
    assert_eq!(begun.len(), 21);
    for (hour, line) in begun.iter().enumerate() {
        let (hour, day) = ((hour + 1) % 24, (hour + 1) / 24 + 1);
        assert!(line.starts_with(&format!("{day:02} {hour:02}:00:")), "{line}");
    }
    let different: std::collections::BTreeSet<&str> = begun.iter().map(|line| &line[9..11]).collect();
    assert!(different.len() > 5, "{begun:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_at_once() {
    let (wall, stop) = (Wall::new(), Stop::default());
    let log = Log { wall: wall.clone(), lines: Mutex::default() };
    let settings = settings(cron("0 3 * * *"));
    let (mut random, began) = (fastrand::Rng::with_seed(1), tokio::time::Instant::now());
    let running = run(&settings, &*wall, &stop, &log, &mut random, async || panic!("nothing is due"));
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        stop.raise(Stopped::Interrupted);
    };
    let (end, ()) = tokio::join!(running, stopping);
    assert_eq!((end, began.elapsed()), (End::Stopped, Duration::from_secs(100)));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_runs_once_for_all_that_it_missed() {
    let wall = Wall::new();
    let sleeper = wall.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10 * 60)).await;
        sleeper.set_ahead(5 * 3600);
    });
    let (_, log) = drive(&settings(cron("0 * * * *")), wall, &[(1, Done)]).await;
    insta::assert_snapshot!(log.join("\n"), @r#"
    01 00:00:00 waits until 01 01:00:00
    01 05:10:30 missed 4, run took None
    01 05:10:30 begins
    01 05:10:31 Done in 1s, 0 failures
    01 05:10:31 waits until 01 06:00:00
    01 06:00:00 begins
    01 06:00:00 Done in 0ns, 0 failures
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_years_ahead_and_is_set_right_does_not_stop_the_schedule() {
    for when in [cron("0 * * * *"), every(3600)] {
        let (wall, began) = (Wall::new(), tokio::time::Instant::now());
        wall.set_ahead(2 * 365 * 86_400);
        let setter = wall.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(90)).await;
            setter.set_ahead(-2 * 365 * 86_400);
        });
        let (_, log) = drive(&settings(when), wall.clone(), &[(1, Done)]).await;
        assert!(log.iter().any(|line| line.contains("clock went back by 17519h")), "{log:#?}");
        // Two runs within two hours and a little, by any clock.
        assert_eq!(log.iter().filter(|line| line.ends_with("begins")).count(), 2, "{log:#?}");
        assert!(began.elapsed() < Duration::from_secs(2 * 3600 + 60), "{log:#?}");
    }
}
