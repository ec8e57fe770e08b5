//! A mapped record of a paid subscription: what is sent, and what it takes the place of.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::entity::ORIGINAL;
use crate::ledger::OriginalRef;
use crate::provider::{OriginalId, ProviderName};
use crate::record::{Fingerprint, Record, RecordBatch};
use crate::sink::ProvisionRequest;

/// A paid subscription as the source has it.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Paid {
    pub request: ProvisionRequest,
    pub plan_id: String,
    /// Who pays: the customer, unless another is named.
    pub payer_id: String,
    pub provider: ProviderName,
    pub original_id: OriginalId,
    pub content: Fingerprint,
}

/// The fields that decide what happens with it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    subscription_id: String,
    customer_id: String,
    plan_id: String,
    resource_id: Option<String>,
    paying_customer_id: Option<String>,
    original: NamedOriginal,
}

#[derive(Deserialize)]
struct NamedOriginal {
    provider: String,
    id: String,
}

impl Paid {
    /// Takes a record apart.
    ///
    /// # Errors
    ///
    /// What does not fit. A mapping's own checks let nothing through that does not fit here.
    pub(in crate::pipeline) fn read(batch: &RecordBatch, record: &Record) -> Result<Self, String> {
        let json = batch.json_of(record);
        let named: Named = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut fields: BTreeMap<String, &RawValue> =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        fields.remove(ORIGINAL);
        let provider = named.original.provider.parse::<ProviderName>().map_err(|error| error.to_string())?;
        let original_id = OriginalId::parse(&named.original.id).map_err(|error| error.to_string())?;
        Ok(Self {
            plan_id: named.plan_id,
            payer_id: named.paying_customer_id.unwrap_or_else(|| named.customer_id.clone()),
            provider,
            original_id,
            content: record.fingerprint,
            request: ProvisionRequest {
                subscription_id: named.subscription_id,
                customer_id: named.customer_id,
                resource_id: named.resource_id,
                input_json: serde_json::to_string(&fields).map_err(|error| error.to_string())?,
            },
        })
    }

    pub(super) fn original(&self) -> OriginalRef {
        OriginalRef { provider: self.provider.as_str().to_owned(), id: self.original_id.to_string() }
    }
}
