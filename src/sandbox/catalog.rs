//! What is for sale in the embedded environment: plans, products, features, add-ons, credit currencies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire::enums::{BillingPeriod, FeatureType, MeterType, PricingType};

/// The catalog of an environment, as read from a JSON file.
///
/// ```
/// # use stigg_import::sandbox::Catalog;
/// let catalog: Catalog = serde_json::from_str(r#"{
///     "plans": [{"id": "plan-free", "kind": "free"}, {"id": "plan-big", "kind": "custom", "product": "main"}],
///     "features": [{"id": "feature-seats", "meter": "Fluctuating"}],
///     "addons": [{"id": "addon-support"}],
///     "currencies": [{"id": "credits"}]
/// }"#).unwrap();
/// assert_eq!(catalog.plans.len(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Catalog {
    /// Plans.
    pub plans: Vec<CatalogPlan>,
    /// Products. A product that a plan names and that is not listed allows one subscription per customer.
    pub products: Vec<CatalogProduct>,
    /// Features.
    pub features: Vec<CatalogFeature>,
    /// Add-ons.
    pub addons: Vec<CatalogEntry>,
    /// Credit currencies.
    pub currencies: Vec<CatalogEntry>,
}

/// How a plan is sold. It decides how a subscription comes in (contract 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanKind {
    /// Costs nothing; imported in bulk.
    Free,
    /// Negotiated; imported in bulk, and the only kind that takes its own entitlements.
    Custom,
    /// Billed by the provider; provisioned one by one.
    Paid,
}

impl From<PlanKind> for PricingType {
    fn from(kind: PlanKind) -> Self {
        match kind {
            PlanKind::Free => Self::Free,
            PlanKind::Custom => Self::Custom,
            PlanKind::Paid => Self::Paid,
        }
    }
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogPlan {
    /// Its id, `refId` in the API.
    pub id: String,
    /// How it is sold.
    pub kind: PlanKind,
    /// The product it belongs to. Default: `product`.
    #[serde(default = "default_product")]
    pub product: String,
    /// Its name. Default: its id.
    #[serde(default)]
    pub name: Option<String>,
    /// What a unit of it costs at the billing provider, by period. Default: none, and then a subscription there costs what
    /// the one does that it replaces.
    #[serde(default)]
    pub prices: Vec<CatalogPrice>,
}

/// What a unit of a plan costs for a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogPrice {
    /// The period.
    pub billing_period: BillingPeriod,
    /// Price of one, in cents.
    pub unit_amount: i64,
    /// ISO 4217, lower case. Default: `usd`.
    #[serde(default = "usd")]
    pub currency: String,
}

fn usd() -> String {
    String::from("usd")
}

/// The product of plans that name none.
pub(crate) fn default_product() -> String {
    String::from("product")
}

/// A product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogProduct {
    /// Its id.
    pub id: String,
    /// Its name. Default: its id.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether a customer can have several subscriptions, each with its `resourceId` (contract 2). Default: false.
    #[serde(default)]
    pub multiple_subscriptions: bool,
}

/// A feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogFeature {
    /// Its id.
    pub id: String,
    /// Its name. Default: its id.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is: `NUMBER` (default), `BOOLEAN`, `ENUM`. Only numbers are metered.
    #[serde(default = "number", rename = "type")]
    pub feature_type: FeatureType,
    /// How its usage counts: `Fluctuating` (default), `Incremental`, `None`.
    #[serde(default = "fluctuating")]
    pub meter: MeterType,
    /// Whether it is fed by raw events, so that reported usage is refused (contract 11). Default: false.
    #[serde(default)]
    pub events: bool,
}

fn number() -> FeatureType {
    FeatureType::Number
}

fn fluctuating() -> MeterType {
    MeterType::Fluctuating
}

/// An add-on or a credit currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// Its id.
    pub id: String,
    /// Its name. Default: its id.
    #[serde(default)]
    pub name: Option<String>,
}

/// Whether something is in the catalog.
pub(crate) enum Known<'a, T> {
    /// There is no catalog: every id is known, and nothing more is.
    Unchecked,
    Yes(&'a T),
    No,
}

/// The catalog with an index by id.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub catalog: Option<Catalog>,
    plans: BTreeMap<String, usize>,
    features: BTreeMap<String, usize>,
    addons: BTreeMap<String, usize>,
    currencies: BTreeMap<String, usize>,
}

/// Looks an id up in one list of the catalog.
macro_rules! lookup {
    ($($name:ident in $list:ident: $kind:ty),+) => { $(
        pub fn $name(&self, id: &str) -> Known<'_, $kind> {
            match &self.catalog {
                None => Known::Unchecked,
                Some(catalog) => {
                    self.$list.get(id).map_or(Known::No, |index| Known::Yes(&catalog.$list[*index]))
                }
            }
        }
    )+ };
}

impl Shelf {
    pub fn new(catalog: Option<Catalog>) -> Self {
        let mut shelf = Self::default();
        if let Some(mut catalog) = catalog {
            for plan in &catalog.plans {
                if !catalog.products.iter().any(|product| product.id == plan.product) {
                    let id = plan.product.clone();
                    catalog.products.push(CatalogProduct { id, name: None, multiple_subscriptions: false });
                }
            }
            let index = |ids: Vec<&String>| ids.into_iter().cloned().enumerate().map(|(i, id)| (id, i)).collect();
            shelf.plans = index(catalog.plans.iter().map(|entry| &entry.id).collect());
            shelf.features = index(catalog.features.iter().map(|entry| &entry.id).collect());
            shelf.addons = index(catalog.addons.iter().map(|entry| &entry.id).collect());
            shelf.currencies = index(catalog.currencies.iter().map(|entry| &entry.id).collect());
            shelf.catalog = Some(catalog);
        }
        shelf
    }

    lookup!(plan in plans: CatalogPlan, feature in features: CatalogFeature, addon in addons: CatalogEntry,
        currency in currencies: CatalogEntry);

    /// Whether the plan's product allows several subscriptions per customer.
    pub fn allows_several(&self, plan: &CatalogPlan) -> bool {
        self.catalog
            .iter()
            .flat_map(|catalog| &catalog.products)
            .any(|product| product.id == plan.product && product.multiple_subscriptions)
    }
}
