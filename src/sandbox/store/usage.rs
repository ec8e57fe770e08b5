//! Usage: current totals per customer, feature and resource (contract 3.5, 5).

use super::{Counts, Store, Written};
use crate::sandbox::catalog::Known;
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::rules;
use crate::sandbox::unknowns::{OlderSet, RepeatedSet, UsageBatch};
use crate::sandbox::wire::enums::{FeatureType, UsageUpdateBehavior};
use crate::sandbox::wire::inputs::ReportUsageBaseInput;

/// Whose usage of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UsageKey {
    pub customer_id: String,
    pub feature_id: String,
    pub resource_id: Option<String>,
}

/// A current total.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UsageValue {
    pub value: f64,
    /// Time of the newest record that was applied.
    pub at_ms: i64,
    pub applied: u32,
    pub changed: u32,
}

/// A record that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// Number of the measurement in this environment.
    pub number: u64,
    pub key: UsageKey,
    /// As reported.
    pub value: f64,
    /// The total after it.
    pub current: f64,
    pub at_ms: i64,
}

impl Store {
    /// Takes a batch. Good rows may be kept although the answer is an error, see
    /// [`crate::sandbox::Unknowns::usage_batch`].
    pub fn report_usage(
        &mut self,
        rows: Vec<ReportUsageBaseInput>,
        now_ms: i64,
        counts: &mut Counts,
    ) -> Result<Vec<Measured>, Refusal> {
        rules::row_count(rows.len(), rules::USAGES_MAX, "usages")?;
        let checks: Vec<Result<(), Refusal>> = rows.iter().map(|row| self.check_usage(row, now_ms)).collect();
        let first_bad = checks.iter().position(Result::is_err);
        let mut measured = Vec::with_capacity(rows.len());
        let mut refusal = None;
        for (index, (row, check)) in rows.into_iter().zip(checks).enumerate() {
            let keep = match (first_bad, self.unknowns.usage_batch) {
                (None, _) | (Some(_), UsageBatch::GoodKept) => true,
                (Some(_), UsageBatch::AllOrNothing) => false,
                (Some(bad), UsageBatch::BeforeBadKept) => index < bad,
            };
            match check {
                Ok(()) if keep => measured.push(self.measure(row, now_ms, counts)),
                Ok(()) => {}
                Err(error) => {
                    counts.failed += 1;
                    refusal.get_or_insert(error);
                }
            }
        }
        refusal.map_or(Ok(measured), Err)
    }

    fn check_usage(&self, row: &ReportUsageBaseInput, now_ms: i64) -> Result<(), Refusal> {
        rules::customer_id(&row.customer_id)?;
        rules::text("featureId", &row.feature_id)?;
        row.resource_id.as_deref().map_or(Ok(()), |id| rules::text("resourceId", id))?;
        row.idempotency_key.as_deref().map_or(Ok(()), |key| rules::text("idempotencyKey", key))?;
        if !row.value.is_finite() || row.value.abs() > rules::VALUE_MAX {
            let message = "value must be within plus or minus 9007199254740991";
            return Err(Refusal::new(Code::BadUserInput, message));
        }
        row.dimensions.as_ref().map_or(Ok(()), |dimensions| rules::dimensions(&dimensions.0))?;
        if self.customer(&row.customer_id).is_none() {
            let message = format!("Customer {} not found", row.customer_id);
            return Err(Refusal::new(Code::CustomerNotFound, message));
        }
        match self.shelf.feature(&row.feature_id) {
            Known::No => {
                return Err(Refusal::new(Code::FeatureNotFound, format!("Feature {} not found", row.feature_id)));
            }
            Known::Yes(feature) if feature.events => {
                let message = format!("Feature {} is fed by events", row.feature_id);
                return Err(Refusal::new(Code::CannotReportUsageForEntitlementWithMeterError, message));
            }
            Known::Yes(feature)
                if feature.feature_type != FeatureType::Number
                    || feature.meter == crate::sandbox::wire::enums::MeterType::NoMeter =>
            {
                let message = format!("Feature {} is not metered", row.feature_id);
                return Err(Refusal::new(Code::MeteringNotAvailableForFeatureType, message));
            }
            Known::Yes(_) | Known::Unchecked => {}
        }
        if self.usage_needs_subscription && !self.has_active(&row.customer_id, row.resource_id.as_deref(), now_ms) {
            let message = format!("Customer {} has no active subscription", row.customer_id);
            return Err(Refusal::new(Code::NoActiveSubscriptionForCustomer, message));
        }
        let behavior = row.update_behavior.unwrap_or(UsageUpdateBehavior::Delta);
        if behavior == UsageUpdateBehavior::Set && row.value < 0.0 {
            return Err(Refusal::new(Code::InvalidQuantity, "value must not be negative with SET"));
        }
        Ok(())
    }

    fn measure(&mut self, row: ReportUsageBaseInput, now_ms: i64, counts: &mut Counts) -> Measured {
        let at_ms = row.created_at.map_or(now_ms, |at| at.0);
        let key = UsageKey { customer_id: row.customer_id, feature_id: row.feature_id, resource_id: row.resource_id };
        let seen = row.idempotency_key.is_some_and(|token| !self.usage_keys_seen.insert((key.clone(), token)));
        let stored = self.usage.get(&key).copied();
        let older = stored.is_some_and(|stored| at_ms < stored.at_ms);
        let before = stored.map_or(0.0, |stored| stored.value);
        let after = match row.update_behavior.unwrap_or(UsageUpdateBehavior::Delta) {
            UsageUpdateBehavior::Delta if seen => None,
            UsageUpdateBehavior::Set if seen && self.unknowns.repeated_set == RepeatedSet::Ignored => None,
            UsageUpdateBehavior::Set if older && self.unknowns.older_set == OlderSet::Ignored => None,
            UsageUpdateBehavior::Delta => Some(before + row.value),
            UsageUpdateBehavior::Set => Some(row.value),
        };
        match after {
            None => counts.skipped += 1,
            Some(after) => {
                let entry = self.usage.entry(key.clone()).or_default();
                // Zero has no sign in a total.
                entry.value = if after == 0.0 { 0.0 } else { after };
                entry.at_ms = entry.at_ms.max(at_ms);
                entry.applied += 1;
                let written = match stored {
                    None => Written::Created,
                    Some(stored) if stored.value.total_cmp(&entry.value).is_eq() => Written::Same,
                    Some(_) => Written::Changed,
                };
                entry.changed += u32::from(written == Written::Changed);
                counts.add(written);
            }
        }
        self.measurements += 1;
        let current = self.usage.get(&key).map_or(0.0, |stored| stored.value);
        Measured { number: self.measurements, key, value: row.value, current, at_ms }
    }
}
