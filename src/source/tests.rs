//! The CSV source as a whole: bytes in, rows and bad rows out.

use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::record::BadRow;

/// All that a source gave.
#[derive(Debug, Default)]
struct Outcome {
    columns: Vec<String>,
    described: Vec<Described>,
    rows: Vec<(u64, u64, Vec<String>)>,
    sources: Vec<String>,
    bad: Vec<BadRow>,
    error: Option<SourceError>,
}

impl Outcome {
    /// Cells of all rows, joined by `|`.
    fn joined(&self) -> Vec<String> {
        self.rows.iter().map(|(_, _, cells)| cells.join("|")).collect()
    }

    fn lines(&self) -> Vec<u64> {
        self.rows.iter().map(|(_, line, _)| *line).collect()
    }

    /// Record, line and reason of each bad row.
    fn reasons(&self) -> Vec<(u64, u64, &str)> {
        self.bad.iter().map(|bad| (bad.place.record, bad.place.line, bad.reason.as_str())).collect()
    }

    fn error(&self) -> String {
        self.error.as_ref().map(SourceError::to_string).unwrap_or_default()
    }
}

async fn collect(opened: Result<Rows, SourceError>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rows = match opened {
        Ok(rows) => rows,
        Err(error) => {
            assert!(error.before_reading() || matches!(error, SourceError::Broke { .. }));
            return Outcome { error: Some(error), ..outcome };
        }
    };
    outcome.columns = rows.columns().iter().map(|name| name.to_string()).collect();
    outcome.described = rows.described().to_vec();
    loop {
        match rows.next().await {
            Ok(Some(batch)) => {
                assert!(!batch.is_empty());
                outcome.sources.push(batch.source().to_string());
                for row in batch.rows() {
                    let cells = row.cells().map(|cell| cell.expect("CSV has no NULL").to_owned()).collect();
                    outcome.rows.push((row.place().record, row.place().line, cells));
                }
                outcome.bad.extend(batch.bad().iter().cloned());
            }
            Ok(None) => return outcome,
            Err(error) => {
                outcome.error = Some(error);
                assert!(rows.next().await.expect("nothing comes after an error").is_none());
                return outcome;
            }
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

fn read_with(bytes: impl AsRef<[u8]>, options: &CsvOptions) -> Outcome {
    let reader = Cursor::new(bytes.as_ref().to_vec());
    block_on(async { collect(open_csv_reader("-", reader, options).await).await })
}

fn read(bytes: impl AsRef<[u8]>) -> Outcome {
    read_with(bytes, &CsvOptions::default())
}

fn read_files(folder: &Path, names: &[&str]) -> Outcome {
    let inputs: Vec<Input> =
        names.iter().map(|name| folder.join(name).to_str().expect("UTF-8").parse().expect("infallible")).collect();
    block_on(async { collect(open_csv(&inputs, &CsvOptions::default()).await).await })
}

fn delimiter_and_quote(outcome: &Outcome) -> (u8, Option<u8>) {
    match outcome.described[0].written {
        Written::Csv { delimiter, quote, .. } => (delimiter, quote),
        Written::Json { .. } => panic!("it is CSV"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).expect("memory")
}

fn utf16(text: &str, little: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

/// Gives its bytes one at a time.
struct Dripping(Cursor<Vec<u8>>);

impl Read for Dripping {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(1);
        self.0.read(&mut out[..count])
    }
}

// --- rows, lines, records ---------------------------------------------------------------------

#[test]
fn rows_come_with_their_record_and_line_numbers() {
    let outcome = read("id,note\n1,a\n\n2,\"b\nb\"\n3,c");
    assert_eq!(outcome.columns, ["id", "note"]);
    assert_eq!(outcome.joined(), ["1|a", "2|b\nb", "3|c"]);
    assert_eq!(outcome.lines(), [2, 4, 6]);
    assert_eq!(outcome.rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(outcome.error.is_none());
}

#[test]
fn lf_crlf_and_cr_end_lines_and_are_counted_as_one() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["id,note", "1,a", "", "2,\"x", "y\"", "3,c", ""].join(end);
        let outcome = read(&text);
        assert_eq!(outcome.lines(), [2, 4, 6], "{end:?}");
        assert_eq!(outcome.rows[1].2[1], format!("x{end}y"), "a line end inside quotes stays as it is");
        let drop = block_on(async {
            let dripping = Dripping(Cursor::new(text.clone().into_bytes()));
            collect(open_csv_reader("-", dripping, &CsvOptions::default()).await).await
        });
        assert_eq!(drop.rows, outcome.rows, "{end:?}");
    }
}

#[test]
fn a_header_alone_gives_no_rows_and_no_error() {
    for text in ["id,note", "id,note\n", "\n\nid,note\r\n\r\n"] {
        let outcome = read(text);
        assert_eq!((outcome.columns.len(), outcome.rows.len()), (2, 0));
        assert!(outcome.error.is_none() && outcome.bad.is_empty());
    }
}

#[test]
fn batches_are_closed_by_rows_and_by_bytes() {
    let text = format!("id\n{}", "12345678\n".repeat(100));
    let options = CsvOptions { batch_rows: 7, ..CsvOptions::default() };
    assert_eq!(read_with(&text, &options).sources.len(), 15);
    let options = CsvOptions { batch_text_bytes: 80, ..CsvOptions::default() };
    assert_eq!(read_with(&text, &options).sources.len(), 10);
}

// --- what is told by content --------------------------------------------------------------------

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

// --- several inputs -----------------------------------------------------------------------------

#[test]
fn files_of_a_pattern_come_in_order_with_cells_in_the_order_of_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a2.csv"), "x;id\nb;\"2\"\nbad\n").expect("written");
    fs::write(folder.path().join("a1.csv"), gzip(b"id,x\n1,a\n")).expect("written");
    fs::write(folder.path().join(".a0.csv"), "other\n").expect("written");
    fs::create_dir(folder.path().join("a9.csv")).expect("made");
    let outcome = read_files(folder.path(), &["a*.csv"]);
    assert_eq!(outcome.error(), "");
    assert_eq!(outcome.joined(), ["1|a", "2|b"]);
    assert_eq!(outcome.rows[1].0, 1, "records are counted in each file");
    assert!(outcome.sources[0].ends_with("a1.csv") && outcome.sources[1].ends_with("a2.csv"));
    assert_eq!(outcome.reasons(), [(2, 3, "the row has 1 cell, the header has 2")]);
    assert_eq!(outcome.bad[0].cells, ["", "bad"]);
}

#[test]
fn other_columns_in_a_later_file_are_an_error_before_reading() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.csv"), "id,x,y\n1,a,b\n").expect("written");
    fs::write(folder.path().join("b.csv"), "id,z,x\n1,a,b\n").expect("written");
    let outcome = read_files(folder.path(), &["a.csv", "b.csv"]);
    let error = outcome.error.as_ref().expect("an error");
    assert!(error.before_reading() && outcome.rows.is_empty());
    assert!(outcome.error().ends_with("missing: `y`; not there: `z`"), "{error}");
}

