//! Help, manual pages and completions: each command has them, with an example, and shells take them.

use std::process::Command;

use crate::program::{Folder, assert_ran};

/// The manual pages of a folder, by their names without the ending.
fn pages(folder: &Folder) -> Vec<String> {
    folder.run("man --dir manual/man1 --quiet").exits(0);
    let mut names: Vec<String> = std::fs::read_dir(folder.path("manual/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().trim_end_matches(".1").to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_command_has_a_manual_page_and_a_long_help_with_an_example() {
    let folder = Folder::new();
    let pages = pages(&folder);
    for known in ["stigg-import", "stigg-import-run", "stigg-import-rejects-retry", "stigg-import-man"] {
        assert!(pages.iter().any(|page| page == known), "{known}: {pages:?}");
    }
    for page in &pages {
        let manual = folder.read(&format!("manual/man1/{page}.1"));
        assert!(manual.contains(".SH SYNOPSIS"), "{page}: {manual}");
        let words = page.strip_prefix("stigg-import").unwrap().trim_start_matches('-').replace('-', " ");
        let help = folder.run(&format!("{words} --help")).exits(0).stdout;
        // The program's own begins with a way through its commands.
        let example = if words.is_empty() { "Start here:" } else { "Example" };
        assert!(help.contains(example) && manual.contains(example), "{words}: {help}\n{manual}");
        assert!(help.contains(format!("Usage: stigg-import {words}").trim_end()), "{words}: {help}");
    }
}

#[test]
fn every_command_of_the_help_has_a_page() {
    let folder = Folder::new();
    let pages = pages(&folder);
    let help = folder.run("--help").exits(0).stdout;
    let commands = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let names: Vec<&str> = commands.lines().filter(is_name).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 12, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(pages.contains(&format!("stigg-import-{name}")), "{name}: {pages:?}");
    }
}

#[test]
fn a_folder_that_takes_no_pages_is_told() {
    let folder = Folder::new();
    folder.write("file", "");
    assert_ran!(folder.run("man --dir file/man1"), @r#"
    exit 5
    --- stdout

    --- stderr
    error: the manual can't be written into file/man1
      because Not a directory (os error 20)
    hint: name another folder with --dir
    "#);
    assert_ran!(folder.run("man --dir manual"), @r"
    exit 0
    --- stdout

    --- stderr
    wrote the manual into manual
    ");
}

/// Shells that are not there are left out; bash is on every machine of the tests.
#[test]
fn shells_take_the_completions() {
    let folder = Folder::new();
    let asked = [
        (
            "bash",
            "--norc",
            "source completions; COMP_WORDS=(stigg-import rejects re); COMP_CWORD=2; \
             _stigg__import stigg-import re rejects; echo \"${COMPREPLY[@]}\"",
        ),
        ("zsh", "-f", "autoload -Uz compinit; compinit -D; source completions; whence -w _stigg-import && echo retry"),
        ("fish", "--no-config", "source completions; complete -C 'stigg-import rejects re'"),
    ];
    let mut taken = Vec::new();
    for (shell, plain, line) in asked {
        folder.write("completions", folder.run(&format!("completions {shell}")).exits(0).stdout);
        let mut command = Command::new(shell);
        command.args([plain, "-c", line]).current_dir(folder.path(".")).env("HOME", folder.path("."));
        let Ok(ran) = command.output() else { continue };
        let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success() && said.contains("retry"), "{shell}: {said}\n{complained}");
        assert!(complained.is_empty(), "{shell}: {complained}");
        taken.push(shell);
    }
    assert!(taken.contains(&"bash"), "{taken:?}");
}
