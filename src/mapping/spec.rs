//! A mapping as it was written: checked as far as that goes without a source's columns.

use std::sync::Arc;

use crate::entity::Field;

use super::expr::Expr;
use super::rule::Rule;

pub(super) use crate::document::{Named, Span};

/// Where a value's text comes from.
#[derive(Debug, Clone)]
pub(super) enum SourceSpec {
    Column(Named),
    /// Already in the form that is sent.
    Const(Box<str>),
    Join {
        columns: Vec<Named>,
        join: Box<str>,
    },
    First(Vec<Named>),
    Expr(Arc<Expr>),
}

/// One value: where it comes from and what is done to it.
#[derive(Debug, Clone)]
pub(super) struct ValueSpec {
    pub span: Span,
    pub source: SourceSpec,
    /// Columns that do not exist count as empty.
    pub optional: bool,
    pub required: bool,
    /// For lists of texts: the separator of the cell.
    pub split: Option<Box<str>>,
    pub rule: Arc<Rule>,
}

/// A free map's part that takes every column of a pattern.
#[derive(Debug, Clone)]
pub(super) struct Matching {
    pub prefix: String,
    pub suffix: String,
    pub rule: Arc<Rule>,
}

/// What a field is given.
#[derive(Debug, Clone)]
pub(super) enum NodeSpec {
    Value(ValueSpec),
    /// A cell's JSON is all of it.
    Json(ValueSpec),
    Object(Vec<FieldSpec>),
    Map {
        entries: Vec<(String, ValueSpec)>,
        matching: Vec<Matching>,
    },
    Texts(Vec<ValueSpec>),
    List(Vec<EntrySpec>),
}

/// One field of the entity, or of an object in it.
#[derive(Debug, Clone)]
pub(super) struct FieldSpec {
    pub field: &'static Field,
    pub span: Span,
    pub node: NodeSpec,
}

/// One entry of a list.
#[derive(Debug, Clone)]
pub(super) struct EntrySpec {
    pub when: Option<Arc<Expr>>,
    pub fields: Vec<FieldSpec>,
    /// Exactly one of the fields is given, so that one is needed.
    pub exactly_one: bool,
}

/// One record that a row makes.
#[derive(Debug, Clone)]
pub(super) struct ShapeSpec {
    pub when: Option<Arc<Expr>>,
    pub fields: Vec<FieldSpec>,
}

/// A value that is checked and not sent.
#[derive(Debug, Clone)]
pub(super) struct CheckSpec {
    pub name: String,
    pub value: ValueSpec,
}

/// A reject of the user's own.
#[derive(Debug, Clone)]
pub(super) struct RejectSpec {
    pub when: Arc<Expr>,
    pub because: String,
}

/// How the events of a total become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Sum,
    Last,
    Max,
    Count,
}

impl How {
    pub const NAMES: [&'static str; 4] = ["sum", "last", "max", "count"];

    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "last" => Self::Last,
            "max" => Self::Max,
            "count" => Self::Count,
            _ => return None,
        })
    }
}

/// `aggregate`.
#[derive(Debug, Clone)]
pub(super) struct AggregateSpec {
    pub how: How,
    pub distinct: Option<Named>,
    pub order: Option<ValueSpec>,
}

/// One `[[example]]`.
#[derive(Debug, Clone)]
pub(super) struct ExampleSpec {
    pub span: Span,
    pub rows: Vec<Vec<(String, String)>>,
    pub expect: Expect,
}

/// What an example promises.
#[derive(Debug, Clone)]
pub(super) enum Expect {
    Gives(Vec<serde_json::Value>),
    Rejects(String),
    Filtered,
}
