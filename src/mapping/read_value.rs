//! One value of a mapping: `"Column"`, or a table that says more.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::entity::Kind;

use super::number::NumberForm;
use super::read::{Reader, scalar_text};
use super::rule::{Case, Rule};
use super::spec::{Named, SourceSpec, Span, ValueSpec};
use super::table::Table;
use super::time::{Format, TimeRule, Zone};
use crate::document::{Item, kind_of};

/// Keys of a value.
pub(super) const KEYS: [&str; 30] = [
    "column",
    "optional",
    "columns",
    "join",
    "first",
    "const",
    "expr",
    "required",
    "null",
    "trim",
    "lower",
    "upper",
    "default",
    "map",
    "lookup",
    "else",
    "prefix",
    "suffix",
    "time",
    "zone",
    "decimal",
    "thousands",
    "scale",
    "whole",
    "min",
    "max",
    "one_of",
    "split",
    "type",
    "json",
];

/// Where a value goes.
pub(super) struct Target {
    pub path: String,
    /// `None`: text, or what the value says of itself.
    pub kind: Option<Kind>,
    pub required: bool,
    /// Whether a number may be sent as a number although the kind is free.
    pub raw: bool,
    pub list: bool,
}

impl Target {
    pub fn of(path: &str, kind: Kind, required: bool) -> Self {
        Self { path: path.to_owned(), kind: Some(kind), required, raw: true, list: false }
    }

    pub fn free(path: &str, raw: bool) -> Self {
        Self { path: path.to_owned(), kind: None, required: false, raw, list: false }
    }

    pub fn time(path: &str) -> Self {
        Self::of(path, Kind::Time, true)
    }

    pub fn check(name: &str) -> Self {
        Self { required: false, ..Self::free(name, true) }
    }
}

const ANY_TEXT: Kind = Kind::Text { chars_max: usize::MAX };
const ANY_NUMBER: Kind = Kind::Number { min: None, max: None, whole: false };

