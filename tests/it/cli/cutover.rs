//! Paid plans from the command line: plan, provision, prove, cancel; lists for people; kills; keys.

use std::time::Duration;

use serde_json::{Value, json};
use stigg_import::sandbox::{
    Catalog, Fault, FaultKind, Sandbox, Settings, StripeCustomer, StripeItem, StripeSnapshot, StripeSubscription,
};

use crate::program::{Api, Folder, Ran, assert_ran, repository};

const PAID_TOML: &str = r#"
entity = "paid_subscription"
[fields]
subscriptionId = "id"
customerId = "customer"
planId = { const = "plan-team" }
startDate = { column = "start", time = "iso" }
billingPeriod = { const = "MONTHLY" }
unitQuantity = "quantity"
original = { provider = "provider", id = "original" }
"#;

/// An API with an account at Stripe: customers `a` to `e`, each with `old-a` to `old-e` at 49.00 a month for each of two.
pub(super) fn world(settings: Settings) -> (Folder, Api) {
    let catalog: Catalog = serde_json::from_value(json!({ "plans": [{ "id": "plan-team", "kind": "paid", "prices": [
        { "billing_period": "MONTHLY", "unit_amount": 4900 },
    ] }] }))
    .unwrap();
    let sandbox = Sandbox::new(Settings { catalog: Some(catalog), rate_scale: None, ..settings });
    let mut stripe = StripeSnapshot::default();
    let mut customers = "id\n".to_owned();
    let mut rows = "id,customer,start,quantity,provider,original\n".to_owned();
    for name in ["a", "b", "c", "d", "e"] {
        customers.push_str(&format!("{name}\n"));
        rows.push_str(&format!("{name},{name},2025-06-16T16:35:00Z,2,stripe,old-{name}\n"));
        stripe.customers.push(StripeCustomer {
            id: name.to_owned(),
            email: None,
            name: None,
            created: 1_750_000_000,
            metadata: serde_json::Map::new(),
        });
        stripe.subscriptions.push(StripeSubscription {
            id: format!("old-{name}"),
            customer: name.to_owned(),
            status: "active".to_owned(),
            created: 1_750_000_000,
            start_date: 1_750_000_000,
            current_period_end: 1_900_000_000,
            canceled_at: None,
            ended_at: None,
            cancel_at_period_end: false,
            schedule: None,
            items: vec![StripeItem {
                price: "price_team".to_owned(),
                product: "prod_team".to_owned(),
                quantity: Some(2),
                unit_amount: 4900,
                currency: "usd".to_owned(),
                interval: "month".to_owned(),
            }],
            metadata: serde_json::Map::new(),
        });
    }
    sandbox.stripe().load(stripe);
    let api = Api::serve(sandbox);
    let folder = Folder::new();
    folder
        .write("customers.csv", customers)
        .write("customers.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nbillingId = \"id\"\n")
        .write("paid.toml", PAID_TOML)
        .write("paid.csv", rows);
    folder.run_to(&api, "run --mapping customers.toml --csv customers.csv").exits(0);
    (folder, api)
}

fn stripe_url(api: &Api) -> String {
    api.url.replace("/graphql", "/stripe")
}

pub(super) fn cutover(folder: &Folder, api: &Api, words: &str) -> Ran {
    folder.run_to(api, &format!("cutover {words} --provider-url {}", stripe_url(api)))
}

/// Requests that the API received, whatever they asked for.
fn requests(api: &Api) -> u64 {
    api.sandbox.stats().operations.values().map(|operation| operation.requests).sum()
}

fn stages(folder: &Folder) -> Value {
    folder.run("status --cutover --json").exits(0).json()["cutover"][0]["stages"].clone()
}

