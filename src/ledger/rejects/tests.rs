use proptest::prelude::*;

use super::*;
use crate::entity::Entity;
use crate::ledger::WriteFailure;
use crate::record::{BadRow, Origin, Reject, RowBatch};

fn rows(cells: &[[&str; 3]]) -> Arc<RowBatch> {
    let columns: Vec<Box<str>> = ["id", "Plan", "=sum"].map(Box::from).into();
    let mut rows = RowBatch::new("customers.csv".into(), columns.into());
    for (record, row) in (1..).zip(cells) {
        rows.push(record, record + 1, row.iter().map(|cell| Some(*cell)));
    }
    Arc::new(rows)
}

fn writer(ledger: &Path) -> Writer {
    Writer::new(ledger, RunId(7), "customers/eu", Schema::Import(Entity::Customer), "customers.toml")
}

fn entries(path: &Path) -> Vec<Entry> {
    Reader::open(path).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A file of three entries: a reject, a ragged row, and a refused total.
fn written(ledger: &Path) -> PathBuf {
    let rows = rows(&[["ada", "pro", "=1+1"], ["bob", "", "'x"]]);
    let mut writer = writer(ledger);
    writer.rejected(&Reject::of_row(rows.row(0), Some("planId"), Some("pro"), "`pro` is no plan of 12")).unwrap();
    let place = Place { source: "customers.csv".into(), record: 3, line: 4 };
    let cells = ["eve", "pro", "", "too", "many"].map(String::from).to_vec();
    let bad = BadRow { place: place.clone(), reason: "has 5 cells, the header has 3".to_owned(), cells };
    writer.rejected(&Reject::of_bad(&bad, rows.columns())).unwrap();
    let total = Origin::total(place, 9, vec![3]);
    writer.failed(&total, "fay", "CustomerNotFound", "no customer fay", b"{\"value\":1.50}").unwrap();
    writer.failed(&Origin::Row { rows, index: 1 }, "bob", "PlanNotFound", "no plan", b"{}").unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.entries(), 4);
    writer.path().unwrap().to_owned()
}

#[test]
fn a_run_without_rejects_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.db");
    let mut writer = writer(&ledger);
    writer.flush().unwrap();
    assert_eq!(writer.path(), None);
    drop(writer);
    assert!(!super::folder(&ledger).exists());
    assert!(files(&ledger, None).unwrap().is_empty());
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.db");
    let path = written(&ledger);
    assert_eq!(path, folder.path().join("rejects/7-customers_eu.jsonl"));
    assert_eq!(files(&ledger, Some(RunId(7))).unwrap(), std::slice::from_ref(&path));
    assert!(files(&ledger, Some(RunId(8))).unwrap().is_empty());

    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.header().run, reader.header().step.as_str()), (RunId(7), "customers/eu"));
    let entries = entries(&path);
    assert_eq!(entries[0].rows, [["ada", "pro", "=1+1"].map(|cell| Some(cell.to_owned())).to_vec()]);
    assert_eq!(entries[0].place.to_string(), "customers.csv:2, record 1");
    assert_eq!(entries[1].rows[0].len(), 5);
    let Why::Failed { key, json, .. } = &entries[2].why else { panic!("{:?}", entries[2]) };
    assert_eq!((key.as_str(), json.as_deref()), ("fay", Some("{\"value\":1.50}")));
    assert_eq!((entries[2].row_count, entries[2].rows.len()), (9, 0));
    assert_eq!(&*entries[3].columns, &*entries[0].columns);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }
}

#[test]
fn a_file_of_another_ledger_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.db");
    let first = written(&ledger);
    let second = written(&ledger);
    assert_eq!(second.file_name().unwrap(), "7-customers_eu.2.jsonl");
    assert_eq!(entries(&first), entries(&second));
    assert_eq!(files(&ledger, None).unwrap().len(), 2);
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder.path().join("ledger.db"));
    let (whole, text) = (entries(&path), std::fs::read(&path).unwrap());
    for len in 0..text.len() {
        std::fs::write(&path, &text[..len]).unwrap();
        let lines = text[..len].iter().filter(|byte| **byte == b'\n').count();
        match Reader::open(&path) {
            Err(RejectsError::Empty { .. }) => assert_eq!(lines, 0),
            Err(error) => panic!("{error}"),
            Ok(mut reader) => {
                let found: Vec<Entry> = (&mut reader).map(Result::unwrap).collect();
                assert_eq!(found, whole[..lines - 1]);
                assert_eq!(reader.is_torn(), text[len - 1] != b'\n');
            }
        }
    }
}

