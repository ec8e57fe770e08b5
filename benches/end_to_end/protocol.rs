//! What the counting server understands of a request, and what it answers: as little as possible,
//! so that it takes next to nothing from the program that is measured.

use memchr::memmem;

/// An operation of the API, by its root field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `reportUsageBulk`
    Usage,
    /// `importCustomersBulk`
    Customers,
    /// `importSubscriptionsBulk`
    Subscriptions,
    /// A bare JSON list of rows, from programs that speak no GraphQL.
    Rows,
    /// `importIntegrationTasks`
    Task,
    /// `currentEnvironment`
    Environment,
    /// Anything else, which is answered with an error.
    Unknown,
}

impl Operation {
    /// The ones that write, which have a rate limit.
    pub const WRITES: [Self; 4] = [Self::Usage, Self::Customers, Self::Subscriptions, Self::Rows];

    /// Its name in the counts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "reportUsageBulk",
            Self::Customers => "importCustomersBulk",
            Self::Subscriptions => "importSubscriptionsBulk",
            Self::Rows => "rows",
            Self::Task => "importIntegrationTasks",
            Self::Environment => "currentEnvironment",
            Self::Unknown => "unknown",
        }
    }

    /// Requests a minute. Source: the vendor's rate-limit page, 2026; it gives none for subscriptions.
    /// Only writes are limited here.
    pub fn limit_per_minute(self) -> u32 {
        match self {
            Self::Usage | Self::Rows => 600,
            _ => 250,
        }
    }

    /// The operation of a request's body, and what follows its root field.
    pub fn of(body: &[u8]) -> (Self, &[u8]) {
        if body.starts_with(b"[") {
            return (Self::Rows, &[]);
        }
        // The operation's name starts with a capital and the root field does not: no confusion.
        for operation in [Self::Usage, Self::Customers, Self::Subscriptions, Self::Task, Self::Environment] {
            if let Some(at) = memmem::find(body, operation.name().as_bytes()) {
                return (operation, &body[at + operation.name().len()..]);
            }
        }
        (Self::Unknown, &[])
    }
}

