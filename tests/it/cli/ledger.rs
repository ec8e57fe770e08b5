//! A ledger that is damaged: noticed, explained, repaired, and the next run ends where an undisturbed one ends.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{RUN, clean};
use crate::program::{Api, Folder, LEDGER, assert_ran};
use crate::relay::{Asked, Relay, says};

const EVENTS_TOML: &str = "entity = \"event\"\n[fields]\nidempotencyKey = \"id\"\ncustomerId = \"customer\"\n\
             eventName = { const = \"call\" }\ntimestamp = { column = \"at\", time = \"unix\" }\n";

/// Changes the file behind the program's back, as a disk does: its time of change stays.
fn damage(folder: &Folder, change: impl FnOnce(&mut Vec<u8>)) {
    let path = folder.path(LEDGER);
    let changed = path.metadata().unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
}

#[test]
fn a_ledger_that_is_whole_is_left_alone_and_one_that_is_not_there_is_said() {
    let (api, folder) = (Api::open(), clean());
    assert_ran!(folder.run("ledger repair"), @r#"
    exit 8
    --- stdout

    --- stderr
    error: there is no ledger .stigg-import/ledger.db
    hint: `run` makes one; or name its place with `--ledger PATH`
    "#);
    folder.run_to(&api, RUN).exits(0);
    assert_ran!(folder.run("ledger repair"), @r#"
    exit 0
    --- stdout
    nothing is wrong with .stigg-import/ledger.db

    --- stderr
    "#);
}

#[test]
fn a_bit_that_flipped_while_the_ledger_lay_there_is_noticed_and_repaired() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    // Given: one bit of a record, which SQLite has no check for.
    damage(&folder, |bytes| {
        let at = bytes.len() - 20;
        bytes[at] ^= 4;
    });
    // Then: nothing is sent on the word of such a file.
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger .stigg-import/ledger.db is damaged, or is no ledger: bits of it have changed since it was closed
    hint: `stigg-import ledger repair` keeps what can be proved; the next run sends the rest again, events only on your word
    "#);
    assert_ran!(folder.run("status"), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger .stigg-import/ledger.db is damaged, or is no ledger: bits of it have changed since it was closed
    hint: `stigg-import ledger repair` keeps what can be proved; the next run sends the rest again, events only on your word
    "#);
    let damaged = std::fs::read(folder.path(LEDGER)).unwrap();
    // When
    let repaired = folder.run("ledger repair").exits(0);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{8}T\d{6}Z", "[TIME]");
    settings.bind(|| {
        insta::assert_snapshot!(repaired, @r#"
    exit 0
    --- stdout
    .stigg-import/ledger.db is whole again; it was damaged: bits of it have changed since it was closed
    what Stigg has of customers, subscriptions and usage is forgotten: they are sent again
    1 run is known; the damaged file is kept as .stigg-import/ledger.db.damaged-[TIME]

    --- stderr
    hint: run the same command as before: what is forgotten is sent again, and settled
    "#)
    });
    let kept = std::fs::read_dir(folder.path(".stigg-import")).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.filter(|path| path.to_string_lossy().contains("damaged")).collect::<Vec<_>>();
    assert_eq!(std::fs::read(&kept[0]).unwrap(), damaged);
    // Then: all of it is sent again, and known.
    let again = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((again.total("accepted"), again.total("unchanged")), (3, 0), "{again}");
    let last = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((last.total("accepted"), last.total("unchanged")), (0, 3), "{last}");
    assert_eq!(api.customers(), 3);
}

#[test]
fn a_bit_that_flipped_in_a_copy_is_noticed_and_repaired() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    // Given: a ledger that came from another place, so that no seal speaks for it, and one bit of a record.
    let mut bytes = std::fs::read(folder.path(LEDGER)).unwrap();
    folder.write(LEDGER, &bytes);
    assert!(folder.run("status").exits(0).stderr.is_empty());
    let at = bytes.len() - 20;
    bytes[at] ^= 4;
    folder.write(LEDGER, &bytes);
    // Then: nothing is sent on its word, and it is mended.
    assert_ran!(folder.run_to(&api, RUN), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger .stigg-import/ledger.db is damaged, or is no ledger: bits of a row in its table `sketch` have changed
    hint: `stigg-import ledger repair` keeps what can be proved; the next run sends the rest again, events only on your word
    "#);
    let status = folder.run("status").exits(8);
    assert!(status.stderr.contains("have changed"), "{status}");
    folder.run("ledger repair").exits(0);
    let again = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((again.total("accepted"), again.total("unchanged")), (3, 0), "{again}");
    let last = folder.run_to(&api, &format!("{RUN} --json")).exits(0);
    assert_eq!((last.total("accepted"), last.total("unchanged")), (0, 3), "{last}");
}

#[test]
fn events_of_a_damaged_ledger_are_held_until_somebody_says_what_became_of_them() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    folder
        .write("events.toml", EVENTS_TOML)
        .write("events.csv", "id,customer,at\nevt_1,cus_1,1780000001\nevt_2,cus_1,1780000002\n");
    let run = "run --mapping events.toml --csv events.csv";
    folder.run_to(&api, run).exits(0);
    damage(&folder, |bytes| {
        let at = bytes.len() - 20;
        bytes[at] ^= 4;
    });
    let repaired = folder.run("ledger repair --json").exits(0);
    assert_eq!(repaired.json()["holds_unknown_events"], true, "{repaired}");
    // Then: those that were delivered are known; one that is unknown may be one that was lost, and is not sent.
    folder.write(
        "events.csv",
        "id,customer,at\nevt_1,cus_1,1780000001\nevt_2,cus_1,1780000002\nevt_3,cus_1,1780000003\n",
    );
    let sent = api.requests("reportEvent");
    let held = folder.run_to(&api, &format!("{run} --json")).exits(4);
    assert_eq!((held.total("unchanged"), held.total("open"), api.requests("reportEvent")), (2, 1, sent), "{held}");
    assert_ran!(folder.run("settle --as delivered"), @r#"
    exit 0
    --- stdout
    the ledger was damaged: events that it does not know are held, since they may have been delivered; take those that Stigg has out of the source, then say `settle --as lost`

    --- stderr
    "#);
    assert!(folder.run("settle").exits(0).stdout.contains("events that it does not know are held"));
    folder.run_to(&api, run).exits(4);
    assert_ran!(folder.run("settle --as lost"), @r#"
    exit 0
    --- stdout
    events that the ledger does not know are not held any more: the next run sends them

    --- stderr
    "#);
    let last = folder.run_to(&api, &format!("{run} --json")).exits(0);
    assert_eq!((last.total("unchanged"), last.total("accepted")), (2, 1), "{last}");
}

#[test]
fn events_whose_outcome_was_open_stay_open_and_one_word_settles_one_kind() {
    // Given: an answer to events that was lost for good, and then a damaged ledger.
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    folder.write("events.toml", EVENTS_TOML).write("events.csv", "id,customer,at\nevt_1,cus_1,1780000001\n");
    let (is_cut, relay) = {
        let is_cut = Arc::new(AtomicBool::new(true));
        let cut = is_cut.clone();
        let wanted = move |asked: &Asked| asked.operation == "ReportEvent" && cut.load(Ordering::Relaxed);
        (is_cut, Relay::to(&api, move |asked| wanted(asked).then(|| says("")).flatten()))
    };
    let run = format!("run --mapping events.toml --csv events.csv --json --target {}", relay.url);
    let mut child = folder.command(&run).spawn().unwrap();
    while relay.asked("ReportEvent") == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    is_cut.store(false, Ordering::Relaxed);
    folder.run("status").exits(0);
    let mut bytes = std::fs::read(folder.path(LEDGER)).unwrap();
    let page = bytes.len() - 4096;
    bytes[page..page + 8].fill(0);
    folder.write(LEDGER, bytes);
    let repaired = folder.run("ledger repair --json").exits(0).json();
    assert_eq!(
        (&repaired["batches_opened"], &repaired["holds_unknown_events"]),
        (&1.into(), &true.into()),
        "{repaired}"
    );
    // Then: not even a run of a minute later sends it, whose clock may be what is damaged.
    assert_eq!(folder.run(&run).exits(4).total("open"), 1);
    // When: what was open is lost. What is unknown stays held.
    assert!(folder.run("settle --as lost").exits(0).stdout.contains("1 event settled as lost"));
    assert_eq!(folder.run(&run).exits(4).total("open"), 1);
    assert_eq!(api.requests("reportEvent"), 0);
    folder.run("settle --as lost").exits(0);
    assert_eq!(folder.run(&run).exits(0).total("accepted"), 1);
}

#[test]
fn a_ledger_in_postgres_is_left_to_its_database() {
    assert_ran!(clean().run("ledger repair --ledger postgres://localhost/billing"), @r#"
    exit 2
    --- stdout

    --- stderr
    error: a ledger in Postgres is repaired by its database: postgres://localhost/billing
    hint: restore the database from a backup where it is damaged; `ledger repair` is for a ledger in a file
    "#);
}

#[test]
fn a_file_of_which_nothing_can_be_kept_is_left_alone() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    damage(&folder, |bytes| bytes[..4096].fill(0));
    let before = std::fs::read(folder.path(LEDGER)).unwrap();
    assert_ran!(folder.run("ledger repair"), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger .stigg-import/ledger.db is damaged, or is no ledger: file is not a database
    hint: nothing of it can be kept: restore it from a backup, or move it aside and run again; everything is then sent again, which the API makes harmless, but events of more than 12 hours ago may count twice
    "#);
    assert_eq!(std::fs::read(folder.path(LEDGER)).unwrap(), before);
}

#[test]
fn a_ledger_of_a_newer_version_is_left_alone() {
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    // SQLite's header: the user version is at 60. With the file another one is written, so that no seal speaks.
    let mut bytes = std::fs::read(folder.path(LEDGER)).unwrap();
    bytes[60..64].copy_from_slice(&99u32.to_be_bytes());
    folder.write(LEDGER, &bytes);
    assert_ran!(folder.run("ledger repair"), @r#"
    exit 8
    --- stdout

    --- stderr
    error: the ledger .stigg-import/ledger.db has format 99, this program knows formats up to 6
    hint: use the newer version of stigg-import, or another ledger with `--ledger PATH`
    "#);
    assert!(folder.run("status").exits(8).stderr.contains("has format 99"));
    assert!(folder.run_to(&api, RUN).exits(8).stderr.contains("has format 99"));
    assert_eq!(std::fs::read(folder.path(LEDGER)).unwrap(), bytes);
}

#[test]
fn a_repair_counts_the_places_that_could_not_be_read() {
    use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
    // Given: two batches of events, of which the row of one has changed.
    let (api, folder) = (Api::open(), clean());
    folder.run_to(&api, RUN).exits(0);
    folder.write("events.toml", EVENTS_TOML);
    for event in ["e1", "e2"] {
        folder.write("events.csv", format!("id,customer,at\n{event},cus_1,1777000000\n"));
        folder.run_to(&api, "run --mapping events.toml --csv events.csv").exits(0);
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path(LEDGER));
        let mut ledger = options.connect().await.unwrap();
        ledger.execute("UPDATE batch SET opened_ms = opened_ms + 1 WHERE id = 2").await.unwrap();
        ledger.close().await.unwrap();
    });
    // When
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{8}T\d{6}Z", "[TIME]");
    settings.bind(|| {
        assert_ran!(folder.run("ledger repair"), @r#"
    exit 0
    --- stdout
    .stigg-import/ledger.db is whole again; it was damaged: bits of a row in its table `batch` have changed
    what Stigg has of customers, subscriptions and usage is forgotten: they are sent again
    1 batch of events stay settled
    events that the ledger does not know are held
    1 place in the file could not be read
    3 runs are known; the damaged file is kept as .stigg-import/ledger.db.damaged-[TIME]

    --- stderr
    hint: run the same command as before: what is forgotten is sent again, and settled
    hint: events are sent again only on your word: look at the features' usage in Stigg, then see `stigg-import settle`
    "#);
    });
}
