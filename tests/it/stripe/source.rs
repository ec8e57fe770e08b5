//! Stripe's lists as a source: from the embedded account through the program into the embedded API.

use std::num::NonZeroU32;

use stigg_import::http::Endpoint;
use stigg_import::sandbox::{Fault, FaultKind, Faults, Settings, StripeCustomer, StripeSnapshot};
use stigg_import::source::{StripeList, StripeOptions, open_stripe};
use stigg_import::stripe::{LiveKeys, StripeKey, StripeSettings};

use super::subscription;
use crate::program::{Api, Folder, Ran, assert_ran, repository};

/// A mapping's field by a path, and one by the customer's id.
const SUBSCRIPTIONS: &str = r#"entity = "subscription"

[fields]
subscriptionId = "id"
customerId = "customer"
planId = "items.data[0].price.id"
startDate = { column = "start_date", time = "unix" }
"#;

fn customer(number: i64) -> StripeCustomer {
    StripeCustomer {
        id: format!("cus_{number}"),
        email: Some(format!("c{number}@example.com")),
        name: None,
        created: 1_735_689_600 + number,
        metadata: serde_json::Map::from_iter([("tier".to_owned(), "gold".into())]),
    }
}

fn account(objects: i64) -> Api {
    let api = Api::open();
    api.sandbox.stripe().load(StripeSnapshot {
        customers: (1..=objects).map(customer).collect(),
        subscriptions: (1..=objects).map(subscription).collect(),
        ..StripeSnapshot::default()
    });
    api
}

fn run(folder: &Folder, api: &Api, words: &str) -> Ran {
    let stripe = api.url.replace("/graphql", "/stripe");
    folder.run_to(api, &format!("run {words} --stripe-url {stripe}"))
}

#[test]
fn customers_and_subscriptions_come_without_an_export() {
    let (folder, api) = (Folder::new(), account(250));
    folder.write("subscriptions.toml", SUBSCRIPTIONS);
    let customers = repository("mappings/stripe/api-customers.toml");

    run(&folder, &api, &format!("--mapping {} --stripe customers", customers.display())).exits(0);
    run(&folder, &api, "--mapping subscriptions.toml --stripe subscriptions").exits(0);

    let snapshot = api.sandbox.snapshot();
    assert_eq!((snapshot.customers.len(), snapshot.subscriptions.len()), (250, 250));
    assert_eq!(snapshot.customers["cus_7"].billing_id.as_deref(), Some("cus_7"));
    assert_eq!(
        api.sandbox.stripe().requests(),
        [
            "GET /v1/customers?limit=100",
            "GET /v1/customers?limit=100&starting_after=cus_151",
            "GET /v1/customers?limit=100&starting_after=cus_51",
            "GET /v1/subscriptions?limit=100&status=all",
            "GET /v1/subscriptions?limit=100&status=all&starting_after=sub_151",
            "GET /v1/subscriptions?limit=100&status=all&starting_after=sub_51",
        ]
    );
    // Once more: nothing has changed.
    let again = run(&folder, &api, "--mapping subscriptions.toml --stripe subscriptions --json").exits(0);
    assert_eq!((again.total("unchanged"), again.total("accepted")), (250, 0));
}

/// Given an account with a subscription of each kind, when the shipped mapping of paid subscriptions is tried on it, then
/// what is alive and costs something fits, and what a person has to decide is rejected with the reason.
#[test]
fn of_a_list_the_shipped_mapping_takes_what_is_paid_and_rejects_what_needs_a_person() {
    let (folder, api) = (Folder::new(), Api::open());
    let mut subscriptions: Vec<_> = (1..=6).map(subscription).collect();
    for subscription in &mut subscriptions {
        subscription.items[0].price = "price_1PqTeamUSDm00000000004".to_owned();
    }
    subscriptions[1].status = "past_due".to_owned();
    subscriptions[2].schedule = Some("sub_sched_1".to_owned());
    let second = subscriptions[3].items[0].clone();
    subscriptions[3].items.push(second);
    subscriptions[4].items[0].unit_amount = 0;
    subscriptions[5].status = "canceled".to_owned();
    api.sandbox.stripe().load(StripeSnapshot { subscriptions, ..StripeSnapshot::default() });
    let mapping = repository("mappings/stripe/paid-subscriptions.toml");
    let stripe = api.url.replace("/graphql", "/stripe");

    let words = format!("check --mapping {} --stripe subscriptions --stripe-url {stripe} --json", mapping.display());
    let checked = folder.run(&words).exits(3).json();

    let step = &checked["checks"][1];
    assert_eq!((&step["rows"], &step["rejected"]), (&6.into(), &3.into()), "{checked}");
    let rejects = step["rejects"].as_array().expect("rejects");
    let reasons: Vec<_> = rejects.iter().filter_map(|reject| reject["reason"].as_str()).collect();
    assert_eq!(
        reasons,
        [
            "it has several items, and which plan they are together is for you to say",
            "a schedule would change it later; release that at Stripe first",
            "its last invoice is not paid; settle it at Stripe first",
        ]
    );
}

