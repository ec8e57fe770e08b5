//! `demo --cutover`: paid plans move from an embedded account at Stripe into an embedded Stigg.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Parser as _;
use serde_json::{Map, json};

use super::{RATE_SCALE, REPORT, cant_write, empty, put, serve};
use crate::cli::args::{self, Cli, Command, Talk};
use crate::cli::cutover::{self as command, Cutover, report};
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::counted;
use crate::cli::report_html::Recorder;
use crate::cli::{import, out, out_json, say, setup};
use crate::ledger::LedgerPlace;
use crate::pipeline::{CutoverFinished, Phase};
use crate::sandbox::{
    Catalog, Sandbox, Settings, StripeCustomer, StripeInvoiceItem, StripeItem, StripeSnapshot, StripeSubscription,
};

/// The mappings that ship, and where the demo puts them.
const FILES: &[(&str, &str)] = &[
    ("mappings/stripe/api-customers.toml", include_str!("../../../mappings/stripe/api-customers.toml")),
    ("mappings/stripe/paid-subscriptions.toml", include_str!("../../../mappings/stripe/paid-subscriptions.toml")),
    ("mappings/stripe/plans.csv", include_str!("../../../mappings/stripe/plans.csv")),
    ("catalog.json", CATALOG),
];

const CATALOG: &str = r#"{
  "plans": [
    { "id": "plan-team", "kind": "paid", "prices": [
      { "billing_period": "MONTHLY", "unit_amount": 4900 }, { "billing_period": "ANNUALLY", "unit_amount": 49000 }
    ] }
  ]
}
"#;

/// Customers at Stripe, unless it is said.
const CUSTOMERS: u32 = 12;

/// 2025-06-16, when the first of them began.
const FIRST_S: i64 = 1_750_091_700;

/// The customers whose subscriptions can't be moved as they are, by number.
const CAN_NOT_PAY: u32 = 3;
const NEGOTIATED: u32 = 5;
const PAST_DUE: u32 = 7;
/// The one that has a credit that waits for its next invoice.
const WITH_CREDIT: u32 = 2;

/// Runs the demo.
pub(super) async fn main(args: &args::Demo, folder: &Path, talk: &Talk) -> Result<Exit, Failure> {
    empty(folder).and_then(|()| put(folder, FILES)).map_err(|error| cant_write(folder, &error))?;
    let customers = args.customers.unwrap_or(CUSTOMERS);
    let stripe = stripe(customers);
    let text = serde_json::to_string_pretty(&stripe).map_err(|error| Failure::of(Exit::Bug, &error))?;
    fs::write(folder.join("stripe.json"), text).map_err(|error| cant_write(folder, &error))?;

    let scale = if args.real_limits { 1.0 } else { RATE_SCALE };
    let catalog: Catalog = serde_json::from_str(CATALOG).map_err(|error| Failure::of(Exit::Bug, &error))?;
    let sandbox = Sandbox::new(Settings {
        catalog: Some(catalog),
        without_payment_method: BTreeSet::from([format!("cus_{CAN_NOT_PAY}")]),
        rate_scale: Some(scale),
        seed: args.seed,
        ..Settings::default()
    });
    sandbox.stripe().load(stripe);
    let (url, stop, serving) = serve(sandbox.clone()).await?;
    let stripe_url = url.replace("/graphql", "/stripe");
    let tell = |text: &str| {
        if !talk.quiet && !talk.json() {
            say(text);
        }
    };
    tell(&format!(
        "the embedded Stigg API listens at {url}, an account at Stripe with {} beside it",
        counted(u64::from(customers), "customer")
    ));
    let demo = Demo { folder, url: &url, stripe_url: &stripe_url, scale, talk };
    tell("importing the customers");
    demo.customers().await?;
    tell("provisioning their paid plans, backdated, and proving each\n");
    let provisioned = demo.cutover(Phase::Provision).await?;
    demo.show(&provisioned);
    tell("cancelling the originals of what was proved\n");
    let cancelled = demo.cutover(Phase::Cancel).await?;
    demo.show(&cancelled);
    let _ = stop.send(());
    let _ = serving.await;

    is_as_it_should_be(&sandbox.stripe().snapshot(), cancelled.summary.cancelled)?;
    let exit = Exit::of_cutover(&provisioned.summary, provisioned.stopped.as_ref());
    if talk.json() {
        out_json(&json!({ "provision": provisioned.summary, "cancel": cancelled.summary }))?;
    } else {
        out(&demo.next());
    }
    Ok(exit)
}

