//! The API's enums, member by member.

use async_graphql::Enum;
use serde::{Deserialize, Serialize};

/// Writes an enum of the API with its members' exact names.
macro_rules! api_enum {
    ($(#[$doc:meta])* $name:ident { $($member:ident = $wire:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $(
                #[doc = $wire]
                #[graphql(name = $wire)]
                #[serde(rename = $wire)]
                $member,
            )+
        }
    };
}

api_enum!(/// What an environment is for.
    EnvironmentType { Development = "DEVELOPMENT", Production = "PRODUCTION", Sandbox = "SANDBOX" });
api_enum!(/// How a usage value is meant.
    UsageUpdateBehavior { Delta = "DELTA", Set = "SET" });
api_enum!(/// How often a subscription is billed.
    BillingPeriod { Annually = "ANNUALLY", Monthly = "MONTHLY" });
api_enum!(/// How often a credit comes again.
    CreditCadence { Month = "MONTH", Year = "YEAR" });
api_enum!(/// What a charge is for.
    ChargeType { Credit = "CREDIT", Feature = "FEATURE" });
api_enum!(/// When usage starts again from zero.
    EntitlementResetPeriod { Day = "DAY", Hour = "HOUR", Month = "MONTH", Week = "WEEK", Year = "YEAR" });
api_enum!(/// The day that a monthly reset follows.
    MonthlyAccordingTo { StartOfTheMonth = "StartOfTheMonth", SubscriptionStart = "SubscriptionStart" });
api_enum!(/// The day that a yearly reset follows.
    YearlyAccordingTo { SubscriptionStart = "SubscriptionStart" });
api_enum!(/// The day that a weekly reset follows.
WeeklyAccordingTo {
    EveryFriday = "EveryFriday", EveryMonday = "EveryMonday", EverySaturday = "EverySaturday",
    EverySunday = "EverySunday", EveryThursday = "EveryThursday", EveryTuesday = "EveryTuesday",
    EveryWednesday = "EveryWednesday", SubscriptionStart = "SubscriptionStart",
});
api_enum!(/// State of a background task.
TaskStatus {
    Canceled = "CANCELED", Completed = "COMPLETED", Failed = "FAILED", InProgress = "IN_PROGRESS",
    PartiallyFailed = "PARTIALLY_FAILED", Pending = "PENDING",
});
api_enum!(/// What a background task does.
TaskType {
    EnvironmentExport = "ENVIRONMENT_EXPORT", EnvironmentMergeApply = "ENVIRONMENT_MERGE_APPLY",
    ImportIntegrationCatalog = "IMPORT_INTEGRATION_CATALOG",
    ImportIntegrationCustomers = "IMPORT_INTEGRATION_CUSTOMERS",
    ImportSubscriptionsBulk = "IMPORT_SUBSCRIPTIONS_BULK",
    RecalculateBatchEntitlements = "RECALCULATE_BATCH_ENTITLEMENTS",
    RecalculateEntitlements = "RECALCULATE_ENTITLEMENTS", ResyncIntegration = "RESYNC_INTEGRATION",
    SubscriptionMigration = "SUBSCRIPTION_MIGRATION", SubscriptionMigrationV2 = "SUBSCRIPTION_MIGRATION_V2",
});
api_enum!(/// State of a subscription.
SubscriptionStatus {
    Active = "ACTIVE", Canceled = "CANCELED", Expired = "EXPIRED", InTrial = "IN_TRIAL",
    NotStarted = "NOT_STARTED", PaymentPending = "PAYMENT_PENDING",
});
api_enum!(/// Why a subscription ended.
SubscriptionCancelReason {
    AutoCancellationRule = "AutoCancellationRule", CancelledByBilling = "CancelledByBilling",
    CustomerArchived = "CustomerArchived", DetachBilling = "DetachBilling", Expired = "Expired",
    Immediate = "Immediate", PendingPaymentExpired = "PendingPaymentExpired",
    ScheduledCancellation = "ScheduledCancellation", TrialConverted = "TrialConverted",
    TrialEnded = "TrialEnded", UpgradeOrDowngrade = "UpgradeOrDowngrade",
});
api_enum!(/// How a plan is sold.
    PricingType { Custom = "CUSTOM", Free = "FREE", Paid = "PAID" });
