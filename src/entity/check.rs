//! Checks and conversions of single values. Pure, and without allocation on the good path.

use super::{Alphabet, Kind};

/// Why a value does not fit its field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It is empty, and the field needs a value.
    #[error("is empty")]
    Empty,
    /// It has too many characters.
    #[error("has {chars} characters, the API takes {chars_max}")]
    TooLong {
        /// Characters that it has.
        chars: usize,
        /// Characters that the API takes.
        chars_max: usize,
    },
    /// A character that an id may not have, or may not start with.
    #[error("may not {} {found:?}", if *.first { "start with" } else { "have the character" })]
    BadCharacter {
        /// The character.
        found: char,
        /// Whether it is the first.
        first: bool,
    },
    /// It is not an e-mail address.
    #[error("is not an e-mail address")]
    NotAnEmail,
    /// It is not a decimal number.
    #[error("is not a number")]
    NotANumber,
    /// It has a fraction where none may be.
    #[error("is not a whole number")]
    NotWhole,
    /// It is below the smallest value.
    #[error("is below {min}")]
    TooSmall {
        /// The smallest value.
        min: i64,
    },
    /// It is above the largest value.
    #[error("is above {max}")]
    TooLarge {
        /// The largest value.
        max: i64,
    },
    /// It has more digits than a double keeps, so the API would round it.
    #[error("has more digits than the API keeps")]
    TooPrecise,
    /// It is neither true nor false.
    #[error("is neither true nor false")]
    NotABool,
    /// It is none of the words that the API takes.
    #[error("is none of {}", listed(.words))]
    NotAWord {
        /// The words.
        words: &'static [&'static str],
    },
    /// It is not an ISO 8601 time with a zone.
    #[error("is not a time like 2022-01-31T00:00:00Z; say its format with `time` and its zone with `zone`")]
    NotATime,
}

/// All of a few words; of many (the currencies) the first.
fn listed(words: &[&str]) -> String {
    const LISTED_MAX: usize = 12;
    match words.get(..LISTED_MAX) {
        Some(first) if words.len() > LISTED_MAX => {
            format!("{} and {} more", first.join(", "), words.len() - LISTED_MAX)
        }
        Some(_) | None => words.join(", "),
    }
}

/// Whether [`check`] takes a text as it is, in the common cases of ids, texts and numbers. `false` says nothing.
#[inline]
pub fn is_plain(kind: &Kind, text: &str) -> bool {
    match kind {
        Kind::Id { chars_max, alphabet } => plain_id(text, *chars_max, *alphabet),
        Kind::Number { min, max, whole } => plain_number(text, *min, *max, *whole),
        Kind::Text { chars_max } => (1..=*chars_max).contains(&text.len()),
        Kind::Email
        | Kind::Bool
        | Kind::Enum(_)
        | Kind::Time
        | Kind::Fixed(_)
        | Kind::TextMap
        | Kind::ScalarMap
        | Kind::TextList
        | Kind::Object(_)
        | Kind::List { .. } => false,
    }
}

