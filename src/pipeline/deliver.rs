//! Delivers the batches of one step: the heart of the program.
//!
//! For each batch, in this order: the ledger writes it as open, in one go with those that have come with it; a permit of
//! the operation's budget is taken; it is sent; what became of each record is found out (by the answer, by sending parts
//! of it again, or by reading back); refused records go to the rejects file; the ledger settles it.
//! A kill between any two of these leaves an open batch, which the next run sends again. That is
//! harmless, because every import here replaces: customers and subscriptions are upserts by id, and
//! usage is sent with `SET`. Events are known by their key for a time; see `held` for what comes after it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::changes::HeldBack;
use super::events::{Event, Observer};
use super::handover::Incoming;
use super::outage::Outage;
use super::reading::Reading;
use super::refused::{self, Part, Refusal};
use super::room::Unsettled;
use super::settle::Answered;
use super::stop::Stopped;
use crate::batch::{Batch, BatchId, Outcome, Outcomes, Spares};
use crate::ledger::rejects::Writer as RejectsWriter;
use crate::ledger::{Ledger, LedgerError, RunId, Scope};
use crate::sink::{self, Concurrency, Disposition, Health, Operation, SinkError, Submission, UnknownCause};
use futures::stream::{FuturesOrdered, FuturesUnordered, StreamExt};
use tracing::Instrument as _;

/// Tries after which a batch that the API itself reports as failed, again and again, is sent in parts.
const POISON_TRIES: u32 = 3;

/// Longest wait for another import to end, where the API does not say how long: the next one shall not start late.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(10);

/// What delivery needs; shared by all batches of a step.
pub(super) struct Delivery {
    pub reading: Reading,
    pub ledger: Arc<dyn Ledger>,
    pub concurrency: Concurrency,
    pub observer: Arc<dyn Observer>,
    pub rejects: Arc<Mutex<RejectsWriter>>,
    pub run: RunId,
    pub step: String,
    pub scope: Scope,
    pub outage: Outage,
    pub held_back: HeldBack,
    /// Takes the buffers of batches that are done with.
    pub spares: Spares,
}

impl Delivery {
    /// Takes batches until there are no more or the run stops, and settles all that it took.
    pub(super) async fn deliver(&self, mut batches: Incoming) {
        let (mut opening, mut sending, mut settling) =
            (FuturesOrdered::new(), FuturesUnordered::new(), FuturesUnordered::new());
        let (mut unsettled, mut more) = (Unsettled::default(), true);
        while more || !unsettled.is_empty() {
            let in_flight_max = self.concurrency.limit();
            tokio::select! {
                biased;
                Some(held_bytes) = settling.next(), if !settling.is_empty() => unsettled.done(held_bytes),
                Some(answered) = sending.next(), if !sending.is_empty() => {
                    let (let_go_bytes, told) = self.let_go(answered);
                    unsettled.let_go(let_go_bytes);
                    settling.push(self.settle(told));
                }
                Some(opened) = opening.next(), if !opening.is_empty() => match opened {
                    Opened::All(batches) => {
                        sending.extend(batches.into_iter().map(|(batch, id)| self.answer(batch, id)));
                    }
                    Opened::None(batches) => batches.iter().for_each(|batch| unsettled.done(batch.bytes())),
                },
                next = batches.next(), if more && unsettled.has_room(in_flight_max) => match next {
                    Some(batch) if self.reading.stop.ends_sending() => {
                        self.reading.progress.open.add(batch.items.len() as u64);
                    }
                    // Those behind it share what opening one costs.
                    Some(first) => {
                        let group = unsettled.take(first, || batches.next_at_hand(), in_flight_max);
                        opening.push_back(self.open(group));
                    }
                    None => more = false,
                },
            }
        }
    }

    async fn open(&self, batches: Vec<Batch>) -> Opened {
        let opened: Vec<&Batch> = batches.iter().collect();
        match self.ledger.open(self.run, &self.step, &self.scope, &opened).await {
            Ok(ids) => {
                assert_eq!(ids.len(), batches.len(), "each has a name");
                Opened::All(batches.into_iter().zip(ids).collect())
            }
            Err(error) => {
                self.reading.progress.open.add(batches.iter().map(|batch| batch.items.len() as u64).sum());
                self.ledger_failed(&error);
                Opened::None(batches)
            }
        }
    }

    async fn answer(&self, batch: Batch, id: BatchId) -> Answered {
        self.reading.progress.batches.add(1);
        let span = tracing::debug_span!("batch", id = id.0);
        let outcomes = self.find_outcomes(&batch, id).instrument(span).await;
        Answered { id, batch, outcomes }
    }

