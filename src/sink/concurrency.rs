//! How many requests are in flight: as many as the answers bear.
//!
//! A round is as many good answers as there are slots. Where every slot was in the air in it and latency held, the
//! number doubles, and from the first sign of too much (an overload, or latency that no longer holds) it grows by one. Where
//! answers come so fast that more slots would not be used, it stays. It halves on 429, server failures and timeouts, once per round. A request takes its slot first and its permit
//! second, so that it leaves the moment that the budget gives it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bounds of the number in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcurrencyBounds {
    /// What it starts with. Default 4.
    pub start: usize,
    /// What it never falls below. Default 1; 0 is taken for 1.
    pub min: usize,
    /// What it never grows above. Default 64.
    pub max: usize,
}

impl ConcurrencyBounds {
    /// The bounds that a budget needs: a rate of R requests a second fills R × latency slots, and the budget's pace
    /// sees to it that no more of them are used. Starts with what a latency of one second needs, 64 at most, so that a
    /// slow API costs no time while the number grows; grows to what four seconds need, 256 at most. The default is the least,
    /// and what is taken without a limit. With a rate that no budget gives, the machine is the limit, and each slot beyond what
    /// that needs costs time and memory: then it starts with 16.
    pub fn for_rate(per_minute: Option<f64>) -> Self {
        const BUDGET_PER_S_MAX: f64 = 1_000.0;
        const START_WITHOUT_BUDGET: usize = 16;
        const START_S: f64 = 1.0;
        const START_MAX: usize = 64;
        const LATENCY_MAX_S: f64 = 4.0;
        const MAX: usize = 256;
        let Self { start, min, max } = Self::default();
        let per_second = per_minute.unwrap_or(0.0) / 60.0;
        // A cast of a float keeps within the integer's bounds.
        let slots = |latency_s: f64| (per_second * latency_s).ceil() as usize;
        let start_max = if per_second > BUDGET_PER_S_MAX { START_WITHOUT_BUDGET } else { START_MAX };
        Self { start: slots(START_S).clamp(start, start_max), min, max: slots(LATENCY_MAX_S).clamp(max, MAX) }
    }
}

impl Default for ConcurrencyBounds {
    fn default() -> Self {
        Self { start: 4, min: 1, max: 64 }
    }
}

/// What an answer says about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answered, whatever it answered.
    Good,
    /// It asked for a pause, failed, or did not answer.
    Overloaded,
}

/// An adaptive number of slots, handed out in the order of asking. Cheap to clone; clones share the slots.
#[derive(Debug, Clone)]
pub struct Concurrency {
    slots: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    bounds: ConcurrencyBounds,
    limit: usize,
    /// Slots to take back when they are returned, after a shrink.
    excess: usize,
    /// Requests that have left and not been answered.
    in_air: usize,
    /// Good answers of this round; a round is as many as there are slots.
    good: usize,
    /// Whether all slots were in the air at some moment of this round.
    saturated: bool,
    /// Whether there was no sign of too much yet.
    doubles: bool,
    /// Requests that left before this moment don't shrink it again.
    shrunk_at: Option<Instant>,
    /// The shortest latency of late.
    baseline: Option<Duration>,
}

/// A latency up to this multiple of the shortest of late counts as "holds".
const LATENCY_FACTOR: u32 = 3;

/// Latency for each slot up to which there are enough of them: together they bear 5,000 requests a second and more, five times
/// what any budget gives.
const ENOUGH_PER_SLOT: Duration = Duration::from_micros(200);

impl Concurrency {
    /// Slots within `bounds`.
    pub fn new(bounds: ConcurrencyBounds) -> Self {
        let min = bounds.min.max(1);
        let max = bounds.max.max(min);
        let limit = bounds.start.clamp(min, max);
        let bounds = ConcurrencyBounds { start: limit, min, max };
        let state = State {
            bounds,
            limit,
            excess: 0,
            in_air: 0,
            good: 0,
            saturated: false,
            doubles: true,
            shrunk_at: None,
            baseline: None,
        };
        Self { slots: Arc::new(Semaphore::new(limit)), state: Arc::new(Mutex::new(state)) }
    }

    /// Waits for a slot. Dropping the future takes none.
    pub async fn acquire(&self) -> Slot {
        let permit = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        Slot { shared: self.clone(), permit: Some(permit), left_at: None }
    }

    /// How many may be in flight now.
    pub fn limit(&self) -> usize {
        self.state().limit
    }

