//! A subscription as the provider has it: what the cutover compares and reports.

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::OriginalId;

/// A subscription at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// Its id.
    pub id: OriginalId,
    /// Where it stands.
    pub status: OriginalStatus,
    /// The provider's id of its customer.
    pub customer_id: String,
    /// When it began; the replacement's start date.
    pub started_at: Option<Timestamp>,
    /// End of the period that is paid for: the latest of its items'.
    pub current_period_end: Option<Timestamp>,
    /// When it ended or was cancelled.
    pub ended_at: Option<Timestamp>,
    /// Whether it ends by itself at the end of the period.
    pub cancel_at_period_end: bool,
    /// A schedule that would go on changing it.
    pub schedule_id: Option<String>,
    /// What it charges for.
    pub items: Vec<OriginalItem>,
    /// Whether there are more items than were read.
    pub more_items: bool,
    /// Charges and credits that wait for an invoice, prorations among them. The sources disagree whether cancelling
    /// takes them away, so they are for a person to look at (our contract, section 12).
    pub pending_items: PendingItems,
    /// Whether it is real (live mode) or a test.
    pub live: bool,
}

/// Where a subscription stands. Stripe's words (API reference, 2026); other providers' are read into them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginalStatus {
    /// Paid and running.
    Active,
    /// In a trial.
    Trialing,
    /// Running, and the last payment failed.
    PastDue,
    /// Running, all retries of a payment failed.
    Unpaid,
    /// Waits for its first payment.
    Incomplete,
    /// The first payment never came. It can't be revived.
    IncompleteExpired,
    /// The trial ended without a means of payment.
    Paused,
    /// Ended. It can't be revived.
    Canceled,
    /// A word that this program does not know.
    Unknown(String),
}

impl OriginalStatus {
    /// Reads Stripe's word.
    pub fn of(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "trialing" => Self::Trialing,
            "past_due" => Self::PastDue,
            "unpaid" => Self::Unpaid,
            "incomplete" => Self::Incomplete,
            "incomplete_expired" => Self::IncompleteExpired,
            "paused" => Self::Paused,
            "canceled" => Self::Canceled,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// Stripe's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Trialing => "trialing",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
            Self::Unknown(word) => word,
        }
    }

    /// Whether it has ended for good, so that there is nothing to cancel.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Canceled | Self::IncompleteExpired => true,
            Self::Active
            | Self::Trialing
            | Self::PastDue
            | Self::Unpaid
            | Self::Incomplete
            | Self::Paused
            | Self::Unknown(_) => false,
        }
    }
}

/// One thing that a subscription charges for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalItem {
    /// The provider's id of the price (at Stripe `price_…`, or a plan's id).
    pub price_id: String,
    /// The provider's id of the product.
    pub product_id: Option<String>,
    /// How many; `None` where usage is counted.
    pub quantity: Option<u64>,
    /// Price of one, in the currency's smallest unit (cents), with fractions of it; `None` where it depends on the
    /// quantity (tiers).
    pub unit_amount_minor: Option<Decimal>,
    /// ISO 4217, lower case.
    pub currency: String,
    /// How often it is charged; `None` if once.
    pub interval: Option<(Interval, u32)>,
}

/// A length of time between charges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interval {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
    /// A word that this program does not know.
    Unknown(String),
}

impl Interval {
    /// Reads Stripe's word.
    pub fn of(word: &str) -> Self {
        match word {
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// What waits for the next invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PendingItems {
    /// They were looked for.
    Read {
        /// Those that were found.
        items: Vec<PendingItem>,
        /// Whether the provider has more of the customer's than were read.
        more: bool,
    },
    /// They could not be looked for: the key has no right to, or the provider has no such thing.
    Unread,
}

impl PendingItems {
    /// They were looked for, and there are none.
    pub fn none() -> Self {
        Self::Read { items: Vec::new(), more: false }
    }
}

/// A charge or credit that waits for an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingItem {
    /// The provider's id of it.
    pub id: String,
    /// In the currency's smallest unit (cents); a credit is below 0.
    pub amount_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Whether a change in the middle of a period made it.
    pub proration: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_as_it_is_written_and_two_are_the_end() {
        let words =
            ["active", "trialing", "past_due", "unpaid", "incomplete", "incomplete_expired", "paused", "canceled"];
        for word in words {
            let status = OriginalStatus::of(word);
            assert_eq!(status.as_str(), word);
            assert!(!matches!(status, OriginalStatus::Unknown(_)), "{word}");
            assert_eq!(status.has_ended(), ["incomplete_expired", "canceled"].contains(&word), "{word}");
        }
        assert_eq!(OriginalStatus::of("frozen"), OriginalStatus::Unknown("frozen".to_owned()));
        assert!(!OriginalStatus::of("frozen").has_ended());
    }
}
