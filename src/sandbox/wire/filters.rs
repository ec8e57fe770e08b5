//! Filters of the lists: the part of the API's filters that the sandbox applies.
//!
//! A filter field that is not here is refused by GraphQL itself: nothing is accepted and then ignored.

use std::borrow::Cow;

use async_graphql::{InputObject, InputType};

use super::enums::{
    AddonSortFields, CustomerSortFields, FeatureSortFields, ImportIntegrationTaskSortFields, PlanSortFields,
    PricingType, ProductSortFields, SortDirection, SortNulls, SubscriptionQuerySortFields, SubscriptionStatus,
    TaskStatus, TaskType,
};
use super::scalars::{ConnectionCursor, DateTime, Uuid};

/// Which page of a list.
#[derive(InputObject, Debug, Default)]
pub(crate) struct CursorPaging {
    pub after: Option<ConnectionCursor>,
    pub before: Option<ConnectionCursor>,
    pub first: Option<i32>,
    pub last: Option<i32>,
}

/// Conditions on one value; all of them hold. A value that is not there meets none, as in SQL.
#[derive(InputObject, Debug)]
#[graphql(
    concrete(name = "StringFieldComparison", params(String)),
    concrete(name = "UUIDFilterComparison", params(Uuid)),
    concrete(name = "DateFieldComparison", params(DateTime)),
    concrete(name = "SubscriptionStatusFilterComparison", params(SubscriptionStatus)),
    concrete(name = "PricingTypeFilterComparison", params(PricingType)),
    concrete(name = "TaskStatusFilterComparison", params(TaskStatus)),
    concrete(name = "TaskTypeFilterComparison", params(TaskType))
)]
pub(crate) struct Comparison<T: InputType> {
    pub eq: Option<T>,
    pub neq: Option<T>,
    #[graphql(name = "in")]
    pub among: Option<Vec<T>>,
    pub not_in: Option<Vec<T>>,
    pub gt: Option<T>,
    pub gte: Option<T>,
    pub lt: Option<T>,
    pub lte: Option<T>,
}

impl<T: InputType + Ord> Comparison<T> {
    /// Sorts the lists, so that [`Comparison::holds`] can search them.
    pub fn prepare(&mut self) {
        for list in [&mut self.among, &mut self.not_in].into_iter().flatten() {
            list.sort_unstable();
        }
    }

    /// Whether `value` meets every condition. Needs [`Comparison::prepare`].
    pub fn holds(&self, value: Option<&T>) -> bool {
        let Some(value) = value else { return false };
        self.eq.as_ref().is_none_or(|other| value == other)
            && self.neq.as_ref().is_none_or(|other| value != other)
            && self.among.as_ref().is_none_or(|list| list.binary_search(value).is_ok())
            && self.not_in.as_ref().is_none_or(|list| list.binary_search(value).is_err())
            && self.gt.as_ref().is_none_or(|other| value > other)
            && self.gte.as_ref().is_none_or(|other| value >= other)
            && self.lt.as_ref().is_none_or(|other| value < other)
            && self.lte.as_ref().is_none_or(|other| value <= other)
    }

    /// The only values that can pass, if they are listed.
    pub fn listed(&self) -> Option<Vec<&T>> {
        self.eq.as_ref().map(|value| vec![value]).or_else(|| self.among.as_ref().map(|list| list.iter().collect()))
    }
}

