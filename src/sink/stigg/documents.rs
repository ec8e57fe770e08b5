//! The GraphQL documents. Each is validated against the API's schema in a test.
//!
//! Operation names are the official clients'; no aliases and no batching, which the API limits.

use crate::sink::Operation;

/// As [`Operation::ReportUsage`]'s own, and asks for the totals too. An import has no use for them, and pays for each
/// byte of an answer.
pub(super) const REPORT_USAGE_MEASURED: &str = "mutation ReportUsageBulk($input: ReportUsageBulkInput!) { \
     reportUsageBulk(input: $input) { customerId featureId resourceId value currentUsage } }";

impl Operation {
    /// Its GraphQL document.
    pub fn document(self) -> &'static str {
        match self {
            Self::ImportCustomers => {
                "mutation ImportCustomerBulk($input: ImportCustomerBulkInput!) { importCustomersBulk(input: $input) }"
            }
            Self::ImportSubscriptions => {
                "mutation ImportSubscriptionsBulk($input: ImportSubscriptionsBulkInput!) { \
                 importSubscriptionsBulk(input: $input) }"
            }
            Self::ProvisionSubscription => {
                "mutation ProvisionSubscription($input: ProvisionSubscriptionInput!) { \
                 provisionSubscriptionV2(input: $input) { id status isScheduled checkoutUrl \
                 subscription { subscriptionId status startDate billingId billingSyncError } } }"
            }
            Self::ReportUsage => {
                "mutation ReportUsageBulk($input: ReportUsageBulkInput!) { reportUsageBulk(input: $input) { \
                 customerId featureId resourceId } }"
            }
            Self::ReportEvents => {
                "mutation ReportEvent($events: UsageEventsReportInput!) { reportEvent(events: $events) }"
            }
            Self::ImportTasks => {
                "query ImportTask($filter: ImportIntegrationTaskFilter!) { \
                 importIntegrationTasks(filter: $filter, paging: {first: 10}) { \
                 edges { node { id status progress importErrors { id error } } } } }"
            }
            Self::Customers => {
                "query Customers($filter: CustomerFilter, $paging: CursorPaging) { \
                 customers(filter: $filter, paging: $paging, sorting: [{field: createdAt, direction: ASC}]) { \
                 pageInfo { hasNextPage endCursor } \
                 edges { node { customerId name email billingId salesforceId additionalMetaData updatedAt } } } }"
            }
            Self::Subscriptions => {
                "query GetSubscriptions($filter: SubscriptionQueryFilter, $paging: CursorPaging) { \
                 subscriptions(filter: $filter, paging: $paging, sorting: [{field: createdAt, direction: ASC}]) { \
                 pageInfo { hasNextPage endCursor } \
                 edges { node { subscriptionId status pricingType startDate endDate billingPeriod billingId \
                 billingSyncError salesforceId additionalMetaData createdAt \
                 syncStates { status error vendorIdentifier } \
                 plan { refId } customer { customerId } resource { resourceId } \
                 addons { quantity addon { refId } } \
                 entitlements { __typename \
                 ... on SubscriptionFeatureEntitlement { \
                 usageLimit hasUnlimitedUsage resetPeriod feature { refId } } \
                 ... on SubscriptionCreditEntitlement { amount cadence customCurrency { currencyId } } } } } } }"
            }
            Self::EntitlementsState => {
                "query Entitlements($query: FetchEntitlementsQuery!) { entitlementsState(query: $query) { \
                 entitlementsV2 { __typename ... on FeatureEntitlement { \
                 currentUsage usageLimit usagePeriodStart usagePeriodEnd feature { refId } } } } }"
            }
            Self::CurrentEnvironment => "query CurrentEnvironment { currentEnvironment }",
            Self::Environments => {
                "query Environments($paging: CursorPaging) { environments(paging: $paging) { \
                 edges { node { id slug displayName type } } } }"
            }
            Self::ArchiveCustomer => {
                "mutation ArchiveCustomer($input: ArchiveCustomerInput!) { \
                 archiveCustomer(input: $input) { customerId } }"
            }
            Self::Plans => {
                "query Plans($paging: CursorPaging) { \
                 plans(paging: $paging, sorting: [{field: createdAt, direction: ASC}]) { \
                 pageInfo { hasNextPage endCursor } \
                 edges { node { refId status pricingType product { refId multipleSubscriptions } } } } }"
            }
            Self::Features => {
                "query Features($paging: CursorPaging) { \
                 features(paging: $paging, sorting: [{field: createdAt, direction: ASC}]) { \
                 pageInfo { hasNextPage endCursor } \
                 edges { node { refId featureType meterType featureStatus hasMeter } } } }"
            }
            Self::Addons => {
                "query Addons($paging: CursorPaging) { \
                 addons(paging: $paging, sorting: [{field: createdAt, direction: ASC}]) { \
                 pageInfo { hasNextPage endCursor } edges { node { refId status product { refId } } } } }"
            }
            Self::CustomCurrencies => "query CustomCurrencies { customCurrencies { currencyId archivedAt } }",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::graphql_check::schema;

    fn documents() -> impl Iterator<Item = (Operation, &'static str)> {
        let own = Operation::ALL.into_iter().map(|operation| (operation, operation.document()));
        own.chain([(Operation::ReportUsage, REPORT_USAGE_MEASURED)])
    }

    #[test]
    fn every_document_validates_against_the_schema_under_its_own_name() {
        for (operation, text) in documents() {
            let document = apollo_compiler::ExecutableDocument::parse_and_validate(schema(), text, operation.name());
            let document = match document {
                Ok(document) => document,
                Err(problems) => panic!("{}: {problems}", operation.name()),
            };
            let only = document.operations.get(Some(operation.name())).expect("the operation has its name");
            let fields: Vec<_> = only.root_fields(&document).map(|field| field.response_key().as_str()).collect();
            assert_eq!(fields, [operation.root_field()], "one root field, and no alias");
            assert_eq!(only.is_mutation(), operation.is_write());
        }
    }

    #[test]
    fn a_document_needs_no_escaping_in_json() {
        for (_, text) in documents() {
            assert_eq!(serde_json::to_string(text).unwrap(), format!("\"{text}\""));
        }
    }
}
