//! Databases as sources, against real servers.

use std::path::Path;
use std::time::Duration;

use stigg_import::source::{Mark, OpenProblem, Rows, SourceError, SqlOptions, SqlQuery, open_sql};

use crate::databases::{Engine, PASSWORD, Server, left_out, shared};

type Cells = Vec<Option<String>>;

fn query(url: &str, sql: &str) -> SqlOptions {
    SqlOptions::new(url.into(), SqlQuery::Query(sql.to_owned()))
}

async fn all(mut rows: Rows) -> Result<Vec<Cells>, SourceError> {
    let mut cells = Vec::new();
    while let Some(batch) = rows.next().await? {
        assert!(batch.bad().is_empty(), "{:?}", batch.bad());
        for row in batch.rows() {
            assert_eq!(row.record(), cells.len() as u64 + 1);
            cells.push(row.cells().map(|cell| cell.map(str::to_owned)).collect());
        }
    }
    Ok(cells)
}

async fn read(options: &SqlOptions) -> Vec<Cells> {
    all(open_sql("q", options).await.expect("it opens")).await.expect("it reads")
}

async fn refused(options: &SqlOptions) -> SourceError {
    let error = match open_sql("billing", options).await {
        Err(error) => error,
        Ok(rows) => all(rows).await.expect_err("it can't be read"),
    };
    assert!(!format!("{error} {error:?}").contains(PASSWORD), "the password is in {error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "the password is in {error:?}");
    error
}

fn sqlite_chinook() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chinook/Chinook_Sqlite.sqlite");
    format!("sqlite:{}", file.display())
}

fn mapping(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/chinook").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn chinook_gives_the_same_cells_from_every_database() {
    if left_out() {
        return;
    }
    let (postgres, mariadb) = (shared(Engine::Postgres), shared(Engine::MariaDb));
    let sources =
        [("sqlite", sqlite_chinook()), ("postgres", postgres.url("chinook")), ("mysql", mariadb.url("Chinook"))];
    let mut customers = Vec::new();
    let mut usage = Vec::new();
    for (name, url) in &sources {
        for (entity, key, seen) in [("customers", "CustomerId", &mut customers), ("usage", "InvoiceLineId", &mut usage)]
        {
            let sql = mapping(&format!("{entity}-{name}.sql"));
            let streamed = read(&query(url, &sql)).await;
            let paged = SqlOptions { key: Some(key.to_owned()), page_rows: 100, ..query(url, &sql) };
            assert_eq!(read(&paged).await, streamed, "{entity} of {name}: pages");
            seen.push(streamed);
        }
    }
    assert_eq!(customers[0].len(), 59);
    assert_eq!(usage[0].len(), 2_240);
    let quantity = |row: &Cells| row[3].as_ref().expect("not NULL").parse::<u64>().expect("a number");
    assert_eq!(usage[0].iter().map(quantity).sum::<u64>(), 2_240);
    for at in 1..sources.len() {
        assert_eq!(customers[at], customers[0], "customers of {}", sources[at].0);
        assert_eq!(usage[at], usage[0], "usage of {}", sources[at].0);
    }
}