    pub(super) fn ledger_failed(&self, error: &LedgerError) {
        self.reading.stop.raise(Stopped::of_ledger(error));
    }

    /// Sends a batch, in parts where the API refuses the whole, until each record has an outcome.
    async fn find_outcomes(&self, batch: &Batch, id: BatchId) -> Outcomes {
        let mut waited_for_ready = false;
        match self.send(batch, id, &mut waited_for_ready).await {
            Sent::Settled(outcomes) => outcomes,
            Sent::Refused(refusal) => Box::pin(self.find_in_parts(batch, id, refusal, waited_for_ready)).await,
        }
    }

    /// Finds out what became of each record of a batch that was refused as a whole.
    async fn find_in_parts(
        &self,
        batch: &Batch,
        id: BatchId,
        refusal: Refusal,
        mut waited_for_ready: bool,
    ) -> Outcomes {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; batch.items.len()];
        let mut parts = VecDeque::new();
        let (mut part, mut sent) = (Part::whole(batch), Sent::Refused(refusal));
        loop {
            match sent {
                Sent::Settled(settled) => {
                    for (index, outcome) in part.indices.iter().zip(settled.into_owned()) {
                        outcomes[*index] = Some(outcome);
                    }
                }
                Sent::Refused(refusal) => {
                    if part.indices.len() > 1 {
                        self.observer
                            .event(&Event::Splitting { records: part.indices.len(), why: refusal.message.clone() });
                    }
                    let isolated = refused::isolate(self, batch, &part, &refusal).await;
                    for (index, outcome) in isolated.settled {
                        outcomes[index] = Some(outcome);
                    }
                    // Depth first: a bad row is found before the next half is begun.
                    for part in isolated.again.into_iter().rev() {
                        parts.push_front(part);
                    }
                }
            }
            let Some(next) = parts.pop_front() else { break };
            sent = self.send(&batch.subset(&next.indices), id, &mut waited_for_ready).await;
            part = next;
        }
        outcomes
            .into_iter()
            .map(|outcome| {
                outcome.unwrap_or_else(|| Outcome::Open { reason: "no part of the batch held it".to_owned() })
            })
            .collect()
    }

    /// Sends one request until it has an answer, or patience ends.
    async fn send(&self, batch: &Batch, id: BatchId, waited_for_ready: &mut bool) -> Sent {
        let operation = Operation::of(batch.entity);
        let mut tries = Tries::default();
        let open = |reason: String| Sent::Settled(vec![Outcome::Open { reason }; batch.items.len()].into());
        loop {
            let error = match self.submit(batch, operation).await {
                Some(Ok(Submission::Applied { unanswered })) => return Sent::Settled(answered(batch, &unanswered)),
                Some(Ok(Submission::Started { task })) => {
                    return Sent::Settled(self.follow(batch, id, task.as_deref()).await);
                }
                Some(Err(error)) => error,
                None => return open("the run stopped before it was sent".to_owned()),
            };
            let why = error.with_causes();
            let pause = match error.disposition() {
                // One poisonous record can make the API fail each time: the others shall get through.
                Disposition::ReadBack { .. }
                    if tries.faults + 1 >= POISON_TRIES
                        && batch.items.len() > 1
                        && matches!(error, SinkError::Unknown { cause: UnknownCause::Api { .. }, .. }) =>
                {
                    return Sent::Refused(Refusal::of(&error));
                }
                // Nothing is doubled by sending again: imports replace what is there.
                Disposition::Resend { after } | Disposition::ReadBack { after } => after,
                Disposition::ResendOnceReady if !*waited_for_ready => {
                    // An imported subscription may not be visible yet: once more, later. Not for each part again.
                    *waited_for_ready = true;
                    Some(self.reading.retry.wait(4, fastrand::f64()))
                }
                Disposition::ResendOnceReady | Disposition::Split | Disposition::ReadBackAndSplit => {
                    return Sent::Refused(Refusal::of(&error));
                }
                Disposition::Stop(stop) => {
                    self.reading.stop.raise(match stop {
                        sink::Stop::Credentials => Stopped::CredentialsRefused(why.clone()),
                        sink::Stop::Request => Stopped::RequestMalformed(why.clone()),
                        sink::Stop::Endpoint => Stopped::NotTheApi(why.clone()),
                        sink::Stop::Files => Stopped::FilesCannotWrite(why.clone()),
                    });
                    // What stops the run is told once, at its end, and not for each batch in flight.
                    return open("the run stops".to_owned());
                }
            };
            if self.reading.stop.ends_sending()
                || !self.wait_for_next_try(operation, &error, &mut tries, pause, &why).await
            {
                return open(format!("{why} (after {} tries)", tries.faults + tries.throttles));
            }
            self.reading.progress.retries.add(1);
        }
    }

    /// Sends once; none where the run was stopped before the request could leave.
    async fn submit(&self, batch: &Batch, operation: Operation) -> Option<Result<Submission, SinkError>> {
        let leave = async {
            let slot = self.concurrency.acquire().await;
            (slot, self.reading.budgets.acquire(operation).await)
        };
        let (mut slot, permit) = tokio::select! {
            biased;
            () = self.reading.stop.sending_ended() => return None,
            leave = leave => leave,
        };
        self.reading.progress.requests.add(1);
        slot.leave();
        let answer = self.reading.sink.submit(batch, permit).await;
        slot.answered(match &answer {
            Err(error) if error.is_overload() => Health::Overloaded,
            Ok(_) | Err(_) => Health::Good,
        });
        match answer.as_ref().err().map(Trouble::of) {
            Some(Trouble::NoAnswer) => {}
            Some(Trouble::AskedToWait { .. } | Trouble::Answered) | None => self.outage.answered(),
        }
        Some(answer)
    }

    /// Whether there is a next try. "Slow down" and "another import is under way" are no faults: they pause everybody,
    /// and are counted apart.
    async fn wait_for_next_try(
        &self,
        operation: Operation,
        error: &SinkError,
        tries: &mut Tries,
        asked: Option<Duration>,
        why: &str,
    ) -> bool {
        let retry = &self.reading.retry;
        let trouble = Trouble::of(error);
        if let Trouble::AskedToWait { longest } = trouble {
            tries.throttles += 1;
            self.reading.progress.throttled.add(1);
            let pause = asked.unwrap_or_else(|| retry.wait(tries.throttles + 1, fastrand::f64()).min(longest));
            self.reading.budgets.pause(operation, pause);
            self.observer.event(&Event::Throttled { pause });
            return tries.throttles <= retry.throttles_max;
        }
        tries.faults += 1;
        if matches!(trouble, Trouble::NoAnswer)
            && let Some(lasted) = self.outage.fault(retry)
        {
            self.reading.stop.raise(Stopped::Outage(format!("nothing for {} s; the last: {why}", lasted.as_secs())));
            return false;
        }
        if tries.faults >= retry.tries_max {
            return false;
        }
        let wait = asked.unwrap_or_else(|| retry.wait(tries.faults, fastrand::f64()));
        self.observer.event(&Event::Resending { next_try: tries.faults + 1, wait, why: why.to_owned() });
        self.reading.stop.wait(wait).await
    }
}

