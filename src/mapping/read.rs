//! From TOML to a mapping: collects every problem with its place.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::entity::Entity;
use crate::problem::{Problem, Problems, did_you_mean};

use super::expr::Expr;
use super::file::{CsvHints, MappingFile};
use super::spec::{Named, Span};
use super::table::Table;

pub(super) type Item<'a> = Spanned<DeValue<'a>>;

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
    name: &'t str,
    text: &'t str,
    pub base_dir: &'t Path,
    pub problems: Vec<Problem>,
    pub lookups: BTreeMap<String, Arc<Table>>,
}

impl<'t> Reader<'t> {
    pub fn new(name: &'t str, text: &'t str, base_dir: &'t Path) -> Self {
        Self { name, text, base_dir, problems: Vec::new(), lookups: BTreeMap::new() }
    }

    pub fn read(mut self) -> Result<MappingFile, Problems> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.problem(error.span().unwrap_or(0..0), error.message());
        }
        if !self.problems.is_empty() {
            return Err(self.into_problems());
        }
        let top = document.get_ref();
        self.known_keys(top, &TOP, "a mapping");
        let entity = self.entity(top);
        self.read_lookups(top);
        let description = self.string(top, "description").map(|named| named.text);
        let filter = self.expression(top, "where");
        let group = self.string(top, "group");
        let aggregate = self.aggregate(top);
        let csv = self.csv(top);
        let checks = self.checks(top);
        let rejects = self.rejects(top);
        let shapes = entity.map(|entity| self.shapes(top, entity, aggregate.as_ref())).unwrap_or_default();
        let examples = self.examples(top);
        self.contradictions(top, entity, group.as_ref());
        match entity {
            Some(entity) if self.problems.is_empty() => Ok(MappingFile {
                name: self.name.to_owned(),
                text: self.text.to_owned(),
                entity,
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
            _ => Err(self.into_problems()),
        }
    }

    fn into_problems(mut self) -> Problems {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        // One mistake in `[fields]` would come again for each `[[record]]` that repeats it.
        self.problems.dedup();
        Problems(self.problems)
    }

    fn entity(&mut self, top: &DeTable<'_>) -> Option<Entity> {
        let names = Entity::ALL.map(Entity::name).join("`, `");
        if !top.contains_key("entity") {
            self.hinted(0..0, "`entity` is missing", format!("say what the records are: one of `{names}`"));
            return None;
        }
        let name = self.string(top, "entity")?;
        let entity = Entity::of_name(&name.text);
        if entity.is_none() {
            let message = format!("there is no entity `{}`", name.text);
            match did_you_mean(&name.text, Entity::ALL.map(Entity::name)) {
                Some(near) => self.hinted(name.span, message, format!("did you mean `{near}`?")),
                None => self.hinted(name.span, message, format!("one of `{names}`")),
            }
        }
        entity
    }

    fn contradictions(&mut self, top: &DeTable<'_>, entity: Option<Entity>, group: Option<&Named>) {
        let at = |key: &str| top.get_key_value(key).map(|(key, _)| key.span());
        if let (Some(span), true) = (at("aggregate"), entity.is_some_and(|entity| entity != Entity::Usage)) {
            self.hinted(span, "only usage has totals", "to make one record of several rows, use `group`");
        }
        if let Some(group) = group {
            if let Some(span) = at("aggregate") {
                self.problem(span, "`aggregate` and `group` exclude each other");
            }
            if at("record").is_some() {
                self.problem(group.span.clone(), "`group` and `[[record]]` exclude each other");
            }
        }
    }

    pub fn problem(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Problem::at(self.name, self.text, span, message));
    }

    pub fn hinted(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::at(self.name, self.text, span, message).hint(hint));
    }

    /// Refuses keys that mean nothing here.
    pub fn known_keys(&mut self, table: &DeTable<'_>, known: &[&str], what: &str) {
        for key in table.keys() {
            if known.contains(&&**key.get_ref()) {
                continue;
            }
            let message = format!("{what} has no key `{}`", key.get_ref());
            let hint = match did_you_mean(key.get_ref(), known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its keys are {}", known.join(", ")),
            };
            self.hinted(key.span(), message, hint);
        }
    }

    /// A text, where the key is there.
    pub fn string(&mut self, table: &DeTable<'_>, key: &str) -> Option<Named> {
        let item = table.get(key)?;
        let named = as_named(item);
        if named.is_none() {
            self.problem(item.span(), format!("`{key}` is a text, not {}", kind_of(item)));
        }
        named
    }

    /// `true` or `false`; false where the key is not there.
    pub fn flag(&mut self, table: &DeTable<'_>, key: &str) -> bool {
        let Some(item) = table.get(key) else { return false };
        item.get_ref().as_bool().unwrap_or_else(|| {
            self.problem(item.span(), format!("`{key}` is true or false, not {}", kind_of(item)));
            false
        })
    }

    /// A list of texts, where the key is there. One text is a list of one.
    pub fn strings(&mut self, table: &DeTable<'_>, key: &str) -> Option<Vec<Named>> {
        let item = table.get(key)?;
        if let Some(one) = as_named(item) {
            return Some(vec![one]);
        }
        let named: Option<Vec<Named>> = item.get_ref().as_array().and_then(|list| list.iter().map(as_named).collect());
        match named {
            Some(named) if !named.is_empty() => Some(named),
            _ => {
                self.problem(item.span(), format!("`{key}` is a list of texts"));
                None
            }
        }
    }

    /// A whole number, where the key is there.
    pub fn integer(&mut self, table: &DeTable<'_>, key: &str) -> Option<i64> {
        let item = table.get(key)?;
        let number = item
            .get_ref()
            .as_integer()
            .and_then(|integer| i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok());
        if number.is_none() {
            self.problem(item.span(), format!("`{key}` is a whole number"));
        }
        number
    }

    /// One character, where the key is there.
    pub fn character(&mut self, table: &DeTable<'_>, key: &str) -> Option<char> {
        let named = self.string(table, key)?;
        let mut chars = named.text.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) => Some(one),
            _ => {
                self.problem(named.span, format!("`{key}` is one character"));
                None
            }
        }
    }

    /// An expression, where the key is there.
    pub fn expression(&mut self, table: &DeTable<'_>, key: &str) -> Option<Arc<Expr>> {
        let source = self.string(table, key)?;
        self.compiled(source)
    }

    pub fn compiled(&mut self, source: Named) -> Option<Arc<Expr>> {
        match Expr::compile(&source.text, source.span.clone()) {
            Ok(expr) => Some(Arc::new(expr)),
            Err(reason) => {
                self.hinted(
                    source.span,
                    format!("this is no expression: {reason}"),
                    "for example: 'Status == \"active\" and row[\"Customer ID\"] != \"\"'",
                );
                None
            }
        }
    }

    /// A table, where the key is there.
    pub fn table<'a, 'i>(&mut self, table: &'a DeTable<'i>, key: &str) -> Option<&'a DeTable<'i>> {
        let item = table.get(key)?;
        let inner = item.get_ref().as_table();
        if inner.is_none() {
            self.problem(item.span(), format!("`{key}` is a table, not {}", kind_of(item)));
        }
        inner
    }

    /// The tables of a list (`[[key]]`), where the key is there.
    pub fn tables<'a, 'i>(&mut self, table: &'a DeTable<'i>, key: &str) -> Vec<(&'a DeTable<'i>, Span)> {
        let Some(item) = table.get(key) else { return Vec::new() };
        self.tables_of(item, key)
    }

    pub fn tables_of<'a, 'i>(&mut self, item: &'a Item<'i>, key: &str) -> Vec<(&'a DeTable<'i>, Span)> {
        let tables: Option<Vec<_>> = item.get_ref().as_array().and_then(|list| {
            list.iter().map(|entry| entry.get_ref().as_table().map(|table| (table, entry.span()))).collect()
        });
        tables.unwrap_or_else(|| {
            self.problem(item.span(), format!("`{key}` is a list of tables: write `[[{key}]]`"));
            Vec::new()
        })
    }

    /// `[csv]`: how the files are written.
    pub fn csv(&mut self, top: &DeTable<'_>) -> CsvHints {
        let Some(table) = self.table(top, "csv") else { return CsvHints::default() };
        self.known_keys(table, &["delimiter", "quote", "encoding"], "`[csv]`");
        let encoding = self.string(table, "encoding");
        if let Some(named) = &encoding
            && encoding_rs::Encoding::for_label(named.text.as_bytes()).is_none()
        {
            self.hinted(
                named.span.clone(),
                format!("there is no encoding `{}`", named.text),
                "for example utf-8, utf-16le, windows-1252",
            );
        }
        CsvHints {
            delimiter: self.character(table, "delimiter"),
            quote: self.character(table, "quote"),
            encoding: encoding.map(|named| named.text),
        }
    }
}

/// A text and its place.
pub(super) fn as_named(item: &Item<'_>) -> Option<Named> {
    Some(Named { text: item.get_ref().as_str()?.to_owned(), span: item.span() })
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

/// What a value is, for people.
pub(super) fn kind_of(item: &Item<'_>) -> &'static str {
    match item.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
