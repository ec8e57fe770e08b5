//! Several rows, one record.

use crate::record::{BadRow, Place};

use super::*;

const TEXT: &str = r#"
    entity = "subscription"
    where = 'addon != "skip"'
    group = "id"
    [fields]
    subscriptionId = "id"
    customerId = "c"
    planId = "p"
    [[fields.addons]]
    addonId = "addon"
    quantity = "q"
    when = 'addon != ""'
"#;
const COLUMNS: [&str; 5] = ["id", "c", "p", "addon", "q"];

fn addons(record: &Value) -> Vec<(&str, u64)> {
    let addons = record["addons"].as_array().map(Vec::as_slice).unwrap_or_default();
    addons.iter().map(|addon| (addon["addonId"].as_str().unwrap(), addon["quantity"].as_u64().unwrap())).collect()
}

#[test]
fn entries_come_from_each_row_and_groups_span_batches() {
    let mut mapper = Mapper::new(plan(TEXT, &COLUMNS), spill());
    let mut out = RecordBatch::default();
    mapper.apply(&batch(&COLUMNS, 1, &[&["s1", "c", "p", "a", "1"], &["s1", "c", "p", "b", "2"]]), &mut out).unwrap();
    let second: [&[&str]; 4] = [
        &["s1", "c", "p", "c", "3"],
        &["s1", "c", "p", "skip", ""],
        &["s2", "c", "p", "", ""],
        &["s3", "c", "p", "a", "9"],
    ];
    mapper.apply(&batch(&COLUMNS, 3, &second), &mut out).unwrap();
    assert_eq!(out.records.len(), 2, "the last group is still open");
    finish(&mut mapper, &mut out);

    let found = records(&out);
    assert_eq!(addons(&found[0]), [("a", 1), ("b", 2), ("c", 3)]);
    assert_eq!(addons(&found[1]), []);
    assert_eq!(addons(&found[2]), [("a", 9)]);
    let rows: Vec<u64> = out.records.iter().map(|record| out.origin_of(record).row_count()).collect();
    assert_eq!(rows, [3, 1, 1]);
    assert_eq!((out.rows, out.filtered, out.rejects.len()), (6, 1, 0));
}

#[test]
fn rows_that_disagree_make_one_reject_with_all_of_them() {
    let out = map(
        TEXT,
        &COLUMNS,
        &[&["s1", "c", "p", "a", "1"], &["s1", "c", "other", "b", "2"], &["s2", "c", "p", "a", "1"]],
    );
    assert_eq!(out.records.len(), 1);
    assert_eq!(
        rejects(&out),
        [(1, "planId".to_owned(), "differs within the group: record 1 says \"p\", record 2 says \"other\"".to_owned())]
    );
    assert_eq!(out.rejects[0].rows.len(), 2);
}

#[test]
fn one_bad_row_rejects_its_group() {
    let out =
        map(TEXT, &COLUMNS, &[&["s1", "c", "p", "a", "1"], &["s1", "c", "p", "b", "lots"], &["", "c", "p", "b", "1"]]);
    assert_eq!(out.records.len(), 0);
    let fields: Vec<_> = rejects(&out).into_iter().map(|(record, field, _)| (record, field)).collect();
    assert_eq!(fields, [(1, "addons.quantity".to_owned()), (3, "id".to_owned())]);
}

#[test]
fn a_group_that_may_lack_an_unreadable_row_is_no_record() {
    // Given: the row between the groups can't be read; its first cell says whose it is.
    for (cell, kept) in [("s1", vec!["s2"]), ("s2", vec!["s1"]), ("s9", vec!["s1", "s2"]), ("", vec!["s1", "s2"])] {
        let mut rows = RowBatch::new("test.csv".into(), columns(&COLUMNS));
        rows.push(1, 2, ["s1", "c", "p", "a", "1"].map(Some));
        rows.push(3, 4, ["s2", "c", "p", "a", "1"].map(Some));
        let place = Place { source: "test.csv".into(), record: 2, line: 3 };
        rows.push_bad(BadRow { place, reason: "has 1 cell instead of 5".into(), cells: vec![cell.to_owned()] });
        let mut out = RecordBatch::default();
        let mut mapper = Mapper::new(plan(TEXT, &COLUMNS), spill());
        mapper.apply(&Arc::new(rows), &mut out).unwrap();
        finish(&mut mapper, &mut out);
        let keys: Vec<&str> = out.records.iter().map(|record| out.key_of(record)).collect();
        assert_eq!(keys, kept);
    }
}
