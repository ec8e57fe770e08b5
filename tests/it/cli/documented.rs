//! Every command of README and docs/sources.md that names a source does what it says, as a new user would type it.

use std::process::Command;

use super::{CLEAN_CSV, CUSTOMERS_TOML};
use crate::databases::{Engine, PASSWORD, left_out, shared};
use crate::program::{Api, Folder, Ran, repository};

/// Commands with a placeholder for what only a reader knows; all others run.
const FORMS: &[&str] = &[
    "stigg-import run … --to-files FOLDER",
    "stigg-import verify PIPELINE --gone",
    "zstdcat FILE | stigg-import run --mapping M --csv -",
];

const EVENTS_TOML: &str = "entity = \"event\"\n[fields]\nidempotencyKey = \"id\"\ncustomerId = \"customer\"\neventName = \"name\"\ntimestamp = \"at\"\n";

/// The commands of a page that read a source: in its tables, its text and its indented lines.
fn commands(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository(page)).expect("it ships");
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        let whole = line.strip_prefix("    ").filter(|line| !line.starts_with(' '));
        let quoted = line.split('`').skip(1).step_by(2);
        let names = |text: &&str| {
            ["run", "bulk", "verify"].iter().any(|command| text.contains(&format!("stigg-import {command} ")))
        };
        if !fenced {
            found.extend(whole.into_iter().chain(quoted).filter(names).map(|text| text.replace("\\|", "|")));
        }
    }
    found.retain(|command| !FORMS.contains(&command.as_str()));
    found
}

/// What a reader puts in for what is left out; a command of which this makes none that works fails its test.
fn with_own_names(command: &str) -> String {
    let (postgres, mariadb) = (shared(Engine::Postgres), shared(Engine::MariaDb));
    command
        .replace("me:${PGPASSWORD}@host/db", &format!("stigg:${{PGPASSWORD}}@127.0.0.1:{}/documented", postgres.port()))
        .replace("me:${MYSQL_PWD}@host/db", &format!("stigg:${{MYSQL_PWD}}@127.0.0.1:{}/documented", mariadb.port()))
        .replace("COPY (…)", "COPY (select id, email, name from customers)")
        .replace("COPY (select …)", "COPY (select id, email, name from customers)")
        .replace("'select …'", "'select id, email, name from customers'")
        .replace("free-subscriptions.json …", "free-subscriptions.json")
        .replace("curl … |", "cat lines.json |")
        .replace("rk_…", "rk_test_1")
}

/// A folder with everything that the pages name.
fn folder(api: &Api) -> Folder {
    let folder = Folder::new();
    folder.write("customers.toml", CUSTOMERS_TOML).write("exports/customers.csv", CLEAN_CSV);
    assert!(folder.shell("gzip exports/customers.csv").status().expect("gzip runs").success());
    folder
        .write("export.json", r#"{"customers": [{"id": "cus_1", "email": "ada@example.com", "name": "Ada"}]}"#)
        .write("lines.json", "{\"id\": \"cus_1\", \"email\": \"ada@example.com\", \"name\": \"Ada\"}\n");
    for (name, from) in [
        ("customers.json", "customers-1.9.1.json"),
        ("free-subscriptions.json", "free-subscriptions.json"),
        ("usage.json", "usage.json"),
    ] {
        folder.write(name, std::fs::read(repository("tests/data/bulk").join(from)).expect("it is there"));
    }
    folder.write(
        "pipeline.toml",
        format!(
            "[target]\nurl = \"{}\"\n[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = {{ csv = \"exports/*.csv.gz\" }}\n\
             [[step]]\nname = \"subscriptions\"\nmapping = \"subscriptions.toml\"\nsource = {{ csv = \"subscriptions.csv\" }}\n",
            api.url
        ),
    );
    folder.write(
        "subscriptions.toml",
        "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\nplanId = \"plan\"\n",
    );
    folder.write("a.csv", CLEAN_CSV).write("b.csv", "id,email,name\ncus_9,ivy@example.com,Ivy\n");
    folder
        .write("events.toml", EVENTS_TOML)
        .write("events.csv", "id,customer,name,at\ne1,cus_1,api_call,2026-01-31T09:08:07Z\n");
    folder.write("subscriptions.csv", "id,customer,plan\nsub_1,cus_1,plan-free\n");
    for mapping in ["api-customers.toml", "api-subscriptions.toml"] {
        let text = std::fs::read(repository("mappings/stripe").join(mapping)).expect("it ships");
        folder.write(&format!("mappings/stripe/{mapping}"), text);
    }
    let sql = "CREATE TABLE customers (id text primary key, email text, name text);
         INSERT INTO customers VALUES ('cus_1', 'ada@example.com', 'Ada');";
    for name in ["billing.db", "billing.sqlite"] {
        let path = folder.path(name);
        tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
            use sqlx::{ConnectOptions as _, Executor as _};
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut connection = options.connect().await.expect("a database");
            connection.execute(sqlx::raw_sql(sql)).await.expect("it runs");
        });
    }
    folder
}

