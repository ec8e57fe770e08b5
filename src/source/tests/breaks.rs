//! What breaks part-way.

use super::*;

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
