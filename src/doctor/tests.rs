//! The doctor against what a server may say.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::sink::Exchange;

/// Exchanges at this second of a minute, each answered 0.2 s later, with the server's second.
fn exchanges(seen: &[(f64, Option<i64>)]) -> Vec<Exchange> {
    let minute: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let at = |seconds: f64| minute + Duration::from_secs_f64(seconds);
    let exchange = |&(sent, date): &(f64, Option<i64>)| Exchange {
        operation: "Plans",
        took: Duration::from_millis(200),
        sent_at: at(sent),
        answered_at: at(sent + 0.2),
        date: date.map(|second| minute + jiff::SignedDuration::from_secs(second)),
        status: 200,
        code: None,
    };
    seen.iter().map(exchange).collect()
}

#[test]
fn a_clock_that_may_agree_is_not_off() {
    for seen in [[(10.3, Some(10))], [(10.9, Some(11))], [(10.0, Some(10))]] {
        assert_eq!(clock_off(&exchanges(&seen)), Some(ClockOff { seconds: 0.0 }), "{seen:?}");
    }
    assert_eq!(clock_off(&exchanges(&[(10.0, None)])), None, "a server that says no time");
    assert_eq!(clock_off(&[]), None);
}

#[test]
fn the_exchange_that_says_most_decides_how_far_a_clock_is_off() {
    let off = |seen: &[(f64, Option<i64>)]| clock_off(&exchanges(seen)).unwrap().seconds;
    // The server's second 10 ends at 11: the clock is ahead by at least 29, or by 29.5.
    assert!((off(&[(40.0, Some(10)), (40.5, Some(10)), (41.2, Some(11))]) - 29.5).abs() < 0.001);
    assert!((off(&[(10.0, Some(3610))]) + 3599.8).abs() < 0.001, "behind is negative");
}

#[test]
fn a_median_is_the_one_in_the_middle() {
    let mut times = [5, 1, 900].map(Duration::from_millis);
    assert_eq!(median(&mut times), Some(Duration::from_millis(5)));
    assert_eq!(median(&mut []), None);
}

#[test]
fn answers_are_remembered_for_their_target_alone_and_for_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join(FILE);
    let mut remembered = Remembered::read(&path).unwrap();
    assert_eq!(remembered.of("a"), None);
    let answers = |says: &str| RememberedAnswers {
        asked_at: "2026-01-01T12:00:00Z".to_owned(),
        answers: vec![Answer::new(Question::CustomerBatch, says)],
    };

    remembered.put("a", answers("they are kept"));
    remembered.put("b", answers("none is kept"));
    remembered.write(&path).unwrap();
    remembered.put("a", answers("none is kept"));
    remembered.write(&path).unwrap();

    let read = Remembered::read(&path).unwrap();
    assert_eq!(read.of("a"), Some(&answers("none is kept")));
    assert_eq!(read.of("b"), Some(&answers("none is kept")));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_file_of_another_form_is_told_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    for text in ["", "[]", r#"{"format": 2, "targets": {}}"#] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(Remembered::read(&path), Err(RememberedError::Form { .. })), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
