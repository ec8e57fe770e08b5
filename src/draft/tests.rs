use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::clock::SystemClock;
use crate::entity::Entity;
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

const CUSTOMER: Schema = Schema::Import(Entity::Customer);
const SUBSCRIPTION: Schema = Schema::Import(Entity::Subscription);

fn one(
    schema: Schema,
    sample: &Sample,
    said: &BTreeMap<String, String>,
    adviser: &mut dyn Adviser,
) -> Result<Draft, CantDraft> {
    Ok(drafts(&[schema], sample, said, adviser, &SystemClock)?.remove(0))
}

fn drafted(schema: Schema, rows: &RowBatch) -> Result<Draft, CantDraft> {
    one(schema, &sample(rows), &BTreeMap::new(), &mut Nobody)
}

/// Answers with these choices, by name, in this order, and keeps what it was asked.
#[derive(Default)]
struct Person {
    answers: Vec<&'static str>,
    asked: Vec<Question>,
}

impl Adviser for Person {
    fn choose(&mut self, question: &Question) -> Option<usize> {
        self.asked.push(question.clone());
        let answer = (!self.answers.is_empty()).then(|| self.answers.remove(0))?;
        question.choices.iter().position(|choice| choice.name == answer)
    }
}

fn asked(schema: Schema, rows: &RowBatch, answers: &[&'static str]) -> (Draft, Vec<Question>) {
    let mut person = Person { answers: answers.to_vec(), asked: Vec::new() };
    let draft = one(schema, &sample(rows), &BTreeMap::new(), &mut person).unwrap();
    assert!(person.answers.is_empty(), "{:?} was not asked for", person.answers);
    (draft, person.asked)
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
    let draft = drafted(CUSTOMER, &rows).unwrap();
    assert_eq!(
        draft.mapping,
        r##"# A draft from 5 columns and 2 rows. Each guess says why; look at those, and at every TODO.

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
    let draft = drafted(SUBSCRIPTION, &rows).unwrap();
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
    let draft = drafted(SUBSCRIPTION, &rows).unwrap();
    assert!(!mapped(&draft, &rows)[0].contains("startDate"));
    assert!(draft.mapping.contains("# startDate = { column = \"start\", time = \"%d/%m/%Y\", zone = \"UTC\" }\n"));
    assert!(draft.mapping.contains("# startDate = { column = \"start\", time = \"%m/%d/%Y\", zone = \"UTC\" }\n"));

    // Where every record needs it, there is no draft without it.
    let events =
        super::tests::rows(&["customer_id", "event_id", "event", "date"], &[&["acme", "e1", "call", "03/04/2024"]]);
    let refused = drafted(Schema::Import(Entity::Event), &events).unwrap_err();
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
    let draft = drafted(SUBSCRIPTION, &rows).unwrap();
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
    let draft = drafted(CUSTOMER, &rows).unwrap();
    assert_eq!(draft.recognised, None);
    let records = mapped(&draft, &rows);
    assert_eq!(records[0], r#"{"customerId":"A-1","email":"ada@acme.example","name":"Acme Inc"}"#);
}

#[test]
fn a_field_that_was_said_is_not_guessed_and_one_that_is_needed_is_not_made_up() {
    let rows = rows(&["who", "mail"], &[&["acme", "ada@acme.example"], &["acme", "bob@acme.example"]]);
    let missing = CantDraft::NoColumn { schema: CUSTOMER, field: "customerId" };
    assert_eq!(drafted(CUSTOMER, &rows).unwrap_err(), missing);

    let said = BTreeMap::from([("customerId".to_owned(), "who".to_owned())]);
    let draft = one(CUSTOMER, &sample(&rows), &said, &mut Nobody).unwrap();
    assert_eq!(mapped(&draft, &rows)[0], r#"{"customerId":"acme","email":"ada@acme.example"}"#);
}

#[test]
fn odd_names_and_values_can_neither_break_the_text_nor_leave_their_comment() {
    let rows = rows(
        &["id", "pl\"an'\n[x]", "email\u{7}"],
        &[&["acme\n[fields]\nx = 1", "a\"b'c\\", "ada@acme.example"], &["=cmd", "\u{1b}[31m", ""]],
    );
    let said = BTreeMap::from([("customerId".to_owned(), "id".to_owned())]);
    let draft = one(CUSTOMER, &sample(&rows), &said, &mut Nobody).unwrap();
    mapped(&draft, &rows);
    assert!(draft.mapping.lines().all(|line| !line.starts_with("x = 1")), "{}", draft.mapping);
}

/// Given exports whose ids have other names, when they are drafted, then their column is found.
#[test]
fn the_id_of_a_customer_has_many_names() {
    for name in ["account_no", "Account Number", "client_ref", "acct", "Member No."] {
        let rows = rows(&[name, "mail"], &[&["A-1", "ada@acme.example"], &["A-2", "bob@bolt.example"]]);
        let draft = drafted(CUSTOMER, &rows).unwrap();
        assert_eq!(mapped(&draft, &rows)[1], r#"{"customerId":"A-2","email":"bob@bolt.example"}"#, "{name}");
        assert!(draft.to_do.is_empty(), "{name}: {:?}", draft.to_do);
    }
}

#[test]
fn without_a_name_the_id_is_what_tells_records_apart_and_a_person_is_told() {
    let rows = rows(
        &["Team", "Login", "mail", "Phone", "Joined"],
        &[
            &["red", "ada", "ada@acme.example", "555-1", "2024-01-31"],
            &["red", "bob", "bob@bolt.example", "555-2", "2024-02-01"],
        ],
    );
    let draft = drafted(CUSTOMER, &rows).unwrap();
    assert!(mapped(&draft, &rows)[0].starts_with(r#"{"customerId":"ada""#), "{}", draft.mapping);
    assert_eq!(draft.to_do, ["customerId: is it column \"Login\"?"]);
}

/// Given two columns that are about as likely, when a person is asked, then the answer is taken; when nobody is, the first
/// is, and both are named.
#[test]
fn two_columns_that_may_be_the_id_are_asked_for() {
    let rows = rows(
        &["id", "account_code", "mail"],
        &[&["1", "acme", "ada@acme.example"], &["2", "bolt", "bob@bolt.example"]],
    );
    let (draft, questions) = asked(CUSTOMER, &rows, &["id"]);
    assert!(mapped(&draft, &rows)[0].starts_with(r#"{"customerId":"1""#), "{}", draft.mapping);
    assert!(draft.to_do.is_empty());
    let [Question { about, choices, guess: 0 }] = &questions[..] else { panic!("{questions:?}") };
    assert_eq!(*about, About::Column { schema: CUSTOMER, field: "customerId" });
    let choice = |name: &str, because: &str| Choice { name: name.into(), because: because.into() };
    assert_eq!(*choices, [choice("account_code", "acme | bolt"), choice("id", "1 | 2")]);

    let draft = drafted(CUSTOMER, &rows).unwrap();
    assert!(mapped(&draft, &rows)[0].starts_with(r#"{"customerId":"acme""#), "{}", draft.mapping);
    assert_eq!(draft.to_do, ["customerId: is it column \"account_code\", and not \"id\"?"]);
}

#[test]
fn the_order_of_day_and_month_is_asked_for_once_and_another_column_tells_the_guess() {
    let rows = rows(
        &["id", "customer_id", "plan", "start", "end", "paid on"],
        &[&["s1", "acme", "pro", "03/04/2024", "05/06/2025", "04/25/2024"]],
    );
    let (draft, questions) = asked(SUBSCRIPTION, &rows, &["day first", "day first"]);
    let guesses: Vec<usize> = questions.iter().map(|question| question.guess).collect();
    assert_eq!(guesses, [1, 0], "first what another column says, then what the person said");
    assert!(mapped(&draft, &rows)[0].contains(r#""startDate":"2024-04-03T00:00:00.000Z","endDate":"2025-06-05T"#));
}

#[test]
fn a_subscription_without_an_id_gets_one_of_its_customer_and_plan_and_names_come_in_two_columns() {
    let members = rows(
        &["Member No", "First Name", "Surname", "E-Mail"],
        &[&["M1", "Ada", "Lovelace", "ada@acme.example"], &["M2", "Bob", "", "bob@bolt.example"]],
    );
    let draft = drafted(CUSTOMER, &members).unwrap();
    assert_eq!(
        mapped(&draft, &members),
        [
            r#"{"customerId":"M1","email":"ada@acme.example","name":"Ada Lovelace"}"#,
            r#"{"customerId":"M2","email":"bob@bolt.example","name":"Bob"}"#,
        ]
    );

    let contract = |member, kind| [member, kind, "01.02.2024", "monthly"];
    let each_once = [contract("M1", "Gold"), contract("M2", "Gold"), contract("M3", "Day"), contract("M4", "Day")];
    let columns = ["Member No", "Kind", "Valid From", "Paid"];
    let once = rows(&columns, &each_once.each_ref().map(<[&str; 4]>::as_slice));
    let draft = drafted(SUBSCRIPTION, &once).unwrap();
    assert_eq!(
        mapped(&draft, &once)[2],
        r#"{"subscriptionId":"M3","customerId":"M3","planId":"Day","startDate":"2024-02-01T00:00:00.000Z","billingPeriod":"MONTHLY"}"#
    );
    let twice = [contract("M1", "Gold"), contract("M1", "Day"), contract("M2", "Day"), contract("M2", "Gold")];
    let twice = rows(&columns, &twice.each_ref().map(<[&str; 4]>::as_slice));
    let draft = drafted(SUBSCRIPTION, &twice).unwrap();
    assert!(
        mapped(&draft, &twice)[1].starts_with(r#"{"subscriptionId":"M1:Day","customerId":"M1""#),
        "{}",
        draft.mapping
    );
    assert_eq!(draft.to_do.len(), 4, "{:?}", draft.to_do);
}

/// Given an export of paid subscriptions, when it is drafted, then prices are only proposed, in the unit that was found.
#[test]
fn prices_of_paid_subscriptions_are_proposed_in_their_unit_and_never_taken() {
    let paid = |price: &'static str, cell: &'static str| {
        rows(
            &["sub_id", "customer_id", "plan", "started", "interval", price, "currency"],
            &[&["sub_1", "acme", "pro", "2024-01-31", "month", cell, "eur"]],
        )
    };
    for (column, cell, line) in [
        ("price_cents", "4900", "# priceUnitAmount = { column = \"price_cents\", scale = -2 }\n"),
        ("price", "49.00", "# priceUnitAmount = { column = \"price\" }\n"),
        ("price", "49,50", "# priceUnitAmount = { column = \"price\", decimal = \",\" }\n"),
    ] {
        let rows = paid(column, cell);
        let (draft, questions) = asked(Schema::PaidSubscription, &rows, &[]);
        assert!(questions.is_empty(), "{questions:?}");
        assert!(draft.mapping.contains(line), "{}", draft.mapping);
        assert!(!mapped(&draft, &rows)[0].contains("priceUnitAmount"));
        // Whoever takes it gets the amount in whole units.
        let taken = Draft { mapping: draft.mapping.replace("# priceUnit", "priceUnit"), ..draft };
        let amount = if cell.starts_with("49,") { "49.5" } else { "49" };
        assert!(
            mapped(&taken, &rows)[0].contains(&format!("\"priceUnitAmount\":{amount},")),
            "{:?}",
            mapped(&taken, &rows)
        );
    }
    let rows = paid("price", "4900");
    let (draft, questions) = asked(Schema::PaidSubscription, &rows, &["cents"]);
    assert_eq!(questions[0].about, About::Unit { column: "price".into() });
    assert!(draft.mapping.contains("{ column = \"price\", scale = -2 }"), "{}", draft.mapping);
    assert!(
        mapped(&draft, &rows)[0].contains(r#""original":{"provider":"stripe","id":"sub_1"}"#),
        "{:?}",
        mapped(&draft, &rows)
    );
}

#[test]
fn where_the_originals_are_is_asked_for_unless_their_ids_tell() {
    let rows = rows(
        &["subscription_id", "customer_id", "plan", "started", "interval"],
        &[&["A-S01", "acme", "pro", "2024-01-31", "month"]],
    );
    let (draft, questions) = asked(Schema::PaidSubscription, &rows, &["zuora"]);
    assert_eq!(questions[0].about, About::Provider);
    assert!(mapped(&draft, &rows)[0].contains(r#""provider":"zuora","id":"A-S01""#), "{:?}", mapped(&draft, &rows));
    let draft = drafted(Schema::PaidSubscription, &rows).unwrap();
    assert!(
        draft.to_do.iter().any(|what| what.starts_with("original: are the originals at stripe?")),
        "{:?}",
        draft.to_do
    );
}

#[test]
fn what_a_row_is_is_told_by_the_columns_or_asked_for() {
    let schema = |columns: &[&str], cells: &[&str], adviser: &mut dyn Adviser| {
        schemas_of(&sample(&rows(columns, &[cells])), adviser, &SystemClock).map(|told| told.schemas)
    };
    let mut nobody = Nobody;
    assert_eq!(schema(&["Member No", "Mail"], &["M1", "a@b.example"], &mut nobody), Ok(vec![CUSTOMER]));
    assert_eq!(schema(&["Contract No", "Member", "Plan"], &["C1", "M1", "p"], &mut nobody), Ok(vec![SUBSCRIPTION]));
    assert_eq!(
        schema(&["Contract No", "Member", "Plan", "Mail"], &["C1", "M1", "p", "a@b.example"], &mut nobody),
        Ok(vec![CUSTOMER, SUBSCRIPTION])
    );
    let usage = Schema::Import(Entity::Usage);
    assert_eq!(schema(&["customer", "feature", "total"], &["M1", "seats", "3"], &mut nobody), Ok(vec![usage]));
    let event = Schema::Import(Entity::Event);
    assert_eq!(schema(&["customer", "event", "at"], &["M1", "call", "2024-01-31"], &mut nobody), Ok(vec![event]));
    let either = (["Member No", "Mail", "Plan"], ["M1", "a@b.example", "p"]);
    assert_eq!(schema(&either.0, &either.1, &mut nobody), Ok(vec![CUSTOMER, SUBSCRIPTION]));
    assert_eq!(schema(&["x"], &["1"], &mut nobody), Err(vec![]));
    let mut person = Person { answers: vec!["subscription"], asked: Vec::new() };
    assert_eq!(schema(&either.0, &either.1, &mut person), Ok(vec![SUBSCRIPTION]));
    assert_eq!(person.asked[0].choices.len(), Schema::ALL.len() + 1, "each, and both");
}

/// Given meter events whose names are not ours, when they are drafted, then the table has theirs, and no row is rejected for it.
#[test]
fn features_of_a_known_export_are_listed_as_its_plans_are() {
    let rows = rows(
        &["identifier", "timestamp", "event_name", "stripe_customer_id", "value"],
        &[&["evt_1", "2026-05-24 22:50:07", "pages_scanned", "cus_1", "9"]],
    );
    let draft = drafted(Schema::Import(Entity::Usage), &rows).unwrap();
    assert_eq!(draft.recognised, Some("Stripe meter events export"));
    assert!(
        draft.mapping.contains("\"pages_scanned\" = \"pages_scanned\"  # 1 row of the sample\n"),
        "{}",
        draft.mapping
    );
    assert_eq!(draft.to_do, ["lookups.features: what each feature becomes in Stigg"]);
}

/// Given totals in a column for each feature, when they are drafted, then each column is a record, and what is empty is none.
#[test]
fn a_column_for_each_feature_becomes_a_record_for_each() {
    let rows = rows(
        &["member", "month", "visits", "Sauna (h)"],
        &[&["M1", "2025-03", "12", "1.5"], &["M2", "2025-03", "3", ""]],
    );
    let draft = drafted(Schema::Import(Entity::Usage), &rows).unwrap();
    assert_eq!(
        mapped(&draft, &rows),
        [
            r#"{"customerId":"M1","featureId":"visits","value":12,"updateBehavior":"SET"}"#,
            r#"{"customerId":"M1","featureId":"sauna-h","value":1.5,"updateBehavior":"SET"}"#,
            r#"{"customerId":"M2","featureId":"visits","value":3,"updateBehavior":"SET"}"#,
        ]
    );
    assert_eq!(
        draft.to_do,
        [
            "record: which feature in Stigg is column \"visits\"?",
            "record: which feature in Stigg is column \"Sauna (h)\"?"
        ]
    );
}

/// Given ids with a character that no id in Stigg has, when they are drafted, then it becomes a hyphen, in both mappings the
/// same, and a person is told.
#[test]
fn ids_that_stigg_does_not_take_are_spelled_otherwise() {
    let columns = ["Patient Ref", "Contact E-mail", "Care Plan", "Plan Start Date", "Renewal", "Visits Left"];
    let rows = rows(
        &columns,
        &[
            &["PT/0001", "mary@clinic.example", "Basic Care", "2024-04-03", "Monthly", "3"],
            &["PT/0002", "john@clinic.example", "Premium Care", "2024-06-05", "Annual", "12"],
        ],
    );
    let customers = drafted(CUSTOMER, &rows).unwrap();
    assert_eq!(mapped(&customers, &rows)[0], r#"{"customerId":"PT-0001","email":"mary@clinic.example"}"#);
    assert_eq!(customers.to_do, ["customerId: no id may have '/'; is a hyphen right, in every mapping?"]);
    let subscriptions = drafted(SUBSCRIPTION, &rows).unwrap();
    assert_eq!(
        mapped(&subscriptions, &rows)[1],
        r#"{"subscriptionId":"PT/0002","customerId":"PT-0002","planId":"premium-care","startDate":"2024-06-05T00:00:00.000Z","billingPeriod":"ANNUALLY"}"#
    );
}

fn drafted_both(rows: &RowBatch) -> Vec<Draft> {
    let sample = sample(rows);
    let told = schemas_of(&sample, &mut Nobody, &SystemClock).unwrap();
    assert_eq!(told.schemas, [CUSTOMER, SUBSCRIPTION]);
    drafts(&told.schemas, &sample, &BTreeMap::new(), &mut Nobody, &SystemClock).unwrap()
}

/// Given a list of customers with their plans, in German, with signs of euros, words for nothing, a quarterly one, one without a
/// plan and one that is over, when both are drafted, then every row fits, and what only a person knows is asked.
#[test]
fn a_list_of_customers_with_their_plans_becomes_both_and_words_for_nothing_are_none() {
    let columns =
        ["Mitglieds-Nr.", "Name", "Vorname", "E-Mail", "Mitgliedschaft", "Eintritt", "Zahlweise", "Beitrag", "Status"];
    let rows = rows(
        &columns,
        &[
            &[
                "007",
                "Bond",
                "James",
                "james@club.example",
                "Gold",
                "31.01.2024",
                "vierteljährlich",
                "€ 49,90",
                "aktiv",
            ],
            &["008", "Moss", "Kate", "N/A", "Silber", "29.02.2024", "monatlich", "€ 29,90", "aktiv"],
            &["009", "Weiß", "Jörg", "joerg@club.example", "", "01.03.2024", "", "€ 0,00", "aktiv"],
            &["010", "Ohm", "Dan", "dan@club.example", "Gold", "01.03.2020", "jährlich", "€ 1.499,00", "gekündigt"],
        ],
    );
    let both = drafted_both(&rows);
    assert_eq!(
        mapped(&both[0], &rows),
        [
            r#"{"customerId":"007","email":"james@club.example","name":"James Bond"}"#,
            r#"{"customerId":"008","name":"Kate Moss"}"#,
            r#"{"customerId":"009","email":"joerg@club.example","name":"Jörg Weiß"}"#,
            r#"{"customerId":"010","email":"dan@club.example","name":"Dan Ohm"}"#,
        ]
    );
    assert_eq!(
        mapped(&both[1], &rows),
        [
            r#"{"subscriptionId":"007","customerId":"007","planId":"Gold","startDate":"2024-01-31T00:00:00.000Z"}"#,
            r#"{"subscriptionId":"008","customerId":"008","planId":"Silber","startDate":"2024-02-29T00:00:00.000Z","billingPeriod":"MONTHLY"}"#,
            r#"{"subscriptionId":"010","customerId":"010","planId":"Gold","startDate":"2020-03-01T00:00:00.000Z","billingPeriod":"ANNUALLY"}"#,
        ]
    );
    assert_eq!(
        both[1].to_do,
        [
            "subscriptionId: there is none; has each customer one subscription, so that its id can be the customer's?",
            "lookups.plans: what each plan becomes in Stigg",
            "startDate: is the zone of column \"Eintritt\" UTC?",
            "billingPeriod: Stigg has no word for \"vierteljährlich\"; is none right?",
            "where: column \"Status\": do rows with \"gekündigt\" go on?",
        ]
    );
    // Whoever takes the proposed line instead leaves out what is over.
    let mapping = both[1].mapping.replace("\nwhere", "\n# where").replacen(
        "# where = 'row[\"Mitgliedschaft\"] != \"\" and",
        "where = 'row[\"Mitgliedschaft\"] != \"\" and",
        1,
    );
    assert_eq!(mapped(&Draft { mapping, ..both[1].clone() }, &rows).len(), 2);
}

/// Given contracts with their customers, several of one, when both are drafted, then both take the customer's id from one column.
#[test]
fn contracts_that_have_their_customers_become_both_over_one_column_of_ids() {
    let rows = rows(
        &["Contract #", "Client", "Contact Person", "E-mail", "Product", "Begin", "Price"],
        &[
            &["0451", "000012", "Ada", "ada@acme.example", "Backup", "2024-01-31", "$1,200.00"],
            &["0452", "000012", "Ada", "ada@acme.example", "Mail", "2024-02-10", "$4.00"],
            &["0453", "000013", "Bob", "bob@bolt.example", "Backup", "2024-03-01", "$120.00"],
        ],
    );
    let both = drafted_both(&rows);
    assert_eq!(mapped(&both[0], &rows)[1], r#"{"customerId":"000012","email":"ada@acme.example","name":"Ada"}"#);
    assert!(
        mapped(&both[1], &rows)[1].starts_with(r#"{"subscriptionId":"0452","customerId":"000012","planId":"Mail","#)
    );
}

/// Given a list in which `id` is the customer's, when it is drafted, then it is that in both, and no name of a company is an id.
#[test]
fn the_id_of_a_list_of_customers_is_theirs_and_not_that_of_their_plans() {
    let rows = rows(
        &["id", "organization", "contact_email", "planTier", "signup_date"],
        &[
            &["1", "Acme Inc", "ada@acme.example", "pro", "3/14/2023 9:05 AM"],
            &["2", "Bolt", "bob@bolt.example", "free", "11/2/2024 1:45 PM"],
        ],
    );
    let both = drafted_both(&rows);
    assert_eq!(mapped(&both[0], &rows)[0], r#"{"customerId":"1","email":"ada@acme.example","name":"Acme Inc"}"#);
    assert_eq!(
        mapped(&both[1], &rows)[1],
        r#"{"subscriptionId":"2","customerId":"2","planId":"free","startDate":"2024-11-02T13:45:00.000Z"}"#
    );
}

/// A column that comes again and again may be a plan, or a place: only its name makes it one.
#[test]
fn what_only_may_be_a_plan_is_said_and_not_taken() {
    let rows = rows(
        &["Member No", "Mail", "Club", "Member since"],
        &[
            &["1", "a@gym.example", "Soho", "2024-01-03"],
            &["2", "b@gym.example", "Soho", "2024-01-03"],
            &["3", "c@gym.example", "Soho", "2024-01-04"],
        ],
    );
    let told = schemas_of(&sample(&rows), &mut Nobody, &SystemClock).unwrap();
    assert_eq!(told, Told { schemas: vec![CUSTOMER], maybe: Some((SUBSCRIPTION, "Club".into())) });
}

/// Given totals as they are written in Germany, when they are drafted, then they are read so, and what could be read in two
/// ways is asked.
#[test]
fn numbers_with_marks_of_thousands_are_read_as_they_are_meant() {
    let usage = Schema::Import(Entity::Usage);
    let rows = rows(
        &["Kunde", "API-Aufrufe", "Speicher (GB)"],
        &[&["acme", "1.204.331", "12,5"], &["bolt", "88.100", "3,25"], &["cord", "540", ""]],
    );
    let told = schemas_of(&sample(&rows), &mut Nobody, &SystemClock).unwrap();
    assert_eq!(told.schemas, [usage]);
    let records = mapped(&drafted(usage, &rows).unwrap(), &rows);
    let values: Vec<&str> =
        records.iter().map(|record| record.split("\"value\":").nth(1).unwrap().split(',').next().unwrap()).collect();
    assert_eq!(values, ["1204331", "12.5", "88100", "3.25", "540"]);

    let seats = super::tests::rows(
        &["id", "customer_id", "plan", "quantity"],
        &[&["s1", "acme", "pro", "1,200"], &["s2", "bolt", "pro", "2,400"]],
    );
    assert!(mapped(&drafted(SUBSCRIPTION, &seats).unwrap(), &seats)[1].contains(r#""unitQuantity":2400"#));
}
