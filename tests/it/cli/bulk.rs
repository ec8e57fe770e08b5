//! The files of the vendor's bulk-import tool, each generation as section 10 of the contract has it, under its flags.

use serde_json::{Value, json};

use crate::program::{Api, Folder, LEDGER, assert_ran};

/// What the API has in the end.
#[track_caller]
fn has(api: &Api, expected: &Value) {
    let snapshot = serde_json::to_value(api.sandbox.snapshot()).unwrap();
    assert_eq!(&snapshot, expected, "{snapshot:#}");
}

const FILES: &str =
    "bulk --customers-file customers.json --subscriptions-file subscriptions.json --usage-file usage.json";

/// Imports the three files, and once more.
#[track_caller]
fn import(api: &Api, files: [&Value; 3]) {
    let folder = Folder::new();
    for (name, file) in ["customers.json", "subscriptions.json", "usage.json"].into_iter().zip(files) {
        folder.write(name, file.to_string());
    }
    let ran = folder.run_to(api, &format!("{FILES} --json")).exits(0);
    assert_eq!((ran.total("accepted"), ran.total("open")), (ran.total("records"), 0), "{ran}");
    let again = folder.run_to(api, &format!("{FILES} --json")).exits(0);
    assert_eq!((again.total("accepted"), again.total("unchanged")), (0, ran.total("records")), "{again}");
}

#[test]
fn files_of_0_0_9() {
    let (api, folder) = (Api::open(), Folder::new());
    let input = json!({ "customers": [
        { "customerId": "customer-1", "email": "one@example.com", "name": "One", "billingId": "cus_1",
          "metadata": { "key": "value" },
          "subscription": { "planId": "plan-pro", "billingPeriod": "MONTHLY", "unitQuantity": 5,
            "startDate": "2022-06-01T00:00:00.000Z" },
          "featuresUsage": { "feature-seats": 12, "feature-sites": 2.5 } },
        { "customerId": "customer-2", "email": "two@example.com", "name": "Two" },
    ] });
    folder.write("input.json", input.to_string());
    let ran = folder.run_to(&api, "bulk --input-file input.json --json").exits(0);
    assert_eq!((ran.total("accepted"), ran.total("filtered")), (5, 1), "{ran}");
    has(
        &api,
        &json!({
          "customers": {
            "customer-1": {
              "name": "One",
              "email": "one@example.com",
              "billingId": "cus_1",
              "metadata": {
                "key": "value"
              }
            },
            "customer-2": {
              "name": "Two",
              "email": "two@example.com"
            }
          },
          "subscriptions": {
            "customer-1:plan-pro": {
              "customerId": "customer-1",
              "planId": "plan-pro",
              "pricingType": "PAID",
              "startDate": "2022-06-01T00:00:00.000Z",
              "billingPeriod": "MONTHLY",
              "unitQuantity": 5.0
            }
          },
          "usage": {
            "customer-1": {
              "feature-seats": {
                "": 12.0
              },
              "feature-sites": {
                "": 2.5
              }
            }
          }
        }),
    );
    let again = folder.run_to(&api, "bulk --input-file input.json --json").exits(0);
    assert_eq!((again.total("accepted"), again.total("unchanged")), (0, 5), "{again}");
}

#[test]
fn files_of_1_7_0() {
    let api = Api::open();
    import(
        &api,
        [
            &json!({ "customers": [
            { "customerId": "customer-1", "email": "one@example.com", "name": "One", "billingId": "cus_1",
              "paymentMethodId": "pm_1", "metadata": { "key": "value" } },
        ] }),
            &json!({ "subscriptions": [
            { "customerId": "customer-1", "planId": "plan-pro", "resourceId": "site-1", "billingPeriod": "MONTHLY",
              "unitQuantity": 5, "startDate": "2023-01-01T00:00:00.000Z", "metadata": { "legacyId": "s1" } },
        ] }),
            &json!({ "usages": [
            { "customerId": "customer-1", "resourceId": "site-1", "featureId": "feature-seats", "usage": 12.5 },
        ] }),
        ],
    );
    has(
        &api,
        &json!({
          "customers": {
            "customer-1": {
              "name": "One",
              "email": "one@example.com",
              "billingId": "cus_1",
              "paymentMethodId": "pm_1",
              "metadata": {
                "key": "value"
              }
            }
          },
          "subscriptions": {
            "customer-1:plan-pro:site-1": {
              "customerId": "customer-1",
              "planId": "plan-pro",
              "pricingType": "PAID",
              "resourceId": "site-1",
              "startDate": "2023-01-01T00:00:00.000Z",
              "billingPeriod": "MONTHLY",
              "unitQuantity": 5.0,
              "metadata": {
                "legacyId": "s1"
              }
            }
          },
          "usage": {
            "customer-1": {
              "feature-seats": {
                "site-1": 12.5
              }
            }
          }
        }),
    );
}