/// Every row of a table, with the oracle's cells.
async fn compare(server: &Server, table: &str, columns: &[(&str, &str, &str)], expected: &[(&str, &str)]) {
    // Given: a column of each type, in a row with the value, and in a row of NULLs.
    let definitions: Vec<_> = columns.iter().map(|(name, kind, _)| format!("{name} {kind}")).collect();
    let values: Vec<_> = columns.iter().map(|(_, _, value)| *value).collect();
    server.run_sql("test", &format!("CREATE TABLE {table} (n integer, {})", definitions.join(", ")));
    server.run_sql("test", &format!("INSERT INTO {table} VALUES (1, {})", values.join(", ")));
    server.run_sql("test", &format!("INSERT INTO {table} (n) VALUES (2)"));

    // When
    let mut options = query(&server.url("test"), &format!("SELECT * FROM {table} ORDER BY n"));
    let streamed = read(&options).await;
    options = SqlOptions { query: SqlQuery::Table(table.to_owned()), key: Some("n".to_owned()), ..options };
    assert_eq!(read(&options).await, streamed, "paged");

    // Then
    for (at, (name, kind, value)) in columns.iter().enumerate() {
        let cast = if server.url("").starts_with("postgres") { "text" } else { "char" };
        let printed = server.client("test", &format!("SELECT CAST({name} AS {cast}) FROM {table} WHERE n = 1"));
        let oracle = expected.iter().find(|(known, _)| known == name).map_or(printed.as_str(), |(_, text)| *text);
        assert_eq!(streamed[0][at + 1].as_deref(), Some(oracle), "{name} {kind} of {value}");
        assert_eq!(streamed[1][at + 1], None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_values_are_what_the_server_prints() {
    if left_out() {
        return;
    }
    let server = shared(Engine::Postgres);
    server.run_sql(
        "test",
        "CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN cents AS bigint",
    );
    let columns = [
        ("i2", "smallint", "-32768"),
        ("i4", "integer", "2147483647"),
        ("i8", "bigint", "-9223372036854775808"),
        ("dom", "cents", "9007199254740993"),
        ("num", "numeric", "12345678901234567890.123456789012345678900"),
        ("num2", "numeric(10,2)", "0.10"),
        ("num3", "numeric", "'NaN'"),
        ("num4", "numeric", "1e-30"),
        ("f4", "real", "0.1"),
        ("f42", "real", "16777216"),
        ("f8", "double precision", "0.1"),
        ("f82", "double precision", "1e300"),
        ("f83", "double precision", "'-Infinity'"),
        ("f84", "double precision", "123456789.123456789"),
        ("b", "boolean", "false"),
        ("t", "text", "E'ünïcode\\t''x'''"),
        ("empty", "text", "''"),
        ("v", "varchar(20)", "'v  '"),
        ("c", "char(5)", "'ab'"),
        ("ci", "citext", "'MiXed'"),
        ("u", "uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"),
        ("d", "date", "'2024-02-29'"),
        ("d2", "date", "'infinity'"),
        ("tm", "time", "'23:59:59.5'"),
        ("ttz", "timetz", "'23:59:59+02'"),
        ("ts", "timestamp", "'2021-01-01 00:00:00'"),
        ("ts2", "timestamp", "'2021-01-01 01:02:03.120000'"),
        ("tz", "timestamptz", "'2021-06-01 01:02:03.000001+02'"),
        ("tz2", "timestamptz", "'infinity'"),
        ("tz3", "timestamptz", "'0044-03-15 12:00:00+00 BC'"),
        ("j", "json", "'{\"a\" :  1.10}'"),
        ("jb", "jsonb", "'{\"a\" :  1.10}'"),
        ("e", "mood", "'ok'"),
        ("iv", "interval", "'1 year 2 mons 3 days 04:05:06.7'"),
        ("m", "money", "1234.50"),
        ("ip", "inet", "'10.0.0.1/24'"),
        ("r", "int4range", "'[1,5)'"),
        ("bits", "bit varying", "B'101'"),
        ("ai", "integer[]", "'{1,NULL,3}'"),
        ("at", "text[]", "'{\"a b\",\"\\\"q\\\"\"}'"),
        ("an", "numeric[]", "'{1.10,12345678901234567890.5}'"),
        ("ae", "mood[]", "'{ok,sad}'"),
    ];
    let differences = [
        ("tz", "2021-05-31T23:02:03.000001Z"),
        ("m", "1234.50"),
        ("ai", "[1,null,3]"),
        ("at", r#"["a b","\"q\""]"#),
        ("an", "[1.10,12345678901234567890.5]"),
        ("ae", r#"["ok","sad"]"#),
    ];
    compare(server, "kinds", &columns, &differences).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_values_are_what_the_server_prints() {
    if left_out() {
        return;
    }
    let server = shared(Engine::MariaDb);
    let columns = [
        ("i1", "tinyint", "-128"),
        ("u1", "tinyint unsigned", "255"),
        ("flag", "tinyint(1)", "1"),
        ("b", "boolean", "false"),
        ("i2", "smallint", "-32768"),
        ("u2", "smallint unsigned", "65535"),
        ("i3", "mediumint", "-8388608"),
        ("u3", "mediumint unsigned", "16777215"),
        ("i4", "int", "-2147483648"),
        ("u4", "int unsigned", "4294967295"),
        ("i8", "bigint", "-9223372036854775808"),
        ("u8", "bigint unsigned", "18446744073709551615"),
        ("num", "decimal(65,30)", "12345678901234567890123456789012345.123456789012345678901234567891"),
        ("num2", "decimal(10,2)", "0.10"),
        ("f4", "float", "0.1"),
        ("f42", "float", "16777217"),
        ("f8", "double", "0.1"),
        ("f82", "double", "1e300"),
        ("f83", "double", "123456789.123456789"),
        ("t", "text", "'ünïcode 😀 ''x'''"),
        ("empty", "varchar(5)", "''"),
        ("v", "varchar(20)", "'v  '"),
        ("vb", "varchar(20) collate utf8mb4_bin", "'bin'"),
        ("l1", "varchar(20) character set latin1", "'é'"),
        ("c", "char(5)", "'ab'"),
        ("e", "enum('sad','ok')", "'ok'"),
        ("s", "set('a','b','c')", "'a,c'"),
        ("u", "uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        ("j", "json", "'{\"a\" :  1.10}'"),
        ("d", "date", "'2024-02-29'"),
        ("tm", "time", "'-838:59:59'"),
        ("tm2", "time(6)", "'01:02:03.500000'"),
        ("dt", "datetime", "'2021-01-01 00:00:00'"),
        ("dt6", "datetime(6)", "'2021-01-01 01:02:03.120000'"),
        ("ts", "timestamp null", "'2021-06-01 01:02:03'"),
        ("y", "year", "2024"),
        ("bits", "bit(10)", "b'1000000001'"),
        ("long1", "longtext", "'long'"),
    ];
    let differences = [
        ("f42", "16777216"),
        ("f82", "1e300"),
        ("tm2", "01:02:03.5"),
        ("dt6", "2021-01-01 01:02:03.12"),
        ("ts", "2021-06-01T01:02:03Z"),
        ("bits", "513"),
    ];
    compare(server, "kinds", &columns, &differences).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_refused_before_reading_with_column_and_type() {
    if left_out() {
        return;
    }
    let cases = [
        (shared(Engine::Postgres).url("test"), "select 1 as a, '\\x00'::bytea as photo", "`photo` is of type bytea"),
        (shared(Engine::MariaDb).url("test"), "select 1 as a, x'00ff' as photo", "`photo` is of type varbinary"),
    ];
    for (url, sql, words) in cases {
        let error = refused(&query(&url, sql)).await;
        assert!(error.before_reading() && error.to_string().contains(words), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_before_reading_and_without_the_password() {
    if left_out() {
        return;
    }
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let server = shared(engine);
        let url = server.url("test");
        let elsewhere = |from: &str, to: &str| {
            assert!(url.contains(from), "{url}");
            query(&url.replace(from, to), "select 1 as id")
        };
        let port = format!(":{}/", server.port());
        let verified = match engine {
            Engine::Postgres => "/test?sslmode=verify-full",
            Engine::MariaDb => "/test?ssl-mode=VERIFY_IDENTITY",
        };
        let keyed = |sql: &str, key: &str| SqlOptions { key: Some(key.to_owned()), ..query(&url, sql) };
        let cases = [
            (elsewhere("s3cret", "wrong-s3cret"), "refuses the login"),
            (elsewhere("stigg:", "nobody:"), "refuses the login"),
            (elsewhere(&port, ":1/"), "can't be reached"),
            (elsewhere("/test", "/nowhere"), "can't be reached"),
            (elsewhere("/test", verified), "can't be reached"),
            (elsewhere("/test", "/test?sslmod=verify-ca"), "unknown parameter `sslmod`"),
            (query(&url, "selec 1"), "can't be run"),
            (query(&url, "select nothing from nowhere"), "can't be run"),
            (query(&url, "select 1 as a, 2 as a"), "`a` is there more than once"),
            (keyed("select 1 as customer_id", "customerid"), "did you mean `customer_id`?"),
            (keyed("select cast(null as char(3)) as id", "id"), "`id` is NULL in a row"),
            (keyed("select 1 as id union all select 1", "id"), "`id` has the same value in two rows"),
            (keyed("select cast(1 as double precision) as id", "id"), "can't be the `key` column"),
        ];
        for (options, words) in cases {
            let error = refused(&options).await;
            // MariaDB has no such cast, and says so.
            let words = if engine == Engine::MariaDb && words.contains("`key` column") { "can't be" } else { words };
            assert!(error.before_reading() && error.to_string().contains(words), "{engine:?}: {error}\nnot: {words}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_taken_by_itself_and_checked_where_the_address_says_so() {
    if left_out() {
        return;
    }
    let (postgres, mariadb) = (shared(Engine::Postgres), shared(Engine::MariaDb));
    let certificate = |server: &Server| server.certificate().display().to_string();
    let cases = [
        (
            postgres.url("test"),
            "select ssl::text as tls from pg_stat_ssl where pid = pg_backend_pid()",
            "?sslmode=disable",
            format!("?sslmode=verify-full&sslrootcert={}", certificate(postgres)),
            "?sslmode=verify-full",
        ),
        (
            mariadb.url("test"),
            "select case variable_value when '' then 'false' else 'true' end as tls
             from information_schema.session_status where variable_name = 'Ssl_cipher'",
            "?ssl-mode=DISABLED",
            format!("?ssl-mode=VERIFY_IDENTITY&ssl-ca={}", certificate(mariadb)),
            "?ssl-mode=VERIFY_IDENTITY",
        ),
    ];
    for (url, sql, without, verified, unknown) in cases {
        for (mode, tls) in [("", "true"), (without, "false"), (&*verified, "true")] {
            assert_eq!(read(&query(&format!("{url}{mode}"), sql)).await, [[Some(tls.to_owned())]], "{mode}");
        }
        let error = refused(&query(&format!("{url}{unknown}"), sql)).await;
        assert!(error.before_reading() && error.to_string().contains("can't be reached"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_changes_nothing() {
    if left_out() {
        return;
    }
    let server = shared(Engine::Postgres);
    server.run_sql("test", "CREATE TABLE kept (n integer); INSERT INTO kept VALUES (1)");
    for sql in ["delete from kept returning n", "with gone as (delete from kept returning n) select n from gone"] {
        let error = refused(&query(&server.url("test"), sql)).await;
        assert!(error.before_reading(), "{error}");
    }
    assert_eq!(server.client("test", "SELECT count(*) FROM kept"), "1");

    let server = shared(Engine::MariaDb);
    server.run_sql("test", "CREATE TABLE kept (n integer); INSERT INTO kept VALUES (1)");
    let error = refused(&query(&server.url("test"), "delete from kept returning n")).await;
    assert!(error.before_reading(), "{error}");
    assert_eq!(server.client("test", "SELECT count(*) FROM kept"), "1");
}

/// 3,000 rows with keys that aren't in the order of their numbers.
fn fill_many(server: &Server, table: &str) {
    let sequence = match server.url("").starts_with("postgres") {
        true => "SELECT s AS n FROM generate_series(1, 3000) AS s",
        false => "SELECT seq AS n FROM seq_1_to_3000",
    };
    server.run_sql(
        "test",
        &format!(
            "CREATE TABLE {table} (id varchar(20) PRIMARY KEY, price numeric(20,6) NOT NULL, big bigint NOT NULL,
                at timestamp NULL, name varchar(100));
             INSERT INTO {table} SELECT concat('cus_', n), n / 7.0 - 100, n * 3000000000, NULL, concat('name ', n)
                FROM ({sequence}) AS numbers"
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_give_each_row_once_whatever_the_key() {
    if left_out() {
        return;
    }
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let server = shared(engine);
        fill_many(server, "many");
        for key in ["id", "price", "big"] {
            let ordered = read(&query(&server.url("test"), &format!("select * from many order by {key}"))).await;
            assert_eq!(ordered.len(), 3_000);
            // The last has many connections, and each takes a while in a debug build.
            for (page_rows, page_text_bytes) in [(1_000, 1 << 20), (999, 1 << 20), (900, 12_000)] {
                if key != "id" && page_text_bytes < 1 << 20 {
                    continue;
                }
                let options = SqlOptions {
                    key: Some(key.to_owned()),
                    page_rows,
                    page_text_bytes,
                    batch_rows: 100,
                    ..SqlOptions::new(server.url("test").into(), SqlQuery::Table("many".to_owned()))
                };
                assert!(read(&options).await == ordered, "{engine:?} by {key}, {page_rows} rows a page");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_changes_at_or_after_the_mark_are_read() {
    if left_out() {
        return;
    }
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let server = shared(engine);
        let kind = if engine == Engine::Postgres { "timestamptz" } else { "datetime(6)" };
        server.run_sql(
            "test",
            &format!(
                "CREATE TABLE changes (id integer PRIMARY KEY, updated_at {kind} NULL);
                 INSERT INTO changes VALUES (1, '2026-01-01 00:00:00'), (2, '2026-01-03 00:00:00.5'),
                    (3, NULL), (4, '2026-01-02 00:00:00'), (5, '2026-01-03 00:00:00.5'), (6, '2026-01-02 23:59:30'),
                    (7, '2999-01-01 00:00:00')"
            ),
        );
        for key in [None, Some("id".to_owned())] {
            let first = SqlOptions {
                key,
                changed: Some("updated_at".to_owned()),
                page_rows: 2,
                ..SqlOptions::new(server.url("test").into(), SqlQuery::Table("changes".to_owned()))
            };

            // When: all are read, then only what changed.
            let (ids, mark) = ids_and_mark(&first).await;
            let mark = mark.expect("rows have changes");
            let later = SqlOptions { since: Some(Mark(mark.clone())), ..first.clone() };
            let (later_ids, later_mark) = ids_and_mark(&later).await;
            let exact = SqlOptions { changed_margin: 0, ..later.clone() };

            // Then: the row of the far future is no mark, and what was never changed always comes.
            let sorted = |mut ids: Vec<u32>| {
                ids.sort_unstable();
                ids
            };
            assert_eq!(sorted(ids), [1, 2, 3, 4, 5, 6, 7]);
            assert!(mark.starts_with("2026-01-03"), "{mark}");
            assert_eq!(later_mark.as_deref(), Some(&*mark));
            assert_eq!(sorted(later_ids), [2, 3, 5, 6, 7], "{engine:?}");
            assert_eq!(sorted(ids_and_mark(&exact).await.0), [2, 3, 5, 7], "{engine:?}");
        }
    }
}

async fn ids_and_mark(options: &SqlOptions) -> (Vec<u32>, Option<String>) {
    let mut rows = open_sql("q", options).await.expect("it opens");
    let (mut ids, mut mark) = (Vec::new(), None);
    while let Some(batch) = rows.next().await.expect("it reads") {
        ids.extend(batch.rows().map(|row| row.cell(0).expect("a key").parse::<u32>().expect("a number")));
        mark = batch.mark().map(str::to_owned);
    }
    (ids, mark)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_ends_the_rows_with_the_record_reached_and_a_restarted_one_goes_on() {
    if left_out() {
        return;
    }
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let mut server = Server::start(engine);
        fill_many(&server, "many");
        let options = SqlOptions {
            key: Some("big".to_owned()),
            page_rows: 500,
            // More batches than are read ahead: the reader waits in the middle of a page.
            batch_rows: 50,
            reconnects_max: 1,
            ..SqlOptions::new(server.url("test").into(), SqlQuery::Table("many".to_owned()))
        };

        // When: it's killed after the first batch, and started again later.
        let mut rows = open_sql("billing", &options).await.expect("it opens");
        let mut count = rows.next().await.expect("it reads").expect("there are rows").len() as u64;
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.kill();
        let error = loop {
            match rows.next().await {
                Ok(batch) => count += batch.expect("it doesn't end").len() as u64,
                Err(error) => break error,
            }
        };

        // Then: what was read was handed out.
        let SourceError::Broke { place, .. } = &error else { panic!("{error}") };
        assert_eq!(place.record, count, "{error}");
        assert!((500..3_000).contains(&count), "{count}");
        assert!(rows.next().await.expect("no second error").is_none());
        let down = refused(&options).await;
        assert!(matches!(down, SourceError::Open { problem: OpenProblem::Unreachable(_), .. }), "{down}");

        // When: it's started again between two pages of a reader.
        server.start_again();
        let mut rows = open_sql("billing", &options).await.expect("it opens");
        let mut count = rows.next().await.expect("it reads").expect("there are rows").len();
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.kill();
        server.start_again();
        while let Some(batch) = rows.next().await.expect("it makes a new connection") {
            count += batch.len();
        }

        // Then
        assert_eq!(count, 3_000, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_connection_is_lost_part_way_comes_once() {
    if left_out() {
        return;
    }
    // Given: for a while, the server ends the connection in the middle of the page.
    let server = shared(Engine::Postgres);
    fill_many(server, "lost");
    let until = server.client("test", "SELECT clock_timestamp() + interval '1.5 seconds'");
    let sql = format!(
        "select id, case when id = 'cus_500' and clock_timestamp() < '{until}'
            then pg_terminate_backend(pg_backend_pid()) end as ended
         from lost order by id"
    );
    let options = SqlOptions { key: Some("id".to_owned()), batch_rows: 50, ..query(&server.url("test"), &sql) };

    // When
    let rows = read(&options).await;

    // Then
    assert!(rows == read(&query(&server.url("test"), &sql)).await);
    assert_eq!(rows.len(), 3_000);

    // And without a further try, it's an error that is said.
    let until = server.client("test", "SELECT clock_timestamp() + interval '1 hour'");
    let sql = sql.replace("clock_timestamp() <", &format!("clock_timestamp() < '{until}' or '' ="));
    let options = SqlOptions { reconnects_max: 0, ..query(&server.url("test"), &sql) };
    let error = refused(&options).await;
    assert!(error.to_string().contains("terminating connection"), "{error}");
    assert!(matches!(&error, SourceError::Broke { place, .. } if place.record > 0), "{error}");
}

pub mod sqlite {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, Executor};

    use super::*;

    /// A new database `billing.db` in this folder.
    pub async fn database(folder: &Path, sql: &'static str) -> String {
        let file = folder.join("billing.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut connection = options.connect().await.expect("a database");
        connection.execute(sqlx::raw_sql(sql)).await.expect("it runs");
        format!("sqlite:{}", file.display())
    }

    #[tokio::test]
    async fn a_value_is_as_it_is_stored() {
        let folder = tempfile::tempdir().expect("a folder");
        let sql = "CREATE TABLE t (n INTEGER PRIMARY KEY, v, b BOOLEAN, d DATETIME);
            INSERT INTO t VALUES (1, 9223372036854775807, true, '2021-01-01 00:00:00'), (2, 0.1, 0, 1700000000),
                (3, 2.0, NULL, NULL), (4, '', 'yes', ''), (5, NULL, 1, 2.5), (6, 'ünï', 1, 1), (7, 1e300, 1, 1)";
        let url = database(folder.path(), sql).await;
        let rows = read(&query(&url, "select v, b, d from t order by n")).await;
        let expected = [
            [Some("9223372036854775807"), Some("1"), Some("2021-01-01 00:00:00")],
            [Some("0.1"), Some("0"), Some("1700000000")],
            [Some("2"), None, None],
            [Some(""), Some("yes"), Some("")],
            [None, Some("1"), Some("2.5")],
            [Some("ünï"), Some("1"), Some("1")],
            [Some("1e300"), Some("1"), Some("1")],
        ];
        assert_eq!(rows, expected.map(|row| row.map(|cell| cell.map(str::to_owned)).to_vec()));
        let paged =
            SqlOptions { key: Some("n".to_owned()), page_rows: 2, ..query(&url, "select v, b, d, n from t;\n") };
        let paged: Vec<_> = read(&paged).await.into_iter().map(|row| row[..3].to_vec()).collect();
        assert_eq!(paged, rows);
    }

    #[tokio::test]
    async fn a_blob_is_a_bad_row_and_a_blob_column_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let sql = "CREATE TABLE t (n INTEGER PRIMARY KEY, v, photo BLOB); INSERT INTO t VALUES (1, 'x', NULL), (2, x'ff00', NULL)";
        let url = database(folder.path(), sql).await;

        let mut rows = open_sql("q", &query(&url, "select n, v from t")).await.expect("it opens");
        let batch = rows.next().await.expect("it reads").expect("there are rows");
        assert_eq!(batch.len(), 1);
        assert_eq!(batch.bad()[0].reason, "column `v` holds a blob, bytes that are no text");
        assert_eq!(batch.bad()[0].place.to_string(), "q, record 2");

        let error = refused(&query(&url, "select n, photo from t")).await;
        assert_eq!(
            error.to_string(),
            "billing: column `photo` is of type blob, bytes that are no text; leave it out, or give it as text: hex(…)"
        );
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_file_is_said_before_reading() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = folder.path().join("notes.db");
        std::fs::write(&text, "these are only notes, and long enough to have a header of their own").expect("a file");
        let url =
            database(folder.path(), "CREATE TABLE t (id INTEGER, name TEXT); INSERT INTO t VALUES (1, 'a'), (1, 'b')")
                .await;
        let cases = [
            (query("sqlite:no/such/file.db", "select 1"), "no such file"),
            (query(&format!("sqlite:{}", folder.path().display()), "select 1"), "it's a directory"),
            (query(&format!("sqlite:{}", text.display()), "select 1"), "file is not a database"),
            (query(&url, "select nosuch from t"), "no such column: nosuch"),
            (query(&url, "select id, id from t"), "`id` is there more than once"),
            (query(&url, "delete from t returning id"), "attempt to write a readonly database"),
            (query("oracle://x", "select 1"), "it has to start with `postgres://`"),
            (SqlOptions { key: Some("id".to_owned()), ..query(&url, "select * from t") }, "same value in two rows"),
            (SqlOptions { since: Some(Mark("1".to_owned())), ..query(&url, "select 1") }, "`changed` column"),
        ];
        for (options, words) in cases {
            let error = refused(&options).await;
            assert!(error.before_reading() && error.to_string().contains(words), "{error}");
        }
    }

    #[tokio::test]
    async fn a_key_that_repeats_across_pages_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let sql = "CREATE TABLE t (id TEXT COLLATE NOCASE); INSERT INTO t VALUES ('a'), ('b'), ('B'), ('c')";
        let url = database(folder.path(), sql).await;
        let options = SqlOptions { key: Some("id".to_owned()), page_rows: 2, ..query(&url, "select * from t") };
        let error = refused(&options).await;
        assert!(!error.before_reading() && error.to_string().contains("same value in two rows"), "{error}");
    }

    #[tokio::test]
    async fn changes_in_numbers_and_texts_have_marks() {
        let folder = tempfile::tempdir().expect("a folder");
        let sql = "CREATE TABLE n (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO n VALUES (1, 900), (2, 1000), (3, 950), (4, NULL);
            CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
            INSERT INTO t VALUES (1, '2026-01-01T10:00:00Z'), (2, '2026-01-01T10:05:00Z'), (3, '2026-01-01T10:04:30Z')";
        let url = database(folder.path(), sql).await;
        for (table, mark, ids) in [("n", "1000", vec![4, 3, 2]), ("t", "2026-01-01T10:05:00Z", vec![3, 2])] {
            let all = SqlOptions {
                key: Some("id".to_owned()),
                changed: Some("v".to_owned()),
                page_rows: 1,
                ..SqlOptions::new(url.as_str().into(), SqlQuery::Table(table.to_owned()))
            };
            let (_, found) = ids_and_mark(&all).await;
            assert_eq!(found.as_deref(), Some(mark));
            let later = SqlOptions { since: found.map(Mark), ..all };
            assert_eq!(ids_and_mark(&later).await.0, ids);
        }
    }

    #[tokio::test]
    async fn dropping_the_rows_stops_the_reading() {
        let rows = open_sql(
            "q",
            &query(
                &sqlite_chinook(),
                "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n",
            ),
        )
        .await
        .expect("it opens");
        drop(rows);
    }
}
