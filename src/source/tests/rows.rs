//! Rows, their lines and their records.

use super::*;

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