#[test]
fn files_of_1_9_1() {
    let api = Api::open();
    import(
        &api,
        [
            &json!({ "customers": [
            { "customerId": "customer-1", "email": "one@example.com", "name": "One",
              "updatedAt": "2024-03-01T10:00:00.000Z" },
        ] }),
            &json!({ "subscriptions": [
            { "customerId": "customer-1", "planId": "plan-pro", "billingPeriod": "ANNUALLY",
              "endDate": "2035-01-01T00:00:00.000Z", "updatedAt": "2024-03-01T10:00:00.000Z",
              "billableFeatures": [
                { "featureId": "feature-seats", "quantity": 3 }, { "featureId": "feature-sites", "quantity": 2 },
              ] },
        ] }),
            &json!({ "usages": [ { "customerId": "customer-1", "featureId": "feature-seats", "usage": 7 } ] }),
        ],
    );
    has(
        &api,
        &json!({
          "customers": {
            "customer-1": {
              "name": "One",
              "email": "one@example.com"
            }
          },
          "subscriptions": {
            "customer-1:plan-pro": {
              "customerId": "customer-1",
              "planId": "plan-pro",
              "pricingType": "PAID",
              "endDate": "2035-01-01T00:00:00.000Z",
              "billingPeriod": "ANNUALLY",
              "billableFeatures": [
                {
                  "featureId": "feature-seats",
                  "quantity": 3.0
                },
                {
                  "featureId": "feature-sites",
                  "quantity": 2.0
                }
              ]
            }
          },
          "usage": {
            "customer-1": {
              "feature-seats": {
                "": 7.0
              }
            }
          }
        }),
    );
}

