//! Shows stored records as the API's objects.

use super::enums::{
    BillingModel, ChargeType, FeatureStatus, FeatureType, MeterType, PackageStatus, PaymentCollection, PricingType,
    ProductStatus, SubscriptionCancelReason, SubscriptionStatus, SyncStatus, TaskType, VendorIdentifier,
};
use super::objects::{
    Addon, CustomCurrency, Customer, CustomerResource, CustomerSubscription, Feature, ImportIntegrationTask,
    ImportSubTaskError, Plan, Product, Subscription, SubscriptionAddon, SubscriptionCreditEntitlement,
    SubscriptionEntitlementUnion, SubscriptionFeatureEntitlement, SubscriptionPrice, SubscriptionQuery, SyncState,
};
use super::scalars::{DateTime, Json, Uuid};
use crate::sandbox::catalog::{Known, default_product};
use crate::sandbox::store::Store;
use crate::sandbox::store::content::{CustomerContent, SubscriptionContent};
use crate::sandbox::store::provision::period_end;
use crate::sandbox::store::table::Row;
use crate::sandbox::store::tasks::Task;

/// The store at a moment, as the API shows it.
pub(crate) struct View<'a> {
    pub store: &'a Store,
    /// The environment's id.
    pub environment: &'a Uuid,
    /// Since when the environment is there: the creation of its catalog.
    pub since_ms: i64,
    pub now_ms: i64,
}

fn metadata(map: &std::collections::BTreeMap<String, String>) -> Option<Json> {
    (!map.is_empty()).then(|| Json(serde_json::json!(map)))
}

