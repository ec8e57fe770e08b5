//! What every [`Sink`] has to do, as a suite that runs against any of them.
//!
//! For whoever writes a sink: run [`check`] in a test, and [`check_provisioning`] if it provisions, too. They panic at the
//! first thing that does not hold.

mod provisioning;

use std::time::Duration;

use serde_json::json;

use super::{Budgets, Disposition, Operation, Page, Sink, SinkError, Submission, TaskState};
use crate::batch::{Batch, BatchLimits, Builder};
use crate::entity::{Entity, KEY_SEPARATOR};
use crate::record::{Fingerprint, KeyHash, Origin, Place};
pub use provisioning::{ProvisionFixture, check_provisioning, provision_request};

/// What the target has to hold before [`check`] runs.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// Begins every id that the suite makes, so that runs do not meet. The customer `{prefix}-nobody` must not exist,
    /// and usage for it must be refused.
    pub prefix: String,
    /// A published free plan of a product without several subscriptions per customer.
    pub plan_id: String,
    /// A metered feature with calculated usage that the plan gives.
    pub feature_id: String,
}

/// How often the suite looks for what is applied asynchronously, half a second apart.
const LOOKS_MAX: usize = 60;

/// Runs the whole suite.
///
/// # Panics
///
/// At the first thing that does not hold.
pub async fn check(sink: &dyn Sink, budgets: &Budgets, fixture: &Fixture) {
    permits_and_ids_are_checked(sink, budgets).await;
    the_catalog_is_listed(sink, budgets, fixture).await;
    customers_are_upserted(sink, budgets, fixture).await;
    subscriptions_are_upserted(sink, budgets, fixture).await;
    usage_is_set(sink, budgets, fixture).await;
    one_bad_record_is_found_by_splitting(sink, budgets, fixture).await;
}

async fn permits_and_ids_are_checked(sink: &dyn Sink, budgets: &Budgets) {
    let one = batch(Entity::Customer, &[customer("never-sent", "X")]);
    let wrong = budgets.acquire(Operation::Customers).await;
    let refused = sink.submit(&one, wrong).await;
    assert!(matches!(refused, Err(SinkError::Malformed { .. })), "a permit of another operation: {refused:?}");
    let ids: Vec<String> = (0..=super::READ_IDS_MAX).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for ids in [&[][..], &ids] {
        let refused = sink.read_customers(ids, None, budgets.acquire(Operation::Customers).await).await;
        assert!(matches!(refused, Err(SinkError::Malformed { .. })), "{} ids", ids.len());
        let refused = sink.read_subscriptions(ids, None, budgets.acquire(Operation::Subscriptions).await).await;
        assert!(matches!(refused, Err(SinkError::Malformed { .. })), "{} ids", ids.len());
        let refused = sink.read_subscriptions_of(ids, None, budgets.acquire(Operation::Subscriptions).await).await;
        assert!(matches!(refused, Err(SinkError::Malformed { .. })), "{} customers", ids.len());
    }
    let task = "00000000-0000-4000-8000-000000000000";
    let state = sink.task(task, budgets.acquire(Operation::ImportTasks).await).await.expect("a state");
    assert!(matches!(state, TaskState::NotListed | TaskState::Unreadable { .. }), "{state:?}");
}