/// How many records a request holds: each names its customer once.
pub fn count_records(operation: Operation, body: &[u8]) -> usize {
    match operation {
        Operation::Usage | Operation::Customers | Operation::Subscriptions => {
            memmem::find_iter(body, br#""customerId":"#).count()
        }
        Operation::Rows => memmem::find_iter(body, br#""customer_id":"#).count(),
        Operation::Task | Operation::Environment | Operation::Unknown => 0,
    }
}

/// Writes the answer to a request of `records` records.
pub fn answer(operation: Operation, body: &[u8], after_root: &[u8], records: usize) -> Vec<u8> {
    match operation {
        Operation::Usage => usage_answer(body, after_root, records),
        Operation::Rows => b"{}".to_vec(),
        Operation::Customers => br#"{"data":{"importCustomersBulk":"ok"}}"#.to_vec(),
        Operation::Subscriptions => {
            br#"{"data":{"importSubscriptionsBulk":"01890000-0000-7000-8000-000000000001"}}"#.to_vec()
        }
        Operation::Task => concat!(
            r#"{"data":{"importIntegrationTasks":{"edges":[{"node":{"id":"01890000-0000-7000-8000-000000000001","#,
            r#""taskType":"IMPORT_SUBSCRIPTIONS_BULK","status":"COMPLETED","progress":100,"totalSubtasksCount":1,"#,
            r#""startDate":"2026-01-01T00:00:00.000Z","endDate":"2026-01-01T00:00:01.000Z","importErrors":[]}}]}}}"#
        )
        .into(),
        Operation::Environment => br#"{"data":{"currentEnvironment":"bench"}}"#.to_vec(),
        Operation::Unknown => error("BadUserInput", "the counting server does not know this operation"),
    }
}

/// A GraphQL answer with one error.
pub fn error(code: &str, message: &str) -> Vec<u8> {
    format!(r#"{{"data":null,"errors":[{{"message":"{message}","extensions":{{"code":"{code}"}}}}]}}"#).into()
}

/// One measurement for each record with the fields that were asked for, values as they came.
fn usage_answer(body: &[u8], after_root: &[u8], records: usize) -> Vec<u8> {
    let fields: Vec<Field<'_>> = selection(after_root).into_iter().map(Field::of).collect();
    let echoes = fields.iter().any(|field| matches!(field.value, FieldValue::Echoed(_)));
    let mut out = Vec::with_capacity(64 + records * fields.len() * 32);
    out.extend_from_slice(br#"{"data":{"reportUsageBulk":["#);
    let starts: Vec<usize> =
        if echoes { memmem::find_iter(body, br#""customerId":"#).collect() } else { vec![0; records] };
    for (index, start) in starts.iter().enumerate() {
        let record = if echoes { &body[*start..starts.get(index + 1).copied().unwrap_or(body.len())] } else { &[] };
        out.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        for (position, field) in fields.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(field.name);
            out.extend_from_slice(b"\":");
            match &field.value {
                FieldValue::Id => {
                    let digit = |power: usize| b'0' + (index / power % 10) as u8;
                    out.extend_from_slice(br#""01890000-0000-7000-8000-000000000"#);
                    out.extend_from_slice(&[digit(100), digit(10), digit(1), b'"']);
                }
                FieldValue::Fixed(json) => out.extend_from_slice(json),
                FieldValue::Echoed(name) => out.extend_from_slice(value_of(record, name)),
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}}");
    out
}

/// A field that was asked for.
struct Field<'a> {
    name: &'a [u8],
    value: FieldValue,
}

/// Where its value comes from.
enum FieldValue {
    /// A number of the record's, as a UUID.
    Id,
    Fixed(&'static [u8]),
    /// From the request, behind this name. Searching for it is prepared once for a request: it takes longer than finding it.
    Echoed(Box<memmem::Finder<'static>>),
}

impl<'a> Field<'a> {
    fn of(name: &'a [u8]) -> Self {
        let echoed = |name: &'static [u8]| FieldValue::Echoed(Box::new(memmem::Finder::new(name)));
        let value = match name {
            b"id" => FieldValue::Id,
            b"customerId" => echoed(br#""customerId":"#),
            b"featureId" => echoed(br#""featureId":"#),
            b"resourceId" => echoed(br#""resourceId":"#),
            b"value" | b"currentUsage" => echoed(br#""value":"#),
            b"timestamp" | b"createdAt" => FieldValue::Fixed(br#""2026-07-01T00:00:00.000Z""#),
            b"__typename" => FieldValue::Fixed(br#""UsageMeasurementWithCurrentUsage""#),
            _ => FieldValue::Fixed(b"null"),
        };
        Self { name, value }
    }
}

/// The names between the braces that follow a root field; a blank may be an escaped line break.
fn selection(after_root: &[u8]) -> Vec<&[u8]> {
    let Some(open) = memchr::memchr(b'{', after_root) else { return Vec::new() };
    let inside = &after_root[open + 1..];
    let inside = &inside[..memchr::memchr(b'}', inside).unwrap_or(inside.len())];
    inside
        .split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte != b'\\')
        .map(|name| name.strip_prefix(br"\n").unwrap_or(name))
        .map(|name| name.strip_suffix(br"\n").unwrap_or(name))
        .filter(|name| !name.is_empty())
        .collect()
}

/// The JSON of a record's field, `null` where it has none. Ids hold neither quotes nor commas here.
fn value_of<'a>(record: &'a [u8], name: &memmem::Finder<'_>) -> &'a [u8] {
    match name.find(record) {
        Some(at) => {
            let rest = &record[at + name.needle().len()..];
            &rest[..memchr::memchr2(b',', b'}', rest).unwrap_or(rest.len())]
        }
        None => b"null",
    }
}
