//! What can be read (contract 3.3, 8).

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Object, OutputType, Result};

use super::enums::{CustomCurrencyStatus, EntitlementsStateAccessDeniedReason, SortDirection, TaskType};
use super::filters::{
    AddonFilter, AddonSort, CatalogAddonSeen, CatalogFeatureSeen, CatalogPlanSeen, CatalogProductSeen, CursorPaging,
    CustomerFilter, CustomerSeen, CustomerSort, FeatureFilter, FeatureSort, ImportIntegrationTaskFilter,
    ImportIntegrationTaskSort, PlanFilter, PlanSeen, PlanSort, ProductFilter, ProductSort, SubscriptionCustomerSeen,
    SubscriptionQueryFilter, SubscriptionQuerySort, SubscriptionSeen, TaskSeen,
};
use super::inputs::{
    FetchCustomCurrenciesInput, FetchEntitlementsQuery, GetActiveSubscriptionsInput, GetCustomerByRefIdInput,
    GetSubscriptionInput,
};
use super::objects::{
    Addon, Connection, CreditEntitlement, CustomCurrency, Customer, CustomerSubscription, Edge, EntitlementCurrency,
    EntitlementFeature, EntitlementUnion, EntitlementsState, Feature, FeatureEntitlement,
    ImportIntegrationTaskConnection, PageInfo, Plan, Product, SubscriptionQuery,
};
use super::scalars::{DateTime, Uuid};
use super::view::View;
use crate::sandbox::environment::Environment;
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::rules;
use crate::sandbox::store::content::{CustomerContent, SubscriptionContent};
use crate::sandbox::store::page::{Among, Ask, Page, cursor};
use crate::sandbox::store::table::Row;
use crate::sandbox::unknowns::{EnvironmentRead, TaskRead};

/// The root of reading.
pub(crate) struct Query;

fn environment<'a>(context: &Context<'a>) -> &'a Arc<Environment> {
    context.data_unchecked::<Arc<Environment>>()
}

fn ask(
    environment: &Environment,
    paging: Option<CursorPaging>,
    direction: SortDirection,
) -> std::result::Result<Ask, Refusal> {
    Ask::new(paging, direction == SortDirection::Asc, environment.page_size_max)
}

fn page_info(page: &Page) -> PageInfo {
    PageInfo {
        end_cursor: page.positions.last().copied().map(cursor),
        has_next_page: Some(page.has_next),
        has_previous_page: Some(page.has_previous),
        start_cursor: page.positions.first().copied().map(cursor),
    }
}

fn connection<T: OutputType>(
    context: &Context<'_>,
    among: &Among,
    ask: Ask,
    pass: impl Fn(u32) -> bool,
    node: impl Fn(u32) -> Option<T>,
) -> Connection<T>
where
    Edge<T>: OutputType,
{
    let page = among.page(ask, &pass);
    // Counting looks at every row, so it is done only when asked for.
    let total = if context.look_ahead().field("totalCount").exists() { among.count(&pass) } else { 0 };
    Connection {
        page_info: page_info(&page),
        edges: edges(&page, node),
        total_count: i32::try_from(total).unwrap_or(i32::MAX),
    }
}

fn edges<T: OutputType>(page: &Page, node: impl Fn(u32) -> Option<T>) -> Vec<Edge<T>>
where
    Edge<T>: OutputType,
{
    page.positions
        .iter()
        .filter_map(|position| node(*position).map(|node| Edge { cursor: cursor(*position), node }))
        .collect()
}

/// A list of the catalog. Without a catalog every id is known, so those that the filter lists are there.
fn catalog<T: OutputType>(
    context: &Context<'_>,
    ask: Ask,
    ids: Option<Vec<String>>,
    listed: Option<Vec<&str>>,
    pass: impl Fn(&str) -> bool,
    node: impl Fn(&str) -> T,
) -> Connection<T>
where
    Edge<T>: OutputType,
{
    let ids = ids.unwrap_or_else(|| listed.into_iter().flatten().map(str::to_owned).collect());
    let at = |position: u32| ids.get(position as usize).map(String::as_str);
    let among = Among::All(u32::try_from(ids.len()).unwrap_or(u32::MAX));
    connection(context, &among, ask, |position| at(position).is_some_and(&pass), |position| at(position).map(&node))
}

