//! What is thought of the key and of a probe, and what to do about it. Of what reads said: see `examined`.

use crate::cli::exit::Exit;
use crate::cli::report::counted;
use crate::doctor::{Probed, RememberedAnswers};
use crate::sink::{EnvironmentEntry, SinkError};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Fine.
    Ok,
    /// An import can begin; better know it.
    Note,
    /// In the way of an import.
    Problem(Exit),
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// In words.
    pub says: String,
    /// What to do; only what is fine needs nothing.
    pub remedy: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, state: State::Ok, says: says.into(), remedy: None }
    }

    pub fn note(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Note, says: says.into(), remedy: Some(remedy.into()) }
    }

    pub fn problem(exit: Exit, check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Problem(exit), says: says.into(), remedy: Some(remedy.into()) }
    }

    /// How the process ends because of it.
    pub fn exit(&self) -> Option<Exit> {
        match self.state {
            State::Ok | State::Note => None,
            State::Problem(exit) => Some(exit),
        }
    }
}

/// What a key is by how it begins. Source: vendor's page on API keys, 2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// `server-`: full access, or scoped.
    Server,
    /// `client-`: publishable, reads only.
    Client,
    /// Neither.
    Other,
}

impl KeyKind {
    pub fn of(key: &str) -> Self {
        if key.starts_with("server-") {
            Self::Server
        } else if key.starts_with("client-") {
            Self::Client
        } else {
            Self::Other
        }
    }
}

pub(super) const FULL_KEY: &str = "put the full access key of the environment (server-…) into STIGG_API_KEY";

pub(super) fn no_key() -> Finding {
    Finding::problem(Exit::Credentials, "key", "there is none", FULL_KEY)
}

/// The key, by its looks and by where it comes from.
pub(super) fn key(kind: KeyKind, variable: Option<&str>) -> Finding {
    let Some(variable) = variable else {
        return Finding::ok("key", "none is needed for a server on this machine");
    };
    match kind {
        KeyKind::Server => Finding::ok("key", format!("a server key, from {variable}")),
        KeyKind::Client => Finding::problem(
            Exit::Credentials,
            "key",
            format!("a publishable key, from {variable}: it can only read"),
            FULL_KEY,
        ),
        KeyKind::Other => Finding::note(
            "key",
            format!("from {variable}, and it begins neither with server- nor with client-"),
            format!("compare it with the one in Stigg; {FULL_KEY}"),
        ),
    }
}

/// The first request came to nothing.
pub(super) fn no_contact(cause: &SinkError) -> Finding {
    match cause {
        SinkError::Unauthorized { .. } | SinkError::Forbidden { .. } => {
            Finding::problem(Exit::Credentials, "contact", cause.with_causes(), FULL_KEY)
        }
        SinkError::NotTheApi { .. } => Finding::problem(
            Exit::Config,
            "contact",
            cause.with_causes(),
            "check --target: the API is at https://api.stigg.io/graphql, and a proxy or a sign-in page may stand before it",
        ),
        _ => Finding::problem(
            Exit::Config,
            "contact",
            cause.with_causes(),
            "check --target, the network and HTTPS_PROXY, then run the same command again",
        ),
    }
}

/// Whether the key may write, as far as anybody tried.
pub(super) fn writing(kind: KeyKind, probed: Option<&Probed>, remembered: Option<&RememberedAnswers>) -> Finding {
    match probed {
        Some(Probed {
            failed: Some(error @ (SinkError::Forbidden { .. } | SinkError::Unauthorized { .. })), ..
        }) => Finding::problem(Exit::Credentials, "writing", error.with_causes(), FULL_KEY),
        Some(Probed { failed: Some(error), .. }) => Finding::problem(
            Exit::Config,
            "writing",
            format!("the probe ended early: {}", error.with_causes()),
            "run the same command again; if it stays, show the message to the vendor's support",
        ),
        Some(Probed { failed: None, .. }) => Finding::ok("writing", "customers can be written and archived"),
        None if kind == KeyKind::Client => {
            Finding::problem(Exit::Credentials, "writing", "a publishable key can't write", FULL_KEY)
        }
        None => match remembered {
            Some(remembered) => {
                Finding::ok("writing", format!("it worked when it was probed, {}", remembered.asked_at))
            }
            None => Finding::note(
                "writing",
                "whether the key may write is not seen by reading",
                "stigg-import doctor --probe tries it, in a non-production environment",
            ),
        },
    }
}

/// What an earlier probe, that was ended half-way, had left.
pub(super) fn swept(probed: &Probed) -> Option<Finding> {
    (probed.swept > 0).then(|| {
        let customers = counted(probed.swept as u64, "throw-away customer");
        Finding::ok("probe", format!("{customers} of an earlier probe that was ended half-way: archived"))
    })
}

/// What a probe could not take back.
pub(super) fn left_over(probed: &Probed) -> Option<Finding> {
    (!probed.left.is_empty()).then(|| {
        Finding::note(
            "probe",
            format!("could not be taken back: {}", probed.left.join(", ")),
            "archive or cancel it in Stigg, if it is there; a probe after ten minutes archives its customers, too",
        )
    })
}

pub(super) fn named(environment: &EnvironmentEntry) -> String {
    format!("{:?} ({})", environment.name, environment.kind)
}

pub(super) fn no_probe_in_production(environment: &EnvironmentEntry) -> Finding {
    Finding::problem(
        Exit::Config,
        "probe",
        format!("{} is for production: nothing was written", named(environment)),
        "probe with the key of a non-production environment; without --probe nothing is written",
    )
}

pub(super) fn no_probe_in_the_unknown() -> Finding {
    Finding::problem(
        Exit::Config,
        "probe",
        "the key may not read whether the environment is for production: nothing was written",
        "look in Stigg, and say --probe --not-production if it is not",
    )
}