/// Checks a text against a scalar kind and returns what is sent: the text (perhaps trimmed), the
/// plain digits of a number, the word of an enum, `true` or `false`. Times are the mapping's work:
/// here they must already be ISO 8601 UTC. `None`: the value is empty and so absent.
///
/// # Errors
///
/// [`Misfit`] says why it does not fit. Nothing is ever mended beyond blanks around an e-mail
/// address, an id, a number or a word.
pub fn check<'a>(kind: &Kind, text: &'a str) -> Result<Option<&'a str>, Misfit> {
    match kind {
        Kind::Id { chars_max, alphabet } => {
            if plain_id(text, *chars_max, *alphabet) {
                return Ok(Some(text));
            }
            let id = text.trim();
            if id.is_empty() {
                return Ok(None);
            }
            check_id(id, *chars_max, *alphabet)?;
            Ok(Some(id))
        }
        Kind::Text { chars_max } => {
            if text.is_empty() {
                return Ok(None);
            }
            // Bytes are never fewer than characters, so the common case counts none.
            if text.len() > *chars_max {
                let chars = text.chars().count();
                if chars > *chars_max {
                    return Err(Misfit::TooLong { chars, chars_max: *chars_max });
                }
            }
            Ok(Some(text))
        }
        Kind::Email => {
            let email = text.trim();
            if email.is_empty() {
                return Ok(None);
            }
            check_email(email)?;
            Ok(Some(email))
        }
        Kind::Number { min, max, whole } => {
            if plain_number(text, *min, *max, *whole) {
                return Ok(Some(text));
            }
            let number = text.trim();
            if number.is_empty() {
                return Ok(None);
            }
            check_number(number, *min, *max, *whole)?;
            Ok(Some(number))
        }
        Kind::Bool => {
            let word = text.trim();
            if word.is_empty() {
                return Ok(None);
            }
            let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
            if is(&["true", "t", "yes", "y", "1"]) {
                Ok(Some("true"))
            } else if is(&["false", "f", "no", "n", "0"]) {
                Ok(Some("false"))
            } else {
                Err(Misfit::NotABool)
            }
        }
        Kind::Enum(words) => {
            let word = text.trim();
            if word.is_empty() {
                return Ok(None);
            }
            words.iter().find(|known| **known == word).map(|known| Some(*known)).ok_or(Misfit::NotAWord { words })
        }
        Kind::Time => {
            if text.is_empty() {
                return Ok(None);
            }
            text.parse::<jiff::Timestamp>().map(|_| Some(text)).map_err(|_| Misfit::NotATime)
        }
        Kind::Fixed(constant) => Ok(Some(constant.as_str())),
        Kind::TextMap | Kind::ScalarMap | Kind::TextList => Ok(if text.is_empty() { None } else { Some(text) }),
        Kind::Object(_) | Kind::List { .. } => Err(Misfit::Empty),
    }
}

/// [`CLASSES`]: may start an id of any alphabet.
const ALPHANUMERIC: u8 = 1;
/// [`CLASSES`]: is in [`Alphabet::Customer`].
const CUSTOMER: u8 = 2;
/// [`CLASSES`]: is in [`Alphabet::Package`].
const PACKAGE: u8 = 4;
/// [`CLASSES`]: is in [`Alphabet::Original`].
const ORIGINAL: u8 = 16;
/// [`CLASSES`]: is ASCII in [`Alphabet::Any`], and no blank.
const VISIBLE: u8 = 8;

/// What each byte may be in an id.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        classes[byte as usize] = VISIBLE
            | match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => ALPHANUMERIC | CUSTOMER | PACKAGE | ORIGINAL,
                b'_' | b'.' | b'-' => CUSTOMER | PACKAGE | ORIGINAL,
                b'|' => CUSTOMER | PACKAGE,
                b'@' => CUSTOMER,
                _ => 0,
            };
        byte += 1;
    }
    classes
};

/// The common case of an id that fits: short enough in bytes, ASCII, without blanks. `false` says
/// nothing: [`check_id`] decides.
fn plain_id(text: &str, chars_max: usize, alphabet: Alphabet) -> bool {
    let (first, all) = match alphabet {
        Alphabet::Customer => (ALPHANUMERIC, CUSTOMER),
        Alphabet::Package => (ALPHANUMERIC, PACKAGE),
        Alphabet::Original => (ALPHANUMERIC, ORIGINAL),
        Alphabet::Any => (VISIBLE, VISIBLE),
    };
    let is = |byte: &u8, class: u8| CLASSES[usize::from(*byte)] & class != 0;
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| is(byte, first))
        && bytes.len() <= chars_max
        // Without a way out in between: ids are short, and nearly all of them fit.
        && bytes.iter().fold(true, |fit, byte| fit & is(byte, all))
}

