//! What is done to one cell's text before it is sent.

use std::sync::Arc;

use crate::entity::{self, Alphabet, Kind};

use super::fault::Fault;
use super::number::{NumberForm, canonical, is_canonical};
use super::table::Table;
use super::time::{IsoText, TimeRule};

/// Letters changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Upper,
}

/// The steps of a value, in this order: empty words, blanks, letters, default, table, prefix and
/// suffix, time or number, the field's own check, the mapping's words.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// What the value has to be in the end. Scalar.
    pub kind: Kind,
    /// Whether it is written without quotes.
    pub raw: bool,
    /// Whether nothing that passes the check needs an escape in JSON.
    pub verbatim: bool,
    /// No step but the check and the form of its kind.
    pub plain: bool,
    pub nulls: Vec<Box<str>>,
    pub trim: bool,
    pub case: Option<Case>,
    /// Final: sent as it stands.
    pub default: Option<Box<str>>,
    pub table: Option<Arc<Table>>,
    /// What a word that is not in the table becomes.
    pub otherwise: Option<Box<str>>,
    pub prefix: Box<str>,
    pub suffix: Box<str>,
    pub time: Option<TimeRule>,
    pub number: Option<NumberForm>,
    pub one_of: Vec<Box<str>>,
}

/// A value ready to be written.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Owned(String),
    Time(IsoText),
}

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
            Self::Time(text) => std::str::from_utf8(text.as_bytes()).expect("an ISO time is ASCII"),
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(text) => text.as_bytes(),
            Self::Owned(text) => text.as_bytes(),
            Self::Time(text) => text.as_bytes(),
        }
    }

    pub fn into_owned(self) -> Text<'static> {
        match self {
            Self::Borrowed(text) => Text::Owned(text.to_owned()),
            Self::Owned(text) => Text::Owned(text),
            Self::Time(text) => Text::Time(text),
        }
    }
}

impl Rule {
    /// A rule that only checks.
    pub fn of(kind: Kind) -> Self {
        Self {
            raw: matches!(kind, Kind::Number { .. } | Kind::Bool),
            verbatim: match kind {
                Kind::Id { alphabet: Alphabet::Customer | Alphabet::Package | Alphabet::Original, .. }
                | Kind::Time
                | Kind::Number { .. }
                | Kind::Bool => true,
                Kind::Id { alphabet: Alphabet::Any, .. }
                | Kind::Text { .. }
                | Kind::Email
                | Kind::Enum(_)
                | Kind::Fixed(_)
                | Kind::TextMap
                | Kind::ScalarMap
                | Kind::TextList
                | Kind::Object(_)
                | Kind::List { .. } => false,
            },
            kind,
            plain: true,
            nulls: Vec::new(),
            trim: false,
            case: None,
            default: None,
            table: None,
            otherwise: None,
            prefix: "".into(),
            suffix: "".into(),
            time: None,
            number: None,
            one_of: Vec::new(),
        }
    }

    /// Whether [`Rule::plain`] can be set. A time's format is part of the form of its kind.
    pub fn has_no_steps(&self) -> bool {
        self.nulls.is_empty()
            && !self.trim
            && self.case.is_none()
            && self.default.is_none()
            && self.table.is_none()
            && self.prefix.is_empty()
            && self.suffix.is_empty()
            && self.number.is_none()
            && self.one_of.is_empty()
    }

    /// What a cell becomes. `None`: it is empty, and so absent.
    ///
    /// # Errors
    ///
    /// A fault without a field.
    // Always: see [`super::plan::ValuePlan::text`].
    #[inline(always)]
    pub fn apply<'a>(&'a self, text: &'a str) -> Result<Option<Text<'a>>, Box<Fault>> {
        if self.plain {
            let as_it_is =
                entity::is_plain(&self.kind, text) && (!matches!(self.kind, Kind::Number { .. }) || is_canonical(text));
            return if as_it_is { Ok(Some(Text::Borrowed(text))) } else { self.finish(text, text) };
        }
        self.in_steps(text)
    }

