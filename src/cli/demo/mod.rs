//! `demo`: the main job in a minute, without an account or a network.

mod cutover;
mod export;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::report::{self, Tense};
use super::{import, out, out_json, say, setup, verify};
use crate::ledger::LedgerPlace;
use crate::pipeline::{Finished, Verified, VerifiedStep};
use crate::sandbox::{Catalog, Sandbox, Settings};

/// The mappings that ship, and where the demo puts them.
const FILES: &[(&str, &str)] = &[
    ("mappings/stripe/customers.toml", include_str!("../../../mappings/stripe/customers.toml")),
    ("mappings/stripe/subscriptions.toml", include_str!("../../../mappings/stripe/subscriptions.toml")),
    ("mappings/stripe/usage.toml", include_str!("../../../mappings/stripe/usage.toml")),
    ("mappings/stripe/plans.csv", include_str!("../../../mappings/stripe/plans.csv")),
    ("catalog.json", include_str!("catalog.json")),
];

/// What to do about an end that no demo should have.
const REPORT: &str = "please report this bug";

/// Customers of the export, unless it is said.
const CUSTOMERS: u32 = 1000;

/// How much more generous than the real API the embedded one is, so that the demo takes seconds.
const RATE_SCALE: f64 = 1000.0;

/// Runs the demo.
pub(super) async fn main(args: args::Demo, talk: &Talk) -> Result<Exit, Failure> {
    let folder = folder(args.dir.as_deref())?;
    if args.cutover {
        return cutover::main(&args, &folder, talk).await;
    }
    let customers = args.customers.unwrap_or(CUSTOMERS);
    let tell = |text: &str| {
        if !talk.quiet && !talk.json() {
            say(text);
        }
    };
    tell(&format!(
        "writing a Stripe-style export of {} into {}",
        report::counted(u64::from(customers), "customer"),
        folder.display()
    ));
    write(&folder, customers, args.seed).map_err(|error| cant_write(&folder, &error))?;

    let scale = if args.real_limits { 1.0 } else { RATE_SCALE };
    let (url, stop, serving) = start(scale, args.seed).await?;
    tell(&format!("the embedded Stigg API listens at {url}"));
    let target = args::Target { target: Some(url.clone()), rate_scale: Some(scale), burst: None };
    let pipeline = folder.join("pipeline.toml");
    fs::write(&pipeline, pipeline_toml(&url)).map_err(|error| cant_write(&folder, &error))?;
    let input = args::Input { pipeline: Some(pipeline.clone()), ..args::Input::default() };
    tell("importing customers, subscriptions and usage\n");
    let ledger = LedgerPlace::File(folder.join(".stigg-import/ledger.db"));
    let finished = import::import(setup::work(&input, "run")?, import::How::default(), &target, &ledger, talk).await?;
    let verified = verify::verified(
        &setup::work(&input, "run")?,
        &target,
        verify::Wanted::default(),
        &setup::spill_dir(&ledger),
        talk,
    )
    .await?;
    let _ = stop.send(());
    let _ = serving.await;
    show(&finished, &verified, &pipeline, &ledger, talk)
}

fn cant_write(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::because(Exit::Config, format!("the demo can't write into {}", folder.display()), error)
        .hint("name another folder with --dir")
}

/// The folder that was asked for, or a new one for temporary files.
fn folder(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = match asked {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir().join(format!("stigg-import-demo-{}", std::process::id())),
    };
    fs::create_dir_all(&folder).map_err(|error| {
        Failure::because(Exit::Config, format!("can't make {}", folder.display()), &error)
            .hint("name another folder with --dir")
    })?;
    Ok(folder)
}

fn write(folder: &Path, customers: u32, seed: u64) -> std::io::Result<()> {
    empty(folder)?;
    put(folder, FILES)?;
    export::write(folder, customers, seed)
}

