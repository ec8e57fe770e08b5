//! Cells of files that people open in a spreadsheet, which would run some of them.

use std::borrow::Cow;

/// Makes a cell safe to be opened in a spreadsheet: one that it would run gets a `'` before it.
///
/// Such a cell begins with one of `= + - @`, their full-width forms, or a tab, CR or LF, perhaps
/// after some `'`. [`restore`] gives back exactly what it was.
/// Source: OWASP, "CSV Injection", 2026.
pub fn neutralise(cell: &str) -> Cow<'_, str> {
    if runs_in_a_spreadsheet(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// The inverse of [`neutralise`]. Other cells are as they are.
pub fn restore(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if runs_in_a_spreadsheet(rest) => rest,
        _ => cell,
    }
}

fn runs_in_a_spreadsheet(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_would_run_is_text_and_comes_back_as_it_was() {
        for cell in ["=1+1", "+1", "-1", "@a", "\ta", "＝1", "'=1", "''@x"] {
            let safe = neutralise(cell);
            assert_eq!((safe.strip_prefix('\''), restore(&safe)), (Some(cell), cell));
        }
        for cell in ["", "a=b", "'a", "sub_1", "'"] {
            assert_eq!((&*neutralise(cell), restore(cell)), (cell, cell));
        }
    }
}
