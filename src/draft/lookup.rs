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
    for (value, count) in found.unwrap_or_default() {
        let rows = if count == 1 { "row" } else { "rows" };
        let _ = writeln!(text, "{} = {}  # {count} {rows} of the sample", quoted(value), quoted(&id_of(value)));
    }
    text
}

/// The value, or what of it may be in an id: small letters without their accents, and `-` for all else.
pub(super) fn id_of(value: &str) -> String {
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
    if id.starts_with(|c: char| c.is_ascii_alphanumeric()) { id } else { format!("plan-{id}") }
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
