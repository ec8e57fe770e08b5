use super::*;
use crate::sink::conformance::provision_request;
use crate::sink::{Disposition, MESSAGE_CHARS_MAX, Stop, SyncState, UnknownCause};

async fn provision(script: &Arc<Script>, request: &ProvisionRequest) -> Result<Provisioning, SinkError> {
    let permit = Budgets::unlimited().acquire_provision(&request.customer_id, request.resource_id.as_deref()).await;
    sink(script).provision(request, permit).await
}

/// What is made of this result of the API.
async fn answered(result: Value) -> Result<Provisioning, SinkError> {
    let script = Script::data(json!({ "provisionSubscriptionV2": result }));
    provision(&script, &provision_request("s", "ada", "p", None)).await
}

#[tokio::test]
async fn the_whole_input_is_sent_as_it_is() {
    let mut input = every_field(Schema::PaidSubscription.fields());
    input.as_object_mut().unwrap().remove(ORIGINAL);
    input["priceOverrides"][0]["creditRate"]["customCurrencyId"] = json!("6f9619ff-8b86-4d01-b42d-00cf4fc964ff");
    let script = Script::data(json!({ "provisionSubscriptionV2": { "id": "r-1", "status": "SUCCESS" } }));
    let request = ProvisionRequest {
        subscription_id: "id-1".to_owned(),
        customer_id: "id-1".to_owned(),
        resource_id: Some("id-1".to_owned()),
        input_json: input.to_string(),
    };

    provision(&script, &request).await.unwrap();

    let body = script.request();
    assert_eq!(body["operationName"], "ProvisionSubscription");
    assert_eq!(body["variables"], json!({ "input": input }));
}

#[test]
fn a_request_that_is_printed_shows_its_id_and_nothing_of_the_customer() {
    let request = provision_request("sub-1", "ada", "p", Some("north"));
    assert_eq!(format!("{request:?}"), "ProvisionRequest(sub-1)");
}

#[tokio::test]
async fn a_success_is_told_with_all_that_the_answer_has() {
    let long = "x".repeat(2 * MESSAGE_CHARS_MAX);
    let answer = answered(json!({
        "id": "r-1", "status": "SUCCESS", "isScheduled": true, "checkoutUrl": null,
        "subscription": {
            "subscriptionId": "another", "status": "PAYMENT_PENDING", "startDate": "2026-01-15T00:00:00.000Z",
            "billingId": "sub_new", "billingSyncError": long,
        },
    }))
    .await;

    // Another id than the one that was asked for is for the caller to judge.
    let Ok(Provisioning::Provisioned { subscription: Some(subscription), is_scheduled: true, request_id }) = answer
    else {
        panic!("{answer:?}")
    };
    assert_eq!(request_id.as_deref(), Some("r-1"));
    assert_eq!((subscription.subscription_id.as_str(), subscription.status.as_str()), ("another", "PAYMENT_PENDING"));
    assert_eq!(subscription.start_date, "2026-01-15T00:00:00Z".parse().ok());
    assert_eq!(subscription.billing_id.as_deref(), Some("sub_new"));
    assert_eq!(subscription.billing_sync_error.unwrap().chars().count(), MESSAGE_CHARS_MAX);
}

