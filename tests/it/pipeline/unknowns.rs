//! One small import under each choice of everything that the API's documents leave open.

use stigg_import::sandbox::{
    BulkEntityLimit, CodeSpelling, ConcurrentImports, CustomerAnswer, CustomerBatch, CustomerError, EnvironmentRead,
    ErrorStatus, EventRepeats, Fault, FaultKind, KnownSubscription, OlderSet, PaidImport, RateLimitBy, RateLimitStatus,
    RepeatedSet, RetryHeader, SchemaAge, Settings, Snapshot, SubscriptionShape, TaskErrorId, TaskId, TaskRead,
    Unknowns, UsageBatch,
};

use super::data::{self, Data};
use super::world::{World, accounts, settings};

/// Every switch with its choices.
pub(super) const SWITCHES: &[(&str, &[&str])] = &[
    ("customer-batch", CustomerBatch::CHOICES),
    ("customer-error", CustomerError::CHOICES),
    ("customer-answer", CustomerAnswer::CHOICES),
    ("usage-batch", UsageBatch::CHOICES),
    ("task-read", TaskRead::CHOICES),
    ("task-id", TaskId::CHOICES),
    ("task-error-id", TaskErrorId::CHOICES),
    ("rate-limit-status", RateLimitStatus::CHOICES),
    ("retry-header", RetryHeader::CHOICES),
    ("rate-limit-by", RateLimitBy::CHOICES),
    ("error-status", ErrorStatus::CHOICES),
    ("code-spelling", CodeSpelling::CHOICES),
    ("bulk-entity-limit", BulkEntityLimit::CHOICES),
    ("environment-read", EnvironmentRead::CHOICES),
    ("concurrent-imports", ConcurrentImports::CHOICES),
    ("subscription-shape", SubscriptionShape::CHOICES),
    ("paid-import", PaidImport::CHOICES),
    ("known-subscription", KnownSubscription::CHOICES),
    ("older-set", OlderSet::CHOICES),
    ("repeated-set", RepeatedSet::CHOICES),
    ("event-repeats", EventRepeats::CHOICES),
    ("schema-age", SchemaAge::CHOICES),
    ("read-delay-ms", &["0", "1", "20000"]),
];

const SUBSCRIPTIONS: &str = r#"
entity = "subscription"
[fields]
subscriptionId = "id"
customerId = "customer"
planId = "plan"
startDate = "start"

[[fields.addons]]
addonId = "addon"
when = 'addon != ""'

[[fields.addons]]
addonId = "addon"
when = 'addon != ""'
"#;

fn subscriptions() -> Data {
    let mut csv = String::from("id,customer,plan,start,addon\n");
    for i in 0..12 {
        let plan = if i == 5 { "plan-unknown" } else { "plan-free" };
        // Number 8 has an add-on twice, which we leave to the API.
        let addon = if i == 8 { "addon-a" } else { "" };
        csv.push_str(&format!("sub-{i},cus-{i},{plan},2025-01-01T00:00:00Z,{addon}\n"));
    }
    Data::new("subscriptions", SUBSCRIPTIONS, csv)
}

const EVENTS: &str = r#"
entity = "event"
[fields]
customerId = "customer"
eventName = { const = "call" }
idempotencyKey = "id"
timestamp = { column = "at", time = "unix" }
"#;

fn events() -> Data {
    let rows = (0..12).map(|i| format!("cus-{i},e-{i},{}\n", 1_780_000_000 + i));
    Data::new("events", EVENTS, std::iter::once("customer,id,at\n".to_owned()).chain(rows).collect::<String>())
}

/// Imports twice under `unknowns`, with a 429, a lost answer and a cut answer on the way; answers the end state.
async fn imported(name: &str, unknowns: Unknowns) -> Snapshot {
    // Given
    let world = World::new(Settings { unknowns, ..settings() }).batches_of(6);
    for root_field in ["importCustomersBulk", "importSubscriptionsBulk", "reportUsageBulk", "reportEvent"] {
        world.sandbox.inject(Fault::once(FaultKind::RateLimited).on(root_field));
        world.sandbox.inject(Fault::once(FaultKind::LostAnswer).on(root_field).after(1));
        world.sandbox.inject(Fault::once(FaultKind::Truncated).on(root_field).after(3));
    }
    let steps = [data::customers(12, &[3]), subscriptions(), data::usage(12, &[7]), events()];
    // When
    let finished = world.run(&steps).await;
    // Then: what is refused is the bad record of each step, and what stands on the bad customer.
    let expected = [[12, 0, 0, 0, 11, 1, 0], [12, 0, 0, 0, 9, 3, 0], [12, 0, 0, 0, 10, 2, 0], [12, 0, 0, 0, 11, 1, 0]];
    assert_eq!(accounts(&finished), expected, "{name}: {:#?}", world.heard.all());
    // And again: nothing but what was refused.
    let again = world.run(&steps).await;
    let expected = [[12, 0, 0, 11, 0, 1, 0], [12, 0, 0, 9, 0, 3, 0], [12, 0, 0, 10, 0, 2, 0], [12, 0, 0, 11, 0, 1, 0]];
    assert_eq!(accounts(&again), expected, "{name}, again");
    assert_eq!(world.rate_limited(), 0, "{name}");
    world.snapshot()
}

#[tokio::test(start_paused = true)]
async fn every_choice_of_every_unknown_ends_in_the_same_state() {
    let expected = imported("the defaults", Unknowns::default()).await;
    assert_eq!(SWITCHES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), Unknowns::NAMES);
    for (switch, choices) in SWITCHES {
        for choice in *choices {
            let setting = format!("{switch}={choice}");
            let unknowns = setting.parse().expect("a choice");
            assert_eq!(imported(&setting, unknowns).await, expected, "{setting}");
        }
    }
}
