//! The answer that nearly every request gets, read in one pass: status 2xx, the root field's value, no errors.
//!
//! Whatever is not so plain is read again by [`answer::data`](crate::sink::answer::data), which knows what it means;
//! so this says nothing about what it can't read.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::sink::transport::HttpAnswer;

/// The root field's value, where the answer is plain.
pub(super) fn read<'a, T: Deserialize<'a>>(answer: &'a HttpAnswer, root_field: &str) -> Option<T> {
    if !(200..300).contains(&answer.status) {
        return None;
    }
    let text = std::str::from_utf8(&answer.body).ok()?;
    let mut json = serde_json::Deserializer::from_str(text);
    let body = Object { field: "data", refused: Some("errors"), value: Object::of(root_field, PhantomData) };
    let value = body.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(value)
}

/// An object with a field whose value is read by `value`; other fields are passed over, but for one that has to be
/// empty.
struct Object<'f, S> {
    field: &'f str,
    refused: Option<&'f str>,
    value: S,
}

impl<'f, S> Object<'f, S> {
    fn of(field: &'f str, value: S) -> Self {
        Self { field, refused: None, value }
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Object<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Object<'_, S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `{}`", self.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut seed, mut value, mut looked) = (Some(self.value), None, false);
        // A key with an escape is no borrowed text, and so not plain.
        while let Some(key) = map.next_key::<&'de str>()? {
            if key == self.field {
                let seed = seed.take().ok_or_else(|| A::Error::custom("twice"))?;
                value = Some(map.next_value_seed(seed)?);
            } else if Some(key) == self.refused {
                let listed = map.next_value::<Option<Vec<IgnoredAny>>>()?.is_some_and(|errors| !errors.is_empty());
                if listed || std::mem::replace(&mut looked, true) {
                    return Err(A::Error::custom("errors"));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        value.ok_or_else(|| A::Error::custom("missing"))
    }
}
