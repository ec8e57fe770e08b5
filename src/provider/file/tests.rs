use jiff::Timestamp;
use jiff::civil::date;

use super::*;

fn id(text: &str) -> OriginalId {
    OriginalId::parse(text).expect("an id")
}

fn now() -> Timestamp {
    "2026-11-26T16:00:00Z".parse().expect("a time")
}

fn problems(text: &str) -> Vec<String> {
    read_cancelled(text.as_bytes(), now()).expect_err("it is wrong").iter().map(ToString::to_string).collect()
}

#[test]
fn each_provider_is_called_in_its_own_way_without_proration() {
    let mut shown = String::new();
    for provider in ProviderName::ALL {
        let CancelCall { method, path, header, body } = CancelCall::of(provider, &id("s-1"), date(2026, 11, 26));
        shown.push_str(&format!("{provider}: {method} {path} [{header}] {body}\n"));
    }
    insta::assert_snapshot!(shown, @r#"
    stripe: DELETE /v1/subscriptions/s-1?prorate=false&invoice_now=false [] 
    zuora: PUT /v1/subscriptions/s-1/cancel [zuora-version: 211.0] {"cancellationPolicy":"SpecificDate","cancellationEffectiveDate":"2026-11-26","runBilling":false,"collect":false}
    chargebee: POST /api/v2/subscriptions/s-1/cancel_for_items [] cancel_option=immediately&credit_option_for_current_term_charges=none&unbilled_charges_option=delete&account_receivables_handling=no_action&refundable_credits_handling=no_action
    recurly: DELETE /subscriptions/s-1?refund=none&charge=false [Accept: application/vnd.recurly.v2021-02-25] 
    paddle: POST /subscriptions/s-1/cancel [] {"effective_from":"immediately"}
    "#);
}

#[test]
fn a_list_goes_out_and_comes_back_with_what_was_cancelled() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("originals.csv");
    let mut list = Originals::create(&path, date(2026, 11, 26)).expect("a new file");
    for (original, subscription_id) in [("A-S1", "=cmd()"), ("-S2", "sub-2"), ("A-S3", "sub-3")] {
        list.write(&OriginalRow { provider: ProviderName::Zuora, id: &id(original), subscription_id })
            .expect("written");
    }
    list.finish().expect("on disk");
    let text = std::fs::read_to_string(&path).expect("readable");
    assert!(text.contains("zuora,A-S1,'=cmd(),PUT,"), "no spreadsheet runs a cell: {text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    }
    // Nothing was filled in: everything is open.
    assert_eq!(read_cancelled(text.as_bytes(), now()), Ok(CancelledList { cancelled: vec![], open: 3 }));

    // When a person cancels two of them, and a spreadsheet adds its mark.
    let mut filled = String::from('\u{feff}');
    for line in text.lines() {
        let moment = if line.contains("S1,") || line.contains("S2,") { "2026-11-26T15:00:00Z" } else { "" };
        filled.push_str(&format!("{line}{moment}\n"));
    }

    let back = read_cancelled(filled.as_bytes(), now()).expect("it holds");
    let ids: Vec<&str> = back.cancelled.iter().map(|cancelled| cancelled.id.as_str()).collect();
    assert_eq!((ids, back.open), (vec!["A-S1", "-S2"], 1));
    assert!(matches!(Originals::create(&path, date(2026, 11, 27)), Err(OriginalsError::Exists)));
    assert_eq!(std::fs::read_to_string(&path).expect("readable"), text, "a file that is there is left as it is");
}

#[test]
fn a_list_with_anything_wrong_is_not_taken_and_says_all_of_it() {
    let header = "provider,original_id,cancelled_at";
    let list = format!(
        "{header}\nzuora,A-S1,2026-11-26T15:00:00Z\nzuoro,A-S2,\nzuora,a/b,\nzuora,A-S3,yesterday\n\
         zuora,A-S4,2026-11-26T17:00:00Z\nzuora,A-S1,\nrecurly,A-S1,\nzuora\n"
    );
    insta::assert_snapshot!(problems(&list).join("\n"), @r"
    line 3: the provider is no provider; providers are stripe, zuora, chargebee, recurly, paddle
    line 4: the original's id has characters that no subscription's id has (letters, digits, `_`, `-` and `.` are taken)
    line 5: `cancelled_at` is no time; write 2026-11-26T15:00:00Z, or nothing while it is open
    line 6: `cancelled_at` is in the future
    line 7: the original stands in line 2 already
    line 9: the row can't be read as CSV
    ");
    assert_eq!(
        problems("provider,id\nzuora,A-S1\n"),
        ["line 1: the header has no column `original_id`", "line 1: the header has no column `cancelled_at`"]
    );
    assert_eq!(problems("").len(), 3);
    assert_eq!(problems("provider,original_id,cancelled_at\n\u{0}\u{1}").len(), 1);
}

#[tokio::test]
async fn what_people_cancel_is_never_called() {
    let provider = ByHandProvider(ProviderName::Paddle);
    assert!(matches!(provider.read(&id("sub_1")).await, Err(ProviderError::ByHand)));
    assert!(matches!(provider.cancel(&id("sub_1")).await, Err(ProviderError::ByHand)));
}
