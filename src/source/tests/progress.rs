//! How much of the inputs, as they are, the rows came out of that were handed out.

use super::*;

const BATCH_ROWS: usize = 1000;

/// Header and rows, several times as long as what is read ahead.
fn lines() -> Vec<String> {
    let row = |number: usize| format!("cus-{number},Zoë {},{}\n", number * 7919 % 10_007, number * 104_729 % 1_000_003);
    std::iter::once("customer,name,value\n".to_owned()).chain((0..40_000).map(row)).collect()
}

/// Rows handed out and the bytes that they came out of, after each batch; and the size of it all, where it was read to its end.
fn told(files: &[(&str, Vec<u8>)], options: &CsvOptions) -> (Vec<(usize, u64)>, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs: Vec<Input> = files
        .iter()
        .map(|(name, content)| {
            let path = folder.path().join(name);
            fs::write(&path, content).expect("written");
            Input::Path(path)
        })
        .collect();
    block_on(async { watch(open_csv(&inputs, options).await.expect("it opens")).await })
}

async fn watch(mut rows: Rows) -> (Vec<(usize, u64)>, u64) {
    let (mut all, mut told) = (0, Vec::new());
    while let Some(batch) = rows.next().await.expect("it can be read") {
        all += batch.len();
        told.push((all, batch.bytes_read().expect("bytes are counted")));
    }
    let total = rows.bytes_total().expect("files have a size");
    assert_eq!(rows.bytes_read(), total);
    (told, total)
}

fn in_batches() -> CsvOptions {
    CsvOptions { batch_rows: BATCH_ROWS, ..CsvOptions::default() }
}

#[test]
fn what_is_told_of_plain_files_is_where_the_last_row_ends() {
    // Given: two files, the second with a byte order mark.
    let lines = lines();
    let text = lines.concat();
    let marked = format!("\u{feff}{text}");
    // When
    let (told, total) = told(&[("1.csv", text.clone().into()), ("2.csv", marked.into())], &in_batches());
    // Then
    assert_eq!((told.len(), total), (80, 2 * text.len() as u64 + 3));
    for (rows, bytes) in told {
        let first = if rows > 40_000 { text.len() + 3 } else { 0 };
        let up_to: usize = lines[..=rows - rows / 40_001 * 40_000].iter().map(String::len).sum();
        assert_eq!(bytes, (first + up_to) as u64, "after {rows} rows");
    }
}

#[test]
fn what_is_told_of_another_encoding_is_in_bytes_of_that_encoding() {
    // Given
    let text = lines().concat();
    let mut with_mark = vec![0xff, 0xfe];
    with_mark.extend(utf16(&text, true));
    let latin: Vec<u8> = text.chars().map(|char| u8::try_from(u32::from(char)).expect("it is Latin-1")).collect();
    for (name, content) in [("UTF-16", with_mark), ("Latin-1", latin)] {
        // When
        let (told, total) = told(&[("a.csv", content.clone())], &in_batches());
        // Then
        assert_eq!((told.len(), total), (40, content.len() as u64));
        let ends: Vec<usize> = (0..content.len()).filter(|at| content[*at] == b'\n').collect();
        for (rows, bytes) in told {
            let really = ends[rows] as u64 + 1;
            assert!(bytes.abs_diff(really) < 400, "{name}: after {rows} rows: {bytes} instead of {really}");
        }
    }
}

#[test]
fn what_is_told_of_a_compressed_file_is_its_share_of_the_rows() {
    // Given: a file that is as dense all along, several times as long as what is read ahead of it.
    let row =
        |number: usize| format!("{number:05},{:05},{:07}\n", number * 7919 % 10_007, number * 104_729 % 1_000_003);
    let text = format!("customer,name,value\n{}", (0..40_000).map(row).collect::<String>());
    for (name, content) in [("gzip", gzip(text.as_bytes())), ("zstd", zstd(text.as_bytes()))] {
        // When
        let (told, total) = told(&[("a.csv", content.clone())], &in_batches());
        // Then
        assert_eq!((told.len(), total), (40, content.len() as u64));
        for (rows, bytes) in told {
            let (share, of_rows) = (bytes as f64 / total as f64, rows as f64 / 40_000.0);
            // Within the first block of zstd, 128 KiB or 6,899 rows, nothing is known of the proportion.
            let least = if rows < 7000 { 0.0 } else { of_rows - 0.02 };
            assert!((least..of_rows + 0.02).contains(&share), "{name}: after {rows} rows: {share:.3}, {of_rows:.3}");
        }
    }
}

#[test]
fn what_is_told_never_goes_back() {
    // Given: what is hard to compress, and then what is easy.
    let mut text = lines().concat();
    for number in 0..40_000 {
        text += &format!("cus,name,{}\n", number % 2);
    }
    // When
    let (told, _) = told(&[("a.csv", zstd(text.as_bytes()))], &in_batches());
    // Then
    assert_eq!(told.len(), 80);
    assert!(told.is_sorted_by_key(|(_, bytes)| *bytes), "{told:?}");
}

#[test]
fn what_is_told_of_json_is_where_the_last_record_ends() {
    // Given
    let records: Vec<String> = (0..40_000).map(|number| format!("{{\"a\":{number},\"b\":\"Zoë\"}}")).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["a".to_owned(), "b".to_owned()];
    for (before, between, after) in [("", "\n", "\n"), ("{\"n\":1,\"data\":[", ", ", "],\"more\":false}\n")] {
        let path = folder.path().join("a.json");
        fs::write(&path, format!("{before}{}{after}", records.join(between))).expect("written");
        let options = JsonOptions { batch_rows: BATCH_ROWS, ..JsonOptions::default() };
        // When
        let (told, total) =
            block_on(async { watch(open_json(&[Input::Path(path)], &options, &names).await.expect("it opens")).await });
        // Then
        assert_eq!(told.len(), 40);
        // A line is taken with its end; the comma and the bracket behind an item come with what follows.
        let line_end = if before.is_empty() { 1 } else { 0 };
        for (rows, bytes) in told {
            let up_to: usize = records[..rows].iter().map(|record| record.len() + between.len()).sum();
            assert_eq!(bytes, (before.len() + up_to - between.len() + line_end) as u64, "after {rows} rows");
        }
        assert!(total > 800_000, "{total}");
    }
}

#[test]
fn bytes_are_those_of_all_files_as_they_are() {
    let plain = "id\n2\n";
    let (told, total) = told(&[("1.csv", gzip(b"id\n1\n")), ("2.csv", plain.into())], &CsvOptions::default());
    let compressed = gzip(b"id\n1\n").len() as u64;
    assert_eq!((told, total), (vec![(1, compressed), (2, compressed + 5)], compressed + 5));
}

#[test]
fn rows_before_a_break_are_told_of_too() {
    // Given: a JSON file that breaks in its last line.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.json");
    fs::write(&path, "{\"a\":1}\n{\"a\":2}\n{\"a\":").expect("written");
    block_on(async {
        let mut rows =
            open_json(&[Input::Path(path)], &JsonOptions::default(), &["a".to_owned()]).await.expect("opens");
        // When
        let batch = rows.next().await.expect("two rows are whole").expect("there they are");
        // Then
        assert_eq!((batch.len(), batch.bytes_read()), (2, Some(16)));
        assert!(rows.next().await.is_err());
    });
}
