//! How a diagnosis is shown.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Diagnosis;
use super::findings::{Finding, State};
use crate::cli::exit::Exit;
use crate::doctor::{Answer, NOT_PROBED};

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Note => "note",
        State::Problem(_) => "problem",
    }
}

/// For people.
pub(super) fn text(diagnosis: &Diagnosis) -> String {
    let mut text = format!("{}\n\n", diagnosis.address);
    let width = diagnosis.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    for Finding { check, state, says, remedy } in &diagnosis.findings {
        let _ = writeln!(text, "{:<7}  {check:<width$}  {says}", word(*state));
        if let Some(remedy) = remedy {
            let _ = writeln!(text, "{:<7}  {:<width$}  to do: {remedy}", "", "");
        }
    }
    if let Some(examination) = &diagnosis.examination {
        text.push_str("\nwhat the API's documents leave open:\n");
        answers(&mut text, &examination.answers);
        match &diagnosis.remembered {
            Some(remembered) => {
                let _ = writeln!(text, "as it was probed, {}:", remembered.asked_at);
                answers(&mut text, &remembered.answers);
                text.push_str("not asked:\n");
                for (what, why) in NOT_PROBED {
                    let _ = writeln!(text, "  {what}: {why}");
                }
            }
            None => text.push_str("  more is answered by --probe, in a non-production environment\n"),
        }
    }
    let problems = diagnosis.findings.iter().filter(|finding| finding.exit().is_some()).count();
    text.push('\n');
    text.push_str(match problems {
        0 => "an import can begin\n",
        1 => "a problem is in the way of an import\n",
        _ => "problems are in the way of an import\n",
    });
    text
}

fn answers(text: &mut String, answers: &[Answer]) {
    for answer in answers {
        let _ = writeln!(text, "  {} {}", answer.question.text(), answer.says);
    }
}

/// For programs.
pub(super) fn json(diagnosis: &Diagnosis, exit: Exit) -> Value {
    let findings = diagnosis.findings.iter().map(|finding| {
        json!({
            "check": finding.check,
            "state": word(finding.state),
            "says": finding.says,
            "remedy": finding.remedy,
        })
    });
    let mut object = json!({
        "ok": exit == Exit::Settled,
        "exit": exit as u8,
        "target": diagnosis.address,
        "findings": findings.collect::<Value>(),
    });
    if let Some(examination) = &diagnosis.examination {
        object["environment"] = json!({
            "id": examination.environment_id,
            "name": examination.environment.as_ref().map(|environment| &environment.name),
            "type": examination.environment.as_ref().map(|environment| &environment.kind),
        });
        object["clock_off_s"] = json!(examination.clock.map(|off| off.seconds));
        object["latency_ms"] = json!(examination.latency.map(|latency| latency.as_secs_f64() * 1000.0));
        object["answers"] = json!(examination.answers);
        object["remembered"] = json!(diagnosis.remembered);
    }
    object
}