#[test]
fn a_file_that_changes_before_its_turn_breaks_the_reading() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
    // More than is read ahead, so that the second file's turn comes after it has changed.
    fs::write(&a, format!("id,x\n{}", "1,a\n".repeat(5_000))).expect("written");
    fs::write(&b, "id,x\n2,b\n").expect("written");
    let outcome = block_on(async {
        let rows = open_csv(&[Input::Path(a), Input::Path(b.clone())], &CsvOptions::default()).await;
        fs::write(&b, "x,id\n2,b\n").expect("written");
        collect(rows).await
    });
    assert_eq!(outcome.rows.len(), 5_000);
    assert!(matches!(outcome.error, Some(SourceError::Broke { problem: BrokeProblem::Changed, .. })));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_opened_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pipe, file) = (folder.path().join("pipe"), folder.path().join("a.csv"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    fs::write(&file, "id\n1\n").expect("written");
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, "id\n2\n")
    });
    // Second, so that it is kept open while the first is read.
    let outcome = block_on(async {
        collect(open_csv(&[Input::Path(file), Input::Path(pipe)], &CsvOptions::default()).await).await
    });
    writer.join().expect("it ends").expect("written");
    assert_eq!(outcome.joined(), ["1", "2"]);
}

#[test]
fn an_input_named_twice_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.csv"), "id\n1\n").expect("written");
    let error = read_files(folder.path(), &["a.csv", "*.csv"]).error();
    assert!(error.contains("counted twice"), "{error}");
    let error =
        block_on(async { collect(open_csv(&[Input::Stdin, Input::Stdin], &CsvOptions::default()).await).await });
    assert!(error.error().contains("is the same input as -"), "{}", error.error());
}

