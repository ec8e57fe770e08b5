//! The import schemas: which fields each entity takes, and what holds for each.
//!
//! The tables are the one place where the API's fields and limits are written down; mappings are
//! compiled against them and `stigg-import schema` prints them. Source of every field: the API's
//! GraphQL schema (client release 6.25.0, 2026); of every limit: the API's REST reference (2026),
//! listed with dates in `docs/api.md`.

mod check;
mod customer;
mod event;
mod paid_subscription;
mod subscription;
mod usage;

pub use check::{Misfit, check, is_plain, plain_decimal};
pub use paid_subscription::ORIGINAL;

/// What is imported, many records in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// A customer (`importCustomersBulk`).
    Customer,
    /// A subscription on a free or custom plan (`importSubscriptionsBulk`).
    Subscription,
    /// A feature's current total for a customer (`reportUsageBulk` with `SET`).
    Usage,
    /// A raw usage event (`reportEvent`), for features that are metered from events.
    Event,
}

impl Entity {
    /// Every entity, in the order in which a migration imports them.
    pub const ALL: [Self; 4] = [Self::Customer, Self::Subscription, Self::Usage, Self::Event];

    /// The name in mapping files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Subscription => "subscription",
            Self::Usage => "usage",
            Self::Event => "event",
        }
    }

    /// The entity of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.name() == name)
    }

    /// Its fields, in the order in which they are written to JSON.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Customer => customer::FIELDS,
            Self::Subscription => subscription::FIELDS,
            Self::Usage => usage::FIELDS,
            Self::Event => event::FIELDS,
        }
    }

    /// The top-level fields whose values name a record: the same key is the same record.
    ///
    /// A missing part (no `resourceId`) is an empty one.
    pub fn key_fields(self) -> &'static [&'static str] {
        match self {
            Self::Customer => &["customerId"],
            Self::Subscription => &["subscriptionId"],
            Self::Usage => &["customerId", "featureId", "resourceId"],
            Self::Event => event::KEY_FIELDS,
        }
    }

    /// The fields that say when what a record stands for starts and ends, where it does. Among the fields the start
    /// comes first.
    pub fn span_fields(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Subscription => Some(("startDate", "endDate")),
            Self::Customer | Self::Usage | Self::Event => None,
        }
    }
}

/// What a mapping's records are: something that is imported, or a paid subscription, which is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schema {
    /// An import takes it.
    Import(Entity),
    /// A subscription on a paid plan (`provisionSubscriptionV2`), backdated, in place of an original at a billing
    /// provider. There is no import of these: each is provisioned by itself, proved, and only then is its original
    /// cancelled.
    PaidSubscription,
}

impl Schema {
    /// Every schema, in the order in which a migration needs them.
    pub const ALL: [Self; 5] = [
        Self::Import(Entity::Customer),
        Self::Import(Entity::Subscription),
        Self::PaidSubscription,
        Self::Import(Entity::Usage),
        Self::Import(Entity::Event),
    ];

    /// The name in mapping files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Import(entity) => entity.name(),
            Self::PaidSubscription => "paid_subscription",
        }
    }

    /// The schema of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|schema| schema.name() == name)
    }

    /// Its fields, in the order in which they are written to JSON. All are the API's, but for
    /// [`ORIGINAL`] of a paid subscription.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Import(entity) => entity.fields(),
            Self::PaidSubscription => paid_subscription::FIELDS,
        }
    }

    /// The top-level fields whose values name a record; see [`Entity::key_fields`].
    pub fn key_fields(self) -> &'static [&'static str] {
        match self {
            Self::Import(entity) => entity.key_fields(),
            Self::PaidSubscription => &["subscriptionId"],
        }
    }

    /// The fields of a record's start and end; see [`Entity::span_fields`].
    pub fn span_fields(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Import(entity) => entity.span_fields(),
            Self::PaidSubscription => Some(("startDate", "cancellationDate")),
        }
    }
}

/// What joins the parts of a key's text: ASCII "unit separator", which no id may hold.
pub const KEY_SEPARATOR: char = '\u{1f}';

/// One field of an entity, or of an object inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The API's name.
    pub name: &'static str,
    /// What its values look like.
    pub kind: Kind,
    /// Whether a record without it is refused. In a list's entry: whether the entry is.
    pub required: bool,
    /// What it means, for people.
    pub doc: &'static str,
}

