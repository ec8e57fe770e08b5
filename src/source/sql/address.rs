//! The database's address: its kind, what it may say, and which parts of it are secret.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::failure::Words;
use crate::source::error::OpenProblem;

/// Which driver reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    MySql,
    Sqlite,
}

/// Parameters that sqlx 0.9 knows; it ignores others, and logs their values.
const POSTGRES_PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
const MYSQL_PARAMETERS: &[&str] =
    &["sslmode", "ssl-mode", "sslca", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key", "socket"];

/// Tells the kind of an address and checks what can be checked without going there.
pub(super) fn read(url: &SecretString) -> Result<(Kind, Words), OpenProblem> {
    let text = url.expose_secret();
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let (kind, parameters) = match scheme.to_ascii_lowercase().as_str() {
        "postgres" | "postgresql" => (Kind::Postgres, POSTGRES_PARAMETERS),
        "mysql" | "mariadb" => (Kind::MySql, MYSQL_PARAMETERS),
        "sqlite" => return Ok((Kind::Sqlite, Words::without(Vec::new()))),
        _ => {
            return Err(OpenProblem::Url(
                "it has to start with `postgres://`, `mysql://`, `mariadb://` or `sqlite:`".to_owned(),
            ));
        }
    };
    let parsed = Url::parse(text).map_err(|error| {
        OpenProblem::Url(format!(
            "{error}; in a user name or password write `%40` for `@`, `%2F` for `/`, `%23` for `#`"
        ))
    })?;
    if parsed.cannot_be_a_base() {
        return Err(OpenProblem::Url(format!("`//` has to follow `{scheme}:`")));
    }
    let mut secrets = Vec::new();
    if let Some(password) = parsed.password().filter(|password| !password.is_empty()) {
        secrets.push(SecretString::from(password));
        // As it is sent.
        let pair = format!("p={}", password.replace('+', "%2B"));
        secrets.extend(url::form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| SecretString::from(&*value)));
    }
    for (key, value) in parsed.query_pairs() {
        let known = parameters.contains(&&*key) || kind == Kind::Postgres && key.starts_with("options[");
        if !known {
            return Err(OpenProblem::Url(format!(
                "unknown parameter `{}`; known are {}",
                crate::source::error::cut(&key),
                parameters.join(", ")
            )));
        }
        if key == "password" && !value.is_empty() {
            secrets.push(SecretString::from(&*value));
        }
    }
    Ok((kind, Words::without(secrets)))
}

/// The address as it names the same database whatever its password.
pub(super) fn without_password(url: &SecretString) -> String {
    let text = url.expose_secret();
    // A file has none, and its path is no URL.
    let Some(mut parsed) = text.contains("://").then(|| Url::parse(text).ok()).flatten() else {
        return text.split('@').next_back().unwrap_or_default().to_owned();
    };
    // Fails only where there can be none.
    let _ = parsed.set_password(None);
    let pairs: Vec<(String, String)> = parsed
        .query_pairs()
        .filter(|(key, _)| key != "password")
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    if parsed.query().is_some() {
        parsed.query_pairs_mut().clear().extend_pairs(pairs);
    }
    parsed.into()
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