api_enum!(/// State of a payment.
PaymentCollection {
    ActionRequired = "ACTION_REQUIRED", Failed = "FAILED", NotRequired = "NOT_REQUIRED", Processing = "PROCESSING",
});
api_enum!(/// How a payment is collected.
    PaymentCollectionMethod { Charge = "CHARGE", Invoice = "INVOICE", NoCollection = "NONE" });
api_enum!(/// State of the copy at the billing provider.
    SyncStatus { Error = "ERROR", NoSyncRequired = "NO_SYNC_REQUIRED", Pending = "PENDING", Success = "SUCCESS" });
api_enum!(/// A system that Stigg copies to.
VendorIdentifier {
    Airwallex = "AIRWALLEX", AppStore = "APP_STORE", Auth0 = "AUTH0", AwsMarketplace = "AWS_MARKETPLACE",
    BigQuery = "BIG_QUERY", Hubspot = "HUBSPOT", OpenFga = "OPEN_FGA", Prequel = "PREQUEL",
    Received = "RECEIVED", Salesforce = "SALESFORCE", Snowflake = "SNOWFLAKE", Stripe = "STRIPE",
    StripeInvoicing = "STRIPE_INVOICING", Zuora = "ZUORA",
});
api_enum!(/// How usage of a feature counts.
    MeterType { Fluctuating = "Fluctuating", Incremental = "Incremental", NoMeter = "None" });
api_enum!(/// What a feature is.
    FeatureType { Boolean = "BOOLEAN", Enum = "ENUM", Number = "NUMBER" });
api_enum!(/// State of a feature.
    FeatureStatus { Active = "ACTIVE", New = "NEW", Suspended = "SUSPENDED" });
api_enum!(/// State of a plan or add-on.
    PackageStatus { Archived = "ARCHIVED", Draft = "DRAFT", Published = "PUBLISHED" });
api_enum!(/// State of a product.
    ProductStatus { Archived = "ARCHIVED", Published = "PUBLISHED" });
api_enum!(/// State of a credit currency.
    CustomCurrencyStatus { Active = "ACTIVE", Archived = "ARCHIVED" });
api_enum!(/// How a price counts.
BillingModel {
    CreditBased = "CREDIT_BASED", FlatFee = "FLAT_FEE", MinimumSpend = "MINIMUM_SPEND", PerUnit = "PER_UNIT",
    UsageBased = "USAGE_BASED",
});
api_enum!(/// What provisioning came to.
    ProvisionSubscriptionStatus { PaymentRequired = "PAYMENT_REQUIRED", Success = "SUCCESS" });
api_enum!(/// What happens to the entitlements of a cancelled subscription.
    SubscriptionCancellationAction { Default = "DEFAULT", RevokeEntitlements = "REVOKE_ENTITLEMENTS" });
api_enum!(/// When a cancellation takes effect.
SubscriptionCancellationTime {
    EndOfBillingPeriod = "END_OF_BILLING_PERIOD", Immediate = "IMMEDIATE", SpecificDate = "SPECIFIC_DATE",
});
api_enum!(/// Why a customer has no entitlement.
EntitlementsStateAccessDeniedReason {
    CustomerIsArchived = "CustomerIsArchived", CustomerNotFound = "CustomerNotFound",
    NoActiveSubscription = "NoActiveSubscription",
});
api_enum!(/// Whether the billing cycle starts anew.
    SubscriptionBillingCycleAnchor { Now = "NOW", Unchanged = "UNCHANGED" });
api_enum!(/// How a partial period is billed.
SubscriptionProrationBehavior {
    CreateProrations = "CREATE_PRORATIONS", InvoiceImmediately = "INVOICE_IMMEDIATELY", NoProration = "NONE",
});
api_enum!(/// When a change takes effect.
ScheduleStrategy {
    EndOfBillingMonth = "END_OF_BILLING_MONTH", EndOfBillingPeriod = "END_OF_BILLING_PERIOD",
    Immediate = "IMMEDIATE",
});
api_enum!(/// What happens at the end of a trial.
    TrialEndBehavior { CancelSubscription = "CANCEL_SUBSCRIPTION", ConvertToPaid = "CONVERT_TO_PAID" });
