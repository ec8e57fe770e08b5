//! The files of the vendor's bulk-import tool, every generation: what their mappings are given.

use super::*;

fn read_bulk(file: &str, options: &JsonOptions, wanted: &[&str]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bulk");
    let outcome = read_files(&folder, &[file], options, wanted);
    assert_eq!((outcome.error(), outcome.reasons()), (String::new(), Vec::new()), "{file}");
    outcome.joined()
}

#[test]
fn customers() {
    let wanted = ["customerId", "email", "updatedAt", "additionalMetaData", "metadata"];
    assert_eq!(
        read_bulk("customers-1.7.0.json", &array("customers"), &wanted),
        [r#"customer-demo-01|one@example.com|~|~|{"region":"eu","legacyId":"17"}"#, "customer-demo-02|~|~|~|~"]
    );
    assert_eq!(
        read_bulk("customers-1.9.1.json", &array("customers"), &wanted),
        [
            r#"customer-demo-01|one@example.com|2023-10-26T10:49:09.261Z|~|{"region":"eu","seats":3}"#,
            r#"customer-demo-02|~|~|{"region":"us"}|~"#
        ]
    );
}

#[test]
fn subscriptions() {
    let wanted = ["customerId", "planId", "resourceId", "unitQuantity", "billableFeatures", "entitlements", "addons"];
    let options = array("subscriptions");
    assert_eq!(
        read_bulk("subscriptions-1.7.0.json", &options, &wanted),
        ["customer-demo-01|plan-revvenu-essentials|~|5|~|~|~", "customer-demo-02|plan-revvenu-free|site-1|~|~|~|~"]
    );
    let features =
        r#"[{"featureId":"feature-01-templates","quantity":2},{"featureId":"feature-02-campaigns","quantity":10}]"#;
    assert_eq!(
        read_bulk("subscriptions-1.9.1.json", &options, &wanted)[0],
        format!("customer-demo-01|plan-revvenu-essentials|~|~|{features}|~|~")
    );
    assert_eq!(read_bulk("free-subscriptions.json", &options, &wanted).len(), 2);
    let custom = read_bulk("custom-subscriptions.json", &options, &["entitlements", "addons"]);
    let entitlements = concat!(
        r#"[{"feature":{"featureId":"feature-01-templates","usageLimit":1000,"hasSoftLimit":true,"resetPeriod":"MONTH","#,
        r#""monthlyResetPeriodConfiguration":{"accordingTo":"StartOfTheMonth"}}},"#,
        r#"{"feature":{"featureId":"feature-02-campaigns","hasUnlimitedUsage":true}},"#,
        r#"{"feature":{"featureId":"feature-03-tiers","enumValues":["gold","silver"]}},"#,
        r#"{"credit":{"customCurrencyId":"cred-type-tokens","amount":2500.5,"cadence":"MONTH"}}]"#,
    );
    assert_eq!(
        custom,
        [format!(r#"{entitlements}|[{{"addonId":"addon-10-campaigns","quantity":2}}]"#), "[]|~".to_owned()]
    );
}

#[test]
fn usage() {
    assert_eq!(
        read_bulk("usage.json", &array("usages"), &["customerId", "featureId", "resourceId", "usage", "value"]),
        [
            "customer-demo-01|feature-01-templates|~|12|~",
            "customer-demo-01|feature-02-campaigns|site-1|0|~",
            "customer-demo-02|feature-01-templates|~|~|7.25"
        ]
    );
}

#[test]
fn the_one_file_of_the_first_version_is_read_once_for_each_entity() {
    let options = array("customers");
    assert_eq!(read_bulk("input-0.0.9.json", &options, &["customerId", "metadata"]).len(), 3);
    assert_eq!(
        read_bulk("input-0.0.9.json", &options, &["customerId", "subscription.planId", "subscription.unitQuantity"]),
        ["customer-demo-01|plan-revvenu-essentials|5", "customer-demo-02|plan-revvenu-free|~", "customer-demo-03|~|~"]
    );
    let each = JsonOptions { each: Some("featuresUsage".to_owned()), ..options };
    assert_eq!(
        read_bulk("input-0.0.9.json", &each, &["customerId", EACH_KEY, EACH_VALUE]),
        [
            "customer-demo-01|feature-01-templates|12",
            "customer-demo-01|feature-02-campaigns|3",
            "customer-demo-03|feature-01-templates|1"
        ]
    );
}
