//! Which rows are records: those that have a plan, and, where a person says so, those that go on.

use super::about;
use super::guess::Guess;
use super::sample::{ColumnSample, Sample};
use super::spelling::plain;
use super::write::{literal, quoted};

/// Words of a state in which nothing goes on begin with these.
const OVER: [&str; 19] = [
    "cancel",
    "ended",
    "expire",
    "inactiv",
    "inaktiv",
    "inactif",
    "terminat",
    "termine",
    "churn",
    "closed",
    "lapsed",
    "stopped",
    "former",
    "archiv",
    "gekund",
    "gekuend",
    "beendet",
    "abgelaufen",
    "resili",
];

/// The mapping's `where`, as lines before its fields; nothing where every row is a record.
pub(super) fn rows(sample: &Sample, guesses: &[Guess<'_>], to_do: &mut Vec<String>) -> String {
    let of = |field| guesses.iter().find(|guess| guess.field.name == field).map(|guess| guess.column);
    let mut text = String::new();
    let mut condition = None;
    if let Some(plan) = of("planId")
        && let without = sample.rows.saturating_sub(plan.cells.len() as u64)
        && without > 0
    {
        let nothings = plan.nothings.iter().map(String::as_str);
        let has_one = is_none_of(plan, std::iter::once("").chain(nothings));
        text.push_str(&format!(
            "# Rows without a plan are none: {without} of the sample.\nwhere = {}\n",
            literal(&has_one)
        ));
        condition = Some(has_one);
    }
    // What has an end is over by itself.
    let has_end = of("endDate").or(of("cancellationDate")).is_some();
    if let Some((state, over)) = sample.columns.iter().find_map(is_over).filter(|_| !has_end) {
        let words: Vec<String> = over.iter().map(|word| quoted(word)).collect();
        let what = format!("column {:?}: do rows with {} go on?", state.name, words.join(" or "));
        text.push_str(&format!("# TODO: {what} If not, this leaves them out:\n"));
        to_do.push(format!("where: {what}"));
        let goes_on = is_none_of(state, over.into_iter());
        let both = condition.map_or(goes_on.clone(), |condition| format!("{condition} and {goes_on}"));
        text.push_str(&format!("# where = {}\n", literal(&both)));
    }
    text
}

/// A column of states, and those of its words that say that it is over.
fn is_over(column: &ColumnSample) -> Option<(&ColumnSample, Vec<&str>)> {
    const WORDS_MAX: usize = 20;
    let words = column.distinct().filter(|words| about::is_state(column) && words.len() <= WORDS_MAX)?;
    let is_over = |word: &str| OVER.iter().any(|begin| plain(word).starts_with(begin));
    let over: Vec<&str> = words.into_iter().map(|(word, _)| word).filter(|word| is_over(word)).collect();
    (!over.is_empty()).then_some((column, over))
}

/// Says that a column has none of these words.
pub(super) fn is_none_of<'a>(column: &ColumnSample, words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(quoted).collect();
    match &words[..] {
        [word] => format!("row[{}] != {word}", quoted(&column.name)),
        words => format!("row[{}] not in [{}]", quoted(&column.name), words.join(", ")),
    }
}
