//! What only a write answers: asked with throw-away customers, which are taken back.

use std::time::Duration;

use jiff::Timestamp;

use super::answers::{Answer, Question};
use crate::sink::stigg::{Client, ImportCustomer, ImportSubscription, SubscriptionSelect};
use crate::sink::{SinkError, TaskState, TaskStatus};

/// What the ids of throw-away customers begin with.
pub const ID_PREFIX: &str = "stigg-import-doctor-";

/// What is not asked, and why.
pub const NOT_PROBED: &[(&str, &str)] = &[
    ("status and headers of a 429", "only requests beyond the rate limit would show them"),
    ("what becomes of the good rows of a refused usage batch", "it takes a subscription that grants a metered feature"),
    ("what provisioning does with an id that it knows", "it takes a subscription on a plan that is sold"),
];

/// After this time a probe is over, or its process is dead. It takes seconds.
const PROBE_MS_MAX: i64 = 10 * 60 * 1000;

/// Customers of earlier probes that are taken back at most; a probe makes three.
const SWEPT_MAX: usize = 300;

/// Looks for what was written or ended: tries, and the pause between two.
const LOOKS_MAX: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// An answer's words that are kept, in characters.
const TOLD_CHARS_MAX: usize = 80;

/// What came of a probe.
#[derive(Debug, Default)]
pub struct Probed {
    /// The answers.
    pub answers: Vec<Answer>,
    /// What could not be taken back: customers, and subscriptions that should never have been taken.
    pub left: Vec<String>,
    /// Customers that earlier probes had left, and that were archived.
    pub swept: usize,
    /// Why it ended early.
    pub failed: Option<SinkError>,
}

/// Writes customers whose ids begin with [`ID_PREFIX`], and archives them again; before that, those of earlier probes that
/// were killed. Never call it on a production environment.
pub async fn probe(client: &Client, now: Timestamp) -> Probed {
    let mut probed = Probed::default();
    sweep(client, now, &mut probed).await;
    let id = format!("{ID_PREFIX}{:x}", now.as_millisecond());
    let ids = [id.clone(), format!("{id}-good"), format!("{id}-bad")];
    if let Err(error) = ask(client, &ids, &mut probed.answers).await {
        probed.failed = Some(error);
    }
    take_back(client, &ids, &mut probed).await;
    probed
}