api_enum!(/// When credits of a price are granted.
    CreditGrantCadence { BeginningOfBillingPeriod = "BEGINNING_OF_BILLING_PERIOD", Monthly = "MONTHLY" });
api_enum!(/// Direction of a list.
    SortDirection { Asc = "ASC", Desc = "DESC" });
api_enum!(/// Where missing values go in a list.
    SortNulls { NullsFirst = "NULLS_FIRST", NullsLast = "NULLS_LAST" });

/// The one order that the sandbox keeps (creation); other orders of the API are refused, not ignored.
macro_rules! sort_fields {
    ($($name:ident),+) => { $( api_enum!(/// What a list is ordered by.
        $name { CreatedAt = "createdAt" }); )+ };
}
sort_fields!(
    CustomerSortFields,
    SubscriptionQuerySortFields,
    ImportIntegrationTaskSortFields,
    PlanSortFields,
    ProductSortFields,
    FeatureSortFields,
    AddonSortFields
);

api_enum!(/// A currency.
Currency {
    Aed = "AED", All = "ALL", Amd = "AMD", Ang = "ANG", Aud = "AUD", Awg = "AWG", Azn = "AZN", Bam = "BAM",
    Bbd = "BBD", Bdt = "BDT", Bgn = "BGN", Bif = "BIF", Bmd = "BMD", Bnd = "BND", Brl = "BRL", Bsd = "BSD",
    Bwp = "BWP", Byn = "BYN", Bzd = "BZD", Cad = "CAD", Cdf = "CDF", Chf = "CHF", Clp = "CLP", Cny = "CNY",
    Czk = "CZK", Djf = "DJF", Dkk = "DKK", Dop = "DOP", Dzd = "DZD", Egp = "EGP", Etb = "ETB", Eur = "EUR",
    Fjd = "FJD", Gbp = "GBP", Gel = "GEL", Gip = "GIP", Gmd = "GMD", Gnf = "GNF", Gyd = "GYD", Hkd = "HKD",
    Hrk = "HRK", Htg = "HTG", Idr = "IDR", Ils = "ILS", Inr = "INR", Isk = "ISK", Jmd = "JMD", Jpy = "JPY",
    Kes = "KES", Kgs = "KGS", Khr = "KHR", Kmf = "KMF", Krw = "KRW", Kyd = "KYD", Kzt = "KZT", Lbp = "LBP",
    Lkr = "LKR", Lrd = "LRD", Lsl = "LSL", Mad = "MAD", Mdl = "MDL", Mga = "MGA", Mkd = "MKD", Mmk = "MMK",
    Mnt = "MNT", Mop = "MOP", Mro = "MRO", Mvr = "MVR", Mwk = "MWK", Mxn = "MXN", Myr = "MYR", Mzn = "MZN",
    Nad = "NAD", Ngn = "NGN", Nok = "NOK", Npr = "NPR", Nzd = "NZD", Pgk = "PGK", Php = "PHP", Pkr = "PKR",
    Pln = "PLN", Pyg = "PYG", Qar = "QAR", Ron = "RON", Rsd = "RSD", Rub = "RUB", Rwf = "RWF", Sar = "SAR",
    Sbd = "SBD", Scr = "SCR", Sek = "SEK", Sgd = "SGD", Sle = "SLE", Sll = "SLL", Sos = "SOS", Szl = "SZL",
    Thb = "THB", Tjs = "TJS", Top = "TOP", Try = "TRY", Ttd = "TTD", Tzs = "TZS", Uah = "UAH", Ugx = "UGX",
    Usd = "USD", Uzs = "UZS", Vnd = "VND", Vuv = "VUV", Wst = "WST", Xaf = "XAF", Xcd = "XCD", Xof = "XOF",
    Xpf = "XPF", Yer = "YER", Zar = "ZAR", Zmw = "ZMW",
});
