//! What columns are called, for each field.

use super::abroad;
use super::sample::ColumnSample;
use super::spelling::{plain, words};
use crate::entity::{Entity, Schema};

/// Names of columns for each field, without anything but letters and digits, the likeliest first.
pub(super) fn of(schema: Schema, field: &str) -> impl Iterator<Item = &'static str> {
    in_english(schema, field).iter().chain(abroad::of(schema, field)).copied()
}

#[rustfmt::skip]
fn in_english(schema: Schema, field: &str) -> &'static [&'static str] {
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
            "plantier", "membershiptype", "membershipplan", "membershiplevel", "subscriptiontype", "subscriptionname", "contracttype",
            "licensetype", "servicelevel", "tariff", "productid", "product", "productname", "tier",
            "package", "bundle", "edition", "course", "program", "programme", "sku", "priceid", "price",
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
            "paymentfrequency", "paymentinterval", "renewal", "billing", "billed", "paid", "term",
        ],
        (_, "unitQuantity") => &["unitquantity", "quantity", "qty", "seats", "seatcount", "units", "licenses", "licences"],
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

/// Whether a name says less of a field than a word about it in another one: a record may be made before its plan starts.
pub(super) fn says_little(field: &str, name: &str) -> bool {
    field == "startDate" && name.starts_with("created")
}

/// Whether a field is the id of a customer or a subscription.
pub(super) fn is_id_field(field: &str) -> bool {
    OWNERS.iter().any(|(of, _)| *of == field)
}

/// Names of the parts of a name, first and last, where there is none of the whole.
const FIRST_AND_LAST: [&[&str]; 2] =
    [&["firstname", "givenname", "forename", "first"], &["lastname", "surname", "familyname", "last"]];

/// Whether a column is called like the first part of a name, or like the last.
pub(super) fn is_part_of_name(column: &ColumnSample, part: Part) -> bool {
    let names = [FIRST_AND_LAST, abroad::FIRST_AND_LAST].map(|parts| parts[part as usize]).concat();
    names.iter().any(|name| is_called(column, name).is_some())
}

/// Whether a column is called like a name that may be only one part of it.
pub(super) fn may_be_part(column: &ColumnSample) -> bool {
    ["name", "nom", "nombre"].contains(&plain(&column.name).as_str())
}

/// A part of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    First,
    Last,
}

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
            "resident",
            "renter",
            "pupil",
            "learner",
            "participant",
            "donor",
            "subscribers",
            "merchant",
            "shop",
            "store",
            "team",
            "partner",
            "policyholder",
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

/// Whether a column's name says that it has ids of `field`'s records: `client_ref`, `Member No`, `N° client`.
pub(super) fn is_id_of(column: &ColumnSample, field: &str) -> bool {
    let name = steps(&column.name).concat();
    let words = words(&column.name);
    let behind = match &words[..] {
        [first, rest @ ..] if is_id_word(first) => {
            rest.iter().filter(|word| !ARTICLES.contains(&word.as_str())).map(String::as_str).collect()
        }
        _ => String::new(),
    };
    let mut owners = id_words().filter_map(|end| name.strip_suffix(end));
    owners.any(|owner| is_owner(owner, field)) || is_owner(&behind, field)
}

/// Whether a column is called like those who have the ids of `field`, without more: `Subscriber`. What is called like many
/// people has their name rather than an id.
pub(super) fn is_owner_of(column: &ColumnSample, field: &str) -> bool {
    const MANY: [&str; 8] = ["organization", "organisation", "org", "company", "team", "shop", "store", "merchant"];
    let name = plain(&column.name);
    is_owner(&name, field) && !MANY.contains(&name.as_str())
}

pub(super) fn is_owner(word: &str, field: &str) -> bool {
    OWNERS.iter().chain(&abroad::OWNERS).any(|(of, owners)| *of == field && owners.contains(&word))
}

/// What stands between an id and whose it is.
const ARTICLES: [&str; 8] = ["of", "de", "du", "d", "des", "del", "der", "l"];

fn id_words() -> impl Iterator<Item = &'static str> {
    ID_ENDS.into_iter().chain(abroad::ID_WORDS)
}

fn is_id_word(word: &str) -> bool {
    id_words().any(|end| end == word)
}

/// Whether a column's name is that of an id of something. By words, so that `Casino` is none.
pub(super) fn is_id(column: &ColumnSample) -> bool {
    let words = words(&column.name);
    let is_compound = |word: &String| word.ends_with("nummer") || word.ends_with("kennung");
    [words.first(), words.last()].into_iter().flatten().any(|word| is_id_word(word) || is_compound(word))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn named(column: &str) -> ColumnSample {
        ColumnSample { name: column.into(), ..ColumnSample::default() }
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
        for name in [
            "account_no",
            "Account Number",
            "client_ref",
            "acct-code",
            "Member No.",
            "user.uuid",
            "N° client",
            "Numéro de client",
            "Kundennummer",
            "Customer #",
        ] {
            assert!(is_id_of(&named(name), "customerId"), "{name}");
        }
        for name in ["Contract No", "membership_id", "order.ref"] {
            assert!(is_id_of(&named(name), "subscriptionId"), "{name}");
            assert!(!is_id_of(&named(name), "customerId"), "{name}");
        }
        assert!(is_id(&named("Card No")) && is_id(&named("legacyId")) && is_id(&named("Ausweisnummer")));
        assert!(!is_id(&named("Casino")) && !is_id(&named("paid")));
    }
}
