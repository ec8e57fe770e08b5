//! What everybody who hands out moments has to keep.

use std::time::Duration;

use super::Shared;

const INTERVAL: Duration = Duration::from_secs(100);

/// Every promise, asked for by two who share. Time is the real one: another clock than ours may count.
pub(crate) async fn suite(one: &impl Shared, other: &impl Shared) {
    whoever_asks_gets_the_next_moment_and_none_twice(one, other).await;
    a_pause_counts_for_all(one, other).await;
    a_time_of_rest_makes_no_burst(one).await;
    many_that_ask_at_once_each_get_their_own(one, other).await;
}

async fn take(from: &impl Shared, name: &str, moments: u32) -> Duration {
    from.take(name, INTERVAL, moments, Duration::ZERO).await.unwrap()
}

async fn whoever_asks_gets_the_next_moment_and_none_twice(one: &impl Shared, other: &impl Shared) {
    let begun = std::time::Instant::now();
    let first = take(one, "usage", 1).await;
    let second = take(other, "usage", 3).await;
    let fifth = take(one, "usage", 1).await;
    let of_another_rate = take(one, "customers", 1).await;
    // It counts from the first, however long the ways were.
    let took = begun.elapsed();
    assert_eq!((first, of_another_rate), (Duration::ZERO, Duration::ZERO));
    assert!(second <= INTERVAL && second >= INTERVAL - took, "{second:?} after {took:?}");
    assert!(fifth <= 4 * INTERVAL && fifth >= 4 * INTERVAL - took, "{fifth:?} after {took:?}");
}

async fn a_pause_counts_for_all(one: &impl Shared, other: &impl Shared) {
    let begun = std::time::Instant::now();
    let held = one.take("paused", INTERVAL, 1, Duration::from_secs(1000)).await.unwrap();
    assert!(held >= Duration::from_secs(999), "{held:?}");
    let next = take(other, "paused", 1).await;
    assert!(next >= Duration::from_secs(1100) - begun.elapsed(), "{next:?}");
}

async fn a_time_of_rest_makes_no_burst(one: &impl Shared) {
    let short = Duration::from_millis(10);
    one.take("idle", short, 1, Duration::ZERO).await.unwrap();
    tokio::time::sleep(10 * short).await;
    assert_eq!(take(one, "idle", 1).await, Duration::ZERO);
    let next = take(one, "idle", 1).await;
    assert!(next > INTERVAL / 2, "{next:?}");
}

async fn many_that_ask_at_once_each_get_their_own(one: &impl Shared, other: &impl Shared) {
    let asking = (0..40).map(|number| async move {
        if number % 2 == 0 { take(one, "many", 1).await } else { take(other, "many", 1).await }
    });
    let mut waits = futures::future::join_all(asking).await;
    waits.sort();
    for (number, wait) in waits.iter().enumerate() {
        let due = INTERVAL * number as u32;
        // They asked within some seconds.
        assert!(*wait <= due && *wait + Duration::from_secs(20) >= due, "{number}: {wait:?}");
    }
}

#[tokio::test]
async fn the_rate_of_one_process_keeps_every_promise() {
    let one = super::InProcess::default();
    suite(&one, &one.clone()).await;
}
