mod provisioning;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::entity::{Constant, Entity, Field, Kind, ORIGINAL, Schema};
use crate::sink::conformance::{batch, customer, subscription, usage};
use crate::sink::graphql_check::{check_input, check_request};
use crate::sink::transport::{HttpAnswer, RequestBody, Sent, TransportError};
use crate::sink::{Budgets, ErrorCode, Operation, TaskStatus};
use crate::sink::{ReadAddon, ReadEntitlement};

/// Answers what it was given, and keeps what it was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<HttpAnswer, TransportError>>>,
    requests: Mutex<Vec<(String, Bytes)>>,
}

impl Script {
    fn data(data: Value) -> Arc<Self> {
        Self::of(200, json!({ "data": data }))
    }

    fn of(status: u16, body: Value) -> Arc<Self> {
        let answer = HttpAnswer { status, retry_after: None, date: None, body: body.to_string().into() };
        Arc::new(Self { answers: Mutex::new([Ok(answer)].into()), ..Self::default() })
    }

    fn code(code: &str) -> Arc<Self> {
        Self::of(200, json!({ "data": null, "errors": [{ "message": "m", "extensions": { "code": code } }] }))
    }

    /// The one request, checked against the schema.
    fn request(&self) -> Value {
        let requests = self.requests.lock().unwrap();
        assert_eq!(requests.len(), 1);
        let (operation, body) = &requests[0];
        assert_eq!(check_request(body), Vec::<String>::new(), "{}", String::from_utf8_lossy(body));
        let body: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(body["operationName"], operation.as_str(), "the header names the operation of the body");
        body
    }
}

