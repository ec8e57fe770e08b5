//! A page as it is shown: words, numbers and tables, whatever the command was.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, escape_formatter};
use serde::Serialize;

use super::chart::Chart;
use crate::cli::plain;
use crate::spreadsheet::neutralise;

/// The page. Its name decides that everything put into it is escaped.
const TEMPLATE_NAME: &str = "page.html";
const TEMPLATE: &str = include_str!("page.html");

/// How it went. Told by a word and a sign, too: colour alone says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tone {
    /// Nothing is left to do.
    Good,
    /// Something is left to look at.
    Attention,
    /// It did not work.
    Bad,
    /// No judgement.
    Plain,
}

/// A page.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Page {
    /// The command.
    pub(super) command: &'static str,
    pub(super) tone: Tone,
    /// How it went in one or two words.
    pub(super) state: &'static str,
    /// How it went in a sentence or two.
    pub(super) verdict: String,
    /// When, where, how long.
    pub(super) facts: Vec<Fact>,
    pub(super) cards: Vec<Card>,
    pub(super) sections: Vec<Section>,
    /// What to do next, each in a sentence.
    pub(super) next: Vec<String>,
    /// Whether values of rows are on it.
    pub(super) has_samples: bool,
}

/// A line under the verdict.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// A number that matters.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Card {
    pub name: &'static str,
    pub value: String,
    pub note: String,
    pub tone: Tone,
}

/// A part of the page.
#[derive(Debug, Default, Serialize)]
pub(super) struct Section {
    pub title: &'static str,
    pub intro: String,
    pub chart: Option<Chart>,
    pub table: Option<Table>,
    pub after: String,
}

/// A table; the first column names its rows.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Column {
    pub title: &'static str,
    pub is_number: bool,
}

/// A cell: one or several lines.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Cell(Vec<String>);

/// A column of text.
pub(super) const fn words(title: &'static str) -> Column {
    Column { title, is_number: false }
}

/// A column of numbers.
pub(super) const fn number(title: &'static str) -> Column {
    Column { title, is_number: true }
}

impl Cell {
    /// Text that may come from a row: copied into a spreadsheet it is not run there either.
    pub fn text(text: &str) -> Self {
        Self(vec![neutralise(text).into_owned()])
    }

    /// Several lines of such text.
    pub fn lines(lines: impl IntoIterator<Item = String>) -> Self {
        Self(lines.into_iter().map(|line| neutralise(&line).into_owned()).collect())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

impl Page {
    /// The page as one file that needs no other.
    ///
    /// # Errors
    ///
    /// The template does not hold: a bug of ours.
    pub(super) fn html(&self) -> Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_formatter(|out, state, value| match value.as_str() {
            Some(text) if !value.is_safe() => escape_formatter(out, state, &Value::from(plain(text).into_owned())),
            Some(_) | None => escape_formatter(out, state, value),
        });
        environment.add_template(TEMPLATE_NAME, TEMPLATE)?;
        environment.get_template(TEMPLATE_NAME)?.render(Serde(self))
    }
}

#[cfg(test)]
impl Page {
    /// What a person reads, a line for each, without when it was written. Markup is another's matter: `page.html` has it, and the
    /// tests of whole pages.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![format!("{}: stigg-import {}", self.state, self.command), self.verdict.clone()];
        let facts = self.facts.iter().filter(|fact| fact.name != "Written");
        lines.extend(facts.map(|fact| format!("{} {}", fact.name, fact.value)));
        lines.extend(
            self.cards.iter().map(|card| format!("{} {} {} ({:?})", card.name, card.value, card.note, card.tone)),
        );
        lines.extend(self.next.iter().map(|next| format!("next: {next}")));
        for section in &self.sections {
            lines.extend([format!("# {}", section.title), section.intro.clone()]);
            if let Some(table) = &section.table {
                lines.push(table.columns.iter().map(|column| column.title).collect::<Vec<_>>().join(" | "));
                let row = |row: &Vec<Cell>| row.iter().map(|cell| cell.0.join(", ")).collect::<Vec<_>>().join(" | ");
                lines.extend(table.rows.iter().map(row));
            }
            lines.push(section.after.clone());
        }
        lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }
}
