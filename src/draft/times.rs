//! How a column writes its times.

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
const FORMS: [(&str, bool); 10] = [
    ("%Y-%m-%d %H:%M:%S", false),
    ("%Y-%m-%d %H:%M", false),
    ("%Y-%m-%d", false),
    ("%Y-%m-%dT%H:%M:%S", false),
    ("%Y-%m-%dT%H:%M:%S%.f", false),
    ("%Y-%m-%d %H:%M:%S%.f", false),
    ("%Y-%m-%d %H:%M:%S %z", true),
    ("%d.%m.%Y", false),
    ("%d.%m.%Y %H:%M", false),
    ("%d %b %Y", false),
];

/// Forms with slashes: the same with the day first, and with the month first.
const SLASHED: [(&str, &str); 3] =
    [("%d/%m/%Y", "%m/%d/%Y"), ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"), ("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S")];

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
    let in_form = |form: &str| column.mostly(|cell| BrokenDownTime::parse(form, cell).is_ok());
    if let Some((form, zoned)) = FORMS.into_iter().find(|(form, _)| in_form(form)) {
        return Some(Times::Form { form, zoned });
    }
    SLASHED.into_iter().find_map(|(day_first, month_first)| match (in_form(day_first), in_form(month_first)) {
        (true, true) => Some(Times::DayOrMonthFirst { day_first, month_first }),
        (true, false) => Some(Times::Form { form: day_first, zoned: false }),
        (false, true) => Some(Times::Form { form: month_first, zoned: false }),
        (false, false) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cells: &[&str]) -> Option<Times> {
        of(&ColumnSample { name: "at".into(), cells: cells.iter().map(|cell| (*cell).to_owned()).collect() })
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
        assert_eq!(times(&["03/04/2024", "25/04/2024"]), form("%d/%m/%Y", false));
        assert_eq!(times(&["03/04/2024", "04/25/2024"]), form("%m/%d/%Y", false));
        let either = Times::DayOrMonthFirst { day_first: "%d/%m/%Y", month_first: "%m/%d/%Y" };
        assert_eq!(times(&["03/04/2024", "01/12/2024"]), Some(either));
        assert_eq!(times(&["soon", "2024-01-31"]), None);
        assert_eq!(times(&["12"]), None);
        assert_eq!(times(&[]), None);
    }
}
