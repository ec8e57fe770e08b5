//! Reads back the subscriptions that a cutover provisioned.

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;

use super::{Unequal, VerifiedStep, VerifyingStep};
use crate::ledger::{Index, Seen};
use crate::pipeline::compare::{self, Difference};
use crate::pipeline::cutover::{Paid, Records};
use crate::pipeline::reading::Reading;
use crate::pipeline::step::OpenPaid;
use crate::record::{Record, RecordBatch};
use crate::sink::{READ_IDS_MAX, ReadSubscription};

/// Reads back every paid subscription of a source, and compares it with what the source says.
pub(super) async fn verify(
    step: OpenPaid,
    reading: &Reading,
    spill_dir: &Path,
    now: Timestamp,
    progress: &VerifyingStep,
) -> VerifiedStep {
    let mut found = VerifiedStep::new(step.name.clone(), "paid_subscription");
    let mut records = Records::new(step, spill_dir);
    let mut out = RecordBatch::default();
    let (mut seen, mut ordinal) = (Index::new(), 0);
    while records.next(&mut out, &reading.stop).await {
        found.rejected += out.rejects.len() as u64;
        let mut new = Vec::new();
        for record in &out.records {
            ordinal += 1;
            match seen.see(record.hash, record.fingerprint, ordinal) {
                Seen::New => new.push(record),
                // As in a cutover, which takes the first.
                Seen::SameAgain { .. } | Seen::Unchanged => {}
                Seen::ConflictsWith { .. } | Seen::Changed => found.rejected += 1,
            }
        }
        progress.source.created.add(new.len() as u64);
        if let Some((read, total)) = records.bytes() {
            progress.source.bytes_read.set(read);
            progress.source.bytes_total.set(total);
        }
        for page in new.chunks(READ_IDS_MAX) {
            found.expected += page.len() as u64;
            let ids: Vec<&str> = page.iter().map(|record| out.key_of(record)).collect();
            match reading.subscriptions(&ids).await {
                Ok(read) => {
                    let read: HashMap<&str, _> = read.iter().map(|one| (one.subscription_id.as_str(), one)).collect();
                    for record in page {
                        let there = read.get(out.key_of(record));
                        found.count(there.map(|there| differences(&out, record, there, now)), || Unequal {
                            key: out.key_of(record).to_owned(),
                            place: out.origin_of(record).place().to_string(),
                            differences: Vec::new(),
                        });
                    }
                }
                Err(error) => {
                    super::stop_at_refused_key(reading, &error);
                    found.unread += page.len() as u64;
                }
            }
            progress.read.add(page.len() as u64);
            progress.unequal.set(found.different + found.missing);
        }
    }
    found
}

fn differences(out: &RecordBatch, record: &Record, found: &ReadSubscription, now: Timestamp) -> Vec<Difference> {
    let mut differences = compare::subscription(out.json_of(record), found);
    differences.extend(compare::status(out.json_of(record), found, now));
    let difference = |field: &str, expected: &str, found: Option<&str>| Difference {
        field: field.to_owned(),
        expected: expected.to_owned(),
        found: found.map(str::to_owned),
    };
    match (&found.billing_id, Paid::read(out, record)) {
        (None, _) => differences.push(difference("billingId", "an id at the billing provider", None)),
        (Some(id), Ok(paid)) if *id == paid.original_id.to_string() => {
            differences.push(difference("billingId", "other than its original's", Some(id)));
        }
        (Some(_), _) => {}
    }
    if let Some(error) = &found.billing_sync_error {
        differences.push(difference("billingSyncError", "none", Some(error)));
    }
    differences
}