#[tokio::test]
async fn fields_of_a_later_release_and_missing_ones_are_survived() {
    let least = Provisioning::Provisioned { subscription: None, is_scheduled: false, request_id: None };
    assert_eq!(answered(json!({ "status": "SUCCESS" })).await.unwrap(), least);
    let answer = answered(json!({
        "status": "SUCCESS", "id": "r-1", "newField": { "a": [1] }, "isScheduled": null,
        "subscription": {
            "subscriptionId": "s", "status": "SOMETHING_NEW", "startDate": null, "billingId": null,
            "billingSyncError": null, "newField": [{}],
        },
    }))
    .await;
    let Ok(Provisioning::Provisioned { subscription: Some(subscription), .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((subscription.status.as_str(), subscription.billing_id), ("SOMETHING_NEW", None));
}

#[tokio::test]
async fn a_payment_that_is_required_is_no_success_whatever_stands_beside_it() {
    for subscription in [json!(null), json!({ "subscriptionId": "s", "status": "ACTIVE" })] {
        let answer = answered(json!({
            "id": "r-1", "status": "PAYMENT_REQUIRED", "isScheduled": false, "checkoutUrl": "https://pay.invalid/1",
            "subscription": subscription,
        }))
        .await;
        let required = Provisioning::PaymentRequired {
            checkout_url: Some("https://pay.invalid/1".to_owned()),
            request_id: Some("r-1".to_owned()),
        };
        assert_eq!(answer.unwrap(), required);
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_success_is_an_unknown_outcome() {
    for result in [
        json!(null),
        json!({}),
        json!({ "status": null }),
        json!({ "status": "success" }),
        json!({ "status": "PENDING", "subscription": { "subscriptionId": "s", "status": "ACTIVE" } }),
        json!({ "status": "SUCCESS", "subscription": { "status": "secret" } }),
        json!({ "status": "SUCCESS", "subscription": "secret" }),
        json!([]),
    ] {
        let error = answered(result.clone()).await.expect_err("no success");
        assert!(
            matches!(error, SinkError::Unknown { cause: UnknownCause::Unreadable { .. }, .. }),
            "{result}: {error:?}"
        );
        assert!(!error.with_causes().contains("secret"), "{}", error.with_causes());
    }
    let beside = json!({
        "data": { "provisionSubscriptionV2": { "status": "SUCCESS" } },
        "errors": [{ "message": "m", "extensions": { "code": "StripeError" } }],
    });
    let error = provision(&Script::of(200, beside), &provision_request("s", "ada", "p", None)).await.unwrap_err();
    assert!(matches!(error, SinkError::Refused { code: ErrorCode::StripeError, .. }), "{error:?}");
}

#[tokio::test]
async fn of_all_codes_of_the_api_only_these_are_not_a_refusal_of_this_one() {
    let schema = include_str!("../../../../tests/stigg/schema.graphql");
    let start = schema.find("\nenum ErrorCode {\n").unwrap() + "\nenum ErrorCode {\n".len();
    let codes: Vec<_> = schema[start..].lines().map(str::trim).take_while(|line| *line != "}").collect();
    assert_eq!(codes.len(), 186);
    let mut others = BTreeMap::<&str, Vec<&str>>::new();
    for code in codes {
        let error = provision(&Script::code(code), &provision_request("s", "ada", "p", None)).await.unwrap_err();
        let done = match error.disposition() {
            Disposition::Split => continue,
            Disposition::Resend { .. } => "again",
            Disposition::ReadBack { .. } => "in doubt",
            Disposition::Stop(Stop::Credentials) => "stop: key",
            Disposition::Stop(Stop::Request) => "stop: request",
            Disposition::ReadBackAndSplit => "import",
            Disposition::ResendOnceReady => "not ready",
            other @ Disposition::Stop(_) => panic!("{code}: {other:?}"),
        };
        others.entry(done).or_default().push(code);
    }
    let text: String = others.iter().map(|(done, codes)| format!("{done}: {}\n", codes.join(" "))).collect();
    insta::assert_snapshot!(text, @r"
    again: ImportAlreadyInProgress RateLimitExceeded
    import: FailedToImportCustomer FailedToImportSubscriptions ImportSubscriptionsBulkError
    in doubt: AuthorizationServiceError ObjectAlreadyBeingUsedByAnotherRequestError OperationTimeout UnexpectedError
    not ready: NoActiveSubscriptionForCustomer NoFeatureEntitlementInSubscription
    stop: key: AccessDeniedError ApiKeyExpired ApiKeyNotFound IdentityForbidden NoFeatureEntitlementError Unauthenticated
    stop: request: EnvironmentMissing GraphQLAliasesLimitExceeded GraphQLBatchedOperationsLimitExceeded GraphQLUnsupportedDirective UnsupportedParameter
    ");
}

#[tokio::test]
async fn how_far_a_subscription_is_on_its_way_to_other_systems_is_read() {
    let read = async |states: Value| {
        let script = Script::data(json!({ "subscriptions": {
            "pageInfo": { "hasNextPage": false },
            "edges": [{ "node": {
                "subscriptionId": "s", "status": "ACTIVE", "pricingType": "PAID", "billingId": "sub_new",
                "plan": { "refId": "p" }, "customer": { "customerId": "ada" }, "syncStates": states,
            } }],
        } }));
        let page = sink(&script).read_subscriptions(&["s"], None, permit(Operation::Subscriptions).await).await;
        script.request();
        page.unwrap().items.remove(0).sync_states
    };
    let state = |vendor: &str, status: &str, error: Option<String>| SyncState {
        vendor: vendor.to_owned(),
        status: status.to_owned(),
        error,
    };

    let states = read(json!([
        { "vendorIdentifier": "STRIPE", "status": "ERROR", "error": "y".repeat(2 * MESSAGE_CHARS_MAX), "newField": 1 },
        { "vendorIdentifier": "SALESFORCE", "status": "NO_SYNC_REQUIRED", "error": null },
        { "vendorIdentifier": "NEW_VENDOR", "status": "NEW_STATUS" },
    ]))
    .await;

    let bounded = format!("{}…", "y".repeat(MESSAGE_CHARS_MAX - 1));
    assert_eq!(
        states,
        [
            state("STRIPE", "ERROR", Some(bounded)),
            state("SALESFORCE", "NO_SYNC_REQUIRED", None),
            state("NEW_VENDOR", "NEW_STATUS", None),
        ]
    );
    assert_eq!(read(json!(null)).await, []);
}
