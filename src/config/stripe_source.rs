//! A list of Stripe as people write it, in a pipeline file or on the command line.

use secrecy::SecretString;

use crate::pipeline::SourceSpec;
use crate::source::{StripeList, StripeOptions};
use crate::stripe::{Endpoint, EndpointError, KeyProblem, LiveKeys, StripeKey, StripeSettings};

/// A list of Stripe as it is written; nothing of it was looked at.
#[derive(Debug, Clone, Copy)]
pub struct StripeWritten<'t> {
    /// `customers` or `subscriptions`.
    pub list: &'t str,
    /// Another address than Stripe's.
    pub url: Option<&'t str>,
}

/// Why what was written is no source. Nothing was sent. None of them quotes what may be a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StripeFault {
    /// A key stands where the list's name does.
    #[error("a Stripe key does not belong where others can read it")]
    KeyWritten,
    /// There is no such list.
    #[error("Stripe has no such list to read; lists are {}", StripeList::ALL.map(StripeList::as_str).join(" and "))]
    NoSuchList,
    /// The address holds a user or password, which a key would be.
    #[error("Stripe's address holds a user or password, and a key does not belong where others can read it")]
    KeyInUrl,
    /// The address is none.
    #[error("Stripe's address {0}")]
    Url(EndpointError),
    /// The key in [`StripeKey::VARIABLE`] is none.
    #[error("{0}")]
    Key(KeyProblem),
}

impl StripeWritten<'_> {
    /// The source that is meant; the key is in [`StripeKey::VARIABLE`].
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn read(&self) -> Result<SourceSpec, StripeFault> {
        if ["sk_", "rk_", "pk_"].iter().any(|prefix| self.list.trim().starts_with(prefix)) {
            return Err(StripeFault::KeyWritten);
        }
        let list = StripeList::ALL.into_iter().find(|list| list.as_str() == self.list);
        let list = list.ok_or(StripeFault::NoSuchList)?;
        let endpoint = Endpoint::parse(self.url.unwrap_or(StripeSettings::URL)).map_err(StripeFault::Url)?;
        if !endpoint.url().username().is_empty() || endpoint.url().password().is_some() {
            return Err(StripeFault::KeyInUrl);
        }
        let key = match std::env::var(StripeKey::VARIABLE) {
            Ok(key) => key,
            // A sandbox takes any; nobody should have to invent one to try things out.
            Err(_) if endpoint.is_loopback() => "sk_test_sandbox".to_owned(),
            Err(_) => String::new(),
        };
        // Nothing is changed by reading, so live keys need no further word.
        let key = StripeKey::parse(&SecretString::from(key), LiveKeys::Allowed).map_err(StripeFault::Key)?;
        Ok(SourceSpec::Stripe(Box::new(StripeOptions { list, settings: StripeSettings::new(endpoint, key) })))
    }
}
