//! localstripe 1.15.10: a stateful stand-in for Stripe that nobody here wrote, over real HTTP.
//!
//! `./test` installs it from PyPI into a virtual environment under the target folder. The variable
//! `STIGG_IMPORT_TEST_WITHOUT_LOCALSTRIPE=1` leaves the test out.
//!
//! It shows that the right subscriptions and only those end, that lists are read by their pages, and that a second time
//! changes nothing. It can't show what becomes of `prorate` and `invoice_now`, as its `DELETE` looks at no parameters: for
//! that there is the embedded account. Its quirks:
//!
//! - It writes its whole store to one fixed file in the folder of temporary files after each request, so it gets a folder
//!   of its own.
//! - Its own command listens on all interfaces; the application is started on loopback instead.
//! - It does not know the parameter `pending` of invoice items and answers 500. Its list holds only pending ones, so the
//!   parameter is dropped before it.
//! - A second cancellation is 200 where Stripe's is 404, so that it counts as one that this call did.
//! - `canceled_at` stays null; `ended_at` is set. The code `resource_missing` is left out of its 404.
//! - There are plans and no prices; the period is the subscription's, as before 2025-03-31.
//! - A paid plan needs a payment method first.
//! - It knows no versions, rate limits, request ids or idempotency keys.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use stigg_import::provider::{Cancelling, Interval, OriginalStatus, PendingItems, Provider as _, Reading};

use super::{id, provider};
use crate::databases::{free_port, keep_running, wait};
use crate::program::{Api, Folder};

const PYTHON: &str = r"
import sys
from aiohttp import web
from localstripe.resources import InvoiceItem
from localstripe.server import app

list_all = InvoiceItem._api_list_all.__func__
InvoiceItem._api_list_all = classmethod(lambda cls, url, pending=None, **rest: list_all(cls, url, **rest))
web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]))
";

/// Whether to leave the test out; says so.
pub(super) fn left_out() -> bool {
    let out = std::env::var_os("STIGG_IMPORT_TEST_WITHOUT_LOCALSTRIPE").is_some_and(|value| value == "1");
    if out {
        eprintln!("left out, as STIGG_IMPORT_TEST_WITHOUT_LOCALSTRIPE=1: this test needs localstripe");
    }
    out
}

/// A running server. It ends with its keeper, when the tests do.
pub(super) struct LocalStripe {
    pub(super) url: String,
    http: reqwest::Client,
    _keeper: Child,
}

impl LocalStripe {
    pub(super) async fn start() -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder");
        let python: PathBuf = target.join("localstripe-1.15.10/bin/python");
        assert!(
            python.exists(),
            "localstripe is missing: ./test installs it; STIGG_IMPORT_TEST_WITHOUT_LOCALSTRIPE=1 leaves this out"
        );
        let folder = tempfile::Builder::new().prefix("stigg-import-stripe-").tempdir().expect("a folder").keep();
        let port = free_port();
        let mut server = Command::new("env");
        server.arg(format!("TMPDIR={}", folder.display())).arg(python).args(["-c", PYTHON]).arg(port.to_string());
        let keeper = keep_running(&server, &folder, "TERM");
        wait(&format!("localstripe (see {})", folder.join("log").display()), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        // Without an own TLS provider reqwest can't be made, though nothing here is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { url: format!("http://127.0.0.1:{port}"), http: reqwest::Client::new(), _keeper: keeper }
    }

