//! Where the records of a text are, told by its content or by the options.

use super::*;

#[test]
fn lines_are_records_and_blank_ones_are_none() {
    for end in ["\n", "\r\n"] {
        let text = ["{\"a\":1}", "", " \t", "  {\"a\":2}  ", "{\"a\":3}"].join(end);
        for text in [text.clone(), format!("{text}{end}{end}")] {
            let outcome = read(&text, &["a"]);
            assert_eq!(outcome.written(), (JsonForm::Lines, None));
            assert_eq!((outcome.joined(), outcome.error()), (vec!["1".into(), "2".into(), "3".into()], String::new()));
            assert_eq!(outcome.places(), [(1, 1), (2, 4), (3, 5)]);
        }
    }
}

#[test]
fn items_of_an_array_are_records() {
    for text in ["[{\"a\":1},{\"a\":2}]", " \n[\n{\"a\":1} ,\n{\"a\":2}\n]\n ", "[\r\n\r\n{\"a\"\r\n:1},{\r\n\"a\":2}]"]
    {
        let outcome = read(text, &["a"]);
        assert_eq!((outcome.joined(), outcome.error()), (vec!["1".into(), "2".into()], String::new()), "{text}");
        assert_eq!(outcome.written(), (JsonForm::Array, None));
    }
    assert_eq!(read("[\n{\"a\":1},\n\n{\"a\":2}]", &["a"]).places(), [(1, 2), (2, 4)]);
    let empty = read(" [ ] ", &["a"]);
    assert_eq!((empty.rows.len(), empty.bad.len(), empty.error()), (0, 0, String::new()));
}

