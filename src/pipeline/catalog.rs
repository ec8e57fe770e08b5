//! The target's catalog, read whole: what records may refer to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reading::Reading;
use super::retry::RetryPolicy;
use super::stop::Stop;
use crate::sink::{
    Budgets, CatalogAddon, CatalogCurrency, CatalogFeature, CatalogPlan, Operation, Page, Permit, Sink, SinkError,
};

/// What the environment has for sale. A list is none where the key may not read it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// Plans by their id.
    pub plans: Option<BTreeMap<String, CatalogPlan>>,
    /// Features by their id.
    pub features: Option<BTreeMap<String, CatalogFeature>>,
    /// Add-ons by their id.
    pub addons: Option<BTreeMap<String, CatalogAddon>>,
    /// Credit currencies by their id.
    pub currencies: Option<BTreeMap<String, CatalogCurrency>>,
}

impl Catalog {
    /// Reads all of it, within the budgets of the read operations.
    ///
    /// # Errors
    ///
    /// The target can't be read. A list that the key may not read is no error.
    pub async fn read(
        sink: Arc<dyn Sink>,
        budgets: Arc<Budgets>,
        retry: RetryPolicy,
        stop: Arc<Stop>,
    ) -> Result<Self, SinkError> {
        let reading = Reading { sink, budgets, progress: Arc::default(), retry, stop };
        Self::of(&reading).await
    }

    pub(super) async fn of(reading: &Reading) -> Result<Self, SinkError> {
        let sink = &*reading.sink;
        let plans = plans(reading).await?;
        let features = async |after: Option<String>, permit| sink.features(after.as_deref(), permit).await;
        let features = whole(reading, Operation::Features, features).await?;
        let addons = async |after: Option<String>, permit| sink.addons(after.as_deref(), permit).await;
        let addons = whole(reading, Operation::Addons, addons).await?;
        let currencies = async |_, permit| sink.currencies(permit).await.map(Page::only);
        let currencies = whole(reading, Operation::CustomCurrencies, currencies).await?;
        Ok(Self {
            plans,
            features: features.map(|all| all.into_iter().map(|one| (one.feature_id.clone(), one)).collect()),
            addons: addons.map(|all| all.into_iter().map(|one| (one.addon_id.clone(), one)).collect()),
            currencies: currencies.map(|all| all.into_iter().map(|one| (one.currency_id.clone(), one)).collect()),
        })
    }
}

/// The plans by their id; none where the key may not read them.
pub(super) async fn plans(reading: &Reading) -> Result<Option<BTreeMap<String, CatalogPlan>>, SinkError> {
    let page = async |after: Option<String>, permit| reading.sink.plans(after.as_deref(), permit).await;
    let plans = whole(reading, Operation::Plans, page).await?;
    Ok(plans.map(|all| all.into_iter().map(|plan| (plan.plan_id.clone(), plan)).collect()))
}

/// A whole list; none where the key may not read it.
async fn whole<T>(
    reading: &Reading,
    operation: Operation,
    page: impl AsyncFn(Option<String>, Permit) -> Result<Page<T>, SinkError>,
) -> Result<Option<Vec<T>>, SinkError> {
    match reading.every_page(operation, page).await {
        Ok(all) => Ok(Some(all)),
        Err(SinkError::Forbidden { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
