//! What becomes of the values of a record.

use super::*;

/// The cells of the one record.
fn cells(record: &str, wanted: &[&str]) -> String {
    let outcome = read_with(record, &form(JsonForm::Lines), wanted);
    assert_eq!((outcome.error(), outcome.reasons()), (String::new(), Vec::new()), "{record}");
    outcome.joined().remove(0)
}

#[test]
fn scalars_become_text_as_they_are_written() {
    let record = r#"{"text":"a b","empty":"","n":1.50,"big":123456789012345678901234567890.10,"neg":-0,"yes":true,"no":false,"nil":null}"#;
    let wanted = ["text", "empty", "n", "big", "neg", "yes", "no", "nil", "missing"];
    assert_eq!(cells(record, &wanted), "a b||1.50|123456789012345678901234567890.10|-0|true|false|~|~");
}

#[test]
fn exponents_are_written_out_exactly_where_that_is_short() {
    for (number, plain) in [
        ("1e5", "100000"),
        ("1E+2", "100"),
        ("1.50e-3", "0.00150"),
        ("-2.5e1", "-25"),
        ("12.345e1", "123.45"),
        ("0e5", "0"),
        ("0.0e0", "0.0"),
        ("0.05e1", "0.5"),
        ("0.05e2", "5"),
        ("9007199254740993e0", "9007199254740993"),
        ("1e-10", "0.0000000001"),
        ("1e400", "1e400"),
        ("1e-400", "1e-400"),
        ("1e99999999999", "1e99999999999"),
    ] {
        assert_eq!(cells(&format!("{{\"n\":{number}}}"), &["n"]), plain, "{number}");
        // Inside of JSON they stay.
        assert_eq!(cells(&format!("{{\"n\":[{number}]}}"), &["n"]), format!("[{number}]"));
    }
}

#[test]
fn paths_lead_into_objects_and_arrays() {
    let record =
        r#"{"address":{"city":"Köln","geo":[50.9,6.9]},"items":[{"price":3},{"price":4}],"m":[[1,2],[3]],"s":"x"}"#;
    let wanted = ["address.city", "address.geo[1]", "items[1].price", "m[0][1]", "items[2].price", "s.t", "s[0]"];
    assert_eq!(cells(record, &wanted), "Köln|6.9|4|2|~|~|~");
}

