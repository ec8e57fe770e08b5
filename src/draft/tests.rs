use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::clock::SystemClock;
use crate::mapping::{self, Mapper, SpillSettings};
use crate::record::{RecordBatch, RowBatch};

fn rows(columns: &[&str], rows: &[&[&str]]) -> Arc<RowBatch> {
    let mut batch = RowBatch::new("a.csv".into(), columns.iter().map(|name| Box::from(*name)).collect());
    for (number, cells) in (1..).zip(rows) {
        batch.push(number, number + 1, cells.iter().map(|cell| Some(*cell)));
    }
    Arc::new(batch)
}

fn sample(rows: &RowBatch) -> Sample {
    let mut sample = Sample::new(rows.columns());
    sample.add(rows, 1000);
    sample
}

/// What the draft makes of the rows it was drafted from.
fn mapped(draft: &Draft, rows: &Arc<RowBatch>) -> Vec<String> {
    let file = mapping::parse("draft.toml", &draft.mapping, Path::new("")).expect("the draft parses");
    let plan = mapping::compile(&file, rows.columns(), &SystemClock).expect("the draft fits");
    let mut mapper = Mapper::new(Arc::new(plan), SpillSettings::in_dir(Path::new("")));
    let mut out = RecordBatch::default();
    mapper.apply(rows, &mut out).expect("no totals");
    let rejects = out.rejects.iter().map(|reject| format!("{:?}: {}", reject.field, reject.reason));
    let records = out.records.iter().map(|record| String::from_utf8_lossy(out.json_of(record)).into_owned());
    records.chain(rejects).collect()
}

fn drafted(entity: Entity, rows: &RowBatch) -> Result<Draft, CantDraft> {
    draft(entity, &sample(rows), &BTreeMap::new(), &SystemClock)
}

#[test]
fn a_home_grown_export_is_guessed_by_names_and_content() {
    let rows = rows(
        &["Account Code", "Company", "Contact", "Signed up", "Notes"],
        &[
            &["acme", "Acme Inc", "ada@acme.example", "2024-01-31", "vip"],
            &["bolt", "Bolt", "bob@bolt.example", "2024-02-01", ""],
        ],
    );
    let draft = drafted(Entity::Customer, &rows).unwrap();
    assert_eq!(
        draft.mapping,
        r##"# A draft from 5 columns and 2 rows. Each guess says why; look at those, and at every TODO.
# Then: stigg-import check with the pipeline file beside it.

entity = "customer"

[fields]
# by its name: acme | bolt
customerId = "Account Code"
# by what stands in it: ada@acme.example | bob@bolt.example
email = "Contact"
# by its name: Acme Inc | Bolt
name = "Company"

# Columns that are not read. To keep one as metadata, take away its # and the one of the next line.
# [fields.additionalMetaData]
# "Signed up" = "Signed up"  # 2024-01-31 | 2024-02-01
# "Notes" = "Notes"  # vip
"##
    );
    assert_eq!(
        mapped(&draft, &rows),
        [
            r#"{"customerId":"acme","email":"ada@acme.example","name":"Acme Inc"}"#,
            r#"{"customerId":"bolt","email":"bob@bolt.example","name":"Bolt"}"#,
        ]
    );
    assert!(draft.to_do.is_empty());
}

