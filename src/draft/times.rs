//! How a column writes its times.

use std::cmp::Ordering;

use jiff::fmt::strtime::BrokenDownTime;

use super::sample::ColumnSample;

/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// In a form of the mapping's `time`; `zoned`: it says its zone.
    Form { form: &'static str, zoned: bool },
    /// Either of these forms fits every time, and only one is right.
    DayOrMonthFirst { day_first: &'static str, month_first: &'static str },
}

/// Forms in which nothing is ambiguous, in the order in which they are tried.
const FORMS: [(&str, bool); 22] = [
    ("%Y-%m-%d %H:%M:%S", false),
    ("%Y-%m-%d %H:%M", false),
    ("%Y-%m-%d", false),
    ("%Y-%m-%dT%H:%M:%S", false),
    ("%Y-%m-%dT%H:%M:%S%.f", false),
    ("%Y-%m-%d %H:%M:%S%.f", false),
    ("%Y-%m-%d %H:%M:%S %z", true),
    ("%Y-%m-%d %H:%M:%S UTC", false),
    ("%Y-%m-%dT%H:%M", false),
    ("%Y/%m/%d", false),
    ("%Y/%m/%d %H:%M", false),
    ("%Y/%m/%d %H:%M:%S", false),
    ("%d.%m.%Y", false),
    ("%d.%m.%Y %H:%M", false),
    ("%d.%m.%Y %H:%M:%S", false),
    ("%d.%m.%y", false),
    ("%d %b %Y", false),
    ("%d %B %Y", false),
    ("%d-%b-%Y", false),
    ("%d-%b-%y", false),
    ("%b %d, %Y", false),
    ("%B %d, %Y", false),
];

/// Forms in which days and months are numbers without an order: the same with the day first, and with the month first.
const EITHER: [(&str, &str); 8] = [
    ("%d/%m/%Y", "%m/%d/%Y"),
    ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"),
    ("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"),
    ("%d/%m/%Y %I:%M %p", "%m/%d/%Y %I:%M %p"),
    ("%d/%m/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M:%S %p"),
    ("%d/%m/%y", "%m/%d/%y"),
    ("%d-%m-%Y", "%m-%d-%Y"),
    ("%d-%m-%y", "%m-%d-%y"),
];

/// Years before this are taken for a form that doesn't fit: `03/04/24` is no day of the year 24.
const YEAR_MIN: i16 = 1900;

/// How the times of a column are written; none where it holds no times.
pub(super) fn of(column: &ColumnSample) -> Option<Times> {
    if column.mostly(|cell| cell.parse::<jiff::Timestamp>().is_ok()) {
        return Some(Times::Form { form: "iso", zoned: true });
    }
    // Seconds from 2001 on, and milliseconds from 2001 on.
    for (form, digits) in [("unix", 10), ("unix_ms", 13)] {
        if column.mostly(|cell| cell.len() == digits && cell.bytes().all(|byte| byte.is_ascii_digit())) {
            return Some(Times::Form { form, zoned: true });
        }
    }
    let fits = |form: &str, cell: &str| {
        BrokenDownTime::parse(form, cell).is_ok_and(|time| time.year().is_some_and(|year| year >= YEAR_MIN))
    };
    // Eight digits are a day only if each of them is one: numbers of members and of invoices are not.
    let is_day = |cell: &str| cell.len() == 8 && cell.bytes().all(|byte| byte.is_ascii_digit()) && fits("%Y%m%d", cell);
    if !column.cells.is_empty() && column.cells.iter().all(|cell| is_day(cell.trim())) {
        return Some(Times::Form { form: "%Y%m%d", zoned: false });
    }
    let in_form = |form: &str| column.mostly(|cell| fits(form, cell));
    let fitting = |form: &str| column.cells.iter().filter(|cell| fits(form, cell.trim())).count();
    if let Some((form, zoned)) = FORMS.into_iter().find(|(form, _)| in_form(form)) {
        return Some(Times::Form { form, zoned });
    }
    EITHER.into_iter().find_map(|(day_first, month_first)| match (in_form(day_first), in_form(month_first)) {
        // One time that fits only one of them tells.
        (true, true) => match fitting(day_first).cmp(&fitting(month_first)) {
            Ordering::Greater => Some(Times::Form { form: day_first, zoned: false }),
            Ordering::Less => Some(Times::Form { form: month_first, zoned: false }),
            Ordering::Equal => Some(Times::DayOrMonthFirst { day_first, month_first }),
        },
        (true, false) => Some(Times::Form { form: day_first, zoned: false }),
        (false, true) => Some(Times::Form { form: month_first, zoned: false }),
        (false, false) => None,
    })
}

