//! One rate for several processes that call with one key.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

/// Why nobody said when the next moment is. No moment is taken, or one that passes unused.
pub type NoMoment = Box<dyn Error + Send + Sync>;

/// Hands out moments to all who share a rate: no two get the same.
///
/// A moment that was taken and not used is lost to all; whoever dies holds nothing that others wait for.
pub trait Shared: Send + Sync + fmt::Debug {
    /// Takes the next `moments` of `name`, which lie `interval` apart and are all in the future, none of them within `pause`
    /// from now. Returns how long it is until the first.
    fn take<'a>(
        &'a self,
        name: &'a str,
        interval: Duration,
        moments: u32,
        pause: Duration,
    ) -> BoxFuture<'a, Result<Duration, NoMoment>>;
}

/// Where a pacer gets its moments from.
#[derive(Debug, Clone)]
pub struct SharedRate {
    /// Who hands them out.
    pub from: Arc<dyn Shared>,
    /// Names the rate: the same for all who share it.
    pub name: String,
}

/// A rate that several clients in one process share. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct InProcess(Arc<Mutex<HashMap<String, Instant>>>);

impl Shared for InProcess {
    fn take<'a>(
        &'a self,
        name: &'a str,
        interval: Duration,
        moments: u32,
        pause: Duration,
    ) -> BoxFuture<'a, Result<Duration, NoMoment>> {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = all.entry(name.to_owned()).or_insert(now);
        let first = (*next).max(now + pause);
        *next = first + interval * moments;
        Box::pin(std::future::ready(Ok(first - now)))
    }
}