/// The common case of a number that fits: not negative, at most 15 digits (a double keeps them), and
/// well inside its bounds. `false` says nothing: [`check_number`] decides.
fn plain_number(text: &str, min: Option<i64>, max: Option<i64>, whole: bool) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() > 15 {
        return false;
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (integer, rest) = bytes.split_at(digits);
    let fits = match rest {
        [] => true,
        [b'.', fraction @ ..] => !whole && !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if integer.is_empty() || !fits {
        return false;
    }
    let integer = integer.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    // Strictly below the largest: a fraction may follow.
    min.is_none_or(|min| min <= integer) && max.is_none_or(|max| integer < max)
}

fn check_id(id: &str, chars_max: usize, alphabet: Alphabet) -> Result<(), Misfit> {
    if id.len() > chars_max {
        let chars = id.chars().count();
        if chars > chars_max {
            return Err(Misfit::TooLong { chars, chars_max });
        }
    }
    let inner: fn(char) -> bool = match alphabet {
        Alphabet::Customer => |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '|' | '.' | '@' | '-'),
        Alphabet::Package => |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '|' | '.' | '-'),
        Alphabet::Original => |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'),
        Alphabet::Any => |c| !c.is_control(),
    };
    for (index, found) in id.chars().enumerate() {
        let first = index == 0;
        let fits = inner(found) && !(first && alphabet != Alphabet::Any && !found.is_ascii_alphanumeric());
        if !fits {
            return Err(Misfit::BadCharacter { found, first });
        }
    }
    Ok(())
}

/// One `@`, something before it, a domain with a dot inside after it, no blanks or controls.
/// Stricter than RFC 5322 in comments and quotes, which no billing system exports.
fn check_email(email: &str) -> Result<(), Misfit> {
    if email.len() > super::TEXT_CHARS_MAX {
        let chars = email.chars().count();
        if chars > super::TEXT_CHARS_MAX {
            return Err(Misfit::TooLong { chars, chars_max: super::TEXT_CHARS_MAX });
        }
    }
    let (local, domain) = email.split_once('@').ok_or(Misfit::NotAnEmail)?;
    let fits = !local.is_empty()
        && !domain.contains('@')
        && domain.split('.').count() >= 2
        && domain.split('.').all(|label| !label.is_empty())
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if fits { Ok(()) } else { Err(Misfit::NotAnEmail) }
}

fn check_number(number: &str, min: Option<i64>, max: Option<i64>, whole: bool) -> Result<(), Misfit> {
    let (negative, integer, fraction) = parts(number).ok_or(Misfit::NotANumber)?;
    let fraction = fraction.trim_end_matches('0');
    if whole && !fraction.is_empty() {
        return Err(Misfit::NotWhole);
    }
    let integer = integer.trim_start_matches('0');
    // Compares as digits: a double would take 2^53 + 1 for 2^53.
    let below = |bound: i64| -> bool { compare(negative, integer, fraction, bound).is_lt() };
    let above = |bound: i64| -> bool { compare(negative, integer, fraction, bound).is_gt() };
    if let Some(min) = min
        && below(min)
    {
        return Err(Misfit::TooSmall { min });
    }
    if let Some(max) = max
        && above(max)
    {
        return Err(Misfit::TooLarge { max });
    }
    // The API's numbers are doubles: 15 digits always survive, more only sometimes.
    if integer.len() + fraction.len() > 15 {
        let double: f64 = number.parse().map_err(|_| Misfit::NotANumber)?;
        let printed = format!("{double}");
        let (_, i, f) = parts(&printed).ok_or(Misfit::TooPrecise)?;
        if i.trim_start_matches('0') != integer || f.trim_end_matches('0') != fraction {
            return Err(Misfit::TooPrecise);
        }
    }
    Ok(())
}

/// Whether `text` is a plain decimal number: an optional minus, digits, an optional fraction.
/// No exponent, no thousands separators, no `+`, no `NaN`.
pub fn plain_decimal(text: &str) -> bool {
    parts(text).is_some()
}

