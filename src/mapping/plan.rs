//! A mapping made ready for one source's columns.

use std::path::Path;
use std::sync::Arc;

use crate::entity::{Kind, Schema};
use crate::record::Row;

use super::aggregate::SpillSettings;
use super::expr::{Expr, Names, Scope};
use super::fault::Fault;
use super::mapper::Mapper;
use super::rule::{Rule, Text};
use super::spec::{How, RejectSpec};

/// A mapping compiled for a source: columns are positions, names are ready-made JSON.
///
/// It is immutable and can be shared between threads; each [`Mapper`] has one.
#[derive(Debug)]
pub struct Plan {
    pub(super) schema: Schema,
    pub(super) columns: Arc<[Box<str>]>,
    pub(super) names: Arc<Names>,
    pub(super) now_ms: i64,
    /// Whether there is an expression anywhere.
    pub(super) scoped: bool,
    pub(super) filter: Option<Arc<Expr>>,
    pub(super) checks: Vec<ValuePlan>,
    pub(super) rejects: Vec<RejectSpec>,
    pub(super) group: Option<usize>,
    pub(super) aggregate: Option<AggregatePlan>,
    pub(super) shapes: Vec<Shape>,
}

impl Plan {
    /// What its records are.
    pub fn schema(&self) -> Schema {
        self.schema
    }

    /// The columns that it was compiled for.
    pub fn columns(&self) -> &Arc<[Box<str>]> {
        &self.columns
    }

    /// A mapper of its own that keeps at most 16 MiB of open totals and puts more into `spill_dir`.
    pub fn mapper(self: &Arc<Self>, spill_dir: &Path) -> Mapper {
        Mapper::new(self.clone(), SpillSettings::in_dir(spill_dir))
    }

    /// What is to become of a row before its fields are looked at.
    pub(super) fn judge(&self, at: At<'_>) -> Result<Verdict, Box<Fault>> {
        if let Some(filter) = &self.filter
            && !at.test(filter)?
        {
            return Ok(Verdict::Filtered);
        }
        for check in &self.checks {
            if check.text(at)?.is_none() && check.required {
                return Err(check.empty());
            }
        }
        for reject in &self.rejects {
            if at.test(&reject.when)? {
                return Err(Fault::new(reject.because.clone()));
            }
        }
        Ok(Verdict::Kept)
    }
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Kept,
    Filtered,
}

/// One record that a row makes.
#[derive(Debug)]
pub(super) struct Shape {
    pub when: Option<Arc<Expr>>,
    pub fields: Vec<FieldPlan>,
    /// For totals.
    pub event: Option<EventPlan>,
}

/// One field, or one key of a free map.
#[derive(Debug)]
pub(super) struct FieldPlan {
    pub path: Box<str>,
    /// `,"name":`
    pub lead: Box<[u8]>,
    pub required: bool,
    /// Whether its text is a part of the record's key.
    pub key: bool,
    /// Whether it is one end of the time that the record covers.
    pub span: Option<SpanEnd>,
    pub node: Node,
}

/// The two ends of the time that a record covers. The start comes first among the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpanEnd {
    Start,
    End,
}

/// What a field is given.
#[derive(Debug)]
pub(super) enum Node {
    /// A key part that the mapping leaves out.
    Missing,
    Fixed(Box<[u8]>),
    Value(ValuePlan),
    /// JSON, checked against the kind.
    Json {
        value: ValuePlan,
        kind: Kind,
    },
    Object(Vec<FieldPlan>),
    Texts(Vec<ValuePlan>),
    List(Vec<EntryPlan>),
}

/// One entry of a list.
#[derive(Debug)]
pub(super) struct EntryPlan {
    pub when: Option<Arc<Expr>>,
    pub fields: Vec<FieldPlan>,
}