#[test]
fn a_damaged_line_is_named_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder.path().join("ledger.db"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = "{\"kind\":\"rejected\",\"source\":\"a\",\"record\":\"ada@example.com\"}";
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();

    let read: Vec<_> = Reader::open(&path).unwrap().collect();
    assert_eq!(read.iter().filter(|entry| entry.is_ok()).count(), 3);
    let error = read[1].as_ref().unwrap_err();
    assert!(matches!(error, RejectsError::Damaged { line: 3, .. }), "{error}");
    assert!(!error.to_string().contains("ada@"), "{error}");
    assert_eq!(list(&path).unwrap().lines_damaged, 1);
    assert_eq!(export(&path, Vec::new()).unwrap().lines_damaged, 1);

    std::fs::write(&path, "{\"version\":2,\"new\":true}\n").unwrap();
    assert!(matches!(Reader::open(&path), Err(RejectsError::Newer { found: 2, known: 1, .. })));
    std::fs::write(&path, "id,Plan\n1,pro\n").unwrap();
    assert!(matches!(Reader::open(&path), Err(RejectsError::Damaged { line: 1, .. })));
}

#[test]
fn an_export_has_the_rows_with_place_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder.path().join("ledger.db"));
    let mut csv = Vec::new();
    let exported = export(&path, &mut csv).unwrap();
    assert_eq!((exported.rows, exported.entries, exported.entries_without_rows), (3, 3, 1));
    insta::assert_snapshot!(String::from_utf8(csv).unwrap(), @r#"
    id,Plan,'=sum,_source,_record,_line,_field,_found,_reason,_extra
    ada,pro,'=1+1,customers.csv,1,2,planId,pro,`pro` is no plan of 12,
    eve,pro,,customers.csv,3,4,,,"has 5 cells, the header has 3","too,many"
    bob,,'x,customers.csv,2,3,,bob,PlanNotFound: no plan,
    "#);
}

#[test]
fn rejects_are_grouped_by_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(&[["a", "x1", ""], ["b", "x2", ""], ["c", "x3", ""], ["d", "x4", ""], ["e", "", ""]]);
    let mut writer = writer(&folder.path().join("ledger.db"));
    for (row, plan) in rows.rows().zip(["x1", "x2", "x3", "x4"]) {
        writer
            .rejected(&Reject::of_row(row, Some("planId"), Some(plan), format!("`{plan}` is not in `plans`")))
            .unwrap();
    }
    writer.failed(&Origin::Row { rows, index: 4 }, "e", "PlanNotFound", "no plan e", b"{}").unwrap();
    writer.flush().unwrap();

    let listing = list(writer.path().unwrap()).unwrap();
    assert_eq!(listing.groups.len(), 2);
    assert_eq!((listing.groups[0].reason.as_str(), listing.groups[0].count), ("`…` is not in `…`", 4));
    assert_eq!(listing.groups[0].samples.len(), 3);
    assert_eq!(listing.groups[0].samples[1].value.as_deref(), Some("x2"));
    assert_eq!((listing.groups[1].reason.as_str(), listing.groups[1].failed), ("PlanNotFound", true));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_what_was_collected_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.db");
    // Given: a file on a full device in place of the rejects file.
    let mut writer = writer(&ledger);
    let rows = rows(&[["ada", "pro", ""]]);
    writer.rejected(&Reject::of_row(rows.row(0), None, None, "no")).unwrap();
    let real = writer.put_file(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());

    // When
    let error = writer.flush().unwrap_err();

    // Then
    assert!(matches!(error, RejectsError::CannotWrite { failure: WriteFailure::Full, .. }), "{error}");
    writer.put_file(real);
    writer.flush().unwrap();
    assert_eq!(entries(writer.path().unwrap()).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_neutralised_cell_is_restored_and_runs_nothing(cell in "['=+@\t\r\n＝a-]{0,4}.{0,3}") {
        let safe = neutralise(&cell);
        prop_assert_eq!(&*restore(&safe), &*cell);
        prop_assert!(!safe.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝']));
    }

    #[test]
    fn an_export_that_is_read_and_restored_is_the_rows(cells in prop::collection::vec(["['=,\"\n-]?.{0,3}", "['=\r]{0,2}.{0,3}", ".{0,3}"], 1..5)) {
        let folder = tempfile::tempdir().unwrap();
        let cells: Vec<[&str; 3]> = cells.iter().map(|[a, b, c]| [&**a, &**b, &**c]).collect();
        let rows = rows(&cells);
        let mut writer = writer(&folder.path().join("ledger.db"));
        rows.rows().for_each(|row| writer.rejected(&Reject::of_row(row, None, None, "no")).unwrap());
        writer.flush().unwrap();
        let mut exported = Vec::new();
        export(writer.path().unwrap(), &mut exported).unwrap();

        let mut csv = csv::Reader::from_reader(&*exported);
        let header = csv.headers().unwrap().clone();
        let own: Vec<usize> = (0..header.len()).filter(|at| !is_our_column(&header[*at])).collect();
        prop_assert_eq!(own.iter().map(|at| restore(&header[*at])).collect::<Vec<_>>(), ["id", "Plan", "=sum"]);
        let read: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), cells.len());
        for (record, cells) in read.iter().zip(&cells) {
            prop_assert_eq!(own.iter().map(|at| restore(&record[*at])).collect::<Vec<_>>(), cells);
        }
    }
}