fn run(folder: &Folder, api: &Api, command: &str) -> Ran {
    let mut line = with_own_names(command);
    if line.contains("--stripe ") {
        line.push_str(&format!(" --stripe-url {}", api.url.replace("/graphql", "/stripe")));
    }
    if !line.contains("--to-files") {
        line.push_str(&format!(" --target {} --rate-scale 100000", api.url));
    }
    let postgres = shared(Engine::Postgres);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_stigg-import")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").expect("there is one"));
    // `psql` takes a password as it is, an address has to escape it.
    let is_psql = line.starts_with("psql");
    let password = if is_psql { PASSWORD.to_owned() } else { PASSWORD.replace('/', "%2F").replace('@', "%40") };
    let mut shell: Command = folder.shell(&format!("set -e; {line}"));
    shell.env("PATH", path).env("PGPASSWORD", &password).env("MYSQL_PWD", &password).env("STIGG_API_KEY", "server-1");
    shell.env("PGHOST", "127.0.0.1").env("PGPORT", postgres.port().to_string()).env("PGUSER", "stigg");
    shell.env("PGDATABASE", "documented").env("BILLING_DB_URL", postgres.url("documented"));
    folder.finish(&mut shell)
}

#[test]
fn every_documented_command_that_names_a_source_works() {
    if left_out() {
        return;
    }
    // Given: databases with the table that the pages name.
    for (engine, database) in [(Engine::Postgres, "postgres"), (Engine::MariaDb, "mysql")] {
        let server = shared(engine);
        server.run_sql(database, "CREATE DATABASE documented");
        server.run_sql(
            "documented",
            "CREATE TABLE customers (id varchar(20) primary key, email varchar(50), name varchar(50))",
        );
        server.run_sql("documented", "INSERT INTO customers VALUES ('cus_1', 'ada@example.com', 'Ada')");
    }
    let mut ran = 0;
    for page in ["README.md", "docs/sources.md"] {
        let mut earlier: Option<Folder> = None;
        for command in commands(page) {
            // When: each in a folder of its own, but for one that reads what the line above wrote.
            let api = Api::open();
            let folder = earlier.take().unwrap_or_else(|| folder(&api));
            if command.contains("events.toml") {
                // Events are refused for a customer that isn't there.
                folder.run_to(&api, "run --mapping customers.toml --csv a.csv").exits(0);
            }
            let result = run(&folder, &api, &command);

            // Then
            assert_eq!(result.exit, Some(0), "{page}: {command}\n{result}");
            let arrived = api.customers();
            assert!(
                arrived > 0 || command.contains("--to-files") || command.contains("--stripe"),
                "{page}: {command}\n{result}"
            );
            if command.contains("--to-files") {
                earlier = Some(folder);
            }
            ran += 1;
        }
    }
    assert!(ran >= 17, "only {ran} commands were found");
}
