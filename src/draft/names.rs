//! What columns are called, for each field.

use super::sample::ColumnSample;
use crate::entity::Entity;

/// Names of columns for each field, without anything but letters and digits, the likeliest first.
pub(super) fn of(entity: Entity, field: &str) -> &'static [&'static str] {
    match (entity, field) {
        (Entity::Customer, "customerId") => &[
            "customerid",
            "custid",
            "clientid",
            "accountid",
            "accountcode",
            "accountnumber",
            "userid",
            "id",
            "uuid",
            "uid",
            "externalid",
            "customer",
            "account",
        ],
        (_, "customerId") => &[
            "customerid",
            "stripecustomerid",
            "custid",
            "clientid",
            "accountid",
            "accountcode",
            "accountnumber",
            "userid",
            "customer",
            "account",
            "client",
            "user",
        ],
        (_, "email") => &["email", "emailaddress", "customeremail", "billingemail", "contactemail", "mail"],
        (_, "name") => &[
            "name",
            "customername",
            "fullname",
            "companyname",
            "accountname",
            "displayname",
            "company",
            "organization",
            "organisation",
        ],
        (_, "billingId") => &["billingid", "stripeid", "stripecustomerid", "stripesubscriptionid"],
        (_, "paymentMethodId") => &["paymentmethodid", "paymentmethod", "defaultpaymentmethod"],
        (_, "salesforceId") => &["salesforceid", "sfdcid", "sfid"],
        (_, "updatedAt") => {
            &["updatedat", "updated", "modifiedat", "lastmodified", "modified", "lastupdated", "updatedutc"]
        }
        (_, "subscriptionId") => &["subscriptionid", "subid", "contractid", "id", "uuid", "subscription"],
        (_, "planId") => &[
            "planid",
            "plancode",
            "plan",
            "planname",
            "productid",
            "product",
            "productname",
            "tier",
            "package",
            "priceid",
            "price",
        ],
        (_, "startDate") => &[
            "startdate",
            "startedat",
            "startsat",
            "start",
            "starts",
            "startdateutc",
            "startutc",
            "activatedat",
            "begin",
            "createdat",
            "created",
            "createdutc",
        ],
        (_, "endDate") => &[
            "enddate",
            "endedat",
            "endsat",
            "end",
            "ends",
            "endedatutc",
            "canceledat",
            "cancelledat",
            "expiresat",
            "expires",
            "churnedat",
        ],
        (_, "billingPeriod") => &["billingperiod", "interval", "billinginterval", "period", "cycle", "frequency"],
        (_, "unitQuantity") => &["unitquantity", "quantity", "seats", "units", "licenses", "licences"],
        (_, "resourceId") => &["resourceid", "workspaceid", "siteid", "projectid"],
        (_, "featureId") => &["featureid", "feature", "metric", "metricname", "meter", "metername", "usagetype"],
        (Entity::Usage, "value") => {
            &["value", "usage", "currentusage", "total", "quantity", "amount", "count", "units"]
        }
        (Entity::Usage, "createdAt") => &["createdat", "timestamp", "readat", "measuredat", "recordedat", "at", "date"],
        (_, "eventName") => &["eventname", "event", "eventtype", "type"],
        (_, "timestamp") => &["timestamp", "createdat", "occurredat", "time", "at", "date"],
        (_, "additionalMetaData") => &[
            "additionalmetadata",
            "metadata",
            "customfields",
            "customattributes",
            "attributes",
            "properties",
            "custom",
        ],
        (_, "dimensions") => &["dimensions", "properties", "attributes", "labels", "metadata"],
        (_, "idempotencyKey") => &["idempotencykey", "eventid", "id", "uuid", "transactionid"],
        _ => &[],
    }
}

/// Names that say what they are only beside what they are of: the `id` of an address is not the customer's.
const OF_THEIR_OWNER: [&str; 24] = [
    "id",
    "uuid",
    "uid",
    "name",
    "type",
    "customer",
    "account",
    "user",
    "client",
    "value",
    "total",
    "count",
    "units",
    "amount",
    "at",
    "date",
    "time",
    "created",
    "createdat",
    "start",
    "end",
    "metadata",
    "attributes",
    "properties",
];

/// Objects around a record's own values.
const WRAPPERS: [&str; 9] = ["data", "attributes", "properties", "fields", "record", "object", "node", "item", "row"];

/// How well a column is called `name`: as a whole, or by the last steps of its path (`owner.email` is an `email`).
pub(super) fn is_called(column: &ColumnSample, name: &str) -> Option<Called> {
    let steps = steps(&column.name);
    if steps.concat() == name {
        return Some(Called::So);
    }
    (1..steps.len()).find_map(|from| {
        let (before, last) = steps.split_at(from);
        let own = before.iter().all(|step| WRAPPERS.contains(&step.as_str()));
        let called = last.concat() == name && (own || !OF_THEIR_OWNER.contains(&name));
        called.then_some(if own { Called::So } else { Called::Inside })
    })
}

/// See [`is_called`]. The better one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Called {
    /// As a whole.
    So,
    /// Inside something else.
    Inside,
}

/// The steps of a path, without positions, each without anything but letters and digits. Most columns have one.
fn steps(name: &str) -> Vec<String> {
    let steps =
        name.split(['.', '[']).filter(|step| !step.trim_end_matches(']').bytes().all(|byte| byte.is_ascii_digit()));
    steps.map(plain).filter(|step| !step.is_empty()).collect()
}

/// How deep in a record a column is.
pub(super) fn depth(column: &ColumnSample) -> usize {
    steps(&column.name).len()
}

/// A name without anything but letters and digits.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_called_as_its_path_ends_unless_that_is_another_things_name() {
        let called = |column: &str, name| is_called(&ColumnSample { name: column.into(), cells: Vec::new() }, name);
        assert_eq!(called("Customer ID", "customerid"), Some(Called::So));
        assert_eq!(called("customer.id", "customerid"), Some(Called::So));
        assert_eq!(called("data.id", "id"), Some(Called::So));
        assert_eq!(called("owner.email", "email"), Some(Called::Inside));
        assert_eq!(called("items[0].price.id", "priceid"), Some(Called::Inside));
        assert_eq!(called("address.id", "id"), None);
        assert_eq!(called("owner.name", "name"), None);
        assert_eq!(called("2024", "id"), None);
    }
}
