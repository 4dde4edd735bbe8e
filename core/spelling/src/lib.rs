//! Spellings of one text: what a keyboard, a typesetter or a tokenizer writes in several ways is held against a word or an answer as one.
//! Of plain ASCII text only the letter case is folded, so published rules find in it what they always did.

use icu_normalizer::ComposingNormalizerBorrowed;

/// A text in small letters, with an accented letter as one character (NFC), and with ASCII's own characters for full-width ones, for
/// spaces such as the non-breaking one, for curly quotes and for hyphens. Characters that take no room are left out.
#[must_use]
pub fn alike(text: &str) -> String {
    let lower = text.to_lowercase();
    if lower.is_ascii() {
        return lower;
    }
    composed(lower.chars().filter(|c| !is_invisible(*c)).map(plain))
}

/// Characters as a text whose accented letters are one character each (NFC).
#[must_use]
pub fn composed(characters: impl Iterator<Item = char>) -> String {
    let text: String = characters.collect();
    if text.is_ascii() {
        return text;
    }
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(&text)
        .into_owned()
}

/// The character of ASCII that a character is a spelling of, or itself.
#[must_use]
pub fn plain(c: char) -> char {
    match c {
        c if c.is_ascii() => c,
        '\u{b4}'
        | '\u{2b9}'
        | '\u{2bb}'..='\u{2bd}'
        | '\u{2c8}'
        | '\u{2ca}'
        | '\u{2cb}'
        | '\u{55a}'
        | '\u{5f3}'
        | '\u{7f4}'
        | '\u{7f5}'
        | '\u{1fbd}'
        | '\u{1fbf}'
        | '\u{1fef}'
        | '\u{1ffd}'
        | '\u{1ffe}'
        | '\u{2018}'..='\u{201b}'
        | '\u{2032}'
        | '\u{2035}'
        | '\u{275b}'
        | '\u{275c}'
        | '\u{a78c}' => '\'',
        '\u{2ba}' | '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{2036}' | '\u{275d}' | '\u{275e}' => {
            '"'
        }
        '\u{2010}' | '\u{2011}' | '\u{2212}' => '-',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

/// Characters that take no room: zero-width ones, byte order marks, direction marks, soft hyphens.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_alike_and_other_texts_are_not() {
        for (one, other) in [
            ("Caf\u{e9}", "cafe\u{301}"),
            ("\u{c9}COLE", "e\u{301}cole"),
            ("\u{ff14}\u{ff12}", "42"),
            ("\u{ff21}", "a"),
            ("10\u{a0}km", "10 km"),
            ("10\u{202f}km", "10 km"),
            ("O\u{2019}Brien", "o'brien"),
            ("\u{201c}x\u{201d}", "\"x\""),
            ("\u{2212}5", "-5"),
            ("well\u{2011}known", "well-known"),
            ("new\u{200b}york", "newyork"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
        ] {
            assert_eq!(alike(one), alike(other), "{one} {other}");
        }
        for (one, other) in [
            ("caf\u{e9}", "cafe"),
            ("10\u{b2}", "102"),
            ("\u{bd}", "1/2"),
            ("1\u{2013}5", "1-5"),
            ("stra\u{df}e", "strasse"),
        ] {
            assert_ne!(alike(one), alike(other), "{one} {other}");
        }
        let ascii: String = (0..128_u8).map(char::from).collect();
        assert_eq!(alike(&ascii), ascii.to_lowercase());
    }
}
