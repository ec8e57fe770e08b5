//! The mappings that ship, from end to end: the rows of their examples, as one export, go through the program into the
//! strict API, and end there as the examples say.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use stigg_import::mapping;
use stigg_import::sandbox::{Catalog, Settings};

use crate::program::{Api, Folder, repository};

/// Rows of an export, each from column to cell.
type Rows = Vec<Value>;

/// How many examples end where.
#[derive(Debug, Default, PartialEq)]
struct Ends {
    accepted: u64,
    rejected: u64,
    filtered: u64,
    /// Rows that repeat one of the same total.
    unchanged: u64,
}

/// What the mappings' lookups name. Each plan is of a product of its own: the examples give one customer both.
fn catalog() -> Catalog {
    serde_json::from_value(json!({
        "plans": [
            { "id": "plan-free", "kind": "free", "product": "basic" },
            { "id": "plan-team", "kind": "custom", "product": "main" },
        ],
        "features": [
            { "id": "feature-api-calls", "meter": "Incremental" },
            { "id": "feature-storage-gb-hours", "meter": "Incremental" },
        ],
        "addons": [{ "id": "addon-support" }],
    }))
    .unwrap()
}

fn examples(mapping: &Path) -> Vec<Value> {
    let file: Value = toml::from_str(&std::fs::read_to_string(mapping).unwrap()).unwrap();
    file["example"].as_array().unwrap().clone()
}

fn rows_of(example: &Value) -> Rows {
    example.get("rows").map_or_else(|| vec![example["row"].clone()], |rows| rows.as_array().unwrap().clone())
}

/// A CSV of these rows, with the columns that the mapping needs and those that any row has.
fn write_csv(folder: &Folder, name: &str, mapping: &Path, rows: &Rows) {
    let needed = mapping::load(mapping).unwrap().columns_used().into_iter().filter(|column| !column.optional);
    let mut columns: BTreeSet<String> = needed.map(|column| column.name).collect();
    columns.extend(rows.iter().flat_map(|row| row.as_object().unwrap().keys().cloned()));
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(&columns).unwrap();
    for row in rows {
        csv.write_record(columns.iter().map(|column| row.get(column).map_or("", |cell| cell.as_str().unwrap())))
            .unwrap();
    }
    folder.write(name, csv.into_inner().unwrap());
}

fn rejects(folder: &Folder, entity: &str) -> String {
    folder.read(&format!(".stigg-import/rejects/1-{entity}.jsonl"))
}

/// Asserts that all that an example gives is in the API.
fn is_there(place: &str, gives: &Value, snapshot: &Value, id_of_row: &Value) {
    let id = |name: &str| gives.get(name).unwrap_or(id_of_row).as_str().unwrap().to_owned();
    if place.contains("usage") {
        let value = &snapshot["usage"][id("customerId")][id("featureId")][""];
        assert_eq!(value.as_f64(), gives["value"].as_f64(), "{place}");
        return;
    }
    let (kind, key) = match place.contains("customers") {
        true => ("customers", "customerId"),
        false => ("subscriptions", "subscriptionId"),
    };
    let has = &snapshot[kind][id(key)];
    for (field, value) in gives.as_object().unwrap().iter().filter(|(field, _)| *field != key) {
        let has = &has[if field == "additionalMetaData" { "metadata" } else { field }];
        match value.as_f64() {
            Some(number) => assert_eq!(has.as_f64(), Some(number), "{place}, {field}"),
            None => assert_eq!(has, value, "{place}, {field}"),
        }
    }
}

/// Runs a vendor's mappings over their examples, and `more` customers that its subscriptions need.
fn holds(vendor: &str, entities: &[&str], id_columns: &[&str], more: Rows, expected: &[Ends]) {
    let settings = Settings { catalog: Some(catalog()), usage_needs_subscription: Some(true), ..Settings::default() };
    let (api, folder) = (Api::new(settings), Folder::new());
    let mut pipeline = format!("[target]\nurl = \"{}\"\n", api.url);
    let mut given = Vec::new();
    for entity in entities {
        let mapping = repository(&format!("mappings/{vendor}/{entity}.toml"));
        let examples = examples(&mapping);
        let mut rows: Rows = examples.iter().flat_map(rows_of).collect();
        if *entity == "customers" {
            rows.extend(more.iter().cloned());
        }
        write_csv(&folder, &format!("{entity}.csv"), &mapping, &rows);
        pipeline.push_str(&format!(
            "\n[[step]]\nname = \"{entity}\"\nmapping = \"{}\"\nsource = {{ csv = \"{entity}.csv\" }}\n",
            mapping.display()
        ));
        given.push(examples);
    }
    folder.write("pipeline.toml", pipeline);

    // When
    let ran = folder.run("run pipeline.toml --json --rate-scale 100000").exits(3);

    // Then
    let snapshot = serde_json::to_value(api.sandbox.snapshot()).unwrap();
    for (step, (entity, examples)) in entities.iter().zip(&given).enumerate() {
        let count = |name: &str| ran.json()["steps"][step][name].as_u64().unwrap();
        let ends = Ends {
            accepted: count("accepted"),
            rejected: count("rejected"),
            filtered: count("filtered"),
            unchanged: count("unchanged"),
        };
        assert_eq!(ends, expected[step], "{vendor} {entity}: {ran}\n{}", rejects(&folder, entity));
        assert_eq!((count("failed"), count("open")), (0, 0), "{vendor} {entity}: {ran}");
        for (at, example) in examples.iter().enumerate() {
            if let Some(gives) = example.get("gives") {
                let row = &rows_of(example)[0];
                let id = id_columns.get(step).map_or(&Value::Null, |column| &row[*column]);
                is_there(&format!("{vendor} {entity}, example {}", at + 1), gives, &snapshot, id);
            }
        }
        // A field that an example names is the one that the reject tells.
        let told = rejects(&folder, entity);
        for example in examples {
            if let Some(because) = example.get("rejects").and_then(Value::as_str) {
                assert!(told.contains(because), "{vendor} {entity}: `{because}` is not in {told}");
            }
        }
    }
    let again = folder.run("run pipeline.toml --json --rate-scale 100000").exits(3);
    let known: u64 = expected.iter().map(|ends| ends.accepted + ends.unchanged).sum();
    assert_eq!((again.total("accepted"), again.total("unchanged")), (0, known), "{again}");
}

const fn ends(accepted: u64, rejected: u64, filtered: u64, unchanged: u64) -> Ends {
    Ends { accepted, rejected, filtered, unchanged }
}

#[test]
fn chargebees_examples_end_in_the_api_as_they_say() {
    let id_columns = ["customer[id]", "subscription[id]"];
    holds("chargebee", &["customers", "subscriptions"], &id_columns, vec![], &[ends(2, 1, 0, 0), ends(2, 3, 1, 0)]);
}

#[test]
fn recurlys_examples_end_in_the_api_as_they_say() {
    let expected = [ends(2, 1, 0, 0), ends(2, 3, 0, 0), ends(1, 2, 0, 1)];
    holds("recurly", &["customers", "subscriptions", "usage"], &["account_code", "uuid"], vec![], &expected);
}

#[test]
fn zuoras_examples_end_in_the_api_as_they_say() {
    let id_columns = ["Account Number", "Subscription Name"];
    let more = vec![json!({ "Account Number": "A1" })];
    let expected = [ends(3, 1, 0, 0), ends(2, 2, 1, 0), ends(1, 2, 0, 1)];
    holds("zuora", &["customers", "subscriptions", "usage"], &id_columns, more, &expected);
}
