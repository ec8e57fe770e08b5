//! `man`: the manual, as a page of the program or as one for each command.

use std::path::Path;

use clap::CommandFactory as _;

use super::args::{Cli, Talk};
use super::exit::{Exit, Failure};
use super::{out, say};

/// Prints the program's page, or writes all of them.
pub(super) fn main(dir: Option<&Path>, talk: &Talk) -> Result<Exit, Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(|error| Failure::of(Exit::Bug, &error))?;
        out(&String::from_utf8_lossy(&page));
        return Ok(Exit::Settled);
    };
    std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir)).map_err(|error| {
        Failure::because(Exit::Config, format!("the manual can't be written into {}", dir.display()), &error)
            .hint("name another folder with --dir")
    })?;
    if !talk.quiet {
        say(&format!("wrote the manual into {}", dir.display()));
    }
    Ok(Exit::Settled)
}
