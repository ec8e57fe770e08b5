//! `ProvisionSubscriptionInput`, and the original that it takes the place of. Source: contract 3.4 and 12.
//!
//! Left out of what the API takes:
//!
//! - `billingId` would link the original; cancelling that would then end the new subscription, too.
//! - `entitlements`, `subscriptionEntitlements`: custom plans only, whose subscriptions are imported.
//! - `promotionCode`: deprecated since September 2024; `appliedCoupon` has its place.
//! - `refId`: another name of `subscriptionId`.

use super::subscription::{ADDON, BILLABLE_FEATURE, BILLING_PERIOD, CHARGE};
use super::{
    ANY_ID, Alphabet, CUSTOMER_ID, Constant, Field, Kind, PACKAGE_ID, QUANTITY, TEXT_CHARS_MAX, optional, required,
};

/// The field of a paid subscription that the API knows nothing of: which subscription at which provider it replaces.
pub const ORIGINAL: &str = "original";

pub(super) const FIELDS: &[Field] = &[
    required(
        "subscriptionId",
        ANY_ID,
        "a stable id of the new subscription; by it a second run finds what the first has provisioned",
    ),
    required("customerId", CUSTOMER_ID, "the customer that has it; it needs its billingId and a payment method"),
    required("planId", PACKAGE_ID, "the plan, as in the Stigg catalog"),
    optional("resourceId", ANY_ID, "the resource, for products that allow several subscriptions for one customer"),
    optional("payingCustomerId", CUSTOMER_ID, "the customer that pays, where it is another"),
    required("startDate", Kind::Time, "when the original started"),
    optional("cancellationDate", Kind::Time, "when it ends, where the original is cancelled already and runs out"),
    required("billingPeriod", BILLING_PERIOD, "how often it is billed"),
    optional("unitQuantity", QUANTITY, "quantity of the plan's one chargeable feature"),
    optional(
        "billableFeatures",
        Kind::List { fields: BILLABLE_FEATURE, exactly_one: false },
        "quantities of several chargeable features",
    ),
    optional(
        "charges",
        Kind::List { fields: CHARGE, exactly_one: false },
        "quantities of charges, the newer form of unitQuantity and billableFeatures",
    ),
    optional("addons", Kind::List { fields: ADDON, exactly_one: false }, "add-ons"),
    optional("priceUnitAmount", QUANTITY, "an amount for each unit instead of the plan's, in whole currency units"),
    optional(
        "priceOverrides",
        Kind::List { fields: PRICE_OVERRIDE, exactly_one: false },
        "prices that were negotiated, instead of the plan's",
    ),
    optional("minimumSpend", Kind::Object(&[required("minimum", Kind::Object(MONEY), "the amount")]), "least to pay"),
    optional("budget", Kind::Object(BUDGET), "most to spend"),
    optional("appliedCoupon", Kind::Object(COUPON), "the coupon that it has"),
    optional(
        "trialOverrideConfiguration",
        Kind::Object(TRIAL),
        "whether it is on trial; for who pays, isTrial is false",
    ),
    optional("skipTrial", Kind::Bool, "whether the plan's trial is left out"),
    optional(
        "scheduleStrategy",
        Kind::Enum(&["END_OF_BILLING_MONTH", "END_OF_BILLING_PERIOD", "IMMEDIATE"]),
        "when it takes the place of a subscription that the customer has in Stigg",
    ),
    optional("billingCycleAnchor", Kind::Enum(&["NOW", "UNCHANGED"]), "where its billing periods begin"),
    optional(
        "paymentCollectionMethod",
        Kind::Enum(&["CHARGE", "INVOICE", "NONE"]),
        "how it is paid, as the original is",
    ),
    optional("awaitPaymentConfirmation", Kind::Bool, "whether the answer waits for the payment"),
    optional("checkoutOptions", Kind::Object(CHECKOUT), "the page where a customer pays, where a payment is needed"),
    optional("billingCountryCode", COUNTRY, "the country whose prices hold"),
    optional("billingInformation", Kind::Object(BILLING_INFORMATION), "how the provider bills it"),
    optional("salesforceId", ANY_ID, "the subscription's id in Salesforce"),
    optional("additionalMetaData", Kind::TextMap, "free metadata that stays in Stigg; values are sent as text"),
    required(ORIGINAL, Kind::Object(ORIGINAL_FIELDS), "the subscription that it replaces; not sent to the API"),
];