#[test]
fn pages_that_are_refused_lost_or_broken_are_asked_for_again() {
    let (folder, api) = (Folder::new(), account(250));
    folder.write("subscriptions.toml", SUBSCRIPTIONS);
    let pauses = [FaultKind::RateLimited, FaultKind::LostAnswer, FaultKind::BadGateway, FaultKind::Truncated];
    for kind in pauses {
        api.sandbox.stripe().inject(Fault::once(kind).on("stripe.subscriptions.list"));
    }
    let customers = repository("mappings/stripe/api-customers.toml");
    run(&folder, &api, &format!("--mapping {} --stripe customers", customers.display())).exits(0);

    let ran = run(&folder, &api, "--mapping subscriptions.toml --stripe subscriptions --json").exits(0);

    assert_eq!((ran.total("rows"), ran.total("accepted")), (250, 250));
}

#[test]
fn a_pipeline_file_says_the_same() {
    let (folder, api) = (Folder::new(), account(3));
    let stripe = api.url.replace("/graphql", "/stripe");
    let customers = repository("mappings/stripe/api-customers.toml");
    folder.write(
        "pipeline.toml",
        format!(
            "[target]\nurl = {:?}\n\n[[step]]\nname = \"customers\"\nmapping = {:?}\nsource = {{ stripe = \"customers\", url = {stripe:?} }}\n",
            api.url,
            customers.display().to_string()
        ),
    );

    folder.run("run pipeline.toml --rate-scale 100000").exits(0);

    assert_eq!(api.customers(), 3);
}

