//! How fast a million rows come out of each database, and in how much memory:
//! `cargo bench --bench sql`, or `benches/sql_memory.sh`, which says what has to be installed.
//!
//! Starts private servers as the tests do. Each case runs in a process of its own, and fails if
//! its peak memory passes [`PEAK_MIB_MAX`]. Then the program itself imports a tenth of the rows and all of them
//! into its own sandbox, twice; it fails past [`IMPORT_PEAK_MIB_MAX`] and [`GROWTH_BYTES_MAX`].
#![allow(clippy::print_stdout, reason = "a report is what it's for")]

#[expect(dead_code, reason = "the tests use more of it; the build says so if they no longer do")]
#[path = "../tests/it/databases.rs"]
mod databases;

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use databases::{Engine, Server};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};
use stigg_import::source::{SqlOptions, SqlQuery, open_sql};

/// Rows of each table; the variable `ROWS` says otherwise.
const ROWS: u64 = 1_000_000;

/// Most memory of a process that reads, in MiB. Goal: 96 for a whole import.
const PEAK_MIB_MAX: u64 = 48;

/// Most memory of a whole import, in MiB.
const IMPORT_PEAK_MIB_MAX: u64 = 96;

/// Most memory for each record more, in bytes.
const GROWTH_BYTES_MAX: f64 = 32.0;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stigg-import");

const COLUMNS: &str = "id bigint primary key, customer_id varchar(20), quantity integer, amount numeric(12,2),
    at timestamp null, note text";

fn main() {
    if let Ok(url) = std::env::var("BENCH_SQL_URL") {
        return read(&url, std::env::var("BENCH_SQL_KEY").ok());
    }
    let rows = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS);
    let postgres = Server::start(Engine::Postgres);
    postgres.run_sql(
        "test",
        &format!(
            "CREATE TABLE usage_rows ({COLUMNS}); INSERT INTO usage_rows SELECT n, 'cus_' || n % 50000, n % 1000,
             n / 100.0, timestamp '2026-01-01' + n * interval '1 second', 'api call' FROM generate_series(1, {rows}) AS n;
             ANALYZE usage_rows"
        ),
    );
    let mariadb = Server::start(Engine::MariaDb);
    mariadb.run_sql(
        "test",
        &format!(
            "CREATE TABLE usage_rows ({COLUMNS}); INSERT INTO usage_rows SELECT seq, concat('cus_', seq % 50000), seq % 1000,
             seq / 100, timestamp('2026-01-01') + interval seq second, 'api call' FROM seq_1_to_{rows}"
        ),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("usage.db");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut connection = options.connect().await.expect("a database");
        let fill = format!(
            "CREATE TABLE usage_rows ({COLUMNS}); INSERT INTO usage_rows
             WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT {rows})
             SELECT n, 'cus_' || n % 50000, n % 1000, n / 100.0, datetime('2026-01-01', n || ' seconds'), 'api call' FROM s"
        );
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(fill))).await.expect("it runs");
    });
    let sources = [
        ("postgres", postgres.url("test")),
        ("mariadb", mariadb.url("test")),
        ("sqlite", format!("sqlite:{}", file.display())),
    ];
    for (name, url) in &sources {
        for key in [None, Some("id")] {
            let mut child = Command::new(std::env::current_exe().expect("this program"));
            child.env("BENCH_SQL_URL", url).env_remove("BENCH_SQL_KEY");
            if let Some(key) = key {
                child.env("BENCH_SQL_KEY", key);
            }
            print!("{name:9} {:9} ", if key.is_some() { "pages" } else { "streamed" });
            std::io::Write::flush(&mut std::io::stdout()).expect("standard output");
            assert!(child.status().expect("it runs").success(), "{name}");
        }
    }
    for (kind, url) in &sources {
        import(kind, url, rows);
    }
}

/// Imports a tenth of the rows, and all of them, each twice.
fn import(kind: &str, url: &str, rows: u64) {
    let peaks = [rows / 10, rows].map(|rows| {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).expect("a file");
        write("customers.toml", "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"note\"\n".to_owned());
        let query = format!("select id, note from usage_rows where id <= {rows}");
        write(
            "pipeline.toml",
            format!(
                "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\n\
                 source = {{ {kind} = \"${{DB}}\", query = \"{query}\", key = \"id\" }}\n"
            ),
        );
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let mut sandbox = Command::new(PROGRAM)
            .args(["sandbox", "--rate-scale", "1000000", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        let peaks = ["accepted", "unchanged"].map(|expected| {
            let start = Instant::now();
            let mut child = Command::new(PROGRAM)
                .args(["run", "pipeline.toml", "--json", "-q", "--rate-scale", "1000000", "--target"])
                .arg(format!("http://127.0.0.1:{port}/graphql"))
                .env("DB", url)
                .current_dir(folder.path())
                .stdout(Stdio::piped())
                .spawn()
                .expect("it starts");
            let status = format!("/proc/{}/status", child.id());
            let mut peak_kib = 0;
            while child.try_wait().expect("it can be waited for").is_none() {
                // The number only grows; it is gone once the process has ended.
                peak_kib = std::fs::read_to_string(&status).map_or(0, |status| number(&status, "VmHWM:")).max(peak_kib);
                thread::sleep(Duration::from_millis(2));
            }
            let mut summary = String::new();
            child.stdout.take().expect("it is piped").read_to_string(&mut summary).expect("text");
            assert!(summary.contains(&format!("\"{expected}\": {rows},")), "{kind}: {summary}");
            let peak_mib = peak_kib as f64 / 1024.0;
            println!(
                "{kind:9} import    {rows} rows {expected}, {:.1} s, peak {peak_mib:.1} MiB",
                start.elapsed().as_secs_f64()
            );
            assert!(peak_kib <= IMPORT_PEAK_MIB_MAX * 1024, "more than {IMPORT_PEAK_MIB_MAX} MiB");
            peak_kib
        });
        sandbox.kill().and_then(|()| sandbox.wait()).expect("it ends");
        peaks
    });
    for (what, run) in [("import", 0), ("the same again", 1)] {
        let growth = (peaks[1][run] as f64 - peaks[0][run] as f64) * 1024.0 / (rows - rows / 10) as f64;
        println!("{kind:9} {what} grows by {growth:.1} bytes for each record");
        assert!(growth <= GROWTH_BYTES_MAX, "more than {GROWTH_BYTES_MAX} bytes");
    }
}

fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn read(url: &str, key: Option<String>) {
    let options = SqlOptions { key, ..SqlOptions::new(url.into(), SqlQuery::Table("usage_rows".to_owned())) };
    let start = Instant::now();
    let count = tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let mut rows = open_sql("bench", &options).await.expect("it opens");
        let mut count = 0;
        while let Some(batch) = rows.next().await.expect("it reads") {
            assert!(batch.bad().is_empty());
            count += batch.len();
        }
        count
    });
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak_mib = number(&status, "VmHWM:") / 1_024;
    let per_row_us = start.elapsed().as_secs_f64() * 1e6 / count as f64;
    println!("{count} rows, {per_row_us:.2} µs a row, peak {peak_mib} MiB");
    assert!(peak_mib <= PEAK_MIB_MAX, "more than {PEAK_MIB_MAX} MiB");
}
