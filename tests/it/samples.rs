//! The mappings that ship, on real exports: what was accepted, rejected and added up is what an independent
//! reading of the same files says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use stigg_import::sandbox::Settings;

use crate::program::{Api, Folder, Ran, catalog, repository, stripe_pipeline};

/// The day of the exports.
const EXPORTED_AT: &str = "2026-06-30 00:00";

/// Months later: what was cancelled at the end of its period has run out.
const LATER: &str = "2026-11-26 13:00";

/// Largest number that the API takes: 2^53 - 1.
const VALUE_MAX: i128 = 9_007_199_254_740_991;

/// Kinds of defects that are repeats of a record with the same content: they count as unchanged.
const REPEATS: [&str; 3] = ["dup_exact", "dup_id", "dup_identifier"];

const FEATURES: [(&str, &str); 3] = [
    ("api_calls", "feature-api-calls"),
    ("messages_sent", "feature-messages-sent"),
    ("storage_gb_hours", "feature-storage-gb-hours"),
];

/// An export with the account of its defects.
struct Sample {
    name: &'static str,
    expected: Value,
}

/// A row of `defects.csv`.
struct Defect {
    file: String,
    record: u64,
    rejected: bool,
    kind: String,
}

impl Sample {
    fn new(name: &'static str) -> Self {
        let expected = std::fs::read(repository(&format!("tests/data/{name}/expected.json"))).unwrap();
        Self { name, expected: serde_json::from_slice(&expected).unwrap() }
    }

    fn number(&self, pointer: &str) -> u64 {
        self.expected.pointer(pointer).map_or(0, |number| number.as_u64().unwrap())
    }

    fn kind(&self, table: &str, kind: &str) -> u64 {
        self.number(&format!("/tables/{table}/reject_by_kind/{kind}"))
    }

    fn rows(&self, file: &str) -> Vec<BTreeMap<String, String>> {
        let path = repository(&format!("tests/data/{}/{file}.csv", self.name));
        csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
    }

    fn defects(&self) -> Vec<Defect> {
        self.rows("defects")
            .into_iter()
            .map(|row| Defect {
                file: row["file"].clone(),
                record: row["record"].parse().unwrap(),
                rejected: row["class"] == "reject",
                kind: row["kind"].clone(),
            })
            .collect()
    }

    /// Runs the shipped mappings over it at a time, three times looked at. Returns how many totals the API refused
    /// because their customer has no active subscription.
    fn holds(&self, now: &str) -> usize {
        let settings = Settings {
            catalog: Some(catalog()),
            usage_needs_subscription: Some(true),
            started_at: Some(format!("{}:00Z", now.replace(' ', "T")).parse().unwrap()),
            ..Settings::default()
        };
        let (api, folder) = (Api::new(settings), Folder::new());
        folder.write("pipeline.toml", stripe_pipeline(&api.url, self.name));
        let ran = folder.run("run pipeline.toml --json --rate-scale 100000").exits(3);
        self.counts_hold(&ran);
        self.every_defect_is_found(&folder);
        let without_subscription = self.totals_are_exact(&api, &folder, now, &ran);

        // What the API refused is sent again, in case the reason is gone; all else is known.
        let again = folder.run("run pipeline.toml --json --rate-scale 100000").exits(3);
        assert_eq!(again.total("accepted"), 0, "{again}");
        assert_eq!(again.total("failed"), ran.total("failed"), "{again}");
        assert_eq!(again.total("unchanged"), ran.total("accepted") + ran.total("unchanged"), "{again}");
        without_subscription
    }

    fn counts_hold(&self, ran: &Ran) {
        let summary = ran.json();
        let count = |step: usize, name: &str| summary["steps"][step][name].as_u64().unwrap();
        for step in 0..3 {
            let places = ["filtered", "rejected", "unchanged", "accepted", "failed", "open"];
            assert_eq!(count(step, "records"), places.iter().map(|place| count(step, place)).sum::<u64>(), "{ran}");
            assert_eq!(count(step, "open"), 0, "{ran}");
        }

        let repeats = self.kind("customers", "dup_exact");
        assert_eq!(count(0, "rows"), self.number("/tables/customers/records"));
        assert_eq!(count(0, "accepted"), self.number("/tables/customers/accept"));
        assert_eq!(count(0, "unchanged"), repeats);
        assert_eq!(count(0, "rejected"), self.number("/tables/customers/reject") - repeats);
        assert_eq!(count(0, "failed"), 0);

        // Only the API knows that a subscription's customer is not there.
        let (repeats, unknown) = (self.kind("subscriptions", "dup_id"), self.kind("subscriptions", "unknown_customer"));
        assert_eq!(count(1, "rows"), self.number("/tables/subscriptions/records"));
        assert_eq!(count(1, "accepted"), self.number("/tables/subscriptions/accept"));
        assert_eq!(count(1, "unchanged"), repeats);
        assert_eq!(count(1, "failed"), unknown);
        assert_eq!(count(1, "rejected"), self.number("/tables/subscriptions/reject") - repeats - unknown);

        assert_eq!(count(2, "rows"), self.number("/tables/usage/records"));
        assert_eq!(count(2, "unchanged"), self.kind("usage", "dup_identifier"));
    }

