//! From a mapping and a source's columns to a plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::Clock;
use crate::entity::{Field, Kind, Schema};
use crate::problem::{Problem, Problems, did_you_mean};

use super::expr::{Expr, Names};
use super::file::MappingFile;
use super::json;
use super::plan::{AggregatePlan, EntryPlan, EventPlan, FieldPlan, Node, Plan, Shape, Source, SpanEnd, ValuePlan};
use super::spec::{EntrySpec, FieldSpec, Matching, Named, NodeSpec, ShapeSpec, SourceSpec, ValueSpec};

/// Most columns that a hint lists.
const COLUMNS_LISTED_MAX: usize = 12;

/// Makes a mapping ready for a source with these columns. `clock` is what `now` says in
/// expressions: one instant for all rows of a plan.
///
/// # Errors
///
/// A problem for each place that names a column that the source doesn't have.
pub fn compile(file: &MappingFile, columns: &Arc<[Box<str>]>, clock: &dyn Clock) -> Result<Plan, Problems> {
    let mut names = Names::new();
    for (name, at) in columns.iter().zip(0u32..) {
        names.entry(name.clone()).or_insert(at);
    }
    let mut compiler = Compiler { file, columns, names, read: BTreeSet::new(), problems: Vec::new() };
    let filter = file.filter.clone().inspect(|expr| compiler.reads(expr));
    let checks = file.checks.iter().map(|check| compiler.value(&check.value, &check.name)).collect();
    for reject in &file.rejects {
        compiler.reads(&reject.when);
    }
    let group = file.group.as_ref().and_then(|column| compiler.column(column, false));
    let shapes: Vec<Shape> = file.shapes.iter().map(|shape| compiler.shape(shape)).collect();
    let aggregate = file.aggregate.as_ref().map(|spec| AggregatePlan {
        how: spec.how,
        distinct: spec.distinct.as_ref().and_then(|column| compiler.column(column, false)),
        order: spec.order.as_ref().map(|order| compiler.value(order, "order")),
        content: compiler.read_in_name_order(),
    });
    if !compiler.problems.is_empty() {
        let mut problems = compiler.problems;
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        return Err(Problems(problems));
    }
    Ok(Plan {
        schema: file.schema,
        columns: columns.clone(),
        names: Arc::new(compiler.names),
        now_ms: clock.now().as_millisecond(),
        scoped: file.has_expressions(),
        filter,
        checks,
        rejects: file.rejects.clone(),
        group,
        aggregate,
        shapes,
    })
}