#[test]
fn a_key_of_that_very_name_wins_over_a_path() {
    for record in [r#"{"a.b":1,"a":{"b":2}}"#, r#"{"a":{"b":2},"a.b":1}"#] {
        assert_eq!(cells(record, &["a.b"]), "1");
    }
    assert_eq!(cells(r#"{"a":{"b":2},"a.b":null}"#, &["a.b"]), "~");
    assert_eq!(
        cells(
            r#"{"Customer ID":1,"x[0]":2,"a..b":3,"Amount [USD]":4}"#,
            &["Customer ID", "x[0]", "a..b", "Amount [USD]"]
        ),
        "1|2|3|4"
    );
    assert_eq!(cells(r#"{"m":{"a.b":{"c":5}}}"#, &[r#"m["a.b"].c"#]), "5");
}

#[test]
fn keys_are_compared_as_characters_not_as_they_are_written() {
    assert_eq!(cells(r#"{"caf\u00e9":1,"x\/y":2}"#, &["café", "x/y"]), "1|2");
}

#[test]
fn escapes_are_undone() {
    let record = r#"{"t":"\"\\\/\b\f\n\r\té\u00E9\ud83d\ude00\u0000"}"#;
    assert_eq!(cells(record, &["t"]), "\"\\/\u{8}\u{c}\n\r\téé😀\0");
}

#[test]
fn objects_and_arrays_become_json_without_blanks() {
    let record = r#"{"m" : { "b" : [ 1.0 , "x y" , null ] , "a" : { } , "e" : [ ] , "u" : "\u0041\/\u0007\n" } }"#;
    assert_eq!(cells(record, &["m"]), r#"{"b":[1.0,"x y",null],"a":{},"e":[],"u":"A/\u0007\n"}"#);
}

#[test]
fn a_value_can_be_wanted_whole_and_in_parts() {
    let record = r#"{"m":{"a":1,"b":[{"c":2}]}}"#;
    assert_eq!(
        cells(record, &["m.a", "m", "m.b", "m.b[0].c", "m.b[0]"]),
        r#"1|{"a":1,"b":[{"c":2}]}|[{"c":2}]|2|{"c":2}"#
    );
}

#[test]
fn the_whole_record_can_be_wanted() {
    assert_eq!(cells(r#"{ "a" : 1 }"#, &[WHOLE_ROW, "a"]), r#"{"a":1}|1"#);
    assert_eq!(cells(r#"{"_json":7}"#, &[WHOLE_ROW]), "7");
}

#[test]
fn one_column_may_be_wanted_twice_or_none_at_all() {
    assert_eq!(cells(r#"{"a":1}"#, &["a", "a"]), "1|1");
    assert_eq!(read(r#"{"a":1}"#, &[]).rows, [(1, 1, Vec::new())]);
}

#[test]
fn a_wanted_key_that_is_there_twice_spoils_the_record() {
    let twice = |record: &str, wanted: &[&str]| {
        let outcome = read_with(record, &form(JsonForm::Lines), wanted);
        outcome.bad.first().map(|bad| bad.reason.clone())
    };
    let said = Some("the key `a` is there twice".to_owned());
    assert_eq!(twice(r#"{"a":1,"b":2,"a":1}"#, &["a"]), said);
    assert_eq!(twice(r#"{"a":1,"\u0061":1}"#, &["a"]), said);
    assert_eq!(twice(r#"{"m":{"a":1,"a":2}}"#, &["m.a"]), said);
    assert_eq!(twice(r#"{"m":[{"x":0,"a":1,"a":2}]}"#, &["m"]), said);
    assert_eq!(twice(r#"{"a":{"b":1},"a":{"c":2}}"#, &["a.b", "a.c"]), said);
    // Nobody reads these; and two objects may have the same key.
    assert_eq!(twice(r#"{"a":1,"a":2,"b":3}"#, &["b"]), None);
    assert_eq!(twice(r#"{"m":[{"a":1},{"a":1}]}"#, &["m"]), None);
}

#[test]
fn a_bad_row_keeps_its_cells_and_the_record_as_it_is() {
    let outcome = read("{\"a\": 1, \"b\": \"x\ty\"}\n{\"a\":2}", &["a", "b", "c"]);
    assert_eq!(outcome.bad[0].cells, ["1", "x\ty", "", "{\"a\": 1, \"b\": \"x\ty\"}"]);
    assert_eq!(outcome.joined(), ["2|~|~"]);
    let long = format!("{{\"a\":\"{}\\x\"}}", "y".repeat(10_000));
    let bad = &read_with(long, &form(JsonForm::Lines), &["a"]).bad[0];
    assert_eq!(bad.cells.len(), 2);
    assert!(bad.cells.iter().map(String::len).sum::<usize>() <= (4 << 10) + 6, "cut");
    assert!(bad.cells.iter().all(|cell| cell.ends_with('…')));
}

#[test]
fn each_entry_of_an_object_or_array_may_be_a_row() {
    let each = |path: &str| JsonOptions { each: Some(path.to_owned()), ..form(JsonForm::Lines) };
    let text = concat!(
        r#"{"id":"a","u":{"f-1":10,"f \u0022 2":"x\ny","f3":1e2,"f4":null,"f5":[1, {}]}}"#,
        "\n",
        r#"{"id":"b"}"#,
        "\n",
        r#"{"id":"c","u":{}}"#,
        "\n",
        r#"{"id":"d","u":null}"#,
        "\n",
        r#"{"id":"e","u":"{}"}"#,
        "\n",
        r#"{"id":"f","u":["x",{"y":1}]}"#,
        "\n",
        r#"{"id":"g","u":{"k":1,"k":2}}"#,
    );
    let outcome = read_with(text, &each("u"), &["id", EACH_KEY, EACH_VALUE]);
    assert_eq!(
        outcome.joined(),
        ["a|f-1|10", "a|f \" 2|x\ny", "a|f3|100", "a|f4|~", "a|f5|[1,{}]", "f|0|x", r#"f|1|{"y":1}"#]
    );
    assert_eq!(outcome.places()[4..6], [(1, 1), (6, 6)]);
    assert_eq!(
        outcome.reasons(),
        [(5, 5, "`u` is neither an object nor an array"), (7, 7, "the key `k` is there twice")]
    );
    assert_eq!(outcome.bad[0].cells, ["e", "", "", r#"{"id":"e","u":"{}"}"#]);
    let deep = r#"{"id":1,"a":{"b":{"k":2}}}"#;
    assert_eq!(read_with(deep, &each("a.b"), &[EACH_VALUE, "a", "id"]).joined(), [r#"2|{"b":{"k":2}}|1"#]);
}

#[test]
fn rows_that_one_record_makes_are_bounded() {
    let entries: Vec<String> = (0..1_000).map(|n| format!("\"{n}\":1")).collect();
    let text =
        format!("{{\"id\":\"{}\",\"u\":{{{}}}}}\n{{\"id\":1,\"u\":[2]}}", "x".repeat(100_000), entries.join(","));
    let options = JsonOptions { each: Some("u".to_owned()), ..form(JsonForm::Lines) };
    let outcome = read_with(text, &options, &["id", EACH_VALUE]);
    assert_eq!((outcome.joined(), outcome.bad.len()), (vec!["1|2".to_owned()], 1));
    assert!(outcome.bad[0].reason.contains("so many entries"));
}