#[test]
fn an_input_is_told_from_its_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = folder.path().join("a[1].csv");
    fs::write(&odd, "id\n").expect("written");
    let odd = odd.to_str().expect("UTF-8");
    assert_eq!("-".parse(), Ok(Input::Stdin));
    assert_eq!(odd.parse(), Ok(Input::Path(odd.into())));
    assert_eq!("b[1].csv".parse(), Ok(Input::Glob("b[1].csv".into())));
    assert_eq!("x.csv".parse(), Ok(Input::Path("x.csv".into())));
}

// --- what can't be opened -----------------------------------------------------------------------

#[test]
fn what_is_wrong_with_a_file_is_said_before_reading() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("written");
    write("empty.csv", b"");
    write("blank.csv", b"\n\r\n");
    write("mark.csv", b"\xef\xbb\xbf");
    write("twice.csv", b"id,x,id\n");
    write("noname.csv", b"id,, \n");
    write("excel.csv", b"PK\x03\x04rest");
    write("open.csv", b"id,\"x\n1,2\n");
    write("bytes.csv", b"id,\xff\n1,2\n");
    fs::create_dir(folder.path().join("folder")).expect("made");
    for (name, wanted) in [
        ("none.csv", ": no such file"),
        ("none*.csv", ": no file matches this pattern"),
        ("x[.csv", ": not a file pattern: "),
        ("folder", ": is a directory; name its files, or a pattern like"),
        ("empty.csv", ": is empty: there is no header line"),
        ("blank.csv", ": is empty: there is no header line"),
        ("mark.csv", ": is empty: there is no header line"),
        ("twice.csv", ": the header has the name `id` more than once: columns 1, 3"),
        ("noname.csv", ": the header has no name for column 2, 3"),
        ("excel.csv", ": is a ZIP archive or an Excel workbook, not CSV text"),
        ("open.csv", ": the header can't be read: the quote that opens cell 2 on line 1 is never closed"),
        ("bytes.csv", ": the header can't be read: the name of column 2 is not valid"),
    ] {
        let outcome = read_files(folder.path(), &[name]);
        assert!(outcome.error().contains(wanted), "{name}: {}", outcome.error());
        assert!(outcome.error.is_some_and(|error| error.before_reading()), "{name}");
    }
}

#[test]
fn options_that_cannot_be_are_refused() {
    for (options, wanted) in [
        (CsvOptions { delimiter: Some(b'\n'), ..CsvOptions::default() }, r"`\n` can't be a delimiter"),
        (
            CsvOptions { delimiter: Some(b'"'), quote: Quote::Byte(b'"'), ..CsvOptions::default() },
            "both delimiter and quote",
        ),
        (CsvOptions { delimiter: Some(b'\''), ..CsvOptions::default() }, "only where the quote is said"),
        (CsvOptions { batch_text_bytes: usize::MAX, ..CsvOptions::default() }, "can't have more than 1073741824 bytes"),
        (CsvOptions { encoding: Some("utf-9".into()), ..CsvOptions::default() }, "unknown encoding `utf-9`"),
    ] {
        let error = read_with("a\n", &options).error();
        assert!(error.contains(wanted), "{error}");
    }
    let options = CsvOptions { encoding: Some("latin1".into()), ..CsvOptions::default() };
    let error = read_with("\u{feff}a\n", &options).error();
    assert!(error.contains("is said to be windows-1252, but starts with the byte order mark of UTF-8"), "{error}");
}