#[test]
fn what_is_wrong_is_said_without_the_key_before_anything_is_sent() {
    let (folder, api) = (Folder::new(), account(1));
    folder.write("subscriptions.toml", SUBSCRIPTIONS);
    let words = "run --mapping subscriptions.toml";
    assert_ran!(folder.run_to(&api, &format!("{words} --stripe sk_live_51Secret")), @r"
    exit 2
    --- stdout

    --- stderr
    error: a Stripe key does not belong where others can read it
    hint: put it into STRIPE_API_KEY and say --stripe subscriptions; others can see arguments
    ");
    assert_ran!(folder.run_to(&api, &format!("{words} --stripe invoices")), @r"
    exit 2
    --- stdout

    --- stderr
    error: Stripe has no such list to read; lists are customers and subscriptions
    hint: say --stripe subscriptions or --stripe customers
    ");
    assert_ran!(folder.run_to(&api, &format!("{words} --stripe subscriptions --array data")), @r"
    exit 2
    --- stdout

    --- stderr
    error: the following required arguments were not provided:
      --json [<FILE>]

    Usage: stigg-import run --mapping <FILE> --json [<FILE>] --stripe <LIST> --array <NAME> --target <URL> --rate-scale <N> [PIPELINE.toml]

    For more information, try '--help'.
    ");
    assert_ran!(folder.run_to(&api, &format!("{words} --stripe subscriptions --stripe-url http://stripe.example.com")), @r"
    exit 2
    --- stdout

    --- stderr
    error: Stripe's address would send the key unencrypted to stripe.example.com; http is only taken to this machine (127.0.0.0/8, ::1, localhost)
    hint: leave --stripe-url out for Stripe itself
    ");
    let words_with_url =
        format!("{words} --stripe subscriptions --stripe-url https://sk_live_51Secret:@api.stripe.com");
    assert_ran!(folder.run_to(&api, &words_with_url), @r"
    exit 2
    --- stdout

    --- stderr
    error: Stripe's address holds a user or password, and a key does not belong where others can read it
    hint: put the key into STRIPE_API_KEY
    ");
    folder.write(
        "pipeline.toml",
        "[[step]]\nname = \"s\"\nmapping = \"subscriptions.toml\"\nsource = { stripe = \"customers\", url = \"https://sk_live_51Secret@x.com\" }\n",
    );
    assert_ran!(folder.run_to(&api, "run pipeline.toml"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the pipeline doesn't hold: 1 problem

    pipeline.toml:4:40: Stripe's address holds a user or password, and a key does not belong where others can read it
      4 | source = { stripe = "customers", url = ***
        |                                        ^^^
      hint: put the key into the environment variable STRIPE_API_KEY

    hint: nothing was sent; mend what is shown and run the same command again
    "#);
    let mut without = folder.command(&format!("{words} --stripe subscriptions --target {}", api.url));
    assert_ran!(folder.finish(without.env_remove("STRIPE_API_KEY")), @r"
    exit 7
    --- stdout

    --- stderr
    error: there is no Stripe key
    hint: put a secret or restricted key into STRIPE_API_KEY; nothing was sent
    ");
    let mut publishable = folder.command(&format!("{words} --stripe subscriptions --target {}", api.url));
    assert_ran!(folder.finish(publishable.env("STRIPE_API_KEY", "pk_live_51Secret")), @r"
    exit 7
    --- stdout

    --- stderr
    error: the Stripe key is a publishable one (`pk_`), which may not read subscriptions
    hint: put a secret or restricted key into STRIPE_API_KEY; nothing was sent
    ");
    let stripe = api.url.replace("/graphql", "/stripe");
    let live = format!("{words} --stripe subscriptions --stripe-url {stripe} --target {}", api.url);
    assert_ran!(folder.finish(folder.command(&live).env("STRIPE_API_KEY", "sk_live_51Secret")), @r"
    exit 7
    --- stdout

    --- stderr
    error: step `subscriptions` has no source
      because stripe subscriptions: Stripe refuses the key: Invalid API Key provided: ****
    hint: check the key in STRIPE_API_KEY and its right to read the list; nothing was sent
    ");
    folder.write(
        "pipeline.toml",
        "[[step]]\nname = \"s\"\nmapping = \"subscriptions.toml\"\nsource = { stripe = \"sk_live_51Secret\" }\n",
    );
    assert_ran!(folder.run_to(&api, "run pipeline.toml"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the pipeline doesn't hold: 1 problem

    pipeline.toml:4:21: a Stripe key does not belong where others can read it
      4 | source = { stripe = ***
        |                     ^^^
      hint: put the key into the environment variable STRIPE_API_KEY

    hint: nothing was sent; mend what is shown and run the same command again
    "#);
    assert_eq!(api.sandbox.stats().requests, 0);
}

#[test]
fn a_list_that_breaks_off_settles_what_came() {
    let (folder, api) = (Folder::new(), account(250));
    folder.write("subscriptions.toml", SUBSCRIPTIONS);
    api.sandbox.stripe().inject(Fault::once(FaultKind::Unauthenticated).on("stripe.subscriptions.list").after(2));
    let customers = repository("mappings/stripe/api-customers.toml");
    run(&folder, &api, &format!("--mapping {} --stripe customers", customers.display())).exits(0);

    run(&folder, &api, "--mapping subscriptions.toml --stripe subscriptions").exits(6);
    let then = run(&folder, &api, "--mapping subscriptions.toml --stripe subscriptions --json").exits(0);

    assert_eq!((then.total("unchanged"), then.total("accepted")), (200, 50));
}

/// Ids of a whole list from an account that fails as this seed has it.
async fn ids_through_faults(seed: u64, objects: i64) -> Vec<String> {
    let kinds = [FaultKind::LostAnswer, FaultKind::ResetBefore, FaultKind::ServerErrorAfter, FaultKind::BadGateway];
    let kinds = kinds.into_iter().chain([FaultKind::Truncated, FaultKind::RateLimited]);
    let faults = kinds.fold(Faults::default(), |faults, kind| faults.with(kind, 0.03));
    let (_sandbox, url) = super::account(objects, Settings { faults, seed, ..Settings::default() }).await;
    let key = StripeKey::parse(&"sk_test_any".into(), LiveKeys::Refused).expect("a key");
    let mut settings = StripeSettings::new(Endpoint::parse(&url).expect("an address"), key);
    settings.calls_per_second = NonZeroU32::new(1000).expect("above zero");
    let options = StripeOptions { list: StripeList::Subscriptions, settings };
    let mut rows = open_stripe(&options, &["id".to_owned()]).await.expect("it opens");
    let mut ids = Vec::new();
    while let Some(batch) = rows.next().await.expect("it goes on") {
        assert!(batch.bad().is_empty());
        ids.extend(batch.rows().map(|row| row.cell(0).expect("an id").to_owned()));
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn through_any_faults_each_object_comes_once_and_in_order() {
    let replayed = std::env::var("STIGG_IMPORT_STRIPE_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds: Vec<u64> = replayed.map_or_else(|| (0..12).map(|_| fastrand::u64(..)).collect(), |seed| vec![seed]);
    let lists = seeds.into_iter().map(|seed| async move {
        let objects = 1 + i64::try_from(seed % 900).expect("it is small");
        (seed, objects, ids_through_faults(seed, objects).await)
    });
    for (seed, objects, ids) in futures::future::join_all(lists).await {
        let newest_first: Vec<String> = (1..=objects).rev().map(|number| format!("sub_{number}")).collect();
        assert_eq!(ids, newest_first, "again with STIGG_IMPORT_STRIPE_SEED={seed}");
    }
}
