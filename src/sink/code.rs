//! The API's error codes, and which class each belongs to.

use std::fmt;

/// What a code says is true, and so what to do. Classes and members: contract of the API, section 7 (`docs/api.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The key is not accepted. Nothing was applied.
    Unauthenticated,
    /// The key is accepted and may not do this. Nothing was applied.
    Forbidden,
    /// Too many requests. Nothing was applied.
    SlowDown,
    /// Another import is under way. Nothing of this one was applied.
    Busy,
    /// The work was begun and not finished, or lost a race: part of it may have been applied.
    Contention,
    /// The server failed. It may have been applied.
    Server,
    /// The request itself is built wrongly, whatever the rows.
    Malformed,
    /// The whole import is reported as failed; rows that are not named may have been applied.
    WholeImport,
    /// What the row stands on may not be there yet.
    NotReady,
    /// One or more rows are refused, each time again.
    Row,
}

macro_rules! codes {
    ($($name:ident),+ $(,)?) => {
        /// An error code of the API, as far as an import can meet it; any other is kept as text.
        ///
        /// Source of the members: `ErrorCode` of the GraphQL schema, client release 6.25.0, 2026. The last few are
        /// of GraphQL servers in general.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                $name,
            )+
            /// The error had no code.
            Absent,
            /// A code that is none of these, cut to [`ErrorCode::TEXT_CHARS_MAX`] characters.
            Unrecognised(String),
        }

        impl ErrorCode {
            const KNOWN: &'static [(&'static str, ErrorCode)] = &[$((stringify!($name), ErrorCode::$name),)+];

            /// The code in the API's spelling; `NoCode` where there was none.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => stringify!($name),)+
                    Self::Absent => "NoCode",
                    Self::Unrecognised(text) => text,
                }
            }
        }
    };
}

codes! {
    // Auth
    Unauthenticated, IdentityForbidden, AccessDeniedError, ApiKeyExpired, ApiKeyNotFound, NoFeatureEntitlementError,
    // Slow down, contention, server
    RateLimitExceeded, ObjectAlreadyBeingUsedByAnotherRequestError, ImportAlreadyInProgress, OperationTimeout,
    UnexpectedError, AuthorizationServiceError,
    // Request built wrongly
    GraphQLAliasesLimitExceeded, GraphQLBatchedOperationsLimitExceeded, GraphQLUnsupportedDirective,
    UnsupportedParameter, EnvironmentMissing,
    // Bad row
    BadUserInput, InvalidArgumentError, InvalidMetadataError, IntegrityViolation, DuplicatedEntityNotAllowed,
    EntityIsArchivedError, EntityIdDifferentFromRefIdError, MissingEntityIdError, InvalidQuantity, AmountTooLarge,
    InvalidAddressError, InvalidTaxId,
    // Whole import
    FailedToImportCustomer, FailedToImportSubscriptions, ImportSubscriptionsBulkError,
    // Customer
    CustomerNotFound, CustomerResourceNotFound, CustomerNoBillingId, CustomerHasNoEmailAddress,
    // Catalog
    PlanNotFound, UnPublishedPackage, ProductNotFoundError, ProductNotPublishedError, AddonNotFound, AddonsNotFound,
    AddonDependencyMissingError, AddonQuantityExceedsLimitError, DuplicateAddonProvisionedError,
    IncompatibleSubscriptionAddon, BillingPeriodMissingError, PriceNotFound, CouponNotFound,
    // Entitlements
    CustomCurrencyNotFound, InvalidEntitlementResetPeriod, FeatureNotFound, UnsupportedFeatureType,
    // Billing
    BillingIntegrationMissing, FailedToResolveBillingIntegration, IntegrationNotFound,
    PricingModelNotSupportedByBillingIntegration, PaymentMethodNotFoundError, StripeError, StripeCustomerIsDeleted,
    CannotChangeBillingIntegration, CheckoutIsNotSupported, TooManySubscriptionsPerCustomer,
    // Cancel
    SubscriptionNotFound, SubscriptionAlreadyCanceledOrExpired, InvalidCancellationDate, InvalidSubscriptionStatus,
    TrialMustBeCancelledImmediately, SchedulingAtEndOfBillingPeriod,
    // Usage
    MeteringNotAvailableForFeatureType, CannotReportUsageForEntitlementWithMeterError,
    NoActiveSubscriptionForCustomer, NoFeatureEntitlementInSubscription, EntitlementLimitExceededError,
    EntitlementUsageOutOfRangeError, UsageMeasurementDiffOutOfRangeError,
    // GraphQL servers in general
    GraphqlValidationFailed, GraphqlParseFailed, InternalServerError,
}

