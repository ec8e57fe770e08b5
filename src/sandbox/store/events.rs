//! Raw usage events: each is counted once (contract 3.5).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Counts, Store, Written};
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::rules;
use crate::sandbox::unknowns::{EventRepeats, UsageBatch};
use crate::sandbox::wire::inputs::UsageEventReportInput;

/// How long a repeat is known where [`EventRepeats::ForADay`] is set.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// By what a repeat is known: timestamp, customer, resource, name and idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventKey {
    /// Whose.
    pub customer_id: String,
    /// Of which resource.
    pub resource_id: Option<String>,
    /// The event's name.
    pub event_name: String,
    /// When it happened, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The sender's name for it.
    pub idempotency_key: String,
}

/// An event that was counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventContent {
    /// By what it is known.
    #[serde(flatten)]
    pub key: EventKey,
    /// As it came first.
    pub dimensions: Option<Value>,
    /// How often it was counted: more than once only where repeats are forgotten.
    pub counted: u32,
}

/// What is kept of an event.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub dimensions: Option<Value>,
    pub counted: u32,
    pub last_counted_ms: i64,
}

impl Store {
    /// Takes a batch. Good events may be kept although the answer is an error, as with usage
    /// ([`crate::sandbox::Unknowns::usage_batch`]).
    pub fn report_events(
        &mut self,
        rows: Vec<UsageEventReportInput>,
        now_ms: i64,
        counts: &mut Counts,
    ) -> Result<(), Refusal> {
        rules::row_count(rows.len(), rules::EVENTS_MAX, "usageEvents")?;
        let checks: Vec<Result<(), Refusal>> = rows.iter().map(|row| self.check_event(row)).collect();
        let first_bad = checks.iter().position(Result::is_err);
        let mut refusal = None;
        for (index, (row, check)) in rows.into_iter().zip(checks).enumerate() {
            let keep = match (first_bad, self.unknowns.usage_batch) {
                (None, _) | (Some(_), UsageBatch::GoodKept) => true,
                (Some(_), UsageBatch::AllOrNothing) => false,
                (Some(bad), UsageBatch::BeforeBadKept) => index < bad,
            };
            match check {
                Ok(()) if keep => self.count_event(row, now_ms, counts),
                Ok(()) => {}
                Err(error) => {
                    counts.failed += 1;
                    refusal.get_or_insert(error);
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    fn check_event(&self, row: &UsageEventReportInput) -> Result<(), Refusal> {
        rules::customer_id(&row.customer_id)?;
        rules::not_empty("eventName", &row.event_name)?;
        rules::not_empty("idempotencyKey", &row.idempotency_key)?;
        row.dimensions.as_ref().map_or(Ok(()), |dimensions| rules::dimensions(&dimensions.0))?;
        let dimensions = row.dimensions.as_ref().map_or(0, |dimensions| dimensions.0.to_string().len());
        let texts = row.customer_id.len() + row.event_name.len() + row.idempotency_key.len();
        if dimensions + texts + row.resource_id.as_ref().map_or(0, String::len) > rules::EVENT_BYTES_MAX {
            return Err(Refusal::new(Code::BadUserInput, "an event must not be larger than 1 MB"));
        }
        if self.customer(&row.customer_id).is_none() {
            let message = format!("Customer {} not found", row.customer_id);
            return Err(Refusal::new(Code::CustomerNotFound, message));
        }
        Ok(())
    }

    fn count_event(&mut self, row: UsageEventReportInput, now_ms: i64, counts: &mut Counts) {
        let key = EventKey {
            customer_id: row.customer_id,
            resource_id: row.resource_id,
            event_name: row.event_name,
            // An event without a time happened when it came, so that its repeat is another one.
            timestamp_ms: row.timestamp.map_or(now_ms, |at| at.0),
            idempotency_key: row.idempotency_key,
        };
        match self.events.get_mut(&key) {
            None => {
                let dimensions = row.dimensions.map(|dimensions| dimensions.0);
                self.events.insert(key, Counted { dimensions, counted: 1, last_counted_ms: now_ms });
                counts.add(Written::Created);
            }
            Some(known) => {
                let forgotten = match self.unknowns.event_repeats {
                    EventRepeats::Known => false,
                    EventRepeats::ForADay => now_ms - known.last_counted_ms >= DAY_MS,
                };
                if forgotten {
                    known.counted += 1;
                    known.last_counted_ms = now_ms;
                    counts.add(Written::Changed);
                } else {
                    counts.skipped += 1;
                }
            }
        }
    }
}
