//! Bad rows, limits, and readers that misbehave.

use super::*;

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