    /// Posts a form to its API; the new object.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> serde_json::Value {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.http.post(format!("{}/v1/{path}", self.url)).bearer_auth("sk_test_12345");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        self.answer(request).await
    }

    pub(super) async fn get(&self, path: &str) -> serde_json::Value {
        self.answer(self.http.get(format!("{}/v1/{path}", self.url)).bearer_auth("sk_test_12345")).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> serde_json::Value {
        let answer = request.send().await.expect("it answers");
        let status = answer.status();
        let body = answer.bytes().await.expect("a whole answer");
        assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// The product and the plan `plan_basic`, 15.00 a month.
    pub(super) async fn basic_plan(&self) {
        self.post("products", &[("id", "prod_basic"), ("name", "Basic"), ("type", "service")]).await;
        let plan = [
            ("id", "plan_basic"),
            ("product", "prod_basic"),
            ("amount", "1500"),
            ("currency", "usd"),
            ("interval", "month"),
        ];
        self.post("plans", &plan).await;
    }

    /// A customer who can pay, and so many subscriptions of 3 seats at 15.00 a month.
    pub(super) async fn customer(&self, number: usize, subscriptions: usize) -> Vec<String> {
        let email = format!("c{number}@example.com");
        let customer = self.post("customers", &[("email", &email), ("name", "Ada, Test")]).await;
        let customer = customer["id"].as_str().expect("an id");
        let card = [
            ("type", "card"),
            ("card[number]", "4242424242424242"),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2030"),
            ("card[cvc]", "123"),
        ];
        let method = self.post("payment_methods", &card).await;
        let method = method["id"].as_str().expect("an id");
        self.post(&format!("payment_methods/{method}/attach"), &[("customer", customer)]).await;
        let default = [("invoice_settings[default_payment_method]", method)];
        self.post(&format!("customers/{customer}"), &default).await;
        let mut ids = Vec::new();
        for _ in 0..subscriptions {
            let form = [("customer", customer), ("items[0][plan]", "plan_basic"), ("items[0][quantity]", "3")];
            let subscription = self.post("subscriptions", &form).await;
            assert_eq!(subscription["status"], "active");
            ids.push(subscription["id"].as_str().expect("an id").to_owned());
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_a_foreign_stripe_are_read_and_the_right_ones_end() {
    if left_out() {
        return;
    }
    // Given: 104 subscriptions, more than a page, made through its own API.
    let stripe = LocalStripe::start().await;
    stripe.basic_plan().await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.extend(stripe.customer(number, 26).await);
    }
    let invoices = stripe.get("invoices?limit=1").await["total_count"].clone();

    // When they are read as a source, they all come.
    let (folder, api) = (Folder::new(), Api::open());
    folder.write(
        "customers.toml",
        "entity = \"customer\"\n[fields]\ncustomerId = \"id\"\nname = \"name\"\nbillingId = \"id\"\n",
    );
    folder.write(
        "subscriptions.toml",
        "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = \"customer\"\n\
         planId = \"items.data[0].plan.id\"\nstartDate = { column = \"start_date\", time = \"unix\" }\n",
    );
    for list in ["customers", "subscriptions"] {
        let words = format!("run --mapping {list}.toml --stripe {list} --stripe-url {}", stripe.url);
        folder.run_to(&api, &words).exits(0);
    }
    let snapshot = api.sandbox.snapshot();
    assert_eq!((snapshot.customers.len(), snapshot.subscriptions.len()), (4, 104));
    assert!(ids.iter().all(|id| snapshot.subscriptions.contains_key(id)));

    // When the provider reads one, it says what is charged.
    let provider = provider(&stripe.url);
    let Reading::Found(original) = provider.read(&id(&ids[0])).await.expect("an answer") else { panic!("it is there") };
    assert_eq!(original.status, OriginalStatus::Active);
    assert_eq!(original.pending_items, PendingItems::none());
    assert!(original.started_at.is_some() && original.current_period_end > original.started_at, "{original:?}");
    let [item] = &original.items[..] else { panic!("one item: {original:?}") };
    assert_eq!((item.price_id.as_str(), item.quantity), ("plan_basic", Some(3)));
    assert_eq!(item.unit_amount_minor.map(|amount| amount.to_string()).as_deref(), Some("1500"));
    assert_eq!(item.interval, Some((Interval::Month, 1)));

    // When it cancels every other one, those end and no others; nothing is prorated or invoiced.
    for id_text in ids.iter().step_by(2) {
        let cancelling = provider.cancel(&id(id_text)).await.expect("an answer");
        assert!(matches!(cancelling, Cancelling::Cancelled { .. }), "{cancelling:?}");
    }
    for (at, id_text) in ids.iter().enumerate() {
        let Reading::Found(original) = provider.read(&id(id_text)).await.expect("an answer") else {
            panic!("{id_text}")
        };
        assert_eq!(original.status.has_ended(), at % 2 == 0, "{original:?}");
        assert_eq!(original.ended_at.is_some(), at % 2 == 0);
        assert_eq!(original.pending_items, PendingItems::none());
    }
    assert_eq!(stripe.get("invoices?limit=1").await["total_count"], invoices);
    assert_eq!(provider.cancel(&id("sub_nowhere")).await.expect("an answer"), Cancelling::NotFound);

    // Then a second import sees all of them still, the cancelled ones included.
    let words = format!("run --mapping subscriptions.toml --stripe subscriptions --stripe-url {} --json", stripe.url);
    let again = folder.run_to(&api, &words).exits(0);
    assert_eq!((again.total("rows"), again.total("unchanged")), (104, 104));
}
