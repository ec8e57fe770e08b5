//! The sections of a mapping file beside its fields.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::read::{Reader, scalar_text};
use super::read_value::Target;
use super::spec::{AggregateSpec, CheckSpec, ExampleSpec, Expect, How, RejectSpec};
use super::table::Table;
use crate::document::{Item, as_named, kind_of};
use crate::record::Fingerprint;

impl Reader<'_> {
    /// `[lookups.name]`: entries, or a CSV file.
    pub fn read_lookups(&mut self, top: &DeTable<'_>) {
        let Some(lookups) = self.document.table(top, "lookups") else { return };
        for (name, item) in lookups {
            let Some(entries) = item.get_ref().as_table() else {
                self.document
                    .problem(item.span(), format!("lookup `{}` is a table, not {}", name.get_ref(), kind_of(item)));
                continue;
            };
            let mut table = Table::new(format!("lookup `{}`", name.get_ref()));
            if let Some(file) = entries.get("file") {
                self.lookup_file(&mut table, entries, file);
            } else {
                self.entries(&mut table, entries);
                if table.len() == 0 {
                    self.document.problem(name.span(), format!("lookup `{}` has no entry", name.get_ref()));
                }
            }
            self.lookups.insert(name.get_ref().to_string(), Arc::new(table));
        }
    }

    fn lookup_file(&mut self, table: &mut Table, entries: &DeTable<'_>, file: &Item<'_>) {
        self.document.known_keys(entries, &["file", "key", "value"], "a lookup with a file");
        let Some(file) = as_named(file) else {
            self.document.problem(file.span(), "`file` is a path");
            return;
        };
        let (key, value) = (self.document.string(entries, "key"), self.document.string(entries, "value"));
        let path = self.base_dir.join(&file.text);
        let read = table.read_csv(&path, key.as_ref().map(|key| &*key.text), value.as_ref().map(|value| &*value.text));
        self.lookup_files.extend(std::fs::read(&path).ok().map(|content| Fingerprint::of(&content)));
        if let Err(reason) = read {
            self.document.problem(file.span, format!("`{}` {reason}", path.display()));
        }
    }

    /// Fills a table from `word = "other"` pairs.
    pub fn entries(&mut self, table: &mut Table, entries: &DeTable<'_>) {
        for (key, item) in entries {
            match scalar_text(item) {
                Some(value) => {
                    // TOML has refused the same key twice; blanks around it are the only other way.
                    if table.insert(key.get_ref().trim(), &value).is_err() {
                        self.document.problem(key.span(), format!("`{}` is there twice", key.get_ref().trim()));
                    }
                }
                None => self.document.problem(item.span(), format!("an entry becomes a text, not {}", kind_of(item))),
            }
        }
    }

    /// `aggregate`: a word, or a table.
    pub fn aggregate(&mut self, top: &DeTable<'_>) -> Option<AggregateSpec> {
        let item = top.get("aggregate")?;
        let (how, table) = match item.get_ref() {
            DeValue::String(_) => (as_named(item), None),
            DeValue::Table(table) => {
                self.document.known_keys(table, &["how", "distinct", "order"], "`aggregate`");
                (self.document.string(table, "how"), Some(table))
            }
            _ => (None, None),
        };
        let Some(how) = how else {
            self.document.hinted(
                item.span(),
                "`aggregate` needs to say how",
                format!("for example aggregate = \"sum\"; one of {}", How::NAMES.join(", ")),
            );
            return None;
        };
        let Some(kind) = How::of_name(&how.text) else {
            let message = format!("there is no aggregate `{}`", how.text);
            self.document.hinted(how.span, message, format!("one of {}", How::NAMES.join(", ")));
            return None;
        };
        let distinct = table.and_then(|table| self.document.string(table, "distinct"));
        let order = table.and_then(|table| table.get("order")).and_then(|item| {
            if kind != How::Last {
                self.document.problem(item.span(), "`order` is for `last` only");
            }
            self.value(item, &Target::time("order"))
        });
        Some(AggregateSpec { how: kind, distinct, order })
    }

    /// `[checks]`: values that are checked and not sent.
    pub fn checks(&mut self, top: &DeTable<'_>) -> Vec<CheckSpec> {
        let Some(table) = self.document.table(top, "checks") else { return Vec::new() };
        let mut checks = Vec::new();
        for (name, item) in table {
            if let Some(value) = self.value(item, &Target::check(name.get_ref())) {
                checks.push((name.span().start, CheckSpec { name: name.get_ref().to_string(), value }));
            }
        }
        checks.sort_by_key(|(at, _)| *at);
        checks.into_iter().map(|(_, check)| check).collect()
    }

    /// `[[reject]]`.
    pub fn rejects(&mut self, top: &DeTable<'_>) -> Vec<RejectSpec> {
        let mut rejects = Vec::new();
        for (table, span) in self.document.tables(top, "reject") {
            self.document.known_keys(table, &["when", "because"], "`[[reject]]`");
            let (when, because) = (self.expression(table, "when"), self.document.string(table, "because"));
            for key in ["when", "because"] {
                if !table.contains_key(key) {
                    self.document.problem(span.clone(), format!("`[[reject]]` needs `{key}`"));
                }
            }
            if let (Some(when), Some(because)) = (when, because) {
                rejects.push(RejectSpec { when, because: because.text });
            }
        }
        rejects
    }

    /// `[[example]]`.
    pub fn examples(&mut self, top: &DeTable<'_>) -> Vec<ExampleSpec> {
        let mut examples = Vec::new();
        for (table, span) in self.document.tables(top, "example") {
            self.document.known_keys(table, &["row", "rows", "gives", "rejects", "filtered"], "`[[example]]`");
            let rows = self.example_rows(table);
            if rows.is_empty() {
                self.document.problem(span.clone(), "an example needs `row` or `rows`");
            }
            let said: Vec<&str> =
                ["gives", "rejects", "filtered"].into_iter().filter(|key| table.contains_key(*key)).collect();
            if said.len() != 1 {
                self.document.problem(span.clone(), "an example says one of `gives`, `rejects` or `filtered`");
                continue;
            }
            let expect = if let Some(item) = table.get("gives") {
                let records: Vec<serde_json::Value> = match item.get_ref() {
                    DeValue::Array(list) => list.iter().map(json_of).collect(),
                    _ => vec![json_of(item)],
                };
                if !records.iter().all(serde_json::Value::is_object) {
                    self.document.problem(item.span(), "`gives` is a record, or a list of records");
                }
                Expect::Gives(records)
            } else if let Some(named) = self.document.string(table, "rejects") {
                Expect::Rejects(named.text)
            } else {
                Expect::Filtered
            };
            examples.push(ExampleSpec { span, rows, expect });
        }
        examples
    }

    fn example_rows(&mut self, table: &DeTable<'_>) -> Vec<Vec<(String, String)>> {
        let mut tables = self.document.tables(table, "rows");
        if let Some(item) = table.get("row") {
            match item.get_ref().as_table() {
                Some(row) => tables.push((row, item.span())),
                None => self.document.problem(item.span(), format!("`row` is a table, not {}", kind_of(item))),
            }
        }
        let mut rows = Vec::new();
        for (row, _) in tables {
            let mut cells = Vec::new();
            for (column, item) in row {
                match scalar_text(item) {
                    Some(text) => cells.push((column.get_ref().to_string(), text)),
                    None => self.document.problem(item.span(), format!("a cell is a text, not {}", kind_of(item))),
                }
            }
            rows.push(cells);
        }
        rows
    }
}

fn json_of(item: &Item<'_>) -> serde_json::Value {
    match item.get_ref() {
        DeValue::Boolean(word) => (*word).into(),
        DeValue::Array(list) => list.iter().map(json_of).collect(),
        DeValue::Table(table) => table.iter().map(|(key, item)| (key.get_ref().to_string(), json_of(item))).collect(),
        DeValue::Integer(_) | DeValue::Float(_) => {
            let text = scalar_text(item).unwrap_or_default();
            serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))
        }
        DeValue::String(_) | DeValue::Datetime(_) => scalar_text(item).into(),
    }
}
