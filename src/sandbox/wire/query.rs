//! What can be read of customers, subscriptions, usage and tasks (contract 3.3, 8).

use std::borrow::Cow;

use async_graphql::{ComplexObject, Context, MergedObject, Object, Result};

use super::catalog_query::CatalogQuery;
use super::entitlements::entitlements;
use super::enums::{EntitlementsStateAccessDeniedReason, TaskType};
use super::environment_query::EnvironmentQuery;
use super::filters::{
    CursorPaging, CustomerFilter, CustomerSort, ImportIntegrationTaskFilter, ImportIntegrationTaskSort,
    SubscriptionQueryFilter, SubscriptionQuerySort, TaskSeen,
};
use super::inputs::{
    FetchEntitlementsQuery, GetActiveSubscriptionsInput, GetCustomerByRefIdInput, GetSubscriptionInput,
};
use super::lists::{ask, connection, customer_seen, edges, environment, page_info, prepared, subscription_seen};
use super::objects::{
    Connection, Customer, CustomerSubscription, EntitlementsState, ImportIntegrationTaskConnection, SubscriptionQuery,
};
use super::scalars::DateTime;
use super::view::View;
use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::rules;
use crate::sandbox::store::content::SubscriptionContent;
use crate::sandbox::store::page::Among;
use crate::sandbox::store::table::Row;
use crate::sandbox::unknowns::TaskRead;

/// The root of reading.
#[derive(MergedObject, Default)]
pub(crate) struct Query(RecordQuery, CatalogQuery, EnvironmentQuery);

/// The part of the root that reads records.
#[derive(Default)]
pub(crate) struct RecordQuery;

#[Object]
impl RecordQuery {
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
            (_, None) => false,
            (_, Some(row)) if row.content().archived => false,
            (None, Some(_)) => true,
            (Some(filter), Some(row)) => filter.matches(&customer_seen(row)),
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
        Ok(store.customer(&input.customer_id).map(|row| view.customer(row)))
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
        let access_denied_reason = if store.customer(&query.customer_id).is_none() {
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
