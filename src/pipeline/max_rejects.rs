//! When so many rows are rejected that the run had better stop.

use std::str::FromStr;

/// A bound on rejects: a number, or a share of the rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxRejects {
    /// This many.
    Number(u64),
    /// This share of the rows read, 0 to 1; looked at from [`MaxRejects::SHARE_ROWS_MIN`] rows on.
    Share(f64),
}

/// A bound that is neither a number nor a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a number of rejects (100) nor a share of the rows (5%)")]
pub struct NoBound(String);

impl MaxRejects {
    /// A share says nothing over fewer rows.
    pub const SHARE_ROWS_MIN: u64 = 1000;

    /// Whether so many rejects of so many rows pass the bound. A share is looked at however few the rows are.
    pub fn is_passed(&self, rejects: u64, rows: u64) -> bool {
        match *self {
            Self::Number(max) => rejects > max,
            Self::Share(max) => rejects as f64 > max * rows as f64,
        }
    }

    /// Says so where the bound is passed.
    pub(super) fn passed(&self, rejects: u64, rows: u64) -> Option<String> {
        match *self {
            Self::Number(max) => (rejects > max).then(|| format!("{rejects}, and {max} are allowed")),
            Self::Share(max) => (rows >= Self::SHARE_ROWS_MIN && rejects as f64 > max * rows as f64)
                .then(|| format!("{rejects} of {rows} rows, and {} % are allowed", max * 100.0)),
        }
    }
}

impl FromStr for MaxRejects {
    type Err = NoBound;

    fn from_str(text: &str) -> Result<Self, NoBound> {
        let none = || NoBound(text.to_owned());
        match text.trim().strip_suffix('%') {
            Some(share) => match share.trim().parse::<f64>() {
                Ok(share) if (0.0..=100.0).contains(&share) => Ok(Self::Share(share / 100.0)),
                _ => Err(none()),
            },
            None => text.trim().parse().map(Self::Number).map_err(|_| none()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_number_or_a_share() {
        assert_eq!("100".parse(), Ok(MaxRejects::Number(100)));
        assert_eq!("5 %".parse(), Ok(MaxRejects::Share(0.05)));
        for text in ["", "-1", "5.5", "101%", "many"] {
            assert!(text.parse::<MaxRejects>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_waits_for_enough_rows() {
        let max = MaxRejects::Share(0.05);
        assert!(max.passed(999, 999).is_none());
        assert!(max.passed(50, 1000).is_none());
        assert!(max.passed(51, 1000).is_some());
        assert!(MaxRejects::Number(3).passed(4, 4).is_some());
    }
}
