//! The database's address: its kind, what it may say, and which parts of it are secret.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::failure::Words;
use crate::database_url::{Dialect, Secrets};
use crate::source::error::OpenProblem;

/// Which driver reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    MySql,
    Sqlite,
}

/// Tells the kind of an address and checks what can be checked without going there.
pub(super) fn read(url: &SecretString) -> Result<(Kind, Words), OpenProblem> {
    let text = url.expose_secret();
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let dialect = Dialect::of_scheme(scheme);
    let kind = match (dialect, scheme.to_ascii_lowercase().as_str()) {
        (Some(Dialect::Postgres), _) => Kind::Postgres,
        (Some(Dialect::MySql), _) => Kind::MySql,
        (None, "sqlite") => Kind::Sqlite,
        (None, _) => {
            return Err(OpenProblem::Url(
                "it has to start with `postgres://`, `mysql://`, `mariadb://` or `sqlite:`".to_owned(),
            ));
        }
    };
    let Some(dialect) = dialect else { return Ok((kind, Words::without(Secrets::default()))) };
    let parsed = dialect.parse(text).map_err(|problem| OpenProblem::Url(problem.to_string()))?;
    if parsed.cannot_be_a_base() {
        return Err(OpenProblem::Url(format!("`//` has to follow `{scheme}:`")));
    }
    Ok((kind, Words::without(Secrets::of(&parsed))))
}

/// The address as it names the same database whatever its password.
pub(super) fn without_password(url: &SecretString) -> String {
    let text = url.expose_secret();
    let parsed = text.contains("://").then(|| Url::parse(text).ok()).flatten();
    match parsed.and_then(|url| Some((Dialect::of_scheme(url.scheme())?, url))) {
        Some((dialect, url)) => dialect.without_password(url),
        // A file has none, and its path is no URL.
        None => text.split('@').next_back().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str) -> String {
        read(&url.into()).expect_err("it is wrong").to_string()
    }

    #[test]
    fn an_address_says_its_kind() {
        for (url, kind) in [
            ("postgres://u:p@h/d?sslmode=verify-full", Kind::Postgres),
            ("postgresql:///d?host=/run/postgresql", Kind::Postgres),
            ("mariadb://u@h/d?ssl-mode=REQUIRED", Kind::MySql),
            ("sqlite:billing.db", Kind::Sqlite),
        ] {
            assert_eq!(read(&url.into()).expect("it is right").0, kind, "{url}");
        }
    }

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for url in
            ["oracle://u:s3cret@h/d", "postgres://u:s3cret/x@h:y/d", "mysql://u:s3cret@h/d?ssl=1", "postgres:s3cret"]
        {
            assert!(!problem(url).contains("s3cret"), "{url}");
        }
        assert!(problem("mysql://u:p@h/d?pasword=s3cret").contains("unknown parameter `pasword`"));
        assert!(!problem("mysql://u:p@h/d?pasword=s3cret").contains("s3cret"));
    }

    #[test]
    fn an_address_is_the_same_with_another_password() {
        let bare = |url: &str| without_password(&url.into());
        assert_eq!(
            bare("postgres://u:one@h/d?password=x&sslmode=require"),
            bare("postgres://u:two@h/d?sslmode=require")
        );
        assert_ne!(bare("postgres://u:one@h/d"), bare("postgres://u:one@h/e"));
        assert_ne!(bare("sqlite:a.db"), bare("sqlite:b.db"));
        assert!(!bare("mysql://u:s3cret@h/d").contains("s3cret"));
    }
}
