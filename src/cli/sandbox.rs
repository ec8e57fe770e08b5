//! `sandbox`: the embedded API on a port.

use std::io::Write as _;
use std::time::Duration;

use tokio::net::TcpListener;

use super::args::{SandboxArgs, Talk};
use super::exit::{Exit, Failure};
use super::whole_file::WholeFile;
use super::{out, out_json, say};
use crate::sandbox::{Catalog, Sandbox, Settings, Snapshot, StripeSnapshot};

/// Runs until it is interrupted.
pub(super) async fn main(args: SandboxArgs, talk: &Talk) -> Result<Exit, Failure> {
    let mut settings = Settings {
        keys: args.key.clone(),
        rate_scale: (!args.no_limits).then_some(args.rate_scale),
        latency: Duration::from_millis(args.latency_ms),
        seed: args.seed,
        ..Settings::default()
    };
    for text in &args.fault {
        settings.faults.set(text).map_err(|error| Failure::of(Exit::Arguments, &error))?;
    }
    for text in &args.unknown {
        settings.unknowns.set(text).map_err(|error| Failure::of(Exit::Arguments, &error))?;
    }
    if let Some(path) = &args.catalog {
        let catalog: Catalog = read_json(path)?;
        settings.catalog = Some(catalog);
    }
    let sandbox = Sandbox::new(settings);
    if let Some(path) = args.data.as_ref().filter(|path| path.exists()) {
        sandbox.load(&read_json::<Snapshot>(path)?);
    }
    if let Some(path) = &args.stripe {
        sandbox.stripe().load(read_json::<StripeSnapshot>(path)?);
    }
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], args.port));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::because(Exit::Arguments, format!("the sandbox can't listen on {address}"), &error)
            .hint("choose another --port, or 0 for a free one")
    })?;
    let address = listener.local_addr().map_err(|error| Failure::of(Exit::Bug, &error))?;
    let url = format!("http://{address}/graphql");
    let stripe_url = format!("http://{address}/stripe");
    // Before anybody knows that it is there.
    let mut interrupts = super::setup::Interrupts::new();
    if talk.json() {
        out_json(&serde_json::json!({ "url": url, "stripe_url": stripe_url }))?;
    } else {
        out(&format!("{url}\n"));
    }
    if !talk.quiet {
        say(&format!(
            "the sandbox listens; try\n  stigg-import run --mapping M --csv F --target {url}\nCtrl-C ends it"
        ));
    }
    sandbox
        .clone()
        .serve(listener, async move { interrupts.next().await })
        .await
        .map_err(|error| Failure::of(Exit::Bug, &error))?;
    if let Some(path) = &args.data {
        let text = serde_json::to_vec(&sandbox.snapshot()).map_err(|error| Failure::of(Exit::Bug, &error))?;
        let put = WholeFile::shared(path).and_then(|mut file| file.write_all(&text).and_then(|()| file.done()));
        put.map_err(|error| {
            Failure::because(Exit::Config, format!("can't write {}", path.display()), &error)
                .hint("it is as it was before; make room, or name another file with --data")
        })?;
    }
    Ok(Exit::Settled)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> Result<T, Failure> {
    let text = std::fs::read(path)
        .map_err(|error| Failure::because(Exit::Config, format!("can't read {}", path.display()), &error))?;
    serde_json::from_slice(&text).map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", path.display())))
}
