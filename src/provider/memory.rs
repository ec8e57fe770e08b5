//! A provider in memory, with faults on demand, for tests of whatever stands on a provider.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;

use super::{
    Cancelling, Original, OriginalId, OriginalStatus, PendingItems, Provider, ProviderError, ProviderName, Reading,
    UnknownCause,
};

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not leave.
    NotSent,
    /// It is refused for now.
    Throttled(Option<Duration>),
    /// It is lost on the way: nothing is done, and nobody knows.
    LoseRequest,
    /// It is carried out, and the answer is lost.
    LoseAnswer,
    /// It is carried out, and no answer ever comes: the future never ends.
    Hold,
    /// It is refused for good.
    Refuse,
    /// The key is refused.
    Unauthorized,
}

/// A call that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// [`Provider::read`].
    Read(OriginalId),
    /// [`Provider::cancel`].
    Cancel(OriginalId),
}

/// Keeps originals in a map. A second cancellation changes nothing, as at the real ones.
#[derive(Debug)]
pub struct MemoryProvider {
    name: ProviderName,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    originals: BTreeMap<OriginalId, Original>,
    read_faults: VecDeque<Fault>,
    cancel_faults: VecDeque<Fault>,
    calls: Vec<Call>,
    cancelled: BTreeMap<OriginalId, u64>,
}

impl MemoryProvider {
    /// An empty one.
    pub fn new(name: ProviderName) -> Self {
        Self { name, state: Mutex::default() }
    }

    /// An original as most are: active, of a test mode, one item of nothing.
    pub fn active(id: &OriginalId, customer_id: &str) -> Original {
        Original {
            id: id.clone(),
            status: OriginalStatus::Active,
            customer_id: customer_id.to_owned(),
            started_at: None,
            current_period_end: None,
            ended_at: None,
            cancel_at_period_end: false,
            schedule_id: None,
            items: Vec::new(),
            more_items: false,
            pending_items: PendingItems::none(),
            live: false,
        }
    }

    /// Adds an original, or replaces it: somebody changed it there.
    pub fn put(&self, original: Original) {
        self.state().originals.insert(original.id.clone(), original);
    }

    /// An original as it is there now.
    pub fn original(&self, id: &OriginalId) -> Option<Original> {
        self.state().originals.get(id).cloned()
    }

    /// Makes the next cancellation without a fault go wrong. Faults queue.
    pub fn inject_cancel(&self, fault: Fault) {
        self.state().cancel_faults.push_back(fault);
    }

    /// Makes the next read without a fault go wrong. Faults queue.
    pub fn inject_read(&self, fault: Fault) {
        self.state().read_faults.push_back(fault);
    }

    /// Every call that left, in order, those that went wrong included.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How often each original was really ended: more than once is never.
    pub fn cancelled(&self) -> BTreeMap<OriginalId, u64> {
        self.state().cancelled.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a call with its fault.
    async fn call<T>(
        &self,
        call: Call,
        faults: fn(&mut State) -> &mut VecDeque<Fault>,
        work: impl FnOnce(&mut State) -> T,
    ) -> Result<T, ProviderError> {
        let held = {
            let mut state = self.state();
            let fault = faults(&mut state).pop_front();
            if fault != Some(Fault::NotSent) {
                state.calls.push(call);
            }
            match fault {
                None => return Ok(work(&mut state)),
                Some(Fault::NotSent) => return Err(ProviderError::NotSent { source: "no connection".into() }),
                Some(Fault::Throttled(retry_after)) => {
                    return Err(ProviderError::Throttled { retry_after, message: "too many requests".to_owned() });
                }
                Some(Fault::LoseRequest) => false,
                Some(Fault::LoseAnswer) => {
                    work(&mut state);
                    false
                }
                Some(Fault::Hold) => {
                    work(&mut state);
                    true
                }
                Some(Fault::Refuse) => {
                    return Err(ProviderError::Refused {
                        status: 400,
                        code: None,
                        message: "refused by the test".to_owned(),
                        request_id: None,
                    });
                }
                Some(Fault::Unauthorized) => {
                    return Err(ProviderError::Unauthorized { message: "refused by the test".to_owned() });
                }
            }
        };
        if held {
            std::future::pending::<()>().await;
        }
        let cause = UnknownCause::Lost("the connection was cut".into());
        Err(ProviderError::Unknown { cause, retry_after: None, is_final: false })
    }
}

impl State {
    fn cancel(&mut self, id: &OriginalId) -> Cancelling {
        let Some(original) = self.originals.get_mut(id) else { return Cancelling::NotFound };
        if original.status.has_ended() {
            return Cancelling::AlreadyCancelled;
        }
        original.status = OriginalStatus::Canceled;
        let times = self.cancelled.entry(id.clone()).or_default();
        *times += 1;
        Cancelling::Cancelled { request_id: Some(format!("req_{}", self.calls.len())) }
    }
}

impl Provider for MemoryProvider {
    fn name(&self) -> ProviderName {
        self.name
    }

