//! `docs/mapping-reference.md` says what the code's own tables say.

use std::fmt::Write as _;

use stigg_import::entity::{Alphabet, Constant, Field, Kind, Schema};

use crate::program::repository;

const PAGE: &str = "docs/mapping-reference.md";
const UPDATE: &str = "STIGG_IMPORT_UPDATE_REFERENCE";

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Id { chars_max, alphabet } => {
            let letters = match alphabet {
                Alphabet::Customer => "letters, digits and `_|.@-`, first a letter or digit",
                Alphabet::Package => "letters, digits and `_|.-`, first a letter or digit",
                Alphabet::Original => "characters that an address can carry",
                Alphabet::Any => "any characters",
            };
            format!("id, up to {chars_max} characters: {}", letters.replace('|', "\\|"))
        }
        Kind::Text { chars_max } => format!("text, up to {chars_max} characters"),
        Kind::Email => "e-mail address".to_owned(),
        Kind::Time => "time; sent as UTC with milliseconds".to_owned(),
        Kind::Number { min, max, whole } => {
            let mut text = if *whole { "whole number" } else { "number" }.to_owned();
            if let Some(min) = min {
                let _ = write!(text, ", at least {min}");
            }
            if let Some(max) = max {
                let _ = write!(text, ", at most {max}");
            }
            text
        }
        Kind::Bool => "true or false".to_owned(),
        Kind::Enum(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Fixed(Constant::Word(word)) => format!("always `{word}`; not mapped"),
        Kind::Fixed(Constant::True) => "always true; not mapped".to_owned(),
        Kind::TextMap => "free names with texts".to_owned(),
        Kind::ScalarMap => "free names with texts, numbers or true and false".to_owned(),
        Kind::TextList => "list of texts".to_owned(),
        Kind::Object(_) => "object".to_owned(),
        Kind::List { exactly_one: true, .. } => "list; each entry has exactly one of".to_owned(),
        Kind::List { exactly_one: false, .. } => "list of entries".to_owned(),
    }
}

fn rows(prefix: &str, fields: &[Field], page: &mut String) {
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        let needed = if field.required { "yes" } else { "" };
        let _ = writeln!(page, "| `{path}` | {needed} | {} | {} |", kind(&field.kind), field.doc.replace('|', "\\|"));
        match field.kind {
            Kind::Object(fields) => rows(&format!("{path}."), fields, page),
            Kind::List { fields, .. } => rows(&format!("{path}[]."), fields, page),
            _ => {}
        }
    }
}

fn generated() -> String {
    let mut page = "# Mapping reference\n\nEvery field of every entity, from the tables by which the program checks them. How a field is \
        given its value is in\n[mapping.md](mapping.md). Below an object or a list, *needed* means: where the object or the entry is there.\n"
        .to_owned();
    for schema in Schema::ALL {
        let key: Vec<String> = schema.key_fields().iter().map(|field| format!("`{field}`")).collect();
        let _ = write!(
            page,
            "\n## {}\n\nA record is known by {}.\n\n| field | needed | what it takes | meaning |\n| --- | --- | --- | --- |\n",
            schema.name(),
            key.join(", ")
        );
        rows("", schema.fields(), &mut page);
    }
    page
}

#[test]
fn the_reference_is_what_the_code_says() {
    let path = repository(PAGE);
    let page = generated();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &page).expect("it can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "{PAGE} is not what the code says; {UPDATE}=1 cargo test --test it mapping_reference writes it"
    );
}

/// Every word that a value may have is explained in the page of mappings.
#[test]
fn every_word_of_a_value_is_explained() {
    let ran = crate::program::Folder::new().run("schema mapping").exits(0).json();
    let words = ran["$defs"]["value"]["oneOf"][1]["properties"].as_object().expect("its properties").clone();
    let page = std::fs::read_to_string(repository("docs/mapping.md")).expect("it ships");
    let missing: Vec<&String> = words
        .keys()
        .filter(|word| !page.contains(&format!("`{word}")) && !page.contains(&format!("{word} =")))
        .collect();
    assert!(words.len() > 20, "{words:?}");
    assert_eq!(missing, Vec::<&String>::new());
}