async fn the_catalog_is_listed(sink: &dyn Sink, budgets: &Budgets, fixture: &Fixture) {
    let (mut after, mut plans) = (None::<String>, Vec::new());
    loop {
        let permit = budgets.acquire(Operation::Plans).await;
        let Page { items, next } = sink.plans(after.as_deref(), permit).await.expect("plans");
        plans.extend(items);
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert!(plans.iter().any(|plan| plan.plan_id == fixture.plan_id), "the plan is listed");
    let mut features = Vec::new();
    loop {
        let permit = budgets.acquire(Operation::Features).await;
        let Page { items, next } = sink.features(after.as_deref(), permit).await.expect("features");
        features.extend(items);
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert!(features.iter().any(|feature| feature.feature_id == fixture.feature_id), "the feature is listed");
    sink.addons(None, budgets.acquire(Operation::Addons).await).await.expect("add-ons");
    sink.currencies(budgets.acquire(Operation::CustomCurrencies).await).await.expect("currencies");
    sink.environment(budgets.acquire(Operation::CurrentEnvironment).await).await.expect("an environment, or none");
}

async fn customers_are_upserted(sink: &dyn Sink, budgets: &Budgets, fixture: &Fixture) {
    let (ada, bob) = (format!("{}-ada", fixture.prefix), format!("{}-bob", fixture.prefix));
    let missing = format!("{}-missing", fixture.prefix);
    for name in ["Ada \"A\" Łovelace \u{1f600}", "Ada"] {
        let two = batch(Entity::Customer, &[customer(&ada, name), customer(&bob, "Bob")]);
        let permit = budgets.acquire(Operation::ImportCustomers).await;
        let submission = sink.submit(&two, permit).await.expect("customers are taken, also again");
        assert_eq!(submission, Submission::applied());
        let permit = budgets.acquire(Operation::Customers).await;
        let ids = [ada.as_str(), &missing, &bob];
        let page = sink.read_customers(&ids, None, permit).await.expect("customers are read");
        let mut found: Vec<_> = page.items.iter().map(|found| (found.customer_id.as_str(), &found.name)).collect();
        found.sort();
        assert_eq!(found, [(ada.as_str(), &Some(name.to_owned())), (bob.as_str(), &Some("Bob".to_owned()))]);
        assert_eq!(page.items[0].metadata.get("origin"), Some(&json!("conformance")));
    }
    customers_are_listed_on_pages_that_end(sink, budgets, fixture).await;
}

async fn customers_are_listed_on_pages_that_end(sink: &dyn Sink, budgets: &Budgets, fixture: &Fixture) {
    let ids: Vec<String> = (0..=super::READ_IDS_MAX).map(|n| format!("{}-listed-{n}", fixture.prefix)).collect();
    let many: Vec<_> = ids.iter().map(|id| customer(id, "Listed")).collect();
    let permit = budgets.acquire(Operation::ImportCustomers).await;
    sink.submit(&batch(Entity::Customer, &many), permit).await.expect("customers are taken");
    let mut listed = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let permit = budgets.acquire(Operation::Customers).await;
        let page = sink.customer_ids(after.as_deref(), permit).await.expect("customers are listed");
        assert!(page.items.len() <= super::READ_IDS_MAX, "a page of {}", page.items.len());
        listed.extend(page.items.into_iter().filter(|id| id.starts_with(&format!("{}-listed-", fixture.prefix))));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    listed.sort();
    let mut ids = ids;
    ids.sort();
    assert_eq!(listed, ids, "each id comes once");
}

async fn subscriptions_are_upserted(sink: &dyn Sink, budgets: &Budgets, fixture: &Fixture) {
    let ada = format!("{}-ada", fixture.prefix);
    let id = format!("{}-sub-ada", fixture.prefix);
    for _ in 0..2 {
        let one = batch(Entity::Subscription, &[subscription(&id, &ada, &fixture.plan_id)]);
        let permit = budgets.acquire(Operation::ImportSubscriptions).await;
        let submission = sink.submit(&one, permit).await.expect("subscriptions are taken, also again");
        if let Submission::Started { task: Some(task) } = submission {
            wait_for(sink, budgets, &task).await;
        }
        let mut found = Vec::new();
        for _ in 0..LOOKS_MAX {
            let permit = budgets.acquire(Operation::Subscriptions).await;
            found = sink.read_subscriptions(&[&id], None, permit).await.expect("subscriptions are read").items;
            if !found.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(found.len(), 1, "one subscription of one id");
        assert_eq!(found[0].customer_id, ada, "our id of the customer, not an internal one");
        assert_eq!(found[0].plan_id, fixture.plan_id);
    }
    let permit = budgets.acquire(Operation::Subscriptions).await;
    let of_ada = sink.read_subscriptions_of(&[&ada, "nobody"], None, permit).await.expect("they are read").items;
    assert_eq!(of_ada.iter().map(|one| &*one.subscription_id).collect::<Vec<_>>(), [&*id]);
    let permit = budgets.acquire(Operation::Subscriptions).await;
    assert_eq!(sink.read_subscriptions_of(&["nobody"], None, permit).await.expect("they are read").items, []);
}

async fn wait_for(sink: &dyn Sink, budgets: &Budgets, task: &str) {
    for _ in 0..LOOKS_MAX {
        let permit = budgets.acquire(Operation::ImportTasks).await;
        match sink.task(task, permit).await.expect("a state") {
            TaskState::Running { progress } => assert!(progress <= 100),
            TaskState::Finished { .. } | TaskState::NotListed | TaskState::Unreadable { .. } => return,
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("the task did not end");
}

async fn usage_is_set(sink: &dyn Sink, budgets: &Budgets, fixture: &Fixture) {
    let ada = format!("{}-ada", fixture.prefix);
    for value in [7.25, 5.0, 5.0] {
        let one = batch(Entity::Usage, &[usage(&ada, &fixture.feature_id, value)]);
        let permit = budgets.acquire(Operation::ReportUsage).await;
        let submission = sink.submit(&one, permit).await.expect("usage is taken, also again");
        assert_eq!(submission, Submission::applied(), "before the answer");
        let permit = budgets.acquire(Operation::EntitlementsState).await;
        let read = sink.read_usage(&ada, None, permit).await.expect("usage is read");
        let of_feature: Vec<_> = read.iter().filter(|usage| usage.feature_id == fixture.feature_id).collect();
        assert_eq!(of_feature.len(), 1);
        assert_eq!(of_feature[0].current_usage, Some(value), "set, not added");
    }
}

async fn one_bad_record_is_found_by_splitting(sink: &dyn Sink, budgets: &Budgets, fixture: &Fixture) {
    let (ada, nobody) = (format!("{}-ada", fixture.prefix), format!("{}-nobody", fixture.prefix));
    let both = batch(Entity::Usage, &[usage(&ada, &fixture.feature_id, 6.0), usage(&nobody, &fixture.feature_id, 1.0)]);
    let permit = budgets.acquire(Operation::ReportUsage).await;
    let error = sink.submit(&both, permit).await.expect_err("a batch with a bad record is refused");
    let splits = |error: &SinkError| {
        matches!(error.disposition(), Disposition::Split | Disposition::ReadBackAndSplit | Disposition::ResendOnceReady)
    };
    assert!(splits(&error), "{error:?}");
    let permit = budgets.acquire(Operation::ReportUsage).await;
    sink.submit(&both.subset(&[0]), permit).await.expect("the good half is taken");
    let permit = budgets.acquire(Operation::ReportUsage).await;
    let error = sink.submit(&both.subset(&[1]), permit).await.expect_err("the bad half is refused");
    assert!(splits(&error), "{error:?}");
}

/// A batch of records given as key and JSON.
///
/// # Panics
///
/// Where there is none, or more than a request takes.
pub fn batch(entity: Entity, records: &[(String, serde_json::Value)]) -> Batch {
    let mut builder = Builder::new(entity, BatchLimits { records_max: records.len(), ..BatchLimits::of(entity) });
    let mut full = None;
    for (index, (key, json)) in records.iter().enumerate() {
        let record = index as u64 + 1;
        let first = Place { source: "conformance".into(), record, line: 0 };
        let origin = Origin::total(first, 1, vec![record]);
        let json = json.to_string().into_bytes();
        full = builder
            .push(&json, key, KeyHash::of(key), Fingerprint::of(&json), origin)
            .expect("a record fits a request");
    }
    full.expect("at least one record")
}

/// A customer's record.
pub fn customer(id: &str, name: &str) -> (String, serde_json::Value) {
    let json = json!({ "customerId": id, "name": name, "additionalMetaData": { "origin": "conformance" } });
    (id.to_owned(), json)
}

/// A subscription's record.
pub fn subscription(id: &str, customer_id: &str, plan_id: &str) -> (String, serde_json::Value) {
    (id.to_owned(), json!({ "subscriptionId": id, "customerId": customer_id, "planId": plan_id }))
}

/// A usage record.
pub fn usage(customer_id: &str, feature_id: &str, value: f64) -> (String, serde_json::Value) {
    let key = format!("{customer_id}{KEY_SEPARATOR}{feature_id}{KEY_SEPARATOR}");
    let json = json!({
        "customerId": customer_id, "featureId": feature_id, "value": value, "updateBehavior": "SET",
    });
    (key, json)
}
