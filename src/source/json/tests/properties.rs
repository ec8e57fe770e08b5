//! What holds for every text. serde_json is the oracle.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

/// Values whose keys are sometimes wanted.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-z]{0,4}", "[ -~]{0,10}", any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            object_of(inner.boxed()).prop_map(Value::Object),
        ]
    })
}

fn object_of(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof!["[abm]", "a\\.b", "[\"\\\\\\n é]{0,2}"];
    prop::collection::vec((key, inner), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

fn record() -> impl Strategy<Value = Map<String, Value>> {
    object_of(value().boxed())
}

const WANTED: [&str; 7] = ["a", "m.a", "a.b", "b[1]", "m[0].a", "m", "é"];

/// The cell of a column, by another way.
fn cell(record: &Map<String, Value>, name: &str) -> Option<String> {
    let by_path = || {
        let pointer = format!("/{}", name.replace(['.', '['], "/").replace(']', ""));
        let at = Value::Object(record.clone());
        // serde_json takes `/m/0` for the item of an array only, as we do; and `/a` of an object.
        let mut value = &at;
        for step in pointer[1..].split('/') {
            value = match (step.parse::<usize>(), value) {
                (Ok(index), Value::Array(list)) => list.get(index)?,
                (Err(_), Value::Object(map)) => map.get(step)?,
                _ => return None,
            };
        }
        Some(value.clone())
    };
    let is_path = name.contains(['.', '[']);
    let value = record.get(name).cloned().or_else(|| is_path.then(by_path).flatten())?;
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Whether they are the same, or the one is the other with its exponent written out.
fn same(ours: Option<&str>, theirs: Option<&str>) -> bool {
    ours == theirs
        || ours.zip(theirs).is_some_and(|(ours, theirs)| {
            theirs.contains('e') && !ours.contains('e') && ours.parse::<f64>().ok() == theirs.parse::<f64>().ok()
        })
}

/// What makes it hard to tell where a text, a value or the record ends.
const PARTS: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\"a\":",
    "\"m\":",
    "\"b\":[",
    "{\"a\":1}",
    "[{\"a\":1},",
    "1",
    "-0.5e3",
    "0",
    "e",
    "true",
    "null",
    " ",
    "\n",
    "\r\n",
    "\t",
    "é",
    "\\ud800",
    "\\ud83d\\ude00",
    "\\u0041",
    "\\n",
    "\u{1}",
    "x",
    "{\"customers\":[",
    "\"a\":\"",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        12 => prop::sample::select(PARTS.to_vec()).prop_map(|part| part.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

/// Texts with records, some of them damaged in one place.
fn document() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::option::of((any::<prop::sample::Index>(), any::<u8>(), 0_usize..3));
    (prop::collection::vec(value(), 0..6), 0_usize..5, any::<bool>(), damage).prop_map(
        |(values, form, pretty, damage)| {
            let write = |value: &Value| {
                if pretty && form > 0 { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }
                    .expect("it is JSON")
            };
            let records: Vec<String> = values.iter().map(write).collect();
            let mut bytes = match form {
                0 | 1 => records.join("\n"),
                2 => format!("[{}]", records.join(",")),
                3 => format!("{{\"n\":[1],\"customers\":[{}],\"x\":{{\"y\":[{{}}]}}}}", records.join(" ,\n")),
                _ => format!("[\n{}\n]\n", records.join(",\n")),
            }
            .into_bytes();
            if let Some((index, byte, how)) = damage.filter(|_| !bytes.is_empty()) {
                let at = index.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at),
                }
            }
            bytes
        },
    )
}

/// What becomes of `reader`, without what opening reads ahead.
fn records_of(reader: impl Read + Send + 'static, form: JsonForm, options: &JsonOptions) -> String {
    let wanted = names(&["a", "m.a"]);
    let mut window = window::Window::new(Box::new(reader) as Bytes);
    let state = match form {
        JsonForm::Lines => records::State::Lines,
        JsonForm::Values => records::State::Values,
        JsonForm::Array => match open::into_array(&mut window, options.array.as_deref(), false) {
            Ok(levels) => records::State::Array { levels, first: true },
            Err(problem) => return problem.to_string(),
        },
    };
    let element = element::Element::new(wanted::Wanted::new(&wanted, None).expect("paths"));
    let mut table = records::Table { window, element, state, encoding: "UTF-8", each: None };
    let mut filling = Filling::new("-".into(), wanted.iter().map(|name| name.as_str().into()).collect());
    let end = loop {
        match table.next(options, &mut filling) {
            Ok(true) => {}
            Ok(false) => break String::new(),
            Err(Broken { problem, line }) => break format!("{line}: {problem}"),
        }
    };
    let row = |row: crate::record::Row<'_>| format!("{} {:?}", row.place(), row.cells().collect::<Vec<_>>());
    let rows: Vec<String> = filling.batch.rows().map(row).collect();
    format!("{rows:#?} {:#?} {} {end}", filling.batch.bad(), filling.record)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn records_in_every_form_have_the_oracles_cells(
        records in prop::collection::vec(record(), 1..5),
        form in prop::sample::select(vec![JsonForm::Lines, JsonForm::Values, JsonForm::Array]),
        pretty in any::<bool>(),
    ) {
        let write = |record: &Map<String, Value>| match pretty && form != JsonForm::Lines {
            true => serde_json::to_string_pretty(record),
            false => serde_json::to_string(record),
        }.expect("it is JSON");
        let texts: Vec<String> = records.iter().map(write).collect();
        let text = match form {
            JsonForm::Array => format!("[{}]", texts.join(",")),
            _ => texts.join("\n"),
        };
        let outcome = read_with(&text, &super::form(form), &WANTED);
        prop_assert_eq!(outcome.error(), "");
        prop_assert_eq!(outcome.reasons(), vec![]);
        prop_assert_eq!(outcome.rows.len(), records.len());
        for (record, (_, _, cells)) in records.iter().zip(&outcome.rows) {
            for (name, ours) in WANTED.iter().zip(cells) {
                let theirs = cell(record, name);
                prop_assert!(same(ours.as_deref(), theirs.as_deref()), "{}: {:?}, not {:?}", name, ours, theirs);
            }
        }
    }

    #[test]
    fn the_whole_record_is_what_the_oracle_writes(record in record()) {
        let text = serde_json::to_string_pretty(&record).expect("it is JSON");
        let outcome = read_with(text, &form(JsonForm::Values), &[WHOLE_ROW]);
        prop_assert_eq!(outcome.rows[0].2[0].clone(), Some(serde_json::to_string(&record).expect("it is JSON")));
    }

    #[test]
    fn a_line_is_taken_where_the_oracle_takes_it(
        line in prop_oneof![soup(), document()].prop_map(|bytes| bytes.into_iter().filter(|byte| *byte != b'\n').collect::<Vec<u8>>()),
    ) {
        let mut bytes = line.clone();
        bytes.push(b'\n');
        let outcome = read_with(&bytes, &JsonOptions { encoding: Some("utf-8".into()), ..form(JsonForm::Lines) }, &[WHOLE_ROW]);
        prop_assert_eq!(outcome.error(), "");
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(map)) => match outcome.bad.first() {
                // The last of two equal keys wins there.
                Some(bad) => prop_assert!(bad.reason.contains("twice"), "{}", bad.reason),
                None => prop_assert_eq!(
                    serde_json::from_str::<Value>(outcome.rows[0].2[0].as_deref().expect("a record")).ok(),
                    Some(Value::Object(map))
                ),
            },
            Ok(_) => prop_assert!(outcome.bad[0].reason.contains("not an object")),
            // There, numbers are doubles.
            Err(error) if error.to_string().contains("out of range") => {}
            Err(_) => prop_assert_eq!(outcome.rows.len(), 0),
        }
    }

    #[test]
    fn it_makes_no_difference_how_the_bytes_come(
        bytes in prop_oneof![soup(), document()],
        lengths in prop::collection::vec(1_usize..20, 1..6),
        tiny in any::<bool>(),
        form in prop::sample::select(vec![JsonForm::Lines, JsonForm::Values, JsonForm::Array]),
    ) {
        let limits = if tiny { Limits { row_bytes_max: 24, field_bytes_max: 6, bad_row_bytes_max: 12, ..Limits::default() } } else { Limits::default() };
        let array = (form == JsonForm::Array && bytes.starts_with(b"{")).then(|| "customers".to_owned());
        let options = JsonOptions { limits, array, ..JsonOptions::default() };
        let whole = records_of(Cursor::new(bytes.clone()), form, &options);
        prop_assert_eq!(&whole, &records_of(Pieces::of(&bytes, &[1]), form, &options));
        prop_assert_eq!(&whole, &records_of(Pieces::of(&bytes, &lengths), form, &options));
    }

    #[test]
    fn each_record_ends_once_in_order(bytes in prop_oneof![soup(), document()], tiny in any::<bool>()) {
        let options = if tiny { row_bytes_max(24) } else { JsonOptions::default() };
        let whole = read_with(&bytes, &options, &["a", "m.a"]);
        // Each record once, in order.
        let mut records: Vec<u64> = whole.rows.iter().map(|row| row.0).chain(whole.bad.iter().map(|bad| bad.place.record)).collect();
        records.sort_unstable();
        prop_assert!(records.iter().zip(1..).all(|(record, number)| *record == number));
    }

    #[test]
    fn any_file_at_all_neither_panics_nor_hangs(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in 0_usize..6) {
        let magic: &[u8] = [b"".as_slice(), b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"{", b"[{\""][magic];
        read([magic, &bytes].concat(), &["a", WHOLE_ROW]);
    }
}
