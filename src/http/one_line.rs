//! What a server says, made safe to show.

/// `text` in one line of at most `chars_max` characters. Control characters become blanks: what a server says must not
/// reach a terminal as a command.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(chars_max));
    let mut chars = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    kept.extend(chars.by_ref().take(chars_max));
    if chars.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_bounded_line() {
        assert_eq!(one_line(" a\nb\u{1b}[31m ", 500), "a b [31m");
        let long = one_line(&"ß".repeat(900), 500);
        assert_eq!(long.chars().count(), 500);
        assert!(long.ends_with('…'));
        assert_eq!(one_line(&"x".repeat(500), 500), "x".repeat(500));
    }
}
