use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

pub(super) const OP: Operation = Operation::ReportUsage;
pub(super) const L: u32 = 600;
const WINDOW: Duration = Duration::from_secs(60);

/// The limiters that an API may have, each of 600 a minute.
#[derive(Debug, Clone)]
pub(super) enum Server {
    FixedWindow { start: Instant, hits: u32 },
    SlidingLog(VecDeque<Instant>),
    SlidingCounter { start: Instant, before: u32, hits: u32 },
    Bucket { size: f64, tokens: f64, at: Instant },
}

impl Server {
    pub(super) fn all() -> [Self; 6] {
        let now = Instant::now();
        let bucket = |size| Self::Bucket { size, tokens: size, at: now };
        [
            Self::FixedWindow { start: now, hits: 0 },
            Self::SlidingLog(VecDeque::new()),
            Self::SlidingCounter { start: now, before: 0, hits: 0 },
            bucket(600.0),
            bucket(60.0),
            bucket(10.0),
        ]
    }

    /// Whether a request that arrives now is taken.
    pub(super) fn hit(&mut self) -> bool {
        let now = Instant::now();
        match self {
            Self::FixedWindow { start, hits } => {
                while now - *start >= WINDOW {
                    (*start, *hits) = (*start + WINDOW, 0);
                }
                *hits += 1;
                *hits <= L
            }
            Self::SlidingLog(log) => {
                while log.front().is_some_and(|at| now - *at >= WINDOW) {
                    log.pop_front();
                }
                log.push_back(now);
                log.len() <= L as usize
            }
            Self::SlidingCounter { start, before, hits } => {
                while now - *start >= WINDOW {
                    (*start, *before, *hits) = (*start + WINDOW, *hits, 0);
                }
                *hits += 1;
                let rest = 1.0 - (now - *start).as_secs_f64() / WINDOW.as_secs_f64();
                f64::from(*before) * rest + f64::from(*hits) <= f64::from(L)
            }
            Self::Bucket { size, tokens, at } => {
                *tokens = (*tokens + (now - *at).as_secs_f64() * f64::from(L) / 60.0).min(*size);
                *at = now;
                *tokens -= 1.0;
                *tokens >= 0.0
            }
        }
    }
}

