//! How fast a million rows come out of each database, and in how much memory:
//! `cargo bench --bench sql`, or `benches/sql_memory.sh`, which says what has to be installed.
//!
//! Starts private servers as the tests do. Each case runs in a process of its own, and fails if
//! its peak memory passes [`PEAK_MIB_MAX`].
#![allow(clippy::print_stdout, reason = "a report is what it's for")]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/databases.rs"]
mod databases;

use std::process::Command;
use std::time::Instant;

use databases::{Engine, Server};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};
use stigg_import::source::{SqlOptions, SqlQuery, open_sql};

/// Rows of each table; the variable `ROWS` says otherwise.
const ROWS: u64 = 1_000_000;

/// Most memory of a process that reads, in MiB. Goal: 96 for a whole import.
const PEAK_MIB_MAX: u64 = 48;

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
    for (name, url) in sources {
        for key in [None, Some("id")] {
            let mut child = Command::new(std::env::current_exe().expect("this program"));
            child.env("BENCH_SQL_URL", &url).env_remove("BENCH_SQL_KEY");
            if let Some(key) = key {
                child.env("BENCH_SQL_KEY", key);
            }
            print!("{name:9} {:9} ", if key.is_some() { "pages" } else { "streamed" });
            std::io::Write::flush(&mut std::io::stdout()).expect("standard output");
            assert!(child.status().expect("it runs").success(), "{name}");
        }
    }
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
    let number = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).expect("it has that line");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    };
    let peak_mib = number("VmHWM:") / 1_024;
    let per_row_us = start.elapsed().as_secs_f64() * 1e6 / count as f64;
    println!("{count} rows, {per_row_us:.2} µs a row, peak {peak_mib} MiB");
    assert!(peak_mib <= PEAK_MIB_MAX, "more than {PEAK_MIB_MAX} MiB");
}
