//! `ImportCustomerInput`. Source: contract 3.1.

use super::{ANY_ID, CUSTOMER_ID, Field, Kind, TEXT_CHARS_MAX, optional, required};

pub(super) const FIELDS: &[Field] = &[
    required(
        "customerId",
        CUSTOMER_ID,
        "your id of the customer; the import updates the customer that has it, or creates one",
    ),
    optional("email", Kind::Email, "e-mail address"),
    optional("name", Kind::Text { chars_max: TEXT_CHARS_MAX }, "name"),
    optional(
        "billingId",
        ANY_ID,
        "the customer's id at the billing provider (`cus_…`), for customers that exist there",
    ),
    optional(
        "paymentMethodId",
        ANY_ID,
        "the default payment method's id at the billing provider (`pm_…`), for paid plans",
    ),
    optional("salesforceId", ANY_ID, "the customer's id in Salesforce"),
    optional(
        "updatedAt",
        Kind::Time,
        "when the source changed the customer; the API skips the record where Stigg has a newer one",
    ),
    optional("additionalMetaData", Kind::TextMap, "free metadata; values are sent as text"),
];
