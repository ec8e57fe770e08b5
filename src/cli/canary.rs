//! `run --canary`: a few records go first, are read back and shown, and then it is decided.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;

use serde_json::json;

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::import::{self, How};
use super::report::{counted, grouped};
use super::setup::{self, Work};
use super::{ending, out_json, say};
use crate::clock::{Clock as _, SystemClock};
use crate::pipeline::canary::{self, CanaryJob, CanaryStep, Chosen, ChosenAs, Landed};
use crate::pipeline::{Finished, RetryPolicy, SampleSize, Selection, Stop, target_name};

/// What is decided after a canary.
pub(super) enum Decided {
    /// The others go, too.
    GoOn,
    /// They don't.
    Stop(Exit),
}

/// Sends so many records of each step, reads them back, shows them, and asks.
pub(super) async fn go_first(
    args: &args::Run,
    records: u32,
    stop: &Arc<Stop>,
    talk: &Talk,
) -> Result<Decided, Failure> {
    let work = || setup::work(&args.input, "run");
    setup::is_readable_again(&work()?, "a canary of standard input is not possible")?;
    let ledger = &args.ledger.ledger;
    let steps = choose(&work()?, args, records, stop).await?;
    if steps.iter().all(|step| step.records.is_empty()) {
        if !talk.quiet {
            say("nothing is new or changed: there is nothing to send first");
        }
        return Ok(Decided::GoOn);
    }
    let selections = steps.iter().map(|step| Selection::Only(Arc::new(step.keys()))).collect();
    let how = How { selections, stop: Some(stop.clone()), ..How::default() };
    let finished = import::import(work()?, how, &args.target, ledger, talk).await?;
    if finished.stopped.is_some() {
        return Ok(Decided::Stop(ending::show(&finished, ledger, talk)?));
    }
    let connection = setup::connect(&args.target, &work()?)?;
    let landed = canary::read_back(
        &steps,
        connection.sink,
        connection.budgets,
        RetryPolicy::default(),
        stop.clone(),
        SystemClock.now(),
    )
    .await;
    say(&shown(&steps, &landed));
    decide(args, &steps, &landed, &finished, talk)
}

async fn choose(work: &Work, args: &args::Run, records: u32, stop: &Arc<Stop>) -> Result<Vec<CanaryStep>, Failure> {
    let connection = setup::connect(&args.target, work)?;
    let opened = import::open_until(stop, &work.steps).await?;
    let ledger = setup::ledger_to_read(&args.ledger.ledger).await?;
    let name = target_name(&connection.sink, &connection.budgets, RetryPolicy::default(), &connection.address)
        .await
        .map_err(|error| setup::start_failure(&error, &connection.address))?;
    let job = CanaryJob {
        steps: opened,
        ledger: ledger.as_deref().map(|ledger| (ledger, name.as_str())),
        size: SampleSize { records: records as usize, seed: fastrand::u64(..) },
        spill_dir: setup::spill_dir(&args.ledger.ledger),
        full: args.full,
        clock: &SystemClock,
        stop: stop.clone(),
    };
    canary::choose(job).await.map_err(|error| setup::ledger_failure(&error))?.map_err(|stopped| {
        Failure::new(Exit::of_stopped(&stopped), format!("the canary could not be chosen: {stopped}"))
            .hint("run the same command again; nothing was sent")
    })
}

fn decide(
    args: &args::Run,
    steps: &[CanaryStep],
    landed: &[Vec<Landed>],
    finished: &Finished,
    talk: &Talk,
) -> Result<Decided, Failure> {
    let sent: u64 = steps.iter().map(|step| step.records.len() as u64).sum();
    let rest = steps.iter().map(|step| step.to_send).sum::<u64>().saturating_sub(sent);
    let holds =
        landed.iter().flatten().zip(steps.iter().flat_map(|step| step.records.iter().map(|_| step.entity))).all(
            |(one, entity)| match one {
                Landed::Equal => true,
                // Nobody can read an event back.
                Landed::Unread(_) => entity == crate::entity::Entity::Event,
                Landed::Different(_) | Landed::Missing => false,
            },
        ) && finished.summary.total(|step| step.failed + step.open) == 0;
    let words: Vec<String> =
        canary::counts(landed).into_iter().map(|(word, count)| format!("{} {word}", grouped(count))).collect();
    say(&format!("canary: {} sent and read back: {}", counted(sent, "record"), words.join(", ")));
    if rest == 0 && holds {
        return Ok(Decided::GoOn);
    }
    let go_on = match (args.yes, holds) {
        (true, holds) => holds,
        (false, _) if rest > 0 && can_ask() => asked(rest),
        (false, _) => false,
    };
    if go_on {
        return Ok(Decided::GoOn);
    }
    let exit = if holds { Exit::Open } else { Exit::Rejects };
    if talk.json() {
        let steps: Vec<_> = steps
            .iter()
            .zip(landed)
            .map(|(step, landed)| {
                let records: Vec<_> = step
                    .records
                    .iter()
                    .zip(landed)
                    .map(|(record, landed)| json!({ "record": record, "landed": landed }))
                    .collect();
                json!({ "name": step.name, "entity": step.entity.name(), "to_send": step.to_send, "records": records })
            })
            .collect();
        out_json(&json!({ "run": finished.summary.run, "ok": false, "exit": exit as i32, "canary": steps }))?;
    }
    match rest {
        0 => {}
        1 => say("the other record was not sent"),
        more => say(&format!("the other {} records were not sent", grouped(more))),
    }
    if holds {
        say("hint: the same command with --yes, or without --canary, sends them");
    } else if finished.summary.total(|step| step.failed) == 0 {
        say("hint: mend the mapping or the rows where Stigg has something else, and begin again");
    } else {
        say(&format!(
            "hint: stigg-import rejects list --run {}{} shows what was refused; mend the mapping or the rows, and begin again",
            finished.summary.run,
            setup::ledger_option(&args.ledger.ledger)
        ));
    }
    Ok(Decided::Stop(exit))
}

fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn asked(rest: u64) -> bool {
    say(&format!("send the other {}? [y/N]", counted(rest, "record")));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

/// Most characters of a cell or value in the table.
const CELL_CHARS_MAX: usize = 36;

/// Row, request and what Stigg has, side by side.
fn shown(steps: &[CanaryStep], landed: &[Vec<Landed>]) -> String {
    let mut text = String::new();
    for (step, landed) in steps.iter().zip(landed) {
        for (record, landed) in step.records.iter().zip(landed) {
            let chosen_as = match record.chosen_as {
                ChosenAs::MostFields => "most fields",
                ChosenAs::FewestFields => "fewest fields",
                ChosenAs::AtRandom => "at random",
                ChosenAs::Needed => "a chosen record needs it",
            };
            let verdict = match landed {
                Landed::Equal => "is in Stigg as it was sent".to_owned(),
                Landed::Different(_) => "is in Stigg with other content".to_owned(),
                Landed::Missing => "is not in Stigg".to_owned(),
                Landed::Unread(why) => format!("was not read back: {why}"),
            };
            let _ = writeln!(text, "{}: {} ({}; {chosen_as}) {verdict}", step.name, record.key, record.place);
            side_by_side(&mut text, step, record, landed);
        }
    }
    text
}

fn side_by_side(text: &mut String, step: &CanaryStep, record: &Chosen, landed: &Landed) {
    let mut row: Vec<[String; 2]> =
        record.row.iter().map(|(column, cell)| [cut(column), cut(cell.as_deref().unwrap_or("NULL"))]).collect();
    if row.is_empty() {
        row.push([format!("a total of {}", counted(record.rows, "row")), String::new()]);
    } else if record.rows > 1 {
        row.push([format!("and {}", counted(record.rows - 1, "further row")), String::new()]);
    }
    let sent: Vec<[String; 3]> = canary::leaves(&record.request)
        .into_iter()
        .map(|(path, value)| {
            let there = in_stigg(step, record, &path, landed);
            [cut(&path), cut(&value), cut(&there)]
        })
        .collect();
    let lines = (0..row.len().max(sent.len())).map(|at| {
        let [column, cell] = row.get(at).cloned().unwrap_or_default();
        let [field, value, there] = sent.get(at).cloned().unwrap_or_default();
        [column, cell, field, value, there]
    });
    let head = ["row", "", "sent", "", "in Stigg"].map(str::to_owned);
    let table: Vec<[String; 5]> = std::iter::once(head).chain(lines).collect();
    let width = |at: usize| table.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for [column, cell, field, value, there] in &table {
        let line = format!(
            "  {column:<0$}  {cell:<1$}  | {field:<2$}  {value:<3$}  | {there}",
            widths[0], widths[1], widths[2], widths[3]
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// What Stigg has of a field.
fn in_stigg(step: &CanaryStep, record: &Chosen, path: &str, landed: &Landed) -> String {
    let differences = match landed {
        Landed::Missing => return "-".to_owned(),
        Landed::Unread(_) => return "?".to_owned(),
        Landed::Equal => &[][..],
        Landed::Different(differences) => differences,
    };
    // Entries of a list differ by their id, not by their position.
    let id = |list: &str, id: &str| {
        let at = path.strip_prefix(list)?.strip_prefix('.')?.split('.').next()?.parse::<usize>().ok()?;
        let entry = record.request.get(list)?.get(at)?;
        entry.pointer(id).and_then(serde_json::Value::as_str).map(|id| format!("{list}.{id}"))
    };
    let names = [
        Some(path.to_owned()),
        id("addons", "/addonId"),
        id("entitlements", "/feature/featureId"),
        id("entitlements", "/credit/customCurrencyId"),
    ];
    match differences.iter().find(|difference| names.iter().flatten().any(|name| *name == difference.field)) {
        Some(difference) => difference.found.clone().unwrap_or_else(|| "nothing".to_owned()),
        None if canary::is_read_back(step.entity, path) => "the same".to_owned(),
        None => "not read back".to_owned(),
    }
}

fn cut(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