impl View<'_> {
    pub fn customer(&self, row: &Row<CustomerContent>) -> Customer {
        let content = row.content();
        Customer {
            additional_meta_data: metadata(&content.metadata),
            billing_id: content.billing_id.clone(),
            created_at: Some(DateTime(row.created_ms)),
            customer_id: row.id.to_string(),
            default_payment_method_id: content.payment_method_id.clone(),
            deleted_at: content.archived.then_some(DateTime(row.updated_ms)),
            email: content.email.clone(),
            environment_id: self.environment.clone(),
            has_payment_method: content.payment_method_id.is_some(),
            id: Uuid::of("customer", &row.id),
            name: content.name.clone(),
            ref_id: row.id.to_string(),
            salesforce_id: content.salesforce_id.clone(),
            updated_at: DateTime(row.updated_ms),
        }
    }

    pub fn product(&self, id: &str) -> Product {
        let known = self.store.shelf.catalog.iter().flat_map(|catalog| &catalog.products).find(|known| known.id == id);
        Product {
            created_at: DateTime(self.since_ms),
            display_name: Some(known.and_then(|known| known.name.clone()).unwrap_or_else(|| id.to_owned())),
            environment_id: self.environment.clone(),
            id: Uuid::of("product", id),
            is_default_product: id == default_product(),
            multiple_subscriptions: known.is_some_and(|known| known.multiple_subscriptions),
            ref_id: id.to_owned(),
            status: ProductStatus::Published,
            updated_at: DateTime(self.since_ms),
        }
    }

    pub fn plan(&self, id: &str, pricing_type: Option<PricingType>) -> Plan {
        let known = match self.store.shelf.plan(id) {
            Known::Yes(plan) => Some(plan),
            Known::Unchecked | Known::No => None,
        };
        let product_id = known.map_or_else(default_product, |plan| plan.product.clone());
        Plan {
            created_at: Some(DateTime(self.since_ms)),
            display_name: known.and_then(|plan| plan.name.clone()).unwrap_or_else(|| id.to_owned()),
            environment_id: self.environment.clone(),
            id: Uuid::of("plan", id),
            is_latest: Some(true),
            pricing_type: known.map(|plan| plan.kind.into()).or(pricing_type),
            product: self.product(&product_id),
            product_id: Some(product_id),
            ref_id: id.to_owned(),
            status: PackageStatus::Published,
            r#type: String::from("Plan"),
            updated_at: Some(DateTime(self.since_ms)),
            version_number: 1,
        }
    }

    pub fn addon(&self, id: &str) -> Addon {
        let name = match self.store.shelf.addon(id) {
            Known::Yes(entry) => entry.name.clone(),
            Known::Unchecked | Known::No => None,
        };
        Addon {
            created_at: Some(DateTime(self.since_ms)),
            display_name: name.unwrap_or_else(|| id.to_owned()),
            environment_id: self.environment.clone(),
            id: Uuid::of("addon", id),
            is_latest: Some(true),
            product: None,
            product_id: None,
            ref_id: id.to_owned(),
            status: PackageStatus::Published,
            r#type: String::from("Addon"),
            updated_at: Some(DateTime(self.since_ms)),
            version_number: 1,
        }
    }

    pub fn feature(&self, id: &str) -> Feature {
        let known = match self.store.shelf.feature(id) {
            Known::Yes(feature) => Some(feature),
            Known::Unchecked | Known::No => None,
        };
        Feature {
            created_at: Some(DateTime(self.since_ms)),
            display_name: known.and_then(|feature| feature.name.clone()).unwrap_or_else(|| id.to_owned()),
            environment_id: self.environment.clone(),
            feature_status: FeatureStatus::Active,
            feature_type: known.map_or(FeatureType::Number, |feature| feature.feature_type),
            has_meter: Some(known.is_some_and(|feature| feature.events)),
            id: Uuid::of("feature", id),
            meter_type: Some(known.map_or(MeterType::Fluctuating, |feature| feature.meter)),
            ref_id: id.to_owned(),
            updated_at: DateTime(self.since_ms),
        }
    }

    pub fn currency(&self, id: &str) -> CustomCurrency {
        let name = match self.store.shelf.currency(id) {
            Known::Yes(entry) => entry.name.clone(),
            Known::Unchecked | Known::No => None,
        };
        CustomCurrency {
            archived_at: None,
            created_at: DateTime(self.since_ms),
            currency_id: id.to_owned(),
            display_name: name.unwrap_or_else(|| id.to_owned()),
            id: Uuid::of("currency", id),
            updated_at: DateTime(self.since_ms),
        }
    }

    pub fn task(&self, task: &Task) -> ImportIntegrationTask {
        let error = |error: &crate::sandbox::store::tasks::TaskError| ImportSubTaskError {
            error: error.error.clone(),
            id: error.id.clone(),
        };
        ImportIntegrationTask {
            created_at: Some(DateTime(task.created_ms)),
            customers_count: 0,
            end_date: task.ended_ms.map(DateTime),
            environment_id: self.environment.0.clone(),
            id: task.id.clone(),
            import_errors: task.errors.iter().map(error).collect(),
            products_count: 0,
            progress: task.progress(),
            start_date: task.started(self.now_ms).map(DateTime),
            status: task.status(self.now_ms),
            task_type: TaskType::ImportSubscriptionsBulk,
            total_subtasks_count: i32::try_from(task.total).unwrap_or(i32::MAX),
        }
    }

    /// A subscription as lists answer it.
    pub fn listed(&self, row: &Row<SubscriptionContent>, content: &SubscriptionContent) -> Option<SubscriptionQuery> {
        let customer_id = Some(content.customer_id.clone());
        self.subscription(row, content, customer_id, content.resource_id.clone(), |states| states)
    }

    /// A subscription as single answers have it.
    pub fn single(
        &self,
        row: &Row<SubscriptionContent>,
        content: &SubscriptionContent,
    ) -> Option<CustomerSubscription> {
        let customer_id = Some(Uuid::of("customer", &content.customer_id));
        let resource_id = content.resource_id.as_deref().map(|id| Uuid::of("resource", id));
        self.subscription(row, content, customer_id, resource_id, Some)
    }

    /// `None` if its customer is not there, which a loaded snapshot can bring about.
    fn subscription<Id, Sync>(
        &self,
        row: &Row<SubscriptionContent>,
        content: &SubscriptionContent,
        customer_id: Option<Id>,
        resource_id: Option<Id>,
        sync_states: impl FnOnce(Vec<SyncState>) -> Sync,
    ) -> Option<Subscription<Id, Sync>>
    where
        Id: async_graphql::OutputType,
        Sync: async_graphql::OutputType,
    {
        let customer = self.customer(self.store.customers.get(&content.customer_id)?);
        let status = content.status(row.created_ms, self.now_ms);
        let start_ms = content.start_date.map_or(row.created_ms, |start| start.0);
        let cancelled_at = content.cancelled.map(|cancelled| cancelled.at.unwrap_or(DateTime(row.updated_ms)));
        let synced = content.pricing_type == PricingType::Paid && content.billing_id.is_some();
        let states = Vec::from_iter(synced.then(|| SyncState {
            error: None,
            status: SyncStatus::Success,
            synced_entity_id: content.billing_id.clone(),
            vendor_identifier: VendorIdentifier::Stripe,
        }));
        Some(Subscription {
            additional_meta_data: metadata(&content.metadata),
            addons: Some(self.addons(row, content)),
            billing_id: content.billing_id.clone(),
            billing_period: content.billing_period,
            billing_sync_error: None,
            cancel_reason: match (status, content.cancelled) {
                (_, Some(cancelled)) => Some(cancelled.reason),
                (SubscriptionStatus::Expired, None) => Some(SubscriptionCancelReason::Expired),
                (_, None) => None,
            },
            cancellation_date: cancelled_at,
            created_at: Some(DateTime(row.created_ms)),
            current_billing_period_end: content
                .billing_period
                .map(|period| DateTime(period_end(start_ms, period, self.now_ms))),
            customer_id,
            effective_end_date: cancelled_at.or(content.end_date),
            end_date: content.end_date,
            entitlements: Some(self.entitlements(row, content)),
            environment_id: self.environment.clone(),
            id: Uuid::of("subscription", &row.id),
            old_billing_id: None,
            payment_collection: PaymentCollection::NotRequired,
            payment_collection_method: content.payment_collection_method,
            plan: self.plan(&content.plan_id, Some(content.pricing_type)),
            prices: Some(prices(row, content)),
            pricing_type: content.pricing_type,
            ref_id: row.id.to_string(),
            resource: content.resource_id.as_ref().map(|id| CustomerResource {
                created_at: DateTime(row.created_ms),
                customer: customer.clone(),
                environment_id: self.environment.clone(),
                resource_id: id.clone(),
            }),
            resource_id,
            salesforce_id: content.salesforce_id.clone(),
            start_date: DateTime(start_ms),
            status,
            subscription_id: row.id.to_string(),
            sync_states: sync_states(states),
            trial_end_date: content.trial.and_then(|trial| trial.end_date),
            customer,
        })
    }

    fn addons(&self, row: &Row<SubscriptionContent>, content: &SubscriptionContent) -> Vec<SubscriptionAddon> {
        let addon = |addon: &super::terms::SubscriptionAddonInput| SubscriptionAddon {
            addon: self.addon(&addon.addon_id),
            addon_id: addon.addon_id.clone(),
            created_at: Some(DateTime(row.created_ms)),
            id: Uuid::of("subscription-addon", &format!("{}\n{}", row.id, addon.addon_id)),
            quantity: addon.quantity.map_or(1.0, f64::from),
            updated_at: DateTime(row.updated_ms),
        };
        content.addons.iter().map(addon).collect()
    }

    fn entitlements(
        &self,
        row: &Row<SubscriptionContent>,
        content: &SubscriptionContent,
    ) -> Vec<SubscriptionEntitlementUnion> {
        let (created, updated) = (Some(DateTime(row.created_ms)), Some(DateTime(row.updated_ms)));
        let feature = |entry: &super::terms::SubscriptionFeatureEntitlementInput| {
            SubscriptionEntitlementUnion::Feature(SubscriptionFeatureEntitlement {
                created_at: created,
                enum_values: entry.enum_values.clone(),
                environment_id: self.environment.clone(),
                feature: self.feature(&entry.feature_id),
                feature_id: entry.feature_id.clone(),
                has_soft_limit: entry.has_soft_limit,
                has_unlimited_usage: entry.has_unlimited_usage,
                id: Uuid::of("entitlement", &format!("{}\n{}", row.id, entry.feature_id)),
                reset_period: entry.reset_period,
                subscription_id: row.id.to_string(),
                updated_at: updated,
                usage_limit: entry.usage_limit,
            })
        };
        let credit = |entry: &super::terms::SubscriptionCreditEntitlementInput| {
            SubscriptionEntitlementUnion::Credit(SubscriptionCreditEntitlement {
                amount: entry.amount,
                cadence: entry.cadence,
                created_at: created,
                custom_currency: self.currency(&entry.custom_currency_id),
                custom_currency_id: entry.custom_currency_id.clone(),
                environment_id: self.environment.clone(),
                has_soft_limit: entry.has_soft_limit,
                id: Uuid::of("entitlement", &format!("{}\n{}", row.id, entry.custom_currency_id)),
                subscription_id: row.id.to_string(),
                updated_at: updated,
            })
        };
        content
            .entitlements
            .iter()
            .flat_map(|entry| entry.feature.as_ref().map(feature).into_iter().chain(entry.credit.as_ref().map(credit)))
            .collect()
    }
}

