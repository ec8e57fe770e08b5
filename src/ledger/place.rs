//! Where a ledger is.

use std::fmt;
use std::path::{Path, PathBuf};

use super::postgres::PostgresAddress;
use super::sqlite::SqliteLedger;

/// Where a ledger is. What it prints holds no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerPlace {
    /// A SQLite file.
    File(PathBuf),
    /// A schema in a Postgres database, which several machines may share.
    Postgres(PostgresAddress),
}

impl LedgerPlace {
    /// What a person means by a text: a database's address where it begins as one, a file otherwise.
    pub fn of(text: &str) -> Self {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        match scheme.to_ascii_lowercase().as_str() {
            "postgres" | "postgresql" => Self::Postgres(PostgresAddress::of(text)),
            _ => Self::File(PathBuf::from(text)),
        }
    }

    /// The same of a word on the command line, which others can see: with a password in it, it can't be used.
    pub fn of_argument(text: &str) -> Self {
        match Self::of(text) {
            Self::Postgres(address) => Self::Postgres(address.of_argument()),
            file @ Self::File(_) => file,
        }
    }

    /// The file in whose folder all lies that stays on this machine: rejects, temporary files. For a ledger elsewhere the
    /// one that would be the ledger in the folder one stands in.
    pub fn local(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Postgres(_) => Path::new(SqliteLedger::DEFAULT_PATH),
        }
    }
}

impl Default for LedgerPlace {
    fn default() -> Self {
        Self::File(PathBuf::from(SqliteLedger::DEFAULT_PATH))
    }
}

impl fmt::Display for LedgerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Postgres(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_file() {
        assert_eq!(LedgerPlace::of("a/ledger.db"), LedgerPlace::File("a/ledger.db".into()));
        assert_eq!(LedgerPlace::of("postgres.db"), LedgerPlace::File("postgres.db".into()));
        for address in ["postgres://u:s3cret@h/d", "PostgreSQL://u:s3cret@h/d", "postgres://u:s3cret@h:no/d"] {
            let place = LedgerPlace::of(address);
            assert!(matches!(place, LedgerPlace::Postgres(_)), "{address}");
            assert!(!format!("{place} {place:?}").contains("s3cret"), "{place:?}");
            assert_eq!(place.local(), LedgerPlace::default().local());
        }
    }
}
