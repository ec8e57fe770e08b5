//! What is wrong with a mapping is said all at once, each with its place.

use super::*;

fn problems(text: &str) -> Vec<String> {
    match parse("m.toml", text, Path::new("")) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .0
            .iter()
            .map(|problem| {
                let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{}:{}: {}{hint}", problem.line, problem.column, problem.message)
            })
            .collect(),
    }
}

#[test]
fn all_problems_come_at_once_with_place_and_hint() {
    let text = r#"entity = "subscription"
wehre = 'x'
[fields]
subscriptionId = "id"
planID = "Plan"
startDate = { column = "Start", time = "%Y-%m-%d" }
endDate = { column = "End", time = "tomorrow" }
billingPeriod = { column = "Interval", map = { month = "MONTH" } }
unitQuantity = { column = "Q", const = 1 }
customerId = { const = "not an id" }
[[fields.entitlements]]
feature = { featureId = "f" }
credit = { customCurrencyId = "c", amount = "a" }
[[reject]]
when = 'Status =='
because = "x"
"#;
    insta::assert_snapshot!(problems(text).join("\n"), @r#"
    2:1: a mapping has no key `wehre` (its keys are entity, description, where, group, aggregate, fields, record, checks, reject, lookups, csv, example, $schema)
    5:1: the record has no field `planID` (did you mean `planId`?)
    6:40: `%Y-%m-%d` doesn't say the zone of its times (say it: zone = "UTC", or zone = "Europe/Berlin")
    7:36: `tomorrow` is no time format (iso, unix, unix_ms, or a format like %Y-%m-%d %H:%M)
    8:46: `month` becomes `MONTH`, which can't be `billingPeriod`: it is none of MONTHLY, ANNUALLY
    9:16: `column` and `const` exclude each other
    10:24: `not an id` can't be `customerId`: it may not have the character ' '
    11:1: an entry of `entitlements` has exactly one of `feature` or `credit`; this one has feature and credit
    13:1: `entitlements.credit` lacks `cadence` (how often they are granted; billing periods are MONTHLY and ANNUALLY instead)
    15:8: this is no expression: unexpected end of input, expected expression (for example: 'Status == "active" and row["Customer ID"] != ""')
    "#);
}

#[test]
fn a_syntax_error_is_a_problem_with_a_place() {
    let found = problems("entity = \"customer\"\n[fields\ncustomerId = \"id\"\n");
    assert!(found[0].starts_with("2:"), "{found:?}");
    assert_eq!(problems("entity = \"customr\"\n")[0], "1:10: there is no entity `customr` (did you mean `customer`?)");
    assert_eq!(
        problems("")[0],
        "1:1: `entity` is missing (say what the records are: one of `customer`, `subscription`, `paid_subscription`, \
         `usage`, `event`)"
    );
}

#[test]
fn contradictions_are_problems() {
    for (text, found) in [
        ("aggregate = \"sum\"", "only usage has totals"),
        ("[fields.name]\ncolumn = \"a\"\nlookup = \"l\"", "there is no lookup `l`"),
        ("[fields.name]\ncolumn = \"a\"\nelse = \"l\"", "`else` goes with `map` or `lookup`"),
        ("[fields.name]\ncolumn = \"a\"\njoin = \"l\"", "`join` goes with `columns`"),
        ("[fields.name]\ncolumn = \"a\"\nlower = true\nupper = true", "`lower` and `upper` exclude each other"),
        (
            "[fields.name]\ncolumn = \"a\"\nmin = 1",
            "number keys (decimal, scale, min, …) are for numbers; `name` is none",
        ),
        ("[fields.name]\nconst = \"a\"\ntrim = true", "`const` is sent as it is: `trim` changes nothing"),
        ("[fields.name]\ntrim = true", "`name` doesn't say where its value comes from"),
        ("[fields.updatedAt]\ncolumn = \"a\"\nzone = \"Mars/Base\"", "there is no time zone `Mars/Base`"),
        ("[fields.updatedAt]\ncolumn = \"a\"\ntime = \"%H:%M\"\nzone = \"UTC\"", "`%H:%M` doesn't say the whole date"),
        ("[fields]\nname = 5", "`name` is a column's name, not a number"),
        ("[fields]\nadditionalMetaData = \"x\"", "`additionalMetaData` has keys of its own, and is not a text"),
        ("[fields]\nemail = { column = \"a\", default = \"x\" }", "`x` can't be `email`: it is not an e-mail address"),
        ("[lookups.l]", "lookup `l` has no entry"),
        ("[lookups.l]\nfile = \"nowhere.csv\"", "`nowhere.csv` can't be read: No such file or directory (os error 2)"),
        ("[csv]\nencoding = \"klingon\"", "there is no encoding `klingon`"),
        ("[[example]]\nrow = {}", "an example says one of `gives`, `rejects` or `filtered`"),
    ] {
        let text = format!("entity = \"customer\"\n{text}\n");
        let found_all = problems(&text);
        assert!(found_all.iter().any(|problem| problem.contains(found)), "{text}: {found_all:#?}");
    }
}

#[test]
fn a_column_that_the_source_lacks_is_said_at_each_place() {
    let mapping = file(
        "entity = \"customer\"\nwhere = 'Plam != \"\" and row[\"Customer Mail\"]'\n[fields]\ncustomerId = \"Custmer ID\"\nname = { column = \"gone\", optional = true }\n",
    );
    let found = compile(&mapping, &columns(&["Customer ID", "Plan", "Customer E-Mail"]), &clock()).unwrap_err();
    let found: Vec<String> = found
        .0
        .iter()
        .map(|problem| {
            format!("{}:{} {} {}", problem.line, problem.column, problem.message, problem.hint.as_deref().unwrap_or(""))
        })
        .collect();
    assert_eq!(
        found,
        [
            "2:9 the source has no column `Customer Mail` did you mean `Customer E-Mail`?",
            "2:9 the source has no column `Plam` did you mean `Plan`?",
            "4:14 the source has no column `Custmer ID` did you mean `Customer ID`?",
        ]
    );
    let used: Vec<_> = mapping.columns_used().into_iter().map(|column| (column.name, column.optional)).collect();
    let expected = [("Custmer ID", false), ("Customer Mail", false), ("Plam", false), ("gone", true)];
    assert_eq!(used, expected.map(|(name, optional)| (name.to_owned(), optional)));
}

#[test]
fn a_needed_field_whose_optional_columns_are_all_missing_is_a_problem() {
    let mapping = file("entity = \"customer\"\n[fields]\ncustomerId = { first = [\"a\", \"b\"], optional = true }\n");
    assert!(compile(&mapping, &columns(&["b"]), &clock()).is_ok());
    let found = compile(&mapping, &columns(&["c"]), &clock()).unwrap_err();
    assert_eq!(found.0[0].message, "`customerId` is needed, and the source has none of its columns");
}

#[test]
fn a_lookup_that_contradicts_itself_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("l.csv"), "from,to,note\na,1,\nb,2,\na,1,again\na,3,\n").unwrap();
    let text = "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\n[lookups.l]\nfile = \"l.csv\"\n";
    let found = parse("m.toml", text, dir.path()).unwrap_err();
    assert!(found.0[0].message.ends_with("says in line 5 that `a` is `3`, and before that it is `1`"), "{found}");
    assert_eq!(found.0[0].line, 5);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[a-z\\[\\]={}\"'\\.,\n 0-9]{0,80}") {
        let _ = parse("m.toml", &text, Path::new(""));
    }
}

#[test]
fn what_names_an_event_must_not_depend_on_the_time_of_the_run() {
    let text = |key: &str, time: &str| {
        format!(
            "entity = \"event\"\n[fields]\ncustomerId = \"c\"\neventName = {{ const = \"e\" }}\n\
             idempotencyKey = {{ expr = '{key}' }}\ntimestamp = {{ expr = '{time}', time = \"unix_ms\" }}\n"
        )
    };
    assert_eq!(problems(&text("a ~ b", "at")), Vec::<String>::new());
    let found = problems(&text("a ~ now", "at or now"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("5:") && found[0].contains("`now` is another time in each run"), "{found:?}");
}

#[test]
fn an_event_needs_its_key_and_its_time() {
    let found = problems("entity = \"event\"\n[fields]\ncustomerId = \"c\"\neventName = \"e\"\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`idempotencyKey`") && found[1].contains("`timestamp`"), "{found:?}");
}
