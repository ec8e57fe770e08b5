//! Stripe's keys: which are taken, and that none is printed.

use secrecy::{ExposeSecret, SecretString};

/// Whether keys of live mode are taken. With one, real customers' subscriptions are read and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveKeys {
    /// Only test keys.
    Refused,
    /// Live keys, too.
    Allowed,
}

/// A secret or restricted key, checked by its form. Prints nothing of it.
#[derive(Debug, Clone)]
pub struct StripeKey {
    key: SecretString,
    live: bool,
}

/// Why a text is no key to use. None of them quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// There is none.
    #[error("there is no Stripe key")]
    Missing,
    /// A publishable key: it may neither read nor cancel.
    #[error("the Stripe key is a publishable one (`pk_`), which may not read subscriptions")]
    Publishable,
    /// It has another form than a secret or restricted key.
    #[error("the Stripe key is neither a secret (`sk_`) nor a restricted one (`rk_`)")]
    Form,
    /// A live key, where only test keys are taken.
    #[error("the Stripe key is a live one, and live keys were not allowed")]
    Live,
}

impl StripeKey {
    /// The environment variable that holds it; nowhere else is one looked for.
    pub const VARIABLE: &str = "STRIPE_API_KEY";

    /// Checks a key: `sk_test_…`, `rk_test_…`, and with [`LiveKeys::Allowed`] `sk_live_…`, `rk_live_…`. Keys of an
    /// organization (`sk_org_…`) name no account and are not taken.
    ///
    /// # Errors
    ///
    /// [`KeyProblem`].
    pub fn parse(key: &SecretString, live_keys: LiveKeys) -> Result<Self, KeyProblem> {
        let text = key.expose_secret().trim();
        if text.is_empty() {
            return Err(KeyProblem::Missing);
        }
        if text.starts_with("pk_") {
            return Err(KeyProblem::Publishable);
        }
        let rest = text.strip_prefix("sk_").or_else(|| text.strip_prefix("rk_")).ok_or(KeyProblem::Form)?;
        let (live, rest) = match (rest.strip_prefix("test_"), rest.strip_prefix("live_")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(KeyProblem::Form),
        };
        if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(KeyProblem::Form);
        }
        match live_keys {
            LiveKeys::Refused if live => Err(KeyProblem::Live),
            LiveKeys::Refused | LiveKeys::Allowed => Ok(Self { key: SecretString::from(text), live }),
        }
    }

    /// Whether it is of live mode.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The key itself.
    pub(super) fn secret(&self) -> &SecretString {
        &self.key
    }

    /// `text` without the key, should it hold it.
    pub(super) fn taken_out_of(&self, text: &str) -> String {
        text.replace(self.key.expose_secret(), "***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, live_keys: LiveKeys) -> Result<bool, KeyProblem> {
        StripeKey::parse(&text.into(), live_keys).map(|key| key.is_live())
    }

    #[test]
    fn live_keys_need_to_be_allowed_and_others_are_told_apart() {
        for (text, refused, allowed) in [
            ("sk_test_51Abc", Ok(false), Ok(false)),
            (" rk_test_51Abc\n", Ok(false), Ok(false)),
            ("sk_live_51Abc", Err(KeyProblem::Live), Ok(true)),
            ("rk_live_51Abc", Err(KeyProblem::Live), Ok(true)),
            ("pk_live_51Abc", Err(KeyProblem::Publishable), Err(KeyProblem::Publishable)),
            ("sk_org_live_51Abc", Err(KeyProblem::Form), Err(KeyProblem::Form)),
            ("sk_test_", Err(KeyProblem::Form), Err(KeyProblem::Form)),
            ("sk_test_a\nb", Err(KeyProblem::Form), Err(KeyProblem::Form)),
            ("server-abc", Err(KeyProblem::Form), Err(KeyProblem::Form)),
            (" ", Err(KeyProblem::Missing), Err(KeyProblem::Missing)),
        ] {
            assert_eq!(parse(text, LiveKeys::Refused), refused, "{text}");
            assert_eq!(parse(text, LiveKeys::Allowed), allowed, "{text}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        let key = StripeKey::parse(&"sk_test_51Abc".into(), LiveKeys::Refused).expect("a key");
        assert!(!format!("{key:?}").contains("51Abc"));
        assert_eq!(key.taken_out_of("no such key: sk_test_51Abc!"), "no such key: ***!");
    }
}
