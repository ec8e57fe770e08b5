//! Which replacements can't stand side by side: a new subscription ends the customer's other one of the same product and
//! resource (contract 3.4).

use std::collections::HashMap;

use crate::ledger::Replacement;
use crate::pipeline::reading::Reading;
use crate::sink::{Operation, SinkError};

/// Products by plan, as far as the API tells.
#[derive(Debug, Default)]
pub(super) struct Products(HashMap<String, String>);

impl Products {
    /// Reads the plans. A key that may not read them leaves them unknown.
    pub(super) async fn read(reading: &Reading) -> Result<Self, SinkError> {
        let mut products = HashMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = reading.again(Operation::Plans, |permit| reading.sink.plans(after.as_deref(), permit)).await;
            let page = match page {
                Ok(page) => page,
                Err(SinkError::Forbidden { .. }) => return Ok(Self::default()),
                Err(error) => return Err(error),
            };
            products.extend(page.items.into_iter().filter_map(|plan| Some((plan.plan_id, plan.product_id?))));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Self(products)),
            }
        }
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
