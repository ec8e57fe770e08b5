//! Damaged and hostile texts.

use std::time::Duration;

use super::*;

#[test]
fn a_broken_line_is_a_bad_row_and_the_next_is_read() {
    let lines = [
        r#"{"a":1}"#,
        r#"{"a":tru}"#,
        r#"{"a":01}"#,
        r#"{"a":1,}"#,
        r#"{"a":1}{"a":2}"#,
        r#"{"a":"x"#,
        r#"[1]"#,
        "3",
        "null",
        "\"x\"",
        r#"{'a':1}"#,
        r#"{"a":NaN}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\x"}"#,
        r#"{"é":1 "b":2}"#,
        r#"{"a":2}"#,
    ];
    let outcome = read(lines.join("\n"), &["a"]);
    assert_eq!(outcome.joined(), ["1", "2"]);
    assert_eq!(outcome.places(), [(1, 1), (16, 16)]);
    assert_eq!(outcome.error(), "");
    let not_json = |at: u64, what: &str| format!("the line is not JSON at its character {at}: {what}");
    let reasons: Vec<String> = outcome.bad.iter().map(|bad| bad.reason.clone()).collect();
    assert_eq!(
        reasons,
        [
            not_json(6, "expected a value, found `t`"),
            not_json(7, "expected `,` or `}`, found `1`"),
            not_json(8, "expected a key in double quotes, found `}`"),
            not_json(8, "expected the end of the line, found `{`"),
            "the line ends in the middle of its JSON".to_owned(),
            "the record is an array, not an object".to_owned(),
            "the record is a number, not an object".to_owned(),
            "the record is null, not an object".to_owned(),
            "the record is a text, not an object".to_owned(),
            not_json(2, "expected a key in double quotes, found `\\'`"),
            not_json(6, "expected a value, found `N`"),
            "a text holds half of a surrogate pair, which is no character".to_owned(),
            "a text holds a wrong escape, at character 7 of the record".to_owned(),
            not_json(8, "expected `,` or `}`, found `\\\"`"),
        ]
    );
    assert!(outcome.bad.iter().zip(2..).all(|(bad, number)| (bad.place.record, bad.place.line) == (number, number)));
}

#[test]
fn a_first_line_that_is_broken_does_not_change_the_form() {
    for first in [r#"{"a":"x}"#, r#"{"a":tru}"#, r#"{"m":{"a":1}"#, r#"{"a":"#, "{"] {
        let outcome = read(format!("{first}\n{{\"a\":1}}\n{{\"a\":2}}\n"), &["a"]);
        assert_eq!((outcome.joined(), outcome.bad.len()), (vec!["1".into(), "2".into()], 1), "{first}");
    }
}

#[test]
fn a_spoilt_item_is_a_bad_row_and_the_next_is_read() {
    let text = "[{\"a\":1},\n2,[{}],null,\n{\"a\":\"\\udc00\"},{\"a\":1,\"a\":2},{\"a\":\"x\ny\"},\n{\"a\":3}]";
    let outcome = read(text, &["a"]);
    assert_eq!((outcome.joined(), outcome.error()), (vec!["1".into(), "3".into()], String::new()));
    assert_eq!(
        outcome.reasons(),
        [
            (2, 2, "the record is a number, not an object"),
            (3, 2, "the record is an array, not an object"),
            (4, 2, "the record is null, not an object"),
            (5, 3, "a text holds half of a surrogate pair, which is no character"),
            (6, 3, "the key `a` is there twice"),
            (7, 3, "a text holds the control character 0x0a as it is, at character 8 of the record"),
        ]
    );
    assert_eq!(outcome.places(), [(1, 1), (8, 5)]);
}

