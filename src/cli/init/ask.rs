//! Asks on the terminal what a draft can't know.

use std::io::{BufRead as _, IsTerminal as _};

use super::super::say;
use super::Order;
use crate::draft::{About, Adviser, Question};

/// Tries until an answer is taken for none.
const TRIES_MAX: usize = 3;

/// Who sits at the terminal.
#[derive(Default)]
pub(super) struct Terminal {
    /// Whether the input has ended: the rest is guessed.
    has_left: bool,
}

/// Whether somebody does.
pub(super) fn is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

impl Adviser for Terminal {
    fn choose(&mut self, question: &Question) -> Option<usize> {
        if self.has_left {
            return None;
        }
        say(&shown(question));
        for _ in 0..TRIES_MAX {
            let mut line = String::new();
            match std::io::stdin().lock().read_line(&mut line) {
                Ok(0) | Err(_) => {
                    self.has_left = true;
                    return None;
                }
                Ok(_) => {}
            }
            if let Some(choice) = read(question, line.trim()) {
                return Some(choice);
            }
            say(&format!("a number from 1 to {}, or Enter for {}:", question.choices.len(), question.guess + 1));
        }
        None
    }
}

/// What was said on the command line, and whom to ask about the rest.
pub(super) struct Said {
    pub(super) dates: Option<Order>,
    pub(super) asked: Box<dyn Adviser>,
}

impl Adviser for Said {
    fn choose(&mut self, question: &Question) -> Option<usize> {
        match (&question.about, self.dates) {
            (About::DayOrMonth { .. }, Some(Order::DayFirst)) => Some(0),
            (About::DayOrMonth { .. }, Some(Order::MonthFirst)) => Some(1),
            (
                About::DayOrMonth { .. } | About::Schema | About::Column { .. } | About::Unit { .. } | About::Provider,
                _,
            ) => self.asked.choose(question),
        }
    }
}

/// The choice that is meant by a line: its number, its name, or nothing for the guess.
fn read(question: &Question, line: &str) -> Option<usize> {
    if line.is_empty() {
        return Some(question.guess);
    }
    let named = || question.choices.iter().position(|choice| choice.name == line);
    match line.parse::<usize>() {
        Ok(number) if (1..=question.choices.len()).contains(&number) => Some(number - 1),
        _ => named(),
    }
}

fn shown(question: &Question) -> String {
    let mut text = match &question.about {
        About::Schema => "what is a row?".to_owned(),
        About::Column { schema, field } => format!("which column is the {field} of a {}?", schema.name()),
        About::DayOrMonth { column } => format!("column {column}: does the day or the month come first?"),
        About::Unit { column } => format!("column {column}: are these amounts in whole units or in cents?"),
        About::Provider => "at which billing provider are the originals?".to_owned(),
    };
    let width = question.choices.iter().map(|choice| choice.name.chars().count()).max().unwrap_or(0);
    for (number, choice) in (1..).zip(&question.choices) {
        let line = format!("\n  {number}  {:<width$}  {}", choice.name, choice.because);
        text.push_str(line.trim_end());
    }
    format!("{text}\nnumber, or Enter for {}:", question.guess + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Choice;
    use crate::entity::{Entity, Schema};

    #[test]
    fn every_question_is_asked_in_a_line() {
        let schema = Schema::Import(Entity::Customer);
        let abouts = [
            About::Schema,
            About::Column { schema, field: "customerId" },
            About::DayOrMonth { column: "start".to_owned() },
            About::Unit { column: "price".to_owned() },
            About::Provider,
        ];
        let choices = ["one", "another"].map(|name| Choice { name: name.to_owned(), because: String::new() });
        let shown = abouts.map(|about| shown(&Question { about, choices: choices.to_vec(), guess: 0 }));
        insta::assert_snapshot!(shown.join("\n"), @"
        what is a row?
          1  one
          2  another
        number, or Enter for 1:
        which column is the customerId of a customer?
          1  one
          2  another
        number, or Enter for 1:
        column start: does the day or the month come first?
          1  one
          2  another
        number, or Enter for 1:
        column price: are these amounts in whole units or in cents?
          1  one
          2  another
        number, or Enter for 1:
        at which billing provider are the originals?
          1  one
          2  another
        number, or Enter for 1:
        ");
    }

    #[test]
    fn the_order_of_dates_that_was_said_is_not_asked_for() {
        struct Never;
        impl Adviser for Never {
            fn choose(&mut self, question: &Question) -> Option<usize> {
                panic!("{question:?} is asked")
            }
        }
        let about = About::DayOrMonth { column: "start".to_owned() };
        let question = Question { about, choices: Vec::new(), guess: 0 };
        for (order, choice) in [(Order::DayFirst, 0), (Order::MonthFirst, 1)] {
            let mut said = Said { dates: Some(order), asked: Box::new(Never) };
            assert_eq!(said.choose(&question), Some(choice));
        }
    }

    #[test]
    fn an_answer_is_a_number_a_name_or_nothing() {
        let choice = |name: &str| Choice { name: name.to_owned(), because: "a | b".to_owned() };
        let about = About::DayOrMonth { column: "start".to_owned() };
        let question = Question { about, choices: vec![choice("day first"), choice("month first")], guess: 1 };
        assert_eq!(read(&question, ""), Some(1));
        assert_eq!(read(&question, "1"), Some(0));
        assert_eq!(read(&question, "month first"), Some(1));
        assert_eq!(["0", "3", "-1", "day", "1 2"].map(|line| read(&question, line)), [None; 5]);
        insta::assert_snapshot!(shown(&question), @"
        column start: does the day or the month come first?
          1  day first    a | b
          2  month first  a | b
        number, or Enter for 2:
        ");
    }
}
