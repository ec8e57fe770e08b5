//! What columns are called, for each field.

use super::sample::ColumnSample;
use crate::entity::{Entity, Schema};

/// Names of columns for each field, without anything but letters and digits, the likeliest first.
#[rustfmt::skip]
pub(super) fn of(schema: Schema, field: &str) -> &'static [&'static str] {
    const CUSTOMER: Schema = Schema::Import(Entity::Customer);
    const USAGE: Schema = Schema::Import(Entity::Usage);
    match (schema, field) {
        (CUSTOMER, "customerId") => &[
            "customerid", "custid", "clientid", "accountid", "accountcode", "accountnumber", "userid", "id", "uuid", "uid",
            "externalid", "customer", "account", "acct", "client", "member",
        ],
        (_, "customerId") => &[
            "customerid", "stripecustomerid", "custid", "clientid", "accountid", "accountcode", "accountnumber", "userid",
            "customer", "account", "acct", "client", "member", "user",
        ],
        (_, "email") => &["email", "emailaddress", "customeremail", "billingemail", "contactemail", "mail"],
        (_, "name") => &[
            "name", "customername", "fullname", "companyname", "accountname", "clientname", "membername", "displayname",
            "company", "organization", "organisation",
        ],
        (_, "billingId") => &["billingid", "stripeid", "stripecustomerid", "stripesubscriptionid"],
        (_, "paymentMethodId") => &["paymentmethodid", "paymentmethod", "defaultpaymentmethod"],
        (_, "salesforceId") => &["salesforceid", "sfdcid", "sfid"],
        (_, "updatedAt") => &[
            "updatedat", "updated", "modifiedat", "lastmodified", "modified", "lastupdated", "updatedutc",
        ],
        (_, "subscriptionId") => &["subscriptionid", "subid", "contractid", "id", "uuid", "subscription", "contract"],
        (_, "planId") => &[
            "planid", "plancode", "plan", "planname", "rateplan", "rateplanname", "subscriptionplan", "plantype",
            "membershiptype", "membershipplan", "subscriptiontype", "tariff", "productid", "product", "productname", "tier",
            "package", "edition", "sku", "priceid", "price",
        ],
        (_, "startDate") => &[
            "startdate", "started", "startedat", "startsat", "starton", "startson", "start", "starts", "startdateutc", "startutc",
            "activatedat", "activated", "begindate", "begin", "begins", "beginson", "validfrom", "effectivefrom",
            "effectivedate", "from", "since", "membersince", "joindate", "joined", "joinedon", "signupdate", "signedup",
            "createdat", "created", "createdutc",
        ],
        (_, "endDate" | "cancellationDate") => &[
            "enddate", "endedat", "endsat", "endson", "end", "ends", "ended", "endedatutc", "canceledat", "cancelledat",
            "cancellationdate", "expiresat", "expireson", "expires", "expirydate", "expirationdate", "validto", "validuntil",
            "validtill", "until", "to", "churnedat", "terminationdate", "terminated", "leavingdate",
        ],
        (_, "billingPeriod") => &[
            "billingperiod", "interval", "billinginterval", "billingcycle", "billingfrequency", "period", "cycle", "frequency",
            "paymentfrequency", "paymentinterval", "billed", "paid", "term",
        ],
        (_, "unitQuantity") => &["unitquantity", "quantity", "qty", "seats", "units", "licenses", "licences"],
        (_, "resourceId") => &["resourceid", "workspaceid", "siteid", "projectid"],
        (_, "featureId") => &["featureid", "feature", "metric", "metricname", "meter", "metername", "usagetype"],
        (USAGE, "value") => &["value", "usage", "currentusage", "total", "quantity", "amount", "count", "units"],
        (USAGE, "createdAt") => &["createdat", "timestamp", "readat", "measuredat", "recordedat", "at", "date"],
        (_, "eventName") => &["eventname", "event", "eventtype", "type"],
        (_, "timestamp") => &["timestamp", "createdat", "occurredat", "time", "at", "date"],
        (_, "idempotencyKey") => &["idempotencykey", "eventid", "id", "uuid", "transactionid"],
        (_, "additionalMetaData") => &[
            "additionalmetadata", "metadata", "customfields", "customattributes", "attributes", "properties", "custom",
        ],
        (_, "dimensions") => &["dimensions", "properties", "attributes", "labels", "metadata"],
        (Schema::PaidSubscription, "priceUnitAmount") => &[
            "unitamount", "unitprice", "priceperunit", "unitpricecents", "unitamountcents", "pricecents", "priceincents",
            "amountcents", "amountincents", "monthlyprice", "monthlyfee", "price", "amount", "fee", "rate",
        ],
        _ => &[],
    }
}

/// Whether a field is the id of a customer or a subscription.
pub(super) fn is_id_field(field: &str) -> bool {
    OWNERS.iter().any(|(of, _)| *of == field)
}

/// Names of the parts of a name, first and last, where there is none of the whole.
pub(super) const FIRST_AND_LAST: [&[&str]; 2] =
    [&["firstname", "givenname", "forename", "first"], &["lastname", "surname", "familyname", "last"]];

/// Names of a column of currencies.
pub(super) const CURRENCY: [&str; 4] = ["currency", "currencycode", "cur", "ccy"];

/// What a column's name begins with that holds ids of customers, and of subscriptions.
const OWNERS: [(&str, &[&str]); 2] = [
    (
        "customerId",
        &[
            "customer",
            "cust",
            "client",
            "account",
            "acct",
            "acc",
            "member",
            "user",
            "tenant",
            "organization",
            "organisation",
            "org",
            "company",
            "subscriber",
            "buyer",
            "patient",
            "student",
            "guest",
            "household",
            "payer",
        ],
    ),
    (
        "subscriptionId",
        &["subscription", "sub", "contract", "membership", "agreement", "order", "policy", "enrolment", "enrollment"],
    ),
];

