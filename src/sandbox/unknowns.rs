//! What the API's documents leave open, as switches: a client has to survive either behaviour.

use std::str::FromStr;
use std::time::Duration;

use super::text::{SettingError, parse_duration_ms, parse_switch};

/// Writes a switch with its choices and their names on the command line.
macro_rules! switch {
    ($(#[$doc:meta])* $name:ident { $($(#[$choice_doc:meta])* $choice:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name { $($(#[$choice_doc])* $choice),+ }

        impl $name {
            /// The choices' names.
            pub const CHOICES: &'static [&'static str] = &[$($word),+];

            /// The choice's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$choice => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = SettingError;

            fn from_str(text: &str) -> Result<Self, SettingError> {
                match text {
                    $($word => Ok(Self::$choice),)+
                    _ => Err(SettingError::Choice { given: text.to_owned(), choices: Self::CHOICES }),
                }
            }
        }
    };
}

switch!(/// What becomes of the good rows of a customer batch with a bad one. Contract 3.1, 14: unknown.
CustomerBatch {
    /// Nothing is written.
    #[default] AllOrNothing = "all-or-nothing",
    /// The good rows are written, and the answer is still an error.
    GoodKept = "good-kept",
});
switch!(/// How a bad row of a customer batch is told. Contract 3.1, 7, 14: the code of each case is unknown.
CustomerError {
    /// `FailedToImportCustomer` with `failedCustomerIds` and `failedBillingIds`.
    #[default] NamesRows = "names-rows",
    /// The row's own code (`BadUserInput`, `InvalidMetadataError`, …), without saying which row it was.
    Anonymous = "anonymous",
});
switch!(/// What becomes of the good rows of a usage batch with a bad one. Contract 3.5, 14: unknown.
UsageBatch {
    /// Nothing is written.
    #[default] AllOrNothing = "all-or-nothing",
    /// Rows before the first bad one are written.
    BeforeBadKept = "before-bad-kept",
    /// All good rows are written.
    GoodKept = "good-kept",
});
switch!(/// What `importCustomersBulk` answers. Contract 3.1: a nullable String of unknown content.
CustomerAnswer {
    /// `null`.
    #[default] Null = "null",
    /// A word.
    Word = "word",
    /// JSON in a string.
    Json = "json",
});
switch!(/// Whether a server key can read import tasks. Contract 3.3: unknown.
TaskRead {
    /// It can.
    #[default] Readable = "readable",
    /// `IdentityForbidden`.
    Refused = "refused",
});
switch!(/// Whether the id that `importSubscriptionsBulk` answers is the task's id. Contract 3.3: inferred.
TaskId {
    /// It is.
    #[default] Listed = "listed",
    /// The list has the task under another id; the answered one is not found.
    Unlisted = "unlisted",
});
switch!(/// What `importErrors[].id` is. Contract 3.3: the mapping to a row is unknown.
TaskErrorId {
    /// The subscription's id (the customer's id where the row has none).
    #[default] Subscription = "subscription",
    /// A UUID that says nothing.
    Opaque = "opaque",
});
switch!(/// HTTP status of a refused request over the rate limit. Contract 6: unknown for GraphQL.
RateLimitStatus {
    /// 429.
    #[default] TooMany = "429",
    /// 200, to be seen in the body only.
    Ok = "200",
});
switch!(/// Header that tells when to come again. Contract 6: none documented; the official client honours both.
RetryHeader {
    /// None.
    Absent = "none",
    /// `Retry-After`, whole seconds.
    #[default] RetryAfter = "retry-after",
    /// `retry-after-ms`.
    RetryAfterMs = "retry-after-ms",
});
switch!(/// HTTP status of an answer with GraphQL errors. Contract 7: 200 or 4xx.
ErrorStatus {
    /// 200.
    #[default] Ok = "200",
    /// 400.
    BadRequest = "400",
});
switch!(/// Spelling of error codes. Contract 7, 13: the sources disagree.
CodeSpelling {
    /// `BadUserInput`.
    #[default] Pascal = "pascal",
    /// `BAD_USER_INPUT`.
    Screaming = "screaming",
});
switch!(/// Whether rows of bulk requests count for the limit per entity. Contract 6: unknown.
BulkEntityLimit {
    /// They don't.
    #[default] Free = "free",
    /// Each distinct customer of a bulk request counts once.
    Counted = "counted",
});
switch!(/// Whether a server key can read `currentEnvironment`. Contract: not stated.
EnvironmentRead {
    /// It can.
    #[default] Readable = "readable",
    /// `IdentityForbidden`.
    Refused = "refused",
});
switch!(/// Whether a second subscription import can start while one runs. Contract 3.3: the error exists, its rule is unknown.
ConcurrentImports {
    /// It can.
    #[default] Allowed = "allowed",
    /// `ImportAlreadyInProgress`.
    Refused = "refused",
});
switch!(/// Where a subscription row that is wrong in itself shows. Contract 3.2: "fails validation is skipped".
SubscriptionShape {
    /// The whole request is refused with `BadUserInput`.
    #[default] Request = "request",
    /// The row is skipped, and the task lists it.
    Task = "task",
});
switch!(/// Whether `importSubscriptionsBulk` takes paid plans. Contract 2: the sources disagree. Needs a catalog.
PaidImport {
    /// The row is skipped.
    #[default] Refused = "refused",
    /// It is imported.
    Accepted = "accepted",
});
switch!(/// What `provisionSubscriptionV2` does with a subscription id that exists. Contract 3.4: unknown.
KnownSubscription {
    /// Answers the one that exists, unchanged.
    #[default] Existing = "existing",
    /// `DuplicatedEntityNotAllowed`.
    Refused = "refused",
    /// Makes a second one under a new id.
    Second = "second",
});
switch!(/// What becomes of a `SET` whose `createdAt` is before that of the stored value. Contract 5: unknown.
OlderSet {
    /// It replaces the value.
    #[default] Applied = "applied",
    /// It changes nothing.
    Ignored = "ignored",
});
switch!(/// What becomes of a `SET` with an `idempotencyKey` that was seen. Contract 5: unknown.
RepeatedSet {
    /// It replaces the value.
    #[default] Applied = "applied",
    /// It changes nothing.
    Ignored = "ignored",
});
switch!(/// How long a repeated event is known for one. Contract 3.5 says by what, not for how long.
EventRepeats {
    /// Always.
    #[default] Known = "known",
    /// For a day; after it, it counts again.
    ForADay = "for-a-day",
});
switch!(/// By what the rate limit counts. Contract 6: unknown.
RateLimitBy {
    /// By root field (`importCustomersBulk`).
    #[default] RootField = "root-field",
    /// By operation name (`ImportCustomerBulk`), else by root field.
    OperationName = "operation-name",
});
switch!(/// How old the server's schema is. Contract 15: it refuses newer input fields.
SchemaAge {
    /// As `schema.graphql`.
    #[default] Current = "current",
    /// Before `idempotencyKey` on usage (6.12).
    BeforeUsageKeys = "before-usage-keys",
    /// Before that and `entitlements` on imported subscriptions (5.230).
    BeforeEntitlements = "before-entitlements",
});