/// One value.
#[derive(Debug, Clone)]
pub(super) struct ValuePlan {
    pub path: Box<str>,
    pub source: Source,
    pub required: bool,
    pub split: Option<Box<str>>,
    pub rule: Arc<Rule>,
    /// Where it comes from, for people: "column `Plan`".
    pub origin: Box<str>,
}

/// Where a value's text comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Column(usize),
    /// Optional columns that the source doesn't have.
    Nowhere,
    Const(Box<str>),
    Join {
        columns: Vec<usize>,
        join: Box<str>,
    },
    First(Vec<usize>),
    Expr(Arc<Expr>),
}

/// How totals are made.
#[derive(Debug)]
pub(super) struct AggregatePlan {
    pub how: How,
    pub distinct: Option<usize>,
    /// Columns that the mapping reads: two events with the same cells there are one.
    pub content: Vec<usize>,
    pub order: Option<ValuePlan>,
}

/// The values of one event.
#[derive(Debug)]
pub(super) struct EventPlan {
    pub keys: Vec<Option<ValuePlan>>,
    pub value: Option<ValuePlan>,
    pub created: Option<ValuePlan>,
}

/// A row, and what expressions see of it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub row: Row<'a>,
    pub scope: Option<&'a Scope>,
}

impl At<'_> {
    pub fn test(&self, expr: &Expr) -> Result<bool, Box<Fault>> {
        expr.test(self.scope.expect("a plan with an expression has a scope").at(self.row.index()))
    }

    fn text(&self, expr: &Expr) -> Result<Option<String>, Box<Fault>> {
        expr.text(self.scope.expect("a plan with an expression has a scope").at(self.row.index()))
    }
}

impl ValuePlan {
    /// Its text. `None`: it is empty, and so absent; whether it may be, the caller knows.
    // Always: out of line, what it gives is moved through memory in wider pieces than it was written in, and the processor waits for
    // each. That was a tenth of the time that mapping took.
    #[inline(always)]
    pub fn text<'a>(&'a self, at: At<'a>) -> Result<Option<Text<'a>>, Box<Fault>> {
        let mut text = match &self.source {
            Source::Column(column) => match at.row.cell(*column) {
                Some(cell) => self.rule.apply(cell),
                None => Ok(self.default()),
            },
            _ => self.gathered(at),
        };
        if let Err(fault) = &mut text {
            fault.name(&self.path);
        }
        text
    }

    fn gathered<'a>(&'a self, at: At<'a>) -> Result<Option<Text<'a>>, Box<Fault>> {
        match &self.source {
            Source::Column(_) | Source::Nowhere => Ok(self.default()),
            Source::Const(text) => Ok(Some(Text::Borrowed(text))),
            Source::First(columns) => {
                for column in columns {
                    let cell = at.row.cell(*column).unwrap_or("");
                    let is_null = self.rule.nulls.iter().any(|word| **word == *cell.trim());
                    if !cell.trim().is_empty() && !is_null {
                        return self.rule.apply(cell);
                    }
                }
                Ok(self.default())
            }
            Source::Join { columns, join } => {
                let mut joined = String::new();
                for column in columns {
                    let cell = at.row.cell(*column).unwrap_or("").trim();
                    if cell.is_empty() || self.rule.nulls.iter().any(|word| **word == *cell) {
                        continue;
                    }
                    if !joined.is_empty() {
                        joined.push_str(join);
                    }
                    joined.push_str(cell);
                }
                Ok(self.rule.apply(&joined)?.map(Text::into_owned))
            }
            Source::Expr(expr) => match at.text(expr)? {
                Some(text) => Ok(self.rule.apply(&text)?.map(Text::into_owned)),
                None => Ok(self.default()),
            },
        }
    }

    fn default(&self) -> Option<Text<'_>> {
        self.rule.default.as_deref().map(Text::Borrowed)
    }

    /// The fault of a value that is needed and empty.
    pub fn empty(&self) -> Box<Fault> {
        Fault::new(format!("is empty, and is needed; it comes from {}", self.origin)).at(&self.path)
    }
}
