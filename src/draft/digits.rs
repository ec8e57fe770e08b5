//! How a column writes numbers: points, commas and blanks in them, and a currency's sign around them.

use std::collections::BTreeSet;

use super::sample::ColumnSample;

/// How numbers are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digits {
    /// What stands before the fraction.
    pub(super) decimal: char,
    /// What groups the digits of the whole part.
    pub(super) thousands: Option<char>,
    /// What has to be taken away before it is a number: `€`, `USD`, a blank.
    pub(super) around: BTreeSet<String>,
}

/// Decimal and thousands, the likeliest first. Where a blank or an apostrophe groups, it is taken away beforehand.
const FORMS: [(char, Option<char>); 4] = [('.', None), (',', None), ('.', Some(',')), (',', Some('.'))];

/// Signs of currencies. Their codes have three letters.
const SIGNS: [&str; 14] = ["€", "US$", "A$", "C$", "$", "£", "¥", "₹", "₽", "zł", "kr.", "kr", "Fr.", "R$"];

impl Digits {
    /// Whether it is how a number is written without being told.
    pub(super) fn is_plain(&self) -> bool {
        self.decimal == '.' && self.thousands.is_none() && self.around.is_empty()
    }

    /// Whether a cell has a currency's sign.
    pub(super) fn has_sign(&self) -> bool {
        self.around.iter().any(|part| !is_blank(part))
    }
}

/// How the numbers of a column are written; none where it holds none.
pub(super) fn of(column: &ColumnSample) -> Option<Digits> {
    let mut around = BTreeSet::new();
    let bare: Vec<String> = column.cells.iter().map(|cell| bared(cell.trim(), &mut around)).collect();
    let bare = ColumnSample { name: String::new(), cells: bare, nothings: BTreeSet::new() };
    let fitting = FORMS.into_iter().filter(|(decimal, thousands)| bare.mostly(|cell| fits(cell, *decimal, *thousands)));
    // A group of three behind one mark is a group if it is so in every cell: `1,200` and `2,400`.
    let is_grouped = |mark: char| {
        let marked: Vec<&String> = bare.cells.iter().filter(|cell| cell.contains(mark)).collect();
        !marked.is_empty() && marked.iter().all(|cell| cell.rsplit(mark).next().is_some_and(|last| last.len() == 3))
    };
    let all: Vec<_> = fitting.collect();
    let of_all = |wanted: (char, Option<char>)| all.iter().copied().find(|form| *form == wanted);
    let grouped = is_grouped(',').then(|| of_all(('.', Some(',')))).flatten();
    let (decimal, thousands) = grouped.or_else(|| all.first().copied())?;
    Some(Digits { decimal, thousands, around })
}

/// A number whose point may be a mark of thousands, where each one of the column may: `88.100`.
pub(super) fn two_ways(column: &ColumnSample) -> Option<&str> {
    let with_point = |cell: &&String| cell.contains('.');
    let groups = |cell: &str| {
        cell.split_once('.')
            .is_some_and(|(whole, rest)| whole.trim_start_matches('0').len() <= 3 && whole != "0" && rest.len() == 3)
    };
    let mut pointed = column.cells.iter().filter(with_point);
    let is_read_so = of(column).is_some_and(|digits| digits.decimal == '.');
    (is_read_so && pointed.clone().all(|cell| groups(cell.trim())))
        .then(|| pointed.next())
        .flatten()
        .map(|cell| cell.trim())
}

/// The cell without a currency and blanks, which are kept in `around`.
fn bared(cell: &str, around: &mut BTreeSet<String>) -> String {
    let mut rest = cell.to_owned();
    let mut cut = |part: &str, rest: &mut String| {
        *rest = rest.replace(part, "");
        around.insert(part.to_owned());
    };
    let letters: String = cell.chars().filter(|c| c.is_alphabetic()).collect();
    if cell.chars().any(|c| c.is_ascii_digit()) {
        let is_code = letters.len() == 3 && letters.bytes().all(|byte| byte.is_ascii_uppercase());
        let sign = is_code.then_some(letters.as_str()).filter(|code| cell.contains(code));
        if let Some(sign) =
            sign.or_else(|| SIGNS.into_iter().find(|sign| cell.starts_with(sign) || cell.ends_with(sign)))
        {
            cut(sign, &mut rest);
        }
        for blank in [" ", "\u{a0}", "\u{202f}", "'", "’"] {
            if rest.contains(blank) {
                cut(blank, &mut rest);
            }
        }
    }
    rest
}

fn is_blank(part: &str) -> bool {
    [" ", "\u{a0}", "\u{202f}", "'", "’"].contains(&part)
}

fn fits(cell: &str, decimal: char, thousands: Option<char>) -> bool {
    let cell = cell.strip_prefix('-').unwrap_or(cell);
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = cell.split_once(decimal).unwrap_or((cell, "0"));
    let is_whole = match thousands {
        Some(mark) if whole.contains(mark) => {
            let mut groups = whole.split(mark);
            let first = groups.next().unwrap_or_default();
            (1..=3).contains(&first.len())
                && is_digits(first)
                && groups.all(|group| group.len() == 3 && is_digits(group))
        }
        Some(_) | None => is_digits(whole),
    };
    is_whole && is_digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(cells: &[&str]) -> Option<(char, Option<char>, Vec<String>)> {
        let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
        let found = of(&ColumnSample { name: "n".into(), cells, ..ColumnSample::default() })?;
        Some((found.decimal, found.thousands, found.around.into_iter().collect()))
    }

    #[test]
    fn numbers_are_read_as_they_are_written_in_many_countries() {
        let form = |decimal, thousands, around: &[&str]| {
            Some((decimal, thousands, around.iter().map(|part| (*part).to_owned()).collect()))
        };
        assert_eq!(digits(&["12", "12.5", "-3"]), form('.', None, &[]));
        assert_eq!(digits(&["12,5", "9"]), form(',', None, &[]));
        assert_eq!(digits(&["$1,200.00", "$9.00"]), form('.', Some(','), &["$"]));
        assert_eq!(digits(&["€ 1.200,50", "€ 12,50"]), form(',', Some('.'), &[" ", "€"]));
        assert_eq!(digits(&["1 299,00 €", "29,90 €"]), form(',', None, &[" ", "€"]));
        assert_eq!(digits(&["CHF 1'200.00", "CHF 9.50"]), form('.', None, &[" ", "'", "CHF"]));
        assert_eq!(digits(&["1,200", "2,400"]), form('.', Some(','), &[]));
        assert_eq!(digits(&["12 apples", "3 pears"]), None);
        assert_eq!(digits(&["2024-01-31"]), None);
        assert_eq!(digits(&["A1", "B2"]), None);
        assert_eq!(digits(&[]), None);

        let doubtful = |cells: &[&str]| {
            let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
            two_ways(&ColumnSample { cells, ..ColumnSample::default() }).map(str::to_owned)
        };
        assert_eq!(doubtful(&["540", "88.100"]).as_deref(), Some("88.100"));
        assert_eq!(doubtful(&["0.125"]), None);
        assert_eq!(doubtful(&["88.100", "1.5"]), None);
        assert_eq!(doubtful(&["1.204.331", "88.100", "12.000", "7"]), None);
    }
}
