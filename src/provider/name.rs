//! Names: of billing systems, and of subscriptions there.

use std::fmt;
use std::str::FromStr;

/// A billing system that originals are moved away from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderName {
    /// Stripe Billing.
    Stripe,
    /// Zuora.
    Zuora,
    /// Chargebee.
    Chargebee,
    /// Recurly.
    Recurly,
    /// Paddle Billing.
    Paddle,
}

/// A name that is no provider's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no provider; providers are {}", ProviderName::ALL.map(ProviderName::as_str).join(", "))]
pub struct NotAProvider;

impl ProviderName {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Stripe, Self::Zuora, Self::Chargebee, Self::Recurly, Self::Paddle];

    /// As it is written in mappings and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Zuora => "zuora",
            Self::Chargebee => "chargebee",
            Self::Recurly => "recurly",
            Self::Paddle => "paddle",
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProviderName {
    type Err = NotAProvider;

    fn from_str(text: &str) -> Result<Self, NotAProvider> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or(NotAProvider)
    }
}

/// The id of a subscription at a provider, checked so that it is one segment of an address and one cell of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginalId(String);

/// Why a text is no id of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnId {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It is longer than any provider's id.
    #[error("is longer than {} characters", OriginalId::CHARS_MAX)]
    TooLong,
    /// It has characters that no provider's id has.
    #[error("has characters that no subscription's id has (letters, digits, `_`, `-` and `.` are taken)")]
    Characters,
}

impl OriginalId {
    /// Most characters: Stripe's ids never have more (its page on API upgrades, read 2026-11-26). The other providers
    /// document no such number.
    pub const CHARS_MAX: usize = 255;

    /// Checks an id: 1 to [`Self::CHARS_MAX`] of ASCII letters, digits, `_`, `-` and `.`, not only dots.
    ///
    /// # Errors
    ///
    /// [`NotAnId`].
    pub fn parse(text: &str) -> Result<Self, NotAnId> {
        if text.is_empty() {
            return Err(NotAnId::Empty);
        }
        if text.len() > Self::CHARS_MAX {
            return Err(NotAnId::TooLong);
        }
        // Dots alone would be a step up in an address.
        let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if !fits || text.bytes().all(|byte| byte == b'.') {
            return Err(NotAnId::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OriginalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_of_an_address() {
        for good in ["sub_1Abc", "A-S00000123", "uuid-3f2b", "sub_01hv.x", &"a".repeat(255)] {
            assert_eq!(OriginalId::parse(good).expect(good).as_str(), good);
        }
        assert_eq!(OriginalId::parse(""), Err(NotAnId::Empty));
        assert_eq!(OriginalId::parse(&"a".repeat(256)), Err(NotAnId::TooLong));
        for bad in ["..", ".", "a/b", "a?b", "a b", "a%2Fb", "=1+1\n", "sub_ü", "a,b"] {
            assert_eq!(OriginalId::parse(bad), Err(NotAnId::Characters), "{bad}");
        }
    }

    #[test]
    fn a_providers_name_is_read_as_it_is_written() {
        for name in ProviderName::ALL {
            assert_eq!(name.as_str().parse(), Ok(name));
        }
        assert_eq!("Stripe".parse::<ProviderName>(), Err(NotAProvider));
    }
}
