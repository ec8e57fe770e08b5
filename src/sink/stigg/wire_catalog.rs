//! The shapes of the API's answers about the catalog.

use serde::Deserialize;

use super::wire::{Ignored, RefId};
use crate::sink::{CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, EnvironmentEntry};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment {
    id: String,
    slug: String,
    display_name: String,
    r#type: String,
}

impl From<Environment> for EnvironmentEntry {
    fn from(wire: Environment) -> Self {
        Self { id: wire.id, slug: wire.slug, name: wire.display_name, kind: wire.r#type }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    ref_id: String,
    status: String,
    pricing_type: Option<String>,
    product: Option<Product>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    ref_id: String,
    multiple_subscriptions: bool,
}

impl From<Plan> for CatalogPlan {
    fn from(wire: Plan) -> Self {
        let multiple_subscriptions = wire.product.as_ref().is_some_and(|product| product.multiple_subscriptions);
        Self {
            plan_id: wire.ref_id,
            status: wire.status,
            pricing_type: wire.pricing_type,
            product_id: wire.product.map(|product| product.ref_id),
            multiple_subscriptions,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feature {
    ref_id: String,
    feature_type: String,
    meter_type: Option<String>,
    feature_status: String,
    has_meter: Option<bool>,
}

impl From<Feature> for CatalogFeature {
    fn from(wire: Feature) -> Self {
        Self {
            feature_id: wire.ref_id,
            feature_type: wire.feature_type,
            meter_type: wire.meter_type,
            status: wire.feature_status,
            has_meter: wire.has_meter.unwrap_or(false),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Addon {
    ref_id: String,
    status: String,
    product: Option<RefId>,
}

impl From<Addon> for CatalogAddon {
    fn from(wire: Addon) -> Self {
        Self { addon_id: wire.ref_id, status: wire.status, product_id: wire.product.map(|product| product.ref_id) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Currency {
    pub(super) currency_id: String,
    #[serde(default)]
    archived_at: Option<Ignored>,
}

impl From<Currency> for CatalogCurrency {
    fn from(wire: Currency) -> Self {
        Self { currency_id: wire.currency_id, archived: wire.archived_at.is_some() }
    }
}