#[test]
fn an_array_that_is_broken_ends_with_its_place_and_keeps_what_was_read() {
    for (text, said) in [
        (
            "[{\"a\":1},\n {\"é\":1 \"b\":2}]",
            "standard input:2, record 1: the JSON is wrong at column 9: expected `,` or `}`, found `\\\"`",
        ),
        (
            "[{\"a\":1} {\"a\":2}]",
            "standard input:1, record 1: the JSON is wrong at column 10: expected `,` or `]`, found `{`",
        ),
        ("[{\"a\":1},]", "record 1: the JSON is wrong at column 10: expected a value, found `]`"),
        (
            "[{\"a\":1}]\n]",
            "standard input:2, record 1: the JSON is wrong at column 1: expected the end of the text, found `]`",
        ),
        ("[{\"a\":1}]{\"a\":2}", "column 10: expected the end of the text"),
        (
            "{\"c\":[{\"a\":1}],\"d\":}",
            "record 1: the JSON is wrong at column 20: expected the bracket that closes what is open, found `}`",
        ),
        ("{\"c\":[{\"a\":1}]", "the JSON is cut off: the text ends in the middle of it"),
        ("{\"c\":[{\"a\":1}],\"c\":[{\"a\":2}]}", "`c` is there twice"),
        ("[{\"a\":1}", "record 1: the JSON is cut off: the text ends in the middle of it"),
        ("[{\"a\":1},{\"a\":", "record 1: the JSON is cut off"),
        ("[{\"a\":1},\n{\"a\":2", "standard input:2, record 1: the JSON is cut off"),
    ] {
        let options = if text.starts_with('{') { array("c") } else { JsonOptions::default() };
        let outcome = read_with(text, &options, &["a"]);
        assert!(outcome.error().contains(said), "{text}: {}", outcome.error());
        assert_eq!(outcome.joined(), ["1"], "{text}");
        assert!(!outcome.error.expect("it broke").before_reading());
    }
}

#[test]
fn a_last_line_that_is_cut_off_is_told() {
    let outcome = read("{\"a\":1}\n{\"a\":2}\n{\"a\":", &["a"]);
    assert_eq!(outcome.error(), "standard input:3, record 2: the JSON is cut off: the text ends in the middle of it");
    assert_eq!(outcome.rows.len(), 2);
    // A last line without an end is no sign of that, and one with an end was not cut.
    assert_eq!(read("{\"a\":1}\n{\"a\":2}", &["a"]).error(), "");
    assert_eq!(read("{\"a\":1}\n{\"a\":\n", &["a"]).bad.len(), 1);
}

#[test]
fn invalid_utf_8_spoils_its_record_only() {
    let outcome = read(b"{\"a\":1}\n{\"a\":\"x\xff\"}\n{\"a\":\"\xc3\xa9\"}\n", &["a"]);
    assert_eq!(outcome.joined(), ["1", "é"]);
    assert_eq!(outcome.reasons(), [(2, 2, "the record is not valid UTF-8 at its byte 8 (0xff)")]);
    assert_eq!(outcome.bad[0].cells, ["x\u{fffd}", "{\"a\":\"x\u{fffd}\"}"]);
    let outcome = read(b"[{\"a\":1},{\"a\":\"x\xff\"},{\"b\":\"\xed\xa0\x80\"},{\"a\":2}]", &["a"]);
    assert_eq!(
        (outcome.joined(), outcome.bad.len(), outcome.error()),
        (vec!["1".into(), "2".into()], 2, String::new())
    );
}

#[test]
fn a_record_over_the_limit_is_passed_over_in_bounded_memory() {
    for (text, line) in [
        (format!("{{\"a\":1}}\n{{\"a\":\"{}\"}}\n{{\"a\":2}}\n", "x".repeat(300_000)), 3),
        (format!("[{{\"a\":1}},\n{{\"a\":\"{}\\\"}}]\"}},\n{{\"a\":2}}]", "x".repeat(300_000)), 3),
    ] {
        let outcome = read_with(&text, &row_bytes_max(1_000), &["a"]);
        assert_eq!(outcome.reasons(), [(2, 2, "the record has more than 1000 bytes")]);
        assert!(outcome.bad[0].cells[1].len() < 5_000 && outcome.bad[0].cells[1].starts_with("{\"a\":\"xx"));
        assert_eq!((outcome.places(), outcome.error()), (vec![(1, 1), (3, line)], String::new()));
    }
    // To the byte.
    for text in ["{\"a\":1234}\n{\"a\":12345}\n", "[{\"a\":1234},{\"a\":12345}]"] {
        let outcome = read_with(text, &row_bytes_max(10), &["a"]);
        assert_eq!((outcome.joined(), outcome.bad.len()), (vec!["1234".into()], 1));
    }
}

#[test]
fn a_cell_over_the_limit_is_a_bad_row() {
    let limits = Limits { field_bytes_max: 5, ..Limits::default() };
    let options = JsonOptions { limits, ..JsonOptions::default() };
    let outcome = read_with("{\"a\":\"12345\"}\n{\"a\":\"1234é\"}\n{\"b\":\"123456\"}", &options, &["a"]);
    assert_eq!(outcome.reasons(), [(2, 2, "column `a` has 6 bytes, more than the 5 allowed")]);
    assert_eq!(outcome.rows.len(), 2);
}