struct Compiler<'f> {
    file: &'f MappingFile,
    columns: &'f Arc<[Box<str>]>,
    names: Names,
    read: BTreeSet<usize>,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    fn column(&mut self, column: &Named, optional: bool) -> Option<usize> {
        if let Some(at) = self.names.get(&*column.text) {
            let at = *at as usize;
            self.read.insert(at);
            return Some(at);
        }
        if !optional {
            let problem = self.missing(&column.text, column.span.clone());
            self.problems.push(problem);
        }
        None
    }

    fn missing(&self, name: &str, span: std::ops::Range<usize>) -> Problem {
        let problem = self.file.problem(span, format!("the source has no column `{name}`"));
        if let Some(near) = did_you_mean(name, self.columns.iter().map(|column| &**column)) {
            return problem.hint(format!("did you mean `{near}`?"));
        }
        let listed: Vec<&str> = self.columns.iter().take(COLUMNS_LISTED_MAX).map(|column| &**column).collect();
        let more = if self.columns.len() > listed.len() { ", …" } else { "" };
        problem.hint(format!("its columns are {}{more}", listed.join(", ")))
    }

    fn reads(&mut self, expr: &Expr) {
        for reference in &expr.references {
            let column = Named { text: reference.name.clone(), span: expr.span.clone() };
            self.column(&column, reference.optional);
        }
    }

    fn columns_of(&mut self, columns: &[Named], optional: bool) -> Vec<usize> {
        columns.iter().filter_map(|column| self.column(column, optional)).collect()
    }

    /// Columns that are read, in an order that is the same for every header.
    fn read_in_name_order(&self) -> Vec<usize> {
        let mut read: Vec<usize> = self.read.iter().copied().collect();
        read.sort_by_key(|at| &self.columns[*at]);
        read
    }

    fn value(&mut self, spec: &ValueSpec, path: &str) -> ValuePlan {
        let listed = |columns: &[Named]| {
            let names: Vec<String> = columns.iter().map(|column| format!("`{}`", column.text)).collect();
            format!("columns {}", names.join(", "))
        };
        let (source, origin) = match &spec.source {
            SourceSpec::Column(column) => {
                let found = self.column(column, spec.optional);
                (found.map_or(Source::Nowhere, Source::Column), format!("column `{}`", column.text))
            }
            SourceSpec::Const(text) => (Source::Const(text.clone()), "a constant".to_owned()),
            SourceSpec::Join { columns, join } => {
                let found = self.columns_of(columns, spec.optional);
                (Source::Join { columns: found, join: join.clone() }, listed(columns))
            }
            SourceSpec::First(columns) => (Source::First(self.columns_of(columns, spec.optional)), listed(columns)),
            SourceSpec::Expr(expr) => {
                self.reads(expr);
                (Source::Expr(expr.clone()), "an expression".to_owned())
            }
        };
        let nowhere = match &source {
            Source::Nowhere => true,
            Source::Join { columns, .. } | Source::First(columns) => columns.is_empty(),
            Source::Column(_) | Source::Const(_) | Source::Expr(_) => false,
        };
        if nowhere && spec.optional && spec.required && spec.rule.default.is_none() {
            let message = format!("`{path}` is needed, and the source has none of its columns");
            let problem = self.file.problem(spec.span.clone(), message);
            self.problems.push(problem.hint(format!("it comes from {origin}")));
        }
        ValuePlan {
            path: path.into(),
            source,
            required: spec.required,
            split: spec.split.clone(),
            rule: spec.rule.clone(),
            origin: origin.into(),
        }
    }

    fn shape(&mut self, spec: &ShapeSpec) -> Shape {
        if let Some(when) = &spec.when {
            self.reads(when);
        }
        let schema = self.file.schema;
        let mut fields = Vec::new();
        for field in schema.fields() {
            let key = schema.key_fields().contains(&field.name);
            let given = spec.fields.iter().find(|given| given.field.name == field.name);
            let plan = match (given, fixed(field, "")) {
                (Some(given), _) => self.field(given, ""),
                (None, Some(plan)) => plan,
                (None, None) if key => plan_of(field.name, field.name, false, Node::Missing),
                (None, None) => continue,
            };
            let span = match schema.span_fields() {
                Some((start, _)) if start == field.name => Some(SpanEnd::Start),
                Some((_, end)) if end == field.name => Some(SpanEnd::End),
                Some(_) | None => None,
            };
            fields.push(FieldPlan { key, span, ..plan });
        }
        let event = self.file.aggregate.as_ref().map(|_| self.event(spec, schema));
        Shape { when: spec.when.clone(), fields, event }
    }

    fn event(&mut self, spec: &ShapeSpec, schema: Schema) -> EventPlan {
        let mut value = |name: &str| {
            spec.fields.iter().find(|given| given.field.name == name).and_then(|given| match &given.node {
                NodeSpec::Value(value) => Some(self.value(value, name)),
                _ => None,
            })
        };
        EventPlan {
            keys: schema.key_fields().iter().map(|name| value(name)).collect(),
            value: value("value"),
            created: value("createdAt"),
        }
    }

    fn field(&mut self, spec: &FieldSpec, path: &str) -> FieldPlan {
        let name = spec.field.name;
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let mut required = spec.field.required;
        let node = match &spec.node {
            NodeSpec::Value(value) => {
                required |= value.required;
                Node::Value(self.value(value, &path))
            }
            NodeSpec::Json(value) => {
                required |= value.required;
                Node::Json { value: self.value(value, &path), kind: spec.field.kind }
            }
            NodeSpec::Object(fields) => Node::Object(self.object(spec.field, fields, &path)),
            NodeSpec::Texts(values) => Node::Texts(values.iter().map(|value| self.value(value, &path)).collect()),
            NodeSpec::Map { entries, matching } => {
                required |= entries.iter().any(|(_, value)| value.required);
                Node::Object(self.map(entries, matching, &path))
            }
            NodeSpec::List(entries) => Node::List(entries.iter().map(|entry| self.entry(entry, &path)).collect()),
        };
        plan_of(name, &path, required, node)
    }

    /// The fields that an object is given, and its constants, in the order of their table.
    fn object(&mut self, object: &Field, given: &[FieldSpec], path: &str) -> Vec<FieldPlan> {
        let Kind::Object(known) = object.kind else { return Vec::new() };
        let mut fields = Vec::new();
        for field in known {
            match given.iter().find(|given| given.field.name == field.name) {
                Some(given) => fields.push(self.field(given, path)),
                None => fields.extend(fixed(field, path)),
            }
        }
        fields
    }

    fn entry(&mut self, spec: &EntrySpec, path: &str) -> EntryPlan {
        if let Some(when) = &spec.when {
            self.reads(when);
        }
        let mut fields: Vec<FieldPlan> = spec.fields.iter().map(|field| self.field(field, path)).collect();
        for field in &mut fields {
            field.required |= spec.exactly_one;
        }
        EntryPlan { when: spec.when.clone(), fields }
    }

    fn map(&mut self, entries: &[(String, ValueSpec)], matching: &[Matching], path: &str) -> Vec<FieldPlan> {
        let mut fields: Vec<FieldPlan> = Vec::new();
        for (key, value) in entries {
            let path = format!("{path}.{key}");
            fields.push(plan_of(key, &path, value.required, Node::Value(self.value(value, &path))));
        }
        for pattern in matching {
            for (at, column) in self.columns.iter().enumerate() {
                let key = column
                    .strip_prefix(&*pattern.prefix)
                    .and_then(|rest| rest.strip_suffix(&*pattern.suffix))
                    .map(str::trim)
                    .filter(|key| !key.is_empty());
                let Some(key) = key else { continue };
                let lead = json::lead(key);
                // What was written out goes before what a pattern finds.
                if fields.iter().any(|field| field.lead == lead) {
                    continue;
                }
                self.read.insert(at);
                let path = format!("{path}.{key}");
                let plan = ValuePlan {
                    path: path.clone().into(),
                    source: Source::Column(at),
                    required: false,
                    split: None,
                    rule: pattern.rule.clone(),
                    origin: format!("column `{column}`").into(),
                };
                fields.push(plan_of(key, &path, false, Node::Value(plan)));
            }
        }
        fields
    }
}