/// Accepted, but for those that the answer leaves out: they are sent again by the next run.
fn answered(batch: &Batch, unanswered: &[usize]) -> Outcomes {
    let mut outcomes = Outcome::all_accepted(batch.items.len());
    for index in unanswered {
        outcomes.to_mut()[*index] = Outcome::Open { reason: "the API's answer leaves it out".to_owned() };
    }
    outcomes
}

/// What came of opening batches together: the ledger writes all of them or none.
enum Opened {
    All(Vec<(Batch, BatchId)>),
    None(Vec<Batch>),
}

/// How often one request was tried.
#[derive(Default)]
struct Tries {
    faults: u32,
    throttles: u32,
}

/// What an error says of the API.
enum Trouble {
    /// It is there, and wants us to wait; this is the longest wait of our own choice.
    AskedToWait { longest: Duration },
    /// It is not there, or fails.
    NoAnswer,
    /// It is there.
    Answered,
}

impl Trouble {
    fn of(error: &SinkError) -> Self {
        match error {
            SinkError::Throttled { .. } => Self::AskedToWait { longest: Duration::MAX },
            SinkError::Busy { .. } => Self::AskedToWait { longest: BUSY_WAIT_MAX },
            SinkError::NotSent { .. } | SinkError::Unknown { .. } => Self::NoAnswer,
            SinkError::Refused { .. }
            | SinkError::TooLarge
            | SinkError::WholeImport { .. }
            | SinkError::NotReady { .. }
            | SinkError::Unauthorized { .. }
            | SinkError::Forbidden { .. }
            | SinkError::Malformed { .. }
            | SinkError::NotTheApi { .. }
            | SinkError::FilesCannotWrite(_) => Self::Answered,
        }
    }
}

/// What came of a request.
enum Sent {
    /// Each record of it has an outcome.
    Settled(Outcomes),
    /// The API refused it because of some of its records.
    Refused(Refusal),
}
