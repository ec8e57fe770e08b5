//! Several inputs, and those that can't be opened.

use super::*;

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

/// Given a file that is longer than what is read ahead, plain and compressed, when somebody goes on writing it, then the
/// reading breaks, and nothing is taken for a row that may be half of one.
#[test]
fn a_file_that_is_written_while_it_is_read_breaks_the_reading() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (0..200_000).map(|number| format!("{number},whole\n")).collect();
    let text = format!("id,x\n{rows}");
    for (name, bytes, more) in
        [("a.csv", text.clone().into_bytes(), b"2,ha".to_vec()), ("a.csv.gz", gzip(text.as_bytes()), gzip(b"2,ha"))]
    {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        let outcome = block_on(async {
            let rows = open_csv(&[Input::Path(path.clone())], &CsvOptions::default()).await;
            let mut file = fs::OpenOptions::new().append(true).open(&path).expect("it is there");
            file.write_all(&more).expect("written");
            collect(rows).await
        });
        assert_eq!(outcome.rows.len(), 200_000, "{name}");
        assert!(outcome.rows.iter().all(|(_, _, cells)| cells[1] == "whole"), "{name}");
        let is_it = matches!(outcome.error, Some(SourceError::Broke { problem: BrokeProblem::ChangedMeanwhile, .. }));
        assert!(is_it, "{name}: {:?}", outcome.error);
    }
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
