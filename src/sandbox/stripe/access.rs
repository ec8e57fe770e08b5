//! Who may ask, and in which version.

use super::refusal::Refusal;

/// The one version that it speaks.
pub(super) const VERSION: &str = "2026-10-28.endive";

pub(super) fn check_key(authorization: Option<&str>) -> Result<(), Refusal> {
    let Some(key) = authorization.and_then(key_of) else {
        return Err(Refusal::key(
            "You did not provide an API key. You need to provide your API key in the Authorization header.".to_owned(),
        ));
    };
    let rest = key.strip_prefix("sk_test_").or_else(|| key.strip_prefix("rk_test_"));
    match rest {
        Some(rest) if !rest.is_empty() => Ok(()),
        Some(_) | None => Err(Refusal::key("Invalid API Key provided: ****".to_owned())),
    }
}

/// The key of `Bearer KEY`, or of `Basic` with the key as the user's name.
fn key_of(authorization: &str) -> Option<String> {
    use base64::Engine as _;
    if let Some(key) = authorization.strip_prefix("Bearer ") {
        return Some(key.to_owned());
    }
    let pair = base64::engine::general_purpose::STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    String::from_utf8(pair).ok()?.strip_suffix(':').map(str::to_owned)
}

pub(super) fn check_version(version: Option<&str>) -> Result<(), Refusal> {
    match version {
        Some(VERSION) => Ok(()),
        Some(other) => Err(Refusal::request(None, None, format!("Invalid Stripe API version: {other}"))),
        None => Err(Refusal::request(None, None, "This sandbox wants a Stripe-Version header".to_owned())),
    }
}
