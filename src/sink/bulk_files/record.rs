//! One record in the form of the tool's files: which file it goes into, and how its fields are called there.

use std::fmt;
use std::io;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

use super::BulkFile;
use crate::entity::Entity;

/// Fields of customers.json: the API's name, and the file's.
const CUSTOMER: &[(&str, &str)] = &[
    ("customerId", "customerId"),
    ("email", "email"),
    ("name", "name"),
    ("billingId", "billingId"),
    ("paymentMethodId", "paymentMethodId"),
    ("updatedAt", "updatedAt"),
    ("additionalMetaData", "metadata"),
];
/// Fields of the current file of free plans. Its subscriptions have no id, so that it says nothing to the tool;
/// `stigg-import bulk` would make one of customer, plan and resource without it.
const FREE: &[(&str, &str)] = &[
    ("subscriptionId", "subscriptionId"),
    ("customerId", "customerId"),
    ("planId", "planId"),
    ("resourceId", "resourceId"),
    ("startDate", "startDate"),
    ("endDate", "endDate"),
    ("additionalMetaData", "additionalMetaData"),
];
/// Further fields of the file of paid plans (1.9.1).
const PAID: &[(&str, &str)] = &[
    ("billingPeriod", "billingPeriod"),
    ("unitQuantity", "unitQuantity"),
    ("billableFeatures", "billableFeatures"),
    ("updatedAt", "updatedAt"),
];
/// Further fields of the current file of custom plans.
const CUSTOM: &[(&str, &str)] = &[("entitlements", "entitlements"), ("addons", "addons")];
/// Fields of usage.json.
const USAGE: &[(&str, &str)] =
    &[("customerId", "customerId"), ("featureId", "featureId"), ("resourceId", "resourceId"), ("value", "usage")];
/// What the tool always does, so that its file does not say it.
const SET: &str = "updateBehavior";

/// A record as it is written.
pub(super) struct Written<'a> {
    pub(super) file: BulkFile,
    entity: Entity,
    fields: Vec<(&'a str, &'a RawValue)>,
}

/// The form of a record whose JSON is the API's.
pub(super) fn of(entity: Entity, json: &[u8]) -> io::Result<Written<'_>> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let mut fields = deserializer.deserialize_map(Fields)?;
    fields.retain(|(name, _)| *name != SET);
    let has_paid = fields.iter().any(|(field, _)| called(PAID, field).is_some());
    let has_another = fields.iter().any(|(field, _)| called(FREE, field).or_else(|| called(PAID, field)).is_none());
    let file = match entity {
        Entity::Customer => BulkFile::Customers,
        Entity::Subscription if has_another => BulkFile::CustomSubscriptions,
        Entity::Subscription if has_paid => BulkFile::Subscriptions,
        Entity::Subscription => BulkFile::FreeSubscriptions,
        Entity::Usage => BulkFile::Usage,
        Entity::Event => return Err(io::Error::other("the vendor's tool has no file of events")),
    };
    Ok(Written { file, entity, fields })
}

impl Written<'_> {
    /// The fields that no document of the tool has; they are written as the API calls them.
    pub(super) fn undocumented(&self) -> impl Iterator<Item = &'static str> {
        self.fields
            .iter()
            .filter(|(name, _)| self.documented(name).is_none())
            .filter_map(|(name, _)| self.entity.fields().iter().map(|field| field.name).find(|field| field == name))
    }

    fn documented(&self, field: &str) -> Option<&'static str> {
        match self.entity {
            Entity::Customer => called(CUSTOMER, field),
            Entity::Subscription => {
                called(FREE, field).or_else(|| called(PAID, field)).or_else(|| called(CUSTOM, field))
            }
            Entity::Usage => called(USAGE, field),
            Entity::Event => None,
        }
    }
}

fn called(names: &[(&str, &'static str)], field: &str) -> Option<&'static str> {
    names.iter().find(|(api, _)| *api == field).map(|(_, name)| *name)
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(self.documented(name).unwrap_or(name), value)?;
        }
        map.end()
    }
}

/// Reads an object's fields without its values, so that numbers keep their digits.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(&'de str, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_goes_where_its_fields_are_documented() {
        for (entity, json, file, text, undocumented) in [
            (
                Entity::Customer,
                r#"{"customerId":"a","salesforceId":"s","additionalMetaData":{"k":"v"}}"#,
                BulkFile::Customers,
                r#"{"customerId":"a","salesforceId":"s","metadata":{"k":"v"}}"#,
                &["salesforceId"][..],
            ),
            (
                Entity::Subscription,
                r#"{"subscriptionId":"s","customerId":"a","planId":"p","additionalMetaData":{"k":"v"}}"#,
                BulkFile::FreeSubscriptions,
                r#"{"subscriptionId":"s","customerId":"a","planId":"p","additionalMetaData":{"k":"v"}}"#,
                &[],
            ),
            (
                Entity::Subscription,
                r#"{"subscriptionId":"s","customerId":"a","planId":"p","unitQuantity":5}"#,
                BulkFile::Subscriptions,
                r#"{"subscriptionId":"s","customerId":"a","planId":"p","unitQuantity":5}"#,
                &[],
            ),
            (
                Entity::Subscription,
                r#"{"subscriptionId":"s","customerId":"a","planId":"p","unitQuantity":5,"addons":[]}"#,
                BulkFile::CustomSubscriptions,
                r#"{"subscriptionId":"s","customerId":"a","planId":"p","unitQuantity":5,"addons":[]}"#,
                &[],
            ),
            (
                Entity::Subscription,
                r#"{"subscriptionId":"s","customerId":"a","planId":"p","charges":[],"billingId":"b"}"#,
                BulkFile::CustomSubscriptions,
                r#"{"subscriptionId":"s","customerId":"a","planId":"p","charges":[],"billingId":"b"}"#,
                &["charges", "billingId"],
            ),
            (
                Entity::Usage,
                r#"{"customerId":"a","featureId":"f","value":0.12345678901234567890,"updateBehavior":"SET","createdAt":"t"}"#,
                BulkFile::Usage,
                r#"{"customerId":"a","featureId":"f","usage":0.12345678901234567890,"createdAt":"t"}"#,
                &["createdAt"],
            ),
        ] {
            let written = of(entity, json.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&written).unwrap(), text);
            assert_eq!(written.file, file, "{json}");
            assert_eq!(written.undocumented().collect::<Vec<_>>(), undocumented, "{json}");
        }
    }
}