impl Transport for Script {
    fn post(&self, operation: &'static str, body: RequestBody) -> BoxFuture<'_, Result<HttpAnswer, TransportError>> {
        self.requests.lock().unwrap().push((operation.to_owned(), body.into_bytes()));
        Box::pin(async { self.answers.lock().unwrap().pop_front().expect("one request for each answer") })
    }
}

async fn permit(operation: Operation) -> Permit {
    Budgets::unlimited().acquire(operation).await
}

fn sink(script: &Arc<Script>) -> StiggSink {
    StiggSink::new(script.clone())
}

fn client(script: &Arc<Script>) -> Client {
    Client::new(script.clone(), Arc::new(Budgets::unlimited()))
}

/// A value of every field, made from the import schema itself.
fn every_field(fields: &[Field]) -> Value {
    let value = |field: &Field| match field.kind {
        Kind::Id { .. } if field.name == "featureGroupId" => json!("6f9619ff-8b86-4d01-b42d-00cf4fc964ff"),
        Kind::Id { .. } | Kind::Text { .. } => json!("id-1"),
        Kind::Email => json!("ada@example.com"),
        Kind::Time => json!("2022-01-01T00:00:00.000Z"),
        Kind::Number { .. } => json!(3),
        Kind::Bool => json!(true),
        Kind::Enum(words) => json!(words[words.len() - 1]),
        Kind::Fixed(Constant::Word(word)) => json!(word),
        Kind::Fixed(Constant::True) => json!(true),
        Kind::TextMap => json!({ "k": "v" }),
        Kind::ScalarMap => json!({ "k": 1, "l": true, "m": "v" }),
        Kind::TextList => json!(["a", "b"]),
        Kind::Object(fields) => every_field(fields),
        Kind::List { fields, exactly_one: false } => json!([every_field(fields)]),
        Kind::List { fields, exactly_one: true } => {
            fields.iter().map(|field| every_field(std::slice::from_ref(field))).collect()
        }
    };
    fields.iter().map(|field| (field.name.to_owned(), value(field))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn records_with_every_field_of_the_import_schemas_make_requests_that_validate() {
    for (entity, answer) in [
        (Entity::Customer, json!({ "importCustomersBulk": null })),
        (Entity::Subscription, json!({ "importSubscriptionsBulk": "t-1" })),
        (Entity::Usage, json!({ "reportUsageBulk": [] })),
        (Entity::Event, json!({ "reportEvent": null })),
    ] {
        let script = Script::data(answer);
        let records = [("a".to_owned(), every_field(entity.fields())), ("b".to_owned(), every_field(entity.fields()))];
        let sink = sink(&script).integration("int-\"1\"");
        sink.submit(&batch(entity, &records), permit(Operation::of(entity)).await).await.unwrap();
        let body = script.request();
        let argument = if entity == Entity::Event { "events" } else { "input" };
        let lists: Vec<_> = body["variables"][argument].as_object().unwrap().values().collect();
        assert_eq!(lists.last().unwrap().as_array().unwrap().len(), 2);
        let integration = matches!(entity, Entity::Customer | Entity::Subscription).then_some("int-\"1\"");
        assert_eq!(body["variables"][argument]["integrationId"].as_str(), integration);
    }
}

#[test]
fn a_paid_subscription_with_every_field_is_one_that_the_api_provisions() {
    let mut input = every_field(Schema::PaidSubscription.fields());
    let original = input.as_object_mut().unwrap().remove(ORIGINAL);
    assert!(original.is_some(), "what it replaces is ours, and not sent");
    // A uuid and a code of two letters, which the field's kind doesn't tell.
    input["priceOverrides"][0]["creditRate"]["customCurrencyId"] = json!("6f9619ff-8b86-4d01-b42d-00cf4fc964ff");
    assert_eq!(check_input("ProvisionSubscriptionInput", &input), Vec::<String>::new());
    assert_eq!(input["billingInformation"]["isBackdated"], true);

    let schema = include_str!("../../../tests/stigg/schema.graphql");
    let fields_of = |name: &str| -> BTreeSet<&str> {
        let (_, rest) = schema.split_once(&format!("\ninput {name} {{\n")).unwrap();
        let (fields, _) = rest.split_once('}').unwrap();
        fields.lines().filter_map(|line| line.trim().split_once(':')).map(|(name, _)| name).collect()
    };
    let left_out = |name: &str, value: &Value| -> Vec<&str> {
        let given = value.as_object().unwrap();
        fields_of(name).into_iter().filter(|field| !given.contains_key(*field)).collect()
    };
    assert_eq!(
        left_out("ProvisionSubscriptionInput", &input),
        ["billingId", "entitlements", "promotionCode", "refId", "subscriptionEntitlements"]
    );
    for (name, value) in [
        ("SubscriptionBillingInfo", &input["billingInformation"]),
        ("BillingAddress", &input["billingInformation"]["billingAddress"]),
        ("TaxExempt", &input["billingInformation"]["taxIds"][0]),
        ("PriceOverrideInput", &input["priceOverrides"][0]),
        ("PriceTierInput", &input["priceOverrides"][0]["tiers"][0]),
        ("CreditRateInput", &input["priceOverrides"][0]["creditRate"]),
        ("SubscriptionCouponInput", &input["appliedCoupon"]),
        ("SubscriptionCouponDiscountInput", &input["appliedCoupon"]["discount"]),
        ("TrialOverrideConfigurationInput", &input["trialOverrideConfiguration"]),
        ("BudgetConfigurationInput", &input["budget"]),
        ("CheckoutOptions", &input["checkoutOptions"]),
        ("ChargeInput", &input["charges"][0]),
    ] {
        assert_eq!(left_out(name, value), [""; 0], "{name}");
    }
}

#[test]
fn enum_words_of_the_import_schemas_are_the_api_s() {
    fn check_words(fields: &[Field], type_of: &BTreeMap<&str, &str>) {
        for field in fields {
            match field.kind {
                Kind::Enum(words) => {
                    for word in words {
                        // `accordingTo` is of another enum in each configuration; a request with one is checked above.
                        if let Some(name) = type_of.get(field.name) {
                            assert_eq!(check_input(name, &json!(word)), Vec::<String>::new());
                        }
                    }
                }
                Kind::Object(fields) | Kind::List { fields, .. } => check_words(fields, type_of),
                _ => {}
            }
        }
    }
    let type_of = BTreeMap::from([
        ("billingPeriod", "BillingPeriod"),
        ("type", "ChargeType"),
        ("resetPeriod", "EntitlementResetPeriod"),
        ("cadence", "CreditCadence"),
        ("updateBehavior", "UsageUpdateBehavior"),
        ("scheduleStrategy", "ScheduleStrategy"),
        ("billingCycleAnchor", "SubscriptionBillingCycleAnchor"),
        ("paymentCollectionMethod", "PaymentCollectionMethod"),
        ("prorationBehavior", "SubscriptionProrationBehavior"),
        ("trialEndBehavior", "TrialEndBehavior"),
        ("creditGrantCadence", "CreditGrantCadence"),
        ("currency", "Currency"),
    ]);
    Schema::ALL.iter().for_each(|schema| check_words(schema.fields(), &type_of));
}

#[tokio::test]
async fn customers_are_applied_and_subscriptions_started() {
    let script = Script::data(json!({ "importCustomersBulk": "whatever" }));
    let ada = batch(Entity::Customer, &[customer("ada", "Ada")]);
    let submission = sink(&script).submit(&ada, permit(Operation::ImportCustomers).await).await.unwrap();
    assert_eq!(submission, Submission::applied());

    for task in [Some("t-1"), None] {
        let script = Script::data(json!({ "importSubscriptionsBulk": task }));
        let one = batch(Entity::Subscription, &[subscription("s", "ada", "p")]);
        let submission = sink(&script).submit(&one, permit(Operation::ImportSubscriptions).await).await.unwrap();
        assert_eq!(submission, Submission::Started { task: task.map(str::to_owned) });
        script.request();
    }
}

#[tokio::test]
async fn usage_answers_are_joined_with_what_was_sent() {
    let named = |customer: &str| json!({ "customerId": customer, "featureId": "f", "resourceId": null });
    let rows = [usage("a", "f", 1.0), usage("b", "f", 2.0), usage("c", "f", 3.0)];
    for (answer, unanswered) in [
        (vec![named("a"), named("b"), named("c")], vec![]),
        // In another order.
        (vec![named("c"), named("a"), named("b")], vec![]),
        // One is left out: it is not taken for done.
        (vec![named("c"), named("a")], vec![1]),
        (vec![], vec![0, 1, 2]),
        // Fewer than were sent, under ids of the API's own.
        (vec![named("u1"), named("u2")], vec![0, 1, 2]),
        // As many as were sent, under ids of the API's own.
        (vec![named("u1"), named("u2"), named("u3")], vec![]),
    ] {
        let script = Script::data(json!({ "reportUsageBulk": answer }));
        let three = batch(Entity::Usage, &rows);
        let submission = sink(&script).submit(&three, permit(Operation::ReportUsage).await).await.unwrap();
        assert_eq!(submission, Submission::Applied { unanswered });
        script.request();
    }
}

#[tokio::test]
async fn data_of_another_shape_is_unknown_and_quotes_nothing() {
    for data in [
        json!({ "reportUsageBulk": null }),
        json!({ "reportUsageBulk": [{ "customerId": 7, "featureId": "secret" }] }),
        json!({ "reportUsageBulk": "secret" }),
        json!({ "other": [] }),
        json!("secret"),
    ] {
        let script = Script::data(data.clone());
        let one = batch(Entity::Usage, &[usage("a", "f", 1.0)]);
        let error = sink(&script).submit(&one, permit(Operation::ReportUsage).await).await.unwrap_err();
        assert!(matches!(error, SinkError::Unknown { .. }), "{data}");
        assert!(!error.with_causes().contains("secret"), "{}", error.with_causes());
    }
}

#[tokio::test]
async fn whether_a_request_left_decides_what_is_known() {
    for (sent, known) in [(Sent::No, true), (Sent::Maybe, false)] {
        let script = Arc::new(Script::default());
        script.answers.lock().unwrap().push_back(Err(TransportError { sent, source: "cut".into() }));
        let ada = batch(Entity::Customer, &[customer("ada", "Ada")]);
        let error = sink(&script).submit(&ada, permit(Operation::ImportCustomers).await).await.unwrap_err();
        assert_eq!(matches!(error, SinkError::NotSent { .. }), known);
        assert_eq!(matches!(error, SinkError::Unknown { .. }), !known);
    }
}

#[tokio::test]
async fn a_permit_of_another_operation_sends_nothing() {
    let script = Arc::new(Script::default());
    let ada = batch(Entity::Customer, &[customer("ada", "Ada")]);
    let error = sink(&script).submit(&ada, permit(Operation::Customers).await).await.unwrap_err();
    assert!(matches!(error, SinkError::Malformed { .. }));
    assert!(script.requests.lock().unwrap().is_empty());
}

const TASK: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

#[tokio::test]
async fn a_task_is_followed_and_an_unreadable_one_is_no_error() {
    let state = |node: Value| async move {
        let script = Script::data(json!({ "importIntegrationTasks": { "edges": [{ "node": node }] } }));
        let state = sink(&script).task(TASK, permit(Operation::ImportTasks).await).await.unwrap();
        script.request();
        state
    };
    let node = |status: &str| json!({ "id": TASK, "status": status, "progress": 40, "importErrors": [{ "id": "s", "error": "no plan" }] });
    assert_eq!(state(node("PENDING")).await, TaskState::Running { progress: 40 });
    assert_eq!(state(node("IN_PROGRESS")).await, TaskState::Running { progress: 40 });
    let errors = vec![("s".to_owned(), "no plan".to_owned())];
    let finished = TaskState::Finished { status: TaskStatus::PartiallyFailed, errors };
    assert_eq!(state(node("PARTIALLY_FAILED")).await, finished);
    assert!(matches!(state(node("SLEEPING")).await, TaskState::Unreadable { .. }));

    let script = Script::data(json!({ "importIntegrationTasks": { "edges": [] } }));
    let state = sink(&script).task(TASK, permit(Operation::ImportTasks).await).await.unwrap();
    assert_eq!(state, TaskState::NotListed);

    let nodes = json!([{ "node": node("PENDING") }, { "node": { "id": "t2", "status": "IN_PROGRESS" } }]);
    let script = Script::data(json!({ "importIntegrationTasks": { "edges": nodes } }));
    let running = sink(&script).running_imports(permit(Operation::ImportTasks).await).await.unwrap();
    assert_eq!(running, Some(vec![TASK.to_owned(), "t2".to_owned()]));
    let refused = sink(&Script::code("IdentityForbidden")).running_imports(permit(Operation::ImportTasks).await).await;
    assert_eq!(refused.unwrap(), None);

    for code in ["AccessDeniedError", "IdentityForbidden", "BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED", ""] {
        let state = sink(&Script::code(code)).task(TASK, permit(Operation::ImportTasks).await).await.unwrap();
        assert!(matches!(state, TaskState::Unreadable { .. }), "{code}");
    }
    for code in ["Unauthenticated", "RateLimitExceeded", "UnexpectedError"] {
        assert!(sink(&Script::code(code)).task(TASK, permit(Operation::ImportTasks).await).await.is_err(), "{code}");
    }
}

#[tokio::test]
async fn customers_are_read_by_id_page_by_page() {
    let script = Script::data(json!({ "customers": {
        "pageInfo": { "hasNextPage": true, "endCursor": "c1" },
        "edges": [{ "node": {
            "customerId": "ada", "name": "Ada", "email": null, "billingId": null, "salesforceId": null,
            "additionalMetaData": { "k": "v" }, "updatedAt": "2026-01-01T00:00:00.000Z",
        } }],
    } }));
    let permit_1 = permit(Operation::Customers).await;
    let page = sink(&script).read_customers(&["ada", "bob"], Some("c0"), permit_1).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("c1"));
    assert_eq!(page.items[0].customer_id, "ada");
    assert_eq!(page.items[0].metadata["k"], "v");
    assert_eq!(
        script.request()["variables"],
        json!({ "filter": { "customerId": { "in": ["ada", "bob"] } }, "paging": { "first": 100, "after": "c0" } })
    );

    let broken = Script::data(json!({ "customers": { "pageInfo": { "hasNextPage": true }, "edges": [] } }));
    let read = sink(&broken).read_customers(&["ada"], None, permit(Operation::Customers).await).await;
    assert!(matches!(read, Err(SinkError::Unknown { .. })), "a page without its cursor is not the end");
}

#[tokio::test]
async fn subscriptions_are_read_with_our_ids_and_their_entitlements() {
    let script = Script::data(json!({ "subscriptions": {
        "pageInfo": { "hasNextPage": false, "endCursor": "c1" },
        "edges": [{ "node": {
            "subscriptionId": "s", "status": "ACTIVE", "pricingType": "CUSTOM",
            "startDate": "2026-01-01T00:00:00.000Z", "endDate": null, "billingPeriod": "MONTHLY", "billingId": null,
            "billingSyncError": null, "salesforceId": null, "additionalMetaData": null,
            "createdAt": "2026-01-01T00:00:00.000Z",
            "plan": { "refId": "plan-custom" }, "customer": { "customerId": "ada" }, "resource": null,
            "addons": [{ "quantity": 2, "addon": { "refId": "addon-1" } }],
            "entitlements": [
                { "__typename": "SubscriptionFeatureEntitlement", "usageLimit": 10, "hasUnlimitedUsage": null,
                  "resetPeriod": "MONTH", "feature": { "refId": "f" } },
                { "__typename": "SubscriptionCreditEntitlement", "amount": 0.30000000000000004, "cadence": "YEAR",
                  "customCurrency": { "currencyId": "coins" } },
                { "__typename": "SomethingNew" },
            ],
        } }],
    } }));
    let page = sink(&script).read_subscriptions(&["s"], None, permit(Operation::Subscriptions).await).await.unwrap();
    assert_eq!(page.next, None);
    let read = &page.items[0];
    assert_eq!((read.customer_id.as_str(), read.plan_id.as_str()), ("ada", "plan-custom"));
    assert_eq!(read.addons, [ReadAddon { addon_id: "addon-1".to_owned(), quantity: 2.0 }]);
    assert_eq!(
        read.entitlements,
        [
            ReadEntitlement::Feature {
                feature_id: "f".to_owned(),
                usage_limit: Some(10.0),
                unlimited: false,
                reset_period: Some("MONTH".to_owned())
            },
            ReadEntitlement::Credit {
                currency_id: "coins".to_owned(),
                amount: 0.30000000000000004,
                cadence: "YEAR".to_owned()
            },
            ReadEntitlement::Other,
        ]
    );
    script.request();
}

#[tokio::test]
async fn usage_catalog_and_environment_are_read() {
    let script = Script::data(json!({ "entitlementsState": { "entitlementsV2": [
        { "__typename": "FeatureEntitlement", "currentUsage": 12.5, "usageLimit": null, "feature": { "refId": "f" } },
        { "__typename": "CreditEntitlement" },
    ] } }));
    let read = sink(&script).read_usage("ada", Some("r"), permit(Operation::EntitlementsState).await).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].feature_id.as_str(), read[0].current_usage), ("f", Some(12.5)));
    assert_eq!(script.request()["variables"]["query"], json!({ "customerId": "ada", "resourceId": "r" }));

    let page = |root: &str, node: Value| {
        Script::data(json!({ root: { "pageInfo": { "hasNextPage": false }, "edges": [{ "node": node }] } }))
    };
    let product = json!({ "refId": "product-1", "multipleSubscriptions": true });
    let script =
        page("plans", json!({ "refId": "p", "status": "PUBLISHED", "pricingType": "FREE", "product": product }));
    let plans = sink(&script).plans(None, permit(Operation::Plans).await).await.unwrap();
    assert!(plans.items[0].multiple_subscriptions);
    script.request();
    let feature =
        json!({ "refId": "f", "featureType": "NUMBER", "meterType": "Incremental", "featureStatus": "ACTIVE" });
    let script = page("features", feature);
    let features = sink(&script).features(Some("c"), permit(Operation::Features).await).await.unwrap();
    assert_eq!(features.items[0].meter_type.as_deref(), Some("Incremental"));
    script.request();
    let script = page("addons", json!({ "refId": "a", "status": "DRAFT", "product": null }));
    assert_eq!(sink(&script).addons(None, permit(Operation::Addons).await).await.unwrap().items[0].addon_id, "a");
    script.request();
    let script = Script::data(json!({ "customCurrencies": [
        { "currencyId": "coins", "archivedAt": null }, { "currencyId": "old", "archivedAt": "2026-01-01T00:00:00.000Z" },
    ] }));
    let currencies = sink(&script).currencies(permit(Operation::CustomCurrencies).await).await.unwrap();
    assert_eq!(currencies.iter().map(|currency| currency.archived).collect::<Vec<_>>(), [false, true]);
    script.request();

    let script = Script::data(json!({ "currentEnvironment": "env-1" }));
    let environment = sink(&script).environment(permit(Operation::CurrentEnvironment).await).await.unwrap();
    assert_eq!(environment.as_deref(), Some("env-1"));
    script.request();
    let refused = Script::code("IdentityForbidden");
    assert_eq!(sink(&refused).environment(permit(Operation::CurrentEnvironment).await).await.unwrap(), None);
}