#[test]
fn the_only_array_of_objects_in_an_object_holds_the_records() {
    let text = "{\"has_more\":false,\"tags\":[\"x\"],\"data\":[{\"a\":1},\n{\"a\":2}],\"meta\":{\"n\":[[{}]]}}\n";
    let outcome = read(text, &["a"]);
    assert_eq!((outcome.joined(), outcome.error()), (vec!["1".into(), "2".into()], String::new()));
    assert_eq!(outcome.written(), (JsonForm::Array, Some("data")));
    assert_eq!(outcome.places(), [(1, 1), (2, 2)]);
    assert_eq!(outcome.described[0].to_string(), "standard input: uncompressed, UTF-8 (assumed), JSON, array `data`");
    let empty = read(r#"{"customers":[]}"#, &["a"]);
    assert_eq!((empty.rows.len(), empty.error(), empty.written().1), (0, String::new(), Some("customers")));
}

#[test]
fn several_arrays_need_a_choice() {
    let text = r#"{"customers":[{"a":1}],"x":{"subscriptions":[{"a":2},{"a":3}]},"a.b":[{"a":4}]}"#;
    assert_eq!(
        read(text, &["a"]).error(),
        "standard input: has more than one array: `customers`, `a.b`; say which one holds the records"
    );
    for (name, rows) in [("customers", vec!["1"]), ("x.subscriptions", vec!["2", "3"]), ("a.b", vec!["4"])] {
        let outcome = read_with(text, &array(name), &["a"]);
        assert_eq!((outcome.joined(), outcome.error()), (rows.into_iter().map(str::to_owned).collect(), String::new()));
    }
    assert_eq!(
        read_with(text, &array("subscriptions"), &["a"]).error(),
        "standard input: has no array `subscriptions`; it has: `customers`, `a.b`"
    );
    assert!(read_with(text, &array("x"), &["a"]).error().contains("something else than an array in `x`"));
    assert!(read_with("[{}]", &array("x"), &["a"]).error().contains("has no array `x`"));
    assert!(read_with("", &array("x"), &["a"]).error().contains("it is empty"));
}

#[test]
fn an_object_that_may_be_a_record_or_hold_some_needs_a_word() {
    let text = r#"{"id":"sub_1","addons":[{"addonId":"x"}]}"#;
    assert_eq!(
        read(text, &["id"]).error(),
        "standard input: is one object, which may be a record itself or hold the records in `addons`; say which"
    );
    assert_eq!(read_with(text, &form(JsonForm::Lines), &["id"]).joined(), ["sub_1"]);
    assert_eq!(read_with(text, &form(JsonForm::Values), &["id"]).joined(), ["sub_1"]);
    assert_eq!(read_with(text, &form(JsonForm::Array), &["addonId"]).joined(), ["x"]);
    assert_eq!(read_with(text, &array("addons"), &["addonId"]).joined(), ["x"]);
    // Two lines leave no doubt, nor does an object without such an array.
    assert_eq!(read(format!("{text}\n{text}"), &["id"]).rows.len(), 2);
    assert_eq!(read(r#"{"id":"sub_1","tags":["x"]}"#, &["id"]).joined(), ["sub_1"]);
}

#[test]
fn objects_one_after_the_other_may_span_lines() {
    let outcome = read("{\n  \"a\": 1\n}\n{\n  \"a\": 2\n} {\"a\":3}", &["a"]);
    assert_eq!((outcome.joined(), outcome.error()), (vec!["1".into(), "2".into(), "3".into()], String::new()));
    assert_eq!(outcome.places(), [(1, 1), (2, 4), (3, 6)]);
    assert_eq!(outcome.written(), (JsonForm::Values, None));
    assert_eq!(read("{\n\"a\": 1\n}", &["a"]).joined(), ["1"]);
}

#[test]
fn nothing_is_no_records() {
    for text in ["", "\n\n", "  \r\n", "\u{feff}"] {
        let outcome = read(text, &["a"]);
        assert_eq!((outcome.rows.len(), outcome.bad.len(), outcome.error()), (0, 0, String::new()), "{text:?}");
    }
}

#[test]
fn what_is_not_json_is_told_at_once() {
    for (text, said) in [
        ("id,name\n1,x\n", "can't be read as JSON: expected `{` or `[`, found `i`"),
        ("\"text\"", "expected `{` or `[`, found `\\\"`"),
        ("PK\x03\x04", "is a ZIP archive or an Excel workbook, not JSON text; unpack it, or save it as JSON, first"),
        ("ü", "found a character that is not ASCII"),
    ] {
        let outcome = read(text, &["a"]);
        assert!(outcome.error().contains(said), "{}", outcome.error());
        assert!(outcome.error.is_some_and(|error| error.before_reading()));
    }
}

#[test]
fn options_that_can_not_be_are_refused() {
    let lines = form(JsonForm::Lines);
    for (options, said) in [
        (JsonOptions { array: Some("x".into()), ..lines }, "an array is named, and the form is said to be"),
        (array(""), "the name of the array is empty"),
        (row_bytes_max(2 << 30), "can't have more than"),
        (JsonOptions { encoding: Some("klingon".into()), ..JsonOptions::default() }, "unknown encoding"),
    ] {
        let error = read_with("{}", &options, &["a"]).error.expect("it is refused");
        assert!(error.to_string().contains(said) && matches!(error, SourceError::Options(_)), "{error}");
    }
    let deep = vec!["a"; 65].join(".");
    assert!(read("{}", &[&deep]).error().contains("more than 64 steps"));
    let many: Vec<String> = (0..2_001).map(|n| n.to_string()).collect();
    assert!(read("{}", &many.iter().map(String::as_str).collect::<Vec<_>>()).error().contains("2001 values"));
}

#[test]
fn another_array_far_behind_is_found_before_anything_is_handed_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let items = vec![r#"{"a":1}"#; 20_000].join(",");
    let text = format!("{{\"one\":[{items}],\"two\":[{{}}]}}");
    std::fs::write(folder.path().join("a.json"), &text).expect("written");
    let outcome = read_files(folder.path(), &["a.json"], &JsonOptions::default(), &["a"]);
    assert!(outcome.error().contains("more than one array: `one`, `two`"), "{}", outcome.error());
    // A stream can't be read twice: it is found when it comes.
    let outcome = read(&text, &["a"]);
    assert_eq!(outcome.rows.len(), 20_000);
    assert!(outcome.error().contains("`two` is an array, too"), "{}", outcome.error());
    assert_eq!(read_with(&text, &array("one"), &["a"]).error(), "");
}

#[test]
fn a_stream_that_does_not_show_its_records_needs_a_word() {
    let text = format!("{{\"meta\":\"{}\",\"data\":[{{\"a\":1}}]}}", "x".repeat(100_000));
    assert!(read(&text, &["a"]).error().contains("name the array"), "{}", read(&text, &["a"]).error());
    assert_eq!(read_with(&text, &array("data"), &["a"]).joined(), ["1"]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.json"), &text).expect("written");
    assert_eq!(read_files(folder.path(), &["a.json"], &JsonOptions::default(), &["a"]).joined(), ["1"]);
}
