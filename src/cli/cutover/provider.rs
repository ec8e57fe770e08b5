//! The billing providers that can be called, by the key in the environment.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use secrecy::SecretString;

use crate::cli::exit::{Exit, Failure};
use crate::provider::stripe::StripeProvider;
use crate::provider::{Cancelling, OriginalId, Provider, ProviderError, ProviderName, Reading};
use crate::stripe::{Endpoint, KeyProblem, LiveKeys, StripeKey, StripeSettings};

/// Stripe without a key: the first original of Stripe's stops the run, and others don't need one.
struct NoKey;

impl NoKey {
    fn error() -> ProviderError {
        ProviderError::Unauthorized { message: format!("{} is not set", StripeKey::VARIABLE) }
    }
}

impl Provider for NoKey {
    fn name(&self) -> ProviderName {
        ProviderName::Stripe
    }

    fn read<'a>(&'a self, _id: &'a OriginalId) -> BoxFuture<'a, Result<Reading, ProviderError>> {
        Box::pin(std::future::ready(Err(Self::error())))
    }

    fn cancel<'a>(&'a self, _id: &'a OriginalId) -> BoxFuture<'a, Result<Cancelling, ProviderError>> {
        Box::pin(std::future::ready(Err(Self::error())))
    }
}

/// Makes them. Nothing is sent.
pub(super) fn providers(url: Option<&str>, live: bool) -> Result<BTreeMap<ProviderName, Arc<dyn Provider>>, Failure> {
    let endpoint = Endpoint::parse(url.unwrap_or(StripeSettings::URL)).map_err(|error| {
        Failure::new(Exit::Arguments, format!("the billing provider's address {error}"))
            .hint("leave --provider-url out for Stripe itself; nothing was sent")
    })?;
    let key = match std::env::var(StripeKey::VARIABLE).ok().filter(|key| !key.trim().is_empty()) {
        Some(key) => key,
        // The sandbox takes any key; nobody should have to invent one to try things out.
        None if endpoint.is_loopback() => "sk_test_sandbox".to_owned(),
        None => return Ok(BTreeMap::from([(ProviderName::Stripe, Arc::new(NoKey) as Arc<dyn Provider>)])),
    };
    let live_keys = if live { LiveKeys::Allowed } else { LiveKeys::Refused };
    let key = StripeKey::parse(&SecretString::from(key), live_keys).map_err(|problem| {
        let hint = match problem {
            KeyProblem::Live => "with --live real subscriptions are provisioned and cancelled; nothing was sent",
            KeyProblem::Missing | KeyProblem::Publishable | KeyProblem::Form => {
                "put a secret or restricted key into STRIPE_API_KEY; nothing was sent"
            }
        };
        Failure::of(Exit::Credentials, &problem).hint(hint)
    })?;
    let stripe = StripeProvider::connect(StripeSettings::new(endpoint, key))
        .map_err(|error| Failure::of(Exit::Config, &error).hint("nothing was sent"))?;
    Ok(BTreeMap::from([(ProviderName::Stripe, Arc::new(stripe) as Arc<dyn Provider>)]))
}