fn customer_seen(row: &Row<CustomerContent>) -> CustomerSeen<'_> {
    let content = row.content();
    let id = row.id.to_string();
    CustomerSeen {
        billing_id: content.billing_id.as_ref().map(Cow::Borrowed),
        created_at: Some(Cow::Owned(DateTime(row.created_ms))),
        customer_id: Some(Cow::Owned(id.clone())),
        email: content.email.as_ref().map(Cow::Borrowed),
        id: Some(Cow::Owned(Uuid::of("customer", &row.id))),
        name: content.name.as_ref().map(Cow::Borrowed),
        ref_id: Some(Cow::Owned(id)),
        salesforce_id: content.salesforce_id.as_ref().map(Cow::Borrowed),
        updated_at: Some(Cow::Owned(DateTime(row.updated_ms))),
    }
}

fn subscription_seen<'a>(
    row: &'a Row<SubscriptionContent>,
    content: &'a SubscriptionContent,
    now_ms: i64,
) -> SubscriptionSeen<'a> {
    let cancelled_at = content.cancelled.map(|cancelled| cancelled.at.unwrap_or(DateTime(row.updated_ms)));
    SubscriptionSeen {
        billing_id: content.billing_id.as_ref().map(Cow::Borrowed),
        cancellation_date: cancelled_at.map(Cow::Owned),
        created_at: Some(Cow::Owned(DateTime(row.created_ms))),
        customer_id: Some(Cow::Borrowed(&content.customer_id)),
        end_date: content.end_date.map(Cow::Owned),
        pricing_type: Some(Cow::Borrowed(&content.pricing_type)),
        resource_id: content.resource_id.as_ref().map(Cow::Borrowed),
        salesforce_id: content.salesforce_id.as_ref().map(Cow::Borrowed),
        start_date: Some(Cow::Owned(content.start_date.unwrap_or(DateTime(row.created_ms)))),
        status: Some(Cow::Owned(content.status(row.created_ms, now_ms))),
        subscription_id: Some(Cow::Owned(row.id.to_string())),
        plan: PlanSeen {
            id: Some(Cow::Owned(Uuid::of("plan", &content.plan_id))),
            pricing_type: Some(Cow::Borrowed(&content.pricing_type)),
            ref_id: Some(Cow::Borrowed(&content.plan_id)),
        },
        customer: SubscriptionCustomerSeen {
            customer_id: Some(Cow::Borrowed(&content.customer_id)),
            id: Some(Cow::Owned(Uuid::of("customer", &content.customer_id))),
            ref_id: Some(Cow::Borrowed(&content.customer_id)),
        },
    }
}

#[Object]
impl Query {
    async fn customers(
        &self,
        context: &Context<'_>,
        filter: Option<CustomerFilter>,
        paging: Option<CursorPaging>,
        sorting: Option<Vec<CustomerSort>>,
    ) -> Result<Connection<Customer>> {
        let environment = environment(context);
        let ask = ask(environment, paging, CustomerSort::direction(sorting))?;
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let filter = prepared(filter, CustomerFilter::prepare);
        let listed = filter.as_ref().and_then(CustomerFilter::listed_ids);
        let among = listed.map_or_else(
            || Among::All(store.customers.len()),
            |ids| Among::these(ids.into_iter().filter_map(|id| store.customers.position(id)).collect()),
        );
        let pass = |position| match (&filter, store.customers.at(position)) {
            (None, row) => row.is_some(),
            (Some(filter), Some(row)) => filter.matches(&customer_seen(row)),
            (Some(_), None) => false,
        };
        Ok(connection(context, &among, ask, pass, |position| {
            store.customers.at(position).map(|row| view.customer(row))
        }))
    }