/// What the name of a column of ids ends with.
const ID_ENDS: [&str; 13] =
    ["identifier", "reference", "number", "code", "uuid", "nmbr", "key", "ref", "num", "id", "no", "nr", "nbr"];

/// Whether a column's name says that it has ids of `field`'s records: `client_ref`, `Member No`.
pub(super) fn is_id_of(column: &ColumnSample, field: &str) -> bool {
    let Some((_, owners)) = OWNERS.iter().find(|(of, _)| *of == field) else { return false };
    let name = steps(&column.name).concat();
    ID_ENDS.iter().any(|end| name.strip_suffix(end).is_some_and(|owner| owners.contains(&owner)))
}

/// Whether a column's name is that of an id of something.
pub(super) fn is_id(column: &ColumnSample) -> bool {
    // By words, so that `Casino` is none.
    let mut words = column.name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.next_back().is_some_and(|last| ID_ENDS.contains(&last.to_ascii_lowercase().as_str()) || last.ends_with("Id"))
}

/// Whether a column's name says that its values are of people, places or amounts, which tell records apart only by chance.
pub(super) fn is_no_id(column: &ColumnSample) -> bool {
    const WORDS: [&str; 18] = [
        "phone", "mobile", "fax", "zip", "postal", "postcode", "city", "country", "state", "street", "address", "name",
        "title", "amount", "price", "fee", "birth", "note",
    ];
    let name = plain(&column.name);
    WORDS.iter().any(|word| name.contains(word))
}

/// Whether a column's name says that its values are words about a record that are no plan.
pub(super) fn is_no_plan(column: &ColumnSample) -> bool {
    const WORDS: [&str; 15] = [
        "status", "state", "country", "city", "currency", "gender", "language", "locale", "method", "source",
        "channel", "region", "branch", "reason", "by",
    ];
    let name = plain(&column.name);
    WORDS.iter().any(|word| name.ends_with(word)) || is_no_id(column)
}

/// Whether a column's name says in one of its words that it is a start, an end, or a plan: `Runs from`, `valid_until`, `Care Plan`.
pub(super) fn is_about(column: &ColumnSample, field: &str) -> bool {
    const STARTS: &[&str] =
        &["start", "starts", "started", "begin", "begins", "from", "since", "effective", "commences"];
    const ENDS: &[&str] = &[
        "end",
        "ends",
        "ended",
        "until",
        "till",
        "to",
        "expiry",
        "expires",
        "expired",
        "expiration",
        "cancelled",
        "canceled",
    ];
    const PLANS: &[&str] = &["plan", "tariff", "tier", "package", "membership", "edition"];
    // Of a plan.
    const OF_PLANS: &[&str] =
        &["date", "start", "begin", "end", "since", "from", "until", "price", "fee", "status", "id", "no"];
    // Of a part of it, or of another thing.
    const OTHERS: &[&str] = &["trial", "period", "current", "next", "last", "invoice", "billing", "payment", "notice"];
    let wanted = match field {
        "startDate" => STARTS,
        "endDate" | "cancellationDate" => ENDS,
        "planId" => PLANS,
        _ => return false,
    };
    let words: Vec<String> = column
        .name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(str::to_ascii_lowercase)
        .filter(|word| !word.is_empty())
        .collect();
    let has = |of: &[&str]| words.iter().any(|word| of.contains(&word.as_str()));
    has(wanted) && !has(OTHERS) && (field != "planId" || !has(OF_PLANS))
}

/// Names that say what they are only beside what they are of: the `id` of an address is not the customer's.
#[rustfmt::skip]
const OF_THEIR_OWNER: [&str; 30] = [
    "id", "uuid", "uid", "name", "type", "customer", "account", "acct", "user", "client", "member", "value", "total", "count",
    "units", "amount", "at", "date", "time", "created", "createdat", "start", "end", "from", "to", "first", "last", "metadata",
    "attributes", "properties",
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

    fn named(column: &str) -> ColumnSample {
        ColumnSample { name: column.into(), cells: Vec::new() }
    }

    #[test]
    fn a_column_is_called_as_its_path_ends_unless_that_is_another_things_name() {
        let called = |column: &str, name| is_called(&named(column), name);
        assert_eq!(called("Customer ID", "customerid"), Some(Called::So));
        assert_eq!(called("customer.id", "customerid"), Some(Called::So));
        assert_eq!(called("data.id", "id"), Some(Called::So));
        assert_eq!(called("owner.email", "email"), Some(Called::Inside));
        assert_eq!(called("items[0].price.id", "priceid"), Some(Called::Inside));
        assert_eq!(called("address.id", "id"), None);
        assert_eq!(called("owner.name", "name"), None);
        assert_eq!(called("2024", "id"), None);
    }

    #[test]
    fn ids_are_told_by_whose_they_are() {
        for name in ["account_no", "Account Number", "client_ref", "acct-code", "Member No.", "user.uuid"] {
            assert!(is_id_of(&named(name), "customerId"), "{name}");
        }
        for name in ["Contract No", "membership_id", "order.ref"] {
            assert!(is_id_of(&named(name), "subscriptionId"), "{name}");
            assert!(!is_id_of(&named(name), "customerId"), "{name}");
        }
        assert!(is_id(&named("Card No")) && is_id(&named("legacyId")));
        assert!(!is_id(&named("Casino")) && !is_id(&named("paid")));
    }
}