const ORIGINAL_FIELDS: &[Field] = &[
    required(
        "provider",
        Kind::Enum(&["stripe", "zuora", "chargebee", "recurly", "paddle"]),
        "the billing provider that has it",
    ),
    required("id", Kind::Id { chars_max: TEXT_CHARS_MAX, alphabet: Alphabet::Original }, "its id there"),
];

const BILLING_INFORMATION: &[Field] = &[
    required(
        "isBackdated",
        Kind::Fixed(Constant::True),
        "always true: without it a period that the original has billed is paid a second time",
    ),
    optional("metadata", Kind::TextMap, "metadata of the provider's subscription; to mark it there as migrated"),
    optional(
        "prorationBehavior",
        Kind::Enum(&["CREATE_PRORATIONS", "INVOICE_IMMEDIATELY", "NONE"]),
        "what becomes of parts of a period",
    ),
    optional("isInvoicePaid", Kind::Bool, "whether its first invoice counts as paid"),
    optional("invoiceDaysUntilDue", QUANTITY, "days to pay an invoice"),
    optional("integrationId", ANY_ID, "the billing integration, where there are several"),
    optional("couponId", ANY_ID, "the provider's id of a coupon"),
    optional("chargeOnBehalfOfAccount", ANY_ID, "the account for which it is charged"),
    optional("taxPercentage", QUANTITY, "tax in percent"),
    optional("taxRateIds", Kind::TextList, "the provider's ids of tax rates"),
    optional("taxIds", Kind::List { fields: TAX_ID, exactly_one: false }, "the customer's tax ids"),
    optional("billingAddress", Kind::Object(ADDRESS), "where invoices go"),
];

const TAX_ID: &[Field] =
    &[required("type", TEXT, "its kind, in the provider's words"), required("value", TEXT, "the id")];

const ADDRESS: &[Field] = &[
    optional("line1", TEXT, "street"),
    optional("line2", TEXT, "more of it"),
    optional("postalCode", TEXT, "postal code"),
    optional("city", TEXT, "city"),
    optional("state", TEXT, "state"),
    optional("country", COUNTRY, "country, two letters"),
];

const TRIAL: &[Field] = &[
    required("isTrial", Kind::Bool, "whether it is on trial"),
    optional("trialEndDate", Kind::Time, "when the trial ends"),
    optional("trialEndBehavior", Kind::Enum(&["CANCEL_SUBSCRIPTION", "CONVERT_TO_PAID"]), "what comes then"),
];

const BUDGET: &[Field] = &[
    required("limit", QUANTITY, "the amount, in whole currency units"),
    required("hasSoftLimit", Kind::Bool, "whether it may be passed"),
];

const COUPON: &[Field] = &[
    optional("couponId", PACKAGE_ID, "the coupon, as in Stigg"),
    optional("billingCouponId", ANY_ID, "the coupon, as at the provider"),
    optional("promotionCode", ANY_ID, "the code by which it was given"),
    optional("discount", Kind::Object(DISCOUNT), "a discount of its own"),
    optional(
        "configuration",
        Kind::Object(&[optional("startDate", Kind::Time, "when it begins")]),
        "from when on it holds",
    ),
];

const DISCOUNT: &[Field] = &[
    optional("name", TEXT, "its name"),
    optional("description", TEXT, "what it is for"),
    optional("percentOff", Kind::Number { min: Some(0), max: Some(100), whole: false }, "percent"),
    optional("amountsOff", Kind::List { fields: MONEY, exactly_one: false }, "amounts, one for each currency"),
    optional("durationInMonths", QUANTITY, "how long it holds"),
];

