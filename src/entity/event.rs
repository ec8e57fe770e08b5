//! `UsageEventReportInput`. Source: contract 3.5.
//!
//! The API takes two events for one when customer, resource, name, time and idempotency key are the same. So these five
//! are the key here too. The time has to be known for that: left out, the API would take the time of arrival, and an
//! event that is sent again after a lost answer would count twice.

use super::{Alphabet, CUSTOMER_ID, Field, Kind, optional, required};

/// Most characters of a name or a key. The API publishes no limit for them, only the event's: 1 MB (GraphQL schema,
/// client release 6.25.0, 2026).
const CHARS_MAX: usize = 1_000_000;

const UNLIMITED_ID: Kind = Kind::Id { chars_max: CHARS_MAX, alphabet: Alphabet::Any };

pub(super) const KEY_FIELDS: &[&str] = &["customerId", "resourceId", "eventName", "timestamp", "idempotencyKey"];

pub(super) const FIELDS: &[Field] = &[
    required("customerId", CUSTOMER_ID, "the customer"),
    required("eventName", UNLIMITED_ID, "the event's name, by which a feature's meter finds it"),
    required(
        "idempotencyKey",
        UNLIMITED_ID,
        "names the event: the same key, customer, resource, name and time are the same event, and count once. \
         A column, or several joined; it must be the same whenever the event is sent",
    ),
    optional(
        "resourceId",
        UNLIMITED_ID,
        "the resource, for products that allow several subscriptions for one customer",
    ),
    required(
        "timestamp",
        Kind::Time,
        "when it happened. The API would take the time of arrival; then an event that is sent again would count twice",
    ),
    optional("dimensions", Kind::ScalarMap, "what the meter filters and adds up: texts, numbers, true and false"),
];
