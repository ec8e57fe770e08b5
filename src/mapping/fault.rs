//! Why a row makes no record.

use std::borrow::Cow;

use crate::record::{Reject, Row};

/// A value that does not fit: the target field, the value, and a clause for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub field: Option<Box<str>>,
    pub value: Option<Box<str>>,
    pub reason: Cow<'static, str>,
}

impl Fault {
    /// A fault of `value`, whose field the caller adds. The value is cut: it may be megabytes.
    pub fn of_value(value: &str, reason: impl Into<Cow<'static, str>>) -> Box<Self> {
        let value: String = value.chars().take(Reject::VALUE_CHARS_MAX).collect();
        Box::new(Self { field: None, value: Some(value.into()), reason: reason.into() })
    }

    /// A fault without a value.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { field: None, value: None, reason: reason.into() })
    }

    /// Names the field, unless something inside has done so.
    pub fn at(mut self: Box<Self>, field: &str) -> Box<Self> {
        self.name(field);
        self
    }

    /// [`Self::at`], where it is.
    pub fn name(&mut self, field: &str) {
        self.field.get_or_insert_with(|| field.into());
    }

    /// The reject of a row.
    pub fn reject(&self, row: Row<'_>) -> Reject {
        Reject::of_row(row, self.field.as_deref(), self.value.as_deref(), self.reason.clone())
    }
}