#[test]
fn levels_are_bounded_and_what_is_deeper_is_passed_over() {
    let nested = |levels: usize| format!("{{\"m\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    for wanted in [["a"], ["m"], ["m[0][0]"], [WHOLE_ROW]] {
        for text in [
            format!("{}\n{}\n{{\"a\":1}}", nested(64), nested(65)),
            format!("[{},\n{},{{\"a\":1}}]", nested(64), nested(65)),
            format!("[{},\n{},{{\"a\":1}}]", nested(64), nested(200)),
        ] {
            let outcome = read(&text, &wanted);
            assert_eq!(outcome.reasons(), [(2, 2, "the record has more than 64 levels of objects and arrays")]);
            assert_eq!((outcome.rows.len(), outcome.error()), (2, String::new()));
        }
    }
}

#[test]
fn a_hundred_thousand_brackets_overflow_nothing() {
    let brackets = "[".repeat(100_000);
    let objects = "{\"m\":".repeat(100_000);
    for wanted in [["a"], ["m.m.m"], [WHOLE_ROW]] {
        for text in [
            brackets.clone(),
            objects.clone(),
            format!("[{objects}"),
            format!("{{\"m\":{brackets}"),
            format!("[{{\"m\":{brackets}{}}}]", "]".repeat(100_000)),
            format!("{{\"a\":1}}\n{objects}\n{brackets}\n"),
            format!("{{\"x\":{brackets}{},\"c\":[{{}}]}}", "]".repeat(100_000)),
            "]".repeat(100_000),
            "{".repeat(100_000),
            "\"".repeat(100_001),
        ] {
            let outcome = read(&text, &wanted);
            assert!(outcome.error.is_some() || !outcome.bad.is_empty() || !outcome.rows.is_empty());
        }
    }
    let outcome = read(format!("[{{\"m\":{brackets}{}}},{{\"a\":1}}]", "]".repeat(100_000)), &["a"]);
    assert_eq!((outcome.joined(), outcome.bad.len(), outcome.error()), (vec!["1".into()], 1, String::new()));
}

/// Writes the same item again and again.
struct Endless {
    item: Vec<u8>,
    at: usize,
    left: usize,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(self.item.len() - self.at).min(self.left);
        out[..count].copy_from_slice(&self.item[self.at..self.at + count]);
        self.at = (self.at + count) % self.item.len();
        self.left -= count;
        Ok(count)
    }
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut window = window::Window::new(Endless { item: b"{\"a\":[1,2,\"x\"]},".to_vec(), at: 0, left: 4 << 20 });
    let mut records = 0;
    while window.token().expect("memory").is_some() {
        if document::skip(&mut window, skipper::Skipper::default()).is_err() {
            break;
        }
        records += 1;
        if window.token().expect("memory").is_some() {
            window.advance(1);
        }
    }
    assert_eq!(records, (4 << 20) / 16);
    assert!(window.memory_bytes() <= 256 << 10, "{}", window.memory_bytes());
    // A text without an end.
    let mut window = window::Window::new(Endless { item: b"x".to_vec(), at: 0, left: 4 << 20 });
    window.more().expect("memory");
    let mut skipper = skipper::Skipper::default();
    skipper.feed(b"\"");
    assert!(document::skip(&mut window, skipper).is_err());
    assert!(window.memory_bytes() <= 256 << 10, "{}", window.memory_bytes());
}

#[test]
fn reading_ends_when_the_rows_are_dropped_also_inside_an_endless_record() {
    struct Flagged(Endless, std::sync::mpsc::Sender<()>);
    impl Read for Flagged {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0.read(out)
        }
    }
    impl Drop for Flagged {
        fn drop(&mut self) {
            let _ = self.1.send(());
        }
    }
    let (ended, end) = std::sync::mpsc::channel();
    let item = [b"[".as_slice(), &[b' '; 1 << 16]].concat();
    let reader = Flagged(Endless { item, at: 0, left: usize::MAX }, ended);
    block_on(async {
        let rows = open_json_reader("-", reader, &JsonOptions::default(), &names(&["a"])).await.expect("it opens");
        drop(rows);
    });
    end.recv_timeout(Duration::from_secs(10)).expect("the thread ends");
}
