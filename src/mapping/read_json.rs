//! `{ column = "…", json = true }`: the cell's JSON is the whole field.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::document::Item;
use crate::entity::{Field, Kind};

use super::read::Reader;
use super::read_value::{KEYS, Target};
use super::rule::Rule;
use super::spec::{Span, ValueSpec};

/// Keys of a value that go with `json`.
pub(super) const JSON_KEYS: [&str; 7] = ["json", "column", "first", "expr", "optional", "required", "null"];

/// The table of a value that says `json = true`. A text there is a free map's own key.
pub(super) fn says_json<'a, 'i>(item: &'a Item<'i>) -> Option<&'a DeTable<'i>> {
    let table = item.get_ref().as_table()?;
    table.get("json").is_some_and(|json| matches!(json.get_ref(), DeValue::Boolean(true))).then_some(table)
}

/// Whether fields of this kind hold several values, and so can be JSON.
pub(super) fn takes_json(kind: Kind) -> bool {
    match kind {
        Kind::TextMap | Kind::ScalarMap | Kind::TextList | Kind::List { .. } => true,
        // What every record carries is not for a cell to leave out.
        Kind::Object(_) => !kind.is_fixed_somewhere(),
        Kind::Id { .. }
        | Kind::Text { .. }
        | Kind::Email
        | Kind::Time
        | Kind::Number { .. }
        | Kind::Bool
        | Kind::Enum(_)
        | Kind::Fixed(_) => false,
    }
}

impl Reader<'_> {
    /// Reads a value that is JSON. `None`: it has a problem, which is noted.
    pub fn json_value(&mut self, table: &DeTable<'_>, span: Span, field: &Field, path: &str) -> Option<ValueSpec> {
        let before = self.document.count();
        self.document.known_keys(table, &KEYS, "a value");
        for key in table.keys() {
            let name: &str = key.get_ref();
            if KEYS.contains(&name) && !JSON_KEYS.contains(&name) {
                let hint = format!(
                    "the JSON's values are checked as they stand; `json` goes with {}",
                    JSON_KEYS[1..].join(", ")
                );
                self.document.hinted(key.span(), format!("`json` and `{name}` exclude each other"), hint);
            }
        }
        if self.document.count() > before {
            return None;
        }
        let target = Target::of(path, field.kind, field.required);
        let source = self.source(table, &span, &target);
        let mut rule = Rule::of(Kind::Text { chars_max: usize::MAX });
        let words = self.document.strings(table, "null").unwrap_or_default();
        // So that `first` goes on to the next column, too.
        rule.nulls = words.into_iter().map(|named| named.text.into()).chain(["null".into()]).collect();
        rule.plain = rule.has_no_steps();
        let required = field.required || self.document.flag(table, "required");
        let optional = self.document.flag(table, "optional");
        let source = source?;
        (self.document.count() == before).then(|| ValueSpec {
            span,
            source,
            optional,
            required,
            split: None,
            rule: Arc::new(rule),
        })
    }

    /// Notes `json = true` where there is no room for more than one value.
    pub fn no_json(&mut self, table: &DeTable<'_>, target: &Target) {
        let Some(item) = table.get("json").filter(|_| self.document.flag(table, "json")) else { return };
        let (message, hint) = if target.list {
            (format!("`json` is the whole of `{}`, not one of its texts", target.path), "write it without [ ]")
        } else {
            (
                format!("`json` is for objects, lists and free maps; `{}` is one value", target.path),
                "leave it out: the cell is taken as it is",
            )
        };
        self.document.hinted(item.span(), message, hint);
    }
}