/// What the values of a field look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An identifier: 1 to `chars_max` characters of `alphabet`.
    Id {
        /// Most characters.
        chars_max: usize,
        /// Which characters.
        alphabet: Alphabet,
    },
    /// Text of at most `chars_max` characters. Empty text counts as absent.
    Text {
        /// Most characters.
        chars_max: usize,
    },
    /// An e-mail address. Blanks around it are cut off; empty counts as absent.
    Email,
    /// An instant, written as ISO 8601 UTC with milliseconds.
    Time,
    /// A decimal number, digits kept as they are.
    Number {
        /// Smallest value, or none.
        min: Option<i64>,
        /// Largest value, or none.
        max: Option<i64>,
        /// Whether it has to be whole.
        whole: bool,
    },
    /// `true` or `false` (also written `1`/`0`, `yes`/`no`, `t`/`f`, `y`/`n`, any case).
    Bool,
    /// One of these words, in this spelling.
    Enum(&'static [&'static str]),
    /// A constant that every record carries; a mapping can't set it.
    Fixed(Constant),
    /// Free keys with text values (`additionalMetaData.legacyId`).
    TextMap,
    /// Free keys with text, number or true/false values (`dimensions.region`).
    ScalarMap,
    /// A list of texts, made from one cell split at a separator, or from several blocks.
    TextList,
    /// An object with fields of its own.
    Object(&'static [Field]),
    /// A list of objects.
    List {
        /// The fields of an entry.
        fields: &'static [Field],
        /// Whether an entry must have exactly one of its fields (`feature` or `credit`).
        exactly_one: bool,
    },
}

impl Kind {
    /// Whether it is a constant, or has one inside, so that every record carries it.
    pub fn is_fixed_somewhere(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Object(fields) => fields.iter().any(|field| field.kind.is_fixed_somewhere()),
            Self::Id { .. }
            | Self::Text { .. }
            | Self::Email
            | Self::Time
            | Self::Number { .. }
            | Self::Bool
            | Self::Enum(_)
            | Self::TextMap
            | Self::ScalarMap
            | Self::TextList
            | Self::List { .. } => false,
        }
    }
}

/// A value that every record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constant {
    /// A word.
    Word(&'static str),
    /// `true`.
    True,
}

impl Constant {
    /// As text: the word itself, or `true`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Word(word) => word,
            Self::True => "true",
        }
    }
}

/// The characters that an identifier may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// `^[a-zA-Z0-9][a-zA-Z0-9_|.@-]*$`
    Customer,
    /// `^[a-zA-Z0-9][a-zA-Z0-9_|.-]*$`
    Package,
    /// `^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`, what billing providers' ids of subscriptions are made of.
    Original,
    /// Anything but control characters and blanks at the ends.
    Any,
}

/// Most characters of an id, a name, or an e-mail address. Source: REST reference, 2026.
pub const TEXT_CHARS_MAX: usize = 255;

/// Largest absolute usage value: 2^53 - 1. Source: REST reference, "report usage", 2026.
pub const USAGE_VALUE_MAX: i64 = 9_007_199_254_740_991;

const CUSTOMER_ID: Kind = Kind::Id { chars_max: TEXT_CHARS_MAX, alphabet: Alphabet::Customer };
const PACKAGE_ID: Kind = Kind::Id { chars_max: TEXT_CHARS_MAX, alphabet: Alphabet::Package };
const ANY_ID: Kind = Kind::Id { chars_max: TEXT_CHARS_MAX, alphabet: Alphabet::Any };
const QUANTITY: Kind = Kind::Number { min: Some(0), max: None, whole: false };

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, required: true, doc }
}

const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, required: false, doc }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_field_is_a_field() {
        for schema in Schema::ALL {
            for key in schema.key_fields() {
                assert!(schema.fields().iter().any(|field| field.name == *key), "{key} of {}", schema.name());
            }
            if let Some((start, end)) = schema.span_fields() {
                let at = |name| schema.fields().iter().position(|field| field.name == name);
                assert!(at(start).is_some() && at(start) < at(end), "{start} and {end} of {}", schema.name());
            }
            assert_eq!(Schema::of_name(schema.name()), Some(schema));
        }
    }

    #[test]
    fn every_entity_has_a_schema_and_paid_subscriptions_are_no_entity() {
        for entity in Entity::ALL {
            assert_eq!(Schema::of_name(entity.name()), Some(Schema::Import(entity)));
        }
        assert_eq!(Entity::of_name(Schema::PaidSubscription.name()), None);
    }
}
