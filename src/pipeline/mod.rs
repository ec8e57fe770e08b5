//! Joins the stages: source → mapping → diff → batch → sink → ledger.
//!
//! [`run`] is a whole run; `map.rs` and `prepare.rs` are what happens to a row before it is sent, `deliver.rs` and
//! `settle.rs` what happens to a batch, `follow.rs` and `refused.rs` the two cases where the answer to a
//! request is not yet the answer for a record.

pub mod canary;
mod catalog;
mod changes;
mod compare;
mod cutover;
mod deliver;
mod diff;
mod events;
pub mod find;
mod follow;
mod handover;
mod held;
mod kept;
mod map;
mod max_rejects;
mod outage;
mod part;
mod plan;
mod prepare;
mod reading;
mod refused;
mod resume;
mod retry;
mod room;
mod run;
mod selection;
mod settle;
mod step;
mod stop;
mod summary;
mod thread;
mod verify;

pub use catalog::Catalog;
pub use changes::{ChangesSource, WholeBecause};
pub use compare::Difference;
pub use cutover::{
    AtStage, AuditFile, AuditOut, ByHand, Cohort, Consent, CutoverFinished, CutoverJob, CutoverPlan, CutoverSummary,
    Phase, RetryParked, Returned, ReturnedError, SETTLES_WITHIN, Sample, Tally, cutover, plan_cutover, take_returned,
};
pub use events::{Event, Observer, Unwatched};
pub use held::RESEND_EVENTS_WITHIN;
pub use max_rejects::{MaxRejects, NoBound};
pub use plan::{
    ChangedFields, ChangedSample, Finding, FindingKind, FindingSample, Live, PlanError, PlanJob, Planned, PlannedStep,
    Promise, plan,
};
pub use retry::RetryPolicy;
pub use run::{Finished, Job, Journal, Known, StartError, run, target_name};
pub use selection::Selection;
pub use step::{OpenPaid, OpenStep, OpenStepError, SourceSpec, StepSpec, open_paid, open_rows, open_steps};
pub use stop::{Stop, Stopped};
pub use summary::{Count, Progress, StepSummary, Summary};
pub use thread::StageThread;
pub use verify::{
    Extra, SampleSize, ToVerify, Unequal, Verified, VerifiedStep, VerifyJob, VerifyProgress, VerifyingStep, verify,
};

/// Message and causes of an error in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