fn parts(number: &str) -> Option<(bool, &str, &str)> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (integer, fraction) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some((integer, fraction)) => (integer, fraction),
        None => (digits, ""),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!integer.is_empty() && all_digits(integer) && all_digits(fraction)).then_some((negative, integer, fraction))
}

fn compare(negative: bool, integer: &str, fraction: &str, bound: i64) -> std::cmp::Ordering {
    let zero = integer.is_empty() && fraction.is_empty();
    let negative = negative && !zero;
    if negative != (bound < 0) {
        return if negative {
            std::cmp::Ordering::Less
        } else if zero && bound == 0 {
            std::cmp::Ordering::Equal
        } else {
            std::cmp::Ordering::Greater
        };
    }
    let limit = bound.unsigned_abs();
    let mut buffer = [0u8; 20];
    let limit = digits_of(limit, &mut buffer);
    let magnitude = integer
        .len()
        .cmp(&limit.len())
        .then_with(|| integer.cmp(limit))
        .then_with(|| if fraction.is_empty() { std::cmp::Ordering::Equal } else { std::cmp::Ordering::Greater });
    if negative { magnitude.reverse() } else { magnitude }
}

/// Digits without leading zeros; zero has none.
fn digits_of(mut number: u64, buffer: &mut [u8; 20]) -> &str {
    let mut at = buffer.len();
    while number > 0 {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    std::str::from_utf8(&buffer[at..]).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::super::{ANY_ID, CUSTOMER_ID, PACKAGE_ID, QUANTITY, TEXT_CHARS_MAX, USAGE_VALUE_MAX};
    use super::*;
    use proptest::prelude::*;

    const VALUE: Kind = Kind::Number { min: Some(-USAGE_VALUE_MAX), max: Some(USAGE_VALUE_MAX), whole: false };

    #[test]
    fn the_largest_usage_value_fits_and_one_more_does_not() {
        assert_eq!(check(&VALUE, "9007199254740991"), Ok(Some("9007199254740991")));
        assert_eq!(check(&VALUE, "9007199254740992"), Err(Misfit::TooLarge { max: USAGE_VALUE_MAX }));
        assert_eq!(check(&VALUE, "9007199254740991.5"), Err(Misfit::TooLarge { max: USAGE_VALUE_MAX }));
        assert_eq!(check(&VALUE, "-9007199254740992"), Err(Misfit::TooSmall { min: -USAGE_VALUE_MAX }));
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in ["NaN", "1,000", "1.2.3", "lots", "1e5", "+1", "0x1", "1.", ".5", "-", "Infinity", "١"] {
            assert_eq!(check(&VALUE, text), Err(Misfit::NotANumber), "{text}");
        }
        assert_eq!(check(&QUANTITY, "-1"), Err(Misfit::TooSmall { min: 0 }));
        assert_eq!(check(&QUANTITY, "-0"), Ok(Some("-0")));
        assert_eq!(check(&Kind::Number { min: None, max: None, whole: true }, "3.5"), Err(Misfit::NotWhole));
        assert_eq!(check(&Kind::Number { min: None, max: None, whole: true }, "3.0"), Ok(Some("3.0")));
    }

    #[test]
    fn digits_that_a_double_would_lose_are_refused() {
        assert_eq!(check(&VALUE, "1234567890.12345678901"), Err(Misfit::TooPrecise));
        assert_eq!(check(&VALUE, "0.1"), Ok(Some("0.1")));
    }

    #[test]
    fn ids_keep_to_their_alphabet() {
        assert_eq!(check(&CUSTOMER_ID, "ada@example.com"), Ok(Some("ada@example.com")));
        assert_eq!(check(&PACKAGE_ID, "a@b"), Err(Misfit::BadCharacter { found: '@', first: false }));
        assert_eq!(check(&CUSTOMER_ID, "_a"), Err(Misfit::BadCharacter { found: '_', first: true }));
        assert_eq!(check(&ANY_ID, "köln 1"), Ok(Some("köln 1")));
        assert_eq!(check(&CUSTOMER_ID, &"x".repeat(256)), Err(Misfit::TooLong { chars: 256, chars_max: 255 }));
        assert_eq!(check(&CUSTOMER_ID, " "), Ok(None));
    }

    #[test]
    fn of_many_words_only_the_first_are_listed() {
        let words = &["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N"];
        let misfit = check(&Kind::Enum(words), "a").unwrap_err();
        assert_eq!(misfit.to_string(), "is none of A, B, C, D, E, F, G, H, I, J, K, L and 2 more");
        let misfit = check(&Kind::Enum(&words[..12]), "a").unwrap_err();
        assert_eq!(misfit.to_string(), "is none of A, B, C, D, E, F, G, H, I, J, K, L");
    }

    #[test]
    fn addresses_are_checked_and_trimmed() {
        assert_eq!(check(&Kind::Email, " a@example.com\t"), Ok(Some("a@example.com")));
        for text in
            ["not-an-email", "a@b@example.com", "@example.com", "user@", "user name@example.com", "a@b", "a@.com"]
        {
            assert_eq!(check(&Kind::Email, text), Err(Misfit::NotAnEmail), "{text}");
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        let kind = Kind::Text { chars_max: TEXT_CHARS_MAX };
        assert!(check(&kind, &"ß".repeat(255)).is_ok());
        assert_eq!(check(&kind, &"ß".repeat(256)), Err(Misfit::TooLong { chars: 256, chars_max: 255 }));
    }

    proptest! {
        #[test]
        fn a_plain_id_is_one_that_the_check_takes_as_it_is(
            text in "[ a-zA-Z0-9_|.@\u{e9}\u{7f}\t\"\\\\-]{0,8}",
            chars_max in 0usize..8,
        ) {
            for alphabet in [Alphabet::Customer, Alphabet::Package, Alphabet::Original, Alphabet::Any] {
                if plain_id(&text, chars_max, alphabet) {
                    prop_assert_eq!(check_id(&text, chars_max, alphabet), Ok(()), "{:?}", alphabet);
                    prop_assert_eq!(text.trim(), &text);
                } else if text.is_ascii() && !text.is_empty() && !text.contains(' ') {
                    prop_assert!(check_id(&text, chars_max, alphabet).is_err(), "{:?}", alphabet);
                }
            }
        }

        #[test]
        fn a_plain_text_is_one_that_the_check_takes_as_it_is(text in "[ -~é]{0,12}", chars_max in 1usize..14) {
            let kind = Kind::Text { chars_max };
            if is_plain(&kind, &text) {
                prop_assert_eq!(check(&kind, &text), Ok(Some(&*text)));
            }
        }

        #[test]
        fn a_plain_number_is_one_that_the_check_takes_as_it_is(
            text in "[0-9]{0,16}(\\.[0-9]{0,3})?|[ 0-9.+e-]{0,6}",
            min in proptest::option::of(-20i64..20),
            max in proptest::option::of(prop_oneof![-20i64..200, Just(USAGE_VALUE_MAX)]),
            whole in any::<bool>(),
        ) {
            if plain_number(&text, min, max, whole) {
                prop_assert_eq!(check_number(&text, min, max, whole), Ok(()));
                prop_assert_eq!(text.trim(), &text);
            }
        }

        #[test]
        fn bounds_agree_with_exact_arithmetic(value in any::<i64>(), min in any::<i64>(), max in any::<i64>()) {
            let kind = Kind::Number { min: Some(min), max: Some(max), whole: true };
            let text = value.to_string();
            let fits = check(&kind, &text);
            if value < min {
                prop_assert_eq!(fits, Err(Misfit::TooSmall { min }));
            } else if value > max {
                prop_assert_eq!(fits, Err(Misfit::TooLarge { max }));
            } else {
                let exact = value.unsigned_abs() <= 1 << 53 || format!("{}", value as f64) == text;
                prop_assert_eq!(fits.is_ok(), exact);
            }
        }
    }
}