/// Sends as fast as the budget lets it for `run`; answers how many were sent and how many refused.
async fn send_all(budgets: &Budgets, server: Server, latency: Duration, run: Duration, seed: u64) -> (u64, u64) {
    let server = Arc::new(Mutex::new(server));
    let refused = Arc::new(AtomicU64::new(0));
    let mut random = fastrand::Rng::with_seed(seed);
    let end = Instant::now() + run;
    let mark = budgets.mark(OP);
    loop {
        let permit = budgets.acquire(OP).await;
        if Instant::now() >= end {
            break;
        }
        drop(permit);
        let (server, refused) = (server.clone(), refused.clone());
        // One way, half to one and a half of half the latency: requests arrive bunched and out of order.
        let way = latency.mul_f64(0.5 * (0.5 + random.f64()));
        tokio::spawn(async move {
            tokio::time::sleep(way).await;
            if !server.lock().unwrap().hit() {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let share = budgets.share(&mark).expect("a limit");
    assert!((0.985..=1.0).contains(&share), "share {share}");
    tokio::time::sleep(latency * 2).await;
    (budgets.spent(OP) - 1, refused.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn no_limiter_refuses_and_nearly_all_of_the_budget_is_used() {
    for latency_ms in [20, 120, 500] {
        for server in Server::all() {
            let name = format!("{server:?} at {latency_ms} ms");
            let run = Duration::from_secs(200);
            let latency = Duration::from_millis(latency_ms);
            let (sent, refused) = send_all(&Budgets::published(), server, latency, run, 7).await;
            let share = sent as f64 / (f64::from(L) * run.as_secs_f64() / 60.0);
            assert_eq!(refused, 0, "{name}");
            assert!(share >= 0.985, "{share} of {name}");
        }
    }
}

/// Given an API half a second away, which is asked for the environment before the first import, when an import takes little
/// more than a minute, then it uses as much of the budget as the goal says, counted from its beginning, and no limiter refuses,
/// whenever its windows begin.
#[tokio::test(start_paused = true)]
async fn what_is_asked_before_the_first_request_is_made_up_for_and_no_limiter_refuses() {
    let (latency, run) = (Duration::from_millis(500), Duration::from_secs(76));
    for seed in 0..20 {
        for number in 0..Server::all().len() {
            let begun = Instant::now();
            let budgets = Budgets::published();
            let server = Server::all()[number].clone();
            let name = format!("{server:?}, seed {seed}");
            tokio::time::sleep(Duration::from_millis(450 + fastrand::Rng::with_seed(seed).u64(..200))).await;
            let (sent, refused) = send_all(&budgets, server, latency, run - begun.elapsed(), seed).await;
            let share = sent as f64 / (f64::from(L) * run.as_secs_f64() / 60.0);
            assert_eq!(refused, 0, "{name}");
            assert!(share >= 0.985, "{share} of {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_scaled_budget_faster_than_the_timer_is_used_as_well() {
    let budgets = Budgets::new(&BudgetSettings::default().scale(1000.0));
    let mark = budgets.mark(OP);
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let _permit = budgets.acquire(OP).await;
    }
    let share = budgets.share(&mark).unwrap();
    assert!((0.985..=1.0).contains(&share), "{share}");
}

#[tokio::test(start_paused = true)]
async fn budgets_of_different_operations_do_not_share() {
    let budgets = Budgets::published();
    let start = Instant::now();
    for operation in Operation::ALL {
        let _permit = budgets.acquire(operation).await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(budgets.spent(OP), 1);
}

#[tokio::test(start_paused = true)]
async fn permits_go_out_in_the_order_of_asking() {
    let budgets = Arc::new(Budgets::published());
    let order = Arc::new(Mutex::new(Vec::new()));
    let asking: Vec<_> = (0..50)
        .map(|n| {
            let (budgets, order) = (budgets.clone(), order.clone());
            tokio::spawn(async move {
                let _permit = budgets.acquire(OP).await;
                order.lock().unwrap().push(n);
            })
        })
        .collect();
    futures::future::join_all(asking).await;
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_everyone_and_ends_without_a_burst() {
    let budgets = Arc::new(Budgets::published());
    let _first = budgets.acquire(OP).await;
    let start = Instant::now();
    let times = Arc::new(Mutex::new(Vec::new()));
    let asking: Vec<_> = (0..10)
        .map(|_| {
            let (budgets, times) = (budgets.clone(), times.clone());
            tokio::spawn(async move {
                let _permit = budgets.acquire(OP).await;
                times.lock().unwrap().push(start.elapsed());
            })
        })
        .collect();
    // One of them already sleeps to its moment when the answers of several requests ask for a pause.
    tokio::time::sleep(Duration::from_millis(50)).await;
    for seconds in [3, 5, 4] {
        budgets.pause(OP, Duration::from_secs(seconds));
    }
    futures::future::join_all(asking).await;
    let times = times.lock().unwrap();
    assert!(times[0] >= Duration::from_millis(5050), "{times:?}");
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(90), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unlimited_budget_pauses_too_and_never_else() {
    let budgets = Budgets::unlimited();
    let start = Instant::now();
    for _ in 0..10_000 {
        let _permit = budgets.acquire(OP).await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(budgets.share(&budgets.mark(OP)), None);
    budgets.pause(OP, Duration::from_secs(1));
    let _permit = budgets.acquire(OP).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_spends_nothing() {
    let budgets = Budgets::published();
    let _first = budgets.acquire(OP).await;
    let start = Instant::now();
    assert!(tokio::time::timeout(Duration::from_millis(50), budgets.acquire(OP)).await.is_err());
    let _second = budgets.acquire(OP).await;
    assert_eq!(budgets.spent(OP), 2);
    assert!(start.elapsed() < Duration::from_millis(110), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_what_the_user_turned_on() {
    let budgets = Budgets::new(&BudgetSettings::default().burst(NonZeroU32::new(5).unwrap()));
    let start = Instant::now();
    for _ in 0..5 {
        let _permit = budgets.acquire(OP).await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    let _permit = budgets.acquire(OP).await;
    assert!(start.elapsed() >= Duration::from_millis(90));
}
