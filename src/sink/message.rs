//! The API's words without the values that they quote: those are customers' data.

/// Where a value begins in the messages of GraphQL servers, and where it may end; else the message ends with it.
///
/// Source: graphql-js 16, `coerceInputValue`, the scalars' and enums' `parseValue`, 2026.
const QUOTING: [(&str, &[&str]); 6] = [
    ("got invalid value ", &[" at \"input", " at \"events", "; "]),
    ("cannot represent value: ", &["; "]),
    ("cannot represent non-integer value: ", &["; "]),
    ("cannot represent a non string value: ", &["; "]),
    ("cannot represent non-string value: ", &["; "]),
    ("cannot represent non numeric value: ", &["; "]),
];

/// `message` with `…` for each value that it quotes.
pub(super) fn without_values(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((begin, ends)) = first_value(rest) {
        let value = &rest[begin..];
        // The last of the ends: a value may hold one, and what is lost with it is less than what would be told.
        let end = ends.iter().find_map(|end| value.rfind(end)).unwrap_or(value.len());
        kept.push_str(&rest[..begin]);
        kept.push('…');
        rest = &value[end..];
    }
    kept.push_str(rest);
    let Some(begin) = kept.find("Value \"").map(|at| at + "Value \"".len()) else { return kept };
    if let Some(end) = kept[begin..].rfind("\" does not exist in \"") {
        kept.replace_range(begin..begin + end, "…");
    }
    kept
}

/// Where the first value of a message begins, and what may end it.
fn first_value(message: &str) -> Option<(usize, &'static [&'static str])> {
    let found = QUOTING.iter().filter_map(|(before, ends)| Some((message.find(before)? + before.len(), *ends)));
    found.min_by_key(|(begin, _)| *begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_graphql_server_quotes_are_left_out_and_their_places_stay() {
        for (message, told) in [
            (
                r#"Variable "$input" got invalid value "ada@example.com" at "input.customers[3].email"; Expected a String."#,
                r#"Variable "$input" got invalid value … at "input.customers[3].email"; Expected a String."#,
            ),
            (
                r#"Variable "$input" got invalid value { name: "; at " }; Field "customerId" was not provided."#,
                r#"Variable "$input" got invalid value …; Field "customerId" was not provided."#,
            ),
            (
                r#"Variable "$input" got invalid value "a" at "input.x"; Int cannot represent non-integer value: "ada""#,
                r#"Variable "$input" got invalid value … at "input.x"; Int cannot represent non-integer value: …"#,
            ),
            (
                r#"Value "ada" does not exist in "BillingPeriod" enum."#,
                r#"Value "…" does not exist in "BillingPeriod" enum."#,
            ),
            ("Customer cus_1 not found", "Customer cus_1 not found"),
        ] {
            assert_eq!(without_values(message), told);
        }
    }
}