#[test]
fn plans_are_listed_for_a_person_and_words_and_times_are_converted() {
    let rows = rows(
        &["id", "customer_id", "plan", "interval", "started_at", "seats"],
        &[
            &["s1", "acme", "Pro Plan", "month", "2024-01-31 10:00", "5"],
            &["s2", "bolt", "free", "yearly", "2024-02-01 11:00", "1"],
            &["s3", "cord", "Pro Plan", "month", "2024-02-02 12:00", "2"],
        ],
    );
    let draft = drafted(Entity::Subscription, &rows).unwrap();
    assert!(draft.mapping.contains("\"Pro Plan\" = \"pro-plan\"  # 2 rows of the sample\n"), "{}", draft.mapping);
    assert_eq!(
        mapped(&draft, &rows)[0],
        r#"{"subscriptionId":"s1","customerId":"acme","planId":"pro-plan","startDate":"2024-01-31T10:00:00.000Z","billingPeriod":"MONTHLY","unitQuantity":5}"#
    );
    assert!(mapped(&draft, &rows)[1].contains(r#""billingPeriod":"ANNUALLY""#));
    assert_eq!(
        draft.to_do,
        ["lookups.plans: what each plan becomes in Stigg", "startDate: is the zone of column \"started_at\" UTC?"]
    );
}

#[test]
fn a_date_that_can_be_read_in_two_ways_is_left_to_a_person() {
    let rows = rows(
        &["id", "customer_id", "plan", "start"],
        &[&["s1", "acme", "pro", "03/04/2024"], &["s2", "bolt", "pro", "05/06/2024"]],
    );
    let draft = drafted(Entity::Subscription, &rows).unwrap();
    assert!(!mapped(&draft, &rows)[0].contains("startDate"));
    assert!(draft.mapping.contains("# startDate = { column = \"start\", time = \"%d/%m/%Y\", zone = \"UTC\" }\n"));
    assert!(draft.mapping.contains("# startDate = { column = \"start\", time = \"%m/%d/%Y\", zone = \"UTC\" }\n"));

    // Where every record needs it, there is no draft without it.
    let events =
        super::tests::rows(&["customer_id", "event_id", "event", "date"], &[&["acme", "e1", "call", "03/04/2024"]]);
    let refused = drafted(Entity::Event, &events).unwrap_err();
    assert_eq!(refused, CantDraft::DayOrMonth { field: "timestamp", column: "date".into() });
}

#[test]
fn a_known_export_gets_the_mapping_that_ships_with_the_plans_that_were_found() {
    let rows = rows(
        &[
            "uuid",
            "account_code",
            "plan_code",
            "state",
            "quantity",
            "activated_at",
            "current_period_started_at",
            "expires_at",
            "trial_ends_at",
            "canceled_at",
            "current_period_ends_at",
        ],
        &[&["u1", "acme", "gold", "active", "3", "2024-01-31 10:00:00 UTC", "2024-01-31 10:00:00 UTC", "", "", "", ""]],
    );
    let draft = drafted(Entity::Subscription, &rows).unwrap();
    assert_eq!(draft.recognised, Some("Recurly subscriptions export"));
    assert!(draft.mapping.contains("\"gold\" = \"gold\"  # 1 row of the sample\n"), "{}", draft.mapping);
    let records = mapped(&draft, &rows);
    assert!(records[0].contains(r#""planId":"gold""#), "{records:?}");
}

/// Given an export that shares one column's name with one that is known, when it is drafted, then its own columns are used.
#[test]
fn one_name_in_common_makes_no_known_export() {
    let rows = rows(
        &["Account Number", "Company", "Contact Mail", "Since"],
        &[&["A-1", "Acme Inc", "ada@acme.example", "31.01.2024"], &["A-2", "Bolt", "bob@bolt.example", "01.02.2024"]],
    );
    let draft = drafted(Entity::Customer, &rows).unwrap();
    assert_eq!(draft.recognised, None);
    let records = mapped(&draft, &rows);
    assert_eq!(records[0], r#"{"customerId":"A-1","email":"ada@acme.example","name":"Acme Inc"}"#);
}

#[test]
fn a_field_that_was_said_is_not_guessed_and_one_that_is_needed_is_not_made_up() {
    let rows = rows(&["acct", "mail"], &[&["acme", "ada@acme.example"]]);
    let missing = CantDraft::NoColumn { entity: Entity::Customer, field: "customerId" };
    assert_eq!(drafted(Entity::Customer, &rows).unwrap_err(), missing);

    let said = BTreeMap::from([("customerId".to_owned(), "acct".to_owned())]);
    let draft = draft(Entity::Customer, &sample(&rows), &said, &SystemClock).unwrap();
    assert_eq!(mapped(&draft, &rows), [r#"{"customerId":"acme","email":"ada@acme.example"}"#]);
}

#[test]
fn odd_names_and_values_can_neither_break_the_text_nor_leave_their_comment() {
    let rows = rows(
        &["id", "pl\"an'\n[x]", "email\u{7}"],
        &[&["acme\n[fields]\nx = 1", "a\"b'c\\", "ada@acme.example"], &["=cmd", "\u{1b}[31m", ""]],
    );
    let said = BTreeMap::from([("customerId".to_owned(), "id".to_owned())]);
    let draft = draft(Entity::Customer, &sample(&rows), &said, &SystemClock).unwrap();
    mapped(&draft, &rows);
    assert!(draft.mapping.lines().all(|line| !line.starts_with("x = 1")), "{}", draft.mapping);
}
