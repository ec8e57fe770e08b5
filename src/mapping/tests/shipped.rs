//! The mappings that ship, on the sample exports whose defects are known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::*;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shipped(name: &str) -> MappingFile {
    load(&root().join("mappings").join(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn read(path: &str, rows_per_batch: usize) -> Vec<Arc<RowBatch>> {
    let mut reader = csv::Reader::from_path(root().join(path)).unwrap();
    let columns: Arc<[Box<str>]> = reader.headers().unwrap().iter().map(Box::from).collect();
    let mut batches = Vec::new();
    let mut batch = RowBatch::new(path.into(), columns.clone());
    for (record, number) in reader.records().zip(1..) {
        let record = record.unwrap();
        batch.push(number, record.position().unwrap().line(), record.iter().map(Some));
        if batch.len() == rows_per_batch {
            batches.push(Arc::new(std::mem::replace(&mut batch, RowBatch::new(path.into(), columns.clone()))));
        }
    }
    batches.push(Arc::new(batch));
    batches
}

fn map_csv(mapping: &str, path: &str, spill: SpillSettings) -> RecordBatch {
    let file = shipped(mapping);
    let batches = read(path, 500);
    let plan = compile(&file, batches[0].columns(), &clock()).unwrap_or_else(|problems| panic!("{problems}"));
    let mut mapper = Mapper::new(Arc::new(plan), spill);
    let mut out = RecordBatch::default();
    for batch in &batches {
        mapper.apply(batch, &mut out).unwrap();
    }
    finish(&mut mapper, &mut out);
    out
}

/// Records of each kind of reject in `defects.csv`.
fn defects(sample: &str, table: &str) -> BTreeMap<String, BTreeSet<u64>> {
    let mut defects: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut reader = csv::Reader::from_path(root().join(format!("tests/data/{sample}/defects.csv"))).unwrap();
    for record in reader.records() {
        let record = record.unwrap();
        if &record[0] == table && &record[2] == "reject" {
            defects.entry(record[3].to_owned()).or_default().insert(record[1].parse().unwrap());
        }
    }
    defects
}

fn of_kinds(defects: &BTreeMap<String, BTreeSet<u64>>, kinds: &[&str]) -> BTreeSet<u64> {
    kinds.iter().filter_map(|kind| defects.get(*kind)).flatten().copied().collect()
}

fn expected(sample: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root().join(format!("tests/data/{sample}/expected.json"))).unwrap()).unwrap()
}

fn rejected(out: &RecordBatch) -> BTreeSet<u64> {
    out.rejects.iter().map(|reject| reject.place.record).collect()
}

const SAMPLES: [&str; 2] = ["stripe-sample", "stripe-small"];

