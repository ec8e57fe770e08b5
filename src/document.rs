//! A TOML file that a person wrote, read so that every problem is found at once, each with its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Problem, Problems, did_you_mean};

/// A value and where it stands.
pub type Item<'a> = Spanned<DeValue<'a>>;

/// Bytes of the file's text.
pub type Span = Range<usize>;

/// A text and where it stands.
#[derive(Debug, Clone)]
pub struct Named {
    /// The text.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// Reads one file and remembers what is wrong with it.
pub struct Document<'t> {
    name: &'t str,
    text: &'t str,
    problems: Vec<Problem>,
}

impl<'t> Document<'t> {
    /// A document that problems call `name`.
    pub fn new(name: &'t str, text: &'t str) -> Self {
        Self { name, text, problems: Vec::new() }
    }

    /// Its top table; none where the TOML itself doesn't hold.
    pub fn parse(&mut self) -> Option<DeTable<'t>> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.problem(error.span().unwrap_or(0..0), error.message());
        }
        self.holds().then(|| document.into_inner())
    }

    /// The file as the user named it.
    pub fn name(&self) -> &'t str {
        self.name
    }

    /// Its text.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// How many problems were noted.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// Whether nothing is wrong so far.
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }

    /// All that is wrong, in the order of the places, each once: a mistake in a part that others
    /// repeat would come again for each of them.
    pub fn into_problems(mut self) -> Problems {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems.dedup();
        Problems(self.problems)
    }

    /// Notes a problem.
    pub fn problem(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Problem::at(self.name, self.text, span, message));
    }

    /// Notes a problem with a hint.
    pub fn hinted(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::at(self.name, self.text, span, message).hint(hint));
    }

    /// Notes a problem with a hint, where a secret stands: nothing of it is shown.
    pub fn secret(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::at(self.name, self.text, span, message).concealed().hint(hint));
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

    /// The tables of a list.
    pub fn tables_of<'a, 'i>(&mut self, item: &'a Item<'i>, key: &str) -> Vec<(&'a DeTable<'i>, Span)> {
        let tables: Option<Vec<_>> = item.get_ref().as_array().and_then(|list| {
            list.iter().map(|entry| entry.get_ref().as_table().map(|table| (table, entry.span()))).collect()
        });
        tables.unwrap_or_else(|| {
            self.problem(item.span(), format!("`{key}` is a list of tables: write `[[{key}]]`"));
            Vec::new()
        })
    }
}

/// A text and its place.
pub fn as_named(item: &Item<'_>) -> Option<Named> {
    Some(Named { text: item.get_ref().as_str()?.to_owned(), span: item.span() })
}

/// What a value is, for people.
pub fn kind_of(item: &Item<'_>) -> &'static str {
    match item.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
