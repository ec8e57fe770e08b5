//! What is too large in what a person wrote is refused with the limit's own words, before anything is sent.

use std::fmt::Write as _;

use super::{CUSTOMERS_TOML, RUN, a_good_run_follows, clean, customers};
use crate::program::Api;
use crate::relay::{Relay, answer, says};
use crate::sql::sqlite::database;

const LOOKED_UP: &str = "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = { column = \"name\", lookup = \"l\" }\n[lookups.l]\nfile = \
                         \"l.csv\"\n";

#[test]
fn each_file_over_its_limit_is_refused_with_words_of_its_own() {
    let (api, folder) = (Api::open(), clean());
    let mut entries = String::from("key,value\n");
    (0..=1_000_000).for_each(|key| writeln!(entries, "{key},v").unwrap());
    let comment = |bytes: usize| format!("#{}\n", "x".repeat(bytes));
    folder
        .write("mapping.toml", comment(4 << 20) + CUSTOMERS_TOML)
        .write("pipeline.toml", comment(1 << 20))
        .write("entries/m.toml", LOOKED_UP)
        .write("entries/l.csv", entries)
        .write("bytes/m.toml", LOOKED_UP)
        .write("bytes/l.csv", format!("key,value\na,{}\n", "x".repeat(64 << 20)))
        .write("deep.toml", format!("where = '''{}id'''\n{CUSTOMERS_TOML}", "not ".repeat(100_000)));
    for (words, says) in [
        ("--mapping mapping.toml --csv customers.csv", "it is larger than 4 MiB"),
        ("pipeline.toml", "it is larger than 1 MiB"),
        ("--mapping entries/m.toml --csv customers.csv", "has more than 1000000 entries"),
        ("--mapping bytes/m.toml --csv customers.csv", "is larger than 64 MiB"),
        ("--mapping deep.toml --csv customers.csv", "it has 100000 operators and brackets, and may have 500"),
    ] {
        let ran = folder.run_to(&api, &format!("run {words}")).exits(5);
        assert!(ran.stderr.contains(says), "{words}: {ran}");
        assert!(ran.stderr.len() < 2_000, "{words}: {} bytes are said", ran.stderr.len());
    }
    assert_eq!(api.sandbox.stats().requests, 0);
    a_good_run_follows(&folder, &api);
}

#[test]
fn a_record_of_too_many_rows_or_an_expression_of_too_many_steps_is_a_reject() {
    let (api, folder) = (Api::open(), clean());
    let row = "cus_1,a@example.com,Ada\n";
    folder
        .write("customers.csv", format!("id,email,name\n{}cus_2,b@example.com,Bob\n", row.repeat(10_001)))
        .write("customers.toml", format!("group = \"id\"\n{CUSTOMERS_TOML}"));
    let ran = folder.run_to(&api, &format!("{RUN} --json")).exits(3);
    assert_eq!(ran.total("accepted"), 1, "{ran}");
    let listed = folder.run("rejects list").exits(0);
    assert!(listed.stdout.contains("has more than 10000 rows in its group"), "{listed}");

    let steps = format!("where = '''id in [{}]'''\n{CUSTOMERS_TOML}", vec!["id"; 30_000].join(","));
    folder.write("customers.csv", super::CLEAN_CSV).write("customers.toml", steps);
    folder.run_to(&api, &format!("{RUN} --json")).exits(3);
    let listed = folder.run("rejects list").exits(0);
    assert!(listed.stdout.contains("an expression failed: engine ran out of fuel"), "{listed}");
    a_good_run_follows(&folder, &api);
}