    fn in_steps<'a>(&'a self, text: &'a str) -> Result<Option<Text<'a>>, Box<Fault>> {
        let given = text;
        let text = if self.trim { text.trim() } else { text };
        if text.is_empty() || self.is_null(text) {
            return Ok(self.default.as_deref().map(Text::Borrowed));
        }
        let cased = match self.case {
            None => None,
            Some(Case::Lower) => Some(text.to_lowercase()),
            Some(Case::Upper) => Some(text.to_uppercase()),
        };
        let found = match (&cased, &self.table) {
            // Nothing was changed: what is borrowed lives on.
            (None, None) if self.prefix.is_empty() && self.suffix.is_empty() => return self.end(text, given),
            (cased, None) => cased.as_deref().unwrap_or(text),
            (cased, Some(table)) => {
                let word = cased.as_deref().unwrap_or(text);
                let word = word.trim();
                if word.is_empty() {
                    return Ok(self.default.as_deref().map(Text::Borrowed));
                }
                match table.get(word).or(self.otherwise.as_deref()) {
                    Some(found) if self.prefix.is_empty() && self.suffix.is_empty() => return self.end(found, given),
                    Some(found) => found,
                    None => return Err(Fault::of_value(given, format!("no entry in {}", table.title))),
                }
            }
        };
        let joined = format!("{}{}{}", self.prefix, found.trim(), self.suffix);
        Ok(self.end(&joined, given)?.map(Text::into_owned))
    }

    fn is_null(&self, text: &str) -> bool {
        !self.nulls.is_empty() && self.nulls.iter().any(|word| **word == *text.trim())
    }

    fn end<'a>(&'a self, text: &'a str, given: &str) -> Result<Option<Text<'a>>, Box<Fault>> {
        let ended = match (&self.number, text.trim()) {
            (None, _) => self.finish(text, given)?,
            (Some(_), "") => None,
            (Some(form), number) => match form.plain(number) {
                Some(plain) => self.finish(&plain, given)?.map(Text::into_owned),
                None => return Err(Fault::of_value(given, entity::Misfit::NotANumber.to_string())),
            },
        };
        // Blanks that a check cuts off may leave nothing.
        let Some(ended) = ended else { return Ok(self.default.as_deref().map(Text::Borrowed)) };
        if !self.one_of.is_empty() && !self.one_of.iter().any(|word| **word == *ended.as_str()) {
            return Err(Fault::of_value(given, format!("is none of {}", self.one_of.join(", "))));
        }
        Ok(Some(ended))
    }

    /// The check and the form of the kind; `given` is what a fault shows.
    pub fn finish<'a>(&'a self, text: &'a str, given: &str) -> Result<Option<Text<'a>>, Box<Fault>> {
        if matches!(self.kind, Kind::Time) {
            let rule = self.time.as_ref().unwrap_or_else(|| TimeRule::iso());
            if let Some(iso) = rule.as_sent(text) {
                return Ok(Some(Text::Time(iso)));
            }
            if text.trim().is_empty() {
                return Ok(None);
            }
            let civil = rule.convert(text).map_err(|fault| Fault::of_value(given, fault.reason))?;
            let iso = civil.iso().ok_or_else(|| Fault::of_value(given, "is outside the years 0 to 9999"))?;
            return Ok(Some(Text::Time(iso)));
        }
        let checked = entity::check(&self.kind, text).map_err(|misfit| Fault::of_value(given, misfit.to_string()))?;
        Ok(checked.map(|text| match self.kind {
            Kind::Number { .. } => match canonical(text) {
                std::borrow::Cow::Borrowed(text) => Text::Borrowed(text),
                std::borrow::Cow::Owned(text) => Text::Owned(text),
            },
            _ => Text::Borrowed(text),
        }))
    }
}
