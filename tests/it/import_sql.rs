//! The program over real databases: the same end from each, changes only, and servers that go away.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use stigg_import::sandbox::{Sandbox, Settings};

use super::databases::{Engine, Server, left_out, shared};
use super::program::{Api, Folder, Ran, repository};

/// What the API has: everything but its tasks.
fn state(sandbox: &Sandbox) -> [Value; 3] {
    let state = serde_json::to_value(sandbox.snapshot()).expect("a snapshot is JSON");
    ["customers", "subscriptions", "usage"].map(|kind| state[kind].clone())
}

/// Runs `pipeline.toml`, whose `${DB}` is the address.
fn run(folder: &Folder, api: &Api, db: &str, words: &str) -> Ran {
    let line = format!("run pipeline.toml --json --target {} --rate-scale 100000 {words}", api.url);
    folder.finish(folder.command(&line).env("DB", db))
}

const CUSTOMERS: &str = "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\n";

fn pipeline(kind: &str, more: &str) -> String {
    format!(
        "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = {{ {kind} = \"${{DB}}\", {more} }}\n"
    )
}

#[test]
fn chinook_ends_in_the_same_state_from_every_database_and_from_csv() {
    if left_out() {
        return;
    }
    let sqlite = repository("tests/data/chinook/Chinook_Sqlite.sqlite").display().to_string();
    let csv = Api::open();
    let folder = Folder::new();
    for what in ["customers", "usage"] {
        let mapping = repository(&format!("mappings/chinook/{what}.toml"));
        let rows = repository(&format!("tests/data/chinook/csv/{what}.csv"));
        folder.run_to(&csv, &format!("run --mapping {} --csv {}", mapping.display(), rows.display())).exits(0);
    }
    let expected = state(&csv.sandbox);
    assert_eq!(expected[0].as_object().expect("customers").len(), 59);

    for (kind, url) in [
        ("sqlite", sqlite),
        ("postgres", shared(Engine::Postgres).url("chinook")),
        ("mysql", shared(Engine::MariaDb).url("Chinook")),
    ] {
        let (api, folder) = (Api::open(), Folder::new());
        let (by_words, other_folder) = (Api::open(), Folder::new());
        let mut text = String::new();
        for what in ["customers", "usage"] {
            let mapping = repository(&format!("mappings/chinook/{what}.toml"));
            let query = std::fs::read_to_string(repository(&format!("mappings/chinook/{what}-{kind}.sql"))).unwrap();
            let _ = writeln!(
                text,
                "[[step]]\nname = \"{what}\"\nmapping = \"{}\"\n[step.source]\n{kind} = \"${{DB}}\"\nquery = '''{query}'''\n",
                mapping.display()
            );
            let mut command = other_folder.command(&format!("run --mapping {} --{kind} ${{DB}}", mapping.display()));
            command.args(["--query", &query, "--target", &by_words.url, "--rate-scale", "100000"]).env("DB", &url);
            other_folder.finish(&mut command).exits(0);
        }
        folder.write("pipeline.toml", text);
        run(&folder, &api, &url, "").exits(0);
        assert_eq!(state(&api.sandbox), expected, "{kind}");
        assert_eq!(state(&by_words.sandbox), expected, "{kind}, without a pipeline file");
    }
}

#[test]
fn a_database_that_is_killed_half_way_and_started_again_loses_and_doubles_nothing() {
    const ROWS: usize = 40_000;
    if left_out() {
        return;
    }
    for (engine, kind, series) in [
        (Engine::Postgres, "postgres", format!("SELECT n, repeat('x', 240) || n FROM generate_series(1, {ROWS}) AS n")),
        (Engine::MariaDb, "mariadb", format!("SELECT seq, concat(repeat('x', 240), seq) FROM seq_1_to_{ROWS}")),
    ] {
        // Given: an API that is slow enough for most rows to be unread when the first ones have arrived.
        let mut server = Server::start(engine);
        server.run_sql("test", "CREATE TABLE customers (id bigint primary key, name varchar(255))");
        server.run_sql("test", &format!("INSERT INTO customers {series}"));
        let api = Api::new(Settings { latency: Duration::from_millis(300), ..Settings::default() });
        let folder = Folder::new();
        let wide: String = (0..5).map(|n| format!("additionalMetaData.m{n} = \"name\"\n")).collect();
        folder.write("customers.toml", format!("{CUSTOMERS}{wide}"));
        folder.write("pipeline.toml", pipeline(kind, "table = \"customers\", key = \"id\""));
        let url = server.url("test");

        // When
        let line = format!("run pipeline.toml --json --target {} --rate-scale 100000", api.url);
        let child = folder.command(&line).env("DB", &url).spawn().expect("it starts");
        let began = Instant::now();
        while api.customers() == 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing arrives");
            std::thread::sleep(Duration::from_millis(5));
        }
        server.kill();
        let killed = folder.wait(child).exits(6);
        server.start_again();
        let again = run(&folder, &api, &url, "").exits(0);

        // Then: what was read was settled, and is not sent again.
        let accepted = killed.total("accepted");
        assert!(accepted > 0 && accepted < ROWS as u64, "{killed}");
        assert_eq!((killed.total("open"), killed.total("records")), (0, accepted), "{killed}");
        assert_eq!((again.total("unchanged"), again.total("accepted")), (accepted, ROWS as u64 - accepted), "{again}");
        assert_eq!(api.customers(), ROWS, "{engine:?}");
        let names = api.sandbox.snapshot().customers;
        assert!(names.iter().all(|(id, customer)| customer.name.as_ref().is_some_and(|name| name.ends_with(id))));
    }
}

