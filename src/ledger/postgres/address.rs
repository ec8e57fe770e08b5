//! The database's address: what it may say, which of it is secret, and when it has to say TLS.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// Parameters that sqlx 0.9 knows; it ignores others, and logs their values.
const PARAMETERS: [&str; 17] = [
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

/// The address of a Postgres database, with its password. What it prints is without.
#[derive(Clone)]
pub struct PostgresAddress {
    url: SecretString,
    shown: String,
    has_password: bool,
    is_argument: bool,
}

impl PostgresAddress {
    /// Takes an address as it is; what is wrong with it is told when it is used.
    pub(crate) fn of(text: &str) -> Self {
        let parsed = Url::parse(text).ok();
        let shown = parsed.clone().map_or_else(|| "postgres://…".to_owned(), without_password);
        let has_password = parsed.is_none_or(|url| !secrets(&url).is_empty());
        Self { url: SecretString::from(text), shown, has_password, is_argument: false }
    }

    /// The same as a word on the command line.
    pub(crate) fn of_argument(self) -> Self {
        Self { is_argument: true, ..self }
    }

    /// How to connect, or what is wrong with the address.
    pub(super) fn options(&self) -> Result<PgConnectOptions, String> {
        let url = Url::parse(self.url.expose_secret()).map_err(|error| {
            format!("{error}; in a user name or password write `%40` for `@`, `%2F` for `/`, `%23` for `#`")
        })?;
        if let Some((key, _)) = url.query_pairs().find(|(key, _)| !is_known(key)) {
            return Err(format!("unknown parameter `{key}`; known are {}", PARAMETERS.join(", ")));
        }
        if self.is_argument && self.has_password {
            return Err("it holds a password, which others can see in the list of processes".to_owned());
        }
        let says_tls = url.query_pairs().any(|(key, _)| key == "sslmode" || key == "ssl-mode")
            || std::env::var_os("PGSSLMODE").is_some();
        let mut options = PgConnectOptions::from_str(self.url.expose_secret())
            .map_err(|error| self.clean(&error.to_string()))?
            .disable_statement_logging();
        if options.get_application_name().is_none() {
            options = options.application_name(env!("CARGO_PKG_NAME"));
        }
        if is_this_machine(&options) {
            return Ok(options);
        }
        match (options.get_ssl_mode(), says_tls) {
            (PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull, _) => Ok(options),
            (_, false) => Ok(options.ssl_mode(PgSslMode::Require)),
            (PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer, true) => {
                Err("TLS is required except on this machine: say sslmode=require, verify-ca or verify-full".to_owned())
            }
        }
    }

    /// Takes the password out of somebody's words, and makes one line of them.
    pub(super) fn clean(&self, words: &str) -> String {
        let mut words = words.to_owned();
        let mut secrets = Url::parse(self.url.expose_secret()).map(|url| secrets(&url)).unwrap_or_default();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            words = words.replace(&secret, "***");
        }
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({})", self.shown)
    }
}

/// The same database under the same user, whatever the password.
impl PartialEq for PostgresAddress {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl Eq for PostgresAddress {}

fn is_known(parameter: &str) -> bool {
    PARAMETERS.contains(&parameter) || parameter.starts_with("options[")
}

fn is_this_machine(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_start_matches('[').trim_end_matches(']');
    options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The passwords of an address, as written and as sent.
fn secrets(url: &Url) -> Vec<String> {
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
    secrets
}

fn without_password(mut url: Url) -> String {
    // Fails only where there can be none.
    let _ = url.set_password(None);
    if url.query().is_some() {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(key, _)| key != "password")
            // What is not known may be a password that was mistyped.
            .map(|(key, value)| (key.to_string(), if is_known(&key) { value.into_owned() } else { "***".to_owned() }))
            .collect();
        match pairs.is_empty() {
            true => url.set_query(None),
            false => drop(url.query_pairs_mut().clear().extend_pairs(pairs)),
        }
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<PgSslMode, String> {
        PostgresAddress::of(url).options().map(|options| options.get_ssl_mode())
    }

    #[test]
    fn tls_is_required_except_on_this_machine() {
        assert!(matches!(mode("postgres://u@db.example/d"), Ok(PgSslMode::Require)));
        assert!(matches!(mode("postgres://u@db.example/d?sslmode=verify-full"), Ok(PgSslMode::VerifyFull)));
        for weak in ["disable", "allow", "prefer"] {
            for host in ["db.example", "192.0.2.1", "[2001:db8::1]"] {
                let problem = mode(&format!("postgres://u:s3cret@{host}/d?sslmode={weak}")).unwrap_err();
                assert!(problem.starts_with("TLS is required"), "{problem}");
            }
        }
        for here in ["localhost", "127.0.0.1", "[::1]"] {
            assert!(
                matches!(mode(&format!("postgres://u@{here}/d?sslmode=disable")), Ok(PgSslMode::Disable)),
                "{here}"
            );
        }
        assert!(matches!(mode("postgres:///d?host=/run/postgresql"), Ok(PgSslMode::Prefer)));
    }

    #[test]
    fn an_unknown_parameter_is_refused_without_its_value() {
        let problem = mode("postgres://u:p@h/d?pasword=s3cret").unwrap_err();
        assert!(problem.contains("unknown parameter `pasword`") && !problem.contains("s3cret"), "{problem}");
        assert!(!PostgresAddress::of("postgres://u:p@h/d?pasword=s3cret").to_string().contains("s3cret"));
    }

    #[test]
    fn no_password_is_shown() {
        for url in ["postgres://u:s3%2Fcret@h/d", "postgres://u@h/d?password=s3%2Fcret", "postgres://u:s3%2Fcret@h:x/d"]
        {
            let address = PostgresAddress::of(url);
            let problem = address.clone().of_argument().options().unwrap_err();
            assert!(url.contains(":x/") || problem.starts_with("it holds a password"), "{problem}");
            assert!(!format!("{address} {address:?}").contains("cret"), "{address:?}");
            let cleaned = address.clean("tried s3/cret\nand s3%2Fcret");
            assert!(url.contains(":x/") || !cleaned.contains("cret"), "{cleaned}");
        }
        let bare = PostgresAddress::of("postgres://u@h/d?password=&sslmode=require");
        assert!(bare.clone().of_argument().options().is_ok());
        assert_eq!(bare.to_string(), "postgres://u@h/d?sslmode=require");
    }
}
