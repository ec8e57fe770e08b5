//! What is wrong with a file that a person wrote, with its place.
//!
//! Mapping and pipeline files report all their problems at once, each as a [`Problem`].

use std::fmt;
use std::ops::Range;

/// One problem of a file: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The source line.
    pub excerpt: String,
    /// How many characters of the line are meant, at least 1.
    pub width: usize,
    /// What is wrong, one lower-case clause.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at the byte `span` of `text`, which is the content of `file`.
    pub fn at(file: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = floor_char(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor_char(text, span.end).clamp(start, line_end);
        Self {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            excerpt: text[line_start..line_end].trim_end_matches('\r').to_owned(),
            width: text[start..end].chars().count().max(1),
            message: message.into(),
            hint: None,
        }
    }

    /// Shows nothing of the line from the place on: a secret stands there.
    #[must_use]
    pub fn concealed(mut self) -> Self {
        self.excerpt = self.excerpt.chars().take(self.column - 1).chain("***".chars()).collect();
        self.width = 3;
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Most characters of a line that are shown.
const LINE_CHARS_MAX: usize = 240;

impl Problem {
    /// The line, or of a long one what is about its place, and how many characters are before that.
    fn shown(&self) -> (String, usize) {
        let (chars, at) = (self.excerpt.chars().count(), self.column - 1);
        if chars <= LINE_CHARS_MAX {
            return (self.excerpt.clone(), at);
        }
        let start = at.saturating_sub(LINE_CHARS_MAX / 2);
        let cut = |is_cut: bool| if is_cut { "…" } else { "" };
        let part: String = self.excerpt.chars().skip(start).take(LINE_CHARS_MAX).collect();
        let shown = format!("{}{part}{}", cut(start > 0), cut(start + LINE_CHARS_MAX < chars));
        (shown, at - start + usize::from(start > 0))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        let gutter = self.line.to_string();
        let (shown, before) = self.shown();
        writeln!(f, "  {gutter} | {shown}")?;
        let pad: String = shown.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let width = self.width.clamp(1, LINE_CHARS_MAX);
        write!(f, "  {:1$} | {pad}{2}", "", gutter.len(), "^".repeat(width))?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// All problems of a file, in the order of their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The name among `known` that is nearest to `name`, if any is near enough to be meant.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(name);
    known
        .into_iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> Vec<char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Levenshtein distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_only_what_is_about_the_place_is_shown() {
        let text = format!("{}oops{}", "a".repeat(1_000), "b".repeat(100_000));
        let shown = Problem::at("m.toml", &text, 1_000..1_004, "no").to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1], format!("  1 | …{}oops{}…", "a".repeat(120), "b".repeat(116)));
        assert_eq!(lines[2], format!("    | {}^^^^", " ".repeat(121)));
        let wide = Problem::at("m.toml", &text, 0..text.len(), "no").to_string();
        assert!(wide.len() < 600, "{wide}");
    }

    #[test]
    fn a_problem_points_at_the_text() {
        let text = "entity = \"customer\"\nplanId = \"Custmer ID\"\n";
        let at = text.find("\"Custmer").expect("it is there");
        let problem =
            Problem::at("m.toml", text, at..at + 12, "no column `Custmer ID`").hint("did you mean `Customer ID`?");
        assert_eq!(
            problem.to_string(),
            "m.toml:2:10: no column `Custmer ID`\n  2 | planId = \"Custmer ID\"\n    |          ^^^^^^^^^^^^\n  hint: did you mean `Customer ID`?"
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        let text = "a = 1\nb = { url = \"s3cret\", c = \"s3cret too\" }\n";
        let at = text.find("\"s3cret").expect("it is there");
        let problem = Problem::at("m.toml", text, at..at + 8, "no secrets here").concealed();
        assert_eq!(problem.to_string(), "m.toml:2:13: no secrets here\n  2 | b = { url = ***\n    |             ^^^");
    }

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        assert_eq!(did_you_mean("customer_id", ["Customer ID", "Plan"]), Some("Customer ID"));
        assert_eq!(did_you_mean("colour", ["Customer ID", "Plan"]), None);
    }
}
