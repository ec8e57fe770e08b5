//! The typed client on its own: imports a customer, reports a usage total, reads both back.
//!
//! ```sh
//! stigg-import sandbox --port 8080          # in another shell
//! STIGG_API_URL=http://127.0.0.1:8080/graphql STIGG_API_KEY=server-any cargo run --example typed_client
//! ```
//!
//! Against the real API it writes a customer `example-ada` into the key's environment: use one for tests.
#![allow(clippy::print_stdout)] // An example shows what it does.

use std::error::Error;

use stigg_import::sink::stigg::{Client, ImportCustomer, ReportUsage};
use stigg_import::sink::transport::HttpSettings;
use stigg_import::sink::{Disposition, Endpoint};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("STIGG_API_URL").unwrap_or_else(|_| Endpoint::STIGG.to_owned());
    let key = std::env::var("STIGG_API_KEY").map_err(|_| "put a full access key into STIGG_API_KEY")?;
    let client = Client::connect(HttpSettings::new(Endpoint::parse(&url)?, key.into()))?;

    let ada = ImportCustomer {
        customer_id: "example-ada".into(),
        name: Some("Ada Lovelace".into()),
        email: Some("ada@example.com".into()),
        ..Default::default()
    };
    // Every call waits for its operation's rate limit and sends exactly once. An error says what is
    // true of the data; whether to send again is yours to decide.
    if let Err(error) = client.import_customers(&[ada]).await {
        match error.disposition() {
            Disposition::Resend { .. } | Disposition::ResendOnceReady => println!("nothing was applied: send it again"),
            Disposition::ReadBack { .. } | Disposition::ReadBackAndSplit => {
                println!("it may have been applied: read back, or send it again, an import is an upsert");
            }
            Disposition::Split => println!("the API refuses the customer"),
            Disposition::Stop(stop) => println!("more of the same is pointless: {stop:?}"),
        }
        return Err(error.into());
    }

    for customer in client.customers(Some(&["example-ada"]), None).await?.items {
        println!("customer {}: {}", customer.customer_id, customer.name.as_deref().unwrap_or("no name"));
    }

    // A total replaces what the API has, so that a repeat changes nothing.
    for measured in client.report_usage(&[ReportUsage::total("example-ada", "feature-api-calls", 1200.0)]).await? {
        println!("usage of {}: {:?}", measured.feature_id, measured.current_usage);
    }
    Ok(())
}
