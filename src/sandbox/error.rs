//! What the API answers when it refuses: a code of its `ErrorCode` list, words, and what more it tells.

use std::time::Duration;

use async_graphql::{ErrorExtensions, Value};

/// Error codes, spelled as in the API's `ErrorCode` (contract 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    AddonNotFound,
    BadUserInput,
    BillingPeriodMissingError,
    CannotReportUsageForEntitlementWithMeterError,
    CustomCurrencyNotFound,
    CustomerNotFound,
    DuplicatedEntityNotAllowed,
    EntityIdDifferentFromRefIdError,
    EntityIsArchivedError,
    FailedToImportCustomer,
    FeatureNotFound,
    GraphQLAliasesLimitExceeded,
    GraphQLBatchedOperationsLimitExceeded,
    GraphQLUnsupportedDirective,
    IdentityForbidden,
    ImportAlreadyInProgress,
    InvalidCancellationDate,
    InvalidEntitlementResetPeriod,
    InvalidMetadataError,
    InvalidQuantity,
    MeteringNotAvailableForFeatureType,
    MissingEntityIdError,
    NoActiveSubscriptionForCustomer,
    PlanNotFound,
    RateLimitExceeded,
    SubscriptionAlreadyCanceledOrExpired,
    SubscriptionNotFound,
    Unauthenticated,
    UnexpectedError,
}

impl Code {
    /// The PascalCase spelling of the API's schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddonNotFound => "AddonNotFound",
            Self::BadUserInput => "BadUserInput",
            Self::BillingPeriodMissingError => "BillingPeriodMissingError",
            Self::CannotReportUsageForEntitlementWithMeterError => "CannotReportUsageForEntitlementWithMeterError",
            Self::CustomCurrencyNotFound => "CustomCurrencyNotFound",
            Self::CustomerNotFound => "CustomerNotFound",
            Self::DuplicatedEntityNotAllowed => "DuplicatedEntityNotAllowed",
            Self::EntityIdDifferentFromRefIdError => "EntityIdDifferentFromRefIdError",
            Self::EntityIsArchivedError => "EntityIsArchivedError",
            Self::FailedToImportCustomer => "FailedToImportCustomer",
            Self::FeatureNotFound => "FeatureNotFound",
            Self::GraphQLAliasesLimitExceeded => "GraphQLAliasesLimitExceeded",
            Self::GraphQLBatchedOperationsLimitExceeded => "GraphQLBatchedOperationsLimitExceeded",
            Self::GraphQLUnsupportedDirective => "GraphQLUnsupportedDirective",
            Self::IdentityForbidden => "IdentityForbidden",
            Self::ImportAlreadyInProgress => "ImportAlreadyInProgress",
            Self::InvalidCancellationDate => "InvalidCancellationDate",
            Self::InvalidEntitlementResetPeriod => "InvalidEntitlementResetPeriod",
            Self::InvalidMetadataError => "InvalidMetadataError",
            Self::InvalidQuantity => "InvalidQuantity",
            Self::MeteringNotAvailableForFeatureType => "MeteringNotAvailableForFeatureType",
            Self::MissingEntityIdError => "MissingEntityIdError",
            Self::NoActiveSubscriptionForCustomer => "NoActiveSubscriptionForCustomer",
            Self::PlanNotFound => "PlanNotFound",
            Self::RateLimitExceeded => "RateLimitExceeded",
            Self::SubscriptionAlreadyCanceledOrExpired => "SubscriptionAlreadyCanceledOrExpired",
            Self::SubscriptionNotFound => "SubscriptionNotFound",
            Self::Unauthenticated => "Unauthenticated",
            Self::UnexpectedError => "UnexpectedError",
        }
    }
}

/// The spelling of the older overview page (contract 13): `BadUserInput` → `BAD_USER_INPUT`; a run of capitals is one word (`GraphQLAliases…` → `GRAPH_QL_ALIASES…`).
pub(crate) fn screaming(pascal: &str) -> String {
    let letters: Vec<char> = pascal.chars().collect();
    let mut out = String::with_capacity(pascal.len() + 8);
    for (index, letter) in letters.iter().enumerate() {
        let starts_word = index > 0
            && letter.is_ascii_uppercase()
            && (letters[index - 1].is_ascii_lowercase()
                || letters.get(index + 1).is_some_and(|next| next.is_ascii_lowercase()));
        if starts_word {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// A refusal.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub code: Code,
    pub message: String,
    /// Customers that made an import fail: their ids, and their ids at the billing provider.
    pub failed: Option<(Vec<String>, Vec<String>)>,
    /// When a request that came too early may come again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), failed: None, retry_after: None }
    }

    pub fn too_many_requests(retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Code::RateLimitExceeded, "Rate limit exceeded") }
    }
}

impl From<Refusal> for async_graphql::Error {
    fn from(refusal: Refusal) -> Self {
        let validation = !matches!(refusal.code, Code::RateLimitExceeded | Code::UnexpectedError);
        let mut error = Self::new(refusal.message.clone()).extend_with(|_, more| {
            more.set("code", refusal.code.as_str());
            more.set("isValidationError", validation);
            if let Some((customers, billing)) = &refusal.failed {
                more.set("failedCustomerIds", Value::List(customers.iter().cloned().map(Value::String).collect()));
                more.set("failedBillingIds", Value::List(billing.iter().cloned().map(Value::String).collect()));
            }
        });
        error.source = Some(std::sync::Arc::new(refusal));
        error
    }
}
