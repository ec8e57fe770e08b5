//! Totals: exact, the same for every budget, and honest about what repeats.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const COLUMNS: [&str; 5] = ["id", "customer", "feature", "value", "at"];

fn text(how: &str, distinct: bool) -> String {
    let distinct = if distinct { ", distinct = \"id\"" } else { "" };
    let order = if how == "last" { ", order = { column = \"at\", time = \"unix\" }" } else { "" };
    let value = if how == "count" { "" } else { "value = \"value\"" };
    format!(
        "entity = \"usage\"\naggregate = {{ how = \"{how}\"{distinct}{order} }}\n[fields]\n\
         customerId = \"customer\"\nfeatureId = \"feature\"\n{value}\ncreatedAt = {{ column = \"at\", time = \"unix\" }}\n"
    )
}

fn total(text: &str, rows: &[Vec<String>], budget: usize, per_batch: usize) -> RecordBatch {
    let spill = SpillSettings { dir: std::env::temp_dir(), memory_bytes_max: budget };
    let mut mapper = Mapper::new(plan(text, &COLUMNS), spill);
    let mut out = RecordBatch::default();
    for (index, chunk) in rows.chunks(per_batch).enumerate() {
        let rows: Vec<Vec<&str>> = chunk.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        mapper.apply(&batch(&COLUMNS, (index * per_batch + 1) as u64, &rows), &mut out).unwrap();
    }
    finish(&mut mapper, &mut out);
    out
}

/// Everything that a budget must not change.
fn essence(out: &RecordBatch) -> impl PartialEq + std::fmt::Debug {
    let json: Vec<String> =
        out.records.iter().map(|record| String::from_utf8_lossy(out.json_of(record)).into_owned()).collect();
    let origins = out.records.iter().map(|record| match out.origin_of(record) {
        crate::record::Origin::Total(total) => format!("{} {} {:?}", total.first, total.rows, total.records),
        _ => unreachable!("totals have no rows"),
    });
    let mut rejects = rejects(out);
    rejects.sort();
    (json, origins.collect::<Vec<_>>(), rejects, out.unchanged)
}

#[test]
fn events_add_up_exactly() {
    let rows = [
        ["1", "c", "f", "0.1", "1"],
        ["2", "c", "f", "0.2", "3"],
        ["3", "c", "f", "-0.05", "2"],
        ["4", "b", "f", "9007199254740991", "1"],
    ]
    .map(|row| row.map(str::to_owned).to_vec());
    let out = total(&text("sum", true), &rows, 1 << 20, 2);
    assert_eq!(
        String::from_utf8(out.json).unwrap(),
        concat!(
            r#"{"customerId":"b","featureId":"f","value":9007199254740991,"updateBehavior":"SET","createdAt":"1970-01-01T00:00:01.000Z"},"#,
            r#"{"customerId":"c","featureId":"f","value":0.25,"updateBehavior":"SET","createdAt":"1970-01-01T00:00:03.000Z"},"#,
        )
    );
}

#[test]
fn a_total_beyond_the_range_is_a_reject_that_names_its_rows() {
    let rows: Vec<Vec<String>> = (0..10)
        .map(|n| [n.to_string(), "c".into(), "f".into(), "9007199254740991".into(), "1".into()].to_vec())
        .collect();
    let out = total(&text("sum", false), &rows, 1 << 20, 4);
    assert_eq!(out.records.len(), 0);
    assert_eq!(
        rejects(&out),
        [(
            1,
            "value".to_owned(),
            "the total of 10 rows is above 9007199254740991; it is of records 1, 2, 3, 4, 5, 6, 7, 8, …".to_owned()
        )]
    );
    assert_eq!(out.rejects[0].value.as_deref(), Some("90071992547409910"));
}

#[test]
fn a_repeat_is_unchanged_and_a_contradiction_is_a_reject_that_names_both_places() {
    let rows =
        [["1", "c", "f", "5", "1"], ["1", "c", "f", "5", "1"], ["1", "c", "f", "6", "1"], ["", "c", "f", "1", "1"]]
            .map(|row| row.map(str::to_owned).to_vec());
    for budget in [1 << 20, 0] {
        let out = total(&text("sum", true), &rows, budget, 1);
        assert_eq!(records(&out)[0]["value"], 5);
        assert_eq!(out.unchanged, 1);
        let mut found = rejects(&out);
        found.sort();
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0],
            (
                3,
                "id".to_owned(),
                "is the identifier of another event too, with other content: test.csv:2, record 1".to_owned()
            )
        );
        assert_eq!((found[1].0, &*found[1].1), (4, "id"));
    }
}