const PRICE_OVERRIDE: &[Field] = &[
    optional("featureId", PACKAGE_ID, "the feature whose price it is"),
    optional("addonId", PACKAGE_ID, "the add-on whose price it is"),
    optional("currencyId", PACKAGE_ID, "the credit currency whose price it is"),
    optional("baseCharge", Kind::Bool, "whether it is the plan's base price"),
    optional("price", Kind::Object(MONEY), "the price"),
    optional("blockSize", QUANTITY, "units that are sold together"),
    optional("tiers", Kind::List { fields: TIER, exactly_one: false }, "prices by quantity"),
    optional(
        "creditGrantCadence",
        Kind::Enum(&["BEGINNING_OF_BILLING_PERIOD", "MONTHLY"]),
        "how often credits are granted",
    ),
    optional("creditRate", Kind::Object(CREDIT_RATE), "what a unit costs in credits"),
];

const TIER: &[Field] = &[
    optional("upTo", QUANTITY, "its last unit; none in the last tier"),
    optional("unitPrice", Kind::Object(MONEY), "price of each unit"),
    optional("flatPrice", Kind::Object(MONEY), "price of the tier"),
];

const CREDIT_RATE: &[Field] = &[
    required("currencyId", PACKAGE_ID, "the credit currency"),
    required("amount", QUANTITY, "credits for a unit"),
    optional("costFormula", TEXT, "how credits follow from usage"),
    optional("customCurrencyId", ANY_ID, "the credit currency's uuid"),
];

const MONEY: &[Field] = &[
    required("amount", QUANTITY, "in whole currency units, never in cents"),
    optional("currency", Kind::Enum(CURRENCIES), "its code, upper case"),
];

const CHECKOUT: &[Field] = &[
    required("successUrl", URL, "where who has paid goes on"),
    required("cancelUrl", URL, "where who has not paid goes on"),
    optional("referenceId", ANY_ID, "your id of the checkout"),
    optional("allowPromoCodes", Kind::Bool, "whether promotion codes are taken"),
    optional("allowTaxIdCollection", Kind::Bool, "whether tax ids are asked for"),
    optional("collectBillingAddress", Kind::Bool, "whether an address is asked for"),
    optional("collectPhoneNumber", Kind::Bool, "whether a telephone number is asked for"),
];

const TEXT: Kind = Kind::Text { chars_max: TEXT_CHARS_MAX };

/// Most characters of an address of a page: what browsers and proxies take. The API publishes no limit.
const URL: Kind = Kind::Text { chars_max: 2048 };

/// Two letters, as in ISO 3166-1; the API takes any text.
const COUNTRY: Kind = Kind::Id { chars_max: 2, alphabet: Alphabet::Package };

/// `Currency` of the API's schema, client release 6.25.0, 2026.
#[rustfmt::skip]
const CURRENCIES: &[&str] = &[
    "AED", "ALL", "AMD", "ANG", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BIF", "BMD", "BND",
    "BRL", "BSD", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "CZK", "DJF", "DKK", "DOP",
    "DZD", "EGP", "ETB", "EUR", "FJD", "GBP", "GEL", "GIP", "GMD", "GNF", "GYD", "HKD", "HRK", "HTG",
    "IDR", "ILS", "INR", "ISK", "JMD", "JPY", "KES", "KGS", "KHR", "KMF", "KRW", "KYD", "KZT", "LBP",
    "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRO", "MVR", "MWK", "MXN",
    "MYR", "MZN", "NAD", "NGN", "NOK", "NPR", "NZD", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON",
    "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SEK", "SGD", "SLE", "SLL", "SOS", "SZL", "THB", "TJS",
    "TOP", "TRY", "TTD", "TZS", "UAH", "UGX", "USD", "UZS", "VND", "VUV", "WST", "XAF", "XCD", "XOF",
    "XPF", "YER", "ZAR", "ZMW",
];
