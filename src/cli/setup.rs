//! From words on the command line to the parts that a run is made of.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;

use super::args;
use super::exit::{Exit, Failure};
pub(super) use super::ledgers::{
    finish, ledger_failure, ledger_option, ledger_to_read, ledger_to_write, share_to_write, spill_dir, watch_lock,
    whole_ledger_to_read,
};
use super::say;
use super::source_args::array_hint;
use crate::clock::SystemClock;
use crate::config::{self, ConfigError, NotifyWritten};
use crate::entity::{Entity, Schema};
use crate::mapping::LoadError;
use crate::pipeline::{
    MaxRejects, NoBound, OpenStep, OpenStepError, SourceSpec, StartError, StepSpec, Stop, Stopped, open_steps,
};
use crate::sink::stigg::StiggSink;
use crate::sink::transport::{HttpSettings, HttpTransport};
use crate::sink::{BudgetSettings, Budgets, Disposition, Endpoint, Operation, Rate, Sink, SinkError};
use crate::source;

/// Environment variables that may hold the key, in this order.
pub(super) const KEY_VARIABLES: [&str; 2] = ["STIGG_API_KEY", "STIGG_SERVER_API_KEY"];

/// What is to be imported.
#[derive(Default)]
pub(super) struct Work {
    pub steps: Vec<StepSpec>,
    pub target: Option<String>,
    pub limits: Vec<(Operation, u32)>,
    pub max_rejects: Option<MaxRejects>,
    /// Whom to tell how scheduled runs go.
    pub notify: Option<NotifyWritten>,
    /// Names the work in the ledger.
    pub identity: String,
    /// The arguments, so that rejects can be run again.
    pub arguments: serde_json::Value,
}

impl Work {
    /// Takes a `--max-rejects` in place of the pipeline file's.
    pub(super) fn bound_rejects(&mut self, max_rejects: Option<&str>) -> Result<(), Failure> {
        if let Some(text) = max_rejects {
            let bound: MaxRejects = text.parse().map_err(|error: NoBound| Failure::of(Exit::Arguments, &error))?;
            self.max_rejects = Some(bound);
        }
        Ok(())
    }
}

/// Reads the pipeline file, or makes a pipeline of one step, all of whose records an import takes; `command` is for
/// hints.
pub(super) fn work(input: &args::Input, command: &str) -> Result<Work, Failure> {
    let work = any_work(input, command)?;
    // Before the key is looked for: whoever lacks one shall not get it for nothing.
    for step in &work.steps {
        step.entity().map_err(|error| open_failure(&error))?;
    }
    Ok(work)
}

/// The same, of which some steps may be of paid subscriptions.
pub(super) fn any_work(input: &args::Input, command: &str) -> Result<Work, Failure> {
    let mapped = input.mapped.step(command)?;
    if let Some(path) = &input.pipeline {
        let file = config::load(path).map_err(|error| config_failure(&error))?;
        return Ok(Work {
            steps: file.steps,
            target: file.target,
            limits: file.limits,
            max_rejects: file.max_rejects,
            notify: file.notify,
            identity: path.display().to_string(),
            arguments: serde_json::json!({ "pipeline": absolute(path) }),
        });
    }
    let Some((step, arguments)) = mapped else {
        return Err(Failure::new(Exit::Arguments, "neither a pipeline file nor a mapping is given")
            .hint(format!("stigg-import {command} pipeline.toml, or stigg-import {command} --mapping M --csv F")));
    };
    Ok(Work { arguments, identity: step.mapping.name().to_owned(), steps: vec![step], ..Work::default() })
}

/// Refuses a source that can be read only once.
pub(super) fn is_readable_again(work: &Work, otherwise: &str) -> Result<(), Failure> {
    let once = |input: &source::Input| matches!(input, source::Input::Stdin);
    let from_stdin = work.steps.iter().any(|step| match &step.source {
        SourceSpec::Csv { inputs, .. } => inputs.iter().any(once),
        SourceSpec::Json { inputs, .. } => inputs.iter().any(once),
        SourceSpec::Sql { .. } | SourceSpec::Stripe(_) => false,
    });
    if from_stdin {
        return Err(Failure::new(Exit::Arguments, format!("{otherwise}: it can be read only once"))
            .hint("put the data into a file, and name that"));
    }
    Ok(())
}

