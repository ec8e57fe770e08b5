//! `json = true`: a cell's JSON is the whole field.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const SUBSCRIPTION: &str =
    "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"id\"\nplanId = \"id\"\n";

/// Maps one row with `field` from the cell, and gives the field as it is written (nothing where it
/// is absent), or the reject.
fn one(mapping: &str, field: &str, cell: &str) -> Result<String, String> {
    let text = format!("{mapping}{field} = {{ column = \"c\", json = true }}\n");
    let out = map(&text, &["id", "c"], &[&["x", cell]]);
    match out.rejects.first() {
        Some(reject) => {
            assert!(out.records.is_empty() && out.json.is_empty());
            Err(format!("{}: {}", reject.field.as_deref().unwrap_or(""), reject.reason))
        }
        None => {
            let record = std::str::from_utf8(out.json_of(&out.records[0])).unwrap();
            serde_json::from_str::<Value>(record).unwrap();
            let lead = format!("\"{field}\":");
            Ok(record.split_once(&lead).map_or("", |(_, rest)| &rest[..rest.len() - 1]).to_owned())
        }
    }
}

fn metadata(cell: &str) -> Result<String, String> {
    one("entity = \"customer\"\n[fields]\ncustomerId = \"id\"\n", "additionalMetaData", cell)
}

fn dimensions(cell: &str) -> Result<String, String> {
    let mapping = "entity = \"usage\"\n[fields]\ncustomerId = \"id\"\nfeatureId = \"id\"\nvalue = { const = 1 }\n";
    one(mapping, "dimensions", cell)
}

fn entitlements(cell: &str) -> Result<String, String> {
    one(SUBSCRIPTION, "entitlements", cell)
}

fn rejected(found: Result<String, String>, starts: &str) {
    let reject = found.expect_err(starts);
    assert!(reject.starts_with(starts), "{reject}");
}

