//! Why a run ends before its source does, and how everybody hears of it.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use crate::ledger::LedgerError;

/// Why a run stopped early. What was sent before is settled as far as it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// The API refused the key.
    CredentialsRefused(String),
    /// The source broke part-way; what was read before is settled.
    SourceBroke(String),
    /// The ledger or the rejects file can't be written, so nothing more may be sent.
    LedgerCannotWrite(String),
    /// Another run has the ledger, or may have it: this one may write nothing more into it, and so send nothing.
    HoldLost(String),
    /// The API says that our request is built wrongly: a bug of ours.
    RequestMalformed(String),
    /// What answers at the target's address is not the API.
    NotTheApi(String),
    /// `max_rejects` was passed.
    TooManyRejects(String),
    /// Temporary files of the mapping can't be written.
    SpillFailed(String),
    /// The API has not answered for so long that the rest is left to the next run.
    Outage(String),
    /// The files that are written instead of sending can't be written.
    FilesCannotWrite(String),
    /// The billing provider refused the key.
    ProviderRefused(String),
    /// What answers at the billing provider's address is not the provider.
    NotTheProvider(String),
    /// A record would have to be sent that the plan does not have; it was not.
    Moved(String),
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            // The API's refusal says itself that it is one of the key.
            Self::CredentialsRefused(why) => f.write_str(why),
            Self::SourceBroke(why) => write!(f, "the source broke part-way: {why}"),
            Self::LedgerCannotWrite(why) => write!(f, "the ledger can't be written: {why}"),
            Self::HoldLost(why) => write!(f, "the hold on the ledger is lost: {why}"),
            Self::RequestMalformed(why) => write!(f, "the API could not make sense of a request: {why}"),
            Self::NotTheApi(why) => write!(f, "the target is not the API: {why}"),
            Self::TooManyRejects(why) => write!(f, "too many rejects: {why}"),
            Self::SpillFailed(why) => write!(f, "temporary files can't be written: {why}"),
            Self::Outage(why) => write!(f, "the API does not answer: {why}"),
            Self::Moved(place) => {
                write!(f, "the source moved since the plan was made: {place} has a record that the plan does not send")
            }
            Self::FilesCannotWrite(why) | Self::ProviderRefused(why) | Self::NotTheProvider(why) => f.write_str(why),
        }
    }
}

impl Stopped {
    /// What an error of the ledger ends a run with.
    pub(super) fn of_ledger(error: &LedgerError) -> Self {
        let why = super::with_causes(error);
        if let LedgerError::LeaseLost { .. } = error { Self::HoldLost(why) } else { Self::LedgerCannotWrite(why) }
    }

    /// Whether what was read before is still sent: only a source's end is no reason not to.
    fn sends_on(&self) -> bool {
        match self {
            // What was read before is of the plan.
            Self::SourceBroke(_) | Self::Moved(_) => true,
            Self::Interrupted
            | Self::CredentialsRefused(_)
            | Self::LedgerCannotWrite(_)
            | Self::HoldLost(_)
            | Self::RequestMalformed(_)
            | Self::NotTheApi(_)
            | Self::TooManyRejects(_)
            | Self::SpillFailed(_)
            | Self::Outage(_)
            | Self::FilesCannotWrite(_)
            | Self::ProviderRefused(_)
            | Self::NotTheProvider(_) => false,
        }
    }
}

/// A flag that everybody watches. The first reason stays.
#[derive(Debug, Default)]
pub struct Stop {
    reading: CancellationToken,
    sending: CancellationToken,
    why: OnceLock<Stopped>,
}

impl Stop {
    /// Raises the flag: nothing more is read and, unless the source broke, nothing more is sent.
    pub fn raise(&self, why: Stopped) {
        let sends_on = why.sends_on();
        // A later reason follows from the first; losing it is wanted.
        let _ = self.why.set(why);
        self.reading.cancel();
        if !sends_on {
            self.sending.cancel();
        }
    }

    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        self.reading.is_cancelled()
    }

    /// Why it is raised.
    pub fn why(&self) -> Option<&Stopped> {
        self.why.get()
    }

    /// Waits until it is raised.
    pub async fn raised(&self) {
        self.reading.cancelled().await;
    }

    /// Whether nothing more may be sent. What is in flight is settled all the same.
    pub fn ends_sending(&self) -> bool {
        self.sending.is_cancelled()
    }

    /// Waits until nothing more may be sent.
    pub async fn sending_ended(&self) {
        self.sending.cancelled().await;
    }

    /// Waits, but not beyond the moment when nothing more may be sent. Whether the whole time passed.
    pub async fn wait(&self, time: std::time::Duration) -> bool {
        tokio::select! {
            biased;
            () = self.sending.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_reason_stays_and_ends_every_wait() {
        let stop = Stop::default();
        assert!(stop.wait(std::time::Duration::from_secs(5)).await);
        stop.raise(Stopped::Interrupted);
        stop.raise(Stopped::SourceBroke("later".into()));
        assert_eq!(stop.why(), Some(&Stopped::Interrupted));
        assert!(!stop.wait(std::time::Duration::from_secs(5)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_source_ends_the_reading_only() {
        let stop = Stop::default();
        stop.raise(Stopped::SourceBroke("disk".into()));
        assert!(stop.is_raised() && !stop.ends_sending());
        assert!(stop.wait(std::time::Duration::from_secs(5)).await);
        stop.raise(Stopped::Interrupted);
        assert!(stop.ends_sending() && !stop.wait(std::time::Duration::from_secs(5)).await);
        assert_eq!(stop.why(), Some(&Stopped::SourceBroke("disk".into())));
    }
}
