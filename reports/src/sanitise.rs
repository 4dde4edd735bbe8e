//! Makes text safe to look at: control characters become visible marks.
//!
//! Escaping keeps markup from becoming markup; this keeps a completion from driving the terminal into which somebody
//! pastes it, and from reordering the text around it.

use std::borrow::Cow;

/// Replaces control characters by their visible pictures (`ESC` by `␛`), and characters that reorder or hide text by
/// `⟨U+202E⟩` marks. Line feeds and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            _ if !is_hidden(c) => out.push(c),
            // The block of control pictures mirrors the control characters.
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            _ => out.push_str(&format!("\u{27e8}U+{:04X}\u{27e9}", c as u32)),
        }
    }
    Cow::Owned(out)
}

fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Marks of direction, zero-width characters, line separators, byte order mark, tags.
        | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A name that is safe in an element id and a file name: lower-case letters, digits and dashes.
pub(crate) fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    let out = out.trim_end_matches('-');
    if out.is_empty() {
        "x".to_owned()
    } else {
        out.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_codes_become_visible() {
        assert_eq!(visible("a\u{1b}[31mred\u{7}\n\tb"), "a␛[31mred␇\n\tb");
        assert_eq!(visible("x\u{202e}y\u{9b}"), "x⟨U+202E⟩y⟨U+009B⟩");
        assert!(matches!(visible("plain – text"), Cow::Borrowed(_)));
    }

    #[test]
    fn slugs_hold_no_path() {
        assert_eq!(slug("Knowledge drift/../é\"x"), "knowledge-drift-x");
        assert_eq!(slug("../"), "x");
    }
}