    fn every_defect_is_found(&self, folder: &Folder) {
        let usage = self.rows("usage");
        for file in ["customers", "subscriptions", "usage"] {
            let entries = rejects(folder, 1, file);
            // A total stands at the first of its rows, which may be a good one.
            let found: BTreeSet<u64> = entries
                .iter()
                .filter(|entry| !entry["reason"].as_str().is_some_and(|reason| reason.starts_with("the total of")))
                .filter(|entry| file != "usage" || entry["kind"] == "rejected")
                .map(|entry| entry["record"].as_u64().unwrap())
                .collect();
            let refused: BTreeSet<&str> = entries
                .iter()
                .filter_map(|entry| entry["key"].as_str())
                .filter_map(|key| key.split('\u{1f}').next())
                .collect();
            for defect in self.defects().iter().filter(|defect| defect.file == file) {
                let place = format!("{} record {} ({})", defect.file, defect.record, defect.kind);
                let is_found = found.contains(&defect.record);
                if !defect.rejected {
                    assert!(!is_found, "{place} is good, and was rejected");
                } else if REPEATS.contains(&defect.kind.as_str()) {
                    assert!(!is_found, "{place} repeats a record, and was rejected");
                } else if file == "usage" && defect.kind == "unknown_customer" {
                    // The API refuses the customer's total, not its rows.
                    let row = &usage[usize::try_from(defect.record).unwrap() - 1];
                    assert!(refused.contains(row["stripe_customer_id"].as_str()), "{place} was not refused");
                } else {
                    assert!(is_found, "{place} was not rejected");
                }
            }
            let bad: BTreeSet<u64> = self
                .defects()
                .iter()
                .filter(|defect| defect.file == file && defect.rejected)
                .map(|defect| defect.record)
                .collect();
            assert!(found.is_subset(&bad), "{file}: good records were rejected: {:?}", found.difference(&bad));
        }
    }

    /// The records of a file that are not good.
    fn bad(&self, file: &str) -> BTreeSet<u64> {
        let defects = self.defects().into_iter().filter(|defect| defect.file == file && defect.rejected);
        defects.map(|defect| defect.record).collect()
    }

    /// Customers with a good subscription that goes on at `now`, read from the file without the mapping.
    fn customers_with_active_subscription(&self, now: &str) -> BTreeSet<String> {
        let bad = self.bad("subscriptions");
        let goes_on = |row: &BTreeMap<String, String>| {
            let runs_out = row["Cancel At Period End"] == "true" && row["Current Period End (UTC)"].as_str() <= now;
            ["active", "trialing", "past_due"].contains(&row["Status"].as_str()) && !runs_out
        };
        let rows = (1..).zip(self.rows("subscriptions"));
        rows.filter(|(record, row)| !bad.contains(record) && goes_on(row))
            .map(|(_, row)| row["Customer ID"].clone())
            .collect()
    }