/// Archives what earlier probes left that were ended half-way. What another one may still be working with is left alone.
async fn sweep(client: &Client, now: Timestamp, probed: &mut Probed) {
    // Everything that begins with the prefix, and nothing else wherever texts are ordered by their bytes.
    let end = format!("{}.", ID_PREFIX.trim_end_matches('-'));
    let mut after = None;
    let mut left = Vec::new();
    while left.len() < SWEPT_MAX {
        // A list that can't be read is told by what comes next.
        let Ok(page) = client.customers_between(ID_PREFIX, &end, after.as_deref()).await else { break };
        left.extend(page.items.into_iter().map(|one| one.customer_id).filter(|id| is_left_over(id, now)));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    left.truncate(SWEPT_MAX);
    for id in left {
        match client.archive_customer(&id).await {
            Ok(()) => probed.swept += 1,
            Err(_) => probed.left.push(format!("customer {id}")),
        }
    }
}

/// Whether an id is of a probe that began long before `now`: it says when.
fn is_left_over(id: &str, now: Timestamp) -> bool {
    let began = id.strip_prefix(ID_PREFIX).and_then(|rest| rest.split('-').next());
    began
        .and_then(|began| i64::from_str_radix(began, 16).ok())
        .is_some_and(|began| began < now.as_millisecond() - PROBE_MS_MAX)
}

async fn ask(client: &Client, ids: &[String; 3], answers: &mut Vec<Answer>) -> Result<(), SinkError> {
    let [id, good, bad] = ids;
    let customer = |id: &String, email: &str| ImportCustomer {
        customer_id: id.clone(),
        name: Some("Throw-away customer of stigg-import doctor".to_owned()),
        email: Some(email.to_owned()),
        ..ImportCustomer::default()
    };
    let told = client.import_customers_and_tell(&[customer(id, "doctor@example.com")]).await?;
    answers.push(Answer::new(Question::CustomerAnswer, told_in_words(told.as_deref(), id)));

    let batch = [customer(good, "doctor@example.com"), customer(bad, "not-an-email")];
    match client.import_customers_and_tell(&batch).await {
        Ok(_) => answers.push(Answer::new(Question::CustomerBatch, "a customer with a bad e-mail is taken")),
        Err(SinkError::Refused { code, named, .. } | SinkError::WholeImport { code, named, .. }) => {
            let names = match named.ids.contains(bad) {
                true => format!("yes, with {code}"),
                false => format!("no; {code}"),
            };
            answers.push(Answer::new(Question::CustomerError, names));
            let there = there(client, ids, id).await?;
            let says = if there.contains(good) { "they are kept" } else { "none is kept" };
            answers.push(Answer::new(Question::CustomerBatch, says));
        }
        Err(error) => return Err(error),
    }
    task(client, id, answers).await
}

/// Which of the customers can be read, once the first of them, which was written alone, can.
async fn there(client: &Client, ids: &[String; 3], first: &String) -> Result<Vec<String>, SinkError> {
    let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for _ in 0..LOOKS_MAX {
        // First the pause: what was written last may take longer than what was written first.
        tokio::time::sleep(LOOK_PAUSE).await;
        found = client.customers(Some(&asked), None).await?.items.into_iter().map(|one| one.customer_id).collect();
        if found.contains(first) {
            break;
        }
    }
    Ok(found)
}

/// Imports a subscription on a plan that is not there: nothing comes of it but a task with an error.
async fn task(client: &Client, id: &str, answers: &mut Vec<Answer>) -> Result<(), SinkError> {
    let subscription = ImportSubscription {
        subscription_id: format!("{id}-subscription"),
        customer_id: id.to_owned(),
        plan_id: format!("{ID_PREFIX}no-such-plan"),
        ..ImportSubscription::default()
    };
    let started = match client.import_subscriptions(std::slice::from_ref(&subscription)).await {
        Ok(started) => started,
        Err(SinkError::Refused { code, .. } | SinkError::WholeImport { code, .. }) => {
            let says = format!("not seen: an unknown plan is refused at once, with {code}");
            answers.push(Answer::new(Question::TaskId, says));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let Some(started) = started else {
        answers.push(Answer::new(Question::TaskId, "no id is answered"));
        return Ok(());
    };
    let mut state = client.import_task(&started).await?;
    for _ in 1..LOOKS_MAX {
        match state {
            TaskState::Running { .. } | TaskState::NotListed => {
                tokio::time::sleep(LOOK_PAUSE).await;
                state = client.import_task(&started).await?;
            }
            TaskState::Finished { .. } | TaskState::Unreadable { .. } => break,
        }
    }
    let (is_task, names) = match state {
        TaskState::Finished { status, errors } => {
            let names = match errors.first() {
                Some((named, _)) if *named == subscription.subscription_id => "the subscription",
                Some((named, _)) if named == id => "the customer",
                Some(_) => "neither the subscription nor its customer",
                None if status == TaskStatus::Completed => "nothing: it ends as if nothing was wrong",
                None => "nothing",
            };
            ("yes", Some(names))
        }
        TaskState::Running { .. } => ("yes", None),
        TaskState::NotListed => ("no: no task of that id is listed", None),
        TaskState::Unreadable { .. } => ("not seen: the key may not read tasks", None),
    };
    answers.push(Answer::new(Question::TaskId, is_task));
    answers.extend(names.map(|names| Answer::new(Question::TaskErrorId, names)));
    Ok(())
}

/// Archives what is there, and looks whether it is gone.
async fn take_back(client: &Client, ids: &[String; 3], probed: &mut Probed) {
    let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    let listed = async || client.customers(Some(&asked), None).await.map(|page| page.items);
    let made = match listed().await {
        Ok(made) => made,
        Err(error) => {
            let nothing_was_written = match &probed.failed {
                Some(SinkError::Forbidden { .. } | SinkError::Unauthorized { .. } | SinkError::NotSent { .. }) => {
                    probed.answers.is_empty()
                }
                Some(_) | None => false,
            };
            if !nothing_was_written {
                // Nobody knows which of them are there.
                probed.left.extend(ids.iter().map(|id| format!("customer {id}")));
            }
            probed.failed = probed.failed.take().or(Some(error));
            return;
        }
    };
    if made.is_empty() {
        return;
    }
    match client.subscriptions(SubscriptionSelect::OfCustomers(&asked), None).await {
        Ok(page) => {
            let ids = page.items.into_iter().map(|one| one.subscription_id);
            probed.left.extend(ids.map(|id| format!("subscription {id}")));
        }
        Err(error) => probed.failed = probed.failed.take().or(Some(error)),
    }
    let mut archived = 0;
    for customer in &made {
        match client.archive_customer(&customer.customer_id).await {
            Ok(()) => archived += 1,
            Err(error) => {
                probed.left.push(format!("customer {}", customer.customer_id));
                probed.failed = probed.failed.take().or(Some(error));
            }
        }
    }
    if archived == made.len()
        && let Ok(still) = listed().await
    {
        let says = if still.is_empty() { "no" } else { "yes" };
        probed.answers.push(Answer::new(Question::Archived, says));
    }
}

/// An answer's text, without the ids that were sent.
fn told_in_words(told: Option<&str>, id: &str) -> String {
    match told {
        None => "nothing (null)".to_owned(),
        Some(text) if text.chars().count() <= TOLD_CHARS_MAX => format!("the text {:?}", text.replace(id, "ID")),
        Some(text) => format!("a text of {} characters", text.chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_old_probe_made_is_left_over() {
        let now = Timestamp::from_millisecond(0x100_0000_0000).unwrap();
        let made = |ms: i64| format!("{ID_PREFIX}{ms:x}");
        let old = now.as_millisecond() - PROBE_MS_MAX - 1;
        assert!(is_left_over(&made(old), now) && is_left_over(&format!("{}-bad", made(old)), now));
        assert!(!is_left_over(&made(old + 1), now), "it may go on");
        assert!(!is_left_over(&made(now.as_millisecond() + 1), now), "another clock");
        assert!(!is_left_over(&format!("{ID_PREFIX}someone"), now) && !is_left_over("acme", now));
    }
}
