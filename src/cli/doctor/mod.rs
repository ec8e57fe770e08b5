//! `doctor`: what the target is like, before anything is written to it.

mod examined;
mod findings;
mod report;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use secrecy::ExposeSecret as _;

use self::findings::{Finding, KeyKind};
use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::setup::{self, Work};
use super::{out, out_json};
use crate::clock::{Clock as _, SystemClock};
use crate::doctor::{Asking, Examination, FILE, Remembered, RememberedAnswers, RememberedError, examine, probe};
use crate::pipeline::StartError;
use crate::sink::transport::{HttpSettings, HttpTransport};
use crate::sink::{EnvironmentEntry, Watched};

pub(super) const LONG_ABOUT: &str = "\
Looks at the target before the first write: the key and its rights, the environment, the catalog, this machine's \
clock, and how fast the API answers; and answers what the API's documents leave open, as far as reads can. Each \
finding that is not fine says what to do.

With --probe it also makes throw-away customers (their ids begin with stigg-import-doctor-), looks what the API does \
with them, archives them again (and those of an earlier probe that was ended half-way), and remembers the answers for this target beside the ledger. It refuses to in a \
production environment.

Ends with 0 if an import can begin, with 5 if something is in its way, and with 7 if the key is missing, refused, or has too \
few rights.";

pub(super) const EXAMPLES: &str = "Examples:
  stigg-import doctor
  stigg-import doctor pipeline.toml --json
  stigg-import doctor --target http://127.0.0.1:8080/graphql --probe";

/// `doctor`
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// A pipeline file, for its target, its limits and what its steps need
    #[arg(value_name = "PIPELINE.toml")]
    pub pipeline: Option<PathBuf>,
    /// Target and rate.
    #[command(flatten)]
    pub target: args::Target,
    /// Ledger, beside which answers are remembered.
    #[command(flatten)]
    pub ledger: args::LedgerAt,
    /// Write throw-away customers, look what the API does with them, and archive them again
    #[arg(long)]
    pub probe: bool,
    /// Your word that it is no production environment, where the key may not read what it is
    #[arg(long, requires = "probe")]
    pub not_production: bool,
}

/// What was found, as it is shown.
struct Diagnosis {
    address: String,
    examination: Option<Examination>,
    findings: Vec<Finding>,
    remembered: Option<RememberedAnswers>,
}

impl Diagnosis {
    fn exit(&self) -> Exit {
        let worst = |wanted: Exit| self.findings.iter().any(|finding| finding.exit() == Some(wanted));
        [Exit::Credentials, Exit::Config].into_iter().find(|exit| worst(*exit)).unwrap_or(Exit::Settled)
    }
}

/// Examines, probes where that is asked for, and reports.
pub(super) async fn main(args: Doctor, talk: &Talk) -> Result<Exit, Failure> {
    let work = match &args.pipeline {
        Some(path) => {
            setup::any_work(&args::Input { pipeline: Some(path.clone()), ..args::Input::default() }, "doctor")?
        }
        None => Work::default(),
    };
    let diagnosis = diagnosed(&args, &work).await?;
    let exit = diagnosis.exit();
    if talk.json() {
        out_json(&report::json(&diagnosis, exit))?;
    } else {
        out(&report::text(&diagnosis));
    }
    Ok(exit)
}

async fn diagnosed(args: &Doctor, work: &Work) -> Result<Diagnosis, Failure> {
    let endpoint = setup::endpoint(&args.target, work)?;
    let address = endpoint.to_string();
    let mut diagnosis =
        Diagnosis { address: address.clone(), examination: None, findings: Vec::new(), remembered: None };
    let key = match setup::key(&endpoint) {
        Ok(key) => key,
        Err(_) => {
            diagnosis.findings.push(findings::no_key());
            return Ok(diagnosis);
        }
    };
    let kind = KeyKind::of(key.expose_secret());
    diagnosis.findings.push(findings::key(kind, setup::key_found().map(|(name, _)| name)));
    let transport = HttpTransport::new(HttpSettings::new(endpoint, key))
        .map_err(|error| Failure::of(Exit::Config, &error).hint("nothing was sent"))?;
    let clock = Arc::new(SystemClock);
    let budgets = Arc::new(setup::budgets(&args.target, work));
    let watched = Arc::new(Watched::new(Arc::new(transport), clock));
    let asking = Asking { watched, budgets: budgets.clone(), address };
    let examination = match examine(&asking).await {
        Ok(examination) => examination,
        Err(StartError::Target(cause)) => {
            diagnosis.findings.push(findings::no_contact(&cause));
            return Ok(diagnosis);
        }
        Err(error) => return Err(setup::start_failure(&error, &diagnosis.address)),
    };
    let file = setup::spill_dir(&args.ledger.ledger).join(FILE);
    let mut remembered = Remembered::read(&file).map_err(|error| file_failure(&error))?;
    let mut probed = None;
    if args.probe {
        match may_probe(examination.environment.as_ref(), args.not_production) {
            Ok(()) => {
                let now = SystemClock.now();
                let came = probe(&asking.client(), now).await;
                if !came.answers.is_empty() {
                    let answers = RememberedAnswers {
                        asked_at: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                        answers: came.answers.clone(),
                    };
                    remembered.put(&examination.target, answers);
                    remembered.write(&file).map_err(|error| file_failure(&error))?;
                }
                probed = Some(came);
            }
            Err(finding) => diagnosis.findings.push(finding),
        }
    }
    let entities = work.steps.iter().map(|step| step.mapping.schema()).collect::<Vec<_>>();
    diagnosis.findings.extend(examined::of(&examination, &entities, &budgets));
    diagnosis.findings.push(findings::writing(kind, probed.as_ref(), remembered.of(&examination.target)));
    diagnosis.findings.extend(probed.as_ref().and_then(findings::swept));
    diagnosis.findings.extend(probed.as_ref().and_then(findings::left_over));
    diagnosis.remembered = remembered.of(&examination.target).cloned();
    diagnosis.examination = Some(examination);
    Ok(diagnosis)
}

/// Refuses to write into an environment that is one for production, or may be.
fn may_probe(environment: Option<&EnvironmentEntry>, word_given: bool) -> Result<(), Finding> {
    match environment {
        Some(environment) if environment.kind == "PRODUCTION" => Err(findings::no_probe_in_production(environment)),
        Some(_) => Ok(()),
        None if word_given => Ok(()),
        None => Err(findings::no_probe_in_the_unknown()),
    }
}

fn file_failure(error: &RememberedError) -> Failure {
    Failure::of(Exit::Config, error).hint("remove the file, or name another ledger with --ledger")
}
