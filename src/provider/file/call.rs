//! The call by which each provider ends a subscription at once, without proration. Source: the providers' documents and
//! client libraries, 2026 (our contract, section 12).

use jiff::civil::Date;

use crate::provider::{OriginalId, ProviderName};

/// A provider's own request for a cancellation, to be sent by somebody else. The host is the account's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelCall {
    /// The HTTP method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// A header that it needs beside the key's, as `name: value`; empty if none.
    pub header: &'static str,
    /// The body: a form where it begins with a name, else JSON; empty if none.
    pub body: String,
}

impl CancelCall {
    /// The call for an original; `on` is the day of the end, for a provider that has to be told it.
    pub fn of(provider: ProviderName, id: &OriginalId, on: Date) -> Self {
        match provider {
            ProviderName::Stripe => Self {
                method: "DELETE",
                path: format!("/v1/subscriptions/{id}?prorate=false&invoice_now=false"),
                header: "",
                body: String::new(),
            },
            // Without a bill run there is no credit memo for the rest of the period. An order does the same, and wants
            // the account's number, which is not at hand.
            ProviderName::Zuora => Self {
                method: "PUT",
                path: format!("/v1/subscriptions/{id}/cancel"),
                header: "zuora-version: 211.0",
                body: format!(
                    r#"{{"cancellationPolicy":"SpecificDate","cancellationEffectiveDate":"{on}","runBilling":false,"collect":false}}"#
                ),
            },
            ProviderName::Chargebee => Self {
                method: "POST",
                path: format!("/api/v2/subscriptions/{id}/cancel_for_items"),
                header: "",
                body: "cancel_option=immediately&credit_option_for_current_term_charges=none\
                       &unbilled_charges_option=delete&account_receivables_handling=no_action\
                       &refundable_credits_handling=no_action"
                    .to_owned(),
            },
            // By default unbilled usage would be charged.
            ProviderName::Recurly => Self {
                method: "DELETE",
                path: format!("/subscriptions/{id}?refund=none&charge=false"),
                header: "Accept: application/vnd.recurly.v2021-02-25",
                body: String::new(),
            },
            ProviderName::Paddle => Self {
                method: "POST",
                path: format!("/subscriptions/{id}/cancel"),
                header: "",
                body: r#"{"effective_from":"immediately"}"#.to_owned(),
            },
        }
    }
}
