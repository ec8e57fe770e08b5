//! The operations that are sent: official names, root fields, and published rates.

use crate::entity::Entity;

/// An operation of the API, with a rate budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Creates or updates customers, up to 1000 at once.
    ImportCustomers,
    /// Creates or updates subscriptions on free and custom plans, asynchronously.
    ImportSubscriptions,
    /// Provisions one subscription on a paid plan.
    ProvisionSubscription,
    /// Reports the current totals of metered features, up to 100 at once.
    ReportUsage,
    /// Reports raw usage events, up to 1000 at once.
    ReportEvents,
    /// Reads the task that an import of subscriptions started.
    ImportTasks,
    /// Lists customers.
    Customers,
    /// Lists subscriptions.
    Subscriptions,
    /// Reads what one customer is entitled to, and has used.
    EntitlementsState,
    /// Names the environment that the key belongs to.
    CurrentEnvironment,
    /// Lists environments, each with its type.
    Environments,
    /// Takes a customer away.
    ArchiveCustomer,
    /// Lists plans.
    Plans,
    /// Lists features.
    Features,
    /// Lists add-ons.
    Addons,
    /// Lists credit currencies.
    CustomCurrencies,
}

/// A published or assumed rate, with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedRate {
    /// Requests a minute, for one key and environment.
    pub per_minute: u32,
    /// Where the number stands, or why it was assumed.
    pub source: &'static str,
    /// Whether the vendor publishes it.
    pub published: bool,
}

/// The rate taken where the vendor publishes none, in requests a minute: the smallest that it publishes for any
/// operation (rate-limit page, 2026), so that an unpublished limit is not met by guessing high.
pub const UNPUBLISHED_PER_MINUTE: u32 = 250;

const fn published(per_minute: u32, source: &'static str) -> PublishedRate {
    PublishedRate { per_minute, source, published: true }
}

const fn assumed(source: &'static str) -> PublishedRate {
    PublishedRate { per_minute: UNPUBLISHED_PER_MINUTE, source, published: false }
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 16] = [
        Self::ImportCustomers,
        Self::ImportSubscriptions,
        Self::ProvisionSubscription,
        Self::ReportUsage,
        Self::ReportEvents,
        Self::ImportTasks,
        Self::Customers,
        Self::Subscriptions,
        Self::EntitlementsState,
        Self::CurrentEnvironment,
        Self::Environments,
        Self::ArchiveCustomer,
        Self::Plans,
        Self::Features,
        Self::Addons,
        Self::CustomCurrencies,
    ];

    /// The operation that imports an entity.
    pub fn of(entity: Entity) -> Self {
        match entity {
            Entity::Customer => Self::ImportCustomers,
            Entity::Subscription => Self::ImportSubscriptions,
            Entity::Usage => Self::ReportUsage,
            Entity::Event => Self::ReportEvents,
        }
    }

    /// The operation's name as the official clients send it. The vendor's limit table uses these names, and whether it
    /// counts by them or by root field is not documented.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImportCustomers => "ImportCustomerBulk",
            Self::ImportSubscriptions => "ImportSubscriptionsBulk",
            Self::ProvisionSubscription => "ProvisionSubscription",
            Self::ReportUsage => "ReportUsageBulk",
            Self::ReportEvents => "ReportEvent",
            Self::ImportTasks => "ImportTask",
            Self::Customers => "Customers",
            Self::Subscriptions => "GetSubscriptions",
            Self::EntitlementsState => "Entitlements",
            Self::CurrentEnvironment => "CurrentEnvironment",
            Self::Environments => "Environments",
            Self::ArchiveCustomer => "ArchiveCustomer",
            Self::Plans => "Plans",
            Self::Features => "Features",
            Self::Addons => "Addons",
            Self::CustomCurrencies => "CustomCurrencies",
        }
    }

    /// The field of the schema's root that it asks for. Source: GraphQL schema, client release 6.25.0, 2026.
    pub fn root_field(self) -> &'static str {
        match self {
            Self::ImportCustomers => "importCustomersBulk",
            Self::ImportSubscriptions => "importSubscriptionsBulk",
            Self::ProvisionSubscription => "provisionSubscriptionV2",
            Self::ReportUsage => "reportUsageBulk",
            Self::ReportEvents => "reportEvent",
            Self::ImportTasks => "importIntegrationTasks",
            Self::Customers => "customers",
            Self::Subscriptions => "subscriptions",
            Self::EntitlementsState => "entitlementsState",
            Self::CurrentEnvironment => "currentEnvironment",
            Self::Environments => "environments",
            Self::ArchiveCustomer => "archiveCustomer",
            Self::Plans => "plans",
            Self::Features => "features",
            Self::Addons => "addons",
            Self::CustomCurrencies => "customCurrencies",
        }
    }

    /// The operation of a name: an operation name or a root field, first letter in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| name.eq_ignore_ascii_case(operation.name()) || name == operation.root_field())
    }

    /// Whether it changes anything at the API.
    pub fn is_write(self) -> bool {
        match self {
            Self::ImportCustomers
            | Self::ImportSubscriptions
            | Self::ProvisionSubscription
            | Self::ReportUsage
            | Self::ReportEvents
            | Self::ArchiveCustomer => true,
            Self::ImportTasks
            | Self::Customers
            | Self::Subscriptions
            | Self::EntitlementsState
            | Self::CurrentEnvironment
            | Self::Environments
            | Self::Plans
            | Self::Features
            | Self::Addons
            | Self::CustomCurrencies => false,
        }
    }

    /// Its rate, with source.
    pub fn rate(self) -> PublishedRate {
        match self {
            Self::ImportCustomers => published(250, "vendor's rate-limit page and import guide, 2026"),
            Self::ProvisionSubscription => published(250, "vendor's rate-limit page (provisionSubscription), 2026"),
            Self::ReportUsage => published(600, "vendor's rate-limit page, 2026"),
            // The pacer counts requests, so each one counts as if it were full: then no window of a second, wherever it
            // begins, holds more than 1000 events.
            Self::ReportEvents => published(
                60,
                "vendor's rate-limit page, 2026: 1000 divided by the batch's size, a second; one full request a second",
            ),
            Self::ArchiveCustomer => published(250, "vendor's rate-limit page (archiveCustomer), 2026"),
            Self::Subscriptions => published(1500, "vendor's rate-limit page (getSubscriptions), 2026"),
            Self::ImportSubscriptions => assumed("not published; that of importCustomersBulk"),
            Self::ImportTasks
            | Self::Customers
            | Self::EntitlementsState
            | Self::CurrentEnvironment
            | Self::Environments
            | Self::Plans
            | Self::Features
            | Self::Addons
            | Self::CustomCurrencies => assumed("not published; the smallest published rate"),
        }
    }

    /// Its place in [`Self::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.root_field())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_under_both_its_names() {
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation.index(), index);
            assert_eq!(Operation::of_name(operation.name()), Some(operation));
            assert_eq!(Operation::of_name(operation.root_field()), Some(operation));
        }
        assert_eq!(Operation::of_name("reportUsage"), None, "a sibling with another rate");
        assert_eq!(Operation::of_name("importCustomerBulk"), Some(Operation::ImportCustomers), "the table's spelling");
    }
}