impl ErrorCode {
    /// Most characters kept of a code that is not recognised.
    pub const TEXT_CHARS_MAX: usize = 100;

    /// The code of a text: the API's PascalCase, or the SCREAMING_CASE of an overview page (2026), with or without a
    /// trailing `Error`.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::Absent;
        }
        let exact = Self::KNOWN.iter().find(|(name, _)| *name == text);
        let found = exact.or_else(|| {
            let wanted = fold(text);
            Self::KNOWN.iter().find(|(name, _)| fold(name) == wanted)
        });
        match found {
            Some((_, code)) => code.clone(),
            None => Self::Unrecognised(super::error::bounded(text, Self::TEXT_CHARS_MAX)),
        }
    }

    /// Its class. No wildcard arm: a new code has to choose.
    pub fn class(&self) -> Class {
        match self {
            Self::Unauthenticated | Self::ApiKeyExpired | Self::ApiKeyNotFound => Class::Unauthenticated,
            Self::IdentityForbidden | Self::AccessDeniedError | Self::NoFeatureEntitlementError => Class::Forbidden,
            Self::RateLimitExceeded => Class::SlowDown,
            Self::ImportAlreadyInProgress => Class::Busy,
            // The vendor's Go client calls a timeout safe to retry (6.21.0, 2026-07-22); whether part of a bulk
            // import was applied is not said, so both read back first.
            Self::ObjectAlreadyBeingUsedByAnotherRequestError | Self::OperationTimeout => Class::Contention,
            Self::UnexpectedError | Self::AuthorizationServiceError | Self::InternalServerError => Class::Server,
            Self::GraphQLAliasesLimitExceeded
            | Self::GraphQLBatchedOperationsLimitExceeded
            | Self::GraphQLUnsupportedDirective
            | Self::UnsupportedParameter
            | Self::EnvironmentMissing
            | Self::GraphqlValidationFailed
            | Self::GraphqlParseFailed => Class::Malformed,
            Self::FailedToImportCustomer | Self::FailedToImportSubscriptions | Self::ImportSubscriptionsBulkError => {
                Class::WholeImport
            }
            Self::NoActiveSubscriptionForCustomer | Self::NoFeatureEntitlementInSubscription => Class::NotReady,
            Self::BadUserInput
            | Self::InvalidArgumentError
            | Self::InvalidMetadataError
            | Self::IntegrityViolation
            | Self::DuplicatedEntityNotAllowed
            | Self::EntityIsArchivedError
            | Self::EntityIdDifferentFromRefIdError
            | Self::MissingEntityIdError
            | Self::InvalidQuantity
            | Self::AmountTooLarge
            | Self::InvalidAddressError
            | Self::InvalidTaxId
            | Self::CustomerNotFound
            | Self::CustomerResourceNotFound
            | Self::CustomerNoBillingId
            | Self::CustomerHasNoEmailAddress
            | Self::PlanNotFound
            | Self::UnPublishedPackage
            | Self::ProductNotFoundError
            | Self::ProductNotPublishedError
            | Self::AddonNotFound
            | Self::AddonsNotFound
            | Self::AddonDependencyMissingError
            | Self::AddonQuantityExceedsLimitError
            | Self::DuplicateAddonProvisionedError
            | Self::IncompatibleSubscriptionAddon
            | Self::BillingPeriodMissingError
            | Self::PriceNotFound
            | Self::CouponNotFound
            | Self::CustomCurrencyNotFound
            | Self::InvalidEntitlementResetPeriod
            | Self::FeatureNotFound
            | Self::UnsupportedFeatureType
            | Self::BillingIntegrationMissing
            | Self::FailedToResolveBillingIntegration
            | Self::IntegrationNotFound
            | Self::PricingModelNotSupportedByBillingIntegration
            | Self::PaymentMethodNotFoundError
            | Self::StripeError
            | Self::StripeCustomerIsDeleted
            | Self::CannotChangeBillingIntegration
            | Self::CheckoutIsNotSupported
            | Self::TooManySubscriptionsPerCustomer
            | Self::SubscriptionNotFound
            | Self::SubscriptionAlreadyCanceledOrExpired
            | Self::InvalidCancellationDate
            | Self::InvalidSubscriptionStatus
            | Self::TrialMustBeCancelledImmediately
            | Self::SchedulingAtEndOfBillingPeriod
            | Self::MeteringNotAvailableForFeatureType
            | Self::CannotReportUsageForEntitlementWithMeterError
            | Self::EntitlementLimitExceededError
            | Self::EntitlementUsageOutOfRangeError
            | Self::UsageMeasurementDiffOutOfRangeError
            // An error that says nothing we know is taken for a refusal of rows: splitting either finds the row or
            // ends with each row refused in the API's own words.
            | Self::Absent
            | Self::Unrecognised(_) => Class::Row,
        }
    }
}

