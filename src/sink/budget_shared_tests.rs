//! One rate for several workers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;

use super::tests::{L, OP, Server};
use super::*;
use crate::pacer::{InProcess, NoMoment, Shared};

/// Hands out moments, after a way to it and back.
#[derive(Debug, Default)]
struct Office {
    rate: InProcess,
    way: Duration,
    is_away: AtomicBool,
}

impl Shared for Office {
    fn take<'a>(
        &'a self,
        name: &'a str,
        interval: Duration,
        moments: u32,
        pause: Duration,
    ) -> BoxFuture<'a, Result<Duration, NoMoment>> {
        Box::pin(async move {
            tokio::time::sleep(self.way / 2).await;
            if self.is_away.load(Ordering::Relaxed) {
                return Err("away".into());
            }
            let wait = self.rate.take(name, interval, moments, pause).await?;
            tokio::time::sleep(self.way / 2).await;
            Ok(wait)
        })
    }
}

fn office(way_ms: u64) -> Arc<Office> {
    Arc::new(Office { way: Duration::from_millis(way_ms), ..Office::default() })
}

fn worker(office: &Arc<Office>, scale: f64) -> Arc<Budgets> {
    let rate = SharedRate { from: office.clone(), name: "https://api.example".to_owned() };
    Arc::new(Budgets::new(&BudgetSettings::default().scale(scale).shared(rate)))
}

/// Sends as fast as it may until it is dropped.
async fn send_on(budgets: Arc<Budgets>, server: Arc<Mutex<Server>>, counts: Arc<Mutex<(u64, u64)>>, latency: Duration) {
    let mut random = fastrand::Rng::with_seed(7);
    loop {
        let _permit = budgets.acquire(OP).await;
        let (server, counts) = (server.clone(), counts.clone());
        let way = latency.mul_f64(0.5 * (0.5 + random.f64()));
        tokio::spawn(async move {
            tokio::time::sleep(way).await;
            let taken = server.lock().unwrap().hit();
            let mut counts = counts.lock().unwrap();
            counts.0 += 1;
            counts.1 += u64::from(!taken);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn workers_together_keep_within_every_limiter_and_use_nearly_all_of_it() {
    for (workers, way_ms) in [(1, 1), (4, 1), (4, 30), (16, 5)] {
        for server in Server::all() {
            let name = format!("{workers} workers, {way_ms} ms to the office, {server:?}");
            let (office, server) = (office(way_ms), Arc::new(Mutex::new(server)));
            let counts = Arc::<Mutex<(u64, u64)>>::default();
            let latency = Duration::from_millis(120);
            let mut sending = tokio::task::JoinSet::new();
            for _ in 0..workers {
                sending.spawn(send_on(worker(&office, 1.0), server.clone(), counts.clone(), latency));
            }
            let seconds = 200;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let (sent, refused) = *counts.lock().unwrap();
            let share = sent as f64 / (f64::from(L) * seconds as f64 / 60.0);
            assert_eq!(refused, 0, "{name}");
            assert!((0.985..=1.0).contains(&share), "{share} of {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_share_of_a_worker_that_dies_comes_back_to_the_others() {
    let (office, server) = (office(1), Arc::new(Mutex::new(Server::SlidingLog(std::collections::VecDeque::new()))));
    let counts = Arc::<Mutex<(u64, u64)>>::default();
    let mut workers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(send_on(worker(&office, 1.0), server.clone(), counts.clone(), Duration::from_millis(20))))
        .collect();
    tokio::time::sleep(Duration::from_secs(61)).await;
    // When: half of them die, with what they had taken.
    for dead in workers.drain(..2) {
        dead.abort();
    }
    let before = counts.lock().unwrap().0;
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Then
    let (after, refused) = *counts.lock().unwrap();
    assert_eq!(refused, 0);
    assert!((after - before) as f64 >= 0.985 * f64::from(L), "{} in a minute", after - before);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_one_worker_is_asked_for_holds_all_of_them() {
    let office = office(1);
    let (one, other) = (worker(&office, 1.0), worker(&office, 1.0));
    for _ in 0..3 {
        let _permits = (one.acquire(OP).await, other.acquire(OP).await);
    }
    let start = Instant::now();
    one.pause(OP, Duration::from_secs(10));
    // The other may have taken one moment before the first told the office.
    let _permit = one.acquire(OP).await;
    assert!(start.elapsed() >= Duration::from_secs(10), "{:?}", start.elapsed());
    let start = Instant::now();
    one.pause(OP, Duration::from_secs(10));
    let (_told, _held) = tokio::join!(one.acquire(OP), async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        other.acquire(OP).await
    });
    assert!(start.elapsed() >= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_while_nobody_says_when_and_a_high_rate_takes_several_moments_at_once() {
    let office = office(1);
    office.is_away.store(true, Ordering::Relaxed);
    // Given: 1,000 requests a second.
    let budgets = worker(&office, 100.0);
    assert!(tokio::time::timeout(Duration::from_secs(60), budgets.acquire(OP)).await.is_err());
    office.is_away.store(false, Ordering::Relaxed);
    let (mark, start) = (budgets.spent(OP), Instant::now());
    while start.elapsed() < Duration::from_secs(10) {
        let _permit = budgets.acquire(OP).await;
    }
    let sent = budgets.spent(OP) - mark;
    assert!((9_500..=9_950).contains(&sent), "{sent} in ten seconds, of 10,000 that are allowed");
}