// --- what breaks part-way -------------------------------------------------------------------------

#[test]
fn damaged_compressed_data_breaks_after_the_rows_before_it() {
    let text: String =
        "id,x\n".to_owned() + &(0..50_000).map(|n| format!("{n},{}\n", n * 7919 % 10_007)).collect::<String>();
    for mut bytes in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        bytes.truncate(bytes.len() * 3 / 4);
        let outcome = read(&bytes);
        assert!(outcome.rows.len() > 1_000);
        let last = outcome.rows.last().expect("rows").0;
        match outcome.error {
            Some(SourceError::Broke { ref place, problem: BrokeProblem::Corrupt { .. } }) => {
                assert_eq!(place.record, last);
                assert!(place.line > last);
            }
            ref other => panic!("{other:?}"),
        }
    }
    // Also where the whole input fits into the sample.
    let mut bytes = gzip(b"id,x\n1,a\n2,b\n");
    bytes.truncate(bytes.len() - 4);
    let outcome = read(&bytes);
    assert_eq!(outcome.joined(), ["1|a", "2|b"]);
    assert!(outcome.error().contains("the gzip data is damaged or cut off"), "{}", outcome.error());
}

/// A zstd frame that holds `text` as it is, and asks for a window of 2^`log` bytes. RFC 8878, 3.1.1.
fn zstd_frame(log: u8, text: &[u8]) -> Vec<u8> {
    let block_header = (u32::try_from(text.len()).expect("a small block") << 3) | 1;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3];
    frame.extend_from_slice(&block_header.to_le_bytes()[..3]);
    frame.extend_from_slice(text);
    frame
}

#[test]
fn a_zstd_window_of_more_memory_than_a_source_may_take_is_refused_with_what_to_do() {
    assert_eq!(read(zstd_frame(25, b"id,x\n1,a\n")).joined(), ["1|a"]);
    for log in [26, 27, 31] {
        let error = read(zstd_frame(log, b"id,x\n1,a\n")).error();
        assert!(error.contains("needs a window of more than 32 MiB in memory"), "{error}");
        assert!(error.contains("zstdcat FILE | stigg-import run … --csv -"), "{error}");
    }
    // A later frame of a file that began well.
    let outcome = read([zstd_frame(20, b"id,x\n1,a\n"), zstd_frame(27, b"2,b\n")].concat());
    assert!(outcome.error().contains("needs a window of more than 32 MiB"), "{}", outcome.error());
}

#[test]
fn a_bomb_is_stopped() {
    let text = format!("id\n{}", "1\n".repeat(800_000));
    let options = CsvOptions {
        limits: Limits { inflate_free_bytes: 1 << 20, inflate_ratio_max: 100, ..Limits::default() },
        ..CsvOptions::default()
    };
    let outcome = read_with(zstd(text.as_bytes()), &options);
    assert!(matches!(outcome.error, Some(SourceError::Broke { problem: BrokeProblem::Bomb { .. }, .. })));
    assert!(outcome.rows.len() < 700_000);
}

// --- bad rows -------------------------------------------------------------------------------------

#[test]
fn ragged_rows_are_bad_rows_and_the_next_are_read() {
    let outcome = read("a,b\n1\n1,2,3\n1,2\n");
    assert_eq!(
        outcome.reasons(),
        [(1, 2, "the row has 1 cell, the header has 2"), (2, 3, "the row has 3 cells, the header has 2"),]
    );
    assert_eq!(outcome.bad[1].cells, ["1", "2", "3"]);
    assert_eq!(outcome.rows, [(3, 4, vec!["1".to_owned(), "2".to_owned()])]);
}