/// Every switch, and one number. The default is what the contract finds most likely.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unknowns {
    /// `customer-batch`
    pub customer_batch: CustomerBatch,
    /// `customer-error`
    pub customer_error: CustomerError,
    /// `customer-answer`
    pub customer_answer: CustomerAnswer,
    /// `usage-batch`
    pub usage_batch: UsageBatch,
    /// `task-read`
    pub task_read: TaskRead,
    /// `task-id`
    pub task_id: TaskId,
    /// `task-error-id`
    pub task_error_id: TaskErrorId,
    /// `rate-limit-status`
    pub rate_limit_status: RateLimitStatus,
    /// `retry-header`
    pub retry_header: RetryHeader,
    /// `rate-limit-by`
    pub rate_limit_by: RateLimitBy,
    /// `error-status`
    pub error_status: ErrorStatus,
    /// `code-spelling`
    pub code_spelling: CodeSpelling,
    /// `bulk-entity-limit`
    pub bulk_entity_limit: BulkEntityLimit,
    /// `environment-read`
    pub environment_read: EnvironmentRead,
    /// `concurrent-imports`
    pub concurrent_imports: ConcurrentImports,
    /// `subscription-shape`
    pub subscription_shape: SubscriptionShape,
    /// `paid-import`
    pub paid_import: PaidImport,
    /// `known-subscription`
    pub known_subscription: KnownSubscription,
    /// `older-set`
    pub older_set: OlderSet,
    /// `repeated-set`
    pub repeated_set: RepeatedSet,
    /// `event-repeats`
    pub event_repeats: EventRepeats,
    /// `schema-age`
    pub schema_age: SchemaAge,
    /// `read-delay-ms`: how long a subscription that an import wrote stays invisible to reads (contract 3.3: reads after
    /// an asynchronous import; whether they lag is unknown). Default: 0.
    pub read_delay: Duration,
}