/// The audit file's lines.
fn audit(folder: &Folder) -> Vec<Value> {
    let text = folder.read(".stigg-import/cutover-audit.jsonl");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

#[test]
fn a_cutover_by_the_commands_of_its_page() {
    let (folder, api) = world(Settings::default());
    assert_ran!(cutover(&folder, &api, "--mapping paid.toml --csv paid.csv --plan"), @r#"
    exit 0
    --- stdout
    5 records
      to provision and prove  5
    0 originals confirmed and not yet cancelled

    --- stderr
    "#);
    assert_ran!(cutover(&folder, &api, "--mapping paid.toml --csv paid.csv --limit 2"), @r#"
    exit 0
    --- stdout
    5 records
      confirmed now   2
      left for later  3
    where they are now
      confirmed  2

    --- stderr
    every step is in .stigg-import/cutover-audit.jsonl
    hint: nothing was cancelled. When you have looked at them: stigg-import cutover --phase cancel --cancel-originals
    "#);
    assert_ran!(folder.run("status --cutover"), @r#"
    exit 0
    --- stdout
    http://127.0.0.1:[PORT]/graphql [UUID]
    where they are now
      confirmed  2

    --- stderr
    "#);
    assert_ran!(cutover(&folder, &api, "--phase cancel --cancel-originals --limit 1"), @r#"
    exit 0
    --- stdout
    1 original to cancel
      cancelled  1
    where they are now
      confirmed  1
      cancelled  1

    --- stderr
    every step is in .stigg-import/cutover-audit.jsonl
    "#);
    assert_ran!(cutover(&folder, &api, "--mapping paid.toml --csv paid.csv --phase all --cancel-originals"), @r#"
    exit 0
    --- stdout
    5 records
      confirmed now     3
      confirmed before  2
    4 originals to cancel
      cancelled  4
    where they are now
      cancelled  5

    --- stderr
    every step is in .stigg-import/cutover-audit.jsonl
    "#);
    assert_ran!(cutover(&folder, &api, "--mapping paid.toml --csv paid.csv --phase all --cancel-originals"), @r#"
    exit 0
    --- stdout
    5 records
      confirmed before  5
    where they are now
      cancelled  5

    --- stderr
    every step is in .stigg-import/cutover-audit.jsonl
    "#);

    let stripe = api.sandbox.stripe().snapshot();
    assert_eq!(stripe.cancellations.values().collect::<Vec<_>>(), [&1; 5], "each original ended once");
    assert!(stripe.invoiced.is_empty() && stripe.invoice_items.is_empty(), "no last invoice and no proration");
    let snapshot = api.sandbox.snapshot();
    assert!(snapshot.subscriptions.values().all(|one| !one.billed_again && one.provisioned.is_some()));
    assert_eq!(snapshot.subscriptions.len(), 5);
    let lines = audit(&folder);
    for stage in ["planned", "provisioning", "provisioned", "confirmed", "cancelling", "cancelled"] {
        assert_eq!(lines.iter().filter(|line| line["step"] == stage).count(), 5, "{stage}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path(".stigg-import/cutover-audit.jsonl")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn words_that_do_not_go_together_are_told_before_anything_is_sent() {
    let (folder, api) = world(Settings::default());
    let before = requests(&api);
    for (words, said) in [
        ("--phase cancel", "cancelling originals has to be said twice"),
        ("--phase all --mapping paid.toml --csv paid.csv", "cancelling originals has to be said twice"),
        ("--cancel-originals --mapping paid.toml --csv paid.csv", "the phase is provision, which cancels nothing"),
        ("--phase cancel --cancel-originals --mapping paid.toml --csv paid.csv", "--phase cancel takes no source"),
        ("", "there is no mapping of paid subscriptions"),
        ("--mapping paid.toml --csv paid.csv --retry-parked tired", "reasons are all, payment-required, refused"),
    ] {
        let ran = cutover(&folder, &api, words).exits(2);
        assert!(ran.stderr.contains(said), "{words}: {ran}");
    }
    let other = cutover(&folder, &api, "--mapping customers.toml --csv customers.csv").exits(5);
    assert!(other.stderr.contains("is not for a cutover: customers.toml makes no paid subscriptions"), "{other}");
    assert_eq!(requests(&api), before);
    assert_eq!(folder.run("status --cutover").exits(0).stdout, "no paid subscription was moved yet\n");
}

#[test]
fn a_live_key_needs_to_be_allowed_and_no_key_is_shown() {
    let (folder, api) = world(Settings::default());
    let words = format!(
        "cutover --mapping paid.toml --csv paid.csv --target {} --rate-scale 100000 --provider-url {}",
        api.url,
        stripe_url(&api)
    );
    let with_key = |key: &str, more: &str| {
        folder.finish(folder.command(&format!("{words} {more} -vv")).env("STRIPE_API_KEY", key))
    };
    let live = with_key("sk_live_51Secret", "");
    assert_eq!(live.exit, Some(7), "{live}");
    assert!(live.stderr.contains("the Stripe key is a live one"), "{live}");
    // Allowed, it meets an account in test mode, which refuses it.
    let other_mode = with_key("sk_live_51Secret", "--live");
    assert_eq!(other_mode.exit, Some(7), "{other_mode}");
    let wrong = with_key("pk_test_51Secret", "");
    assert_eq!(wrong.exit, Some(7), "{wrong}");
    for ran in [live, other_mode, wrong] {
        assert!(!format!("{ran}").contains("51Secret"), "{ran}");
    }
    assert!(api.sandbox.snapshot().subscriptions.is_empty(), "nothing was provisioned");
}

#[test]
fn without_a_key_an_original_at_stripe_stops_the_run() {
    let (folder, api) = world(Settings::default());
    let ran = folder.run_to(&api, "cutover --mapping paid.toml --csv paid.csv --provider-url https://stripe.invalid");
    let ran = ran.exits(7);
    assert!(ran.stderr.contains("STRIPE_API_KEY is not set"), "{ran}");
    assert!(api.sandbox.snapshot().subscriptions.is_empty());
}

#[test]
fn a_cohort_of_customers_is_read_from_a_file() {
    let (folder, api) = world(Settings::default());
    folder.write("first.txt", "\u{feff}b\r\n\n d \n");
    let words = "--mapping paid.toml --csv paid.csv --only-customers first.txt --json";
    let summary = cutover(&folder, &api, words).exits(0).json();
    assert_eq!((&summary["confirmed"], &summary["not_asked"]), (&json!(2), &json!(3)));
    folder.write("none.txt", "\n");
    let none = cutover(&folder, &api, "--mapping paid.toml --csv paid.csv --only-customers none.txt").exits(5);
    assert!(none.stderr.contains("none.txt names no customer"), "{none}");
}

#[test]
fn what_is_parked_is_mended_and_begins_anew() {
    let settings = Settings { without_payment_method: ["b".to_owned()].into(), ..Settings::default() };
    let (folder, api) = world(settings);
    let ran = cutover(&folder, &api, "--mapping paid.toml --csv paid.csv").exits(3);
    assert!(ran.stdout.contains("b (for old-b) is parked, payment-required: Stigg asks for a payment"), "{ran}");
    assert!(ran.stderr.contains("hint: docs/cutover.md says what to do about each reason"), "{ran}");
    let again = cutover(&folder, &api, "--mapping paid.toml --csv paid.csv --retry-parked refused --json").exits(3);
    assert_eq!(again.json()["parked_before"], 1);
    let again = cutover(&folder, &api, "--mapping paid.toml --csv paid.csv --retry-parked --json").exits(3);
    assert_eq!((&again.json()["parked"], &again.json()["provision_requests"]), (&json!(1), &json!(1)), "still no card");
}

#[test]
fn originals_of_other_providers_go_to_people_and_come_back() {
    let (folder, api) = world(Settings::default());
    folder.write("paid.csv", folder.read("paid.csv").replace(",stripe,", ",chargebee,"));
    let words = "--mapping paid.toml --csv paid.csv --phase all --cancel-originals";
    assert_ran!(folder.run_to(&api, &format!("cutover {words}")), @r#"
    exit 0
    --- stdout
    5 records
      confirmed now  5
    5 originals to cancel
      listed for people  5
    where they are now
      cancelling  5

    --- stderr
    originals to cancel by hand are in originals-to-cancel.csv; fill in cancelled_at, then stigg-import cutover --cancelled originals-to-cancel.csv
    every step is in .stigg-import/cutover-audit.jsonl
    "#);

    let list = folder.read("originals-to-cancel.csv");
    assert_eq!(list.lines().count(), 6, "{list}");
    assert!(list.contains("cancel_for_items"), "{list}");
    // A second run asks again, and overwrites nothing.
    let again = folder.run_to(&api, "cutover --phase cancel --cancel-originals").exits(5);
    assert!(again.stderr.contains("originals-to-cancel.csv is there already"), "{again}");
    assert_eq!(folder.read("originals-to-cancel.csv"), list);

    // Three were cancelled, and one that nobody was asked for.
    let mut rows: Vec<String> = list.lines().map(str::to_owned).collect();
    for row in &mut rows[1..4] {
        row.push_str("2026-01-01T00:00:00Z");
    }
    rows.push("chargebee,old-z,z,,,,,2026-01-01T00:00:00Z".to_owned());
    folder.write("back.csv", rows.join("\n"));
    assert_ran!(folder.run_to(&api, "cutover --cancelled back.csv"), @r#"
    exit 3
    --- stdout
    3 originals closed, 2 without a moment: still to be cancelled
    old-z: nobody was asked to cancel it; it stays as it is
    where they are now
      cancelling  2
      cancelled   3

    --- stderr
    "#);
    folder.write("bad.csv", list.replace("chargebee,old-a", "nobody,old-a"));
    let bad = folder.run_to(&api, "cutover --cancelled bad.csv").exits(5);
    assert!(bad.stderr.contains("line 2: the provider is no provider"), "{bad}");
    let at = |stage: &str, count: u64| json!({ "stage": stage, "count": count });
    assert_eq!(stages(&folder), json!([at("cancelling", 2), at("cancelled", 3)]));
}

#[test]
fn a_killed_cutover_goes_on_and_doubles_nothing() {
    // Slow enough to be killed at many places; the kills come at other moments in each run of the tests.
    let (folder, api) = world(Settings { latency: Duration::from_millis(8), ..Settings::default() });
    let words = format!(
        "cutover --mapping paid.toml --csv paid.csv --phase all --cancel-originals -q --settle-seconds 2 --target {} \
         --rate-scale 100000 \
         --provider-url {}",
        api.url,
        stripe_url(&api)
    );
    let mut killed = 0;
    for round in 0..12 {
        let mut child = folder.command(&words).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(60 + 45 * round));
        if child.try_wait().unwrap().is_none() {
            killed += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed > 3, "{killed} of the runs were killed");
    folder.run(&words).exits(0);

    assert_eq!(stages(&folder), json!([{ "stage": "cancelled", "count": 5 }]));
    let stripe = api.sandbox.stripe().snapshot();
    assert_eq!(stripe.cancellations.values().collect::<Vec<_>>(), [&1; 5]);
    assert_eq!(stripe.subscriptions.len(), 10, "five old, five new");
    assert_eq!(api.sandbox.snapshot().subscriptions.len(), 5);
}

#[test]
fn lost_answers_and_throttles_of_both_sides_are_survived() {
    let (folder, api) = world(Settings::default());
    for (name, kind) in [
        ("provisionSubscriptionV2", FaultKind::LostAnswer),
        ("provisionSubscriptionV2", FaultKind::RateLimited),
        ("provisionSubscriptionV2", FaultKind::ServerErrorAfter),
        ("subscriptions", FaultKind::Truncated),
    ] {
        api.sandbox.inject(Fault::once(kind).on(name));
    }
    for (name, kind) in [
        ("stripe.subscriptions.cancel", FaultKind::LostAnswer),
        ("stripe.subscriptions.cancel", FaultKind::ResetBefore),
        ("stripe.subscriptions.retrieve", FaultKind::RateLimited),
    ] {
        api.sandbox.stripe().inject(Fault::once(kind).on(name));
    }

    let words = "--mapping paid.toml --csv paid.csv --phase all --cancel-originals --json";
    let summary = cutover(&folder, &api, words).exits(0).json();

    assert_eq!((&summary["confirmed"], &summary["cancelled"]), (&json!(5), &json!(5)));
    assert_eq!(api.sandbox.stripe().snapshot().cancellations.values().collect::<Vec<_>>(), [&1; 5]);
    let answers: Vec<String> =
        audit(&folder).iter().filter_map(|line| line["answer"].as_str().map(str::to_owned)).collect();
    assert!(
        answers.iter().any(|answer| answer.contains("it is not known whether the request was applied")),
        "{answers:?}"
    );
    assert!(
        answers.iter().any(|answer| answer.contains("it is not known whether the call was carried out")),
        "{answers:?}"
    );
}

#[test]
fn an_audit_file_that_can_not_be_written_stops_before_anything_is_sent() {
    let (folder, api) = world(Settings::default());
    folder.write("file", "");
    let ran = cutover(&folder, &api, "--mapping paid.toml --csv paid.csv --audit file/audit.jsonl").exits(8);
    assert!(ran.stderr.contains("can't write the audit file file/audit.jsonl"), "{ran}");
    assert!(api.sandbox.snapshot().subscriptions.is_empty());
}

/// On a terminal (`script` of util-linux makes one) the number has to be typed.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_the_number_is_typed_before_anything_is_cancelled() {
    let (folder, api) = world(Settings::default());
    cutover(&folder, &api, "--mapping paid.toml --csv paid.csv").exits(0);
    let words = format!(
        "cutover --phase cancel --cancel-originals --target {} --rate-scale 100000 --provider-url {}",
        api.url,
        stripe_url(&api)
    );
    for (typed, live, cancelled, exit) in [("yes", " --live", 0, 4), ("4", "", 0, 4), ("5", "", 5, 0)] {
        let line = format!("(sleep 1; echo {typed}; sleep 1) | script -qec \"$PROGRAM {words}{live}\" /dev/null");
        let ran = folder.finish(&mut folder.shell(&line)).exits(exit);
        assert!(ran.stdout.contains("5 originals will be cancelled at once, without proration."), "{ran}");
        assert!(ran.stdout.contains("type 5 to go on, anything"), "{ran}");
        let warning = "That can't be undone. The key is allowed to be a live one.";
        assert_eq!(ran.stdout.contains(warning), !live.is_empty(), "{ran}");
        assert_eq!(ran.stdout.contains("nothing was cancelled: the number was not typed"), cancelled == 0, "{ran}");
        assert_eq!(api.sandbox.stripe().snapshot().cancellations.len(), cancelled, "{typed}: {ran}");
    }
}

/// The page of the cutover tells what to do about each reason, and its commands are commands.
#[test]
fn its_page_has_every_reason_and_its_words_are_taken() {
    let page = std::fs::read_to_string(repository("docs/cutover.md")).unwrap();
    for reason in stigg_import::ledger::ParkReason::ALL {
        assert!(page.contains(&format!("| `{}` |", reason.name())), "{}", reason.name());
    }
    // Those of the rehearsal go over several lines, and are about the demo's files.
    let is_whole = |line: &&str| line.starts_with("stigg-import cutover ") && !line.ends_with('\\');
    let (folder, api) = world(Settings::default());
    let commands: Vec<&str> = page.lines().map(str::trim).filter(|line| is_whole(line)).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let words = command.strip_prefix("stigg-import ").unwrap();
        let words =
            words.replace("mappings/stripe/paid-subscriptions.toml --stripe subscriptions", "paid.toml --csv paid.csv");
        if words.contains("--cancelled") {
            continue; // There is no list of an account at Stripe; it has a test of its own.
        }
        let ran = folder.run_to(&api, &format!("{words} --provider-url {}", stripe_url(&api)));
        assert_eq!(ran.exit, Some(0), "{command}: {ran}");
    }
    assert_eq!(
        stages(&folder),
        json!([{ "stage": "cancelled", "count": 5 }]),
        "in their order they are a whole cutover"
    );
}
