//! Limits that the system sets to the process: open files, memory, sizes of files. Whatever is too little, an error says
//! what and where, nothing is lost, nothing that was there before is spoilt, and with enough of it everything gets in.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{CLEAN_CSV, CUSTOMERS_TOML, RUN, a_good_run_follows, clean};
use crate::program::{Api, Folder, Ran, assert_ran};

/// The program with `limit` set in its shell; a file that becomes too large is an error to it, no signal.
fn limited(folder: &Folder, limit: &str, words: &str) -> Ran {
    folder.finish(&mut folder.shell(&format!("trap '' XFSZ; ulimit {limit}; exec \"$PROGRAM\" {words}")))
}

fn to(api: &Api, words: &str) -> String {
    format!("{words} --target {} --rate-scale 100000", api.url)
}

/// 3,000 rows, of which each tenth is rejected.
fn rows() -> String {
    let row = |number: u32| {
        let email = if number.is_multiple_of(10) { "none".to_owned() } else { format!("c{number}@example.com") };
        format!("cus_{number},{email},Customer {number}\n")
    };
    format!("id,email,name\n{}", (0..3000).map(row).collect::<String>())
}

#[test]
fn too_few_open_files_are_said_before_anything_is_done() {
    let (api, folder) = (Api::open(), clean());
    let ran = limited(&folder, "-n 16", &to(&api, RUN));
    assert_ran!(&ran, @r#"
    exit 5
    --- stdout

    --- stderr
    error: the process may open 16 files at a time, and needs 64
    hint: say `ulimit -n 1024` before it, or LimitNOFILE=1024 in its systemd unit; nothing was done
    "#);
    for words in ["sandbox --port 0", "sync --every 1h pipeline.toml", "status"] {
        for files in [4, 6, 8, 12, 63] {
            let ran = limited(&folder, &format!("-n {files}"), words);
            assert!(ran.exit == Some(5) && ran.stderr.contains("and needs 64"), "{files}: {ran}");
        }
    }
    assert!(!folder.path(".stigg-import").exists());
    a_good_run_follows(&folder, &api);
}

/// Many connections, a ledger, rejects, a report, and totals of which most are on the disk.
#[test]
fn the_fewest_open_files_suffice_for_everything() {
    let (api, folder) = (Api::open(), clean());
    let mut events = String::from("event,customer,value\n");
    for number in 0..300_000 {
        events.push_str(&format!("evt_{number},cus_{},1\n", number % 3000));
    }
    folder.write("customers.csv", rows()).write("usage.csv", events).write(
        "usage.toml",
        "entity = \"usage\"\naggregate = { how = \"sum\", distinct = \"event\" }\n[fields]\ncustomerId = \"customer\"\n\
         featureId = { const = \"feature-api-calls\" }\nvalue = \"value\"\n",
    );
    let ran = limited(&folder, "-n 64", &to(&api, &format!("{RUN} --json --report report.html"))).exits(3);
    assert_eq!((ran.total("accepted"), ran.total("rejected")), (2700, 300), "{ran}");
    let words = to(&api, "run --mapping usage.toml --csv usage.csv --json");
    let ran = limited(&folder, "-n 64", &words);
    assert!(matches!(ran.exit, Some(0 | 3)), "{ran}");
    assert_eq!(ran.total("records"), 3000, "{ran}");
    assert_eq!(ran.total("accepted") + ran.total("failed"), 3000, "{ran}");
}

/// A disk that is full at each of many moments: of the ledger, its journal, the rejects, the seal, the report.
#[test]
fn wherever_the_disk_is_full_nothing_is_lost_and_the_next_run_completes() {
    for blocks in [1, 8, 24, 40, 64, 90, 130, 180, 220, 260, 300, 400, 500, 700] {
        let (api, folder) = (Api::open(), clean());
        folder.write("customers.csv", rows());
        let words = to(&api, &format!("{RUN} --json --report report.html"));
        let ran = limited(&folder, &format!("-f {blocks}"), &words);
        let about = format!("{blocks} blocks: {ran}");
        assert!(matches!(ran.exit, Some(3 | 8)), "{about}");
        assert!(!ran.stderr.contains("panicked"), "{about}");
        let accepted = if ran.json()["steps"].is_array() {
            let sum = ran.total("accepted") + ran.total("rejected") + ran.total("open");
            assert_eq!(ran.total("records"), sum, "{about}");
            ran.total("accepted")
        } else {
            assert!(ran.stderr.contains("hint: "), "{about}");
            0
        };
        assert!(api.customers() as u64 >= accepted, "{about}");
        let again = folder.run(&words).exits(3);
        assert_eq!(
            (again.total("records"), again.total("rejected"), again.total("open")),
            (3000, 300, 0),
            "{about}{again}"
        );
        assert!(again.total("unchanged") >= accepted, "{about}{again}");
        assert_eq!(api.customers(), 2700, "{about}{again}");
        eprintln!("counted: 1 moments at which the disk is full");
    }
}

/// What commands write for a person: the file that was there is as it was, and the error names it.
#[test]
fn a_full_disk_or_a_wrong_place_spoils_no_file_that_was_there() {
    let (api, folder) = (Api::open(), clean());
    folder.write("customers.csv", rows()).write("file", "");
    folder.run_to(&api, RUN).exits(3);
    for (words, option, name) in [
        ("rejects export".to_owned(), "--out", "fix.csv"),
        ("init --csv customers.csv --entity customer --force".to_owned(), "--dir", "drafted"),
        (RUN.to_owned(), "--to-files", "given"),
        (to(&api, "plan --mapping customers.toml --csv customers.csv"), "--out", "plan.json"),
    ] {
        let target = match name {
            "drafted" => "drafted/customers.toml",
            "given" => "given/customers.json",
            other => other,
        };
        folder.write(target, "what a person made of it");
        folder.write("drafted/pipeline.toml", "# a person's\n");
        let ran = limited(&folder, "-f 0", &format!("{words} {option} {name}"));
        assert!(ran.exit.is_some_and(|exit| exit > 1), "{words}: {ran}");
        assert!(ran.stderr.contains("error: ") && ran.stderr.contains("hint: "), "{words}: {ran}");
        assert_eq!(folder.read(target), "what a person made of it", "{words}: {ran}");
        assert_eq!(folder.read("drafted/pipeline.toml"), "# a person's\n", "{words}: {ran}");
        let wrong = folder.run(&format!("{words} {option} file/{name}"));
        assert!(wrong.exit.is_some_and(|exit| exit > 1) && wrong.stderr.contains("file"), "{words}: {wrong}");
        assert!(!ran.stderr.contains("panicked") && !wrong.stderr.contains("panicked"), "{ran}{wrong}");
    }
    let left = std::fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().ends_with(".tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
    folder.run("rejects export --out fix.csv").exits(0);
    assert_eq!(folder.read("fix.csv").lines().count(), 301);
}

#[test]
fn an_export_on_a_full_disk_is_told_with_its_file() {
    let (api, folder) = (Api::open(), clean());
    folder.write("customers.csv", rows());
    folder.run_to(&api, RUN).exits(3);
    assert_ran!(limited(&folder, "-f 0", "rejects export --out fix.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: can't write fix.csv
      because can't write the export: File too large (os error 27)
    hint: make room or mend the rights, or name another file with --out; what was there is as it was
    "#);
    assert!(!folder.path("fix.csv").exists());
}

/// In 400 MB of addresses, of which the program takes half for its threads: what comes in is larger than that.
#[test]
fn hostile_input_is_survived_in_little_memory() {
    let api = Api::open();
    let bomb = || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(CLEAN_CSV.as_bytes()).unwrap();
        (0..200).for_each(|_| gzip.write_all(&[b'y'; 1 << 20]).unwrap());
        gzip.finish().unwrap()
    };
    let cell = format!("{CLEAN_CSV}cus_long,l@example.com,{}\n", "x".repeat(2 << 20));
    let brackets = format!(
        "{{\"id\":\"cus_1\",\"email\":\"a@example.com\",\"name\":{}{}}}\n",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let folder = clean();
    folder.write("cell.csv", cell).write("brackets.jsonl", brackets).write("bomb.csv.gz", bomb());
    // 500 MB of long rows, of which each but the first repeats one.
    let long = "{ echo id,email,name; yes \"cus_1,c@example.com,$(printf %0100000d 7)\" | head -n 5000; }";
    for (source, exit, says) in [
        ("--csv cell.csv", 3, ""),
        ("--json brackets.jsonl", 3, ""),
        ("--csv bomb.csv.gz", 6, "decompresses to more than 1000 times its size"),
        ("--csv -", 3, ""),
    ] {
        std::fs::remove_dir_all(folder.path(".stigg-import")).ok();
        let words = to(&api, &format!("run --mapping customers.toml {source}"));
        let line = format!("{long} | (ulimit -v 400000; exec \"$PROGRAM\" {words})");
        let line = if source.ends_with('-') { line } else { format!("ulimit -v 400000; exec \"$PROGRAM\" {words}") };
        let ran = folder.finish(&mut folder.shell(&line));
        assert!(ran.exit == Some(exit) && ran.stderr.contains(says), "{source}: {ran}");
        assert!(ran.stdout.contains("every record is accounted for"), "{source}: {ran}");
    }
    folder.write("customers.toml", CUSTOMERS_TOML);
}
