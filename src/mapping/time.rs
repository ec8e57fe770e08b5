//! Times as exports write them, into ISO 8601 UTC with milliseconds.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::fault::Fault;

/// An instant in the form that is sent: `2022-01-31T00:00:00.000Z`.
///
/// Aligned as a word is: in a value that may be this or a reference, unaligned bytes are moved in pieces which overlap, and the
/// processor waits for each to be written before it reads the next. That was half of the time that writing a record took.
#[derive(Debug, Clone, Copy)]
#[repr(align(8))]
pub(super) struct IsoText([u8; 24]);

impl IsoText {
    /// A text that has the form already, with or without milliseconds. `None` says nothing: the slow way decides.
    fn of(text: &[u8]) -> Option<Self> {
        Civil::of_iso(text)?;
        let mut iso = *b"0000-00-00T00:00:00.000Z";
        // Where there are no milliseconds, the zone stands in the place of the point before them.
        let (given, milliseconds) = text.split_at(text.len().min("0000-00-00T00:00:00".len()));
        iso[..given.len()].copy_from_slice(given);
        if let [b'.', digits @ .., b'Z'] = milliseconds {
            iso[given.len() + 1..][..digits.len()].copy_from_slice(digits);
        }
        Some(Self(iso))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How a value's times are written.
#[derive(Debug, Clone)]
pub(super) struct TimeRule {
    /// Tried in order.
    pub formats: Vec<Format>,
    /// The zone of times that don't say theirs.
    pub zone: Option<Zone>,
}

/// A time zone of the IANA database.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    name: Box<str>,
    zone: TimeZone,
    utc: bool,
}

/// One way to write a time.
#[derive(Debug, Clone)]
pub(super) enum Format {
    /// ISO 8601.
    Iso,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
    /// As `strptime` reads it.
    Strtime { text: Box<str>, fast: Option<Box<[Token]>>, zoned: bool },
}

/// A part of a format in which every part has a fixed width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Literal(u8),
}

impl Zone {
    /// The zone of an IANA name. `None`: there is no such zone.
    pub fn of_name(name: &str) -> Option<Self> {
        let utc = ["UTC", "Etc/UTC", "Z"].iter().any(|known| name.eq_ignore_ascii_case(known));
        let zone = if utc { TimeZone::UTC } else { TimeZone::get(name).ok()? };
        Some(Self { name: name.into(), zone, utc })
    }

    fn instant(&self, text: &str, local: DateTime) -> Result<Civil, Box<Fault>> {
        if self.utc {
            return Ok(Civil::of(local));
        }
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        let why = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => "is outside the calendar",
            AmbiguousOffset::Gap { .. } => "does not exist: clocks went forward then",
            AmbiguousOffset::Fold { .. } => "exists twice: clocks went back then",
        };
        match ambiguous.unambiguous() {
            Ok(instant) => Ok(Civil::of_timestamp(instant)),
            Err(_) => Err(Fault::of_value(text, format!("{why} in {}", self.name))),
        }
    }
}

impl Format {
    /// The format of a mapping's `time`. `Err`: why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "iso" => return Ok(Self::Iso),
            "unix" => return Ok(Self::Unix),
            "unix_ms" => return Ok(Self::UnixMs),
            _ => {}
        }
        if !text.contains('%') {
            return Err(format!("`{text}` is no time format"));
        }
        // A directive that can't be parsed is only noticed while parsing: print an instant in the
        // format and read it back.
        let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        let printed = BrokenDownTime::from(&sample)
            .to_string(text)
            .map_err(|error| format!("`{text}` is no time format: {error}"))?;
        let parsed =
            BrokenDownTime::parse(text, &printed).map_err(|error| format!("`{text}` can't be read: {error}"))?;
        let zoned = parsed.offset().is_some() || parsed.iana_time_zone().is_some() || parsed.to_timestamp().is_ok();
        if !zoned && parsed.to_datetime().is_err() {
            return Err(format!("`{text}` doesn't say the whole date"));
        }
        Ok(Self::Strtime { text: text.into(), fast: tokens(text), zoned })
    }

    /// Whether a time in this format may leave its zone out.
    pub fn needs_zone(&self) -> bool {
        matches!(self, Self::Strtime { zoned: false, .. })
    }
}