#[test]
fn text_after_a_closing_quote_is_not_silently_joined() {
    let outcome = read("a,b,c\n\"x\"\"y\",\"12\" pipe,z\n1,5\" pipe,3\n\"p\",\"q\",\"r\"\n\"p\nq\",\"\nz\" ,\n");
    assert_eq!(outcome.joined(), ["1|5\" pipe|3", "p|q|r"]);
    let reasons = outcome.reasons();
    assert_eq!((reasons[0].0, reasons[0].1), (1, 2));
    assert!(reasons[0].2.starts_with("text follows the closing quote of column `b`, which opens on line 2"));
    assert!(reasons[1].2.starts_with("text follows the closing quote of column `b`, which opens on line 6"));
    assert_eq!(reasons[1].1, 5);
}

fn small() -> CsvOptions {
    let limits =
        Limits { field_bytes_max: 20, row_bytes_max: 60, columns_max: 5, bad_row_bytes_max: 16, ..Limits::default() };
    CsvOptions { limits, ..CsvOptions::default() }
}

#[test]
fn over_long_fields_and_rows_are_bad_rows_with_a_bounded_rest() {
    let long = "x".repeat(21);
    let outcome = read_with(
        format!(
            "a,b\n{},1\n1,{long}\n{},1\n\"{}\n\",1\n1,2,3,4,5,6,7\n7,8\n",
            &long[1..],
            "y".repeat(100),
            "z\n".repeat(50)
        ),
        &small(),
    );
    assert_eq!(
        outcome.reasons(),
        [
            (2, 3, "column `b` has 21 bytes, more than the 20 allowed"),
            (3, 4, "the row has more than 60 bytes"),
            (4, 5, "the row has more than 60 bytes"),
            (5, 57, "the row has more than 5 cells, the header has 2"),
        ]
    );
    assert_eq!(outcome.bad[0].cells, ["1", "xxxxxxxxxxxxxxx…"]);
    assert_eq!(outcome.rows.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>(), [(1, 2), (6, 58)]);
}

/// A quote that opens and text without end after it; counts what is taken.
struct Endless {
    head: Cursor<Vec<u8>>,
    left_bytes: usize,
    taken: Arc<AtomicU64>,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut count = self.head.read(out)?;
        if count == 0 {
            count = out.len().min(self.left_bytes);
            self.left_bytes -= count;
            for (at, byte) in out[..count].iter_mut().enumerate() {
                *byte = if at % 64 == 63 { b'\n' } else { b'x' };
            }
        }
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[test]
fn a_quote_that_is_never_closed_names_its_line_in_bounded_memory() {
    // Within the limits.
    let outcome = read("a,b\n1,2\n\"x\ny\",\"open\n3,4\n");
    assert_eq!(outcome.joined(), ["1|2"]);
    assert_eq!((outcome.bad[0].place.record, outcome.bad[0].place.line), (2, 3));
    assert!(
        outcome.bad[0].reason.starts_with("the quote that opens column `b` on line 4 is never closed"),
        "{:?}",
        outcome.bad
    );
    assert_eq!(outcome.bad[0].cells, ["x\ny", "open\n3,4\n"]);

    // Far beyond them.
    let head = Cursor::new(b"a,b\n1,2\n\"x\ny\",\"".to_vec());
    let endless = Endless { head, left_bytes: 8 << 20, taken: Arc::default() };
    let limits = Limits { row_bytes_max: 256 << 10, ..Limits::default() };
    let mut splitter = split::Splitter::new(endless, b',', Some(b'"'), &limits);
    for _ in 0..2 {
        assert_eq!(splitter.next().expect("memory"), split::Split::Record);
    }
    let flaw = split::Flaw::Unclosed { cell: 1, opened_line: 4 };
    assert_eq!(splitter.next().expect("memory"), split::Split::Flawed(flaw));
    assert!(splitter.memory_bytes() < 2 << 20, "{}", splitter.memory_bytes());
    assert_eq!(splitter.next().expect("memory"), split::Split::End);
}

#[test]
fn dropping_the_rows_stops_an_endless_row() {
    let taken = Arc::new(AtomicU64::new(0));
    let head = Cursor::new(b"a,b\n1,2\n\"".to_vec());
    let endless = Endless { head, left_bytes: usize::MAX, taken: taken.clone() };
    block_on(async {
        let rows = open_csv_reader("-", endless, &CsvOptions::default()).await.expect("a header");
        drop(rows);
    });
    let mut before = u64::MAX;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(20));
        let now = taken.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
    panic!("still reading");
}