    /// Requests that have left and not been answered.
    pub fn in_air(&self) -> usize {
        self.state().in_air
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow(&self, state: &mut State) {
        let by = if state.doubles { state.limit } else { 1 };
        let more = by.min(state.bounds.max - state.limit);
        state.limit += more;
        let still_out = more.min(state.excess);
        state.excess -= still_out;
        self.slots.add_permits(more - still_out);
    }

    fn shrink(&self, state: &mut State) {
        let limit = (state.limit / 2).max(state.bounds.min);
        let less = state.limit - limit;
        state.limit = limit;
        (state.good, state.saturated, state.doubles) = (0, false, false);
        state.excess += less - self.slots.forget_permits(less);
    }

    fn answered(&self, left_at: Instant, health: Option<Health>) {
        let mut state = self.state();
        state.in_air -= 1;
        match health {
            Some(Health::Good) => {
                let latency = left_at.elapsed();
                // The baseline drifts up by a hundredth, so that a server that became slower for good is believed.
                let baseline = state.baseline.map_or(latency, |known| (known + known / 100).min(latency));
                state.baseline = Some(baseline);
                // A millisecond is noise, not load.
                let holds = latency <= baseline * LATENCY_FACTOR + Duration::from_millis(1);
                if !holds {
                    state.doubles = false;
                    return;
                }
                state.good += 1;
                if state.good >= state.limit {
                    let saturated = state.saturated;
                    (state.good, state.saturated) = (0, false);
                    if saturated && latency > ENOUGH_PER_SLOT * state.limit as u32 {
                        self.grow(&mut state);
                    }
                }
            }
            Some(Health::Overloaded) if state.shrunk_at.is_none_or(|shrunk_at| left_at >= shrunk_at) => {
                state.shrunk_at = Some(Instant::now());
                self.shrink(&mut state);
            }
            // Of a round that was answered by shrinking already; or given up, which says nothing.
            Some(Health::Overloaded) | None => {}
        }
    }
}

/// One slot. Dropped, it is free again.
#[derive(Debug)]
#[must_use = "a slot that is dropped is free again"]
pub struct Slot {
    shared: Concurrency,
    permit: Option<OwnedSemaphorePermit>,
    left_at: Option<Instant>,
}

impl Slot {
    /// Says that the request leaves now (its permit is there). A slot that waits for its permit is no reason to grow.
    pub fn leave(&mut self) {
        if self.left_at.is_none() {
            self.left_at = Some(Instant::now());
            let mut state = self.shared.state();
            state.in_air += 1;
            state.saturated |= state.in_air >= state.limit;
        }
    }

    /// Gives the slot back with what its answer said.
    pub fn answered(mut self, health: Health) {
        self.give_back(Some(health));
    }

