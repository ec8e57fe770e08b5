//! What is told by content: delimiter, quotes, encoding, compression.

use super::*;

#[test]
fn delimiters_are_detected_outside_quotes_and_comma_wins_a_tie() {
    for (text, delimiter) in [
        ("a;b\n1,5;2,5\n", b';'),
        ("a\tb\n1,5\t2\n", b'\t'),
        ("a|b,c|d\n1|2|3\n", b'|'),
        ("a,b\n\"1;2;3\",4\n", b','),
        ("a,b;c\n1,2;3\n", b','),
        ("single\n1;2\n", b','),
        ("\"x;y;z\",b\n\"1;2;3\",4\n", b','),
    ] {
        assert_eq!(delimiter_and_quote(&read(text)).0, delimiter, "{text:?}");
    }
}

#[test]
fn a_line_that_declares_the_delimiter_is_not_the_header() {
    let outcome = read("sep=;\r\na,x;b\r\n1;2\r\n");
    assert_eq!((outcome.columns.join("|"), outcome.joined()), ("a,x|b".into(), vec!["1|2".into()]));
    assert_eq!((outcome.rows[0].0, outcome.rows[0].1), (1, 3));
    assert_eq!(read("sep=\n1\n").columns, ["sep="]);
}

#[test]
fn a_delimiter_that_is_said_is_not_guessed() {
    let options = CsvOptions { delimiter: Some(b'~'), ..CsvOptions::default() };
    assert_eq!(read_with("a,x~b\n1~2,3\n", &options).joined(), ["1|2,3"]);
}

#[test]
fn single_quotes_are_quotes_only_where_that_is_clear() {
    let outcome = read("'id','note'\n'1','it''s, so'\n");
    assert_eq!(delimiter_and_quote(&outcome).1, Some(b'\''));
    assert_eq!(outcome.joined(), ["1|it's, so"]);
    for text in ["id,note\n1,'tis\n2,'twas'\n3,'x'\n", "id,note\n'1',\"x\"\n'2','y'\n", "id,note\n1,'x'\n"] {
        assert_eq!(delimiter_and_quote(&read(text)).1, Some(b'"'), "{text:?}");
    }
}

#[test]
fn without_quotes_a_quote_is_a_character() {
    let options = CsvOptions { quote: Quote::None, ..CsvOptions::default() };
    assert_eq!(read_with("id,size\n1,\"12\n2,13\"\n", &options).joined(), ["1|\"12", "2|13\""]);
}

#[test]
fn byte_order_marks_are_removed_and_tell_the_encoding() {
    let text = "näme,x\nJosé,€\n";
    let cases = [
        ([b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(), "UTF-8"),
        ([b"\xff\xfe".as_slice(), &utf16(text, true)].concat(), "UTF-16LE"),
        ([b"\xfe\xff".as_slice(), &utf16(text, false)].concat(), "UTF-16BE"),
        (utf16(text, true), "UTF-16LE"),
        (utf16(text, false), "UTF-16BE"),
        (text.as_bytes().to_vec(), "UTF-8"),
    ];
    for (bytes, encoding) in cases {
        let outcome = read(&bytes);
        assert_eq!(outcome.described[0].encoding, encoding);
        assert_eq!((outcome.columns[0].as_str(), outcome.joined()), ("näme", vec!["José|€".to_owned()]));
    }
}

#[test]
fn an_encoding_that_is_said_is_used() {
    let options = CsvOptions { encoding: Some("latin1".to_owned()), ..CsvOptions::default() };
    let outcome = read_with(b"name,x\nJos\xe9,\x80\n", &options);
    assert_eq!(outcome.joined(), ["José|€"]);
    assert_eq!(
        outcome.described[0].to_string(),
        "standard input: uncompressed, windows-1252 (said), delimiter comma, quote \", LF, 2 columns"
    );
}

#[test]
fn an_evidently_8_bit_text_is_windows_1252_and_one_stray_byte_is_a_bad_row() {
    let outcome = read(b"name\nJos\xe9\nM\xfcller\nZo\xeb\n");
    assert_eq!(outcome.joined(), ["José", "Müller", "Zoë"]);
    assert_eq!(
        (outcome.described[0].encoding, outcome.described[0].encoding_from),
        ("windows-1252", EncodingFrom::Detected)
    );

    let outcome = read(b"id,name\n1,Jos\xe9\n2,ok\n");
    assert_eq!(outcome.joined(), ["2|ok"]);
    assert_eq!(outcome.reasons(), [(1, 2, "column `name` is not valid UTF-8 at its byte 4 (0xe9)")]);
    assert_eq!(outcome.bad[0].cells, ["1", "Jos\u{fffd}"]);
}

#[test]
fn a_text_in_another_8_bit_alphabet_is_not_taken_for_windows_1252() {
    // "Пётр", "Анна", "Иван" in Windows-1251; "東京" in Shift_JIS.
    for bytes in [
        b"id,name\n1,\xcf\xb8\xf2\xf0\n2,\xc0\xed\xed\xe0\n3,\xc8\xe2\xe0\xed\n".as_slice(),
        b"id,name\n1,\x93\x8c\x8b\x9e\n2,\x93\x8c\x8b\x9e\n3,\x93\x8c\x8b\x9e\n",
    ] {
        let outcome = read(bytes);
        assert_eq!((outcome.described[0].encoding, outcome.bad.len()), ("UTF-8", 3));
    }
    let options = CsvOptions { encoding: Some("windows-1251".to_owned()), ..CsvOptions::default() };
    assert_eq!(read_with(b"id,name\n1,\xcf\xb8\xf2\xf0\n", &options).joined(), ["1|Пётр"]);
}

#[test]
fn halves_of_a_character_in_two_cells_are_not_valid() {
    let outcome = read(b"a,b,c\n\xc3,\xa9,x\n\xc3\xa9,\xc3\xa9,y\n");
    assert_eq!(outcome.reasons(), [(1, 2, "column `a` is not valid UTF-8 at its byte 1 (0xc3)")]);
    assert_eq!(outcome.joined(), ["é|é|y"]);
}

#[test]
fn a_lone_surrogate_is_a_bad_row() {
    let mut bytes = utf16("\u{feff}id,name\n1,ab", true);
    bytes.extend([0x00, 0xd8]);
    bytes.extend(utf16("c\n2,ok\n", true));
    let outcome = read(&bytes);
    assert_eq!(outcome.reasons(), [(1, 2, "column `name` is not valid UTF-16LE after its first 2 characters")]);
    assert_eq!(outcome.joined(), ["2|ok"]);
}

#[test]
fn gzip_and_zstd_are_told_by_content_and_may_have_several_parts() {
    let (head, tail) = (b"id,x\n1,a\n".as_slice(), b"2,b\n".as_slice());
    for (bytes, compression) in [
        ([gzip(head), gzip(tail)].concat(), Compression::Gzip),
        ([zstd(head), zstd(tail)].concat(), Compression::Zstd),
        ([head, tail].concat(), Compression::None),
    ] {
        let outcome = read(&bytes);
        assert_eq!(
            (outcome.joined(), outcome.described[0].compression),
            (vec!["1|a".into(), "2|b".into()], compression)
        );
    }
}

#[test]
fn a_gz_that_is_plain_text_is_read_as_plain_text() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.csv.gz"), "id\n1\n").expect("written");
    assert_eq!(read_files(folder.path(), &["a.csv.gz"]).joined(), ["1"]);
}