fn mappings_in(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(mappings_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_shipped_mapping_holds_and_so_do_its_examples() {
    let found = mappings_in(&root().join("mappings"));
    assert!(found.len() >= 11, "{found:?}");
    for path in found {
        let name = path.display();
        let file = load(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let outcomes = run_examples(&file);
        assert!(outcomes.len() >= 2, "{name}");
        for outcome in outcomes {
            assert!(outcome.passed(), "{name}:{}: {:#?}", outcome.line, outcome.differences);
        }
    }
}

#[test]
fn customers_of_the_samples_are_rejected_where_they_are_known_to_be_wrong() {
    for sample in SAMPLES {
        let out = map_csv("stripe/customers.toml", &format!("tests/data/{sample}/customers.csv"), spill());
        let wrong = of_kinds(&defects(sample, "customers"), &["id_empty", "bad_created", "bad_email", "name_too_long"]);
        assert_eq!(rejected(&out), wrong);
        let table = &expected(sample)["tables"]["customers"];
        assert_eq!(out.rows, table["records"].as_u64().unwrap());
        assert_eq!(out.records.len() + out.rejects.len(), out.rows as usize);
        let keys: BTreeSet<&str> = out.records.iter().map(|record| out.key_of(record)).collect();
        assert_eq!(keys.len() as u64, table["accept"].as_u64().unwrap());
    }
}

#[test]
fn customers_of_every_header_are_taken() {
    let headers: [&[&str]; 3] = [
        &["id", "Description", "Email", "Name", "Created (UTC)", "Delinquent", "Plan", "Status", "tag (metadata)"],
        &["id", "Description", "Email", "Name", "Created (UTC)", "Card ID", "Total Spend"],
        &["id", "Email", "Name", "Created (UTC)"],
    ];
    for header in headers {
        let mut row = vec![""; header.len()];
        row[0] = "cus_1";
        row[header.iter().position(|name| *name == "Created (UTC)").unwrap()] = "2024-01-01 10:00";
        let plan = compile(&shipped("stripe/customers.toml"), &columns(header), &clock()).unwrap();
        let mut out = RecordBatch::default();
        Mapper::new(Arc::new(plan), spill()).apply(&batch(header, 1, &[&row]), &mut out).unwrap();
        assert_eq!(out.records.len(), 1, "{:?}", rejects(&out));
    }
}

#[test]
fn subscriptions_of_the_samples_are_rejected_where_they_are_known_to_be_wrong() {
    for sample in SAMPLES {
        let out = map_csv("stripe/subscriptions.toml", &format!("tests/data/{sample}/subscriptions.csv"), spill());
        let kinds = [
            "unknown_plan",
            "plan_empty",
            "quantity_negative",
            "quantity_text",
            "bad_date",
            "bad_status",
            "period_reversed",
        ];
        let defects = defects(sample, "subscriptions");
        assert_eq!(rejected(&out), of_kinds(&defects, &kinds));
        // What is left is what others find: customers that don't exist, and keys that come twice.
        let later = of_kinds(&defects, &["unknown_customer", "dup_id"]).len() as u64;
        let accept = expected(sample)["tables"]["subscriptions"]["accept"].as_u64().unwrap();
        assert_eq!(out.records.len() as u64, accept + later);
    }
}

#[test]
fn subscriptions_without_access_have_an_end() {
    let out = map_csv("stripe/subscriptions.toml", "tests/data/stripe-sample/subscriptions.csv", spill());
    for record in records(&out) {
        let status = record["additionalMetaData"]["stripeStatus"].as_str().unwrap();
        let ends = record.get("endDate").is_some();
        match status {
            "canceled" | "unpaid" | "incomplete" | "incomplete_expired" | "paused" => assert!(ends, "{record}"),
            "trialing" | "past_due" => assert!(!ends, "{record}"),
            _ => {}
        }
    }
}

#[test]
fn subscriptions_of_the_sure_header_are_taken() {
    let header = [
        "id",
        "Customer ID",
        "Customer Description",
        "Customer Email",
        "Plan",
        "Quantity",
        "Currency",
        "Interval",
        "Amount",
        "Status",
        "Created (UTC)",
        "Start Date (UTC)",
        "Current Period Start (UTC)",
        "Current Period End (UTC)",
        "Customer Name",
    ];
    compile(&shipped("stripe/subscriptions.toml"), &columns(&header), &clock()).unwrap();
}

#[test]
fn usage_of_the_samples_adds_up_to_the_expected_sums() {
    let tiny = SpillSettings { dir: std::env::temp_dir(), memory_bytes_max: 20_000 };
    for (sample, spill) in SAMPLES.into_iter().flat_map(|sample| [(sample, spill()), (sample, tiny.clone())]) {
        let out = map_csv("stripe/usage.toml", &format!("tests/data/{sample}/usage.csv"), spill);
        let defects = defects(sample, "usage");
        let mut wrong = of_kinds(&defects, &["value_negative", "value_text", "value_empty", "value_too_big"]);
        wrong.extend(of_kinds(&defects, &["unknown_event", "bad_timestamp"]));
        let (totals, rows): (Vec<_>, Vec<_>) =
            out.rejects.iter().partition(|reject| reject.reason.starts_with("the total of"));
        let rejected: BTreeSet<u64> = rows.iter().map(|reject| reject.place.record).collect();
        assert_eq!(rejected, wrong, "{sample}");
        assert_eq!(rows.len(), wrong.len());
        assert_eq!(out.unchanged as usize, defects["dup_identifier"].len());

        // Every row counts once: in a record, in a rejected total, as a reject or as unchanged.
        let mut sums: BTreeMap<String, i128> = BTreeMap::new();
        let mut counted = 0;
        let unknown = unknown_customers(sample, &defects);
        for (record, json) in out.records.iter().zip(records(&out)) {
            counted += out.origin_of(record).row_count();
            if !unknown.contains(json["customerId"].as_str().unwrap()) {
                let value: i128 = json["value"].to_string().parse().unwrap();
                *sums.entry(json["featureId"].as_str().unwrap().to_owned()).or_default() += value;
            }
        }
        for reject in &totals {
            assert_eq!(reject.field.as_deref(), Some("value"));
            counted += reject.reason.split(' ').nth(3).unwrap().parse::<u64>().unwrap();
        }
        assert_eq!(counted + out.unchanged + rows.len() as u64, out.rows);

        let expected = expected(sample);
        for (event, sum) in expected["accepted_usage_sum_by_event"].as_object().unwrap() {
            let feature = format!("feature-{}", event.replace('_', "-"));
            let over: i128 = totals
                .iter()
                .filter(|reject| total_is_of(&out, sample, reject, event))
                .map(|reject| reject.value.as_ref().unwrap().parse::<i128>().unwrap())
                .sum();
            assert_eq!(sums[&feature] + over, sum.to_string().parse().unwrap(), "{sample} {event}");
        }
        assert_eq!(totals.len(), if sample == "stripe-sample" { 6 } else { 0 });
        assert!(out.records.is_sorted_by_key(|record| out.key_of(record)));
    }
}

fn unknown_customers(sample: &str, defects: &BTreeMap<String, BTreeSet<u64>>) -> BTreeSet<String> {
    cells(sample, &of_kinds(defects, &["unknown_customer"]), 3)
}

fn total_is_of(_: &RecordBatch, sample: &str, reject: &crate::record::Reject, event: &str) -> bool {
    cells(sample, &BTreeSet::from([reject.place.record]), 2).contains(event)
}

fn cells(sample: &str, of_records: &BTreeSet<u64>, column: usize) -> BTreeSet<String> {
    read(&format!("tests/data/{sample}/usage.csv"), usize::MAX)[0]
        .rows()
        .filter(|row| of_records.contains(&row.record()))
        .map(|row| row.cell(column).unwrap().to_owned())
        .collect()
}
