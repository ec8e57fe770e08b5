//! A rate that several share.

use std::time::Duration;

use super::*;
use crate::pacer::Shared as _;

const INTERVAL: Duration = Duration::from_secs(100);

#[tokio::test]
async fn whoever_asks_gets_the_next_moment_and_none_twice() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let (one, other) = (database.open().await.pace(), database.open().await.pace());
    // When
    let begun = std::time::Instant::now();
    let first = one.take("api usage", INTERVAL, 1, Duration::ZERO).await.unwrap();
    let second = other.take("api usage", INTERVAL, 3, Duration::ZERO).await.unwrap();
    let fifth = one.take("api usage", INTERVAL, 1, Duration::ZERO).await.unwrap();
    let of_another_rate = one.take("api customers", INTERVAL, 1, Duration::ZERO).await.unwrap();
    // Then: the server counts from the first, however long the ways were.
    let took = begun.elapsed();
    assert_eq!((first, of_another_rate), (Duration::ZERO, Duration::ZERO));
    assert!(second <= INTERVAL && second >= INTERVAL - took, "{second:?} after {took:?}");
    assert!(fifth <= 4 * INTERVAL && fifth >= 4 * INTERVAL - took, "{fifth:?} after {took:?}");
}

#[tokio::test]
async fn a_pause_counts_for_all_and_a_time_of_rest_makes_no_burst() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let (one, other) = (database.open().await.pace(), database.open().await.pace());
    let begun = std::time::Instant::now();
    let held = one.take("api", INTERVAL, 1, Duration::from_secs(1000)).await.unwrap();
    assert!(held >= Duration::from_secs(999), "{held:?}");
    let next = other.take("api", INTERVAL, 1, Duration::ZERO).await.unwrap();
    assert!(next >= Duration::from_secs(1100) - begun.elapsed(), "{next:?}");
    // A rate of which nobody took anything for long: moments that passed are gone.
    let short = Duration::from_millis(10);
    one.take("idle", short, 1, Duration::ZERO).await.unwrap();
    tokio::time::sleep(10 * short).await;
    assert_eq!(one.take("idle", INTERVAL, 1, Duration::ZERO).await.unwrap(), Duration::ZERO);
    let next = one.take("idle", short, 1, Duration::ZERO).await.unwrap();
    assert!(next > INTERVAL / 2, "{next:?}");
}

#[tokio::test]
async fn many_that_ask_at_once_each_get_their_own() {
    if left_out() {
        return;
    }
    let database = Database::new();
    let ledger = database.open().await;
    let pace = ledger.pace();
    let asking = (0..40).map(|_| async { pace.take("api", INTERVAL, 1, Duration::ZERO).await.unwrap() });
    let mut waits = futures::future::join_all(asking).await;
    waits.sort();
    for (number, wait) in waits.iter().enumerate() {
        let due = INTERVAL * number as u32;
        // They asked within a second or two.
        assert!(*wait <= due && *wait + Duration::from_secs(20) >= due, "{number}: {wait:?}");
    }
}