fn tokens(format: &str) -> Option<Box<[Token]>> {
    let mut tokens = Vec::new();
    let mut bytes = format.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match bytes.next()? {
                b'Y' => tokens.push(Token::Year),
                b'm' => tokens.push(Token::Month),
                b'd' => tokens.push(Token::Day),
                b'H' => tokens.push(Token::Hour),
                b'M' => tokens.push(Token::Minute),
                b'S' => tokens.push(Token::Second),
                b'F' => {
                    tokens.extend([Token::Year, Token::Literal(b'-'), Token::Month, Token::Literal(b'-'), Token::Day])
                }
                b'R' => tokens.extend([Token::Hour, Token::Literal(b':'), Token::Minute]),
                b'T' => tokens.extend([
                    Token::Hour,
                    Token::Literal(b':'),
                    Token::Minute,
                    Token::Literal(b':'),
                    Token::Second,
                ]),
                _ => return None,
            },
            literal if literal.is_ascii() => tokens.push(Token::Literal(literal)),
            _ => return None,
        }
    }
    let has = |token| tokens.iter().filter(|known| **known == token).count() == 1;
    (has(Token::Year) && has(Token::Month) && has(Token::Day)).then(|| tokens.into())
}

/// A date and time of day in UTC, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Civil {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    millisecond: u32,
}

impl Civil {
    fn of(time: DateTime) -> Self {
        Self {
            year: i64::from(time.year()),
            month: time.month().unsigned_abs().into(),
            day: time.day().unsigned_abs().into(),
            hour: time.hour().unsigned_abs().into(),
            minute: time.minute().unsigned_abs().into(),
            second: time.second().unsigned_abs().into(),
            millisecond: time.millisecond().unsigned_abs().into(),
        }
    }

    fn of_timestamp(instant: Timestamp) -> Self {
        // Towards the past, so that an instant never seems later than it was.
        let ms = instant.as_nanosecond().div_euclid(1_000_000);
        let floored = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(instant);
        Self::of(TimeZone::UTC.to_datetime(floored))
    }

    /// The instant of milliseconds since 1970. `None`: outside the calendar.
    pub fn of_unix_ms(ms: i64) -> Option<Self> {
        Timestamp::from_millisecond(ms).ok().map(Self::of_timestamp)
    }

    /// Reads the form in which times are sent, and the same without milliseconds. `None` says
    /// nothing: the slow way decides.
    fn of_iso(text: &[u8]) -> Option<Self> {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, tail @ ..] = text
        else {
            return None;
        };
        let millisecond = match tail {
            b"Z" => 0,
            [b'.', f1, f2, f3, b'Z'] => pair(*f1, *f2)? * 10 + pair(b'0', *f3)?,
            _ => return None,
        };
        let civil = Self {
            year: i64::from(pair(*y1, *y2)? * 100 + pair(*y3, *y4)?),
            month: pair(*m1, *m2)?,
            day: pair(*d1, *d2)?,
            hour: pair(*h1, *h2)?,
            minute: pair(*n1, *n2)?,
            second: pair(*s1, *s2)?,
            millisecond,
        };
        civil.exists().then_some(civil)
    }

    fn exists(&self) -> bool {
        const DAYS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let leap = || self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        (1..=12).contains(&self.month)
            && self.day >= 1
            && (self.day <= DAYS[self.month as usize - 1] || (self.month == 2 && self.day == 29 && leap()))
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
    }

    /// As it is sent. `None`: outside the years 0 to 9999, which the form has no sign for.
    pub fn iso(&self) -> Option<IsoText> {
        let two = |number: u32| [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        let year = u32::try_from(self.year).ok().filter(|year| *year <= 9999)?;
        let ([y1, y2], [y3, y4]) = (two(year / 100), two(year % 100));
        let ([m1, m2], [d1, d2]) = (two(self.month), two(self.day));
        let ([h1, h2], [n1, n2], [s1, s2]) = (two(self.hour), two(self.minute), two(self.second));
        let ([f1, f2], [_, f3]) = (two(self.millisecond / 10), two(self.millisecond % 10));
        Some(IsoText([
            y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.', f1, f2, f3,
            b'Z',
        ]))
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(&self) -> i64 {
        // Days from civil: years begin in March, so that the leap day is the last.
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let seconds =
            days * 86_400 + i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        seconds * 1000 + i64::from(self.millisecond)
    }
}

impl TimeRule {
    /// ISO 8601 with a zone in the text.
    pub fn iso() -> &'static Self {
        static ISO: OnceLock<TimeRule> = OnceLock::new();
        ISO.get_or_init(|| Self { formats: vec![Format::Iso], zone: None })
    }

    /// A cell whose text is nearly as it is sent: most exports write times so. `None` says nothing.
    #[inline]
    pub fn as_sent(&self, text: &str) -> Option<IsoText> {
        matches!(self.formats.first(), Some(Format::Iso)).then(|| IsoText::of(text.as_bytes())).flatten()
    }

    /// The instant of a cell.
    pub fn convert(&self, text: &str) -> Result<Civil, Box<Fault>> {
        let trimmed = text.trim();
        for format in &self.formats {
            if let Some(instant) = self.read(format, trimmed)? {
                return Ok(instant);
            }
        }
        let name = |format: &Format| match format {
            Format::Iso => "ISO 8601 with a zone".to_owned(),
            Format::Unix => "seconds since 1970".to_owned(),
            Format::UnixMs => "milliseconds since 1970".to_owned(),
            Format::Strtime { text, .. } => format!("`{text}`"),
        };
        let names: Vec<String> = self.formats.iter().map(name).collect();
        Err(Fault::of_value(text, format!("is not a time in the form {}", names.join(" or "))))
    }

    fn read(&self, format: &Format, text: &str) -> Result<Option<Civil>, Box<Fault>> {
        match format {
            Format::Iso => self.read_iso(text),
            Format::Unix => Ok(integer(text).and_then(|s| Timestamp::from_second(s).ok()).map(Civil::of_timestamp)),
            Format::UnixMs => {
                Ok(integer(text).and_then(|ms| Timestamp::from_millisecond(ms).ok()).map(Civil::of_timestamp))
            }
            Format::Strtime { text: format, fast, zoned } => {
                let fast = fast.as_deref().and_then(|tokens| fixed(tokens, text.as_bytes()));
                match (&self.zone, fast) {
                    (Some(zone), Some(civil)) if zone.utc => return Ok(Some(civil)),
                    (Some(_), Some(civil)) => return self.in_zone(text, civil).map(Some),
                    _ => {}
                }
                let Ok(parsed) = BrokenDownTime::parse(&**format, text) else { return Ok(None) };
                if *zoned {
                    return Ok(parsed.to_timestamp().ok().map(Civil::of_timestamp));
                }
                match (parsed.to_datetime(), &self.zone) {
                    (Ok(local), Some(zone)) => zone.instant(text, local).map(Some),
                    _ => Ok(None),
                }
            }
        }
    }

    fn in_zone(&self, text: &str, civil: Civil) -> Result<Civil, Box<Fault>> {
        let small = |part: u32| i8::try_from(part).unwrap_or(i8::MAX);
        let local = DateTime::new(
            i16::try_from(civil.year).unwrap_or(i16::MAX),
            small(civil.month),
            small(civil.day),
            small(civil.hour),
            small(civil.minute),
            small(civil.second),
            0,
        );
        match (local, &self.zone) {
            (Ok(local), Some(zone)) => zone.instant(text, local),
            _ => Err(Fault::of_value(text, "is not a time")),
        }
    }

    fn read_iso(&self, text: &str) -> Result<Option<Civil>, Box<Fault>> {
        if let Some(civil) = Civil::of_iso(text.as_bytes()) {
            return Ok(Some(civil));
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(Some(Civil::of_timestamp(instant)));
        }
        match (&self.zone, text.parse::<DateTime>()) {
            (Some(zone), Ok(local)) => zone.instant(text, local).map(Some),
            _ => Ok(None),
        }
    }
}

