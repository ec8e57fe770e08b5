//! One run at a time over a ledger, or over each part of it.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures::future::Either;
use jiff::Timestamp;

use super::file_lock::{FileLock, make_folder_of};
use super::postgres::{Fence, Lease};
use super::{LedgerError, LedgerPlace, WriteFailure};

/// The process that holds a ledger, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, on the machine where it runs.
    pub pid: Option<u32>,
    /// That machine, where it may be another.
    pub host: Option<String>,
    /// Which part of the records it has, where it has not all of them.
    pub part: Option<Part>,
    /// When it took hold.
    pub since: Option<Timestamp>,
    /// When its hold is over unless it's renewed; none where the process's end ends it.
    pub until: Option<Timestamp>,
}

impl Holder {
    /// Reads a lock file's content: process id, a blank, an instant. What can't be read is none.
    pub(super) fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let pid = words.next().and_then(|word| word.parse().ok());
        Self { pid, since: words.next().and_then(|word| word.parse().ok()), ..Self::default() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("a process that has not named itself")?,
        }
        self.host.as_ref().map_or(Ok(()), |host| write!(f, " on {host}"))?;
        self.part.map_or(Ok(()), |part| write!(f, ", with part {part}"))?;
        self.since.map_or(Ok(()), |since| write!(f, ", since {since}"))?;
        self.until.map_or(Ok(()), |until| write!(f, ", until {until:.0} unless it is renewed"))
    }
}

/// A part of the records, of so many: `0/1` is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Which, from 0.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}

impl Part {
    /// All records.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// Reads `0/1`; none where it is no part of so many.
    pub fn parse(text: &str) -> Option<Self> {
        let (index, count) = text.split_once('/')?;
        let part = Self { index: index.parse().ok()?, count: count.parse().ok()? };
        (part.index < part.count).then_some(part)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// How a ledger that several machines share is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// What is held. Parts of different counts are not held at the same time.
    pub part: Part,
    /// How long the hold lasts after it was taken or renewed: how long others wait after a run was killed. It is renewed
    /// three times as often.
    pub length: Duration,
}

impl Default for LeaseTerms {
    /// All records, 30 seconds.
    fn default() -> Self {
        Self { part: Part::ALL, length: Duration::from_secs(30) }
    }
}

/// Holds a ledger for one run until it is released or dropped, or its process ends.
#[derive(Debug)]
pub enum RunLock {
    /// A file that is locked by the operating system.
    File(FileLock),
    /// A row in the shared database that has to be renewed.
    Lease(Lease),
}

impl RunLock {
    /// Takes hold of a ledger. `terms` are of a shared one; a file is held whole, until its process ends.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Held`] names the process that has it; otherwise as opening it.
    pub async fn acquire(place: &LedgerPlace, terms: LeaseTerms, now: Timestamp) -> Result<Self, LedgerError> {
        match place {
            LedgerPlace::File(path) => FileLock::acquire(path, now).map(Self::File),
            LedgerPlace::Postgres(address) => {
                make_folder_of(place.local()).map_err(|error| LedgerError::CannotWrite {
                    ledger: LedgerPlace::File(place.local().to_owned()),
                    failure: WriteFailure::of(&error),
                    detail: error.to_string(),
                })?;
                Lease::acquire(address, terms).await.map(Self::Lease)
            }
        }
    }

    /// What a shared ledger needs to know so that nothing is written once another run has it.
    pub fn fence(&self) -> Option<Fence> {
        match self {
            Self::File(_) => None,
            Self::Lease(lease) => Some(lease.fence()),
        }
    }

    /// Ends when the hold is lost: it could not be renewed in time. Never, where it can't be.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        match self {
            Self::File(_) => Either::Left(std::future::pending()),
            Self::Lease(lease) => Either::Right(lease.lost()),
        }
    }

    /// Lets others in.
    pub async fn release(self) {
        match self {
            Self::File(lock) => drop(lock),
            Self::Lease(lease) => lease.release().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_says_where_it_is_and_for_how_long() {
        let since: Timestamp = "2026-05-01T00:00:00.123Z".parse().unwrap();
        let by = Holder { pid: Some(7), since: Some(since), ..Holder::default() };
        assert_eq!(by.to_string(), "process 7, since 2026-05-01T00:00:00.123Z");
        let until = "2026-05-01T00:00:30Z".parse().ok();
        let by = Holder { host: Some("worker-1".to_owned()), part: Part::parse("3/8"), until, ..by };
        let text = "process 7 on worker-1, with part 3/8, since 2026-05-01T00:00:00.123Z, \
                    until 2026-05-01T00:00:30Z unless it is renewed";
        assert_eq!(by.to_string(), text);
    }
}