/// A price for each quantity.
fn prices(row: &Row<SubscriptionContent>, content: &SubscriptionContent) -> Vec<SubscriptionPrice> {
    let price = |feature_id: Option<&str>, model: BillingModel, quantity: f64| SubscriptionPrice {
        billing_model: Some(model),
        created_at: Some(DateTime(row.created_ms)),
        credits_quantity: (model == BillingModel::CreditBased).then_some(quantity),
        feature_id: feature_id.filter(|_| model == BillingModel::PerUnit).map(str::to_owned),
        id: Uuid::of("price", &format!("{}\n{}", row.id, feature_id.unwrap_or_default())),
        subscription_id: row.id.to_string(),
        updated_at: DateTime(row.updated_ms),
        usage_limit: (model == BillingModel::PerUnit).then_some(quantity),
    };
    let unit = content.unit_quantity.map(|quantity| price(None, BillingModel::PerUnit, quantity));
    let features = content
        .billable_features
        .iter()
        .map(|feature| price(Some(&feature.feature_id), BillingModel::PerUnit, feature.quantity));
    let charges = content.charges.iter().map(|charge| match charge.r#type {
        ChargeType::Feature => price(Some(&charge.id), BillingModel::PerUnit, charge.quantity),
        ChargeType::Credit => price(Some(&charge.id), BillingModel::CreditBased, charge.quantity),
    });
    unit.into_iter().chain(features).chain(charges).collect()
}
