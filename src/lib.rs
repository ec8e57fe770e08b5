//! Moves a business's billing data into Stigg, and keeps it in step.
//!
//! ```text
//!  source ──rows──► mapping ──entities──► diff ──changed──► batch ──► sink ──► ledger
//!    │ bad row         │ does not fit       │ unchanged                │ refused row
//!    └──────── rejects file: place, reason, the row as it was ─────────┘
//! ```
//!
//! Each stage is a module that knows none of the others; [`pipeline`] joins them. Start reading
//! there, in `pipeline/deliver.rs`. What the stages hand to each other is in [`record`],
//! [`entity`] and [`batch`].
//!
//! Two parts are of use on their own: [`sink::stigg::Client`], a typed and rate-limited client of the
//! API's import operations, and [`sandbox::Sandbox`], an embedded API to test against. Here they meet;
//! `examples/run_pipeline.rs` runs a whole pipeline from code.
//!
//! ```
//! use stigg_import::sandbox::{Sandbox, Settings};
//! use stigg_import::sink::Endpoint;
//! use stigg_import::sink::stigg::{Client, ImportCustomer};
//! use stigg_import::sink::transport::HttpSettings;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::new(Settings::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let endpoint = Endpoint::parse(&format!("http://{}/graphql", listener.local_addr()?))?;
//! tokio::spawn(sandbox.clone().serve(listener, std::future::pending()));
//!
//! let client = Client::connect(HttpSettings::new(endpoint, "server-any".to_owned().into()))?;
//! let ada = ImportCustomer { customer_id: "ada".into(), name: Some("Ada".into()), ..Default::default() };
//! client.import_customers(&[ada]).await?;
//!
//! assert!(sandbox.snapshot().customers.contains_key("ada"));
//! # Ok(())
//! # }
//! ```

pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database_url;
pub mod doctor;
pub mod document;
pub mod draft;
pub mod entity;
pub mod http;
pub mod ledger;
pub mod mapping;
pub mod pacer;
pub mod pipeline;
pub mod problem;
pub mod provider;
pub mod record;
pub mod sandbox;
pub mod schedule;
pub mod sink;
pub mod source;
pub mod spreadsheet;
pub mod stripe;
