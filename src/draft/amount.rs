//! Amounts of money: in currency units, or in cents?

use super::digits::{self, Digits};
use super::sample::ColumnSample;
use super::spelling::plain;

/// In what an amount is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Euros, dollars.
    Whole,
    /// Their hundredth.
    Cents,
}

/// How the amounts of a column are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) unit: Unit,
    /// Whether that can't be otherwise.
    pub(super) is_sure: bool,
    pub(super) digits: Digits,
}

/// Currencies without a hundredth. Source: ISO 4217, and Stripe's list of zero-decimal currencies, 2026.
const WITHOUT_CENTS: [&str; 15] =
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF"];

/// How the amounts of a column are written; none where it holds no amounts. `currencies`: the column of their currencies.
pub(super) fn of(column: &ColumnSample, currencies: Option<&ColumnSample>) -> Option<Amounts> {
    let digits = digits::of(column)?;
    let has_fraction = column.cells.iter().any(|cell| cell.contains(digits.decimal));
    let is_money = has_fraction || digits.has_sign() || digits.thousands.is_some();
    let sure = |unit| Some(Amounts { unit, is_sure: true, digits: digits.clone() });
    let name = plain(&column.name);
    if currencies.is_some_and(|column| column.mostly(|cell| WITHOUT_CENTS.contains(&cell.to_uppercase().as_str()))) {
        return sure(Unit::Whole);
    }
    if ["cents", "pence", "minor", "subunit"].iter().any(|word| name.contains(word)) {
        return sure(Unit::Cents);
    }
    if is_money {
        return sure(Unit::Whole);
    }
    // Prices end with round cents: 4900, 1999, 950.
    let cents = column.mostly(|cell| {
        cell == "0" || (cell.len() > 2 && ["00", "99", "95", "50", "90", "49"].iter().any(|end| cell.ends_with(end)))
    });
    Some(Amounts { unit: if cents { Unit::Cents } else { Unit::Whole }, is_sure: false, digits })
}

/// Whether a column can't be but amounts of money: they have fractions or a currency's sign.
pub(super) fn is_money(column: &ColumnSample) -> bool {
    of(column, None).is_some_and(|amounts| {
        amounts.digits.has_sign() || column.cells.iter().any(|cell| cell.contains(amounts.digits.decimal))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, cells: &[&str]) -> ColumnSample {
        ColumnSample {
            name: name.into(),
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
            ..ColumnSample::default()
        }
    }

    #[test]
    fn the_unit_of_amounts_is_told_by_name_fraction_and_currency_and_else_guessed() {
        let amounts = |unit, is_sure| Some((unit, is_sure));
        let of = |column: &ColumnSample, currencies: Option<&ColumnSample>| {
            of(column, currencies).map(|amounts| (amounts.unit, amounts.is_sure))
        };
        assert_eq!(of(&column("price_cents", &["4900"]), None), amounts(Unit::Cents, true));
        assert_eq!(of(&column("price", &["49.00", "9"]), None), amounts(Unit::Whole, true));
        assert_eq!(of(&column("price", &["4900"]), Some(&column("cur", &["jpy"]))), amounts(Unit::Whole, true));
        assert_eq!(
            of(&column("price", &["4900", "1999"]), Some(&column("cur", &["eur"]))),
            amounts(Unit::Cents, false)
        );
        assert_eq!(of(&column("price", &["49", "19"]), None), amounts(Unit::Whole, false));
        assert_eq!(of(&column("Preis", &["49,00", "9,50"]), None), amounts(Unit::Whole, true));
        assert_eq!(of(&column("price", &["$1,200", "$900"]), None), amounts(Unit::Whole, true));
        assert_eq!(of(&column("price", &["much"]), None), None);
        assert_eq!(of(&column("price", &[]), None), None);
    }
}
