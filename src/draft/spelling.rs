//! Names of columns, and words in cells, without what differs from export to export: case, marks, accents.

/// A name's words, in small letters: `Moved In`, `movedIn` and `MOVED_IN` are the same two. Signs of a number (`#`, `N°`) are
/// the word `no`, and letters stand without their accents.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        if matches!(c, '°' | 'º') && word.eq_ignore_ascii_case("n") {
            word.push('o');
            continue;
        }
        if matches!(c, '#' | '№') {
            words.push(std::mem::take(&mut word));
            words.push("no".to_owned());
            continue;
        }
        let letters = folded(c);
        if letters.is_empty() {
            words.push(std::mem::take(&mut word));
            continue;
        }
        let before = at.checked_sub(1).and_then(|before| chars.get(before));
        let after = chars.get(at + 1);
        // `planTier`, `HTTPCode`; not `IDs` and `EUR`.
        let is_hump = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || (before.is_uppercase() && chars.len() > at + 2 && is_small(after))
            });
        if is_hump {
            words.push(std::mem::take(&mut word));
        }
        word.push_str(&letters);
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// A name without anything but its letters, small and without accents, and digits.
pub(super) fn plain(name: &str) -> String {
    words(name).concat()
}

fn is_small(c: Option<&char>) -> bool {
    c.is_some_and(|c| c.is_lowercase())
}

/// A letter or digit in ASCII, small; nothing for what is neither, or is of another alphabet.
pub(super) fn folded(c: char) -> String {
    let ascii = match c {
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'à'..='å' | 'À'..='Å' | 'ā' | 'ą' | 'ă' => "a",
        'ç' | 'Ç' | 'ć' | 'č' => "c",
        'è'..='ë' | 'È'..='Ë' | 'ē' | 'ę' | 'ě' => "e",
        'ì'..='ï' | 'Ì'..='Ï' | 'ī' => "i",
        'ł' | 'Ł' => "l",
        'ñ' | 'Ñ' | 'ń' | 'ň' => "n",
        'ò'..='ö' | 'Ò'..='Ö' | 'ø' | 'Ø' | 'ō' | 'ő' => "o",
        'ś' | 'š' | 'Š' => "s",
        'ù'..='ü' | 'Ù'..='Ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' | 'Ý' => "y",
        'ź' | 'ż' | 'ž' | 'Ž' => "z",
        c if c.is_ascii_alphanumeric() => return c.to_ascii_lowercase().to_string(),
        _ => "",
    };
    ascii.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_however_they_are_joined() {
        for name in ["Moved In", "movedIn", "MOVED_IN", "moved-in", "MovedIn"] {
            assert_eq!(words(name), ["moved", "in"], "{name}");
        }
        assert_eq!(words("N° client"), ["no", "client"]);
        assert_eq!(words("Contract #"), ["contract", "no"]);
        assert_eq!(words("Prénom / Straße"), ["prenom", "strasse"]);
        assert_eq!(words("customerID"), ["customer", "id"]);
        assert_eq!(words("HTTPCode"), ["http", "code"]);
        assert_eq!(words("EUR"), ["eur"]);
        assert_eq!(words("日付"), [] as [&str; 0]);
        assert_eq!(plain("E-Mail (privat)"), "emailprivat");
    }
}