    async fn get_customer_by_ref_id(
        &self,
        context: &Context<'_>,
        input: GetCustomerByRefIdInput,
    ) -> Result<Option<Customer>> {
        let environment = environment(context);
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        Ok(store.customers.get(&input.customer_id).map(|row| view.customer(row)))
    }

    async fn subscriptions(
        &self,
        context: &Context<'_>,
        filter: Option<SubscriptionQueryFilter>,
        paging: Option<CursorPaging>,
        sorting: Option<Vec<SubscriptionQuerySort>>,
    ) -> Result<Connection<SubscriptionQuery>> {
        let environment = environment(context);
        let ask = ask(environment, paging, SubscriptionQuerySort::direction(sorting))?;
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let filter = prepared(filter, SubscriptionQueryFilter::prepare);
        let listed = filter.as_ref().and_then(SubscriptionQueryFilter::listed_ids);
        let of_customers = filter.as_ref().and_then(SubscriptionQueryFilter::listed_customer_ids);
        let among = match (listed, of_customers) {
            (Some(ids), _) => Among::these(ids.into_iter().filter_map(|id| store.subscriptions.position(id)).collect()),
            (None, Some(ids)) => {
                Among::these(ids.into_iter().flat_map(|id| store.subscriptions_of(id)).copied().collect())
            }
            (None, None) => Among::All(store.subscriptions.len()),
        };
        let visible = |position| store.subscriptions.at(position).and_then(|row| Some((row, row.visible(now_ms)?)));
        let pass = |position| match (&filter, visible(position)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(filter), Some((row, content))) => filter.matches(&subscription_seen(row, content, now_ms)),
        };
        Ok(connection(context, &among, ask, pass, |position| {
            visible(position).and_then(|(row, content)| view.listed(row, content))
        }))
    }

    async fn get_subscription(
        &self,
        context: &Context<'_>,
        input: GetSubscriptionInput,
    ) -> Result<CustomerSubscription> {
        let environment = environment(context);
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let found = store
            .subscriptions
            .get(&input.subscription_id)
            .and_then(|row| row.visible(now_ms).and_then(|content| view.single(row, content)));
        found.ok_or_else(|| {
            let message = format!("Subscription {} not found", input.subscription_id);
            Refusal::new(Code::SubscriptionNotFound, message).into()
        })
    }

    async fn get_active_subscriptions(
        &self,
        context: &Context<'_>,
        input: GetActiveSubscriptionsInput,
    ) -> Result<Vec<CustomerSubscription>> {
        let environment = environment(context);
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let asked = input.resource_ids.unwrap_or_default();
        if asked.len() > rules::RESOURCE_IDS_MAX {
            return Err(Refusal::new(Code::BadUserInput, "resourceIds must contain no more than 100 elements").into());
        }
        // Without a resource only subscriptions that have none (contract 8).
        let fits = |resource_id: Option<&String>| match resource_id {
            None => asked.is_empty() && input.resource_id.is_none(),
            Some(id) => asked.contains(id) || input.resource_id.as_ref() == Some(id),
        };
        let is_active = |row: &&Row<SubscriptionContent>| {
            row.visible(now_ms)
                .is_some_and(|content| content.is_active(row.created_ms, now_ms) && fits(content.resource_id.as_ref()))
        };
        Ok(active(&view, &input.customer_id, is_active))
    }

    async fn entitlements_state(
        &self,
        context: &Context<'_>,
        query: FetchEntitlementsQuery,
    ) -> Result<EntitlementsState> {
        let environment = environment(context);
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let resource_id = query.resource_id.as_deref();
        let active = store.has_active(&query.customer_id, resource_id, now_ms);
        let access_denied_reason = if store.customers.get(&query.customer_id).is_none() {
            Some(EntitlementsStateAccessDeniedReason::CustomerNotFound)
        } else if !active && store.usage_needs_subscription {
            Some(EntitlementsStateAccessDeniedReason::NoActiveSubscription)
        } else {
            None
        };
        let entitlements_v2 = match access_denied_reason {
            Some(_) => Vec::new(),
            None => entitlements(&view, &query.customer_id, resource_id),
        };
        Ok(EntitlementsState { access_denied_reason, entitlements_v2 })
    }

    async fn import_integration_tasks(
        &self,
        context: &Context<'_>,
        filter: Option<ImportIntegrationTaskFilter>,
        paging: Option<CursorPaging>,
        sorting: Option<Vec<ImportIntegrationTaskSort>>,
    ) -> Result<ImportIntegrationTaskConnection> {
        let environment = environment(context);
        if environment.unknowns.task_read == TaskRead::Refused {
            return Err(Refusal::new(Code::IdentityForbidden, "this key can't read import tasks").into());
        }
        let ask = ask(environment, paging, ImportIntegrationTaskSort::direction(sorting))?;
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let filter = prepared(filter, ImportIntegrationTaskFilter::prepare);
        let at = |position: u32| store.tasks.get(position as usize);
        let pass = |position| match (&filter, at(position)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(filter), Some(task)) => filter.matches(&TaskSeen {
                created_at: Some(Cow::Owned(DateTime(task.created_ms))),
                environment_id: Some(Cow::Borrowed(&environment.id.0)),
                id: Some(Cow::Borrowed(&task.id)),
                status: Some(Cow::Owned(task.status(now_ms))),
                task_type: Some(Cow::Owned(TaskType::ImportSubscriptionsBulk)),
            }),
        };
        let page = Among::All(u32::try_from(store.tasks.len()).unwrap_or(u32::MAX)).page(ask, pass);
        let edges = edges(&page, |position| at(position).map(|task| view.task(task)));
        Ok(ImportIntegrationTaskConnection { page_info: page_info(&page), edges })
    }

    async fn current_environment(&self, context: &Context<'_>) -> Result<String> {
        let environment = environment(context);
        match environment.unknowns.environment_read {
            EnvironmentRead::Readable => Ok(environment.id.0.clone()),
            EnvironmentRead::Refused => {
                Err(Refusal::new(Code::IdentityForbidden, "this key can't read the environment").into())
            }
        }
    }

    async fn plans(
        &self,
        context: &Context<'_>,
        filter: Option<PlanFilter>,
        paging: Option<CursorPaging>,
        sorting: Option<Vec<PlanSort>>,
    ) -> Result<Connection<Plan>> {
        let environment = environment(context);
        let ask = ask(environment, paging, PlanSort::direction(sorting))?;
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let filter = prepared(filter, PlanFilter::prepare).unwrap_or_default();
        let ids = store.shelf.catalog.as_ref().map(|c| c.plans.iter().map(|plan| plan.id.clone()).collect());
        let pass = |id: &str| {
            let plan = view.plan(id, None);
            filter.matches(&CatalogPlanSeen {
                display_name: Some(Cow::Owned(plan.display_name)),
                id: Some(Cow::Owned(plan.id)),
                pricing_type: plan.pricing_type.map(Cow::Owned),
                product_id: plan.product_id.map(Cow::Owned),
                ref_id: Some(Cow::Owned(plan.ref_id)),
            })
        };
        Ok(catalog(context, ask, ids, filter.listed_ids(), pass, |id| view.plan(id, None)))
    }

    async fn products(
        &self,
        context: &Context<'_>,
        filter: Option<ProductFilter>,
        paging: Option<CursorPaging>,
        sorting: Option<Vec<ProductSort>>,
    ) -> Result<Connection<Product>> {
        let environment = environment(context);
        let ask = ask(environment, paging, ProductSort::direction(sorting))?;
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let filter = prepared(filter, ProductFilter::prepare).unwrap_or_default();
        let ids = store.shelf.catalog.as_ref().map(|c| c.products.iter().map(|product| product.id.clone()).collect());
        let pass = |id: &str| {
            let product = view.product(id);
            filter.matches(&CatalogProductSeen {
                display_name: product.display_name.map(Cow::Owned),
                id: Some(Cow::Owned(product.id)),
                ref_id: Some(Cow::Owned(product.ref_id)),
            })
        };
        Ok(catalog(context, ask, ids, filter.listed_ids(), pass, |id| view.product(id)))
    }

    async fn features(
        &self,
        context: &Context<'_>,
        filter: Option<FeatureFilter>,
        paging: Option<CursorPaging>,
        sorting: Option<Vec<FeatureSort>>,
    ) -> Result<Connection<Feature>> {
        let environment = environment(context);
        let ask = ask(environment, paging, FeatureSort::direction(sorting))?;
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let filter = prepared(filter, FeatureFilter::prepare).unwrap_or_default();
        let ids = store.shelf.catalog.as_ref().map(|c| c.features.iter().map(|feature| feature.id.clone()).collect());
        let pass = |id: &str| {
            let feature = view.feature(id);
            filter.matches(&CatalogFeatureSeen {
                display_name: Some(Cow::Owned(feature.display_name)),
                id: Some(Cow::Owned(feature.id)),
                ref_id: Some(Cow::Owned(feature.ref_id)),
            })
        };
        Ok(catalog(context, ask, ids, filter.listed_ids(), pass, |id| view.feature(id)))
    }

    async fn addons(
        &self,
        context: &Context<'_>,
        filter: Option<AddonFilter>,
        paging: Option<CursorPaging>,
        sorting: Option<Vec<AddonSort>>,
    ) -> Result<Connection<Addon>> {
        let environment = environment(context);
        let ask = ask(environment, paging, AddonSort::direction(sorting))?;
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let filter = prepared(filter, AddonFilter::prepare).unwrap_or_default();
        let ids = store.shelf.catalog.as_ref().map(|c| c.addons.iter().map(|addon| addon.id.clone()).collect());
        let pass = |id: &str| {
            let addon = view.addon(id);
            filter.matches(&CatalogAddonSeen {
                display_name: Some(Cow::Owned(addon.display_name)),
                id: Some(Cow::Owned(addon.id)),
                product_id: addon.product_id.map(Cow::Owned),
                ref_id: Some(Cow::Owned(addon.ref_id)),
            })
        };
        Ok(catalog(context, ask, ids, filter.listed_ids(), pass, |id| view.addon(id)))
    }

    async fn custom_currencies(
        &self,
        context: &Context<'_>,
        input: Option<FetchCustomCurrenciesInput>,
    ) -> Result<Vec<CustomCurrency>> {
        let environment = environment(context);
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let wanted = input.and_then(|input| input.status).is_none_or(|s| s.contains(&CustomCurrencyStatus::Active));
        let entries = store.shelf.catalog.iter().flat_map(|catalog| &catalog.currencies).filter(|_| wanted);
        Ok(entries.map(|entry| view.currency(&entry.id)).collect())
    }
}