impl Reader<'_> {
    /// Reads a value. `None`: it has a problem, which is noted.
    pub fn value(&mut self, item: &Item<'_>, target: &Target) -> Option<ValueSpec> {
        let span = item.span();
        match item.get_ref() {
            DeValue::String(column) => {
                let kind = target.kind.unwrap_or(ANY_TEXT);
                let source = SourceSpec::Column(Named { text: column.to_string(), span: span.clone() });
                let rule = Arc::new(Rule::of(kind));
                Some(ValueSpec { span, source, optional: false, required: target.required, split: None, rule })
            }
            DeValue::Table(table) => self.value_table(table, span, target),
            _ => {
                let hint = match scalar_text(item) {
                    Some(text) if !matches!(item.get_ref(), DeValue::Array(_)) => {
                        format!("to send the same value always, write {{ const = {text} }}")
                    }
                    _ => "a column's name, or a table".to_owned(),
                };
                self.document.hinted(
                    span,
                    format!("`{}` is a column's name, not {}", target.path, kind_of(item)),
                    hint,
                );
                None
            }
        }
    }

    fn value_table(&mut self, table: &DeTable<'_>, span: Span, target: &Target) -> Option<ValueSpec> {
        let before = self.document.count();
        self.document.known_keys(table, &KEYS, "a value");
        self.no_json(table, target);
        let kind = self.kind(table, &span, target);
        let source = self.source(table, &span, target);
        let rule = self.rule(table, kind, target);
        let split = self.split(table, &span, target);
        let required = target.required || self.document.flag(table, "required");
        let optional = self.document.flag(table, "optional");
        let (source, mut rule) = (source?, rule?);
        let source = match source {
            SourceSpec::Const(text) => SourceSpec::Const(self.fixed(table, "const", &rule, &text, &target.path)?),
            source => source,
        };
        if let Some(item) = table.get("default") {
            let text = scalar_text(item).unwrap_or_default();
            rule.default = Some(self.fixed(table, "default", &rule, &text, &target.path)?);
        }
        self.check_words(table, &rule, &target.path);
        rule.plain = rule.has_no_steps();
        (self.document.count() == before).then(|| ValueSpec {
            span,
            source,
            optional,
            required,
            split,
            rule: Arc::new(rule),
        })
    }

    /// What the value has to be: the field's kind, narrowed; or for a free field what it says.
    fn kind(&mut self, table: &DeTable<'_>, span: &Span, target: &Target) -> Kind {
        let has = |keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
        let says_time = has(&["time", "zone"]);
        let says_number = has(&["decimal", "thousands", "scale", "whole", "min", "max"]);
        let kind = match (target.kind, self.document.string(table, "type")) {
            (Some(kind), None) => kind,
            (Some(kind), Some(said)) => {
                self.document.problem(said.span, format!("`type` is for free values; `{}` has its own", target.path));
                kind
            }
            (None, Some(said)) => match &*said.text {
                "text" => ANY_TEXT,
                "number" => ANY_NUMBER,
                "time" => Kind::Time,
                "bool" => Kind::Bool,
                "email" => Kind::Email,
                other => {
                    let message = format!("there is no type `{other}`");
                    self.document.hinted(said.span, message, "one of text, number, time, bool, email");
                    ANY_TEXT
                }
            },
            (None, None) if says_time => Kind::Time,
            (None, None) if says_number => ANY_NUMBER,
            (None, None) => match table.get("const").map(|item| item.get_ref()) {
                Some(DeValue::Integer(_) | DeValue::Float(_)) => ANY_NUMBER,
                Some(DeValue::Boolean(_)) => Kind::Bool,
                _ => ANY_TEXT,
            },
        };
        if says_time && !matches!(kind, Kind::Time) {
            self.document.problem(span.clone(), format!("`time` and `zone` are for times; `{}` is none", target.path));
        }
        match kind {
            Kind::Number { min, max, whole } => {
                let (low, high) = (self.document.integer(table, "min"), self.document.integer(table, "max"));
                let kind = Kind::Number {
                    min: low.max(min),
                    max: match (high, max) {
                        (Some(high), Some(max)) => Some(high.min(max)),
                        (high, max) => high.or(max),
                    },
                    whole: whole || self.document.flag(table, "whole"),
                };
                if let Kind::Number { min: Some(min), max: Some(max), .. } = kind
                    && min > max
                {
                    self.document.problem(span.clone(), format!("no number is at least {min} and at most {max}"));
                }
                kind
            }
            kind if says_number => {
                let message =
                    format!("number keys (decimal, scale, min, …) are for numbers; `{}` is none", target.path);
                self.document.problem(span.clone(), message);
                kind
            }
            kind => kind,
        }
    }

    /// Exactly one of the keys that say where the text comes from.
    pub fn source(&mut self, table: &DeTable<'_>, span: &Span, target: &Target) -> Option<SourceSpec> {
        const SOURCES: [&str; 5] = ["column", "columns", "first", "const", "expr"];
        let said: Vec<&str> = SOURCES.into_iter().filter(|key| table.contains_key(*key)).collect();
        match said[..] {
            [_] => {}
            [] => {
                let message = format!("`{}` doesn't say where its value comes from", target.path);
                self.document.hinted(span.clone(), message, "one of column, columns, first, const, expr");
                return None;
            }
            _ => {
                self.document.problem(span.clone(), format!("`{}` exclude each other", said.join("` and `")));
                return None;
            }
        }
        if table.contains_key("join") && said[0] != "columns" {
            self.document.problem(span.clone(), "`join` goes with `columns`");
        }
        if matches!(said[0], "const" | "expr") && table.contains_key("optional") {
            self.document.hinted(
                span.clone(),
                format!("`optional` says that a column may be missing; `{}` names none", said[0]),
                "in an expression, row.get(\"Column\") reads a column that may be missing",
            );
        }
        match said[0] {
            "column" => self.document.string(table, "column").map(SourceSpec::Column),
            "columns" => {
                let columns = self.document.strings(table, "columns")?;
                let join = self.document.string(table, "join").map_or_else(|| " ".to_owned(), |named| named.text);
                Some(SourceSpec::Join { columns, join: join.into() })
            }
            "first" => self.document.strings(table, "first").map(SourceSpec::First),
            "expr" => self.expression(table, "expr").map(SourceSpec::Expr),
            _ => {
                for key in table.keys().filter(|key| !matches!(&**key.get_ref(), "const" | "type" | "split")) {
                    self.document
                        .problem(key.span(), format!("`const` is sent as it is: `{}` changes nothing", key.get_ref()));
                }
                let item = table.get("const")?;
                let text = scalar_text(item);
                if text.is_none() {
                    self.document.problem(item.span(), format!("`const` is one value, not {}", kind_of(item)));
                }
                text.map(|text| SourceSpec::Const(text.into()))
            }
        }
    }

    fn rule(&mut self, table: &DeTable<'_>, kind: Kind, target: &Target) -> Option<Rule> {
        let mut rule = Rule::of(kind);
        rule.raw &= target.raw;
        let words = |named: Option<Vec<Named>>| -> Vec<Box<str>> {
            named.unwrap_or_default().into_iter().map(|named| named.text.into()).collect()
        };
        rule.nulls = words(self.document.strings(table, "null"));
        rule.one_of = words(self.document.strings(table, "one_of"));
        rule.trim = self.document.flag(table, "trim");
        rule.case = match (self.document.flag(table, "lower"), self.document.flag(table, "upper")) {
            (true, false) => Some(Case::Lower),
            (false, true) => Some(Case::Upper),
            (false, false) => None,
            (true, true) => {
                let span = table.get("upper").map_or(0..0, |item| item.span());
                self.document.problem(span, "`lower` and `upper` exclude each other");
                None
            }
        };
        rule.prefix = self.document.string(table, "prefix").map_or_else(Box::default, |named| named.text.into());
        rule.suffix = self.document.string(table, "suffix").map_or_else(Box::default, |named| named.text.into());
        rule.table = self.table_of(table);
        rule.otherwise = self.document.string(table, "else").map(|named| named.text.into());
        if let (Some(item), None) = (table.get("else"), &rule.table) {
            self.document.problem(item.span(), "`else` goes with `map` or `lookup`");
        }
        if matches!(kind, Kind::Time) {
            rule.time = self.time_rule(table);
        }
        rule.number = self.number_form(table);
        Some(rule)
    }

    fn table_of(&mut self, table: &DeTable<'_>) -> Option<Arc<Table>> {
        if let (Some(_), Some(item)) = (table.get("map"), table.get("lookup")) {
            self.document.problem(item.span(), "`map` and `lookup` exclude each other");
        }
        if let Some(entries) = self.document.table(table, "map") {
            let mut words = Table::new("its `map`".to_owned());
            self.entries(&mut words, entries);
            return Some(Arc::new(words));
        }
        let name = self.document.string(table, "lookup")?;
        let found = self.lookups.get(&name.text).cloned();
        if found.is_none() {
            let message = format!("there is no lookup `{}`", name.text);
            let near = crate::problem::did_you_mean(&name.text, self.lookups.keys().map(String::as_str));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add a table [lookups.{}]", name.text),
            };
            self.document.hinted(name.span, message, hint);
        }
        found
    }

    fn time_rule(&mut self, table: &DeTable<'_>) -> Option<TimeRule> {
        let zone = self.document.string(table, "zone").and_then(|named| {
            let zone = Zone::of_name(&named.text);
            if zone.is_none() {
                let message = format!("there is no time zone `{}`", named.text);
                self.document.hinted(named.span, message, "for example UTC, Europe/Berlin, America/New_York");
            }
            zone
        });
        let Some(names) = self.document.strings(table, "time") else {
            return zone.map(|zone| TimeRule { formats: vec![Format::Iso], zone: Some(zone) });
        };
        let mut formats = Vec::new();
        for named in names {
            match Format::parse(&named.text) {
                Ok(format) if format.needs_zone() && !table.contains_key("zone") => {
                    let message = format!("`{}` doesn't say the zone of its times", named.text);
                    self.document.hinted(named.span, message, "say it: zone = \"UTC\", or zone = \"Europe/Berlin\"");
                }
                Ok(format) => formats.push(format),
                Err(reason) => {
                    self.document.hinted(named.span, reason, "iso, unix, unix_ms, or a format like %Y-%m-%d %H:%M")
                }
            }
        }
        Some(TimeRule { formats, zone })
    }

    fn number_form(&mut self, table: &DeTable<'_>) -> Option<NumberForm> {
        if !["decimal", "thousands", "scale"].iter().any(|key| table.contains_key(*key)) {
            return None;
        }
        let decimal = self.document.character(table, "decimal").unwrap_or('.');
        let thousands = self.document.character(table, "thousands");
        if let Some(item) = table.get("thousands")
            && thousands == Some(decimal)
        {
            self.document.problem(item.span(), format!("`{decimal}` can't stand for both thousands and decimals"));
        }
        let scale = self.document.integer(table, "scale").unwrap_or(0);
        let scale =
            i8::try_from(scale).ok().filter(|scale| scale.abs() <= NumberForm::SCALE_MAX).unwrap_or_else(|| {
                let span = table.get("scale").map_or(0..0, |item| item.span());
                self.document
                    .problem(span, format!("`scale` moves the point by {} places at most", NumberForm::SCALE_MAX));
                0
            });
        Some(NumberForm { decimal, thousands, scale })
    }

    fn split(&mut self, table: &DeTable<'_>, span: &Span, target: &Target) -> Option<Box<str>> {
        let named = self.document.string(table, "split")?;
        if !target.list {
            self.document.problem(span.clone(), format!("`split` is for lists of texts; `{}` is none", target.path));
        } else if named.text.is_empty() {
            self.document.problem(named.span, "`split` needs a separator");
        }
        Some(named.text.into())
    }

    /// A value that is sent as it is must fit as it is.
    fn fixed(&mut self, table: &DeTable<'_>, key: &str, rule: &Rule, text: &str, path: &str) -> Option<Box<str>> {
        let span = table.get(key).map_or(0..0, |item| item.span());
        let iso = Rule { time: None, ..rule.clone() };
        match iso.finish(text, text) {
            Ok(Some(fits)) => Some(fits.as_str().into()),
            Ok(None) => {
                self.document.problem(span, format!("`{key}` of `{path}` is empty"));
                None
            }
            Err(fault) => {
                self.document.problem(span, format!("`{text}` can't be `{path}`: it {}", fault.reason));
                None
            }
        }
    }

    /// The words of a table are checked now, so that a typing mistake there is not found row by row.
    fn check_words(&mut self, table: &DeTable<'_>, rule: &Rule, path: &str) {
        let changed = !rule.prefix.is_empty() || !rule.suffix.is_empty() || rule.number.is_some();
        let Some(words) = rule.table.as_ref().filter(|_| !changed && !matches!(rule.kind, Kind::Time)) else { return };
        let key = if table.contains_key("map") { "map" } else { "lookup" };
        let span = |key: &str| table.get(key).map_or(0..0, |item| item.span());
        for (word, becomes) in words.entries() {
            if let Err(fault) = rule.finish(becomes, becomes) {
                self.document.problem(
                    span(key),
                    format!("`{word}` becomes `{becomes}`, which can't be `{path}`: it {}", fault.reason),
                );
                break;
            }
        }
        if let Some(otherwise) = &rule.otherwise
            && let Err(fault) = rule.finish(otherwise, otherwise)
        {
            self.document.problem(span("else"), format!("`{otherwise}` can't be `{path}`: it {}", fault.reason));
        }
    }
}
