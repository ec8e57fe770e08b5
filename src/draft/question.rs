//! What a draft can't know, asked of a person where there is one.

use super::sample::ColumnSample;
use crate::entity::Schema;

/// Something to decide, and what is guessed where nobody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub about: About,
    /// The answers, two at least.
    pub choices: Vec<Choice>,
    /// The likeliest: its position among the choices.
    pub guess: usize,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// What a row is.
    Schema,
    /// Which of some columns, that are about as likely, a field is taken from.
    Column {
        /// Whose field.
        schema: Schema,
        /// The field.
        field: &'static str,
    },
    /// Whether the day or the month comes first in the times of a column.
    DayOrMonth {
        /// The column.
        column: String,
    },
    /// Whether the amounts of a column are in currency units or in their hundredth.
    Unit {
        /// The column.
        column: String,
    },
    /// At which billing provider the originals of paid subscriptions are.
    Provider,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// In a word or two, or a column's name.
    pub name: String,
    /// What helps to decide, such as two values.
    pub because: String,
}

/// Who decides.
pub trait Adviser {
    /// The position of the choice that is right; none where nobody can be asked: the guess is then taken and left with a
    /// `TODO`, or, where a wrong one would not be noticed, nothing is.
    fn choose(&mut self, question: &Question) -> Option<usize>;
}

/// Nobody can be asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Adviser for Nobody {
    fn choose(&mut self, _: &Question) -> Option<usize> {
        None
    }
}

/// What was taken, and whether somebody said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) choice: usize,
    pub(super) is_said: bool,
}

/// Asks; an answer that is none of the choices is no answer.
pub(super) fn ask(adviser: &mut dyn Adviser, question: &Question) -> Taken {
    match adviser.choose(question).filter(|choice| *choice < question.choices.len()) {
        Some(choice) => Taken { choice, is_said: true },
        None => Taken { choice: question.guess, is_said: false },
    }
}

/// A column as an answer.
pub(super) fn choice(column: &ColumnSample) -> Choice {
    Choice { name: column.name.clone(), because: column.shown().join(" | ") }
}
