//! What reads alone say of a target.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::answers::{Answer, Question};
use crate::pipeline::{Catalog, RetryPolicy, StartError, Stop, target_name};
use crate::sink::stigg::{Client, StiggSink, SubscriptionSelect};
use crate::sink::{Budgets, EnvironmentEntry, Exchange, Operation, Sink, SinkError, TaskState, Watched};

/// How many entries are asked for in one page, to see whether it is cut.
const PAGE_ASKED: usize = 1000;

/// An id that no task has: asking for it is an error to a server that checks it.
const NO_TASK: &str = "not-a-uuid";

/// Whom to ask.
pub struct Asking {
    /// The target, watched.
    pub watched: Arc<Watched>,
    /// Its rate budgets.
    pub budgets: Arc<Budgets>,
    /// Its address, without secrets.
    pub address: String,
}

impl Asking {
    /// A client that shares the budgets.
    pub fn client(&self) -> Client {
        Client::new(self.watched.clone(), self.budgets.clone())
    }
}

/// What came of a read.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen<T> {
    /// It was read.
    Is(T),
    /// The key has no right to it.
    Forbidden,
    /// It failed, with the reason in one line.
    Failed(String),
}

impl<T> Seen<T> {
    fn of(read: Result<T, SinkError>) -> Self {
        match read {
            Ok(read) => Self::Is(read),
            Err(SinkError::Forbidden { .. }) => Self::Forbidden,
            Err(error) => Self::Failed(error.with_causes()),
        }
    }
}

/// How far this machine's clock is from the server's: ahead where positive. Zero while they may agree: the server says
/// whole seconds, and an answer is on its way for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockOff {
    /// Seconds.
    pub seconds: f64,
}

/// What reads alone say of a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Examination {
    /// Its name in the ledger.
    pub target: String,
    /// The environment's id; none where the key may not read it.
    pub environment_id: Option<String>,
    /// What the environment is; none where the key may not read it.
    pub environment: Option<EnvironmentEntry>,
    /// The catalog.
    pub catalog: Seen<Catalog>,
    /// Whether customers can be read.
    pub customers: Seen<()>,
    /// Whether subscriptions can be read.
    pub subscriptions: Seen<()>,
    /// Whether import tasks can be read.
    pub tasks: Seen<()>,
    /// This machine's clock; none where the server says no time.
    pub clock: Option<ClockOff>,
    /// The median time of a read, but for the first, which opens the connection; none where all failed.
    pub latency: Option<Duration>,
    /// How many reads that is the median of.
    pub reads: usize,
    /// What the documents leave open and a read answers.
    pub answers: Vec<Answer>,
}

/// Asks. Writes nothing.
///
/// # Errors
///
/// The first request: no API is there, or it does not accept the key. Whatever goes wrong later is in the result.
pub async fn examine(asking: &Asking) -> Result<Examination, StartError> {
    let sink: Arc<dyn Sink> = Arc::new(StiggSink::new(asking.watched.clone()));
    let retry = RetryPolicy::default();
    let target = target_name(&sink, &asking.budgets, retry, &asking.address).await?;
    let client = asking.client();
    let environment_id = target.strip_prefix(&asking.address).map(str::trim).filter(|id| !id.is_empty());
    let environment = match (environment_id, client.environments().await) {
        (Some(id), Ok(Some(all))) => all.into_iter().find(|one| one.id == id || one.slug == id || one.name == id),
        _ => None,
    };
    let catalog = Catalog::read(sink, asking.budgets.clone(), retry, Arc::new(Stop::default())).await;
    let mut answers = Vec::new();
    let page = client.first_customers(PAGE_ASKED).await;
    answers.extend(page_size(&page));
    let customers = match page {
        // A page that is too long says nothing of the right to read.
        Err(SinkError::Refused { .. } | SinkError::Malformed { .. }) => client.customers(None, None).await.map(|_| ()),
        page => page.map(|_| ()),
    };
    let subscriptions = client.subscriptions(SubscriptionSelect::All, None).await.map(|_| ());
    let tasks = match client.running_imports().await {
        Ok(Some(_)) => Seen::Is(()),
        Ok(None) => Seen::Forbidden,
        Err(error) => Seen::of(Err(error)),
    };
    match &tasks {
        Seen::Is(()) => answers.push(Answer::new(Question::TaskRead, "yes")),
        Seen::Forbidden => answers.push(Answer::new(Question::TaskRead, "no")),
        Seen::Failed(_) => {}
    }
    answers.extend(error_status(&client, &asking.watched).await);
    let seen = asking.watched.seen();
    let mut times: Vec<Duration> = seen.iter().skip(1).filter(|one| one.status == 200).map(|one| one.took).collect();
    answers.sort_by_key(|answer| answer.question);
    Ok(Examination {
        environment_id: environment_id.map(str::to_owned),
        environment,
        catalog: Seen::of(catalog),
        customers: Seen::of(customers),
        subscriptions: Seen::of(subscriptions),
        tasks,
        clock: clock_off(&seen),
        reads: times.len(),
        latency: median(&mut times),
        answers,
        target,
    })
}

fn page_size(page: &Result<crate::sink::Page<crate::sink::ReadCustomer>, SinkError>) -> Option<Answer> {
    let says = match page {
        Ok(page) if page.items.len() >= PAGE_ASKED => format!("{PAGE_ASKED} entries at least"),
        Ok(page) if page.next.is_some() => format!("{} entries", page.items.len()),
        Ok(page) => {
            format!(
                "{PAGE_ASKED} may be asked for; whether it is cut shows only with more than {} customers",
                page.items.len()
            )
        }
        Err(SinkError::Refused { code, .. }) => {
            format!("less than {PAGE_ASKED}: asking for so many is refused with {code}")
        }
        Err(SinkError::Malformed { .. }) => format!("less than {PAGE_ASKED}: asking for so many is refused"),
        Err(_) => return None,
    };
    Some(Answer::new(Question::PageSize, says))
}

/// Asks for a task by an id that can't be one, and looks how the error comes.
async fn error_status(client: &Client, watched: &Watched) -> Option<Answer> {
    let state = client.import_task(NO_TASK).await;
    let exchange = watched.seen().into_iter().rev().find(|one| one.operation == Operation::ImportTasks.name())?;
    match (state, exchange.code) {
        (Ok(TaskState::Unreadable { .. }), Some(code)) => {
            Some(Answer::new(Question::ErrorStatus, format!("status {}, code {code}", exchange.status)))
        }
        _ => None,
    }
}

/// How far the clock is off that the exchanges were timed by: the least that explains all of them.
pub fn clock_off(seen: &[Exchange]) -> Option<ClockOff> {
    /// What a `Date` leaves open.
    const WHOLE_SECOND: f64 = 1.0;
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
    // The answer was made between `date` and a second later, and between sending and receiving.
    let ahead = |one: &Exchange| one.date.map(|date| seconds(date, one.sent_at) - WHOLE_SECOND);
    let behind = |one: &Exchange| one.date.map(|date| seconds(one.answered_at, date));
    let ahead = seen.iter().filter_map(ahead).reduce(f64::max)?;
    let behind = seen.iter().filter_map(behind).reduce(f64::max)?;
    let seconds = if ahead > 0.0 {
        ahead
    } else if behind > 0.0 {
        -behind
    } else {
        0.0
    };
    Some(ClockOff { seconds })
}

/// The median; of two in the middle the greater.
pub fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