/// What a field is in every record, whatever the mapping says; none where it is the mapping's.
fn fixed(field: &Field, within: &str) -> Option<FieldPlan> {
    let path = if within.is_empty() { field.name.to_owned() } else { format!("{within}.{}", field.name) };
    match field.kind {
        Kind::Fixed(constant) => {
            let mut json = Vec::new();
            json::constant(&mut json, constant);
            Some(plan_of(field.name, &path, true, Node::Fixed(json.into())))
        }
        Kind::Object(inner) => {
            let fields: Vec<FieldPlan> = inner.iter().filter_map(|field| fixed(field, &path)).collect();
            (!fields.is_empty()).then(|| plan_of(field.name, &path, true, Node::Object(fields)))
        }
        _ => None,
    }
}

fn plan_of(name: &str, path: &str, required: bool, node: Node) -> FieldPlan {
    FieldPlan { path: path.into(), lead: json::lead(name), required, key: false, span: None, node }
}

impl MappingFile {
    fn has_expressions(&self) -> bool {
        let mut found = self.filter.is_some() || !self.rejects.is_empty();
        self.each_value(&mut |value| found |= matches!(value.source, SourceSpec::Expr(_)));
        self.each_when(&mut |_| found = true);
        found
    }

    fn each_value(&self, see: &mut dyn FnMut(&ValueSpec)) {
        self.checks.iter().for_each(|check| see(&check.value));
        if let Some(order) = self.aggregate.as_ref().and_then(|aggregate| aggregate.order.as_ref()) {
            see(order);
        }
        self.shapes.iter().for_each(|shape| values_of(&shape.fields, see));
    }

    fn each_when(&self, see: &mut dyn FnMut(&Expr)) {
        for shape in &self.shapes {
            shape.when.iter().for_each(|expr| see(expr));
            whens_of(&shape.fields, see);
        }
    }

    /// Shows every column that is named, and whether the source may lack it.
    pub(super) fn each_column(&self, see: &mut dyn FnMut(&Named, bool)) {
        let see_expr = |expr: &Expr, see: &mut dyn FnMut(&Named, bool)| {
            for reference in &expr.references {
                let column = Named { text: reference.name.clone(), span: expr.span.clone() };
                see(&column, reference.optional);
            }
        };
        self.filter.iter().for_each(|expr| see_expr(expr, see));
        self.rejects.iter().for_each(|reject| see_expr(&reject.when, see));
        self.each_when(&mut |expr| see_expr(expr, see));
        self.group.iter().for_each(|column| see(column, false));
        if let Some(column) = self.aggregate.as_ref().and_then(|aggregate| aggregate.distinct.as_ref()) {
            see(column, false);
        }
        self.each_value(&mut |value| match &value.source {
            SourceSpec::Column(column) => see(column, value.optional),
            SourceSpec::Join { columns, .. } | SourceSpec::First(columns) => {
                columns.iter().for_each(|column| see(column, value.optional));
            }
            SourceSpec::Expr(expr) => see_expr(expr, see),
            SourceSpec::Const(_) => {}
        });
    }
}

fn whens_of(fields: &[FieldSpec], see: &mut dyn FnMut(&Expr)) {
    for field in fields {
        match &field.node {
            NodeSpec::Object(fields) => whens_of(fields, see),
            NodeSpec::List(entries) => {
                for entry in entries {
                    entry.when.iter().for_each(|expr| see(expr));
                    whens_of(&entry.fields, see);
                }
            }
            NodeSpec::Value(_) | NodeSpec::Json(_) | NodeSpec::Map { .. } | NodeSpec::Texts(_) => {}
        }
    }
}

fn values_of(fields: &[FieldSpec], see: &mut dyn FnMut(&ValueSpec)) {
    for field in fields {
        match &field.node {
            NodeSpec::Value(value) | NodeSpec::Json(value) => see(value),
            NodeSpec::Object(fields) => values_of(fields, see),
            NodeSpec::Map { entries, .. } => entries.iter().for_each(|(_, value)| see(value)),
            NodeSpec::Texts(values) => values.iter().for_each(&mut *see),
            NodeSpec::List(entries) => entries.iter().for_each(|entry| values_of(&entry.fields, see)),
        }
    }
}