#[test]
fn a_pipeline_with_changed_reads_changes_and_full_reads_all_and_counts_what_is_missing() {
    if left_out() {
        return;
    }
    for (engine, kind) in [(Engine::Postgres, "postgres"), (Engine::MariaDb, "mysql")] {
        let server = shared(engine);
        server.run_sql("test", "DROP TABLE IF EXISTS told");
        server.run_sql("test", "CREATE TABLE told (id int primary key, name varchar(20), updated_at timestamp NULL)");
        server.run_sql(
            "test",
            "INSERT INTO told VALUES (1, 'Ada', '2026-01-01 10:00:00'), (2, 'Bob', '2026-01-01 10:00:00'),
             (3, 'Eve', '2026-02-01 10:00:00'), (4, 'Dan', NULL), (5, 'Fay', '2026-01-31 10:00:00')",
        );
        let (api, folder) = (Api::open(), Folder::new());
        folder.write("customers.toml", CUSTOMERS);
        folder.write("pipeline.toml", pipeline(kind, "table = \"told\", key = \"id\", changed = \"updated_at\""));
        let url = server.url("test");
        let counts = |ran: &Ran| {
            let step = ran.json()["steps"][0].clone();
            (step["rows"].as_u64().unwrap(), step["accepted"].as_u64().unwrap(), step["missing"].as_u64())
        };

        assert_eq!(counts(&run(&folder, &api, &url, "").exits(0)), (5, 5, Some(0)), "{engine:?}");
        let again = run(&folder, &api, &url, "").exits(0);
        assert_eq!(counts(&again), (2, 0, None), "the last value, and what has none: {again}");
        assert!(again.json()["steps"][0]["since"].as_str().unwrap().starts_with("2026-02-01"), "{again}");

        server.run_sql("test", "UPDATE told SET name = 'Bea', updated_at = '2026-02-02 10:00:00' WHERE id = 2");
        server.run_sql("test", "DELETE FROM told WHERE id = 1");
        assert_eq!(counts(&run(&folder, &api, &url, "").exits(0)), (3, 1, None), "{engine:?}");
        assert_eq!(api.sandbox.snapshot().customers["2"].name.as_deref(), Some("Bea"));
        assert_eq!(counts(&run(&folder, &api, &url, "--full").exits(0)), (4, 0, Some(1)), "{engine:?}");
        assert_eq!(api.customers(), 5, "nothing is sent for a row that is gone");

        // Another query is another source: its mark would mean nothing.
        folder.write(
            "pipeline.toml",
            pipeline(kind, "query = \"select * from told\", key = \"id\", changed = \"updated_at\""),
        );
        let other = run(&folder, &api, &url, "").exits(0);
        assert_eq!(counts(&other), (4, 0, Some(1)), "{engine:?}");
        assert!(other.stderr.contains("reads all rows: its source or mapping"), "{other}");
    }
}

#[test]
fn what_psql_copies_out_is_piped_straight_in() {
    if left_out() {
        return;
    }
    // Given: psql's own export.
    let sql = "COPY (select customer_id as id, first_name as name from customer) TO STDOUT CSV HEADER";
    let copied = shared(Engine::Postgres).client("chinook", sql);
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("customers.toml", CUSTOMERS).write("copied.csv", copied);

    // When
    let line =
        format!("cat copied.csv | \"$PROGRAM\" run --mapping customers.toml --csv - --json --target {}", api.url);
    let ran = folder.finish(&mut folder.shell(&line)).exits(0);

    // Then
    assert_eq!((ran.total("rows"), ran.total("accepted")), (59, 59), "{ran}");
    assert_eq!(api.customers(), 59);
}
