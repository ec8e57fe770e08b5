//! `ImportSubscriptionInput`. Source: contract 3.2 and 4.

use super::{ANY_ID, CUSTOMER_ID, Field, Kind, PACKAGE_ID, QUANTITY, optional, required};

pub(super) const FIELDS: &[Field] = &[
    required(
        "subscriptionId",
        ANY_ID,
        "a stable id of the subscription; without one a second import could not find it again",
    ),
    required("customerId", CUSTOMER_ID, "the customer that has it"),
    required("planId", PACKAGE_ID, "the plan, as in the Stigg catalog"),
    optional("resourceId", ANY_ID, "the resource, for products that allow several subscriptions for one customer"),
    optional("startDate", Kind::Time, "when it started"),
    optional("endDate", Kind::Time, "when it ends or ended"),
    optional("billingPeriod", BILLING_PERIOD, "how often it is billed; credit cadences are MONTH and YEAR instead"),
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
    optional(
        "entitlements",
        Kind::List { fields: ENTITLEMENT, exactly_one: true },
        "what this customer gets, on custom plans only",
    ),
    optional(
        "billingId",
        ANY_ID,
        "links a subscription at the billing provider; leave it out when the original will be cancelled",
    ),
    optional("salesforceId", ANY_ID, "the subscription's id in Salesforce"),
    optional(
        "updatedAt",
        Kind::Time,
        "when the source changed it; the API skips the record where Stigg has a newer one of this customer and plan",
    ),
    optional("additionalMetaData", Kind::TextMap, "free metadata; values are sent as text"),
];

pub(super) const BILLING_PERIOD: Kind = Kind::Enum(&["MONTHLY", "ANNUALLY"]);

pub(super) const BILLABLE_FEATURE: &[Field] =
    &[required("featureId", PACKAGE_ID, "the feature"), required("quantity", QUANTITY, "how many")];

pub(super) const CHARGE: &[Field] = &[
    required("id", PACKAGE_ID, "the feature or credit currency"),
    required("quantity", QUANTITY, "how many"),
    required("type", Kind::Enum(&["FEATURE", "CREDIT"]), "what `id` names"),
];

pub(super) const ADDON: &[Field] = &[
    required("addonId", PACKAGE_ID, "the add-on, as in the Stigg catalog"),
    optional("quantity", Kind::Number { min: Some(0), max: Some(i32::MAX as i64), whole: true }, "how many"),
];

const ENTITLEMENT: &[Field] = &[
    optional("feature", Kind::Object(FEATURE), "a feature"),
    optional("credit", Kind::Object(CREDIT), "credits, granted again and again"),
];

const FEATURE: &[Field] = &[
    required("featureId", PACKAGE_ID, "the feature"),
    optional("usageLimit", QUANTITY, "the limit"),
    optional("hasUnlimitedUsage", Kind::Bool, "whether there is no limit"),
    optional("hasSoftLimit", Kind::Bool, "whether usage may go beyond the limit"),
    optional("enumValues", Kind::TextList, "the values of an enum feature"),
    optional("featureGroupId", ANY_ID, "the feature group's uuid"),
    optional("resetPeriod", Kind::Enum(&["YEAR", "MONTH", "WEEK", "DAY", "HOUR"]), "when usage starts at zero again"),
    optional(
        "yearlyResetPeriodConfiguration",
        Kind::Object(&[required("accordingTo", Kind::Enum(&["SubscriptionStart"]), "where a year begins")]),
        "how a yearly reset counts",
    ),
    optional(
        "monthlyResetPeriodConfiguration",
        Kind::Object(&[required(
            "accordingTo",
            Kind::Enum(&["SubscriptionStart", "StartOfTheMonth"]),
            "where a month begins",
        )]),
        "how a monthly reset counts",
    ),
    optional(
        "weeklyResetPeriodConfiguration",
        Kind::Object(&[required(
            "accordingTo",
            Kind::Enum(&[
                "SubscriptionStart",
                "EverySunday",
                "EveryMonday",
                "EveryTuesday",
                "EveryWednesday",
                "EveryThursday",
                "EveryFriday",
                "EverySaturday",
            ]),
            "where a week begins",
        )]),
        "how a weekly reset counts",
    ),
];

const CREDIT: &[Field] = &[
    required("customCurrencyId", PACKAGE_ID, "the credit currency"),
    required("amount", QUANTITY, "credits for each cadence"),
    required(
        "cadence",
        Kind::Enum(&["MONTH", "YEAR"]),
        "how often they are granted; billing periods are MONTHLY and ANNUALLY instead",
    ),
    optional("hasSoftLimit", Kind::Bool, "whether usage may go beyond the credits"),
];