/// Whether the day comes first wherever one of the columns tells it; none where none does, or two contradict each other.
pub(super) fn day_is_first(columns: &[ColumnSample]) -> Option<bool> {
    let mut told = columns.iter().filter_map(|column| match of(column)? {
        Times::Form { form, .. } => EITHER.iter().find_map(|(day_first, month_first)| match form {
            form if form == *day_first => Some(true),
            form if form == *month_first => Some(false),
            _ => None,
        }),
        Times::DayOrMonthFirst { .. } => None,
    });
    let first = told.next()?;
    told.all(|next| next == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str]) -> ColumnSample {
        let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
        ColumnSample { name: "at".into(), cells, ..ColumnSample::default() }
    }

    fn times(cells: &[&str]) -> Option<Times> {
        of(&column(cells))
    }

    #[test]
    fn the_form_of_times_is_found_and_day_and_month_are_never_guessed() {
        let form = |form, zoned| Some(Times::Form { form, zoned });
        assert_eq!(times(&["2024-01-31T10:00:00Z"]), form("iso", true));
        assert_eq!(times(&["2024-01-31 10:00", "2024-02-01 11:30"]), form("%Y-%m-%d %H:%M", false));
        assert_eq!(times(&["2024-01-31"]), form("%Y-%m-%d", false));
        assert_eq!(times(&["1700000000"]), form("unix", true));
        assert_eq!(times(&["1700000000000"]), form("unix_ms", true));
        assert_eq!(times(&["31.01.2024"]), form("%d.%m.%Y", false));
        assert_eq!(times(&["31.01.24"]), form("%d.%m.%y", false));
        assert_eq!(times(&["Jan 31, 2024"]), form("%b %d, %Y", false));
        assert_eq!(times(&["31-Jan-2024"]), form("%d-%b-%Y", false));
        assert_eq!(times(&["03/04/2024", "25/04/2024"]), form("%d/%m/%Y", false));
        assert_eq!(times(&["03/04/2024", "04/25/2024"]), form("%m/%d/%Y", false));
        assert_eq!(times(&["03/04/24", "25/04/24"]), form("%d/%m/%y", false));
        let either = Times::DayOrMonthFirst { day_first: "%d/%m/%Y", month_first: "%m/%d/%Y" };
        assert_eq!(times(&["03/04/2024", "01/12/2024"]), Some(either));
        let mut one_in_twenty = vec!["03/04/2024"; 20];
        one_in_twenty.push("04/25/2024");
        assert_eq!(times(&one_in_twenty), form("%m/%d/%Y", false));
        assert_eq!(times(&["soon", "2024-01-31"]), None);
        assert_eq!(times(&["12"]), None);
        assert_eq!(times(&[]), None);
    }

    #[test]
    fn another_column_tells_the_order_of_day_and_month_unless_two_contradict_each_other() {
        let (either, day, month) = (column(&["03/04/2024"]), column(&["25/04/2024"]), column(&["04/25/2024"]));
        assert_eq!(day_is_first(std::slice::from_ref(&either)), None);
        assert_eq!(day_is_first(&[either.clone(), day.clone()]), Some(true));
        assert_eq!(day_is_first(&[either, month.clone()]), Some(false));
        assert_eq!(day_is_first(&[day, month]), None);
    }
}