struct Demo<'a> {
    folder: &'a Path,
    url: &'a str,
    stripe_url: &'a str,
    scale: f64,
    talk: &'a Talk,
}

impl Demo<'_> {
    fn ledger(&self) -> LedgerPlace {
        LedgerPlace::File(self.folder.join(".stigg-import/ledger.db"))
    }

    /// Imports the customers, as `run` does.
    async fn customers(&self) -> Result<(), Failure> {
        let pipeline = self.folder.join("customers.toml");
        let text = format!(
            "# Written by `stigg-import demo --cutover`.\n[target]\nurl = \"{}\"\n\n[[step]]\nname = \"customers\"\n\
             mapping = \"mappings/stripe/api-customers.toml\"\nsource = {{ stripe = \"customers\", url = \"{}\" }}\n",
            self.url, self.stripe_url
        );
        fs::write(&pipeline, text).map_err(|error| cant_write(self.folder, &error))?;
        let input = args::Input { pipeline: Some(pipeline), ..args::Input::default() };
        let target = args::Target { target: Some(self.url.to_owned()), rate_scale: Some(self.scale), burst: None };
        let work = setup::work(&input, "run")?;
        import::import(work, import::How::default(), &target, &self.ledger(), self.talk).await.map(drop)
    }

    /// A cutover by the words that a person would write.
    async fn cutover(&self, phase: Phase) -> Result<CutoverFinished, Failure> {
        let mut words = vec!["stigg-import".to_owned(), "cutover".to_owned()];
        let mut say = |pairs: &[(&str, &str)]| {
            words.extend(pairs.iter().flat_map(|(word, value)| [(*word).to_owned(), (*value).to_owned()]));
        };
        let scale = self.scale.to_string();
        let mapping = self.folder.join("mappings/stripe/paid-subscriptions.toml").display().to_string();
        let ledger = self.ledger().to_string();
        say(&[("--target", self.url), ("--rate-scale", &scale), ("--ledger", &ledger)]);
        if phase.cancels() {
            say(&[("--phase", "cancel"), ("--provider-url", self.stripe_url)]);
            words.push("--cancel-originals".to_owned());
        } else {
            say(&[("--mapping", &mapping), ("--stripe", "subscriptions"), ("--stripe-url", self.stripe_url)]);
        }
        let args = parsed(words)?;
        let (work, step) = command::opened(&args).await?;
        command::run(&args, phase, work, step, Box::new(|_| true), &Recorder::alone(), self.talk).await
    }

    fn show(&self, finished: &CutoverFinished) {
        if !self.talk.json() {
            out(&format!("{}\n", report::summary(&finished.summary)));
        }
    }

    fn next(&self) -> String {
        let folder = self.folder.display();
        let mut text = String::from("next:\n");
        for (why, words) in [
            (
                "every step, with its time and the ids of requests",
                format!("less {folder}/.stigg-import/cutover-audit.jsonl"),
            ),
            ("where they all are", format!("stigg-import status --cutover --ledger {folder}/.stigg-import/ledger.db")),
            ("what to do about each reason, and your own cutover", "docs/cutover.md".to_owned()),
        ] {
            let _ = writeln!(text, "  # {why}\n  {words}");
        }
        text
    }
}