    /// Adds the usage up again, from the file, in whole numbers; compares each total with the API's. The API refuses
    /// those of customers that have no subscription any more, and no others.
    fn totals_are_exact(&self, api: &Api, folder: &Folder, now: &str, ran: &Ran) -> usize {
        let (bad, active) = (self.bad("usage"), self.customers_with_active_subscription(now));
        let mut totals: BTreeMap<(String, String), i128> = BTreeMap::new();
        for (record, row) in (1..).zip(self.rows("usage")) {
            if !bad.contains(&record) {
                let value: i128 = row["value"].parse().unwrap();
                *totals.entry((row["stripe_customer_id"].clone(), row["event_name"].clone())).or_default() += value;
            }
        }
        let snapshot = api.sandbox.snapshot();
        let too_large: Vec<Value> = rejects(folder, 1, "usage")
            .into_iter()
            .filter(|entry| entry["reason"].as_str().is_some_and(|reason| reason.starts_with("the total of")))
            .collect();
        let (mut too_large_found, mut without_subscription) = (0, 0);
        let mut by_event: BTreeMap<&str, i128> = BTreeMap::new();
        for ((customer, event), total) in &totals {
            let feature = FEATURES.iter().find(|(name, _)| name == event).unwrap().1;
            let has = snapshot.usage.get(customer).and_then(|features| features.get(feature)).map(|values| values[""]);
            let taken = if *total > VALUE_MAX {
                assert_eq!(has, None, "{customer} {event}");
                let value = total.to_string();
                assert!(too_large.iter().any(|entry| entry["value"] == value.as_str()), "{customer} {event} {total}");
                too_large_found += 1;
                *total
            } else if !active.contains(customer) {
                assert_eq!(has, None, "{customer} {event}");
                without_subscription += 1;
                *total
            } else {
                // Exact: every whole number up to VALUE_MAX is an f64 of its own.
                has.unwrap_or_else(|| panic!("{customer} {event} is not in the API")) as i128
            };
            assert_eq!(taken, *total, "{customer} {event}");
            *by_event.entry(event).or_default() += taken;
        }
        assert_eq!(too_large_found, too_large.len());
        let taken = totals.len() - too_large.len() - without_subscription;
        assert_eq!(snapshot.usage.values().map(BTreeMap::len).sum::<usize>(), taken);
        let count = |name: &str| ran.json()["steps"][2][name].as_u64().unwrap();
        assert_eq!(count("accepted"), taken as u64, "{ran}");
        assert_eq!(count("failed"), (without_subscription + self.totals_of_unknown_customers()) as u64, "{ran}");
        assert_eq!(count("rejected"), (too_large.len() + bad.len()) as u64 - self.unknown_and_repeated(), "{ran}");
        for (event, _) in FEATURES {
            let expected = &self.expected["accepted_usage_sum_by_event"][event];
            assert_eq!(by_event[event].to_string(), expected.to_string(), "{event}");
        }
        without_subscription
    }

    /// Bad usage rows that are no rejects of ours: only the API knows the customer, or the row repeats another.
    fn unknown_and_repeated(&self) -> u64 {
        self.kind("usage", "unknown_customer") + self.kind("usage", "dup_identifier")
    }

    fn totals_of_unknown_customers(&self) -> usize {
        let rows = self.rows("usage");
        let unknown =
            self.defects().into_iter().filter(|defect| defect.file == "usage" && defect.kind == "unknown_customer");
        let totals = unknown.map(|defect| {
            let row = &rows[usize::try_from(defect.record).unwrap() - 1];
            (row["stripe_customer_id"].clone(), row["event_name"].clone())
        });
        totals.collect::<BTreeSet<_>>().len()
    }
}

/// The entries of a rejects file.
fn rejects(folder: &Folder, run: u64, step: &str) -> Vec<Value> {
    let text = folder.read(&format!(".stigg-import/rejects/{run}-{step}.jsonl"));
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_stripe_sample_ends_as_its_account_of_defects_says() {
    assert_eq!(Sample::new("stripe-sample").holds(EXPORTED_AT), 0);
}

/// `NoActiveSubscriptionForCustomer` is not the mapping's fault: no subscription is left out, some have ended.
#[test]
fn an_export_that_is_imported_late_loses_the_usage_of_subscriptions_that_ran_out_and_no_other() {
    assert_eq!(Sample::new("stripe-sample").holds(LATER), 69);
}

#[test]
fn the_small_stripe_sample_ends_as_its_account_of_defects_says() {
    assert_eq!(Sample::new("stripe-small").holds(EXPORTED_AT), 0);
}

#[test]
fn chinook_goes_in_whole() {
    let (api, folder) = (Api::open(), Folder::new());
    let import = |what: &str| {
        let mapping = repository(&format!("mappings/chinook/{what}.toml"));
        let csv = repository(&format!("tests/data/chinook/csv/{what}.csv"));
        folder.run_to(&api, &format!("run --mapping {} --csv {} --json", mapping.display(), csv.display())).exits(0)
    };
    let customers = import("customers");
    assert_eq!((customers.total("accepted"), customers.total("rejected")), (59, 0));
    let usage = import("usage");
    assert_eq!((usage.total("rows"), usage.total("accepted"), usage.total("rejected")), (2240, 59, 0));

    let snapshot = api.sandbox.snapshot();
    assert_eq!(snapshot.usage_totals()["feature-tracks-bought"].to_string(), "2240");
    assert_eq!(snapshot.customers["1"].name.as_deref(), Some("Luís Gonçalves"));
    assert_eq!(snapshot.customers["1"].email.as_deref(), Some("luisg@embraer.com.br"));
}
