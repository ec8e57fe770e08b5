//! Stripe's errors.

use serde_json::json;

/// An error as Stripe answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
}

impl Refusal {
    /// A request that does not hold.
    pub fn request(code: Option<&'static str>, param: Option<&str>, message: String) -> Self {
        Self { status: 400, kind: "invalid_request_error", code, param: param.map(str::to_owned), message }
    }

    /// A key that is not there or not taken.
    pub fn key(message: String) -> Self {
        Self { status: 401, kind: "invalid_request_error", code: None, param: None, message }
    }

    /// An object that is not there, or is not there to be changed.
    pub fn missing(kind: &str, param: &str, id: &str) -> Self {
        let message = format!("No such {kind}: '{id}'");
        Self {
            status: 404,
            kind: "invalid_request_error",
            code: Some("resource_missing"),
            param: Some(param.to_owned()),
            message,
        }
    }

    /// An address that is not there.
    pub fn address(method: &str, path: &str) -> Self {
        let message = format!("Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs.");
        Self { status: 404, kind: "invalid_request_error", code: None, param: None, message }
    }

    /// Too many requests.
    pub fn rate() -> Self {
        let message = "Request rate limit exceeded.".to_owned();
        Self { status: 429, kind: "invalid_request_error", code: Some("rate_limit"), param: None, message }
    }

    /// Stripe fails.
    pub fn failed() -> Self {
        let message = "An unknown error occurred.".to_owned();
        Self { status: 500, kind: "api_error", code: None, param: None, message }
    }

    /// Status and body.
    pub fn shown(&self) -> (u16, Vec<u8>) {
        let mut error = json!({ "type": self.kind, "message": self.message });
        if let Some(code) = self.code {
            error["code"] = code.into();
        }
        if let Some(param) = &self.param {
            error["param"] = param.as_str().into();
        }
        (self.status, json!({ "error": error }).to_string().into_bytes())
    }
}
