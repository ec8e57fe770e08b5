//! Decimal numbers as digits: never through a double.

use std::borrow::Cow;

/// How a cell writes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NumberForm {
    /// What stands before the fraction.
    pub decimal: char,
    /// What groups the digits of the whole part by three.
    pub thousands: Option<char>,
    /// Powers of ten that the number is multiplied by: `-2` makes whole units of cents.
    pub scale: i8,
}

impl Default for NumberForm {
    fn default() -> Self {
        Self { decimal: '.', thousands: None, scale: 0 }
    }
}

impl NumberForm {
    /// Most places that `scale` moves the point, either way.
    pub const SCALE_MAX: i8 = 18;

    /// The number in plain digits with a point; `None` where it isn't written in this form.
    pub fn plain(&self, text: &str) -> Option<String> {
        let text = text.trim();
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", text),
        };
        let (whole, fraction) = match digits.split_once(self.decimal) {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (digits, ""),
        };
        let whole = self.ungrouped(whole)?;
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(&whole) || !all_digits(fraction) {
            return None;
        }
        let (whole, fraction) = shift(whole.into_owned(), fraction.to_owned(), self.scale);
        let point = if fraction.is_empty() { "" } else { "." };
        Some(format!("{sign}{whole}{point}{fraction}"))
    }

    fn ungrouped<'a>(&self, whole: &'a str) -> Option<Cow<'a, str>> {
        let Some(thousands) = self.thousands.filter(|thousands| whole.contains(*thousands)) else {
            return Some(Cow::Borrowed(whole));
        };
        let mut groups = whole.split(thousands);
        let first = groups.next()?;
        // `1.23` with `.` as thousands is a mistake, not 123.
        let fits = (1..=3).contains(&first.len()) && groups.clone().all(|group| group.len() == 3);
        fits.then(|| Cow::Owned(std::iter::once(first).chain(groups).collect()))
    }
}

fn shift(mut whole: String, mut fraction: String, scale: i8) -> (String, String) {
    if scale < 0 {
        let places = usize::from(scale.unsigned_abs());
        if whole.len() <= places {
            whole.insert_str(0, &"0".repeat(places + 1 - whole.len()));
        }
        fraction.insert_str(0, &whole.split_off(whole.len() - places));
    } else {
        let places = usize::from(scale.unsigned_abs());
        while fraction.len() < places {
            fraction.push('0');
        }
        whole.push_str(&fraction[..places]);
        fraction.drain(..places);
    }
    (whole, fraction)
}

/// The common case of a plain number that is written in this way: there is nothing at either end that could be left out. `false`
/// says nothing.
pub(super) fn is_canonical(number: &str) -> bool {
    let bytes = number.as_bytes();
    matches!(bytes, [b'1'..=b'9', .., last] | [last @ b'1'..=b'9'] if *last != b'0' || !bytes.contains(&b'.'))
}

/// The one way to write a plain decimal number: no leading zeros (JSON has none), no trailing
/// zeros after the point, no minus before zero. So that `1.50` and `1.5` are the same content.
pub(super) fn canonical(number: &str) -> Cow<'_, str> {
    if is_canonical(number) {
        return Cow::Borrowed(number);
    }
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let trimmed = whole.trim_start_matches('0');
    let whole = if trimmed.is_empty() { "0" } else { trimmed };
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() && !negative {
        return Cow::Borrowed(whole_part(digits, whole));
    }
    if whole == "0" && fraction.is_empty() {
        return Cow::Borrowed("0");
    }
    let sign = if negative { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    let length = sign.len() + whole.len() + point.len() + fraction.len();
    if length == number.len() { Cow::Borrowed(number) } else { Cow::Owned(format!("{sign}{whole}{point}{fraction}")) }
}

fn whole_part<'a>(digits: &'a str, whole: &'a str) -> &'a str {
    if whole == "0" { "0" } else { &digits[digits.find(|c| c != '0').unwrap_or(0)..][..whole.len()] }
}

/// An exact decimal number, to add up: the whole part and 18 digits of fraction apart, so that no
/// order of additions of values that the API takes can overflow (2^64 of them fit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Decimal {
    whole: i128,
    /// In units of 10^-18; of the same sign as `whole`, or beyond one, only while adding up.
    fraction: i128,
}

const FRACTION_DIGITS: usize = 18;
const ONE: i128 = 10i128.pow(18);

impl Decimal {
    /// Size of the packed form, in bytes.
    pub const BYTES: usize = 32;

