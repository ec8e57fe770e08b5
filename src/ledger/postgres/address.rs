//! The database's address: what it may say, which of it is secret, and when it has to say TLS.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::database_url::{Dialect, Secrets};

/// The address of a Postgres database, with its password. What it prints is without.
#[derive(Clone)]
pub struct PostgresAddress {
    url: SecretString,
    shown: String,
    /// None where it can't be read, and all of it may be secret.
    secrets: Option<Secrets>,
    is_argument: bool,
}

impl PostgresAddress {
    /// Takes an address as it is; what is wrong with it is told when it is used.
    pub(crate) fn of(text: &str) -> Self {
        let parsed = Url::parse(text).ok();
        let secrets = parsed.as_ref().map(Secrets::of);
        let shown = parsed.map_or_else(|| "postgres://…".to_owned(), |url| Dialect::Postgres.without_password(url));
        Self { url: SecretString::from(text), shown, secrets, is_argument: false }
    }

    /// The same as a word on the command line.
    pub(crate) fn of_argument(self) -> Self {
        Self { is_argument: true, ..self }
    }

    /// How to connect, or what is wrong with the address.
    pub(super) fn options(&self) -> Result<PgConnectOptions, String> {
        let url = Dialect::Postgres.parse(self.url.expose_secret()).map_err(|problem| problem.to_string())?;
        if self.is_argument && self.secrets.as_ref().is_none_or(|secrets| !secrets.is_empty()) {
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
        match &self.secrets {
            Some(secrets) => secrets.taken_out_of(words),
            None => Secrets::default().taken_out_of(words),
        }
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

fn is_this_machine(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_start_matches('[').trim_end_matches(']');
    options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
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
