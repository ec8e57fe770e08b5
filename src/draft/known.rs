//! Exports that are recognised by their columns: the mapping that ships fits them, so it is the draft.

use std::path::Path;
use std::sync::Arc;

use super::sample::{ColumnSample, Sample};
use super::{Draft, lookup};
use crate::clock::Clock;
use crate::entity::{Entity, Schema};
use crate::mapping;

/// A mapping that ships.
struct Shipped {
    export: &'static str,
    schema: Schema,
    text: &'static str,
    /// Columns that hold what its lookup table has; the first that the export has and that is not empty.
    looked_up: &'static [&'static str],
    /// What tells the records that it reads, where these are JSON; none where it reads tables. A record of JSON leaves out
    /// what it does not have, so that the columns of a mapping tell nothing.
    json: Option<Told>,
}

/// What tells JSON records.
enum Told {
    /// Each says itself what it is: this column has this value.
    Says(&'static str, &'static str),
    /// They have these columns, and no others but the mapping's.
    Has(&'static [&'static str]),
}

macro_rules! shipped {
    ($file:literal) => {
        include_str!(concat!("../../mappings/", $file))
    };
}

const CUSTOMER: Schema = Schema::Import(Entity::Customer);
const SUBSCRIPTION: Schema = Schema::Import(Entity::Subscription);
const USAGE: Schema = Schema::Import(Entity::Usage);

/// The more columns a mapping wants, the less it is mistaken for another.
const SHIPPED: [Shipped; 17] = [
    Shipped {
        export: "Stripe customers export",
        schema: CUSTOMER,
        text: shipped!("stripe/customers.toml"),
        looked_up: &[],
        json: None,
    },
    Shipped {
        export: "Stripe subscriptions export",
        schema: SUBSCRIPTION,
        text: shipped!("stripe/subscriptions.toml"),
        looked_up: &["Plan"],
        json: None,
    },
    Shipped {
        export: "Stripe meter events export",
        schema: USAGE,
        text: shipped!("stripe/usage.toml"),
        looked_up: &["event_name"],
        json: None,
    },
    Shipped {
        export: "Chargebee customers export",
        schema: CUSTOMER,
        text: shipped!("chargebee/customers.toml"),
        looked_up: &[],
        json: None,
    },
    Shipped {
        export: "Chargebee subscriptions export",
        schema: SUBSCRIPTION,
        text: shipped!("chargebee/subscriptions.toml"),
        looked_up: &["subscription[plan_id]", "subscription_items[item_price_id][0]"],
        json: None,
    },
    Shipped {
        export: "Recurly accounts export",
        schema: CUSTOMER,
        text: shipped!("recurly/customers.toml"),
        looked_up: &[],
        json: None,
    },
    Shipped {
        export: "Recurly subscriptions export",
        schema: SUBSCRIPTION,
        text: shipped!("recurly/subscriptions.toml"),
        looked_up: &["plan_code"],
        json: None,
    },
    Shipped {
        export: "Zuora accounts export",
        schema: CUSTOMER,
        text: shipped!("zuora/customers.toml"),
        looked_up: &[],
        json: None,
    },
    Shipped {
        export: "Zuora rate plan charges export",
        schema: SUBSCRIPTION,
        text: shipped!("zuora/subscriptions.toml"),
        looked_up: &["Rate Plan Name"],
        json: None,
    },
    Shipped {
        export: "Recurly usage export",
        schema: USAGE,
        text: shipped!("recurly/usage.toml"),
        looked_up: &["add_on_code"],
        json: None,
    },
    Shipped {
        export: "Zuora usage export",
        schema: USAGE,
        text: shipped!("zuora/usage.toml"),
        looked_up: &["Unit of Measure"],
        json: None,
    },
    Shipped {
        export: "list of customers of Stripe's API",
        schema: CUSTOMER,
        text: shipped!("stripe/api-customers.toml"),
        looked_up: &[],
        json: Some(Told::Says("object", "customer")),
    },
    Shipped {
        export: "list of subscriptions of Stripe's API",
        schema: SUBSCRIPTION,
        text: shipped!("stripe/api-subscriptions.toml"),
        looked_up: &["items.data[0].price.id"],
        json: Some(Told::Says("object", "subscription")),
    },
    Shipped {
        export: "list of subscriptions of Stripe's API",
        schema: Schema::PaidSubscription,
        text: shipped!("stripe/paid-subscriptions.toml"),
        looked_up: &["items.data[0].price.id"],
        json: Some(Told::Says("object", "subscription")),
    },
    Shipped {
        export: "customers file of @stigg/bulk-import",
        schema: CUSTOMER,
        text: shipped!("bulk/customers.toml"),
        looked_up: &[],
        json: Some(Told::Has(&["customerId"])),
    },
    Shipped {
        export: "subscriptions file of @stigg/bulk-import",
        schema: SUBSCRIPTION,
        text: shipped!("bulk/subscriptions.toml"),
        looked_up: &[],
        json: Some(Told::Has(&["customerId", "planId"])),
    },
    Shipped {
        export: "usage file of @stigg/bulk-import",
        schema: USAGE,
        text: shipped!("bulk/usage.toml"),
        looked_up: &[],
        json: Some(Told::Has(&["customerId", "featureId", "usage"])),
    },
];