    fn read<'a>(&'a self, id: &'a OriginalId) -> BoxFuture<'a, Result<Reading, ProviderError>> {
        Box::pin(self.call(
            Call::Read(id.clone()),
            |state| &mut state.read_faults,
            move |state| match state.originals.get(id) {
                Some(original) => Reading::Found(Box::new(original.clone())),
                None => Reading::NotFound,
            },
        ))
    }

    fn cancel<'a>(&'a self, id: &'a OriginalId) -> BoxFuture<'a, Result<Cancelling, ProviderError>> {
        Box::pin(self.call(Call::Cancel(id.clone()), |state| &mut state.cancel_faults, move |state| state.cancel(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::conformance::{Fixture, check};

    fn id(text: &str) -> OriginalId {
        OriginalId::parse(text).expect("an id")
    }

    fn with(ids: &[&str]) -> MemoryProvider {
        let provider = MemoryProvider::new(ProviderName::Stripe);
        for text in ids {
            provider.put(MemoryProvider::active(&id(text), "cus_1"));
        }
        provider
    }

    #[tokio::test]
    async fn it_keeps_what_a_provider_promises() {
        let provider = with(&["sub_1", "sub_2"]);
        let fixture = Fixture { active: id("sub_1"), untouched: id("sub_2"), missing: id("sub_none") };

        check(&provider, &fixture).await;

        assert_eq!(provider.cancelled(), BTreeMap::from([(id("sub_1"), 1)]));
    }

    #[tokio::test]
    async fn a_lost_answer_has_cancelled_and_a_lost_request_has_not() {
        let provider = with(&["sub_1"]);
        for (fault, status) in [
            (Fault::NotSent, OriginalStatus::Active),
            (Fault::Throttled(None), OriginalStatus::Active),
            (Fault::LoseRequest, OriginalStatus::Active),
            (Fault::Refuse, OriginalStatus::Active),
            (Fault::Unauthorized, OriginalStatus::Active),
            (Fault::LoseAnswer, OriginalStatus::Canceled),
        ] {
            provider.inject_cancel(fault);
            let failed = provider.cancel(&id("sub_1")).await;
            assert!(failed.is_err(), "{fault:?}: {failed:?}");
            assert_eq!(provider.original(&id("sub_1")).expect("it is there").status, status, "{fault:?}");
        }
        assert_eq!(provider.cancel(&id("sub_1")).await.expect("an answer"), Cancelling::AlreadyCancelled);
        assert_eq!(provider.cancelled(), BTreeMap::from([(id("sub_1"), 1)]));
        // The one that was not sent is no call.
        assert_eq!(provider.calls().len(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_call_is_carried_out_and_never_answers() {
        let provider = with(&["sub_1"]);
        provider.inject_cancel(Fault::Hold);

        let held = tokio::time::timeout(Duration::from_secs(3600), provider.cancel(&id("sub_1"))).await;

        assert!(held.is_err());
        assert!(provider.original(&id("sub_1")).expect("it is there").status.has_ended());
    }
}
