//! A server's address: TLS required except to this machine, and nothing secret when printed.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

/// A server's address, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    loopback: bool,
}

/// Why an address is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is not a URL.
    #[error("is not a URL: {reason}")]
    NotAUrl {
        /// What the parser said. It does not quote the URL.
        reason: String,
    },
    /// It is neither `https` nor `http`.
    #[error("is neither https nor http but {scheme}")]
    Scheme {
        /// Its scheme.
        scheme: String,
    },
    /// It names no host.
    #[error("names no host")]
    NoHost,
    /// It would send the key in the clear to another machine.
    #[error(
        "would send the key unencrypted to {host}; http is only taken to this machine (127.0.0.0/8, ::1, localhost)"
    )]
    Unencrypted {
        /// The host.
        host: String,
    },
}

impl Endpoint {
    /// The vendor's GraphQL endpoint. Source: vendor's documentation and clients, 2026.
    pub const STIGG: &str = "https://api.stigg.io/graphql";

    /// Checks an address.
    ///
    /// # Errors
    ///
    /// [`EndpointError`], without any secret part of the address.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text.trim()).map_err(|error| EndpointError::NotAUrl { reason: error.to_string() })?;
        let host = url.host_str().unwrap_or("");
        let loopback = is_loopback(host);
        match url.scheme() {
            "https" | "http" if host.is_empty() => Err(EndpointError::NoHost),
            "https" => Ok(Self { url, loopback }),
            "http" if loopback => Ok(Self { url, loopback }),
            "http" => Err(EndpointError::Unencrypted { host: host.to_owned() }),
            scheme => Err(EndpointError::Scheme { scheme: scheme.to_owned() }),
        }
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether it is reached through TLS.
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The address itself; it may hold secrets.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl fmt::Display for Endpoint {
    /// Without user, password, query and fragment: any of them may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or(""))?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.url.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_taken_to_this_machine_only() {
        for text in [
            "http://127.0.0.1:4000/graphql",
            "http://127.8.9.1/",
            "http://[::1]:4000/graphql",
            "http://localhost/graphql",
            "http://LOCALHOST/graphql",
            "https://api.stigg.io/graphql",
        ] {
            assert!(Endpoint::parse(text).is_ok(), "{text}");
        }
        for text in [
            "http://api.stigg.io/graphql",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "http://10.0.0.1/",
            "http://127.0.0.1@example.com/",
            "http://[::2]/",
        ] {
            assert!(matches!(Endpoint::parse(text), Err(EndpointError::Unencrypted { .. })), "{text}");
        }
        assert!(matches!(Endpoint::parse("ftp://localhost"), Err(EndpointError::Scheme { .. })));
        assert!(matches!(Endpoint::parse("api.stigg.io"), Err(EndpointError::NotAUrl { .. })));
    }

    #[test]
    fn secrets_in_the_address_are_not_printed() {
        let endpoint = Endpoint::parse("https://user:hunter2@api.stigg.io:8443/graphql?token=hunter3#hunter4").unwrap();
        assert_eq!(endpoint.to_string(), "https://api.stigg.io:8443/graphql");
        assert!(!format!("{endpoint:?}").contains("hunter"));
    }
}