/// The name of a step that was not given one.
pub(super) fn step_name(schema: Schema) -> String {
    match schema {
        Schema::Import(Entity::Customer) => "customers",
        Schema::Import(Entity::Subscription) => "subscriptions",
        Schema::Import(Entity::Usage) => "usage",
        Schema::Import(Entity::Event) => "events",
        Schema::PaidSubscription => "paid-subscriptions",
    }
    .to_owned()
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Opens the sources and compiles the mappings.
pub(super) async fn open(steps: &[StepSpec]) -> Result<Vec<OpenStep>, Failure> {
    open_steps(steps, &SystemClock).await.map_err(|error| open_failure(&error))
}

pub(super) fn open_failure(error: &OpenStepError) -> Failure {
    match error {
        OpenStepError::NoImport { .. } => Failure::of(Exit::Config, error).hint(
            "stigg-import cutover --plan with the same mapping and source says what would be done; nothing was read or sent",
        ),
        OpenStepError::OnlyImport { .. } => Failure::of(Exit::Config, error).hint(
            "`run` imports it; `cutover` takes a mapping whose entity is paid_subscription; nothing was read or sent",
        ),
        OpenStepError::Source { source, .. } => {
            if source.is_credentials() {
                let hint = "check the key in STRIPE_API_KEY and its right to read the list; nothing was sent";
                return Failure::of(Exit::Credentials, error).hint(hint);
            }
            let exit = if source.before_reading() { Exit::Config } else { Exit::Source };
            Failure::of(exit, error).hint(match array_hint(source) {
                Some(hint) => format!("{hint}; nothing was sent"),
                None => "nothing was sent; mend the source and run the same command again".to_owned(),
            })
        }
        OpenStepError::Mapping { step, problems } => {
            Failure::of_problems(&format!("the mapping of step `{step}` does not fit its source"), problems)
        }
    }
}

/// A target: how it is reached, and how fast.
pub(super) struct Connection {
    pub sink: Arc<dyn Sink>,
    pub budgets: Arc<Budgets>,
    /// What the budgets are made of, for who shares them with others.
    pub rates: BudgetSettings,
    /// Names it in the ledger, with the environment.
    pub address: String,
}

/// Checks the address and the key; sends nothing.
pub(super) fn connect(args: &args::Target, work: &Work) -> Result<Connection, Failure> {
    let (sink, budgets, address) = stigg(args, work)?;
    Ok(Connection { sink, budgets, rates: rates(args, work), address })
}

/// As [`connect`], for what does more than import.
pub(super) fn stigg(args: &args::Target, work: &Work) -> Result<(Arc<StiggSink>, Arc<Budgets>, String), Failure> {
    let endpoint = endpoint(args, work)?;
    let key = key(&endpoint)?;
    let address = endpoint.to_string();
    let transport = HttpTransport::new(HttpSettings::new(endpoint, key))
        .map_err(|error| Failure::of(Exit::Config, &error).hint("nothing was sent"))?;
    Ok((Arc::new(StiggSink::new(Arc::new(transport))), Arc::new(budgets(args, work)), address))
}

/// The target's address.
pub(super) fn endpoint(args: &args::Target, work: &Work) -> Result<Endpoint, Failure> {
    let address = args.target.as_deref().or(work.target.as_deref()).unwrap_or(Endpoint::STIGG);
    Endpoint::parse(address).map_err(|error| {
        Failure::new(Exit::Config, format!("the target {error}"))
            .hint("give --target an address like https://api.stigg.io/graphql; nothing was sent")
    })
}

/// The target's address, as the ledger names it.
pub(super) fn address(args: &args::Target, work: &Work) -> Result<String, Failure> {
    Ok(endpoint(args, work)?.to_string())
}

/// The rate budgets: published, replaced by `[limits]`, scaled.
pub(super) fn budgets(args: &args::Target, work: &Work) -> Budgets {
    Budgets::new(&rates(args, work))
}

fn rates(args: &args::Target, work: &Work) -> BudgetSettings {
    let mut settings = BudgetSettings::default();
    for (operation, per_minute) in &work.limits {
        if let Some(per_minute) = NonZeroU32::new(*per_minute) {
            settings = settings.rate(*operation, Rate::PerMinute(per_minute));
        }
    }
    if let Some(scale) = args.rate_scale {
        settings = settings.scale(scale);
    }
    if let Some(burst) = args.burst.and_then(NonZeroU32::new) {
        settings = settings.burst(burst);
    }
    settings
}

/// The variable that holds the key, and the key.
pub(super) fn key_found() -> Option<(&'static str, String)> {
    let value = |name: &str| std::env::var(name).ok().filter(|key| !key.trim().is_empty());
    KEY_VARIABLES.into_iter().find_map(|name| value(name).map(|key| (name, key)))
}

/// The key for a target.
pub(super) fn key(endpoint: &Endpoint) -> Result<SecretString, Failure> {
    match key_found() {
        Some((_, key)) => Ok(SecretString::from(key.trim().to_owned())),
        // The sandbox takes any key; nobody should have to invent one to try things out.
        None if endpoint.is_loopback() => Ok(SecretString::from("server-sandbox".to_owned())),
        None => Err(Failure::new(Exit::Credentials, "there is no key for the target")
            .hint("put the environment's full access key into STIGG_API_KEY; nothing was sent")),
    }
}

/// A run that somebody ended before it had begun.
pub(super) fn interrupted_before_reading() -> Failure {
    Failure::new(Exit::Open, "interrupted before a row was read; nothing was sent").hint("run the same command again")
}

pub(super) fn start_failure(error: &StartError, address: &str) -> Failure {
    match error {
        StartError::Interrupted => interrupted_before_reading(),
        StartError::Ledger(error) => ledger_failure(error),
        StartError::Target(cause) => target_failure(cause, address),
    }
}

/// A target that can't be used. Nothing was sent.
pub(super) fn target_failure(cause: &SinkError, address: &str) -> Failure {
    if matches!(cause.disposition(), Disposition::Stop(crate::sink::Stop::Credentials)) {
        return Failure::new(Exit::Credentials, format!("{address}: {cause}"))
            .hint("put the full access key of the target environment into STIGG_API_KEY; nothing was sent");
    }
    let failure = Failure::because(Exit::Config, format!("can't use the target {address}"), cause);
    failure.hint(match cause {
        SinkError::NotTheApi { .. } => {
            "check --target: the API is at https://api.stigg.io/graphql, and a proxy or a sign-in page may stand before it; \
             nothing was sent"
        }
        _ => "check --target and the network, then run the same command again; nothing was sent",
    })
}

pub(super) fn config_failure(error: &ConfigError) -> Failure {
    match error {
        ConfigError::Io { .. } => Failure::of(Exit::Config, error),
        ConfigError::Problems(problems) => Failure::of_problems("the pipeline doesn't hold", problems),
    }
}

pub(super) fn mapping_failure(error: &LoadError) -> Failure {
    match error {
        LoadError::Io { .. } => Failure::of(Exit::Config, error),
        LoadError::Problems(problems) => Failure::of_problems("the mapping doesn't hold", problems),
    }
}

/// Ctrl-C and SIGTERM. From the moment at which it is made none ends the process, and none is missed.
pub(super) struct Interrupts {
    #[cfg(unix)]
    signals: [Option<tokio::signal::unix::Signal>; 2],
}

impl Interrupts {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(unix)]
            signals: {
                use tokio::signal::unix::{SignalKind, signal};
                [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok())
            },
        }
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        {
            async fn came(signal: &mut Option<tokio::signal::unix::Signal>) {
                match signal {
                    Some(signal) => drop(signal.recv().await),
                    None => std::future::pending().await,
                }
            }
            let [interrupt, terminate] = &mut self.signals;
            tokio::select! {
                () = came(interrupt) => {}
                () = came(terminate) => {}
            }
        }
        #[cfg(not(unix))]
        drop(tokio::signal::ctrl_c().await);
    }
}

/// Raises the flag at the first interrupt; the second ends the process at once.
pub(super) fn watch_signals(stop: Arc<Stop>, quiet: bool) {
    let mut interrupts = Interrupts::new();
    tokio::spawn(async move {
        interrupts.next().await;
        // Said first: where nothing is in flight the process may end before another word.
        if !quiet {
            say("interrupted: settling what is in flight; once more to stop at once");
        }
        stop.raise(Stopped::Interrupted);
        interrupts.next().await;
        // What was in flight stays open in the ledger, as after a kill.
        std::process::exit(Exit::Open as i32);
    });
}
