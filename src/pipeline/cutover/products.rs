//! Which replacements can't stand side by side: a new subscription ends the customer's other one of the same product and
//! resource (contract 3.4).

use std::collections::HashMap;

use crate::ledger::Replacement;
use crate::pipeline::catalog;
use crate::pipeline::reading::Reading;
use crate::sink::SinkError;

/// Products by plan, as far as the API tells.
#[derive(Debug, Default)]
pub(super) struct Products(HashMap<String, String>);

impl Products {
    /// Reads the plans. A key that may not read them leaves them unknown.
    pub(super) async fn read(reading: &Reading) -> Result<Self, SinkError> {
        let plans = catalog::plans(reading).await?.unwrap_or_default();
        Ok(Self(plans.into_iter().filter_map(|(id, plan)| Some((id, plan.product_id?))).collect()))
    }

    /// Whether provisioning one would end the other. Plans whose product is not known are taken for the same product.
    pub(super) fn excludes(&self, one: &Replacement, other: &Replacement) -> bool {
        let same_product = match (self.0.get(&one.plan_id), self.0.get(&other.plan_id)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        same_product && one.customer_id == other.customer_id && one.resource_id == other.resource_id
    }
}