/// Fewest columns of a mapping that an export has to have: what a mapping can do without says nothing, and one name that many
/// exports have (`Account Number`) is not enough to take others for what they are not.
const COLUMNS_MIN: usize = 3;

/// The mapping of the export that these columns are from; none where it is none that is known.
pub(super) fn draft(schema: Schema, sample: &Sample, clock: &dyn Clock) -> Option<Draft> {
    SHIPPED.iter().filter(|shipped| shipped.schema == schema).find_map(|shipped| {
        let (text, to_do) = with_found(shipped, sample);
        let file = mapping::parse("draft.toml", &text, Path::new("")).ok()?;
        let used = file.columns_used();
        let known = used.iter().filter(|used| sample.column(&used.name).is_some()).count();
        let is_it = match (&shipped.json, sample.is_json) {
            (None, false) => {
                let columns: Arc<[Box<str>]> = sample.columns.iter().map(|column| Box::from(&*column.name)).collect();
                known >= COLUMNS_MIN && mapping::compile(&file, &columns, clock).is_ok()
            }
            (Some(Told::Says(name, value)), true) => {
                let says = |column: &ColumnSample| {
                    column.cells.len() as u64 == sample.rows && column.cells.iter().all(|cell| cell == value)
                };
                let says = sample.rows > 0 && sample.column(name).is_some_and(says);
                says && known >= COLUMNS_MIN
            }
            (Some(Told::Has(names)), true) => {
                let is_used = |name: &str| used.iter().any(|used| used.name == name);
                let mut own = sample.columns.iter().filter(|column| !column.name.contains(['.', '[']));
                names.iter().all(|name| sample.column(name).is_some()) && own.all(|column| is_used(&column.name))
            }
            (None, true) | (Some(_), false) => false,
        };
        is_it.then(|| Draft { schema, mapping: text.clone(), recognised: Some(shipped.export), to_do })
    })
}

/// The text with the plans or features that were found instead of a table of ours, and without our examples, which know only
/// ours.
fn with_found(shipped: &Shipped, sample: &Sample) -> (String, Vec<String>) {
    let found = shipped.looked_up.iter().filter_map(|name| sample.column(name)).find(|column| !column.cells.is_empty());
    let table = [("plans", "plan"), ("features", "feature")]
        .into_iter()
        .find_map(|(name, of)| Some((name, of, shipped.text.find(&format!("[lookups.{name}]"))?)));
    let (Some(column), Some((name, of, begin))) = (found, table) else {
        return (shipped.text.to_owned(), Vec::new());
    };
    let end = shipped.text[begin..].find("\n\n").map_or(shipped.text.len(), |length| begin + length + 1);
    let rest = &shipped.text[end..];
    let rest = rest.find("\n[[example]]").map_or(rest, |examples| &rest[..examples + 1]);
    let text = format!("{}{}{rest}", &shipped.text[..begin], lookup::table(name, of, column));
    (format!("{}\n", text.trim_end()), vec![format!("lookups.{name}: what each {of} becomes in Stigg")])
}
