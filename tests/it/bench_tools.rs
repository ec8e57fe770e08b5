//! The counting server of `benches/end_to_end.sh`: its limiters and its answers. A bench has no test
//! harness of its own.

#[path = "../../benches/end_to_end/limiter.rs"]
mod limiter;
#[path = "../../benches/end_to_end/protocol.rs"]
mod protocol;

use std::time::Duration;

use clap::ValueEnum;

use limiter::{Limiter, LimiterKind};
use protocol::{Operation, answer, count_records, error};

/// Admitted of `times`.
fn admitted(limiter: &mut Limiter, times: impl IntoIterator<Item = f64>) -> usize {
    times.into_iter().filter(|seconds| limiter.admit(Duration::from_secs_f64(*seconds))).count()
}

fn paced(per_minute: f64, count: u32) -> impl Iterator<Item = f64> {
    (0..count).map(move |index| 1_000.7 + f64::from(index) * 60.0 / per_minute)
}

#[test]
fn all_admit_a_paced_client_just_under_the_limit_for_ten_minutes() {
    for &kind in LimiterKind::value_variants() {
        let mut limiter = Limiter::new(kind, 600);
        assert_eq!(admitted(&mut limiter, paced(594.0, 5_940)), 5_940, "{kind:?}");
    }
}

#[test]
fn none_admits_more_than_the_limit_for_long() {
    for &kind in LimiterKind::value_variants() {
        let mut limiter = Limiter::new(kind, 600);
        // Ten minutes at twice the limit: ten or, as a minute may be cut in two, eleven windows.
        let count = admitted(&mut limiter, paced(1_200.0, 12_000));
        assert!((5_900..=6_600).contains(&count), "{kind:?} let {count} through");
    }
}

#[test]
fn a_burst_is_cut_to_what_the_kind_holds() {
    let burst = |kind| admitted(&mut Limiter::new(kind, 600), std::iter::repeat_n(1_000.0, 1_000));
    assert_eq!(burst(LimiterKind::FixedWindow), 600);
    assert_eq!(burst(LimiterKind::SlidingLog), 600);
    assert_eq!(burst(LimiterKind::SlidingCounter), 600);
    assert_eq!(burst(LimiterKind::BucketMinute), 600);
    assert_eq!(burst(LimiterKind::BucketTenth), 60);
    assert_eq!(burst(LimiterKind::BucketSecond), 10);
}

#[test]
fn only_the_fixed_window_forgets_a_burst_at_the_full_minute() {
    let second_burst = |kind| {
        let mut limiter = Limiter::new(kind, 600);
        admitted(&mut limiter, std::iter::repeat_n(59.0, 600));
        admitted(&mut limiter, std::iter::repeat_n(61.0, 600))
    };
    assert_eq!(second_burst(LimiterKind::FixedWindow), 600);
    assert_eq!(second_burst(LimiterKind::SlidingLog), 0);
    assert_eq!(second_burst(LimiterKind::SlidingCounter), 10);
    assert_eq!(second_burst(LimiterKind::BucketMinute), 20);
}

const REQUEST: &[u8] = br#"{"query":"mutation ReportUsageBulk($input: ReportUsageBulkInput!) {\n  reportUsageBulk(input: $input) {\n id\n customerId value resourceId usagePeriodStart currentUsage }\n}","variables":{"input":{"usages":[{"customerId":"a","featureId":"f","value":12.5,"updateBehavior":"SET"},{"customerId":"b","featureId":"f","resourceId":"r","value":7}]}}}"#;

#[test]
fn an_answer_has_a_measurement_for_each_record_with_the_fields_asked_for() {
    let (operation, after_root) = Operation::of(REQUEST);
    assert_eq!(operation, Operation::Usage);
    assert_eq!(operation.limit_per_minute(), 600);
    let records = count_records(operation, REQUEST);
    assert_eq!(records, 2);
    let answer: serde_json::Value =
        serde_json::from_slice(&answer(operation, REQUEST, after_root, records)).expect("JSON");
    assert_eq!(
        answer["data"]["reportUsageBulk"],
        serde_json::json!([
            {"id": "01890000-0000-7000-8000-000000000000", "customerId": "a", "value": 12.5, "resourceId": null,
             "usagePeriodStart": null, "currentUsage": 12.5},
            {"id": "01890000-0000-7000-8000-000000000001", "customerId": "b", "value": 7, "resourceId": "r",
             "usagePeriodStart": null, "currentUsage": 7},
        ])
    );
}

#[test]
fn every_fixed_answer_is_json() {
    for operation in Operation::WRITES.into_iter().chain([Operation::Task, Operation::Environment]) {
        let body = match operation {
            Operation::Rows => r#"[{"customer_id":"a"}]"#.to_owned(),
            _ => format!("{{\"query\":\"{{ {} }}\"}}", operation.name()),
        };
        assert_eq!(Operation::of(body.as_bytes()).0, operation);
        let answer = answer(operation, body.as_bytes(), b"", 0);
        assert!(serde_json::from_slice::<serde_json::Value>(&answer).expect("JSON").get("errors").is_none());
    }
    let refusal: serde_json::Value = serde_json::from_slice(&error("RateLimitExceeded", "too many")).expect("JSON");
    assert_eq!(refusal["errors"][0]["extensions"]["code"], "RateLimitExceeded");
}