#[test]
fn metadata_is_sent_as_text_with_its_own_digits_and_sorted_keys() {
    for (cell, gives) in [
        (r#"{"b":"x","a":"y"}"#, r#"{"a":"y","b":"x"}"#),
        (r#"{"n":12345678901234567890.10,"e":1E5}"#, r#"{"e":"1E5","n":"12345678901234567890.10"}"#),
        (r#"{"t":true,"f":false,"none":null,"empty":""}"#, r#"{"empty":"","f":"false","t":"true"}"#),
        (r#"{"o": { "z" : [1.50, null, "\u00e9"], "a": {} }}"#, r#"{"o":"{\"z\":[1.50,null,\"é\"],\"a\":{}}"}"#),
        (r#"{"q":"\"\n"}"#, r#"{"q":"\"\n"}"#),
        ("{}", ""),
        (r#"{"a":null}"#, ""),
        ("", ""),
        ("  ", ""),
        (" null ", ""),
    ] {
        assert_eq!(metadata(cell).as_deref(), Ok(gives), "{cell}");
    }
}

#[test]
fn metadata_that_is_no_object_of_values_is_a_reject() {
    for (cell, starts) in [
        ("{", "additionalMetaData: is not JSON: EOF"),
        ("{'a':1}", "additionalMetaData: is not JSON: key must be a string at line 1 column 2"),
        ("{} {}", "additionalMetaData: is not JSON: trailing characters"),
        ("[1]", "additionalMetaData: is a list, and has to be an object"),
        ("7", "additionalMetaData: is a number, and has to be an object"),
        (r#"{"a":1,"a":1}"#, "additionalMetaData.a: is there twice"),
        (r#"{"a":1,"\u0061":1}"#, "additionalMetaData.a: is there twice"),
        (r#"{"o":[{"a":1,"a":1}]}"#, "additionalMetaData.o[0].a: is there twice"),
        (r#"{" ":1}"#, "additionalMetaData: has no key: its key is empty or blank"),
        (r#"{"a":"\ud800"}"#, "additionalMetaData.a: is not JSON:"),
        (r#"{"a":01}"#, "additionalMetaData: is not JSON: invalid number"),
    ] {
        rejected(metadata(cell), starts);
    }
    let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert!(metadata(&deep(16)).is_ok());
    rejected(metadata(&deep(17)), "additionalMetaData: goes more than 16 levels deep");
    rejected(metadata(&"[".repeat(1 << 20)), "additionalMetaData: goes more than 16 levels deep");
    assert_eq!(metadata(r#"{"a":"[[[[[[[[[[[[[[[[[[[[\"{{"}"#).as_deref(), Ok(r#"{"a":"[[[[[[[[[[[[[[[[[[[[\"{{"}"#));
    rejected(metadata(&format!("{{\"a\":[{}0]}}", "0,".repeat(1000))), "additionalMetaData.a: has 1001 entries");
}

#[test]
fn dimensions_keep_their_types() {
    let cell = r#"{"region":"eu","size":2.50,"big":1e3,"live":true,"none":null}"#;
    assert_eq!(dimensions(cell).as_deref(), Ok(r#"{"big":1000,"live":true,"region":"eu","size":2.5}"#));
    rejected(dimensions(r#"{"a":{}}"#), "dimensions.a: is an object, and has to be a text, a number, or true or false");
    rejected(dimensions(r#"{"a":12345678901234567890}"#), "dimensions.a: has more digits than the API keeps");
}

#[test]
fn entries_are_written_in_the_order_of_the_api_and_checked_in_their_text_form() {
    let cell = r#"[
        {"feature": {"usageLimit": "1.50", "featureId": "f", "hasSoftLimit": "yes", "enumValues": ["a", 1, true, null, ""],
            "resetPeriod": null, "monthlyResetPeriodConfiguration": {"accordingTo": "StartOfTheMonth"},
            "weeklyResetPeriodConfiguration": {}, "hasUnlimitedUsage": false}},
        null,
        {"credit": {"cadence": "MONTH", "amount": 1.5e3, "customCurrencyId": "c"}, "feature": null}
    ]"#;
    let gives = concat!(
        r#"[{"feature":{"featureId":"f","usageLimit":1.5,"hasUnlimitedUsage":false,"hasSoftLimit":true,"#,
        r#""enumValues":["a","1","true"],"monthlyResetPeriodConfiguration":{"accordingTo":"StartOfTheMonth"}}},"#,
        r#"{"credit":{"customCurrencyId":"c","amount":1500,"cadence":"MONTH"}}]"#
    );
    assert_eq!(entitlements(cell).as_deref(), Ok(gives));
    for empty in ["[]", "null", "", "[null]"] {
        assert_eq!(entitlements(empty).as_deref(), Ok(""), "{empty}");
    }
    assert_eq!(
        one(SUBSCRIPTION, "charges", r#"[{"type":"FEATURE","id":"seats","quantity":3}]"#).as_deref(),
        Ok(r#"[{"id":"seats","quantity":3,"type":"FEATURE"}]"#)
    );
}

#[test]
fn a_part_that_does_not_fit_is_named_by_its_path() {
    let good = r#"{"feature":{"featureId":"f"}}"#;
    for (cell, starts) in [
        (
            format!(r#"[{good},{{"feature":{{"featureId":"f","foo":1}}}}]"#),
            "entitlements[1].feature.foo: is no field of the API (the fields here are featureId, usageLimit,",
        ),
        (
            r#"[{"feature":{"featureID":"f"}}]"#.to_owned(),
            "entitlements[0].feature.featureID: is no field of the API (did you mean `featureId`?)",
        ),
        (r#"[{"feature":{"usageLimit":1}}]"#.to_owned(), "entitlements[0].feature.featureId: is empty, and is needed"),
        (r#"[{}]"#.to_owned(), "entitlements[0]: needs exactly one of feature or credit, and has none"),
        (
            r#"[{"feature":{"featureId":"f"},"credit":{"customCurrencyId":"c","amount":1,"cadence":"YEAR"}}]"#
                .to_owned(),
            "entitlements[0]: needs exactly one of feature or credit, and has feature and credit",
        ),
        (
            r#"[{"feature":{"featureId":"f","usageLimit":-1}}]"#.to_owned(),
            "entitlements[0].feature.usageLimit: is below 0",
        ),
        (
            r#"[{"feature":{"featureId":"f","usageLimit":1e99}}]"#.to_owned(),
            "entitlements[0].feature.usageLimit: is not a number",
        ),
        (
            r#"[{"feature":{"featureId":"f","resetPeriod":"MONTHLY"}}]"#.to_owned(),
            "entitlements[0].feature.resetPeriod: is none of YEAR, MONTH",
        ),
        (
            r#"[{"feature":{"featureId":"f","enumValues":["a",["b"]]}}]"#.to_owned(),
            "entitlements[0].feature.enumValues[1]: is a list, and has to be a text",
        ),
        (
            r#"[{"feature":{"featureId":"f","enumValues":"a"}}]"#.to_owned(),
            "entitlements[0].feature.enumValues: is a text, and has to be a list of texts",
        ),
        (
            r#"[{"feature":{"featureId":{"a":1}}}]"#.to_owned(),
            "entitlements[0].feature.featureId: is an object, and has to be a single value",
        ),
        (r#"[{"feature":"f"}]"#.to_owned(), "entitlements[0].feature: is a text, and has to be an object"),
        (r#"["f"]"#.to_owned(), "entitlements[0]: is a text, and has to be an object"),
        (good.to_owned(), "entitlements: is an object, and has to be a list of objects"),
        (format!("[{}{good}]", format!("{good},").repeat(1000)), "entitlements: has 1001 entries, and may have 1000"),
    ] {
        rejected(entitlements(&cell), starts);
    }
    rejected(one(SUBSCRIPTION, "addons", "[{}]"), "addons[0].addonId: is empty, and is needed");
}

#[test]
fn a_text_list_and_an_object_inside_a_written_entry_may_be_json() {
    let text = format!(
        "{SUBSCRIPTION}[[fields.entitlements]]\nfeature.featureId = \"id\"\nfeature.enumValues = {{ column = \"v\", json = true }}\nfeature.monthlyResetPeriodConfiguration = {{ column = \"m\", json = true }}\n"
    );
    let rows: [&[&str]; 3] =
        [&["x", "[\"a\",2]", ""], &["x", "", r#"{"accordingTo":"StartOfTheMonth"}"#], &["x", "", "[]"]];
    let out = map(&text, &["id", "v", "m"], &rows);
    let found: Vec<Value> =
        records(&out).into_iter().map(|record| record["entitlements"][0]["feature"].clone()).collect();
    assert_eq!(
        found,
        [
            json!({ "featureId": "x", "enumValues": ["a", "2"] }),
            json!({ "featureId": "x", "monthlyResetPeriodConfiguration": { "accordingTo": "StartOfTheMonth" } }),
        ]
    );
    assert_eq!(out.rejects[0].field.as_deref(), Some("entitlements.feature.monthlyResetPeriodConfiguration"));
}

#[test]
fn the_first_cell_that_has_json_is_taken() {
    let text = "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nadditionalMetaData = { first = [\"a\", \"b\"], json = true, required = true, null = \"-\" }\n";
    let rows: [&[&str]; 4] =
        [&["1", r#"{"k":1}"#, r#"{"k":2}"#], &["2", "null", r#"{"k":2}"#], &["3", "-", r#"{"k":3}"#], &["4", "", "{}"]];
    let out = map(text, &["id", "a", "b"], &rows);
    let found: Vec<Value> = records(&out).into_iter().map(|record| record["additionalMetaData"]["k"].clone()).collect();
    assert_eq!(found, ["1", "2", "3"]);
    let reason = "is empty, and is needed; it comes from columns `a`, `b`".to_owned();
    assert_eq!(rejects(&out), [(4, "additionalMetaData".to_owned(), reason)]);
}

#[test]
fn rows_of_a_group_say_the_same_json() {
    let text = format!("group = \"id\"\n{SUBSCRIPTION}addons = {{ column = \"c\", json = true }}\n");
    let rows: [&[&str]; 4] = [
        &["1", r#"[{"addonId":"a","quantity":1}]"#],
        &["1", r#"[{"quantity":"1", "addonId":"a"}]"#],
        &["2", r#"[{"addonId":"a"}]"#],
        &["2", r#"[{"addonId":"b"}]"#],
    ];
    let out = map(&text, &["id", "c"], &rows);
    assert_eq!(records(&out)[0]["addons"], json!([{ "addonId": "a", "quantity": 1 }]));
    assert!(out.rejects[0].reason.starts_with("differs within the group"), "{:?}", out.rejects[0]);
}

#[test]
fn json_where_it_makes_no_sense_is_a_problem_with_a_hint() {
    for (field, message, hint) in [
        (
            r#"email = { column = "a", json = true }"#,
            "`json` is for objects, lists and free maps; `email` is one value",
            "leave it out: the cell is taken as it is",
        ),
        (
            r#"additionalMetaData.x = { column = "a", json = true }"#,
            "`json` is for objects, lists and free maps; `additionalMetaData.x` is one value",
            "leave it out: the cell is taken as it is",
        ),
        (
            r#"additionalMetaData = { column = "a", json = true, split = ";" }"#,
            "`json` and `split` exclude each other",
            "the JSON's values are checked as they stand; `json` goes with column, first, expr, optional, required, null",
        ),
        (
            r#"additionalMetaData = { column = "a", json = true, zone = "UTC" }"#,
            "`json` and `zone` exclude each other",
            "the JSON's values are checked as they stand; `json` goes with column, first, expr, optional, required, null",
        ),
        (
            r#"additionalMetaData = { column = "a", json = true, mop = {} }"#,
            "a value has no key `mop`",
            "did you mean `map`?",
        ),
        (
            r#"additionalMetaData = { json = true }"#,
            "`additionalMetaData` doesn't say where its value comes from",
            "one of column, columns, first, const, expr",
        ),
    ] {
        let text = format!("entity = \"customer\"\n[fields]\ncustomerId = \"id\"\n{field}\n");
        let found = parse("m.toml", &text, Path::new("")).unwrap_err();
        let of = found.0.iter().find(|problem| problem.message == message);
        assert_eq!(of.and_then(|problem| problem.hint.as_deref()), Some(hint), "{field}: {found}");
    }
}

#[test]
fn a_free_key_may_still_be_called_json() {
    let text = "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nadditionalMetaData.json = \"c\"\n";
    let out = map(text, &["id", "c"], &[&["1", "{}"]]);
    assert_eq!(records(&out)[0]["additionalMetaData"], json!({ "json": "{}" }));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z\" \\\\é]{0,6}".prop_map(Value::from),
    ];
    let keys = prop_oneof![
        "[a-c ]{0,2}",
        proptest::sample::select(vec!["feature", "credit", "featureId", "enumValues", "usageLimit"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((keys.clone(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_json_and_any_text_give_json_or_a_reject(value in any_json(), cut in 0usize..200, text in any::<String>()) {
        let whole = value.to_string();
        let part: String = whole.chars().take(cut).collect();
        for cell in [&*whole, &*part, &*text, &*format!("[{whole}]"), &*format!("[{{\"feature\":{whole}}}]")] {
            let _ = metadata(cell);
            let _ = dimensions(cell);
            let _ = entitlements(cell);
        }
    }

    #[test]
    fn metadata_of_texts_comes_back(entries in proptest::collection::btree_map("[a-z\"\\\\é.]{1,8}", any::<String>(), 1..6)) {
        let given = serde_json::to_string(&entries).unwrap();
        let found: std::collections::BTreeMap<String, String> = serde_json::from_str(&metadata(&given).unwrap()).unwrap();
        prop_assert_eq!(found, entries);
    }

    #[test]
    fn what_was_written_is_written_the_same_again(ids in proptest::collection::vec("[a-z0-9]{1,8}", 1..5), quantity in 0u32..1000) {
        let addons: Vec<Value> = ids.iter().map(|id| json!({ "quantity": quantity, "addonId": id })).collect();
        let once = one(SUBSCRIPTION, "addons", &Value::from(addons.clone()).to_string()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), Value::from(addons));
        prop_assert_eq!(one(SUBSCRIPTION, "addons", &once).unwrap(), once);
    }
}
