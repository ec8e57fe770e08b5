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

pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod document;
pub mod entity;
pub mod ledger;
pub mod mapping;
pub mod pipeline;
pub mod problem;
pub mod record;
pub mod sandbox;
pub mod sink;
pub mod source;
