//! What is wrong with a Postgres or MariaDB source, word for word: one clear error, nothing sent, no secret in it.

use std::thread;
use std::time::{Duration, Instant};

use stigg_import::sandbox::Settings;

use crate::databases::{Engine, Server, left_out, shared};
use crate::program::{Api, Folder, Ran, assert_ran};

const MAPPING: &str = "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\n";

fn pipeline(source: &str) -> String {
    format!("[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = {{ {source} }}\n")
}

/// Runs a step with this query of a database and more keys of its source, which must end with 5 and send nothing.
#[track_caller]
fn fails(kind: &str, url: &str, query: &str, more: &str) -> Ran {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("customers.toml", MAPPING);
    folder.write("pipeline.toml", pipeline(&format!("{kind} = \"${{DB}}\", query = \"{query}\"{more}")));
    let ran = folder.finish(folder.command(&format!("run pipeline.toml --target {}", api.url)).env("DB", url)).exits(5);
    assert!(!ran.stderr.contains("s3cret") && !ran.stderr.contains("0ther"), "{ran}");
    assert_eq!((api.customers(), api.requests("importCustomersBulk")), (0, 0), "{ran}");
    ran
}

#[test]
fn what_is_wrong_with_a_postgres_database_is_one_clear_error() {
    if left_out() {
        return;
    }
    let server = shared(Engine::Postgres);
    let good = server.url("test");
    let fails = |url: &str, query: &str, more: &str| fails("postgres", url, query, more);
    let closed = good.replace(&format!(":{}/", server.port()), ":1/");
    assert_ran!(fails(&closed, "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: the database can't be reached: Connection refused (os error 111)
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails("postgres://127.0.0.1:port/test", "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: the database's address is wrong: invalid port number; in a user name or password write `%40` for `@`, `%2F` for `/`, `%23` for `#`
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good.replace("postgres://", "oracle://"), "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: the database's address is wrong: it has to start with `postgres://`, `mysql://`, `mariadb://` or `sqlite:`
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&format!("{good}?sslmod=disable"), "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: the database's address is wrong: unknown parameter `sslmod`; known are sslmode, ssl-mode, sslrootcert, ssl-root-cert, ssl-ca, sslcert, ssl-cert, sslkey, ssl-key, host, hostaddr, port, dbname, user, password, application_name, options
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&server.url("nowhere"), "select 1 as id", ""), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: the database can't be reached: database "nowhere" does not exist (3D000)
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_ran!(fails(&good.replace("s3cret", "0ther"), "select 1 as id", ""), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: the database refuses the login: password authentication failed for user "stigg" (28P01)
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_ran!(fails(&good, "select nothing from nowhere", ""), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: the query can't be run: relation "nowhere" does not exist (42P01)
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_ran!(fails(&good, "selekt 1", ""), @r#"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: the query can't be run: syntax error at or near "selekt" (42601)
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert_ran!(fails(&good, "select 1 as id", ""), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the mapping of step `customers` does not fit its source: 1 problem

    customers.toml:4:8: the source has no column `name`
      4 | name = "name"
        |        ^^^^^^
      hint: its columns are id

    hint: nothing was sent; mend what is shown and run the same command again
    "#);
    assert_ran!(fails(&good, "select 1 as id, 'x'::bytea as name", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: column `name` is of type bytea, bytes that are no text; leave it out, or give it as text: encode(…, 'hex')
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good, "select 1 as id, 'a' as name", ", key = \"idd\""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: column `idd` is named as `key`, but the query doesn't give it; did you mean `id`?
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good, "select 1 as id, 'a' as name", ", changed = \"nam\""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because postgres query: column `nam` is named as `changed`, but the query doesn't give it; did you mean `name`?
    hint: nothing was sent; mend the source and run the same command again
    ");
}

#[test]
fn what_is_wrong_with_a_mariadb_database_is_one_clear_error() {
    if left_out() {
        return;
    }
    let server = shared(Engine::MariaDb);
    let good = server.url("test");
    let fails = |url: &str, query: &str, more: &str| fails("mariadb", url, query, more);
    let closed = good.replace(&format!(":{}/", server.port()), ":1/");
    assert_ran!(fails(&closed, "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: the database can't be reached: Connection refused (os error 111)
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails("mariadb://127.0.0.1:port/test", "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: the database's address is wrong: invalid port number; in a user name or password write `%40` for `@`, `%2F` for `/`, `%23` for `#`
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good.replace("mariadb://", "oracle://"), "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: the database's address is wrong: it has to start with `postgres://`, `mysql://`, `mariadb://` or `sqlite:`
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&format!("{good}?ssl-mod=DISABLED"), "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: the database's address is wrong: unknown parameter `ssl-mod`; known are sslmode, ssl-mode, sslca, ssl-ca, sslcert, ssl-cert, sslkey, ssl-key, socket
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&server.url("nowhere"), "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: the database can't be reached: Unknown database 'nowhere' (42000)
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good.replace("s3cret", "0ther"), "select 1 as id", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: the database refuses the login: Access denied for user 'stigg'@'127.0.0.1' (using password: YES) (28000)
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good, "select nothing from nowhere", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: the query can't be run: Table 'test.nowhere' doesn't exist (42S02)
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good, "selekt 1", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: the query can't be run: You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'selekt 1' at line 1 (42000)
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good, "select 1 as id", ""), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the mapping of step `customers` does not fit its source: 1 problem

    customers.toml:4:8: the source has no column `name`
      4 | name = "name"
        |        ^^^^^^
      hint: its columns are id

    hint: nothing was sent; mend what is shown and run the same command again
    "#);
    assert_ran!(fails(&good, "select 1 as id, cast('x' as binary) as name", ""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: column `name` is of type varbinary, bytes that are no text; leave it out, or give it as text: hex(…)
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good, "select 1 as id, 'a' as name", ", key = \"idd\""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: column `idd` is named as `key`, but the query doesn't give it; did you mean `id`?
    hint: nothing was sent; mend the source and run the same command again
    ");
    assert_ran!(fails(&good, "select 1 as id, 'a' as name", ", changed = \"nam\""), @r"
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because mariadb query: column `nam` is named as `changed`, but the query doesn't give it; did you mean `name`?
    hint: nothing was sent; mend the source and run the same command again
    ");
}

/// Runs over 40,000 rows and kills the server when the first have arrived; the run must end with 6.
fn killed(engine: Engine, kind: &str, series: &str) -> Ran {
    // Given: an API that is slow enough for most rows to be unread then.
    let server = Server::start(engine);
    server.run_sql("test", "CREATE TABLE customers (id bigint primary key, name varchar(255))");
    server.run_sql("test", &format!("INSERT INTO customers {series}"));
    let api = Api::new(Settings { latency: Duration::from_millis(300), ..Settings::default() });
    let folder = Folder::new();
    let wide: String = (0..5).map(|n| format!("additionalMetaData.m{n} = \"name\"\n")).collect();
    folder.write("customers.toml", format!("{MAPPING}{wide}"));
    folder.write("pipeline.toml", pipeline(&format!("{kind} = \"${{DB}}\", table = \"customers\", key = \"id\"")));

    // When
    let line = format!("run pipeline.toml --target {} --rate-scale 100000", api.url);
    let child = folder.command(&line).env("DB", server.url("test")).spawn().expect("it starts");
    let began = Instant::now();
    while api.customers() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing arrives");
        thread::sleep(Duration::from_millis(5));
    }
    server.kill();
    folder.wait(child).exits(6)
}

/// How far a run came until then differs each time.
fn with_counts_hidden(check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{1,2},\d{3}", "[N]");
    settings.add_filter(r"record \d+", "record [N]");
    settings.add_filter(r"(rows|records|accepted|unchanged|rejected|refused|open) +", "$1 ");
    settings.add_filter(r"(customers|\[N\]|\d) +", "$1 ");
    settings.bind(check);
}

#[test]
fn a_postgres_server_that_is_killed_half_way_is_one_clear_error() {
    if left_out() {
        return;
    }
    let ran =
        killed(Engine::Postgres, "postgres", "SELECT n, repeat('x', 240) || n FROM generate_series(1, 40000) AS n");
    with_counts_hidden(|| {
        assert_ran!(ran, @r"
    exit 6
    --- stdout
    step         rows records accepted unchanged rejected time
    customers [N] [N] [N] 0 0 [DURATION]

    every record is accounted for: [N] = [N] accepted

    --- stderr
    error: the run stopped early: the source broke part-way: postgres table customers, record [N]: Connection refused (os error 111)
    hint: mend the source and run the same command again; it goes on from here
    ")
    });
}

#[test]
fn a_mariadb_server_that_is_killed_half_way_is_one_clear_error() {
    if left_out() {
        return;
    }
    let ran = killed(Engine::MariaDb, "mariadb", "SELECT seq, concat(repeat('x', 240), seq) FROM seq_1_to_40000");
    with_counts_hidden(|| {
        assert_ran!(ran, @r"
    exit 6
    --- stdout
    step         rows records accepted unchanged rejected time
    customers [N] [N] [N] 0 0 [DURATION]

    every record is accounted for: [N] = [N] accepted

    --- stderr
    error: the run stopped early: the source broke part-way: mariadb table customers, record [N]: Connection refused (os error 111)
    hint: mend the source and run the same command again; it goes on from here
    ")
    });
}
