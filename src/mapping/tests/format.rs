//! What each key of the format does.

use serde_json::json;

use super::*;
use crate::entity::Kind;

const CUSTOMER: &str = "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\n";

/// Maps one customer row with one more field and gives that field, or the reject's reason.
fn one(field: &str, cell: &str) -> Result<Value, String> {
    let text = format!("{CUSTOMER}additionalMetaData.x = {field}\n");
    let out = map(&text, &["id", "c", "d"], &[&["1", cell, "D"]]);
    match out.rejects.first() {
        Some(reject) => Err(reject.reason.clone()),
        None => Ok(records(&out)[0]["additionalMetaData"]["x"].clone()),
    }
}

#[test]
fn a_subscription_that_ends_before_it_starts_is_rejected() {
    let text = "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"id\"\nplanId = { const = \"p\" }\n\
        startDate = { column = \"from\", time = \"iso\", optional = true }\nendDate = { column = \"to\", time = \"iso\" }\n";
    let rows: &[&[&str]] = &[
        &["a", "2026-01-02T00:00:00Z", "2026-01-01T23:59:59.999Z"],
        &["b", "2026-01-02T00:00:00Z", "2026-01-02T01:00:00+01:00"], // the same instant
        &["c", "2026-01-02T00:00:00Z", "2027-01-01T00:00:00Z"],
        &["d", "", "2025-01-01T00:00:00Z"],
        &["e", "2026-01-02T00:00:00Z", ""],
    ];
    let out = map(text, &["id", "from", "to"], rows);
    let reason = "is before the start, 2026-01-02T00:00:00.000Z".to_owned();
    assert_eq!(rejects(&out), [(1, "endDate".to_owned(), reason)]);
    assert_eq!(out.rejects[0].value.as_deref(), Some("2026-01-01T23:59:59.999Z"));
    assert_eq!(records(&out).len(), 4);

    // A constant may be written in another form than ours.
    let text =
        text.replace("{ column = \"from\", time = \"iso\", optional = true }", "{ const = \"2026-01-02T00:00:00Z\" }");
    assert_eq!(rejects(&map(&text, &["id", "from", "to"], rows)).len(), 2);
}

#[test]
fn a_record_is_written_in_the_order_of_the_entity_and_without_what_is_empty() {
    let text =
        format!("{CUSTOMER}name = \"n\"\nemail = \"e\"\nadditionalMetaData.b = \"n\"\nadditionalMetaData.a = \"e\"\n");
    let out = map(&text, &["n", "id", "e"], &[&["Zoë \"Z\"\n", "7", ""], &["", "8", ""]]);
    let json: Vec<_> = out.records.iter().map(|record| std::str::from_utf8(out.json_of(record)).unwrap()).collect();
    assert_eq!(
        json,
        [
            r#"{"customerId":"7","name":"Zoë \"Z\"\n","additionalMetaData":{"b":"Zoë \"Z\"\n"}}"#,
            r#"{"customerId":"8"}"#
        ]
    );
    let record = &out.records[0];
    assert_eq!(out.key_of(record), "7");
    assert_eq!(record.hash, crate::record::KeyHash::of("7"));
    assert_eq!(record.fingerprint, crate::record::Fingerprint::of(out.json_of(record)));
    assert_eq!(out.origin_of(record).place().to_string(), "test.csv:2, record 1");
}

