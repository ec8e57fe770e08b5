//! From TOML to a mapping: collects every problem with its place.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::document::{Document, Item, Named};
use crate::entity::{Entity, Schema};
use crate::problem::{Problems, did_you_mean};
use crate::record::Fingerprint;

use super::expr::Expr;
use super::file::{CsvHints, MappingFile};
use super::spec::{NodeSpec, ShapeSpec, SourceSpec, ValueSpec};

use super::table::Table;

/// Keys at the top of a mapping.
const TOP: [&str; 13] = [
    "entity",
    "description",
    "where",
    "group",
    "aggregate",
    "fields",
    "record",
    "checks",
    "reject",
    "lookups",
    "csv",
    "example",
    "$schema",
];

/// Reads one file and remembers what is wrong with it.
pub(super) struct Reader<'t> {
    pub document: Document<'t>,
    pub base_dir: &'t Path,
    pub lookups: BTreeMap<String, Arc<Table>>,
    /// The contents of lookups' files, in order.
    pub lookup_files: Vec<Fingerprint>,
}

impl<'t> Reader<'t> {
    pub fn new(name: &'t str, text: &'t str, base_dir: &'t Path) -> Self {
        Self { document: Document::new(name, text), base_dir, lookups: BTreeMap::new(), lookup_files: Vec::new() }
    }

    pub fn read(mut self) -> Result<MappingFile, Problems> {
        let Some(top) = self.document.parse() else { return Err(self.document.into_problems()) };
        let top = &top;
        self.document.known_keys(top, &TOP, "a mapping");
        let schema = self.schema(top);
        self.read_lookups(top);
        let description = self.document.string(top, "description").map(|named| named.text);
        let filter = self.expression(top, "where");
        let group = self.document.string(top, "group");
        let aggregate = self.aggregate(top);
        let csv = self.csv(top);
        let checks = self.checks(top);
        let rejects = self.rejects(top);
        let shapes = schema.map(|schema| self.shapes(top, schema, aggregate.as_ref())).unwrap_or_default();
        let examples = self.examples(top);
        self.contradictions(top, schema, group.as_ref());
        self.unstable_keys(schema, &shapes);
        match schema {
            Some(schema) if self.document.holds() => Ok(MappingFile {
                name: self.document.name().to_owned(),
                text: self.document.text().to_owned(),
                fingerprint: Fingerprint::of(format!("{:?}\0{}", self.lookup_files, self.document.text()).as_bytes()),
                schema,
                description,
                filter,
                group,
                aggregate,
                shapes,
                checks,
                rejects,
                csv,
                examples,
            }),
            _ => Err(self.document.into_problems()),
        }
    }

    fn schema(&mut self, top: &DeTable<'_>) -> Option<Schema> {
        let names = Schema::ALL.map(Schema::name).join("`, `");
        if !top.contains_key("entity") {
            self.document.hinted(0..0, "`entity` is missing", format!("say what the records are: one of `{names}`"));
            return None;
        }
        let name = self.document.string(top, "entity")?;
        let schema = Schema::of_name(&name.text);
        if schema.is_none() {
            let message = format!("there is no entity `{}`", name.text);
            match did_you_mean(&name.text, Schema::ALL.map(Schema::name)) {
                Some(near) => self.document.hinted(name.span, message, format!("did you mean `{near}`?")),
                None => self.document.hinted(name.span, message, format!("one of `{names}`")),
            }
        }
        schema
    }

    fn contradictions(&mut self, top: &DeTable<'_>, schema: Option<Schema>, group: Option<&Named>) {
        let at = |key: &str| top.get_key_value(key).map(|(key, _)| key.span());
        if let (Some(span), true) =
            (at("aggregate"), schema.is_some_and(|schema| schema != Schema::Import(Entity::Usage)))
        {
            self.document.hinted(span, "only usage has totals", "to make one record of several rows, use `group`");
        }
        if let Some(group) = group {
            if let Some(span) = at("aggregate") {
                self.document.problem(span, "`aggregate` and `group` exclude each other");
            }
            if at("record").is_some() {
                self.document.problem(group.span.clone(), "`group` and `[[record]]` exclude each other");
            }
        }
    }

    /// An event that is sent again has to be the same event, so nothing that names it may depend on the time of the run.
    fn unstable_keys(&mut self, schema: Option<Schema>, shapes: &[ShapeSpec]) {
        let Some(schema @ Schema::Import(Entity::Event)) = schema else { return };
        let fields = shapes.iter().flat_map(|shape| &shape.fields);
        for field in fields.filter(|field| schema.key_fields().contains(&field.field.name)) {
            if let NodeSpec::Value(ValueSpec { source: SourceSpec::Expr(expr), .. }) = &field.node
                && expr.reads_now
            {
                self.document.hinted(
                    expr.span.clone(),
                    format!("`{}` names the event, and `now` is another time in each run", field.field.name),
                    "an event that is sent again would count twice; make it from the row's columns",
                );
            }
        }
    }

    /// An expression, where the key is there.
    pub fn expression(&mut self, table: &DeTable<'_>, key: &str) -> Option<Arc<Expr>> {
        let source = self.document.string(table, key)?;
        self.compiled(source)
    }

    pub fn compiled(&mut self, source: Named) -> Option<Arc<Expr>> {
        match Expr::compile(&source.text, source.span.clone()) {
            Ok(expr) => Some(Arc::new(expr)),
            Err(reason) => {
                self.document.hinted(
                    source.span,
                    format!("this is no expression: {reason}"),
                    "for example: 'Status == \"active\" and row[\"Customer ID\"] != \"\"'",
                );
                None
            }
        }
    }

    /// `[csv]`: how the files are written.
    pub fn csv(&mut self, top: &DeTable<'_>) -> CsvHints {
        let Some(table) = self.document.table(top, "csv") else { return CsvHints::default() };
        self.document.known_keys(table, &["delimiter", "quote", "encoding"], "`[csv]`");
        let encoding = self.document.string(table, "encoding");
        if let Some(named) = &encoding
            && encoding_rs::Encoding::for_label(named.text.as_bytes()).is_none()
        {
            self.document.hinted(
                named.span.clone(),
                format!("there is no encoding `{}`", named.text),
                "for example utf-8, utf-16le, windows-1252",
            );
        }
        CsvHints {
            delimiter: self.document.character(table, "delimiter"),
            quote: self.document.character(table, "quote"),
            encoding: encoding.map(|named| named.text),
        }
    }
}

/// A scalar as the text that a cell would have.
pub(super) fn scalar_text(item: &Item<'_>) -> Option<String> {
    match item.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(integer) => {
            i128::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(float) => Some(float.as_str().replace('_', "")),
        DeValue::Boolean(word) => Some(word.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
