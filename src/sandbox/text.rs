//! Settings as written on a command line.

use std::time::Duration;

/// Why a setting's text is not understood. Nothing was set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No `=`.
    #[error("{given:?} is not of the form {form}")]
    Form {
        /// What was written.
        given: String,
        /// What is expected.
        form: &'static str,
    },
    /// No such setting.
    #[error("there is no setting {given:?}; there are: {}", names.join(", "))]
    Name {
        /// What was written.
        given: String,
        /// The settings' names.
        names: &'static [&'static str],
    },
    /// No such choice.
    #[error("{given:?} is not a choice here; the choices are: {}", choices.join(", "))]
    Choice {
        /// What was written.
        given: String,
        /// The choices' names.
        choices: &'static [&'static str],
    },
    /// Not a number, or out of range.
    #[error("{given:?} is not {expected}")]
    Number {
        /// What was written.
        given: String,
        /// What is expected.
        expected: &'static str,
    },
}

/// Cuts `NAME=VALUE`.
pub(crate) fn parse_switch<'a>(text: &'a str, form: &'static str) -> Result<(&'a str, &'a str), SettingError> {
    text.split_once('=')
        .map(|(name, value)| (name.trim(), value.trim()))
        .ok_or_else(|| SettingError::Form { given: text.to_owned(), form })
}

/// Milliseconds.
pub(crate) fn parse_duration_ms(text: &str) -> Result<Duration, SettingError> {
    text.parse()
        .map(Duration::from_millis)
        .map_err(|_| SettingError::Number { given: text.to_owned(), expected: "a whole number of milliseconds" })
}

/// A probability.
pub(crate) fn parse_probability(text: &str) -> Result<f64, SettingError> {
    text.parse::<f64>()
        .ok()
        .filter(|p| (0.0..=1.0).contains(p))
        .ok_or_else(|| SettingError::Number { given: text.to_owned(), expected: "a probability from 0 to 1" })
}
