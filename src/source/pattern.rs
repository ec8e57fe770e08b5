//! The files of a pattern, as a shell finds them.
//!
//! Patterns themselves are the `glob` crate's. Its walk is not used: it leaves out names that are no text, without a word, and an export that
//! is left out is customers lost.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use glob::{MatchOptions, Pattern, PatternError};

/// As in a shell, `*` does not match a leading dot.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A part of a pattern between two separators.
enum Part {
    /// A name.
    Plain(OsString),
    /// Names.
    Matching(Pattern),
    /// `**`: this folder and all below it.
    AnyDepth,
}

/// Why a pattern can't be followed.
pub(super) enum PatternProblem {
    /// It is none.
    Syntax(PatternError),
    /// A folder can't be read.
    Folder(PathBuf, io::Error),
}

/// All files that match, in the order of their paths' bytes. In names that are no text, what is none counts as one character.
pub(super) fn files(pattern: &str) -> Result<Vec<PathBuf>, PatternProblem> {
    Pattern::new(pattern).map_err(PatternProblem::Syntax)?;
    let parts: Vec<Part> = Path::new(pattern)
        .components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| part(component.as_os_str()))
        .collect::<Result<_, _>>()
        .map_err(PatternProblem::Syntax)?;
    let mut found = Vec::new();
    walk(Path::new(""), &parts, &mut found).map_err(|(folder, error)| PatternProblem::Folder(folder, error))?;
    found.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    found.dedup();
    Ok(found)
}

fn part(name: &OsStr) -> Result<Part, PatternError> {
    match name.to_str() {
        Some("**") => Ok(Part::AnyDepth),
        Some(text) if text.contains(['*', '?', '[']) => Pattern::new(text).map(Part::Matching),
        _ => Ok(Part::Plain(name.to_owned())),
    }
}

fn walk(at: &Path, parts: &[Part], found: &mut Vec<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
    let Some((first, rest)) = parts.split_first() else {
        if !at.is_dir() {
            found.push(at.to_owned());
        }
        return Ok(());
    };
    match first {
        Part::Plain(name) => {
            let next = at.join(name);
            // A broken link is there, too, and says so when it is opened.
            if next.symlink_metadata().is_ok() { walk(&next, rest, found) } else { Ok(()) }
        }
        Part::Matching(pattern) => {
            for name in names(at)? {
                if pattern.matches_with(&name.to_string_lossy(), OPTIONS) {
                    walk(&at.join(name), rest, found)?;
                }
            }
            Ok(())
        }
        Part::AnyDepth => {
            walk(at, rest, found)?;
            for name in names(at)? {
                let next = at.join(&name);
                let is_hidden = name.as_encoded_bytes().starts_with(b".");
                // Links could lead round in a circle.
                if !is_hidden && next.symlink_metadata().is_ok_and(|about| about.is_dir()) {
                    walk(&next, parts, found)?;
                }
            }
            Ok(())
        }
    }
}

/// The names in a folder; none in what is no folder.
fn names(folder: &Path) -> Result<Vec<OsString>, (PathBuf, io::Error)> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let names =
        || -> io::Result<_> { fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect() };
    names().map_err(|error| (folder.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &Path, pattern: &str) -> Vec<String> {
        let pattern = folder.join(pattern);
        let Ok(files) = files(pattern.to_str().unwrap()) else { panic!("{pattern:?}") };
        let name = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        files.iter().map(name).collect()
    }

    #[test]
    fn files_are_found_as_a_shell_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["b.csv", "a.csv", ".hidden.csv", "a.json", "sub/c.csv", "sub/deep/d.csv", ".dir/e.csv", "x.csv/f.csv"]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let is = |pattern: &str, expected: &[&str]| assert_eq!(found(folder.path(), pattern), expected, "{pattern}");
        is("*.csv", &["a.csv", "b.csv"]);
        is("[a]*", &["a.csv", "a.json"]);
        is("?.csv", &["a.csv", "b.csv"]);
        is(".*.csv", &[".hidden.csv"]);
        is("*/*.csv", &["sub/c.csv", "x.csv/f.csv"]);
        is("**/*.csv", &["a.csv", "b.csv", "sub/c.csv", "sub/deep/d.csv", "x.csv/f.csv"]);
        is("s*/deep/d.csv", &["sub/deep/d.csv"]);
        is("nowhere/*.csv", &[]);
        is("a.csv/*.csv", &[]);
        assert!(matches!(files("a[.csv"), Err(PatternProblem::Syntax(_))));
        assert!(matches!(files("a**"), Err(PatternProblem::Syntax(_))));
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_text_is_found_and_a_circle_of_links_ends() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(OsStr::from_bytes(b"m\xfcller.csv")), "").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("broken.csv")).unwrap();
        assert_eq!(found(folder.path(), "**/*.csv"), ["broken.csv", "m\u{fffd}ller.csv"]);
        assert_eq!(found(folder.path(), "m?ller.csv"), ["m\u{fffd}ller.csv"]);
    }
}
