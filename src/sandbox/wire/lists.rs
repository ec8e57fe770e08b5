//! Pages of lists, and what a filter sees of a record.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::{Context, OutputType};

use super::enums::SortDirection;
use super::filters::{CursorPaging, CustomerSeen, PlanSeen, SubscriptionCustomerSeen, SubscriptionSeen};
use super::objects::{Connection, Edge, PageInfo};
use super::scalars::{DateTime, Uuid};
use crate::sandbox::environment::Environment;
use crate::sandbox::error::Refusal;
use crate::sandbox::store::content::{CustomerContent, SubscriptionContent};
use crate::sandbox::store::page::{Among, Ask, Page, cursor};
use crate::sandbox::store::table::Row;

pub(super) fn environment<'a>(context: &Context<'a>) -> &'a Arc<Environment> {
    context.data_unchecked::<Arc<Environment>>()
}

pub(super) fn ask(
    environment: &Environment,
    paging: Option<CursorPaging>,
    direction: SortDirection,
) -> std::result::Result<Ask, Refusal> {
    Ask::new(paging, direction == SortDirection::Asc, environment.page_size_max)
}

pub(super) fn page_info(page: &Page) -> PageInfo {
    PageInfo {
        end_cursor: page.positions.last().copied().map(cursor),
        has_next_page: Some(page.has_next),
        has_previous_page: Some(page.has_previous),
        start_cursor: page.positions.first().copied().map(cursor),
    }
}

pub(super) fn connection<T: OutputType>(
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

pub(super) fn edges<T: OutputType>(page: &Page, node: impl Fn(u32) -> Option<T>) -> Vec<Edge<T>>
where
    Edge<T>: OutputType,
{
    page.positions
        .iter()
        .filter_map(|position| node(*position).map(|node| Edge { cursor: cursor(*position), node }))
        .collect()
}

pub(super) fn prepared<F>(filter: Option<F>, prepare: impl FnOnce(&mut F)) -> Option<F> {
    let mut filter = filter?;
    prepare(&mut filter);
    Some(filter)
}

pub(super) fn customer_seen(row: &Row<CustomerContent>) -> CustomerSeen<'_> {
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

pub(super) fn subscription_seen<'a>(
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
