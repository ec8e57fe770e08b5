//! What a row costs in the mapping. `cargo bench --bench mapping`.

use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use stigg_import::clock::SystemClock;
use stigg_import::mapping::{Mapper, SpillSettings, compile, parse};
use stigg_import::record::{RecordBatch, RowBatch};

const ROWS: usize = 1000;

fn main() {
    divan::main();
}

const PLAIN: &str = r#"
entity = "customer"
[fields]
customerId = "id"
email = "email"
name = "name"
billingId = "billing"
paymentMethodId = "card"
salesforceId = "salesforce"
"#;

const EXPRESSION: &str = r#"
entity = "customer"
[fields]
customerId = "id"
email = "email"
name = "name"
billingId = "billing"
paymentMethodId = "card"
salesforceId = { expr = 'salesforce if salesforce[:2] == "sf" else ""' }
"#;

const TIMES: &str = r#"
entity = "subscription"
[fields]
subscriptionId = "id"
customerId = "billing"
planId = { column = "name", lookup = "plans" }
startDate = { column = "at", time = "%Y-%m-%d %H:%M", zone = "UTC" }
endDate = { column = "at", time = "%Y-%m-%d %H:%M", zone = "Europe/Berlin" }
unitQuantity = { column = "count", whole = true, default = 1 }
[lookups.plans]
"Ada Lovelace" = "plan-ada"
"#;

const USAGE: &str = r#"
entity = "usage"
[fields]
customerId = "billing"
featureId = "card"
resourceId = "salesforce"
value = "count"
createdAt = "iso"
"#;

const TOTALS: &str = r#"
entity = "usage"
aggregate = "sum"
[fields]
customerId = "billing"
featureId = "card"
value = "count"
"#;

const DISTINCT: &str = r#"
entity = "usage"
aggregate = { how = "sum", distinct = "id" }
[fields]
customerId = "billing"
featureId = "card"
value = "count"
[checks]
at = { column = "at", time = "%Y-%m-%d %H:%M", zone = "UTC" }
"#;

fn rows(first: usize, count: usize) -> Arc<RowBatch> {
    let columns: Arc<[Box<str>]> =
        ["id", "email", "name", "billing", "card", "salesforce", "at", "count", "iso"].map(Box::from).into();
    let mut rows = RowBatch::new("bench.csv".into(), columns);
    for n in first..first + count {
        let (id, email) = (format!("cus_{n:014}"), format!("ada.{n}@example.com"));
        let (billing, card) = (format!("cus_{:014}", n % 50_000), format!("pm_{:024}", n % 3));
        let cells = [
            &*id,
            &email,
            "Ada Lovelace",
            &billing,
            &card,
            "sf_0000001",
            "2022-11-21 21:53",
            "37",
            "2022-11-21T21:53:00Z",
        ];
        rows.push(n as u64 + 1, n as u64 + 2, cells.map(Some));
    }
    Arc::new(rows)
}

fn mapper(name: &str, rows: &RowBatch) -> Mapper {
    let text = match name {
        "six_plain" => PLAIN,
        "one_expression" => EXPRESSION,
        "times_and_lookup" => TIMES,
        "usage" => USAGE,
        "sum" => TOTALS,
        _ => DISTINCT,
    };
    let file = parse("bench.toml", text, Path::new("")).expect("the mapping holds");
    let plan = compile(&file, rows.columns(), &SystemClock).expect("the columns exist");
    Mapper::new(Arc::new(plan), SpillSettings::in_dir(&std::env::temp_dir()))
}

#[divan::bench(args = ["six_plain", "one_expression", "times_and_lookup", "usage"])]
fn row(bencher: Bencher, name: &str) {
    let rows = rows(0, ROWS);
    let mut mapper = mapper(name, &rows);
    let mut out = RecordBatch::default();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        out.clear();
        mapper.apply(&rows, &mut out).expect("nothing is spilled");
        assert_eq!(out.records.len(), ROWS);
    });
}

/// A million events of 150,000 totals that come round and round: the worst case, all goes to disk.
#[divan::bench(args = ["sum", "sum_of_distinct"], sample_count = 3, sample_size = 1)]
fn million_events(bencher: Bencher, name: &str) {
    let batches: Vec<Arc<RowBatch>> = (0..1000).map(|batch| rows(batch * ROWS, ROWS)).collect();
    bencher.counter(ItemsCount::new(1000 * ROWS)).bench_local(|| {
        let mut mapper = mapper(name, &batches[0]);
        let mut out = RecordBatch::default();
        for rows in &batches {
            mapper.apply(rows, &mut out).expect("the disk holds");
        }
        let mut records = 0;
        while mapper.finish(&mut out).expect("the disk holds") {
            records += out.records.len();
            out.clear();
        }
        assert!(records > 0);
    });
}