#[test]
fn totals_go_on_over_sources_with_other_columns() {
    let mapping = file(&text("sum", true));
    let other = ["value", "at", "customer", "id", "feature", "more"];
    let mut out = RecordBatch::default();
    let mut mapper = Mapper::new(plan(&text("sum", true), &COLUMNS), spill());
    mapper.apply(&batch(&COLUMNS, 1, &[&["1", "c", "f", "5", "1"]]), &mut out).unwrap();
    mapper.change_plan(Arc::new(compile(&mapping, &columns(&other), &clock()).unwrap()), &mut out);
    let rows: [&[&str]; 2] = [&["5", "1", "c", "1", "f", "m"], &["7", "1", "c", "2", "f", "m"]];
    mapper.apply(&batch(&other, 1, &rows), &mut out).unwrap();
    finish(&mut mapper, &mut out);
    assert_eq!((records(&out)[0]["value"].as_u64(), out.unchanged), (Some(12), 1));
}

fn events() -> impl Strategy<Value = Vec<Vec<String>>> {
    let event = (0u32..30, 0u32..4, 0u32..3, -50i32..50, 0u32..3, 0u32..5).prop_map(
        |(id, customer, feature, value, scale, at)| {
            let value = rust_decimal::Decimal::new(value.into(), scale).to_string();
            vec![id.to_string(), format!("c{customer}"), format!("f{feature}"), value, at.to_string()]
        },
    );
    proptest::collection::vec(event, 0..60)
}

/// The simple way to do it: all in memory, in the order of the rows.
fn model(
    how: &str,
    distinct: bool,
    rows: &[Vec<String>],
) -> (BTreeMap<(String, String), rust_decimal::Decimal>, u64, Vec<u64>) {
    let mut seen: BTreeMap<&str, &[String]> = BTreeMap::new();
    let mut totals: BTreeMap<(String, String), (rust_decimal::Decimal, (u64, usize))> = BTreeMap::new();
    let (mut unchanged, mut conflicts) = (0, Vec::new());
    for (index, row) in rows.iter().enumerate() {
        if distinct {
            // `count` doesn't read the value, so it doesn't tell events apart.
            let same = |a: &[String], b: &[String]| (0..5).all(|at| a[at] == b[at] || (at == 3 && how == "count"));
            match seen.get(&*row[0]) {
                Some(first) if same(first, row) => unchanged += 1,
                Some(_) => conflicts.push(index as u64 + 1),
                None => {
                    seen.insert(&row[0], row);
                }
            }
            if !std::ptr::eq(seen[&*row[0]], row.as_slice()) {
                continue;
            }
        }
        let value: rust_decimal::Decimal = if how == "count" { 1.into() } else { row[3].parse().unwrap() };
        let order = (row[4].parse().unwrap(), index);
        totals
            .entry((row[1].clone(), row[2].clone()))
            .and_modify(|(total, last)| match how {
                "sum" | "count" => *total += value,
                "max" => *total = (*total).max(value),
                _ if order > *last => (*total, *last) = (value, order),
                _ => {}
            })
            .or_insert((value, order));
    }
    (totals.into_iter().map(|(key, (total, _))| (key, total)).collect(), unchanged, conflicts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn totals_are_those_of_the_simple_way_whatever_the_budget(
        rows in events(), how in prop::sample::select(vec!["sum", "last", "max", "count"]), distinct in any::<bool>(),
        budget in 0usize..6000, per_batch in 1usize..20,
    ) {
        let text = text(how, distinct);
        let small = total(&text, &rows, budget, per_batch);
        let large = total(&text, &rows, 1 << 24, 1000);
        prop_assert_eq!(essence(&small), essence(&large));

        let (totals, unchanged, conflicts) = model(how, distinct, &rows);
        let found: BTreeMap<(String, String), rust_decimal::Decimal> = records(&small)
            .iter()
            .map(|record| {
                let text = |name: &str| record[name].as_str().unwrap().to_owned();
                ((text("customerId"), text("featureId")), record["value"].to_string().parse().unwrap())
            })
            .collect();
        prop_assert_eq!(found, totals);
        prop_assert_eq!(small.unchanged, unchanged);
        let mut rejected: Vec<u64> = small.rejects.iter().map(|reject| reject.place.record).collect();
        rejected.sort();
        prop_assert_eq!(rejected, conflicts);
    }
}
