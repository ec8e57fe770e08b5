//! What the program says and how it ends: each command, and each bad situation.

mod bounds;
mod bulk;
mod canaries;
mod canary;
mod check;
mod cutover;
mod database_trouble;
mod demo;
mod doctor;
mod documented;
mod guides;
mod hostile;
mod init;
mod interrupted;
mod ledger;
mod limits;
mod manual;
mod messages;
mod pages;
mod paid;
mod plan;
mod rare_messages;
mod reader;
mod readme;
mod rejects;
mod report;
mod report_endings;
mod run;
mod sandbox;
mod secrets;
mod settle;
mod shards;
mod shared_ledger;
mod sources;
mod sync;
mod talk;
mod to_files;
mod trouble;
mod verify;
mod walks;
mod why;
mod words;

use crate::program::{Api, Folder};

/// A mapping of three columns.
const CUSTOMERS_TOML: &str = r#"entity = "customer"

[fields]
customerId = "id"
email = "email"
name = "name"
"#;

/// Five customers, of which one row is dirty.
const CUSTOMERS_CSV: &str = "id,email,name
cus_1,ada@example.com,Ada
cus_2,bob@example.com,Bob
cus_3,not-an-email,Carl
cus_4,,Dora
cus_5,eve@example.com,\"Eve, of Eden\"
";

/// The same, all of it good.
const CLEAN_CSV: &str = "id,email,name
cus_1,ada@example.com,Ada
cus_2,bob@example.com,Bob
cus_3,carl@example.com,Carl
";

/// A folder with mapping and export.
fn customers() -> Folder {
    let folder = Folder::new();
    folder.write("customers.toml", CUSTOMERS_TOML).write("customers.csv", CUSTOMERS_CSV);
    folder
}

/// A folder with mapping and an export without dirty rows.
fn clean() -> Folder {
    let folder = customers();
    folder.write("customers.csv", CLEAN_CSV);
    folder
}

const RUN: &str = "run --mapping customers.toml --csv customers.csv";

/// The run after the trouble: everything gets in.
#[track_caller]
fn a_good_run_follows(folder: &Folder, api: &Api) {
    folder.write("customers.toml", CUSTOMERS_TOML).write("customers.csv", CLEAN_CSV);
    let ran = folder.run_to(api, RUN).exits(0);
    assert_eq!(api.customers(), 3, "{ran}");
}
