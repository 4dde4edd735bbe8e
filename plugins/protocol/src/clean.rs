//! Text of a plugin on its way to a terminal, a log or a page: no character of it acts, and none of it is endless.

/// Characters that move the cursor, change colours, or reorder what stands beside them.
#[must_use]
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Characters that no text of a plugin may have: those that move a cursor or turn the order of what follows them around. New
/// lines and tabs are layout, and the marks of direction belong to scripts that need them.
#[must_use]
pub fn disturbs(c: char) -> bool {
    let marks = matches!(
        c,
        '\n' | '\t' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
    );
    acts(c) && !marks
}

/// The text with such characters written as escapes, new lines and tabs apart, cut after `longest` bytes.
#[must_use]
pub fn clean(text: &str, longest: usize) -> String {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = String::with_capacity(end);
    for c in text[..end].chars() {
        if acts(c) && c != '\n' && c != '\t' {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    if end < text.len() {
        out.push_str(&format!("... ({} more bytes)", text.len() - end));
    }
    out
}

/// As [`clean`], on one line.
#[must_use]
pub fn clean_line(text: &str, longest: usize) -> String {
    clean(text, longest).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_written_and_what_is_long_is_cut() {
        assert_eq!(clean("a\u{1b}[31m\n\tb", 99), "a\\u{1b}[31m\n\tb");
        assert_eq!(clean("\u{202e}x\r", 99), "\\u{202e}x\\u{d}");
        assert_eq!(clean("h\u{e4}\u{df}lich", 2), "h... (8 more bytes)");
        assert_eq!(clean_line("a\nb", 99), "a b");
    }
}
