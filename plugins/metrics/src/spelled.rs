//! Spellings of one text: what a keyboard, a typesetter or a tokenizer writes in several ways is held against an answer as one. Of plain
//! ASCII text only the letter case is folded, so the published rules find in it what they always did.

use icu_normalizer::ComposingNormalizerBorrowed;

/// A text in small letters, with an accented letter as one character (NFC), and with ASCII's own characters for full-width ones, for
/// spaces such as the non-breaking one, for curly quotes and for hyphens. Characters that take no room are left out.
#[must_use]
pub(crate) fn alike(text: &str) -> String {
    let lower = text.to_lowercase();
    if lower.is_ascii() {
        return lower;
    }
    let plain: String = lower.chars().filter_map(plain).collect();
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(&plain)
        .into_owned()
}

/// The character of ASCII that a character is a spelling of, or itself; none of one that takes no room.
fn plain(c: char) -> Option<char> {
    Some(match c {
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}' => {
            return None;
        }
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{2032}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201f}' | '\u{2033}' => '"',
        '\u{2010}' | '\u{2011}' | '\u{2212}' => '-',
        // Of a full-width letter the small one stands here.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c if !c.is_ascii() && c.is_whitespace() => ' ',
        c => c,
    })
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
