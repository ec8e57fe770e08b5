//! A database source as people write it, in a pipeline file or on the command line.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use crate::mapping::MappingFile;
use crate::pipeline::SourceSpec;
use crate::source::{SqlOptions, SqlQuery};

/// A database source as it is written; nothing of it was looked at.
#[derive(Debug, Clone, Copy)]
pub struct SqlWritten<'t> {
    /// `postgres`, `mysql`, `mariadb` or `sqlite`.
    pub kind: &'t str,
    /// Its address, in which `${NAME}` stands for an environment variable; of SQLite also a file's path.
    pub url: &'t str,
    /// A query.
    pub query: Option<&'t str>,
    /// A table, instead of a query.
    pub table: Option<&'t str>,
    /// The unique column by which pages are read.
    pub key: Option<&'t str>,
    /// The column that says when a row has changed.
    pub changed: Option<&'t str>,
    /// How far before the mark changes are looked for, in seconds or the column's own unit.
    pub changed_margin: Option<i64>,
}

/// Why what was written is no source. Nothing was opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlFault {
    /// The address names an environment variable that is not set.
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    /// The address holds a password that is no variable.
    #[error("the address holds a password")]
    Password,
    /// There is neither a query nor a table.
    #[error("there is neither a query nor a table")]
    NoQuery,
    /// There are a query and a table.
    #[error("there are a query and a table")]
    TwoQueries,
    /// Only some rows of a record would be read.
    #[error("the mapping makes one record of several rows (`group`, `aggregate`), and `changed` reads only some")]
    ChangedJoinsRows,
    /// A margin without the column it goes with.
    #[error("there is a margin and no column of changes")]
    MarginAlone,
    /// A margin below 0.
    #[error("the margin is below 0")]
    MarginNegative,
}

impl SqlWritten<'_> {
    /// The source that is meant; a file's path counts from `base_dir`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn read(&self, base_dir: &Path, mapping: Option<&MappingFile>) -> Result<SourceSpec, SqlFault> {
        let expanded = expanded(self.url).map_err(SqlFault::NoVariable)?;
        let url = if self.kind == "sqlite" && !expanded.expose_secret().starts_with("sqlite:") {
            // A file's path is as good as a URL.
            SecretString::from(format!("sqlite:{}", base_dir.join(expanded.expose_secret()).display()))
        } else if has_password(self.url) {
            return Err(SqlFault::Password);
        } else {
            expanded
        };
        let kind = self.kind;
        let (name, query) = match (self.query, self.table) {
            (Some(query), None) => (format!("{kind} query"), SqlQuery::Query(query.to_owned())),
            (None, Some(table)) => (format!("{kind} table {table}"), SqlQuery::Table(table.to_owned())),
            (None, None) => return Err(SqlFault::NoQuery),
            (Some(_), Some(_)) => return Err(SqlFault::TwoQueries),
        };
        let mut options = SqlOptions::new(url, query);
        options.key = self.key.map(str::to_owned);
        if self.changed.is_some() && mapping.is_some_and(MappingFile::joins_rows) {
            return Err(SqlFault::ChangedJoinsRows);
        }
        options.changed = self.changed.map(str::to_owned);
        if let Some(margin) = self.changed_margin {
            let margin = u32::try_from(margin).map_err(|_| SqlFault::MarginNegative)?;
            if options.changed.is_none() {
                return Err(SqlFault::MarginAlone);
            }
            options.changed_margin = margin;
        }
        Ok(SourceSpec::Sql { name, options: Box::new(options) })
    }
}

/// Replaces `${NAME}` by the environment variable's value, or names the first that is not set.
pub(super) fn expanded(text: &str) -> Result<SecretString, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        result.push_str(&rest[..start]);
        let name = &rest[start + 2..start + length];
        result.push_str(&std::env::var(name).map_err(|_| name.to_owned())?);
        rest = &rest[start + length + 1..];
    }
    result.push_str(rest);
    Ok(SecretString::from(result))
}

/// Whether a URL as it is written (variables not replaced) holds a password.
pub(super) fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or(""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let literal = |password: &str| !password.is_empty() && !password.contains("${");
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters).split('&');
    user.split_once(':').is_some_and(|(_, password)| literal(password))
        || parameters.filter_map(|pair| pair.strip_prefix("password=")).any(literal)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_literal_password_is_seen_and_a_variable_is_none() {
        assert!(has_password("postgres://ada:secret@db.example.com/billing"));
        assert!(!has_password("postgres://ada:${DB_PASSWORD}@db.example.com/billing"));
        assert!(!has_password("postgres://ada@db.example.com/billing?x=a:b@c"));
        assert!(!has_password("${BILLING_DB_URL}"));
        assert!(has_password("postgres:///billing?host=/run/postgresql&password=secret"));
        assert!(!has_password("postgres:///billing?password=${DB_PASSWORD}"));
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        assert_eq!(expanded("a${STIGG_IMPORT_NO_SUCH_VARIABLE}b").unwrap_err(), "STIGG_IMPORT_NO_SUCH_VARIABLE");
        assert_eq!(expanded("a${").expect("it has no variable").expose_secret(), "a${");
    }
}
