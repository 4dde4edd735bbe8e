//! Words of an answer: where they end, and what around them says nothing.

/// What follows a word at the head of a text. The word has to end there: `no` is not the head of `not`, `no-one`, `1` not of
/// `1.5` or `1/5`.
pub(super) fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    let mut next = rest.chars();
    let (first, second) = (next.next(), next.next());
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let joined = match first {
        Some('-' | '\'' | '_' | '/' | '\u{2010}' | '\u{2011}') => letter(second),
        Some('.' | ',' | ':') => {
            word.ends_with(char::is_numeric) && second.is_some_and(char::is_numeric)
        }
        Some('%') => word.ends_with(char::is_numeric),
        first => letter(first),
    };
    (!joined).then_some(rest)
}

/// Characters that say nothing around a word.
pub(super) fn marks(c: char) -> bool {
    !c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_words() {
        assert_eq!(after_word("1", "1"), Some(""));
        assert_eq!(after_word("1.", "1"), Some("."));
        for text in ["1.5", "1/5", "10", "1%", "1,5"] {
            assert_eq!(after_word(text, "1"), None, "{text}");
        }
    }
}
