//! The pipeline file that a draft's step goes into.

use std::io::{Error, ErrorKind, Write as _};
use std::path::Path;

use super::super::setup;
use super::super::whole_file::WholeFile;
use crate::entity::{Entity, Schema};

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    /// It is in the file.
    Added,
    /// It is there instead of an earlier draft's.
    Replaced,
    /// One of that name was there and is as it was.
    Kept,
}

/// Puts a step into the pipeline file, which is made where it is missing. One of that name stays as it is; with `force` one that
/// an earlier draft wrote is written over, and one that a person changed stays.
///
/// Steps run in their order, and what a record refers to has to be there: the step goes before the first draft of what comes
/// later in a migration, and else to the end.
pub(super) fn put_step(pipeline: &Path, name: &str, step: &str, force: bool) -> Result<Became, Error> {
    let before = match std::fs::read_to_string(pipeline) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    if let Some(text) = with_step(&before, name, step) {
        return write(pipeline, &text).map(|()| Became::Added);
    }
    match force.then(|| with_other_source(&before, step)).flatten() {
        Some(text) => write(pipeline, &text).map(|()| Became::Replaced),
        None => Ok(Became::Kept),
    }
}

/// What a person wrote in it is never half there.
fn write(pipeline: &Path, text: &str) -> Result<(), Error> {
    let mut file = WholeFile::shared(pipeline)?;
    file.write_all(text.as_bytes())?;
    file.done()
}

/// The step instead of an earlier draft of it: the same but for its source.
fn with_other_source(before: &str, step: &str) -> Option<String> {
    let (head, _) = step.split_once("source = ")?;
    let begin = before.find(head)?;
    let rest = &before[begin + head.len()..];
    let (source, after) = rest.split_once('\n')?;
    let is_draft = source.starts_with("source = ") && (after.is_empty() || after.starts_with("\n[[step]]"));
    is_draft.then(|| format!("{}{step}{after}", &before[..begin])).filter(|text| text != before)
}

fn with_step(before: &str, name: &str, step: &str) -> Option<String> {
    let order = Entity::ALL.map(|entity| setup::step_name(Schema::Import(entity)));
    let later = order.iter().skip_while(|known| *known != name).skip(1).collect::<Vec<_>>();
    // Where the last table began, and where the step goes.
    let (mut table, mut place, mut at) = (0, None, 0);
    for line in before.split_inclusive('\n') {
        let plain = line.trim().replace(' ', "");
        if plain == "[[step]]" {
            table = at;
        }
        if let Some(known) = plain.strip_prefix("name=\"").and_then(|rest| rest.split('"').next()) {
            if known == name {
                return None;
            }
            if later.iter().any(|later| *later == known) {
                place.get_or_insert(table);
            }
        }
        at += line.len();
    }
    let (first, rest) = before.split_at(place.unwrap_or(before.len()));
    let between = |text: &str| if text.is_empty() || text.ends_with("\n\n") { "" } else { "\n" };
    Some(format!("{first}{}{step}{}{rest}", between(first), if rest.is_empty() { "" } else { "\n" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> String {
        format!("[[step]]\nname = \"{name}\"\n")
    }

    #[test]
    fn steps_stand_in_the_order_of_a_migration_whatever_was_drafted_first() {
        let with = |before: &str, name: &str| with_step(before, name, &step(name)).unwrap();
        let usage = with("", "usage");
        assert_eq!(usage, step("usage"));
        let two = with(&usage, "customers");
        assert_eq!(two, format!("{}\n{}", step("customers"), step("usage")));
        let three = with(&two, "subscriptions");
        assert_eq!(three, format!("{}\n{}\n{}", step("customers"), step("subscriptions"), step("usage")));
        let four = with(&three, "events");
        assert_eq!(four, format!("{three}\n{}", step("events")));
        assert_eq!(with_step(&four, "usage", &step("usage")), None);
    }

    #[test]
    fn an_earlier_draft_of_a_step_is_written_over_and_what_a_person_changed_is_not() {
        let draft = |name: &str, file: &str| {
            format!("[[step]]\nname = \"{name}\"\nmapping = \"{name}.toml\"\nsource = {{ csv = \"{file}\" }}\n")
        };
        let both = format!("{}\n{}", draft("customers", "a.csv"), draft("usage", "u.csv"));
        let other = draft("customers", "b.csv");
        let expected = format!("{other}\n{}", draft("usage", "u.csv"));
        assert_eq!(with_other_source(&both, &other), Some(expected));
        let mine = both.replace("a.csv\" }", "a.csv\" }\nmax_rejects = 5");
        assert_eq!(with_other_source(&mine, &other), None);
    }

    #[test]
    fn what_a_person_wrote_stays_as_it_is() {
        let before = "# ours\n[target]\nurl = \"u\"\n\n[[step]] \nname=\"subscriptions\"\nmapping = \"m.toml\"\n";
        let with = with_step(before, "customers", &step("customers")).unwrap();
        assert_eq!(
            with,
            "# ours\n[target]\nurl = \"u\"\n\n[[step]]\nname = \"customers\"\n\n[[step]] \nname=\"subscriptions\"\nmapping = \"m.toml\"\n"
        );
        let mine = "[[step]]\nname = \"people\"\n";
        assert_eq!(with_step(mine, "customers", &step("customers")).unwrap(), format!("{mine}\n{}", step("customers")));
    }
}
