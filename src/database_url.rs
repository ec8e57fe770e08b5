//! The address of a database server: what it may say, and which of it is secret. Of a source, and of a ledger.

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// Whose address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `postgres://`, `postgresql://`
    Postgres,
    /// `mysql://`, `mariadb://`
    MySql,
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

/// What is wrong with an address, without a secret of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// It can't be read as one.
    #[error("{0}; in a user name or password write `%40` for `@`, `%2F` for `/`, `%23` for `#`")]
    NotAUrl(#[from] url::ParseError),
    /// A parameter that nobody knows.
    #[error("unknown parameter `{parameter}`; known are {known}")]
    Parameter {
        /// Its name, cut.
        parameter: String,
        /// Those that are known.
        known: String,
    },
}

/// Most characters of an unknown parameter's name that are shown.
const NAME_CHARS_MAX: usize = 40;

impl Dialect {
    /// By the scheme of an address, in whatever case; none for other databases.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme.to_ascii_lowercase().as_str() {
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::MySql),
            _ => None,
        }
    }

    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => POSTGRES_PARAMETERS,
            Self::MySql => MYSQL_PARAMETERS,
        }
    }

    fn knows(self, parameter: &str) -> bool {
        self.parameters().contains(&parameter) || self == Self::Postgres && parameter.starts_with("options[")
    }

    /// Reads an address, all of whose parameters are known.
    ///
    /// # Errors
    ///
    /// [`UrlProblem`].
    pub fn parse(self, text: &str) -> Result<Url, UrlProblem> {
        let url = Url::parse(text)?;
        match url.query_pairs().find(|(key, _)| !self.knows(key)) {
            None => Ok(url),
            Some((key, _)) => Err(UrlProblem::Parameter {
                parameter: key.chars().take(NAME_CHARS_MAX).collect(),
                known: self.parameters().join(", "),
            }),
        }
    }

    /// The address as it names the same database under the same user whatever the password. The value of a parameter that
    /// nobody knows is left out, too: it may be a password that was mistyped.
    pub fn without_password(self, mut url: Url) -> String {
        // Fails only where there can be none.
        let _ = url.set_password(None);
        if url.query().is_some() {
            let pairs: Vec<(String, String)> = url
                .query_pairs()
                .filter(|(key, _)| key != "password")
                .map(|(key, value)| (key.to_string(), if self.knows(&key) { value.into() } else { "***".to_owned() }))
                .collect();
            match pairs.is_empty() {
                true => url.set_query(None),
                false => drop(url.query_pairs_mut().clear().extend_pairs(pairs)),
            }
        }
        url.into()
    }
}

/// The passwords of an address, as they are written and as they are sent.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// Those of an address.
    pub fn of(url: &Url) -> Self {
        let mut secrets = Vec::new();
        if let Some(password) = url.password().filter(|password| !password.is_empty()) {
            let pair = format!("p={}", password.replace('+', "%2B"));
            secrets.extend(url::form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()));
            secrets.push(password.to_owned());
        }
        let pairs = url.query_pairs().filter(|(key, value)| key == "password" && !value.is_empty());
        secrets.extend(pairs.map(|(_, value)| value.into_owned()));
        let written = url.query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("password="));
        secrets.extend(written.filter(|value| !value.is_empty()).map(str::to_owned));
        // Longer ones first, where one holds another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets.into_iter().map(SecretString::from).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Somebody's words without them, in one line.
    pub fn taken_out_of(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for secret in &self.0 {
            words = words.replace(secret.expose_secret(), "***");
        }
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn a_password_is_taken_out_as_it_is_written_and_as_it_is_sent() {
        for text in ["postgres://u:s3%2Fcret@h/d", "postgres://u@h/d?password=s3%2Fcret"] {
            let secrets = Secrets::of(&url(text));
            assert_eq!(secrets.taken_out_of("tried s3/cret\nand s3%2Fcret"), "tried *** and ***", "{text}");
        }
        assert!(Secrets::of(&url("postgres://u@h/d?password=&user=x")).is_empty());
        // One that is the beginning of the other.
        let both = Secrets::of(&url("postgres://u:abc@h/d?password=abcdef"));
        assert_eq!(both.taken_out_of("abcdef abc"), "*** ***");
    }

    #[test]
    fn an_unknown_parameter_is_named_without_its_value() {
        for (dialect, text) in
            [(Dialect::Postgres, "postgres://u@h/d?pasword=s3cret"), (Dialect::MySql, "mysql://u@h/d?pasword=s3cret")]
        {
            let problem = dialect.parse(text).expect_err("it is unknown").to_string();
            assert!(problem.contains("unknown parameter `pasword`") && !problem.contains("s3cret"), "{problem}");
            assert!(!dialect.without_password(url(text)).contains("s3cret"));
        }
        assert!(Dialect::Postgres.parse("postgres://u@h/d?options[search_path]=x").is_ok());
        assert!(Dialect::MySql.parse("mysql://u@h/d?options[search_path]=x").is_err());
    }

    #[test]
    fn an_address_is_the_same_with_another_password() {
        let bare = |text: &str| Dialect::Postgres.without_password(url(text));
        assert_eq!(
            bare("postgres://u:one@h/d?password=x&sslmode=require"),
            bare("postgres://u:two@h/d?sslmode=require")
        );
        assert_eq!(bare("postgres://u@h/d?password=x"), "postgres://u@h/d");
        assert_ne!(bare("postgres://u:one@h/d"), bare("postgres://u:one@h/e"));
    }
}