fn prepared<F>(filter: Option<F>, prepare: impl FnOnce(&mut F)) -> Option<F> {
    let mut filter = filter?;
    prepare(&mut filter);
    Some(filter)
}

/// A customer's subscriptions that pass, newest first.
fn active(
    view: &View<'_>,
    customer_id: &str,
    pass: impl Fn(&&Row<SubscriptionContent>) -> bool,
) -> Vec<CustomerSubscription> {
    view.store
        .subscriptions_of(customer_id)
        .iter()
        .rev()
        .filter_map(|position| view.store.subscriptions.at(*position))
        .filter(pass)
        .filter_map(|row| view.single(row, row.visible(view.now_ms)?))
        .collect()
}

/// What a customer gets: what its active subscriptions grant, and each feature that has usage. What a plan grants is
/// not in the catalog, so a feature that no subscription grants is shown as unlimited.
fn entitlements(view: &View<'_>, customer_id: &str, resource_id: Option<&str>) -> Vec<EntitlementUnion> {
    let store = view.store;
    let mut features = std::collections::BTreeMap::new();
    let mut credits = Vec::new();
    let granting = store
        .subscriptions_of(customer_id)
        .iter()
        .filter_map(|position| store.subscriptions.at(*position))
        .filter(|row| row.content().is_active(row.created_ms, view.now_ms))
        .filter(|row| row.content().resource_id.as_deref() == resource_id);
    for entry in granting.flat_map(|row| &row.content().entitlements) {
        if let Some(feature) = &entry.feature {
            features.insert(feature.feature_id.clone(), Some(feature));
        }
        if let Some(credit) = &entry.credit {
            credits.push(EntitlementUnion::Credit(CreditEntitlement {
                currency: EntitlementCurrency {
                    currency_id: credit.custom_currency_id.clone(),
                    display_name: view.currency(&credit.custom_currency_id).display_name,
                },
                current_usage: Some(0.0),
                has_soft_limit: credit.has_soft_limit,
                is_granted: true,
                usage_limit: Some(credit.amount),
            }));
        }
    }
    let used = store.usage_of(customer_id, resource_id);
    for (feature_id, _) in &used {
        features.entry((*feature_id).to_owned()).or_insert(None);
    }
    let feature = |(id, granted): (String, Option<&super::terms::SubscriptionFeatureEntitlementInput>)| {
        let usage = used.iter().find(|(feature_id, _)| **feature_id == id).map(|(_, usage)| usage);
        let current = usage.map_or(0.0, |usage| usage.value);
        let unlimited = granted.is_none_or(|granted| granted.has_unlimited_usage == Some(true));
        let limit = granted.and_then(|granted| granted.usage_limit);
        let soft = granted.and_then(|granted| granted.has_soft_limit);
        let known = view.feature(&id);
        EntitlementUnion::Feature(FeatureEntitlement {
            current_usage: Some(current),
            enum_values: granted.and_then(|granted| granted.enum_values.clone()),
            feature: Some(EntitlementFeature {
                display_name: known.display_name,
                feature_status: known.feature_status,
                feature_type: known.feature_type,
                id: known.id,
                meter_type: known.meter_type,
                ref_id: known.ref_id,
            }),
            has_soft_limit: soft,
            has_unlimited_usage: unlimited,
            is_granted: unlimited || soft == Some(true) || limit.is_none_or(|limit| current <= limit),
            reset_period: granted.and_then(|granted| granted.reset_period),
            usage_limit: limit,
            usage_period_end: None,
            usage_period_start: None,
            usage_updated_at: usage.map(|usage| DateTime(usage.at_ms)),
        })
    };
    features.into_iter().map(feature).chain(credits).collect()
}

#[ComplexObject]
impl Customer {
    async fn has_active_subscription(&self, context: &Context<'_>) -> Result<bool> {
        let (store, now_ms) = environment(context).store();
        Ok(store
            .subscriptions_of(&self.customer_id)
            .iter()
            .filter_map(|position| store.subscriptions.at(*position))
            .any(|row| row.content().is_active(row.created_ms, now_ms)))
    }

    /// Only those that are active or in trial (contract 8).
    async fn subscriptions(&self, context: &Context<'_>) -> Result<Option<Vec<CustomerSubscription>>> {
        let environment = environment(context);
        let (store, now_ms) = environment.store();
        let view = environment.view(&store, now_ms);
        let is_active = |row: &&Row<SubscriptionContent>| {
            row.visible(now_ms).is_some_and(|content| content.is_active(row.created_ms, now_ms))
        };
        Ok(Some(active(&view, &self.customer_id, is_active)))
    }
}