#[test]
fn each_step_of_a_value_does_what_it_says() {
    for (field, cell, gives) in [
        (r#""c""#, " v ", " v "),
        (r#"{ column = "c", trim = true }"#, " v ", "v"),
        (r#"{ column = "c", lower = true }"#, "ÄB", "äb"),
        (r#"{ column = "c", upper = true, prefix = "p-" }"#, "x", "p-X"),
        (r#"{ column = "c", suffix = "/s" }"#, "x", "x/s"),
        (r#"{ column = "c", default = "none" }"#, "", "none"),
        (r#"{ column = "c", null = ["N/A", "-"], default = "none" }"#, "N/A", "none"),
        (r#"{ const = "k" }"#, "", "k"),
        (r#"{ const = 5 }"#, "", "5"),
        (r#"{ column = "c", map = { a = "A", b = 2 } }"#, "b", "2"),
        (r#"{ column = "c", map = { a = "A" }, else = "?" }"#, "z", "?"),
        (r#"{ column = "c", lower = true, map = { a = "A" } }"#, " A", "A"),
        (r#"{ columns = ["c", "d"] }"#, "x", "x D"),
        (r#"{ columns = ["c", "d"], join = "+" }"#, "", "D"),
        (r#"{ first = ["c", "d"] }"#, "", "D"),
        (r#"{ first = ["c", "d"] }"#, "x", "x"),
        (r#"{ first = ["gone", "d"], optional = true }"#, "x", "D"),
        (r#"{ expr = 'c ~ "-" ~ row["d"]' }"#, "x", "x-D"),
        (r#"{ expr = 'number(c) * 2' }"#, "21", "42"),
        (r#"{ column = "c", time = "%d.%m.%Y", zone = "UTC" }"#, "31.12.2024", "2024-12-31T00:00:00.000Z"),
        (r#"{ column = "c", decimal = ",", thousands = "." }"#, "1.234,50", "1234.5"),
        (r#"{ column = "c", scale = -2 }"#, "199", "1.99"),
        (r#"{ column = "c", whole = true, min = 1, max = 9 }"#, "09.0", "9"),
        (r#"{ column = "c", type = "bool" }"#, "Yes", "true"),
        (r#"{ column = "c", one_of = ["a", "b"] }"#, "b", "b"),
    ] {
        assert_eq!(one(field, cell), Ok(Value::from(gives)), "{field} of {cell:?}");
    }
}

#[test]
fn what_does_not_fit_is_a_reject_that_says_why() {
    for (field, cell, reason) in [
        (r#"{ column = "c", map = { a = "A" } }"#, "z", "no entry in its `map`"),
        (r#"{ column = "c", required = true }"#, "", "is empty, and is needed; it comes from column `c`"),
        (r#"{ column = "c", whole = true }"#, "1.5", "is not a whole number"),
        (r#"{ column = "c", min = 1 }"#, "0", "is below 1"),
        (r#"{ column = "c", thousands = "," }"#, "1,23", "is not a number"),
        (r#"{ column = "c", one_of = ["a", "b"] }"#, "z", "is none of a, b"),
        (
            r#"{ column = "c", time = ["%d.%m.%Y", "unix"], zone = "UTC" }"#,
            "x",
            "is not a time in the form `%d.%m.%Y` or seconds since 1970",
        ),
        (r#"{ expr = 'number(c)' }"#, "x", "an expression failed: number() was given no number"),
    ] {
        assert_eq!(one(field, cell), Err(reason.to_owned()), "{field} of {cell:?}");
    }
}

#[test]
fn a_reject_names_field_and_value_and_gives_the_row_back() {
    let text = "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"c\"\nplanId = { column = \"p\", lookup = \"plans\" }\n[lookups.plans]\nx = \"plan-x\"\n";
    let out = map(text, &["id", "c", "p"], &[&["1", "cus", "price_X"], &["2", "cus", "x"]]);
    let reject = &out.rejects[0];
    assert_eq!(reject.field.as_deref(), Some("planId"));
    assert_eq!(reject.value.as_deref(), Some("price_X"));
    assert_eq!(reject.reason, "no entry in lookup `plans`");
    assert_eq!(reject.rows, [["1", "cus", "price_X"].map(|cell| Some(cell.to_owned()))]);
    assert_eq!(records(&out).len(), 1);
}

#[test]
fn where_filters_and_user_rejects_reject() {
    let text = r#"
        entity = "customer"
        where = 'status in ["active", "new"]'
        [fields]
        customerId = "id"
        [[reject]]
        when = 'id == "3"'
        because = "three is a bad number"
        [checks]
        born = { column = "born", time = "%Y-%m-%d", zone = "UTC" }
    "#;
    let rows: [&[&str]; 5] = [
        &["1", "active", ""],
        &["2", "gone", ""],
        &["3", "new", ""],
        &["4", "new", "soon"],
        &["5", "new", "2000-01-01"],
    ];
    let out = map(text, &["id", "status", "born"], &rows);
    assert_eq!(out.records.len(), 2);
    assert_eq!(out.filtered, 1);
    let found = rejects(&out);
    assert_eq!(found[0], (3, String::new(), "three is a bad number".to_owned()));
    assert_eq!((found[1].0, &*found[1].1), (4, "born"));
}

#[test]
fn entitlements_are_written_where_their_condition_holds() {
    let text = r#"
        entity = "subscription"
        [fields]
        subscriptionId = "id"
        customerId = "c"
        planId = { const = "plan-custom" }
        [[fields.entitlements]]
        when = 'seats != ""'
        feature = { featureId = { const = "feature-seats" }, usageLimit = "seats", hasSoftLimit = { column = "soft" }, enumValues = { column = "tags", split = ";" } }
        [[fields.entitlements]]
        when = 'number(credits or "0") > 0'
        credit = { customCurrencyId = { const = "cur" }, amount = "credits", cadence = { const = "MONTH" } }
        [[fields.addons]]
        addonId = { const = "addon-x" }
        when = 'soft == "yes"'
    "#;
    let columns = ["id", "c", "seats", "credits", "soft", "tags"];
    let out = map(
        text,
        &columns,
        &[&["1", "c", "5", "100.0", "yes", "a; b;"], &["2", "c", "", "", "", ""], &["3", "c", "x", "", "", ""]],
    );
    let found = records(&out);
    assert_eq!(
        found[0],
        serde_json::json!({
            "subscriptionId": "1", "customerId": "c", "planId": "plan-custom",
            "addons": [{ "addonId": "addon-x" }],
            "entitlements": [
                { "feature": { "featureId": "feature-seats", "usageLimit": 5, "hasSoftLimit": true, "enumValues": ["a", "b"] } },
                { "credit": { "customCurrencyId": "cur", "amount": 100, "cadence": "MONTH" } },
            ],
        })
    );
    assert_eq!(found[1], serde_json::json!({ "subscriptionId": "2", "customerId": "c", "planId": "plan-custom" }));
    assert_eq!(rejects(&out), [(3, "entitlements.feature.usageLimit".to_owned(), "is not a number".to_owned())]);
}

#[test]
fn an_object_of_which_nothing_is_said_is_left_out_and_a_half_is_a_reject() {
    let text = r#"
        entity = "subscription"
        [fields]
        subscriptionId = "id"
        customerId = "id"
        planId = "id"
        [[fields.entitlements]]
        feature = { featureId = "f", resetPeriod = "r", monthlyResetPeriodConfiguration = { accordingTo = "m" } }
    "#;
    let out =
        map(text, &["id", "f", "r", "m"], &[&["1", "feat", "MONTH", ""], &["2", "", "MONTH", ""], &["3", "", "", ""]]);
    assert_eq!(
        records(&out)[0]["entitlements"][0]["feature"],
        serde_json::json!({ "featureId": "feat", "resetPeriod": "MONTH" })
    );
    let fields: Vec<_> = rejects(&out).into_iter().map(|(record, field, _)| (record, field)).collect();
    assert_eq!(
        fields,
        [(2, "entitlements.feature.featureId".to_owned()), (3, "entitlements.feature.featureId".to_owned())]
    );
}

#[test]
fn one_row_makes_several_records_or_none() {
    let text = r#"
        entity = "usage"
        [fields]
        customerId = "c"
        [[record]]
        featureId = { const = "feature-a" }
        value = "a"
        [[record]]
        when = 'b != ""'
        featureId = { const = "feature-b" }
        value = "b"
    "#;
    let out = map(text, &["c", "a", "b"], &[&["1", "10", "20"], &["2", "11", ""], &["3", "12", "x"]]);
    let keys: Vec<_> = out.records.iter().map(|record| out.key_of(record).replace('\u{1f}', "/")).collect();
    assert_eq!(keys, ["1/feature-a/", "1/feature-b/", "2/feature-a/"]);
    assert_eq!(
        records(&out)[1],
        serde_json::json!({ "customerId": "1", "featureId": "feature-b", "value": 20, "updateBehavior": "SET" })
    );
    assert_eq!(rejects(&out).len(), 1);
}

#[test]
fn free_maps_take_columns_by_pattern_and_dimensions_keep_numbers() {
    let text = r#"
        entity = "usage"
        [fields]
        customerId = "c"
        featureId = "f"
        value = "v"
        dimensions = { region = "r", size = { column = "s", type = "number" }, test = { const = true }, columns_matching = "dim *" }
    "#;
    let out = map(
        text,
        &["c", "f", "v", "r", "s", "dim tier", "dim region"],
        &[&["c", "f", "007.50", "eu", "2", "gold", "us"]],
    );
    assert_eq!(
        std::str::from_utf8(out.json_of(&out.records[0])).unwrap(),
        r#"{"customerId":"c","featureId":"f","value":7.5,"updateBehavior":"SET","dimensions":{"region":"eu","size":2,"test":true,"tier":"gold"}}"#
    );
}

#[test]
fn unreadable_rows_are_rejects_and_counted() {
    let mut rows = RowBatch::new("test.csv".into(), columns(&["id"]));
    rows.push(1, 2, [Some("1")]);
    let place = crate::record::Place { source: "test.csv".into(), record: 2, line: 3 };
    rows.push_bad(crate::record::BadRow { place, reason: "has 2 cells instead of 1".into(), cells: vec!["a".into()] });
    let mut out = RecordBatch::default();
    Mapper::new(plan(CUSTOMER, &["id"]), spill()).apply(&Arc::new(rows), &mut out).unwrap();
    assert_eq!((out.rows, out.records.len(), out.rejects.len()), (2, 1, 1));
}

#[test]
fn null_is_empty() {
    let mut rows = RowBatch::new("test".into(), columns(&["id", "e"]));
    rows.push(1, 0, [Some("1"), None]);
    let text = format!("{CUSTOMER}email = {{ column = \"e\", default = \"x@example.com\" }}\n");
    let mut out = RecordBatch::default();
    Mapper::new(plan(&text, &["id", "e"]), spill()).apply(&Arc::new(rows), &mut out).unwrap();
    assert_eq!(records(&out)[0]["email"], "x@example.com");
}

#[test]
fn examples_say_what_differs() {
    let text = r#"
        entity = "customer"
        where = 'id != "0"'
        [fields]
        customerId = "id"
        email = "e"
        [[example]]
        row = { id = "1", e = "a@example.com" }
        gives = { customerId = "2", name = "x" }
        [[example]]
        row = { id = "1", e = "nope" }
        gives = { customerId = "1" }
        [[example]]
        row = { id = "0" }
        filtered = true
        [[example]]
        row = { id = "1" }
        rejects = "email"
    "#;
    let outcomes: Vec<Vec<String>> = run_examples(&file(text)).into_iter().map(|outcome| outcome.differences).collect();
    assert_eq!(outcomes[0], ["customerId is \"1\" instead of \"2\"", "name is absent instead of \"x\""]);
    assert_eq!(outcomes[1], ["gives 0 records instead of 1: a reject (email: is not an e-mail address)"]);
    assert_eq!(outcomes[2], [""; 0]);
    assert_eq!(outcomes[3], ["gives {\"customerId\":\"1\"} instead of a reject for `email`"]);
}

#[test]
fn the_schema_knows_every_field() {
    let schema = json_schema();
    for (branch, schema_of) in schema["allOf"].as_array().unwrap().iter().zip(crate::entity::Schema::ALL) {
        let fields = &branch["then"]["properties"]["fields"]["properties"];
        for field in schema_of.fields() {
            let fixed = matches!(field.kind, Kind::Fixed(_));
            assert_eq!(fields.get(field.name).is_none(), fixed, "{}", field.name);
            let json = json!({ "$ref": "#/$defs/json" });
            let takes = fields[field.name]["anyOf"].as_array().is_some_and(|forms| forms.contains(&json));
            let several = match field.kind {
                Kind::TextMap | Kind::ScalarMap | Kind::List { .. } => true,
                Kind::Object(_) => field.name != "billingInformation",
                _ => false,
            };
            assert_eq!(takes, several, "{}", field.name);
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_cells_give_json_or_a_reject(cells in proptest::collection::vec(proptest::prelude::any::<String>(), 4)) {
        let text = format!("{CUSTOMER}email = \"e\"\nname = \"n\"\nadditionalMetaData.x = \"x\"\n");
        let row: Vec<&str> = cells.iter().map(String::as_str).collect();
        let out = map(&text, &["id", "e", "n", "x"], &[&row]);
        proptest::prop_assert_eq!(out.records.len() + out.rejects.len(), 1);
        for record in records(&out) {
            proptest::prop_assert_eq!(record["customerId"].as_str().unwrap(), cells[0].trim());
        }
    }
}
