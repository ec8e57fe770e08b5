//! The API's own scalars. Strict: a scalar that the API would not take is refused.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: milliseconds since 1970-01-01 UTC. On the wire ISO 8601 with milliseconds and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub(crate) i64);

impl DateTime {
    /// Reads ISO 8601 with an offset or `Z`.
    fn read(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|time| Self(time.as_millisecond()))
    }

    fn write(self) -> String {
        Timestamp::from_millisecond(self.0).map_or_else(
            |_| String::from("1970-01-01T00:00:00.000Z"),
            |time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        )
    }
}

#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Self::read(&text).ok_or_else(|| InputValueError::custom("not an ISO 8601 time")),
            _ => Err(InputValueError::custom("DateTime must be a string")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.write())
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.write())
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| serde::de::Error::custom(format!("not an ISO 8601 time: {text:?}")))
    }
}

/// A UUID, in lower case with hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uuid(pub(crate) String);

impl Uuid {
    /// The UUID that stands for `key` of a `kind`: the same one in every run, so that runs can be compared.
    pub(crate) fn of(kind: &str, key: &str) -> Self {
        let seed = xxhash_rust::xxh3::xxh3_64(kind.as_bytes());
        let hash = xxhash_rust::xxh3::xxh3_128_with_seed(key.as_bytes(), seed);
        Self(uuid::Builder::from_random_bytes(hash.to_be_bytes()).into_uuid().to_string())
    }
}

#[Scalar(name = "UUID")]
impl ScalarType for Uuid {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => uuid::Uuid::parse_str(&text)
                .map(|id| Self(id.to_string()))
                .map_err(|_| InputValueError::custom("not a UUID")),
            _ => Err(InputValueError::custom("UUID must be a string")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// Any JSON value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Json(pub(crate) serde_json::Value);

#[Scalar(name = "JSON")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        value.into_json().map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// Where a page ended. Opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionCursor(pub(crate) String);

#[Scalar(name = "ConnectionCursor")]
impl ScalarType for ConnectionCursor {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            _ => Err(InputValueError::custom("ConnectionCursor must be a string")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
