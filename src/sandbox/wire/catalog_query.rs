//! What can be read of the catalog (contract 8).

use std::borrow::Cow;

use async_graphql::{Context, Object, OutputType, Result};

use super::enums::CustomCurrencyStatus;
use super::filters::{
    AddonFilter, AddonSort, CatalogAddonSeen, CatalogFeatureSeen, CatalogPlanSeen, CatalogProductSeen, CursorPaging,
    FeatureFilter, FeatureSort, PlanFilter, PlanSort, ProductFilter, ProductSort,
};
use super::inputs::FetchCustomCurrenciesInput;
use super::lists::{ask, connection, environment, prepared};
use super::objects::{Addon, Connection, CustomCurrency, Edge, Feature, Plan, Product};
use crate::sandbox::store::page::{Among, Ask};

/// The part of the root that reads the catalog.
#[derive(Default)]
pub(crate) struct CatalogQuery;

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

#[Object]
impl CatalogQuery {
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