impl Unknowns {
    /// Names of the settings that [`Unknowns::set`] takes.
    pub const NAMES: &'static [&'static str] = &[
        "customer-batch",
        "customer-error",
        "customer-answer",
        "usage-batch",
        "task-read",
        "task-id",
        "task-error-id",
        "rate-limit-status",
        "retry-header",
        "rate-limit-by",
        "error-status",
        "code-spelling",
        "bulk-entity-limit",
        "environment-read",
        "concurrent-imports",
        "subscription-shape",
        "paid-import",
        "known-subscription",
        "older-set",
        "repeated-set",
        "event-repeats",
        "schema-age",
        "read-delay-ms",
    ];

    /// Sets one switch from `NAME=CHOICE`, as on the command line.
    ///
    /// # Errors
    ///
    /// Says which names or choices there are. Nothing was changed.
    pub fn set(&mut self, setting: &str) -> Result<(), SettingError> {
        let (name, choice) = parse_switch(setting, "NAME=CHOICE")?;
        match name {
            "customer-batch" => self.customer_batch = choice.parse()?,
            "customer-error" => self.customer_error = choice.parse()?,
            "customer-answer" => self.customer_answer = choice.parse()?,
            "usage-batch" => self.usage_batch = choice.parse()?,
            "task-read" => self.task_read = choice.parse()?,
            "task-id" => self.task_id = choice.parse()?,
            "task-error-id" => self.task_error_id = choice.parse()?,
            "rate-limit-status" => self.rate_limit_status = choice.parse()?,
            "retry-header" => self.retry_header = choice.parse()?,
            "rate-limit-by" => self.rate_limit_by = choice.parse()?,
            "error-status" => self.error_status = choice.parse()?,
            "code-spelling" => self.code_spelling = choice.parse()?,
            "bulk-entity-limit" => self.bulk_entity_limit = choice.parse()?,
            "environment-read" => self.environment_read = choice.parse()?,
            "concurrent-imports" => self.concurrent_imports = choice.parse()?,
            "subscription-shape" => self.subscription_shape = choice.parse()?,
            "paid-import" => self.paid_import = choice.parse()?,
            "known-subscription" => self.known_subscription = choice.parse()?,
            "older-set" => self.older_set = choice.parse()?,
            "repeated-set" => self.repeated_set = choice.parse()?,
            "event-repeats" => self.event_repeats = choice.parse()?,
            "schema-age" => self.schema_age = choice.parse()?,
            "read-delay-ms" => self.read_delay = parse_duration_ms(choice)?,
            _ => return Err(SettingError::Name { given: name.to_owned(), names: Self::NAMES }),
        }
        Ok(())
    }
}

/// Reads a comma-separated list of `NAME=CHOICE`; an empty text is the default.
impl FromStr for Unknowns {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let mut unknowns = Self::default();
        for setting in text.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            unknowns.set(setting)?;
        }
        Ok(unknowns)
    }
}