#[test]
fn files_of_the_current_documents() {
    let (api, folder) = (Api::open(), Folder::new());
    folder
        .write(
            "customers.json",
            json!({ "customers": [
            { "customerId": "customer-1", "metadata": { "key": "value" } }, { "customerId": "customer-2" },
        ] })
            .to_string(),
        )
        .write(
            "free-subscriptions.json",
            json!({ "subscriptions": [
            { "customerId": "customer-1", "planId": "plan-free", "startDate": "2023-01-01T00:00:00.000Z",
              "additionalMetaData": { "legacyId": "s1" } },
        ] })
            .to_string(),
        )
        .write(
            "custom-subscriptions.json",
            json!({ "subscriptions": [
            { "customerId": "customer-2", "planId": "plan-custom",
              "entitlements": [
                { "feature": { "featureId": "feature-seats", "usageLimit": 50, "resetPeriod": "MONTH",
                    "monthlyResetPeriodConfiguration": { "accordingTo": "StartOfTheMonth" } } },
                { "credit": { "customCurrencyId": "credits", "amount": 1000, "cadence": "MONTH" } },
              ],
              "addons": [ { "addonId": "addon-support", "quantity": 1 } ] },
        ] })
            .to_string(),
        )
        .write(
            "usage.json",
            json!({ "usages": [
            { "customerId": "customer-1", "featureId": "feature-seats", "value": 3 },
        ] })
            .to_string(),
        );
    assert_ran!(folder.run_to(&api, "bulk --customers-file customers.json --subscriptions-file free-subscriptions.json \
        --subscriptions-file custom-subscriptions.json --usage-file usage.json"), @r#"
    exit 0
    --- stdout
    step           rows  records  accepted  unchanged  rejected time
    customers         2        2         2          0         0 [DURATION]
    subscriptions     2        2         2          0         0 [DURATION]
    usage             1        1         1          0         0 [DURATION]

    every record is accounted for: 5 = 5 accepted

    --- stderr
    "#);
    has(
        &api,
        &json!({
          "customers": {
            "customer-1": {
              "metadata": {
                "key": "value"
              }
            },
            "customer-2": {}
          },
          "subscriptions": {
            "customer-1:plan-free": {
              "customerId": "customer-1",
              "planId": "plan-free",
              "pricingType": "FREE",
              "startDate": "2023-01-01T00:00:00.000Z",
              "metadata": {
                "legacyId": "s1"
              }
            },
            "customer-2:plan-custom": {
              "customerId": "customer-2",
              "planId": "plan-custom",
              "pricingType": "CUSTOM",
              "addons": [
                {
                  "addonId": "addon-support",
                  "quantity": 1
                }
              ],
              "entitlements": [
                {
                  "feature": {
                    "featureId": "feature-seats",
                    "monthlyResetPeriodConfiguration": {
                      "accordingTo": "StartOfTheMonth"
                    },
                    "resetPeriod": "MONTH",
                    "usageLimit": 50.0
                  }
                },
                {
                  "credit": {
                    "amount": 1000.0,
                    "cadence": "MONTH",
                    "customCurrencyId": "credits"
                  }
                }
              ]
            }
          },
          "usage": {
            "customer-1": {
              "feature-seats": {
                "": 3.0
              }
            }
          }
        }),
    );
}

#[test]
fn what_is_rejected_is_listed_corrected_and_sent_again() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("customers.json", r#"{"customers": [{"customerId": "customer-1", "email": "nonsense"}]}"#);
    let ran = folder.run_to(&api, "bulk --customers-file customers.json --max-rejects 5");
    assert_ran!(ran, @r#"
    exit 3
    --- stdout
    step       rows  records  accepted  unchanged  rejected time
    customers     1        1         0          0         1 [DURATION]

    every record is accounted for: 1 = 1 rejected

    --- stderr
    rejected rows are in .stigg-import/rejects/1-customers.jsonl
    hint: stigg-import rejects list --run 1 shows why
    "#);
    folder.run("rejects export --out fix.csv").exits(0);
    folder.write("fix.csv", folder.read("fix.csv").replace("nonsense", "one@example.com"));
    folder.run_to(&api, "rejects retry --csv fix.csv").exits(0);
    has(
        &api,
        &json!({ "customers": { "customer-1": { "email": "one@example.com" } }, "subscriptions": {}, "usage": {} }),
    );
}

#[test]
fn files_that_are_none_end_the_run_before_anything_is_sent() {
    let (api, folder) = (Api::open(), Folder::new());
    folder.write("usage.json", r#"{"customers": []}"#).write("customers.json", r#"{"customers": []}"#);
    let shown: Vec<String> = [
        "bulk",
        "bulk --input-file -",
        "bulk --customers-file - --usage-file -",
        "bulk --input-file input.json --usage-file usage.json",
        "bulk --customers-file customers.json --max-rejects some",
        "bulk --customers-file missing.json",
        "bulk --customers-file customers.json --usage-file usage.json",
    ]
    .into_iter()
    .map(|words| {
        let ran = folder.run_to(&api, words);
        format!("$ {words}\n{ran}")
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    $ bulk
    exit 2
    --- stdout

    --- stderr
    error: there is no file to import
    hint: stigg-import bulk --customers-file F --subscriptions-file F --usage-file F, any of them

    $ bulk --input-file -
    exit 2
    --- stdout

    --- stderr
    error: --input-file is read three times, and standard input only once
    hint: write it into a file

    $ bulk --customers-file - --usage-file -
    exit 2
    --- stdout

    --- stderr
    error: only one file can be standard input

    $ bulk --input-file input.json --usage-file usage.json
    exit 2
    --- stdout

    --- stderr
    error: the argument '--input-file <FILE>' cannot be used with '--usage-file <FILE>'

    Usage: stigg-import bulk --input-file <FILE> --target <URL> --rate-scale <N>

    For more information, try '--help'.

    $ bulk --customers-file customers.json --max-rejects some
    exit 2
    --- stdout

    --- stderr
    error: `some` is neither a number of rejects (100) nor a share of the rows (5%)

    $ bulk --customers-file missing.json
    exit 5
    --- stdout

    --- stderr
    error: step `customers` has no source
      because missing.json: no such file
    hint: nothing was sent; mend the source and run the same command again

    $ bulk --customers-file customers.json --usage-file usage.json
    exit 5
    --- stdout

    --- stderr
    error: step `usage` has no source
      because usage.json: has no array `usages`; it has: `customers`
    hint: nothing was sent; mend the source and run the same command again
    "#);
    assert!(!folder.path(LEDGER).exists());
    assert_eq!(api.sandbox.snapshot(), Api::open().sandbox.snapshot());
    let no_key = folder.run("bulk --customers-file customers.json").exits(7);
    assert!(no_key.stderr.contains("STIGG_API_KEY"), "{no_key}");
}

#[test]
fn standard_input_is_a_file() {
    let (api, folder) = (Api::open(), Folder::new());
    let line = format!(
        "echo '{{\"customers\": [{{\"customerId\": \"c\"}}]}}' | $PROGRAM bulk --customers-file - --target {}",
        api.url
    );
    folder.finish(&mut folder.shell(&line)).exits(0);
    assert_eq!(api.customers(), 1);
}

#[test]
fn help_of_bulk() {
    assert_ran!(Folder::new().run("bulk --help"), @r#"
    exit 0
    --- stdout
    Imports the files of the vendor's tool (npx @stigg/bulk-import) of every version, under its own
    flags.

    The files need no mapping and stay as they are. Everything else is as with `run`: the ledger, the
    rate limits, the rejects, the summary and the exit codes. The same command again sends only what has
    changed. The files have no ids of subscriptions; they are made of customer, plan and resource.

    Usage: stigg-import bulk [OPTIONS]

    Options:
          --customers-file <FILE>
              customers.json, an object with the array `customers`

          --subscriptions-file <FILE>
              free-subscriptions.json, custom-subscriptions.json or subscriptions.json, an object with
              the array `subscriptions`; may be repeated

          --usage-file <FILE>
              usage.json, an object with the array `usages`

          --input-file <FILE>
              input.json of version 0.0.9: customers, each with its subscription and its usage

          --target <URL>
              The GraphQL address [default: https://api.stigg.io/graphql]

          --rate-scale <N>
              Multiply the published rate limits, for a key with higher ones (or a sandbox with
              --rate-scale)

          --burst <N>
              Let this many requests go at once before pacing starts; only for short jobs

          --ledger <PATH|URL>
              The ledger: a file, or a Postgres database that several machines share [default:
              $STIGG_IMPORT_LEDGER, or .stigg-import/ledger.db]

          --max-rejects <N|N%>
              Stop after this many rejects, or this share of the rows (5 %)

          --resend
              Send every record again, also those that were delivered: repairs what was changed in Stigg
              itself

          --report <FILE.html>
              Write what happened into this file, too: a page for a browser that only you may read

          --report-samples
              Show values of some of the rows in the report: personal data

          --json
              Print one JSON object to standard output instead of text

      -q, --quiet
              Say nothing but errors and the result

      -v, --verbose...
              Say more; twice for every request

          --log-format <FORM>
              Form of the log lines on standard error

              Possible values:
              - text: A line for people
              - json: A JSON object a line

              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      stigg-import bulk --customers-file customers.json --subscriptions-file free-subscriptions.json
      --usage-file usage.json
      stigg-import bulk --subscriptions-file free-subscriptions.json --subscriptions-file
      custom-subscriptions.json
      stigg-import bulk --input-file input.json
      stigg-import bulk --customers-file customers.json --target http://127.0.0.1:[PORT]/graphql

    --- stderr
    "#);
}
