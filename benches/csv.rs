//! How fast CSV becomes row batches: `cargo bench --bench csv`.
//!
//! `bare_csv_crate` is the floor: the `csv` crate's `ByteRecord`, which checks no encoding, counts
//! no lines and copies nothing into batches.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use stigg_import::source::{CsvOptions, open_csv_reader};

/// Rows of each input.
const ROWS: usize = 200_000;

fn main() {
    divan::main();
}

/// Usage rows of about 53 bytes, cells between `quote`s.
fn usage(quote: &str, end: &str) -> String {
    let mut text = format!("customer_id,feature_id,value,occurred_at{end}");
    let q = quote;
    for n in 0..ROWS {
        let (customer, value, minute) = (n % 50_000, n * 7919 % 100_000, n % 60);
        write!(text, "{q}cus_{customer:06}{q},{q}feature-api-calls{q},{value},2026-01-02T03:{minute:02}:00Z{end}")
            .expect("memory");
    }
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

/// Reads `bytes` to the end; counts rows, and bytes of the plain text.
fn read(bencher: Bencher, bytes: Vec<u8>, text_bytes: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let options = CsvOptions::default();
    bencher
        .counter(ItemsCount::new(ROWS))
        .counter(BytesCount::new(text_bytes))
        .with_inputs(|| Cursor::new(bytes.clone()))
        .bench_local_values(|reader| {
            runtime.block_on(async {
                let mut rows = open_csv_reader("bench", reader, &options).await.expect("it opens");
                let mut count = 0;
                while let Some(batch) = rows.next().await.expect("it reads") {
                    assert!(batch.bad().is_empty());
                    count += batch.len();
                }
                assert_eq!(count, ROWS);
            });
        });
}

#[divan::bench]
fn plain(bencher: Bencher) {
    let text = usage("", "\n");
    let text_bytes = text.len();
    read(bencher, text.into_bytes(), text_bytes);
}

#[divan::bench]
fn quoted_crlf(bencher: Bencher) {
    let text = usage("\"", "\r\n");
    let text_bytes = text.len();
    read(bencher, text.into_bytes(), text_bytes);
}

#[divan::bench]
fn gzipped(bencher: Bencher) {
    let text = usage("", "\n");
    read(bencher, gzip(&text), text.len());
}

#[divan::bench]
fn utf_16(bencher: Bencher) {
    let text = usage("", "\n");
    let bytes = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    read(bencher, bytes, text.len());
}

#[divan::bench]
fn bare_csv_crate(bencher: Bencher) {
    let text = usage("", "\n");
    bencher.counter(ItemsCount::new(ROWS)).counter(BytesCount::new(text.len())).bench_local(|| {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut record = csv::ByteRecord::new();
        let mut count = 0;
        while reader.read_byte_record(&mut record).expect("it reads") {
            count += 1;
        }
        assert_eq!(count, ROWS);
    });
}