    /// The number of a plain decimal text (as `entity::check` lets through). `None`: more than 18
    /// digits on either side of the point.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if whole.len() > FRACTION_DIGITS || fraction.len() > FRACTION_DIGITS {
            return None;
        }
        let number = |digits: &str| -> Option<i64> { if digits.is_empty() { Some(0) } else { digits.parse().ok() } };
        let whole = i128::from(number(whole)?);
        let missing = u32::try_from(FRACTION_DIGITS - fraction.len()).ok()?;
        let fraction = i128::from(number(fraction)?) * 10i128.pow(missing);
        Some(if negative { Self { whole: -whole, fraction: -fraction } } else { Self { whole, fraction } })
    }

    /// A whole number.
    pub fn of(count: u64) -> Self {
        Self { whole: i128::from(count), fraction: 0 }
    }

    /// Adds exactly.
    pub fn add(&mut self, other: Self) {
        self.whole += other.whole;
        self.fraction += other.fraction;
    }

    /// Fraction brought back below one, both parts of one sign.
    fn normal(self) -> Self {
        let (mut whole, mut fraction) = (self.whole + self.fraction / ONE, self.fraction % ONE);
        if whole > 0 && fraction < 0 {
            (whole, fraction) = (whole - 1, fraction + ONE);
        } else if whole < 0 && fraction > 0 {
            (whole, fraction) = (whole + 1, fraction - ONE);
        }
        Self { whole, fraction }
    }

    /// Compares exactly.
    pub fn cmp(self, other: Self) -> std::cmp::Ordering {
        let (a, b) = (self.normal(), other.normal());
        a.whole.cmp(&b.whole).then(a.fraction.cmp(&b.fraction))
    }

    /// Packed, for a run on disk.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.whole.to_le_bytes());
        bytes[16..].copy_from_slice(&self.fraction.to_le_bytes());
        bytes
    }

    /// The inverse of [`Self::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let half = |range: std::ops::Range<usize>| {
            i128::from_le_bytes(bytes[range].try_into().expect("half of the bytes is sixteen"))
        };
        Self { whole: half(0..16), fraction: half(16..32) }
    }
}

impl std::fmt::Display for Decimal {
    /// Writes it as [`canonical`] would.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { whole, fraction } = self.normal();
        if whole < 0 || fraction < 0 {
            f.write_str("-")?;
        }
        write!(f, "{}", whole.unsigned_abs())?;
        if fraction != 0 {
            let digits = format!("{:018}", fraction.unsigned_abs());
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commas_groups_and_cents_are_read_exactly() {
        let german = NumberForm { decimal: ',', thousands: Some('.'), scale: 0 };
        assert_eq!(german.plain("1.234.567,89").as_deref(), Some("1234567.89"));
        assert_eq!(german.plain("-12,5").as_deref(), Some("-12.5"));
        for wrong in ["1.23", "1,234,5", "12.34.567", ",5", "5,", ".123", "1..234", "1.234.", "x"] {
            assert_eq!(german.plain(wrong), None, "{wrong}");
        }
        let cents = NumberForm { scale: -2, ..NumberForm::default() };
        for (text, units) in [("12345", "123.45"), ("5", "0.05"), ("-50", "-0.50"), ("100", "1.00"), ("0.5", "0.005")] {
            assert_eq!(cents.plain(text).as_deref(), Some(units));
        }
        let thousandfold = NumberForm { scale: 3, ..NumberForm::default() };
        assert_eq!(thousandfold.plain("1.5").as_deref(), Some("1500"));
        assert_eq!(thousandfold.plain("1.23456").as_deref(), Some("1234.56"));
    }

    #[test]
    fn a_number_has_one_form() {
        for (text, one) in [
            ("007", "7"),
            ("0", "0"),
            ("000", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.50", "1.5"),
            ("3.0", "3"),
            ("-03.10", "-3.1"),
            ("0.5", "0.5"),
            ("00.5", "0.5"),
            ("120", "120"),
            ("-120", "-120"),
        ] {
            assert_eq!(canonical(text), one, "{text}");
        }
    }

    proptest! {
        #[test]
        fn sums_agree_with_a_decimal_library(values in proptest::collection::vec((-999_999_999i64..999_999_999, 0u32..7), 0..40)) {
            let mut ours = Decimal::default();
            let mut theirs = rust_decimal::Decimal::ZERO;
            for (mantissa, scale) in values {
                let value = rust_decimal::Decimal::new(mantissa, scale);
                theirs += value;
                ours.add(Decimal::parse(&value.to_string()).unwrap());
                prop_assert_eq!(Decimal::from_bytes(ours.to_bytes()), ours);
            }
            let theirs = theirs.to_string();
            prop_assert_eq!(ours.to_string(), canonical(&theirs));
        }

        #[test]
        fn order_agrees_with_a_decimal_library(a in any::<i32>(), b in any::<i32>(), x in 0u32..6, y in 0u32..6) {
            let (a, b) = (rust_decimal::Decimal::new(a.into(), x), rust_decimal::Decimal::new(b.into(), y));
            let ours = Decimal::parse(&a.to_string()).unwrap().cmp(Decimal::parse(&b.to_string()).unwrap());
            prop_assert_eq!(ours, a.cmp(&b));
        }
    }
}