#[test]
fn cells_and_rows_of_a_database_over_the_limit_are_rejects_and_the_next_are_read() {
    let (api, folder) = (Api::open(), clean());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let wide = (0..5).map(|n| format!(", w{n} TEXT")).collect::<String>();
    let filled = ", printf('%.*c', 900000, 'x')".repeat(5);
    runtime.block_on(database(
        &folder.path(""),
        format!(
            "CREATE TABLE t (id TEXT PRIMARY KEY, email TEXT, name TEXT{wide});
             INSERT INTO t (id, email, name) VALUES ('cus_1', 'a@example.com', printf('%.*c', 1100000, 'x'));
             INSERT INTO t SELECT 'cus_2', 'b@example.com', 'Bob'{filled};
             INSERT INTO t (id, email, name) VALUES ('cus_3', 'c@example.com', 'Eve');"
        )
        .leak(),
    ));
    let used = (0..5).map(|n| format!("additionalMetaData.w{n} = \"w{n}\"\n")).collect::<String>();
    folder.write("customers.toml", format!("{CUSTOMERS_TOML}{used}")).write(
        "pipeline.toml",
        "[[step]]\nname = \"sql\"\nmapping = \"customers.toml\"\nsource = { sqlite = \"billing.db\", table = \"t\", key = \"id\" }\n",
    );
    let ran = folder.run_to(&api, "run pipeline.toml --json").exits(3);
    assert_eq!((ran.total("accepted"), ran.total("rejected")), (1, 2), "{ran}");
    let listed = folder.run("rejects list").exits(0);
    for says in
        ["`name` has more than 1048576 bytes, the limit of a field", "more than 4194304 bytes, the limit of a row"]
    {
        assert!(listed.stdout.contains(says), "{listed}");
    }
}

/// What a server says is kept in part only, wherever it goes.
#[test]
fn a_long_error_is_kept_in_bounds() {
    let (api, folder) = (Api::open(), clean());
    let body = format!(
        "{{\"errors\":[{{\"message\":\"{}\",\"extensions\":{{\"code\":\"{}\",\"failedCustomerIds\":[\"cus_1\"]}}}}]}}",
        "m".repeat(100_000),
        "C".repeat(100_000)
    );
    let said = answer("200 OK", "application/json", &body);
    let relay =
        Relay::to(&api, move |asked| (asked.operation == "ImportCustomerBulk").then(|| says(said.clone())).flatten());
    let ran = folder.run(&format!("{RUN} -vvv --rate-scale 100000 --target {}", relay.url));
    assert!(matches!(ran.exit, Some(3 | 4)), "{ran}");
    let listed = folder.run("rejects list").to_string() + &folder.run("status --json").to_string();
    let mut kept = ran.to_string() + &listed;
    for entry in std::fs::read_dir(folder.path(".stigg-import")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            kept += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
        }
    }
    for entry in std::fs::read_dir(folder.path(".stigg-import/rejects")).into_iter().flatten() {
        kept += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    assert!(kept.contains(&"m".repeat(100)), "the beginning is told: {ran}{listed}");
    assert!(!kept.contains(&"m".repeat(501)) && !kept.contains(&"C".repeat(101)), "{} bytes are kept", kept.len());
}

/// Given exports and folders whose names a shell, a pattern, a terminal or an encoding would take for something else, when they are
/// imported, then each is the file that it names, and its rejects are found again.
#[cfg(unix)]
#[test]
fn a_path_with_odd_characters_is_a_path() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;
    let names: [&[u8]; 6] = [
        b"Kunden \"M\xc3\xa4rz\" '$HOME'; rm -rf x.csv",
        b"list[1]*?.csv",
        b"new\nline\x1b[31m.csv",
        b"not utf8 \xff\xfe.csv",
        b"--help.csv",
        b"#1 {x}%20=&.csv",
    ];
    for name in names {
        let (api, folder) = (Api::open(), customers());
        let path = Path::new(".").join(OsStr::from_bytes(name));
        std::fs::rename(folder.path("customers.csv"), folder.path(".").join(&path)).unwrap();
        // One that is no text can't be typed; a pattern finds it.
        let path = if path.to_str().is_some() { &path } else { Path::new("./not*.csv") };
        let mut command = folder.command(&format!("run --mapping customers.toml --target {} --csv", api.url));
        let ran = folder.finish(command.arg(path)).exits(3);
        assert_eq!(api.customers(), 4, "{ran}");
        assert!(!ran.stderr.contains('\x1b') && !ran.stdout.contains('\x1b'), "{ran}");
        let listed = folder.run("rejects list").exits(0);
        assert!(listed.stdout.contains("record 3 \"not-an-email\""), "{listed}");
        assert!(!listed.stdout.contains('\x1b'), "{listed}");
        folder.run("rejects export --out fix.csv").exits(0);
        assert!(folder.read("fix.csv").contains("not-an-email"));
    }
}