#[tokio::test]
async fn the_typed_client_sends_what_the_schema_takes() {
    let at = Some("2022-01-01T00:00:00Z".parse().unwrap());
    let metadata = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let id = || Some("id-1".to_owned());
    let full = ImportCustomer {
        customer_id: "ada".to_owned(),
        name: id(),
        email: id(),
        billing_id: id(),
        payment_method_id: id(),
        salesforce_id: id(),
        updated_at: at,
        metadata: metadata.clone(),
    };
    let script = Script::data(json!({ "importCustomersBulk": null }));
    client(&script).import_customers(&[full, ImportCustomer::default()]).await.unwrap();
    let sent = &script.request()["variables"]["input"]["customers"];
    assert_eq!(sent[0]["updatedAt"], "2022-01-01T00:00:00.000Z");
    assert_eq!(sent[1], json!({ "customerId": "" }), "what is absent is not sent");

    let feature = FeatureEntitlement {
        feature_id: "f".to_owned(),
        usage_limit: Some(1.5),
        has_unlimited_usage: Some(false),
        has_soft_limit: Some(true),
        enum_values: vec!["a".to_owned()],
        reset_period: Some(ResetPeriod::Week),
    };
    let credit = CreditEntitlement {
        custom_currency_id: "c".to_owned(),
        amount: 5.0,
        cadence: Cadence::Year,
        has_soft_limit: None,
    };
    let full = ImportSubscription {
        subscription_id: "s".to_owned(),
        customer_id: "ada".to_owned(),
        plan_id: "p".to_owned(),
        resource_id: id(),
        start_date: at,
        end_date: at,
        billing_period: Some(BillingPeriod::Annually),
        unit_quantity: Some(2.0),
        billable_features: vec![BillableFeature { feature_id: "f".to_owned(), quantity: 1.0 }],
        charges: vec![Charge { id: "f".to_owned(), quantity: 1.0, charge_type: ChargeType::Credit }],
        addons: vec![AddonInput { addon_id: "a".to_owned(), quantity: Some(2) }],
        entitlements: vec![Entitlement::Feature(feature), Entitlement::Credit(credit)],
        billing_id: id(),
        salesforce_id: id(),
        updated_at: at,
        metadata,
    };
    let script = Script::data(json!({ "importSubscriptionsBulk": TASK }));
    assert_eq!(client(&script).import_subscriptions(&[full]).await.unwrap().as_deref(), Some(TASK));
    let sent = &script.request()["variables"]["input"]["subscriptions"][0];
    assert!(sent["entitlements"][1]["credit"].is_object());

    let mut report = ReportUsage::total("ada", "f", 3.5);
    report.resource_id = id();
    report.created_at = at;
    report.idempotency_key = id();
    report.dimensions = BTreeMap::from([("region".to_owned(), Scalar::Text("eu".to_owned()))]);
    let measured =
        json!([{ "customerId": "ada", "featureId": "f", "resourceId": "r", "value": 3.5, "currentUsage": 3.5 }]);
    let script = Script::data(json!({ "reportUsageBulk": measured }));
    let measured = client(&script).report_usage(&[report]).await.unwrap();
    assert_eq!(measured[0].current_usage, Some(3.5));
    assert_eq!(script.request()["variables"]["input"]["usages"][0]["updateBehavior"], "SET");

    let script = Script::data(json!({ "subscriptions": { "pageInfo": { "hasNextPage": false }, "edges": [] } }));
    client(&script).subscriptions(SubscriptionSelect::OfCustomers(&["ada"]), None).await.unwrap();
    script.request();
    let script = Script::data(json!({ "customers": { "pageInfo": { "hasNextPage": false }, "edges": [] } }));
    client(&script).customers(None, None).await.unwrap();
    script.request();
}

