//! The shapes of answers about usage.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::input::Measurement;
use super::wire::{Exact, RefId, Time, at, number};
use crate::entity::KEY_SEPARATOR;
use crate::sink::ReadUsage;

/// A text that is borrowed where it has no escapes, also inside of an `Option`.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// How many measurements an answer lists: all that an import asks of one that leaves nothing out.
pub(super) struct MeasurementCount(pub usize);

impl<'de> Deserialize<'de> for MeasurementCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = MeasurementCount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of measurements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<MeasurementCount, A::Error> {
                let mut count = 0;
                while let Some(OfCustomer) = list.next_element()? {
                    count += 1;
                }
                Ok(MeasurementCount(count))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// A measurement, of which only is looked at that it names a customer.
struct OfCustomer;

impl<'de> Deserialize<'de> for OfCustomer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = OfCustomer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a measurement")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<OfCustomer, A::Error> {
                let mut named = false;
                while let Some(Text(name)) = fields.next_key()? {
                    if name == "customerId" {
                        fields.next_value::<Text<'de>>()?;
                        named = true;
                    } else {
                        fields.next_value::<IgnoredAny>()?;
                    }
                }
                if named { Ok(OfCustomer) } else { Err(A::Error::missing_field("customerId")) }
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// What an import needs of a measurement: which record it answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageKey<'a> {
    #[serde(borrow)]
    customer_id: Text<'a>,
    #[serde(borrow)]
    feature_id: Text<'a>,
    #[serde(borrow)]
    resource_id: Option<Text<'a>>,
}

impl UsageKey<'_> {
    /// Customer, feature and resource; no resource is an empty one.
    pub(super) fn parts(&self) -> (&str, &str, &str) {
        (&self.customer_id.0, &self.feature_id.0, self.resource_id.as_ref().map_or("", |resource| &resource.0))
    }
}

/// Customer, feature and resource of a usage record's key; no resource is an empty one.
pub(super) fn parts(key: &str) -> (&str, &str, &str) {
    let mut parts = key.split(KEY_SEPARATOR);
    let mut next = || parts.next().unwrap_or("");
    (next(), next(), next())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measured<'a> {
    #[serde(borrow)]
    customer_id: Cow<'a, str>,
    #[serde(borrow)]
    feature_id: Cow<'a, str>,
    #[serde(borrow)]
    resource_id: Option<Cow<'a, str>>,
    value: Exact,
    current_usage: Option<Exact>,
}

impl From<Measured<'_>> for Measurement {
    fn from(wire: Measured<'_>) -> Self {
        Self {
            customer_id: wire.customer_id.into_owned(),
            feature_id: wire.feature_id.into_owned(),
            resource_id: wire.resource_id.map(Cow::into_owned),
            value: wire.value.0,
            current_usage: number(wire.current_usage),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntitlementsState {
    entitlements_v2: Vec<UsageEntitlement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageEntitlement {
    feature: Option<RefId>,
    current_usage: Option<Exact>,
    usage_limit: Option<Exact>,
    usage_period_start: Option<Time>,
    usage_period_end: Option<Time>,
}

impl EntitlementsState {
    /// Credit entitlements have no feature, and no usage that was reported.
    pub(super) fn usage(self) -> Vec<ReadUsage> {
        let of_feature = |wire: UsageEntitlement| {
            Some(ReadUsage {
                feature_id: wire.feature?.ref_id,
                current_usage: number(wire.current_usage),
                usage_limit: number(wire.usage_limit),
                period_start: at(wire.usage_period_start),
                period_end: at(wire.usage_period_end),
            })
        };
        self.entitlements_v2.into_iter().filter_map(of_feature).collect()
    }
}
