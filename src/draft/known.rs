//! Exports that are recognised by their columns: the mapping that ships fits them, so it is the draft.

use std::path::Path;
use std::sync::Arc;

use super::sample::Sample;
use super::{Draft, lookup};
use crate::clock::Clock;
use crate::entity::Entity;
use crate::mapping;

/// A mapping that ships.
struct Shipped {
    export: &'static str,
    entity: Entity,
    text: &'static str,
    /// Columns that hold plans; the first that the export has and that is not empty.
    plans: &'static [&'static str],
}

macro_rules! shipped {
    ($file:literal) => {
        include_str!(concat!("../../mappings/", $file))
    };
}

/// The more columns a mapping wants, the less it is mistaken for another.
const SHIPPED: [Shipped; 9] = [
    Shipped {
        export: "Stripe customers export",
        entity: Entity::Customer,
        text: shipped!("stripe/customers.toml"),
        plans: &[],
    },
    Shipped {
        export: "Stripe subscriptions export",
        entity: Entity::Subscription,
        text: shipped!("stripe/subscriptions.toml"),
        plans: &["Plan"],
    },
    Shipped {
        export: "Stripe meter events export",
        entity: Entity::Usage,
        text: shipped!("stripe/usage.toml"),
        plans: &[],
    },
    Shipped {
        export: "Chargebee customers export",
        entity: Entity::Customer,
        text: shipped!("chargebee/customers.toml"),
        plans: &[],
    },
    Shipped {
        export: "Chargebee subscriptions export",
        entity: Entity::Subscription,
        text: shipped!("chargebee/subscriptions.toml"),
        plans: &["subscription[plan_id]", "subscription_items[item_price_id][0]"],
    },
    Shipped {
        export: "Recurly accounts export",
        entity: Entity::Customer,
        text: shipped!("recurly/customers.toml"),
        plans: &[],
    },
    Shipped {
        export: "Recurly subscriptions export",
        entity: Entity::Subscription,
        text: shipped!("recurly/subscriptions.toml"),
        plans: &["plan_code"],
    },
    Shipped {
        export: "Zuora accounts export",
        entity: Entity::Customer,
        text: shipped!("zuora/customers.toml"),
        plans: &[],
    },
    Shipped {
        export: "Zuora rate plan charges export",
        entity: Entity::Subscription,
        text: shipped!("zuora/subscriptions.toml"),
        plans: &["Rate Plan Name"],
    },
];

/// Fewest columns of a mapping that an export has to have: what a mapping can do without says nothing, and one name that many
/// exports have (`Account Number`) is not enough to take others for what they are not.
const COLUMNS_MIN: usize = 3;

/// The mapping of the export that these columns are from; none where it is none that is known.
pub(super) fn draft(entity: Entity, sample: &Sample, clock: &dyn Clock) -> Option<Draft> {
    let columns: Arc<[Box<str>]> = sample.columns.iter().map(|column| Box::from(&*column.name)).collect();
    SHIPPED.iter().filter(|shipped| shipped.entity == entity).find_map(|shipped| {
        let (text, to_do) = with_plans(shipped, sample);
        let file = mapping::parse("draft.toml", &text, Path::new("")).ok()?;
        mapping::compile(&file, &columns, clock).ok()?;
        let known = file.columns_used().iter().filter(|used| sample.column(&used.name).is_some()).count();
        if known < COLUMNS_MIN {
            return None;
        }
        Some(Draft { mapping: text, recognised: Some(shipped.export), to_do })
    })
}

/// The text with the plans that were found instead of a table of ours, and without our examples, which know only ours.
fn with_plans(shipped: &Shipped, sample: &Sample) -> (String, Vec<String>) {
    let found = shipped.plans.iter().filter_map(|name| sample.column(name)).find(|column| !column.cells.is_empty());
    let (Some(column), Some(begin)) = (found, shipped.text.find("[lookups.plans]")) else {
        return (shipped.text.to_owned(), Vec::new());
    };
    let end = shipped.text[begin..].find("\n\n").map_or(shipped.text.len(), |length| begin + length + 1);
    let rest = &shipped.text[end..];
    let rest = rest.find("\n[[example]]").map_or(rest, |examples| &rest[..examples + 1]);
    let text = format!("{}{}{rest}", &shipped.text[..begin], lookup::table("plans", "plan", column));
    (format!("{}\n", text.trim_end()), vec!["lookups.plans: what each plan becomes in Stigg".to_owned()])
}
