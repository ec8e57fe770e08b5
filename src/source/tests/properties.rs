//! Whatever the text.

use super::*;

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9 ]{0,8}",
        2 => r#"[a-zäé€😀'"|;,\t.]{0,6}"#,
        1 => r#"[a-z"]{0,3}(\r\n|\n|\r)[a-z"]{0,3}"#,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_comes_back_as_it_was_written(
        table in (1_usize..6).prop_flat_map(|width| prop::collection::vec(prop::collection::vec(cell(), width), 0..20)),
        delimiter in prop::sample::select(DELIMITERS.to_vec()),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        encoding in 0..5,
        packed in 0..3,
        always in any::<bool>(),
    ) {
        let width = table.first().map_or(3, Vec::len);
        let header: Vec<String> = (0..width).map(|n| format!("column {n}")).collect();
        let mut text = String::new();
        let mut wanted = Vec::new();
        for (record, row) in std::iter::once(&header).chain(&table).enumerate() {
            let style = if always || *row == [""] { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary };
            let mut writer = ::csv::WriterBuilder::new()
                .delimiter(delimiter).quote_style(style).terminator(::csv::Terminator::Any(b'\n')).from_writer(Vec::new());
            writer.write_record(row).expect("memory");
            let line = String::from_utf8(writer.into_inner().expect("memory")).expect("UTF-8");
            if record > 0 {
                wanted.push((record as u64, lines_of(&text) + 1, row.clone()));
            }
            // Line ends that the last cell has stay; that of the record is the chosen one.
            text += line.strip_suffix('\n').expect("a line end");
            text += end;
        }
        let bytes = match encoding {
            0 => text.into_bytes(),
            1 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            2 => utf16(&format!("\u{feff}{text}"), true),
            3 => utf16(&format!("\u{feff}{text}"), false),
            _ => utf16(&text, true),
        };
        let bytes = match packed {
            0 => bytes,
            1 => gzip(&bytes),
            _ => zstd(&bytes),
        };
        let options = CsvOptions {
            delimiter: Some(delimiter),
            quote: Quote::Byte(b'"'),
            encoding: (encoding == 4).then(|| "utf-16le".to_owned()),
            ..CsvOptions::default()
        };
        let outcome = read_with(&bytes, &options);
        prop_assert_eq!(outcome.error(), "");
        prop_assert_eq!(outcome.columns, header);
        prop_assert_eq!(outcome.bad, vec![]);
        prop_assert_eq!(outcome.rows, wanted);
    }

    #[test]
    fn any_bytes_end_as_rows_or_bad_rows_one_for_each_record(
        bytes in prop::collection::vec(prop_oneof![
            6 => prop::sample::select(b"ab,;\"'\n\r\t|".to_vec()),
            1 => any::<u8>(),
        ], 0..400),
        tiny in any::<bool>(),
    ) {
        let options = CsvOptions { encoding: Some("utf-8".into()), ..if tiny { small() } else { CsvOptions::default() } };
        let outcome = read_with([b"a,b\n", bytes.as_slice()].concat(), &options);
        prop_assert_eq!(outcome.error(), "");
        // Each record once, in order, at a line that does not go back.
        let mut places: Vec<(u64, u64)> = outcome.rows.iter().map(|row| (row.0, row.1))
            .chain(outcome.bad.iter().map(|bad| (bad.place.record, bad.place.line))).collect();
        places.sort_unstable();
        prop_assert!(places.iter().enumerate().all(|(index, place)| place.0 == index as u64 + 1));
        prop_assert!(places.windows(2).all(|pair| pair[0].1 < pair[1].1));
        // As many as the csv crate finds, and the good rows are the same.
        let (delimiter, quote) = delimiter_and_quote(&outcome);
        let mut reader = ::csv::ReaderBuilder::new()
            .delimiter(delimiter).quote(quote.expect("a quote")).flexible(true)
            .from_reader(Cursor::new([b"a,b\n", bytes.as_slice()].concat()));
        let records: Vec<::csv::ByteRecord> = reader.byte_records().map(|record| record.expect("memory")).collect();
        prop_assert_eq!(records.len(), places.len());
        for (record, _, cells) in &outcome.rows {
            let theirs: Vec<&[u8]> = records[*record as usize - 1].iter().collect();
            let ours: Vec<&[u8]> = cells.iter().map(String::as_bytes).collect();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn any_file_at_all_neither_panics_nor_hangs(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in 0_usize..4) {
        let magic: &[u8] = [b"".as_slice(), b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xff\xfe"][magic];
        let outcome = read([magic, &bytes].concat());
        if outcome.columns.is_empty() {
            prop_assert!(outcome.error.is_some_and(|error| error.before_reading()));
        }
    }
}
