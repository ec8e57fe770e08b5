//! `ReportUsageBaseInput`. Source: contract 3.5.

use super::{ANY_ID, CUSTOMER_ID, Constant, Field, Kind, PACKAGE_ID, USAGE_VALUE_MAX, optional, required};

pub(super) const FIELDS: &[Field] = &[
    required("customerId", CUSTOMER_ID, "the customer"),
    required("featureId", PACKAGE_ID, "a metered feature whose usage is calculated by you"),
    optional("resourceId", ANY_ID, "the resource, for products that allow several subscriptions for one customer"),
    required(
        "value",
        Kind::Number { min: Some(-USAGE_VALUE_MAX), max: Some(USAGE_VALUE_MAX), whole: false },
        "the current total; it replaces what Stigg has",
    ),
    required(
        "updateBehavior",
        Kind::Fixed(Constant::Word("SET")),
        "always SET: the API's default adds to what is there, so that a second run would double it",
    ),
    optional("createdAt", Kind::Time, "when the value was read, where the source knows it"),
    optional("dimensions", Kind::ScalarMap, "free dimensions"),
    optional("idempotencyKey", ANY_ID, "names this report at the API"),
];