/// Reads `text` where every part has its full width. `None` says nothing: the slow way decides.
fn fixed(tokens: &[Token], text: &[u8]) -> Option<Civil> {
    let mut civil = Civil::default();
    let mut rest = text;
    for token in tokens {
        rest = match (token, rest) {
            (Token::Literal(byte), [found, tail @ ..]) if found == byte => tail,
            (Token::Year, [a, b, c, d, tail @ ..]) => {
                civil.year = i64::from(pair(*a, *b)? * 100 + pair(*c, *d)?);
                tail
            }
            (Token::Literal(_) | Token::Year, _) => return None,
            (part, [a, b, tail @ ..]) => {
                *match part {
                    Token::Month => &mut civil.month,
                    Token::Day => &mut civil.day,
                    Token::Hour => &mut civil.hour,
                    Token::Minute => &mut civil.minute,
                    Token::Second => &mut civil.second,
                    Token::Year | Token::Literal(_) => return None,
                } = pair(*a, *b)?;
                tail
            }
            (_, _) => return None,
        };
    }
    (rest.is_empty() && civil.exists()).then_some(civil)
}

/// A number of two digits.
#[inline]
fn pair(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(formats: &[&str], zone: &str) -> TimeRule {
        TimeRule {
            formats: formats.iter().map(|format| Format::parse(format).unwrap()).collect(),
            zone: Zone::of_name(zone),
        }
    }

    fn iso(rule: &TimeRule, text: &str) -> Result<String, String> {
        match rule.convert(text) {
            Ok(civil) => Ok(String::from_utf8(civil.iso().unwrap().as_bytes().to_vec()).unwrap()),
            Err(fault) => Err(fault.reason.into_owned()),
        }
    }

    #[test]
    fn exports_times_are_read() {
        let stripe = rule(&["%Y-%m-%d %H:%M"], "UTC");
        assert_eq!(iso(&stripe, "2022-11-21 21:53").unwrap(), "2022-11-21T21:53:00.000Z");
        for wrong in
            ["2024-13-45 10:00", "0000-00-00 00:00", "yesterday", "31/12/2024", "2023-02-29 09:00", "99/99/9999 99:99"]
        {
            assert!(iso(&stripe, wrong).is_err(), "{wrong}");
        }
        let american = rule(&["%m/%d/%Y %I:%M %p", "%m/%d/%y"], "UTC");
        assert_eq!(iso(&american, "1/31/2024 2:05 PM").unwrap(), "2024-01-31T14:05:00.000Z");
        assert_eq!(iso(&american, "1/31/24").unwrap(), "2024-01-31T00:00:00.000Z");
        assert_eq!(iso(&rule(&["unix"], ""), "1692852080").unwrap(), "2023-08-24T04:41:20.000Z");
        assert_eq!(iso(&rule(&["unix_ms"], ""), "1692852080123").unwrap(), "2023-08-24T04:41:20.123Z");
        assert!(iso(&rule(&["unix"], ""), "1e9").is_err());
        assert_eq!(iso(TimeRule::iso(), "2022-01-31T01:00:00.5+01:00").unwrap(), "2022-01-31T00:00:00.500Z");
        assert_eq!(
            iso(&rule(&["%Y-%m-%d %H:%M:%S %z"], ""), "2010-03-24 17:18:46 -0700").unwrap(),
            "2010-03-25T00:18:46.000Z"
        );
        assert!(iso(TimeRule::iso(), "2022-01-31T01:00:00").is_err(), "no zone, no guess");
    }

    #[test]
    fn hours_that_a_clock_skipped_or_repeated_are_not_guessed() {
        let berlin = rule(&["%Y-%m-%d %H:%M"], "Europe/Berlin");
        assert_eq!(iso(&berlin, "2024-03-31 01:59").unwrap(), "2024-03-31T00:59:00.000Z");
        assert_eq!(
            iso(&berlin, "2024-03-31 02:30").unwrap_err(),
            "does not exist: clocks went forward then in Europe/Berlin"
        );
        assert_eq!(
            iso(&berlin, "2024-10-27 02:30").unwrap_err(),
            "exists twice: clocks went back then in Europe/Berlin"
        );
    }

    #[test]
    fn a_format_that_reads_no_date_is_refused() {
        for format in ["tomorrow", "%H:%M", "%Y-%m", "%Q!%"] {
            assert!(Format::parse(format).is_err(), "{format}");
        }
        assert!(Format::parse("%Y-%m-%d").unwrap().needs_zone());
        assert!(!Format::parse("%Y-%m-%dT%H:%M:%S%:z").unwrap().needs_zone());
    }

    proptest! {
        #[test]
        fn an_iso_time_read_fast_is_the_one_that_the_calendar_reads(
            date in "[0-9]{3}[0-9-]-[01][0-9]-[0-3][0-9]", time in "T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]",
            tail in "(\\.[0-9:]{3})?(Z|z|)",
        ) {
            let text = format!("{date}{time}{tail}");
            if let Some(ours) = Civil::of_iso(text.as_bytes()) {
                let oracle = text.parse::<Timestamp>().map(Civil::of_timestamp);
                prop_assert_eq!(Some(ours), oracle.ok());
                let sent = String::from_utf8(ours.iso().unwrap().as_bytes().to_vec()).unwrap();
                prop_assert_eq!(sent.parse::<Timestamp>().unwrap().as_millisecond(), ours.unix_ms());
                let given = TimeRule::iso().as_sent(&text).expect("it is nearly as it is sent");
                prop_assert_eq!(given.as_bytes(), sent.as_bytes());
                if tail.len() == 5 {
                    prop_assert_eq!(sent, text);
                }
            } else {
                prop_assert!(TimeRule::iso().as_sent(&text).is_none());
            }
        }

        #[test]
        fn the_fast_way_agrees_with_the_calendar(
            year in 0i64..=9999, month in 0u32..=14, day in 0u32..=33, hour in 0u32..=25, minute in 0u32..=61, second in 0u32..=62,
        ) {
            let text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
            let format = "%Y-%m-%d %H:%M:%S";
            let oracle = BrokenDownTime::parse(format, &text).and_then(|parsed| parsed.to_datetime());
            let ours = fixed(&tokens(format).unwrap(), text.as_bytes());
            match (ours, oracle) {
                (Some(ours), Ok(oracle)) => {
                    prop_assert_eq!(ours, Civil::of(oracle));
                    let instant = TimeZone::UTC.to_timestamp(oracle).unwrap();
                    prop_assert_eq!(ours.unix_ms(), instant.as_millisecond());
                    prop_assert_eq!(Civil::of_timestamp(instant), ours);
                }
                // A leap second is the calendar's to decide.
                (None, Ok(_)) => prop_assert_eq!(second, 60),
                (None, Err(_)) => {}
                (Some(ours), Err(error)) => prop_assert!(false, "{:?} {}", ours, error),
            }
        }
    }
}