#[tokio::test]
async fn the_typed_client_refuses_what_no_request_takes() {
    let script = Arc::new(Script::default());
    let client = client(&script);
    let too_many = vec![ReportUsage::total("a", "f", 1.0); 101];
    assert!(matches!(client.report_usage(&too_many).await, Err(SinkError::Malformed { .. })));
    assert!(matches!(client.report_usage(&[]).await, Err(SinkError::Malformed { .. })));
    for value in [f64::NAN, f64::INFINITY] {
        let report = ReportUsage::total("a", "f", value);
        assert!(matches!(client.report_usage(&[report]).await, Err(SinkError::Malformed { .. })));
    }
    assert!(script.requests.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_429_pauses_the_typed_client() {
    let script = Script::of(429, json!({}));
    let client = client(&script);
    assert!(matches!(client.environment().await, Err(SinkError::Throttled { retry_after: None })));
    let start = tokio::time::Instant::now();
    let permit = client.budgets().acquire(Operation::CurrentEnvironment).await;
    assert!(start.elapsed() >= THROTTLE_PAUSE);
    drop(permit);
}

#[tokio::test]
async fn a_refusal_names_what_the_api_named() {
    let script = Script::of(
        200,
        json!({ "data": { "importCustomersBulk": null }, "errors": [{ "message": "some failed", "extensions": {
            "code": "FailedToImportCustomer", "failedCustomerIds": ["bob"], "failedBillingIds": [] } }] }),
    );
    let two = batch(Entity::Customer, &[customer("ada", "Ada"), customer("bob", "Bob")]);
    let error = sink(&script).submit(&two, permit(Operation::ImportCustomers).await).await.unwrap_err();
    let SinkError::WholeImport { code, named, .. } = error else { panic!("{error:?}") };
    assert_eq!((code, named.ids), (ErrorCode::FailedToImportCustomer, vec!["bob".to_owned()]));
}