#[tokio::test]
async fn a_reader_that_dies_is_not_the_end_of_the_rows() {
    struct Dying(Cursor<Vec<u8>>);
    impl Read for Dying {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => panic!("on purpose"),
                count => Ok(count),
            }
        }
    }
    // More than the sample, so that it dies after it was opened.
    let text = format!("id\n{}", "1\n".repeat(SAMPLE_BYTES));
    let outcome = collect(open_csv_reader("-", Dying(Cursor::new(text.into())), &CsvOptions::default()).await).await;
    assert!(matches!(outcome.error, Some(SourceError::Broke { problem: BrokeProblem::Stopped, .. })));
}

#[test]
fn a_header_over_a_limit_is_an_error() {
    for text in ["a,b,c,d,e,f\n".to_owned(), format!("{}\n", "a,".repeat(29))] {
        let error = read_with(text, &small()).error();
        assert!(error.contains("the header can't be read: it has more than 5 columns"), "{error}");
    }
    let error = read(format!("a,{}\n", "x".repeat(1_025))).error();
    assert!(error.contains("the name of column 2 has more than 1024 characters"), "{error}");
}

/// Gives its bytes in pieces of changing size.
struct Pieces {
    bytes: Cursor<Vec<u8>>,
    turn: usize,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = out.len().min([1, 70_000, 3, 4_096, 131_071][self.turn % 5]);
        self.bytes.read(&mut out[..count])
    }
}

#[test]
fn rows_are_the_same_however_their_bytes_arrive() {
    let (mut text, mut wanted, mut line) = ("id,näme\r\n".to_owned(), Vec::new(), 2);
    for n in 1..=6_000_u64 {
        let name = ["é\r\n€", "plain", "\r\n\r\n", "a\"b"][n as usize % 4].repeat(n as usize % 17);
        text += &format!("{n},\"{}\"\r\n", name.replace('"', "\"\""));
        wanted.push((n, line, vec![n.to_string(), name.clone()]));
        line += 1 + lines_of(&name);
    }
    assert!(text.len() > 150 << 10);
    assert!(read(&text).rows == wanted);
    let pieces = Pieces { bytes: Cursor::new(text.into_bytes()), turn: 0 };
    let outcome = block_on(async { collect(open_csv_reader("-", pieces, &CsvOptions::default()).await).await });
    assert!(outcome.rows == wanted && outcome.error.is_none());
}

#[test]
fn progress_counts_bytes_of_all_files_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
    fs::write(&a, gzip(b"id\n1\n")).expect("written");
    fs::write(&b, "id\n2\n").expect("written");
    let total = fs::metadata(&a).expect("there").len() + 5;
    block_on(async {
        let mut rows = open_csv(&[Input::Path(a), Input::Path(b)], &CsvOptions::default()).await.expect("opened");
        assert_eq!((rows.bytes_total(), rows.names().len()), (Some(total), 2));
        while rows.next().await.expect("read").is_some() {}
        assert_eq!(rows.bytes_read(), total);
    });
}

// --- properties -----------------------------------------------------------------------------------

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9 ]{0,8}",
        2 => r#"[a-zäé€😀'"|;,\t.]{0,6}"#,
        1 => r#"[a-z"]{0,3}(\r\n|\n|\r)[a-z"]{0,3}"#,
    ]
}

fn lines_of(text: &str) -> u64 {
    let (cr, lf, both) = (text.matches('\r').count(), text.matches('\n').count(), text.matches("\r\n").count());
    (cr + lf - both) as u64
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
