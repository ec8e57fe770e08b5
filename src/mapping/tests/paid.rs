//! Paid subscriptions: constants that no mapping can leave out, and lists inside of objects and of lists.

use serde_json::json;

use super::*;

const PAID: &str = "entity = \"paid_subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"c\"\n\
    planId = { const = \"p\" }\nbillingPeriod = { const = \"MONTHLY\" }\n\
    startDate = { column = \"from\", time = \"iso\" }\n\
    original = { provider = { const = \"stripe\" }, id = \"id\" }\n";
const COLUMNS: [&str; 4] = ["id", "c", "from", "x"];

/// The one record of a row whose column `x` is `cell`, or the field and reason of its reject.
fn paid(more: &str, cell: &str) -> Result<Value, String> {
    let out = map(&format!("{PAID}{more}"), &COLUMNS, &[&["sub_1", "cus_1", "2024-01-31T10:00:00Z", cell]]);
    match out.rejects.first() {
        Some(reject) => Err(format!("{}: {}", reject.field.as_deref().unwrap_or("the row"), reject.reason)),
        None => Ok(records(&out)[0].clone()),
    }
}

fn problems(more: &str) -> Vec<String> {
    let found = parse("m.toml", &format!("{PAID}{more}"), Path::new("")).unwrap_err();
    found.0.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn every_paid_subscription_is_backdated_whatever_the_mapping_says_of_its_billing() {
    let backdated = json!({ "isBackdated": true });
    assert_eq!(paid("", "").unwrap()["billingInformation"], backdated);

    let marked = "billingInformation.metadata.migratedFrom = \"x\"\n";
    assert_eq!(
        paid(marked, "sub_1").unwrap()["billingInformation"],
        json!({ "isBackdated": true, "metadata": { "migratedFrom": "sub_1" } })
    );
    assert_eq!(paid(marked, "").unwrap()["billingInformation"], backdated, "a part that is empty");

    let json = "billingInformation.metadata = { column = \"x\", json = true }\n";
    assert_eq!(
        paid(json, "{\"a\":1}").unwrap()["billingInformation"],
        json!({ "isBackdated": true, "metadata": { "a": "1" } })
    );
}

#[test]
fn nothing_takes_the_backdating_away() {
    assert_eq!(
        problems("billingInformation.isBackdated = { const = false }\n"),
        ["`billingInformation.isBackdated` is always `true`; leave it out"]
    );
    // Neither does a cell of JSON, which could leave it out.
    let whole = problems("billingInformation = { column = \"x\", json = true }\n");
    assert!(whole.iter().any(|problem| problem.contains("`billingInformation` has no field `json`")), "{whole:?}");
}

#[test]
fn a_paid_subscription_is_known_by_its_id_and_says_what_it_replaces() {
    let out = map(PAID, &COLUMNS, &[&["sub_1", "cus_1", "2024-01-31T10:00:00Z", ""]]);
    assert_eq!(out.key_of(&out.records[0]), "sub_1");
    assert_eq!(records(&out)[0]["original"], json!({ "provider": "stripe", "id": "sub_1" }));

    let without = PAID.replace("original = { provider = { const = \"stripe\" }, id = \"id\" }\n", "");
    let found = parse("m.toml", &without, Path::new("")).unwrap_err();
    assert_eq!(found.0[0].message, "`original` is missing");
    let elsewhere = PAID.replace("\"stripe\"", "\"braintree\"");
    let found = parse("m.toml", &elsewhere, Path::new("")).unwrap_err();
    assert!(found.0[0].message.contains("it is none of stripe, zuora, chargebee, recurly, paddle"), "{found}");
}

#[test]
fn an_original_without_an_id_is_rejected() {
    let text = PAID.replace("id = \"id\" }", "id = \"x\" }");
    let out = map(
        &text,
        &COLUMNS,
        &[&["sub_1", "cus_1", "2024-01-31T10:00:00Z", ""], &["sub_2", "cus_1", "2024-01-31T10:00:00Z", "../sub_9"]],
    );
    assert_eq!(
        rejects(&out),
        [
            (1, "original.id".to_owned(), "is empty, and is needed; it comes from column `x`".to_owned()),
            (2, "original.id".to_owned(), "may not start with '.'".to_owned())
        ]
    );
}

#[test]
fn a_paid_subscription_that_ends_before_it_starts_is_rejected() {
    let ends = "cancellationDate = { column = \"x\", time = \"iso\" }\n";
    assert_eq!(
        paid(ends, "2024-01-31T09:59:59Z"),
        Err("cancellationDate: is before the start, 2024-01-31T10:00:00.000Z".to_owned())
    );
    assert_eq!(paid(ends, "2024-01-31T10:00:00Z").unwrap()["cancellationDate"], "2024-01-31T10:00:00.000Z");
}

#[test]
fn lists_inside_of_lists_have_conditions_too() {
    let more = r#"
[[fields.priceOverrides]]
featureId = { const = "seats" }
[[fields.priceOverrides.tiers]]
upTo = { const = 10 }
unitPrice = { amount = { const = 5 }, currency = { const = "USD" } }
[[fields.priceOverrides.tiers]]
when = 'x != ""'
unitPrice.amount = { column = "x", scale = -2 }
"#;
    let small = json!({ "upTo": 10, "unitPrice": { "amount": 5, "currency": "USD" } });
    assert_eq!(paid(more, "").unwrap()["priceOverrides"], json!([{ "featureId": "seats", "tiers": [small] }]));
    let large = json!({ "unitPrice": { "amount": 4 } });
    assert_eq!(
        paid(more, "400").unwrap()["priceOverrides"],
        json!([{ "featureId": "seats", "tiers": [small, large] }])
    );
}

#[test]
fn lists_inside_of_objects_have_conditions_too() {
    let more = r#"
[[fields.appliedCoupon.discount.amountsOff]]
when = 'x == "500"'
amount = "x"
currency = { const = "EUR" }
"#;
    assert_eq!(
        paid(more, "500").unwrap()["appliedCoupon"],
        json!({ "discount": { "amountsOff": [{ "amount": 500, "currency": "EUR" }] } })
    );
    assert_eq!(paid(more, "700").unwrap().get("appliedCoupon"), None);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_cells_give_a_backdated_subscription_with_its_original_or_a_reject(
        id in "[a-z|./]{0,4}",
        from in "2024-01-01T00:00:00Z|[0-9-]{0,10}",
        mark in proptest::prelude::any::<String>(),
    ) {
        let text = format!("{PAID}billingInformation.metadata.mark = \"x\"\n");
        let out = map(&text, &COLUMNS, &[&[&id, "cus_1", &from, &mark]]);
        proptest::prop_assert_eq!(out.records.len() + out.rejects.len(), 1);
        for record in records(&out) {
            proptest::prop_assert_eq!(&record["billingInformation"]["isBackdated"], &json!(true));
            proptest::prop_assert_eq!(record["original"]["id"].as_str(), record["subscriptionId"].as_str());
        }
    }
}