    fn give_back(&mut self, health: Option<Health>) {
        if let Some(left_at) = self.left_at.take() {
            self.shared.answered(left_at, health);
        }
        if let Some(permit) = self.permit.take() {
            let mut state = self.shared.state();
            if let Some(rest) = state.excess.checked_sub(1) {
                state.excess = rest;
                permit.forget();
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.give_back(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `requests` over `slots`; each takes `latency` and is answered with what `health` says. Answers the most
    /// that were in the air.
    async fn send(slots: &Concurrency, requests: usize, latency: Duration, health: fn(usize) -> Health) -> usize {
        let mut most = 0;
        let mut sent = Vec::new();
        for n in 0..requests {
            let mut slot = slots.acquire().await;
            slot.leave();
            most = most.max(slots.in_air());
            sent.push(tokio::spawn(async move {
                tokio::time::sleep(latency).await;
                slot.answered(health(n));
            }));
        }
        futures::future::join_all(sent).await;
        most
    }

    #[tokio::test(start_paused = true)]
    async fn good_answers_let_it_grow_to_its_bound_and_no_further() {
        let slots = Concurrency::new(ConcurrencyBounds { start: 4, min: 1, max: 16 });
        let most = send(&slots, 1000, Duration::from_millis(100), |_| Health::Good).await;
        assert_eq!((slots.limit(), most), (16, 16));
    }

    #[tokio::test(start_paused = true)]
    async fn it_doubles_each_round_until_the_first_overload_and_then_grows_by_one() {
        let slots = Concurrency::new(ConcurrencyBounds { start: 4, min: 1, max: 64 });
        let latency = Duration::from_millis(500);
        // Given: rounds of good answers.
        for limit in [8, 16, 32] {
            send(&slots, slots.limit(), latency, |_| Health::Good).await;
            assert_eq!(slots.limit(), limit);
        }
        // When: one answer of the next is an overload.
        send(&slots, 32, latency, |n| if n == 0 { Health::Overloaded } else { Health::Good }).await;
        // Then: half of them are left, and each round adds one.
        assert_eq!(slots.limit(), 16);
        for limit in [17, 18, 19] {
            send(&slots, slots.limit(), latency, |_| Health::Good).await;
            assert_eq!(slots.limit(), limit);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_no_longer_doubles_once_latency_rose() {
        let slots = Concurrency::new(ConcurrencyBounds { start: 4, min: 1, max: 64 });
        send(&slots, 4, Duration::from_millis(50), |_| Health::Good).await;
        assert_eq!(slots.limit(), 8);
        send(&slots, 8, Duration::from_millis(200), |_| Health::Good).await;
        assert_eq!(slots.limit(), 8, "more than three times as slow");
        send(&slots, 8, Duration::from_millis(50), |_| Health::Good).await;
        assert_eq!(slots.limit(), 9);
    }

    #[test]
    fn bounds_follow_the_rate() {
        let bounds = |start, max| ConcurrencyBounds { start, min: 1, max };
        assert_eq!(ConcurrencyBounds::for_rate(None), ConcurrencyBounds::default());
        // The published rates; ten times that; and more than anybody has.
        assert_eq!(ConcurrencyBounds::for_rate(Some(250.0)), bounds(5, 64));
        assert_eq!(ConcurrencyBounds::for_rate(Some(600.0)), bounds(10, 64));
        assert_eq!(ConcurrencyBounds::for_rate(Some(6_000.0)), bounds(64, 256));
        assert_eq!(ConcurrencyBounds::for_rate(Some(60_000.0)), bounds(64, 256));
        assert_eq!(ConcurrencyBounds::for_rate(Some(6e8)), bounds(16, 256));
    }

    /// Given slots for a rate that nobody has, when answers come within milliseconds, then no more of them are used than that needs;
    /// and when they take longer, they are.
    #[tokio::test(start_paused = true)]
    async fn it_does_not_grow_where_answers_come_so_fast_that_there_are_enough() {
        let slots = Concurrency::new(ConcurrencyBounds::for_rate(Some(6e8)));
        let most = send(&slots, 1000, Duration::from_millis(3), |_| Health::Good).await;
        assert_eq!((slots.limit(), most), (16, 16), "5,333 requests a second");
        let most = send(&slots, 1000, Duration::from_millis(5), |_| Health::Good).await;
        assert_eq!((slots.limit(), most), (32, 32), "6,400");
        let most = send(&slots, 10_000, Duration::from_millis(6), |_| Health::Good).await;
        assert_eq!((slots.limit(), most), (32, 32), "5,333");
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_grow_where_the_budget_is_what_holds() {
        // Given: a request every 100 ms, each answered after 120 ms: two are in the air, never four.
        let slots = Concurrency::new(ConcurrencyBounds::default());
        for _ in 0..200 {
            let mut slot = slots.acquire().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            slot.leave();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(120)).await;
                slot.answered(Health::Good);
            });
        }
        assert_eq!(slots.limit(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn one_overloaded_round_halves_it_once() {
        let slots = Concurrency::new(ConcurrencyBounds { start: 32, min: 1, max: 64 });
        send(&slots, 32, Duration::from_millis(100), |_| Health::Overloaded).await;
        assert_eq!(slots.limit(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_falls_below_its_bound_and_comes_back() {
        let slots = Concurrency::new(ConcurrencyBounds { start: 8, min: 2, max: 8 });
        for _ in 0..10 {
            send(&slots, 1, Duration::from_millis(10), |_| Health::Overloaded).await;
        }
        assert_eq!(slots.limit(), 2);
        let most = send(&slots, 2, Duration::from_millis(10), |_| Health::Good).await;
        assert_eq!(most, 2);
        send(&slots, 200, Duration::from_millis(10), |_| Health::Good).await;
        assert_eq!(slots.limit(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_taken_back_while_out_are_not_lost_and_not_doubled() {
        let slots = Concurrency::new(ConcurrencyBounds { start: 8, min: 1, max: 8 });
        let mut out = Vec::new();
        for _ in 0..8 {
            let mut slot = slots.acquire().await;
            slot.leave();
            out.push(slot);
        }
        out.remove(0).answered(Health::Overloaded);
        assert_eq!(slots.limit(), 4);
        assert_eq!(slots.slots.available_permits(), 0);
        drop(out);
        assert_eq!(slots.slots.available_permits(), 4);
        assert_eq!(slots.in_air(), 0);
    }
}