fn parsed(words: Vec<String>) -> Result<Cutover, Failure> {
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Cutover(args)) => Ok(*args),
        Ok(_) | Err(_) => Err(Failure::new(Exit::Bug, "the demo does not know its own words").hint(REPORT)),
    }
}

/// Whether as many subscriptions were cancelled at Stripe as were said, each once, and nobody got a last invoice.
fn is_as_it_should_be(stripe: &StripeSnapshot, cancelled: u64) -> Result<(), Failure> {
    let once = stripe.cancellations.values().all(|times| *times == 1);
    if once && stripe.cancellations.len() as u64 == cancelled && stripe.invoiced.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Exit::Bug, "Stripe's account is not as it should be").hint(REPORT))
}

/// An account in which most are on one plan at its price, some every year.
fn stripe(customers: u32) -> StripeSnapshot {
    let mut snapshot = StripeSnapshot::default();
    for number in 1..=customers {
        let created = FIRST_S + i64::from(number) * 86_400;
        let id = format!("cus_{number}");
        snapshot.customers.push(StripeCustomer {
            id: id.clone(),
            email: Some(format!("billing{number}@example.com")),
            name: Some(format!("Customer {number}")),
            created,
            metadata: Map::new(),
        });
        let yearly = number % 4 == 0;
        let (price, interval, amount) = match yearly {
            true => ("price_1PqTeamUSDy00000000005", "year", 49_000),
            false => ("price_1PqTeamUSDm00000000004", "month", 4_900),
        };
        snapshot.subscriptions.push(StripeSubscription {
            id: format!("sub_{number}"),
            customer: id.clone(),
            status: if number == PAST_DUE { "past_due" } else { "active" }.to_owned(),
            created,
            start_date: created,
            current_period_end: created + 365 * 2 * 86_400,
            canceled_at: None,
            ended_at: None,
            cancel_at_period_end: false,
            schedule: None,
            items: vec![StripeItem {
                price: price.to_owned(),
                product: "prod_team".to_owned(),
                quantity: Some(u64::from(number)),
                unit_amount: if number == NEGOTIATED { 3_900 } else { amount },
                currency: "usd".to_owned(),
                interval: interval.to_owned(),
            }],
            metadata: Map::new(),
        });
        if number == WITH_CREDIT {
            snapshot.invoice_items.push(StripeInvoiceItem {
                id: "ii_1".to_owned(),
                customer: id,
                subscription: format!("sub_{number}"),
                amount: -1_000,
                currency: "usd".to_owned(),
                proration: true,
                created,
            });
        }
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_account_that_is_not_as_it_should_be_is_told_to_be_a_bug() {
        let once = BTreeMap::from([("sub_1".to_owned(), 1)]);
        let fine = StripeSnapshot { cancellations: once.clone(), ..StripeSnapshot::default() };
        assert!(is_as_it_should_be(&fine, 1).is_ok());
        let twice = BTreeMap::from([("sub_1".to_owned(), 2)]);
        let wrong = [
            (StripeSnapshot { cancellations: twice, ..StripeSnapshot::default() }, 1),
            (fine, 2),
            (
                StripeSnapshot { cancellations: once, invoiced: vec!["sub_1".to_owned()], ..StripeSnapshot::default() },
                1,
            ),
        ];
        for (stripe, cancelled) in wrong {
            let failure = is_as_it_should_be(&stripe, cancelled).unwrap_err();
            insta::allow_duplicates! {
                insta::assert_snapshot!(format!("exit {}\n{failure}", failure.exit as u8), @"
                exit 1
                error: Stripe's account is not as it should be
                hint: please report this bug
                ");
            }
        }
    }

    #[test]
    fn words_that_are_none_are_told_to_be_a_bug() {
        let words = ["stigg-import", "cutover", "--faster"].map(str::to_owned).to_vec();
        let failure = parsed(words).unwrap_err();
        insta::assert_snapshot!(format!("exit {}\n{failure}", failure.exit as u8), @"
        exit 1
        error: the demo does not know its own words
        hint: please report this bug
        ");
    }
}