/// Letters without underscores in lower case, without a trailing `error`.
fn fold(text: &str) -> String {
    let mut folded: String = text.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect();
    if folded.len() > "error".len() && folded.ends_with("error") {
        folded.truncate(folded.len() - "error".len());
    }
    folded
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_code() {
        assert_eq!(ErrorCode::parse("RateLimitExceeded"), ErrorCode::RateLimitExceeded);
        assert_eq!(ErrorCode::parse("RATE_LIMIT_EXCEEDED"), ErrorCode::RateLimitExceeded);
        assert_eq!(ErrorCode::parse("rate_limit_exceeded"), ErrorCode::RateLimitExceeded);
        assert_eq!(ErrorCode::parse("BAD_USER_INPUT"), ErrorCode::BadUserInput);
        assert_eq!(ErrorCode::parse("ACCESS_DENIED"), ErrorCode::AccessDeniedError);
        assert_eq!(ErrorCode::parse("GRAPHQL_VALIDATION_FAILED"), ErrorCode::GraphqlValidationFailed);
    }

    #[test]
    fn an_unknown_code_is_kept_as_text_and_bounded() {
        assert_eq!(ErrorCode::parse("Newfangled").as_str(), "Newfangled");
        assert_eq!(ErrorCode::parse("Newfangled").class(), Class::Row);
        assert_eq!(ErrorCode::parse(&"x".repeat(5000)).as_str().chars().count(), ErrorCode::TEXT_CHARS_MAX);
        assert_eq!(ErrorCode::parse(" "), ErrorCode::Absent);
    }

    #[test]
    fn no_two_codes_fold_into_one() {
        let mut seen = std::collections::HashSet::new();
        for (name, code) in ErrorCode::KNOWN {
            assert!(seen.insert(fold(name)), "{name}");
            assert_eq!(&ErrorCode::parse(name), code);
        }
    }

    #[test]
    fn every_code_of_ours_is_one_of_the_api() {
        let schema = include_str!("../../tests/stigg/schema.graphql");
        let start = schema.find("enum ErrorCode").expect("the schema has it");
        let members = &schema[start..start + schema[start..].find('}').expect("it ends")];
        for (name, _) in ErrorCode::KNOWN {
            let general = matches!(*name, "GraphqlValidationFailed" | "GraphqlParseFailed" | "InternalServerError");
            assert!(general || members.lines().any(|line| line.trim() == *name), "{name}");
        }
    }
}
