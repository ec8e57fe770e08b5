//! Cells of files that people open in a spreadsheet, which would run some of them.

use std::borrow::Cow;

/// Makes a cell safe to be opened in a spreadsheet: what it would run gets a `'` before it.
///
/// A spreadsheet runs a cell that begins with one of `= + - @`, their full-width forms, or a tab, CR or LF, perhaps
/// after some `'`. One that takes another delimiter for the file's own (`;` in most of Europe) begins a cell in the middle
/// of ours, behind a delimiter or a line break; what stands there gets its `'`, too. [`restore`] gives back exactly
/// what it was. Source: OWASP, "CSV Injection", 2026.
pub fn neutralise(cell: &str) -> Cow<'_, str> {
    let mut safe = String::new();
    let mut copied = 0;
    for at in beginnings(cell) {
        if runs_in_a_spreadsheet(&cell[at..], at > 0) {
            safe.push_str(&cell[copied..at]);
            safe.push('\'');
            copied = at;
        }
    }
    if safe.is_empty() {
        return Cow::Borrowed(cell);
    }
    safe.push_str(&cell[copied..]);
    Cow::Owned(safe)
}

/// The inverse of [`neutralise`]. Other cells are as they are.
pub fn restore(cell: &str) -> Cow<'_, str> {
    let mut text = String::new();
    let mut copied = 0;
    for at in beginnings(cell) {
        if let Some(rest) = cell[at..].strip_prefix('\'')
            && runs_in_a_spreadsheet(rest, at > 0)
        {
            text.push_str(&cell[copied..at]);
            copied = at + 1;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(cell);
    }
    text.push_str(&cell[copied..]);
    Cow::Owned(text)
}

/// Where a cell of some spreadsheet may begin. A comma is none: cells that have one are written in quotes.
fn beginnings(cell: &str) -> impl Iterator<Item = usize> {
    std::iter::once(0).chain(cell.match_indices([';', '\t', '|', '\n', '\r']).map(|(at, _)| at + 1))
}

/// Whether a cell that begins so is run. In the middle of ours our quotes are characters like others, and the white space is
/// a delimiter.
fn runs_in_a_spreadsheet(cell: &str, in_the_middle: bool) -> bool {
    let skipped: &[char] = if in_the_middle { &['\'', '"'] } else { &['\''] };
    let cell = cell.trim_start_matches(skipped);
    cell.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
        || (!in_the_middle && cell.starts_with(['\t', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cell_that_would_run_is_text_and_comes_back_as_it_was() {
        for cell in ["=1+1", "+1", "-1", "@a", "\ta", "＝1", "'=1", "''@x"] {
            let safe = neutralise(cell);
            assert_eq!((safe.strip_prefix('\''), &*restore(&safe)), (Some(cell), cell));
        }
        for cell in ["", "a=b", "'a", "sub_1", "'", "a;b", "a\r\nb", "a, -1", "[1,-2]"] {
            assert_eq!((&*neutralise(cell), &*restore(cell)), (cell, cell));
        }
    }

    #[test]
    fn a_cell_that_a_spreadsheet_with_another_delimiter_would_find_in_it_is_text_too() {
        assert_eq!(neutralise("a;=cmd|' /C calc'!A0"), "a;'=cmd|' /C calc'!A0");
        assert_eq!(neutralise("a\n=1\r\n@b;\"=c\""), "a\n'=1\r\n'@b;'\"=c\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_cell_comes_back_and_none_runs_whatever_the_delimiter(cell in "[=+@;|\t\r\n'\"＝a-]{0,12}") {
            let safe = neutralise(&cell);
            prop_assert_eq!(&*restore(&safe), &*cell);
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(["first", &*safe, "last"]).unwrap();
            let written = String::from_utf8(csv.into_inner().unwrap()).unwrap();
            for delimiter in [b',', b';', b'\t', b'|'] {
                let mut reader = csv::ReaderBuilder::new();
                reader.has_headers(false).flexible(true).delimiter(delimiter);
                for record in reader.from_reader(written.as_bytes()).records() {
                    for cell in &record.unwrap() {
                        prop_assert!(!cell.starts_with(['=', '+', '-', '@', '＝']), "{cell:?} in {written:?}");
                    }
                }
            }
        }
    }
}