/// Takes away what an earlier demo left in the folder.
fn empty(folder: &Path) -> std::io::Result<()> {
    // The embedded API begins empty each time; a ledger of an earlier demo would know better.
    match fs::remove_dir_all(folder.join(".stigg-import")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn put(folder: &Path, files: &[(&str, &str)]) -> std::io::Result<()> {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    Ok(())
}

fn pipeline_toml(url: &str) -> String {
    let mut text = format!("# Written by `stigg-import demo`.\n[target]\nurl = \"{url}\"\n");
    for name in ["customers", "subscriptions", "usage"] {
        let _ = write!(
            text,
            "\n[[step]]\nname = \"{name}\"\nmapping = \"mappings/stripe/{name}.toml\"\nsource = {{ csv = \"{name}.csv\" }}\n"
        );
    }
    text
}

type Serving = tokio::task::JoinHandle<std::io::Result<()>>;

async fn start(rate_scale: f64, seed: u64) -> Result<(String, oneshot::Sender<()>, Serving), Failure> {
    let catalog: Catalog =
        serde_json::from_str(include_str!("catalog.json")).map_err(|error| Failure::of(Exit::Bug, &error))?;
    serve(Sandbox::new(Settings {
        catalog: Some(catalog),
        usage_needs_subscription: Some(true),
        rate_scale: Some(rate_scale),
        seed,
        ..Settings::default()
    }))
    .await
}

async fn serve(sandbox: Sandbox) -> Result<(String, oneshot::Sender<()>, Serving), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| Failure::of(Exit::Bug, &error))?;
    let address = listener.local_addr().map_err(|error| Failure::of(Exit::Bug, &error))?;
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(sandbox.serve(listener, async {
        let _ = stopped.await;
    }));
    Ok((format!("http://{address}/graphql"), stop, serving))
}

fn show(
    finished: &Finished,
    verified: &Verified,
    pipeline: &Path,
    ledger: &LedgerPlace,
    talk: &Talk,
) -> Result<Exit, Failure> {
    let exit = Exit::of(&finished.summary, finished.stopped.as_ref());
    let proved = proved(finished, verified);
    if talk.json() {
        let mut object = serde_json::to_value(&finished.summary).map_err(|error| Failure::of(Exit::Bug, &error))?;
        object["verified"] = serde_json::json!({ "ok": proved.is_ok(), "steps": verified.steps });
        out_json(&object)?;
    } else {
        let mut text = report::summary(&finished.summary, Tense::Done);
        let equal: u64 = verified.steps.iter().map(|step: &VerifiedStep| step.equal).sum();
        let _ = writeln!(
            text,
            "read back from the API: {} of {} accepted records are there, as the export has them",
            report::grouped(equal),
            report::grouped(finished.summary.total(|step| step.accepted))
        );
        if !finished.rejects.is_empty() {
            let _ = writeln!(text, "\nthe rows that did not fit, each with its place and reason:");
            for path in &finished.rejects {
                let _ = writeln!(text, "  {}", path.display());
            }
        }
        let _ = write!(
            text,
            "\nnext:\n  \
             # why they did not fit\n  \
             stigg-import rejects list --ledger {}\n  \
             # the same once more, with an API that stays\n  \
             stigg-import sandbox --port 8080 &\n  \
             stigg-import run {} --target http://127.0.0.1:8080/graphql\n",
            ledger,
            pipeline.display()
        );
        out(&text);
    }
    proved.map(|()| exit)
}

/// Whether what was read back is what was imported.
fn proved(finished: &Finished, verified: &Verified) -> Result<(), Failure> {
    // What the API refused is expected to be missing.
    let refused = finished.summary.total(|step| step.failed);
    let wrong: u64 = verified.steps.iter().map(|step| step.missing + step.different + step.unread).sum();
    if wrong == refused {
        return Ok(());
    }
    Err(Failure::new(Exit::Bug, "what was read back is not what was imported").hint(REPORT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::pipeline::{Progress, StepSummary, Summary};

    #[test]
    fn what_is_missing_beyond_what_was_refused_is_told_to_be_a_bug() {
        let progress = Progress::default();
        progress.accepted.add(9);
        progress.failed.add(1);
        let steps = vec![StepSummary::new("customers", Entity::Customer, 10, &progress, 1.0)];
        let summary = Summary { run: 1, ok: false, exit: 3, duration_s: 1.0, stopped: None, steps };
        let finished = Finished { summary, stopped: None, open_batches: 0, rejects: Vec::new() };
        let verified = |missing: u64| Verified {
            steps: vec![VerifiedStep {
                name: "customers".to_owned(),
                entity: "customer",
                expected: 10,
                sampled_from: None,
                equal: 10 - missing,
                different: 0,
                missing,
                unread: 0,
                unreadable: None,
                rejected: 0,
                gone: None,
                gone_untold: None,
                samples: Vec::new(),
            }],
            extra: Vec::new(),
            stopped: None,
        };
        assert!(proved(&finished, &verified(1)).is_ok());
        let failure = proved(&finished, &verified(2)).unwrap_err();
        insta::assert_snapshot!(format!("exit {}\n{failure}", failure.exit as u8), @"
        exit 1
        error: what was read back is not what was imported
        hint: please report this bug
        ");
    }
}
