//! Files, patterns, compression, encodings.

use std::io::Write;

use super::*;
use crate::source::{Compression, CsvOptions, EncodingFrom, open_csv};

const LINES: &str = "{\"a\":\"é1\"}\n{\"a\":\"2\"}\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn compression_is_told_by_content() {
    let zstd = ::zstd::encode_all(LINES.as_bytes(), 1).expect("memory");
    for (bytes, compression) in [(gzip(LINES.as_bytes()), Compression::Gzip), (zstd, Compression::Zstd)] {
        let outcome = read(bytes, &["a"]);
        assert_eq!((outcome.joined(), outcome.error()), (vec!["é1".into(), "2".into()], String::new()));
        assert_eq!(outcome.described[0].compression, compression);
    }
}

#[test]
fn compressed_data_that_is_cut_off_keeps_what_was_read() {
    let text: String = (0..50_000).map(|n| format!("{{\"a\":{}}}\n", n * 7919 % 100_003)).collect();
    let bytes = gzip(text.as_bytes());
    let outcome = read(&bytes[..bytes.len() / 2], &["a"]);
    assert!(outcome.error().contains("the gzip data is damaged or cut off"), "{}", outcome.error());
    assert!(outcome.rows.len() > 10_000);
    assert!(outcome.rows.iter().zip(1..).all(|(row, number)| row.0 == number));
}

#[test]
fn marks_and_encodings_are_understood() {
    let utf16 = |text: &str, little: bool| -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    };
    for (bytes, encoding, from) in [
        ([b"\xef\xbb\xbf", LINES.as_bytes()].concat(), "UTF-8", EncodingFrom::ByteOrderMark),
        ([b"\xff\xfe", &*utf16(LINES, true)].concat(), "UTF-16LE", EncodingFrom::ByteOrderMark),
        ([b"\xfe\xff", &*utf16(LINES, false)].concat(), "UTF-16BE", EncodingFrom::ByteOrderMark),
        (utf16(LINES, true), "UTF-16LE", EncodingFrom::Detected),
    ] {
        let outcome = read(bytes, &["a"]);
        assert_eq!((outcome.joined(), outcome.error()), (vec!["é1".into(), "2".into()], String::new()));
        assert_eq!((outcome.described[0].encoding, outcome.described[0].encoding_from), (encoding, from));
    }
    let options = JsonOptions { encoding: Some("windows-1252".into()), ..JsonOptions::default() };
    assert_eq!(read_with(b"{\"a\":\"\xe9\"}", &options, &["a"]).joined(), ["é"]);
    let options = JsonOptions { encoding: Some("utf-16le".into()), ..JsonOptions::default() };
    let mut bytes = utf16("{\"a\":\"xy\"}\n{\"a\":2}\n", true);
    bytes[14..16].copy_from_slice(&0xd800_u16.to_le_bytes());
    let outcome = read_with(&bytes, &options, &["a"]);
    assert_eq!(outcome.reasons(), [(1, 1, "the record is not valid UTF-16LE after its first 7 characters")]);
}

#[test]
fn several_files_of_any_form_are_read_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("written");
    write("1.json", b"[{\"a\":1},\n{\"a\":2}]");
    write("2.jsonl.gz", &gzip(b"{\"a\":3}\n{\"b\":4}\n"));
    write("3.json", b"{\"data\":[{\"a\":5}],\"n\":1}");
    for files in [&["1.json", "2.jsonl.gz", "3.json"][..], &["*.json*"]] {
        let outcome = read_files(folder.path(), files, &JsonOptions::default(), &["a"]);
        assert_eq!((outcome.joined().join(" "), outcome.error()), ("1 2 3 ~ 5".to_owned(), String::new()));
        assert_eq!(outcome.places(), [(1, 1), (2, 2), (1, 1), (2, 2), (1, 1)]);
        assert_eq!(outcome.described.len(), 3);
    }
    assert!(
        read_files(folder.path(), &["none.json"], &JsonOptions::default(), &["a"]).error().contains("no such file")
    );
}

#[test]
fn a_file_that_changed_its_form_before_its_turn_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("1.json"), "{\"a\":1}\n".repeat(20_000)).expect("written");
    std::fs::write(path("2.json"), "{\"data\":[{\"a\":1}]}").expect("written");
    let inputs = [Input::Path(path("1.json")), Input::Path(path("2.json"))];
    let options = JsonOptions { batch_rows: 10, ..JsonOptions::default() };
    let outcome = block_on(async {
        let rows = open_json(&inputs, &options, &names(&["a"])).await;
        // The reading thread is at most a few batches ahead: still in the first file.
        std::fs::write(path("2.json"), "[{\"a\":1}]").expect("written");
        collect(rows).await
    });
    assert_eq!(outcome.rows.len(), 20_000);
    assert!(
        outcome.error().contains("2.json, record 0: can't be opened any more: can't be read as JSON"),
        "{}",
        outcome.error()
    );
}

#[test]
fn progress_is_told_and_ends_at_the_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.json");
    let text = format!("{{\"data\":[{}]}}", vec!["{\"a\":1}"; 50_000].join(","));
    std::fs::write(&path, &text).expect("written");
    block_on(async {
        let mut rows =
            open_json(&[Input::Path(path)], &JsonOptions::default(), &names(&["a"])).await.expect("it opens");
        assert_eq!(rows.bytes_total(), Some(text.len() as u64));
        while rows.next().await.expect("it reads").is_some() {}
        assert_eq!(rows.bytes_read(), text.len() as u64);
    });
}

/// The samples hold the same records in every format.
#[test]
fn json_and_lines_give_the_same_cells_as_csv() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stripe-small");
    for (table, records) in [("customers", 63), ("subscriptions", 56), ("usage", 251)] {
        let input = Input::Path(folder.join(format!("{table}.csv")));
        let (columns, csv) = block_on(async {
            let rows = open_csv(&[input], &CsvOptions::default()).await;
            let columns: Vec<String> =
                rows.as_ref().expect("it opens").columns().iter().map(|name| name.to_string()).collect();
            (columns, collect(rows).await)
        });
        let cells = |outcome: &Outcome| outcome.rows.iter().map(|row| row.2.clone()).collect::<Vec<_>>();
        assert_eq!((csv.rows.len(), csv.error()), (records, String::new()));
        let wanted: Vec<&str> = columns.iter().map(String::as_str).collect();
        for (ending, form) in [("json", JsonForm::Array), ("jsonl", JsonForm::Lines)] {
            let file = format!("{table}.{ending}");
            let json = read_files(&folder, &[&file], &JsonOptions::default(), &wanted);
            assert_eq!((json.error(), json.bad.len(), json.written()), (String::new(), 0, (form, None)));
            assert!(cells(&json) == cells(&csv), "{file}");
        }
    }
}
