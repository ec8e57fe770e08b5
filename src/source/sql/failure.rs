//! What went wrong with a database, in words that give no secret away.

use std::time::Duration;

use crate::database_url::Secrets;
use crate::source::error::{BrokeProblem, OpenProblem};

/// Most characters of a database's own words.
const WORDS_CHARS_MAX: usize = 300;

/// Why a statement gave no (more) rows.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody listens any more.
    Dropped,
    /// The driver or the database says so.
    Database(sqlx::Error),
    /// Nothing came for so long.
    Timeout(Duration),
    /// It can't be read, and another try would end the same.
    Data(OpenProblem),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Failure {
    /// Whether the connection is gone or a reading was broken off, so that a new one may help.
    pub(super) fn is_lost_connection(&self) -> bool {
        match self {
            Self::Database(error) => match error {
                sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
                // Postgres: class 08, and the server stops (57P01), crashed (57P02), starts (57P03); a standby had to
                // take rows away that were being read (40001).
                // MySQL and MariaDB: the server stops (1053), the connection was killed (1927).
                sqlx::Error::Database(database) => database.code().is_some_and(|code| {
                    code.starts_with("08") && code.len() == 5
                        || matches!(&*code, "57P01" | "57P02" | "57P03" | "40001")
                        || database
                            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
                            .is_some_and(|mysql| matches!(mysql.number(), 1053 | 1927))
                }),
                _ => false,
            },
            Self::Dropped | Self::Timeout(_) | Self::Data(_) => false,
        }
    }
}

/// Turns failures into problems, with secrets taken out of the words.
#[derive(Debug, Clone)]
pub(super) struct Words {
    secrets: Secrets,
}

impl Words {
    /// Takes out these.
    pub(super) fn without(secrets: Secrets) -> Self {
        Self { secrets }
    }

    fn clean(&self, words: &str) -> String {
        let line = self.secrets.taken_out_of(words);
        match line.char_indices().nth(WORDS_CHARS_MAX) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line,
        }
    }

    fn of(&self, error: &sqlx::Error) -> String {
        match error {
            sqlx::Error::Database(database) => {
                let code = database.code();
                let shown = code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
                let message = match code.as_deref() {
                    Some(code) if is_about_data(code) => without_quoted(database.message()),
                    Some(_) | None => database.message().to_owned(),
                };
                self.clean(&format!("{message}{shown}"))
            }
            sqlx::Error::Io(error) => self.clean(&error.to_string()),
            other => self.clean(&other.to_string()),
        }
    }

    /// A failure while connecting.
    pub(super) fn at_connect(&self, failure: Failure) -> OpenProblem {
        match failure {
            Failure::Database(error) => match &error {
                sqlx::Error::Configuration(_) => OpenProblem::Url(self.of(&error)),
                sqlx::Error::Database(database) => match database.code().as_deref() {
                    // Postgres: 28xxx; MySQL and MariaDB: 28000 and 42000 (no right to the database).
                    Some(code) if code.starts_with("28") => OpenProblem::Login(self.of(&error)),
                    _ => OpenProblem::Unreachable(self.of(&error)),
                },
                _ => OpenProblem::Unreachable(self.of(&error)),
            },
            Failure::Timeout(after) => OpenProblem::Unreachable(format!("no answer within {after:?}")),
            Failure::Data(problem) => problem,
            Failure::Dropped => OpenProblem::Unreachable("the run was broken off".to_owned()),
        }
    }

    /// A failure once connected, before the first row.
    pub(super) fn at_query(&self, failure: Failure) -> OpenProblem {
        match failure {
            Failure::Database(error) if matches!(error, sqlx::Error::Database(_)) => {
                OpenProblem::Query(self.of(&error))
            }
            Failure::Database(error) => OpenProblem::Unreachable(self.of(&error)),
            Failure::Timeout(after) => OpenProblem::Query(format!("the database gave no answer within {after:?}")),
            Failure::Data(problem) => problem,
            Failure::Dropped => OpenProblem::Unreachable("the run was broken off".to_owned()),
        }
    }

    /// A failure part-way; nothing where nobody listens.
    pub(super) fn part_way(&self, failure: Failure) -> Option<BrokeProblem> {
        Some(match failure {
            Failure::Dropped => return None,
            Failure::Database(error) => BrokeProblem::Database(self.of(&error)),
            Failure::Timeout(after) => {
                BrokeProblem::Database(format!("the database gave no further rows within {after:?}"))
            }
            Failure::Data(problem) => BrokeProblem::Database(problem.to_string()),
        })
    }
}

/// Whether a message with this SQLSTATE quotes a cell: classes 22 (data exception) and 23 (constraint).
fn is_about_data(code: &str) -> bool {
    code.len() == 5 && (code.starts_with("22") || code.starts_with("23"))
}

/// What stands in quotes, from the first to the last of a kind (a cell may hold some itself), as `…`.
fn without_quoted(message: &str) -> String {
    let mut message = message.to_owned();
    for quote in ['"', '\''] {
        if let (Some(begin), Some(end)) = (message.find(quote), message.rfind(quote))
            && begin < end
        {
            message.replace_range(begin + 1..end, "…");
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_a_database_quotes_are_not_told() {
        let told = |message| without_quoted(message);
        assert_eq!(
            told(r#"invalid input syntax for type integer: "a "b" c""#),
            r#"invalid input syntax for type integer: "…""#
        );
        assert_eq!(told("Truncated incorrect INTEGER value: 'ada'"), "Truncated incorrect INTEGER value: '…'");
        assert_eq!(told("division by zero"), "division by zero");
        assert!(is_about_data("22P02") && !is_about_data("42703"));
    }

    #[test]
    fn secrets_are_taken_out_of_words_and_words_are_short() {
        let words =
            Words::without(Secrets::of(&url::Url::parse("postgres://u:pass%21word@h/d?password=pass").expect("a URL")));
        assert_eq!(words.clean("no\nuser:pass%21word@host, pass"), "no user:***@host, ***");
        assert_eq!(words.clean(&"x".repeat(1_000)).chars().count(), WORDS_CHARS_MAX + 1);
    }
}