/// Writes a filter with `and` and `or`, over a `seen` record whose fields hand out what is compared; `with` filters
/// of a record that this one points to.
macro_rules! filter {
    ($name:ident over $seen:ident { $($field:ident: $kind:ty),+ $(,)? }
        $(with $inner:ident: $inner_name:ident over $inner_seen:ident)*
    ) => {
        #[derive(InputObject, Debug, Default)]
        pub(crate) struct $name {
            pub and: Option<Vec<$name>>,
            pub or: Option<Vec<$name>>,
            $( pub $field: Option<Comparison<$kind>>, )+
            $( pub $inner: Option<$inner_name>, )*
        }

        /// What a filter looks at in one record.
        #[derive(Debug, Default)]
        pub(crate) struct $seen<'a> {
            $( pub $field: Option<Cow<'a, $kind>>, )+
            $( pub $inner: $inner_seen<'a>, )*
        }

        impl $name {
            /// Must run once before [`Self::matches`].
            pub fn prepare(&mut self) {
                $( if let Some(condition) = &mut self.$field { condition.prepare(); } )+
                $( if let Some(inner) = &mut self.$inner { inner.prepare(); } )*
                for inner in [&mut self.and, &mut self.or].into_iter().flatten().flatten() {
                    inner.prepare();
                }
            }

            /// Whether the record passes.
            pub fn matches(&self, seen: &$seen<'_>) -> bool {
                $( self.$field.as_ref().is_none_or(|condition| condition.holds(seen.$field.as_deref())) )&&+
                    $( && self.$inner.as_ref().is_none_or(|inner| inner.matches(&seen.$inner)) )*
                    && self.and.iter().flatten().all(|inner| inner.matches(seen))
                    && self.or.as_ref().is_none_or(|list| list.is_empty() || list.iter().any(|inner| inner.matches(seen)))
            }
        }
    };
}

filter!(CustomerFilter over CustomerSeen {
    billing_id: String, created_at: DateTime, customer_id: String, email: String, id: Uuid, name: String,
    ref_id: String, salesforce_id: String, updated_at: DateTime,
});
filter!(SubscriptionQueryFilterPlanFilter over PlanSeen { id: Uuid, pricing_type: PricingType, ref_id: String });
filter!(SubscriptionQueryFilterCustomerFilter over SubscriptionCustomerSeen {
    customer_id: String, id: Uuid, ref_id: String,
});
filter!(SubscriptionQueryFilter over SubscriptionSeen {
    billing_id: String, cancellation_date: DateTime, created_at: DateTime, customer_id: String, end_date: DateTime,
    pricing_type: PricingType, resource_id: String, salesforce_id: String, start_date: DateTime,
    status: SubscriptionStatus, subscription_id: String,
}
    with plan: SubscriptionQueryFilterPlanFilter over PlanSeen
    with customer: SubscriptionQueryFilterCustomerFilter over SubscriptionCustomerSeen
);
filter!(ImportIntegrationTaskFilter over TaskSeen {
    created_at: DateTime, environment_id: String, id: Uuid, status: TaskStatus, task_type: TaskType,
});
filter!(PlanFilter over CatalogPlanSeen {
    display_name: String, id: Uuid, pricing_type: PricingType, product_id: String, ref_id: String,
});
filter!(ProductFilter over CatalogProductSeen { display_name: String, id: Uuid, ref_id: String });
filter!(FeatureFilter over CatalogFeatureSeen { display_name: String, id: Uuid, ref_id: String });
filter!(AddonFilter over CatalogAddonSeen { display_name: String, id: Uuid, product_id: String, ref_id: String });

/// The ids that alone can pass a filter, so that an index answers instead of a scan. `None`: any id can.
macro_rules! listed_ids {
    ($filter:ident: $($field:ident),+) => {
        impl $filter {
            /// The ids that alone can pass; more may be listed than pass, never fewer. `None`: any id can.
            pub fn listed_ids(&self) -> Option<Vec<&str>> {
                $( if let Some(ids) = self.$field.as_ref().and_then(Comparison::listed) {
                    return Some(ids.into_iter().map(String::as_str).collect());
                } )+
                if let Some(ids) = self.and.iter().flatten().find_map(Self::listed_ids) {
                    return Some(ids);
                }
                let any = self.or.as_ref().filter(|any| !any.is_empty())?;
                any.iter().map(Self::listed_ids).collect::<Option<Vec<_>>>().map(|lists| lists.concat())
            }
        }
    };
}

listed_ids!(CustomerFilter: customer_id, ref_id);
listed_ids!(SubscriptionQueryFilter: subscription_id);
listed_ids!(PlanFilter: ref_id);
listed_ids!(ProductFilter: ref_id);
listed_ids!(FeatureFilter: ref_id);
listed_ids!(AddonFilter: ref_id);

impl SubscriptionQueryFilter {
    /// The customers whose subscriptions alone can pass. `None`: any customer's can.
    pub fn listed_customer_ids(&self) -> Option<Vec<&str>> {
        let own = self.customer_id.as_ref().and_then(Comparison::listed);
        let of_customer = self.customer.as_ref().and_then(|customer| {
            customer.customer_id.as_ref().or(customer.ref_id.as_ref()).and_then(Comparison::listed)
        });
        if let Some(ids) = own.or(of_customer) {
            return Some(ids.into_iter().map(String::as_str).collect());
        }
        self.and.iter().flatten().find_map(Self::listed_customer_ids)
    }
}

/// Writes how a list is ordered.
macro_rules! sort {
    ($($name:ident by $fields:ident),+ $(,)?) => { $(
        #[derive(InputObject, Debug)]
        pub(crate) struct $name {
            pub direction: SortDirection,
            pub field: $fields,
            pub nulls: Option<SortNulls>,
        }

        impl $name {
            /// The direction that `sorting` asks for; without any, newest first (contract 8).
            pub fn direction(sorting: Option<Vec<Self>>) -> SortDirection {
                sorting.and_then(|list| list.into_iter().next()).map_or(SortDirection::Desc, |sort| sort.direction)
            }
        }
    )+ };
}

sort!(
    CustomerSort by CustomerSortFields,
    SubscriptionQuerySort by SubscriptionQuerySortFields,
    ImportIntegrationTaskSort by ImportIntegrationTaskSortFields,
    PlanSort by PlanSortFields,
    ProductSort by ProductSortFields,
    FeatureSort by FeatureSortFields,
    AddonSort by AddonSortFields,
);
