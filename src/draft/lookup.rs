//! A lookup table of the values that were found, for a person to say what each becomes.

use std::fmt::Write as _;

use super::sample::ColumnSample;
use super::spelling::folded;
use super::write::quoted;

/// `[lookups.NAME]` with an entry for each value. An id that fits stands for itself until somebody decides.
pub(super) fn table(name: &str, of: &str, column: &ColumnSample) -> String {
    let mut text =
        format!("# TODO: what each becomes in Stigg: the id of its {of}. Rows with another value are rejected.\n");
    let _ = writeln!(text, "[lookups.{name}]");
    let found = column.distinct();
    if found.is_none() {
        let _ = writeln!(text, "# There are more than 200 different values, and these are none of them.");
    }
    let found = found.unwrap_or_default();
    let values: Vec<&str> = found.iter().map(|(value, _)| *value).collect();
    for ((value, count), id) in found.iter().zip(ids_of(&values, of)) {
        let rows = if *count == 1 { "row" } else { "rows" };
        let _ = writeln!(text, "{} = {}  # {count} {rows} of the sample", quoted(value), quoted(&id));
    }
    text
}

/// An id for each of `values`, which are names of `of`. What can't be spelled in one, as in another alphabet, gets the number
/// that stands in it or the next that is free: `plan-2`.
pub(super) fn ids_of(values: &[&str], of: &str) -> Vec<String> {
    let mut ids: Vec<Option<String>> =
        values.iter().map(|value| Some(id_of(value)).filter(|id| !id.is_empty() && !is_lossy(value))).collect();
    // Two spellings of one name may well be one plan; what lost its letters is nobody's double.
    let is_taken = |ids: &[Option<String>], id: &str| ids.iter().flatten().any(|taken| taken == id);
    for (at, value) in values.iter().enumerate() {
        let left = id_of(value);
        let id = match left.chars().any(|c| c.is_ascii_alphabetic()) {
            true => left,
            false => format!("{of}-{left}"),
        };
        if ids[at].is_none() && !id.ends_with('-') && !is_taken(&ids, &id) {
            ids[at] = Some(id);
        }
    }
    let mut next = 1..;
    for at in 0..ids.len() {
        if ids[at].is_none() {
            ids[at] = next.by_ref().map(|number| format!("{of}-{number}")).find(|id| !is_taken(&ids, id));
        }
    }
    ids.into_iter().flatten().collect()
}

/// Whether letters or digits of the value are in no id.
fn is_lossy(value: &str) -> bool {
    value.chars().any(|c| c.is_alphanumeric() && folded(c).is_empty())
}

/// The value, or what of it may be in an id: small letters without their accents, and `-` for all else. Empty where nothing is
/// left.
fn id_of(value: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '|' | '.' | '-');
    if value.chars().all(allowed) && value.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return value.to_owned();
    }
    let mut spelled = String::with_capacity(value.len());
    for c in value.chars() {
        match folded(c) {
            letters if !letters.is_empty() => spelled.push_str(&letters),
            _ if allowed(c) => spelled.push(c),
            _ => spelled.push('-'),
        }
    }
    let parts: Vec<&str> = spelled.split('-').filter(|part| !part.is_empty()).collect();
    let id = parts.join("-");
    id.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_keeps_its_letters_in_its_id_without_their_accents() {
        for (value, id) in [
            ("Básica", "basica"),
            ("Größe XL", "grosse-xl"),
            ("Éco / Año 2", "eco-ano-2"),
            ("Off-peak_2.0", "Off-peak_2.0"),
            ("Gold 24/7", "gold-24-7"),
        ] {
            assert_eq!(id_of(value), id, "{value}");
        }
    }

    #[test]
    fn names_in_another_alphabet_get_ids_of_their_own() {
        assert_eq!(ids_of(&["Базовый", "Профи", "Бизнес"], "plan"), ["plan-1", "plan-2", "plan-3"]);
        assert_eq!(ids_of(&["Βασικό", "基础版", "基礎版", "🚀"], "plan"), ["plan-1", "plan-2", "plan-3", "plan-4"]);
        // A number or a word that stands in one is kept, wherever it comes.
        assert_eq!(ids_of(&["Профи", "Тариф 1", "Тариф 3"], "plan"), ["plan-2", "plan-1", "plan-3"]);
        assert_eq!(ids_of(&["Тариф Pro", "Пакет Pro", "Pro"], "plan"), ["pro", "plan-1", "Pro"]);
        assert_eq!(ids_of(&["专业版 Pro", "plan-1", "звонки"], "feature"), ["pro", "plan-1", "feature-1"]);
        // Two spellings of one name stay one.
        assert_eq!(ids_of(&["Pro Plan", "pro plan", "_x"], "plan"), ["pro-plan", "pro-plan", "x"]);
    }

    #[test]
    fn values_stand_with_their_numbers_and_the_most_frequent_first() {
        let cells = ["Pro Plan", "free", "Pro Plan", "\"odd\""].map(str::to_owned).to_vec();
        let text = table("plans", "plan", &ColumnSample { name: "plan".into(), cells, ..ColumnSample::default() });
        assert_eq!(
            text.lines().skip(1).collect::<Vec<_>>(),
            [
                "[lookups.plans]",
                "\"Pro Plan\" = \"pro-plan\"  # 2 rows of the sample",
                r#""\"odd\"" = "odd"  # 1 row of the sample"#,
                "\"free\" = \"free\"  # 1 row of the sample",
            ]
        );
    }
}
