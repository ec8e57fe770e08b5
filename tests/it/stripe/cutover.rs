//! A whole cutover out of localstripe: its quirks are in the head of `localstripe.rs`. Its replacements are billed by the
//! embedded account and not by it, so that amounts are not compared here.

use std::collections::BTreeSet;

use serde_json::json;
use stigg_import::provider::{OriginalStatus, PendingItems, Provider as _, Reading};
use stigg_import::sandbox::{Catalog, Sandbox, Settings};

use super::localstripe::{LocalStripe, left_out};
use super::{id, provider};
use crate::program::{Api, Folder};

#[tokio::test(flavor = "multi_thread")]
async fn paid_plans_move_from_a_foreign_stripe_and_end_there_without_proration_or_invoice() {
    if left_out() {
        return;
    }
    // Given: 6 customers with a subscription each, made through its own API.
    let stripe = LocalStripe::start().await;
    stripe.basic_plan().await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.extend(stripe.customer(number, 1).await);
    }
    let invoices = stripe.get("invoices?limit=1").await["total_count"].clone();
    let catalog: Catalog =
        serde_json::from_value(json!({ "plans": [{ "id": "plan-basic", "kind": "paid" }] })).expect("a catalog");
    let api = Api::serve(Sandbox::new(Settings { catalog: Some(catalog), rate_scale: None, ..Settings::default() }));
    let folder = Folder::new();
    folder.write("customers.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nbillingId = \"id\"\n").write(
        "paid.toml",
        "entity = \"paid_subscription\"\nwhere = 'status == \"active\"'\n[fields]\nsubscriptionId = \"id\"\n\
             customerId = \"customer\"\nplanId = { const = \"plan-basic\" }\n\
             startDate = { column = \"start_date\", time = \"unix\" }\nbillingPeriod = { const = \"MONTHLY\" }\n\
             unitQuantity = { column = \"items.data[0].quantity\", whole = true }\n\
             billingInformation.metadata.migratedFrom = \"id\"\n\
             original = { provider = { const = \"stripe\" }, id = \"id\" }\n",
    );
    let source = format!("--stripe-url {}", stripe.url);
    folder.run_to(&api, &format!("run --mapping customers.toml --stripe customers {source}")).exits(0);

    // When a first cohort of two is provisioned, nothing ends.
    let paid = format!("cutover --mapping paid.toml --stripe subscriptions {source} --without-amounts --json");
    let first = folder.run_to(&api, &format!("{paid} --limit 2")).exits(0).json();
    assert_eq!((&first["confirmed"], &first["later"]), (&json!(2), &json!(4)));
    let provider = provider(&stripe.url);
    for one in &ids {
        let Reading::Found(original) = provider.read(&id(one)).await.expect("an answer") else { panic!("{one}") };
        assert_eq!(original.status, OriginalStatus::Active);
    }

    // When all of them are, and their originals cancelled, exactly those end.
    let all = folder.run_to(&api, &format!("{paid} --phase all --cancel-originals")).exits(0).json();
    assert_eq!((&all["confirmed"], &all["done_before"], &all["cancelled"]), (&json!(4), &json!(2), &json!(6)));
    for one in &ids {
        let Reading::Found(original) = provider.read(&id(one)).await.expect("an answer") else { panic!("{one}") };
        assert_eq!(original.status, OriginalStatus::Canceled, "{one}");
        assert_eq!(original.pending_items, PendingItems::none(), "no proration waits");
    }
    assert_eq!(stripe.get("invoices?limit=1").await["total_count"], invoices, "no new invoice");

    // Then each is in Stigg once, from its original's first day, and the same command again does nothing.
    let snapshot = api.sandbox.snapshot();
    assert_eq!(snapshot.subscriptions.keys().collect::<BTreeSet<_>>(), ids.iter().collect());
    for (name, subscription) in &snapshot.subscriptions {
        assert!(!subscription.billed_again, "{name}");
        let input = serde_json::to_value(&subscription.provisioned).expect("JSON");
        assert_eq!(input["billingInformation"], json!({ "isBackdated": true, "metadata": { "migratedFrom": name } }));
    }
    let again = folder.run_to(&api, &format!("{paid} --phase all --cancel-originals")).exits(0).json();
    assert_eq!((&again["confirmed"], &again["to_cancel"]), (&json!(0), &json!(0)));
}
