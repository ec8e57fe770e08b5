//! Paid subscriptions are not imported: everything that would send them refuses, and `check` tries their mapping.

use super::clean;
use crate::program::{Folder, assert_ran};

const PAID_TOML: &str = r#"
entity = "paid_subscription"
[fields]
subscriptionId = "id"
customerId = "customer"
planId = { const = "plan-pro" }
startDate = { column = "start", time = "iso" }
billingPeriod = { const = "MONTHLY" }
original = { provider = { const = "stripe" }, id = "id" }

[[example]]
row = { id = "sub_1", customer = "cus_1", start = "2024-01-31T10:00:00Z" }
gives = { subscriptionId = "sub_1", billingInformation = { isBackdated = true }, original = { provider = "stripe", id = "sub_1" } }
"#;

/// A mapping of paid subscriptions, a pipeline that would import customers first, and no data.
fn paid() -> Folder {
    let folder = clean();
    folder.write("paid.toml", PAID_TOML).write(
        "pipeline.toml",
        "[[step]]\nname = \"people\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n\
         [[step]]\nname = \"contracts\"\nmapping = \"paid.toml\"\nsource = { csv = \"missing.csv\" }\n",
    );
    folder
}

#[test]
fn whatever_sends_refuses_paid_subscriptions_before_it_reads_or_looks_for_a_key() {
    let folder = paid();
    assert_ran!(folder.run("run --mapping paid.toml --csv missing.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `paid-subscriptions` is not for an import: paid.toml makes paid subscriptions
    hint: stigg-import cutover --plan with the same mapping and source says what would be done; nothing was read or sent
    "#);
    assert_ran!(folder.run("plan pipeline.toml"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `contracts` is not for an import: paid.toml makes paid subscriptions
    hint: stigg-import cutover --plan with the same mapping and source says what would be done; nothing was read or sent
    "#);
    for command in
        ["run pipeline.toml", "run pipeline.toml --to-files out", "plan --mapping paid.toml --csv missing.csv"]
    {
        let ran = folder.run(command).exits(5);
        assert!(ran.stderr.contains("paid.toml makes paid subscriptions\nhint: "), "{command}: {ran}");
        assert_eq!(ran.stdout, "", "{command}");
    }
    assert!(!folder.path("out").exists() && !folder.path(".stigg-import").exists(), "nothing is written either");
}

#[test]
fn check_tries_a_mapping_of_paid_subscriptions_with_data() {
    let folder = paid();
    folder.write(
        "subscriptions.csv",
        "id,customer,start\nsub_1,cus_1,2024-01-31T10:00:00Z\nsub/2,cus_1,2024-01-31T10:00:00Z\n",
    );
    assert_ran!(folder.run("check --mapping paid.toml --csv subscriptions.csv"), @r#"
    exit 3
    --- stdout
    paid.toml: holds, 1 example pass
    paid-subscriptions: subscriptions.csv: uncompressed, UTF-8 (assumed), delimiter comma, quote ", LF, 3 columns
    paid-subscriptions: of the first 2 rows 1 would be rejected
      subscriptions.csv:3, record 2: original.id "sub/2": may not have the character '/'

    --- stderr
    "#);
}
