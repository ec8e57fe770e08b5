use super::{CUSTOMERS_TOML, clean, customers};
use crate::program::{assert_ran, repository};

const EXAMPLES: &str = r#"
[[example]]
row = { id = "cus_1", email = "ada@example.com" }
gives = { customerId = "cus_1", email = "ada@example.com" }

[[example]]
row = { id = "cus_1", email = "nonsense" }
rejects = "email"
"#;

#[test]
fn a_mapping_that_holds_and_fits_is_said_in_two_lines() {
    let folder = clean();
    folder.write("customers.toml", format!("{CUSTOMERS_TOML}{EXAMPLES}"));
    assert_ran!(folder.run("check customers.toml"), @r#"
    exit 0
    --- stdout
    customers.toml: holds, 2 examples pass

    --- stderr
    "#);
    assert_ran!(folder.run("check --mapping customers.toml --csv customers.csv"), @r#"
    exit 0
    --- stdout
    customers.toml: holds, 2 examples pass
    customers: customers.csv: uncompressed, UTF-8 (assumed), delimiter comma, quote ", LF, 3 columns
    customers: 3 columns; of the first 3 rows 0 would be rejected

    --- stderr
    "#);
    let object = folder.run("check --mapping customers.toml --csv customers.csv --json").exits(0).json();
    assert_eq!((&object["ok"], &object["checks"][0]["examples"]), (&true.into(), &2.into()), "{object}");
}

#[test]
fn rows_that_would_be_rejected_are_shown() {
    assert_ran!(customers().run("check --mapping customers.toml --csv customers.csv"), @r#"
    exit 3
    --- stdout
    customers.toml: holds, and has no examples
    customers: customers.csv: uncompressed, UTF-8 (assumed), delimiter comma, quote ", LF, 3 columns
    customers: 3 columns; of the first 5 rows 1 would be rejected
      customers.csv:4, record 3: email "not-an-email": is not an e-mail address

    --- stderr
    "#);
}

#[test]
fn an_example_that_fails_is_shown_with_its_line() {
    let folder = clean();
    folder.write("customers.toml", format!("{CUSTOMERS_TOML}{}", EXAMPLES.replace("nonsense", "fine@example.com")));
    assert_ran!(folder.run("check customers.toml"), @r#"
    exit 5
    --- stdout
    customers.toml: holds, and 1 of 2 examples fail
      customers.toml:12: example 2: gives {"customerId":"cus_1","email":"fine@example.com"} instead of a reject for `email`

    --- stderr
    error: 1 example did not pass
    hint: an example is the mapping's promise: mend the one or the other
    "#);
    let object = folder.run("check customers.toml --json");
    assert_eq!(object.exit, Some(5), "{object}");
}

#[test]
fn a_column_that_is_not_there_is_named_with_the_one_that_is_meant() {
    let folder = clean();
    folder.write("customers.toml", CUSTOMERS_TOML.replace("\"email\"", "\"E-Mail\""));
    assert_ran!(folder.run("check --mapping customers.toml --csv customers.csv"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the mapping of step `customers` does not fit its source
    customers.toml:5:9: the source has no column `E-Mail`
      5 | email = "E-Mail"
        |         ^^^^^^^^
      hint: did you mean `email`?
    "#);
}

#[test]
fn a_pipeline_is_checked_with_all_its_mappings() {
    let folder = clean();
    folder.write(
        "pipeline.toml",
        "[[step]]\nname = \"customers\"\nmapping = \"customers.toml\"\nsource = { csv = \"customers.csv\" }\n",
    );
    assert_ran!(folder.run("check pipeline.toml"), @r#"
    exit 0
    --- stdout
    customers.toml: holds, and has no examples
    customers: customers.csv: uncompressed, UTF-8 (assumed), delimiter comma, quote ", LF, 3 columns
    customers: 3 columns; of the first 3 rows 0 would be rejected

    --- stderr
    "#);
}

#[test]
fn the_mappings_that_ship_hold() {
    let folder = clean();
    for name in ["stripe/customers", "stripe/subscriptions", "stripe/usage", "chinook/customers", "chinook/usage"] {
        let mapping = repository(&format!("mappings/{name}.toml"));
        let ran = folder.run(&format!("check {}", mapping.display())).exits(0);
        assert!(ran.stdout.contains("examples pass"), "{ran}");
    }
}
