//! The fields of a mapping, against the tables of its entity.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::entity::{Field, Kind, Schema};
use crate::problem::did_you_mean;

use super::read::Reader;
use super::read_json::{says_json, takes_json};
use super::read_value::Target;
use super::rule::Rule;
use super::spec::{AggregateSpec, EntrySpec, FieldSpec, How, Matching, NodeSpec, ShapeSpec, Span};
use crate::document::{Item, kind_of};

/// The key of a free map that takes columns by a pattern.
const MATCHING: &str = "columns_matching";

impl Reader<'_> {
    /// What a row makes: `[fields]`, or one for each `[[record]]`.
    pub fn shapes(&mut self, top: &DeTable<'_>, schema: Schema, aggregate: Option<&AggregateSpec>) -> Vec<ShapeSpec> {
        let place = top.get_key_value("fields").map_or(0..0, |(key, _)| key.span());
        let base = match self.document.table(top, "fields") {
            Some(table) => self.fields(table, schema.fields(), "", &[]),
            None => Vec::new(),
        };
        let written = top.get("fields").and_then(|item| item.get_ref().as_table()).map(|table| meant(table, schema));
        let written = written.unwrap_or_default();
        let mut records = Vec::new();
        for (table, span) in self.document.tables(top, "record") {
            let when = self.expression(table, "when");
            let added = self.fields(table, schema.fields(), "", &["when"]);
            let fields = self.merge(schema, base.clone(), added);
            self.complete(&fields, &[written.clone(), meant(table, schema)].concat(), schema, aggregate, &span);
            records.push(ShapeSpec { when, fields });
        }
        if records.is_empty() {
            self.complete(&base, &written, schema, aggregate, &place);
        }
        if records.is_empty() { vec![ShapeSpec { when: None, fields: base }] } else { records }
    }

    /// `[[record]]` adds: free maps and lists grow, anything else may be set once.
    fn merge(&mut self, schema: Schema, mut base: Vec<FieldSpec>, added: Vec<FieldSpec>) -> Vec<FieldSpec> {
        for field in added {
            let Some(known) = base.iter_mut().find(|known| known.field.name == field.field.name) else {
                base.push(field);
                continue;
            };
            match (&mut known.node, field.node) {
                (NodeSpec::List(entries), NodeSpec::List(more)) => entries.extend(more),
                (NodeSpec::Map { entries, matching }, NodeSpec::Map { entries: more, matching: patterns }) => {
                    for (key, value) in more {
                        if entries.iter().any(|(known, _)| *known == key) {
                            self.document.problem(value.span.clone(), format!("`{key}` is already set in `[fields]`"));
                        }
                        entries.push((key, value));
                    }
                    matching.extend(patterns);
                }
                _ => self.document.problem(field.span, format!("`{}` is already set in `[fields]`", field.field.name)),
            }
        }
        in_order(base, schema.fields())
    }

    /// Whether all that is needed is given, and nothing that a total can't have. `written` are
    /// the fields that stand there, also those that have a problem of their own.
    fn complete(
        &mut self,
        fields: &[FieldSpec],
        written: &[&'static str],
        schema: Schema,
        aggregate: Option<&AggregateSpec>,
        place: &Span,
    ) {
        let counts = aggregate.is_some_and(|aggregate| aggregate.how == How::Count);
        for field in schema.fields() {
            let given = fields.iter().find(|given| given.field.name == field.name);
            let ours = matches!(field.kind, Kind::Fixed(_)) || (counts && field.name == "value");
            match given {
                None if field.required && !written.contains(&field.name) && !ours => {
                    self.document.hinted(
                        place.clone(),
                        format!("`{}` is missing", field.name),
                        format!("every {} needs it: {}", schema.name(), field.doc),
                    );
                }
                Some(given) if aggregate.is_some() => {
                    if counts && field.name == "value" {
                        self.document.problem(given.span.clone(), "`count` counts rows: it takes no `value`");
                    }
                    if !matches!(field.name, "customerId" | "featureId" | "resourceId" | "value" | "createdAt") {
                        self.document
                            .problem(given.span.clone(), format!("a total has no `{}` of one row", field.name));
                    }
                }
                _ => {}
            }
        }
    }

    /// Reads the fields of a table; `others` are keys that belong to somebody else.
    fn fields(&mut self, table: &DeTable<'_>, known: &'static [Field], path: &str, others: &[&str]) -> Vec<FieldSpec> {
        let mut fields = Vec::new();
        for (key, item) in table {
            let name: &str = key.get_ref();
            if others.contains(&name) {
                continue;
            }
            let Some(field) = known.iter().find(|field| field.name == name) else {
                self.unknown_field(name, key.span(), known, path, others);
                continue;
            };
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            if let Some(node) = self.node(item, field, &path, key.span()) {
                fields.push(FieldSpec { field, span: key.span(), node });
            }
        }
        in_order(fields, known)
    }

    fn unknown_field(&mut self, name: &str, span: Span, known: &'static [Field], path: &str, others: &[&str]) {
        let whose = if path.is_empty() { "the record".to_owned() } else { format!("`{path}`") };

        let names = || known.iter().filter(|field| !matches!(field.kind, Kind::Fixed(_))).map(|field| field.name);
        let hint = match did_you_mean(name, names().chain(others.iter().copied())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its fields are {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.document.hinted(span, format!("{whose} has no field `{name}`"), hint);
    }

    fn node(&mut self, item: &Item<'_>, field: &'static Field, path: &str, key: Span) -> Option<NodeSpec> {
        if let Some(table) = says_json(item).filter(|_| takes_json(field.kind)) {
            return self.json_value(table, item.span(), field, path).map(NodeSpec::Json);
        }
        match field.kind {
            Kind::Fixed(constant) => {
                self.document.problem(key, format!("`{path}` is always `{}`; leave it out", constant.as_str()));
                None
            }
            Kind::Object(inner) => {
                let Some(table) = item.get_ref().as_table() else {
                    self.document.problem(item.span(), format!("`{path}` is a table of fields, not {}", kind_of(item)));
                    return None;
                };
                let fields = self.fields(table, inner, path, &[]);
                self.needed(&fields, table, inner, path, &key);
                Some(NodeSpec::Object(fields))
            }
            Kind::List { fields, exactly_one } => {
                Some(NodeSpec::List(self.entries_of(item, fields, exactly_one, path)))
            }
            Kind::TextMap => self.map(item, path, false),
            Kind::ScalarMap => self.map(item, path, true),
            Kind::TextList => {
                let target = Target { list: true, required: field.required, ..Target::free(path, false) };
                let values = match item.get_ref() {
                    DeValue::Array(list) => list.iter().filter_map(|item| self.value(item, &target)).collect(),
                    _ => vec![self.value(item, &target)?],
                };
                Some(NodeSpec::Texts(values))
            }
            kind => self.value(item, &Target::of(path, kind, field.required)).map(NodeSpec::Value),
        }
    }

    /// Fields that an object can't be without. What was written and has a problem is not missing.
    fn needed(&mut self, fields: &[FieldSpec], table: &DeTable<'_>, known: &'static [Field], path: &str, at: &Span) {
        for field in known.iter().filter(|field| field.required && !matches!(field.kind, Kind::Fixed(_))) {
            let given = fields.iter().any(|given| given.field.name == field.name) || table.contains_key(field.name);
            if !given {
                self.document.hinted(at.clone(), format!("`{path}` lacks `{}`", field.name), field.doc);
            }
        }
    }

    fn entries_of(
        &mut self,
        item: &Item<'_>,
        known: &'static [Field],
        exactly_one: bool,
        path: &str,
    ) -> Vec<EntrySpec> {
        let mut entries = Vec::new();
        for (table, span) in self.document.tables_of(item, &format!("fields.{path}")) {
            let when = self.expression(table, "when");
            let fields = self.fields(table, known, path, &["when"]);
            self.needed(&fields, table, known, path, &span);
            let given: Vec<&str> =
                known.iter().map(|field| field.name).filter(|name| table.contains_key(*name)).collect();
            if exactly_one && given.len() != 1 {
                let names: Vec<String> = known.iter().map(|field| format!("`{}`", field.name)).collect();
                let found = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
                let message =
                    format!("an entry of `{path}` has exactly one of {}; this one has {found}", names.join(" or "));
                self.document.problem(span, message);
            }
            entries.push(EntrySpec { when, fields, exactly_one });
        }
        entries
    }

    fn map(&mut self, item: &Item<'_>, path: &str, raw: bool) -> Option<NodeSpec> {
        let Some(table) = item.get_ref().as_table() else {
            let hint = format!("{path}.key = \"Column\", or for JSON: {path} = {{ column = \"Column\", json = true }}");
            self.document.hinted(
                item.span(),
                format!("`{path}` has keys of its own, and is not {}", kind_of(item)),
                hint,
            );
            return None;
        };
        let (mut entries, mut matching) = (Vec::new(), Vec::new());
        for (key, item) in table {
            if key.get_ref() == MATCHING {
                matching.extend(self.pattern(item));
                continue;
            }
            if let Some(value) = self.value(item, &Target::free(&format!("{path}.{}", key.get_ref()), raw)) {
                entries.push((key.span().start, key.get_ref().to_string(), value));
            }
        }
        entries.sort_by_key(|(at, ..)| *at);
        let entries = entries.into_iter().map(|(_, key, value)| (key, value)).collect();
        Some(NodeSpec::Map { entries, matching })
    }

    fn pattern(&mut self, item: &Item<'_>) -> Option<Matching> {
        let pattern = item.get_ref().as_str().and_then(|pattern| pattern.split_once('*'));
        let Some((prefix, suffix)) = pattern.filter(|(_, suffix)| !suffix.contains('*')) else {
            self.document.hinted(
                item.span(),
                format!("`{MATCHING}` is a pattern with one `*`"),
                "for example \"* (metadata)\": the key is what the `*` stands for",
            );
            return None;
        };
        let rule = Arc::new(Rule::of(Kind::Text { chars_max: usize::MAX }));
        Some(Matching { prefix: prefix.to_owned(), suffix: suffix.to_owned(), rule })
    }
}

/// The fields that a table's keys name, or are near to.
fn meant(table: &DeTable<'_>, schema: Schema) -> Vec<&'static str> {
    let names = || schema.fields().iter().map(|field| field.name);
    table.keys().filter_map(|key| did_you_mean(key.get_ref(), names())).collect()
}

/// Fields in the order of their table, which is the order in which they are written.
fn in_order(mut fields: Vec<FieldSpec>, known: &'static [Field]) -> Vec<FieldSpec> {
    fields.sort_by_key(|given| known.iter().position(|field| field.name == given.field.name));
    fields
}
