//! A mark, less the margin for clocks that differ.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

use super::driver::{Order, Value};

/// The text of a mark that lies `margin` before `mark`, in the same form; the mark itself where
/// its form isn't known.
pub(super) fn before(mark: &str, order: Order, like: &Value, margin: u32) -> String {
    if order.is_number(like) {
        return match mark.parse::<i128>() {
            Ok(number) => (number - i128::from(margin)).to_string(),
            // Decimals: whole units before, whatever the fraction.
            Err(_) => match mark.split_once('.').map(|(whole, _)| whole.parse::<i128>()) {
                Some(Ok(whole)) => (whole - 1 - i128::from(margin)).to_string(),
                _ => mark.to_owned(),
            },
        };
    }
    earlier(mark, i64::from(margin)).unwrap_or_else(|| mark.to_owned())
}

fn earlier(mark: &str, margin_s: i64) -> Option<String> {
    if mark.len() == 10 {
        let date: Date = mark.parse().ok()?;
        let time = date.at(0, 0, 0, 0).checked_sub(margin_s.seconds()).ok()?;
        return Some(time.date().to_string());
    }
    let zone = if mark.ends_with('Z') { "Z" } else { "" };
    let bare = &mark[..mark.len() - zone.len()];
    // What else is at the end (an offset) would be lost.
    let known = bare.len() >= 16 && bare.bytes().skip(10).all(|b| b.is_ascii_digit() || b":. T".contains(&b));
    if !known {
        return None;
    }
    let time: DateTime = bare.parse().ok()?;
    let text = time.checked_sub(margin_s.seconds()).ok()?.to_string();
    Some(text.replacen('T', &bare[10..11], 1) + zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_keeps_its_form() {
        let text = Value::Text(String::new());
        for (mark, order, earlier) in [
            ("2026-03-01 00:00:30", Order::Time, "2026-02-28 23:59:30"),
            ("2026-03-01T00:00:30.25Z", Order::Time, "2026-02-28T23:59:30.25Z"),
            ("2026-03-01", Order::Time, "2026-02-28"),
            ("2026-03-01 00:00:30+02:00", Order::Any, "2026-03-01 00:00:30+02:00"),
            ("infinity", Order::Time, "infinity"),
            ("100", Order::Number, "40"),
            ("100.5", Order::Number, "39"),
            ("100", Order::Text, "100"),
        ] {
            assert_eq!(before(mark, order, &text, 60), earlier);
        }
        assert_eq!(before("100", Order::Any, &Value::Int(1), 60), "40");
    }
}
