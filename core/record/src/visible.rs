//! Makes text safe to look at: control characters become visible marks. Everything that is printed anywhere (terminal, page,
//! CSV, log) and that a model, a dataset, a plugin or a recording wrote goes through here.
//!
//! Escaping keeps markup from becoming markup; this keeps a completion from driving the terminal it is shown in, and from
//! reordering the text around it.

use std::borrow::Cow;
use std::fmt::Write as _;

use driftgauge_spelling::is_invisible;

/// Replaces control characters by their visible pictures (`ESC` by `␛`), and characters that reorder or hide text by
/// `⟨U+202E⟩` marks. Line feeds and tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    replaced(text, is_hidden)
}

/// As [`visible`], on one line: line feeds and tabs become pictures as well. For names, ids and cells of a table.
#[must_use]
pub fn visible_line(text: &str) -> Cow<'_, str> {
    replaced(text, |c| is_hidden(c) || matches!(c, '\n' | '\t'))
}

fn replaced(text: &str, hide: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hide) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            _ if !hide(c) => out.push(c),
            // The block of control pictures mirrors the control characters.
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "\u{27e8}U+{:04X}\u{27e9}", c as u32)),
        }
    }
    Cow::Owned(out)
}

/// JSON text with the same characters escaped, which changes no value: outside of strings JSON has none of them.
#[must_use]
pub fn visible_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_hidden) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A cell that no spreadsheet takes for a formula: visible, and with an apostrophe before a first character that would begin
/// one. Numbers stay numbers.
#[must_use]
pub fn spreadsheet_cell(text: &str) -> Cow<'_, str> {
    let shown = visible(text);
    // Spreadsheets look past blanks, and read the full-width forms as well.
    let start = shown.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{2409}');
    let begins = start.starts_with([
        '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\u{240d}', '|', '%',
    ]);
    if begins && !is_number(&shown) {
        Cow::Owned(format!("'{shown}"))
    } else {
        shown
    }
}

/// Plain decimals only: what Rust takes for a number besides (`inf`, `+nan`) is a word to a spreadsheet.
fn is_number(text: &str) -> bool {
    let digits = text
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'));
    digits && text.parse::<f64>().is_ok()
}

fn is_hidden(c: char) -> bool {
    // Line separators, and what is no character beside those that take no room; variation selectors of pictures are seen.
    matches!(c,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}'
        | '\u{fff0}'..='\u{fff8}' | '\u{fffe}' | '\u{ffff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
        || is_invisible(c) && !('\u{fe00}'..='\u{fe0f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_codes_become_visible() {
        assert_eq!(visible("a\u{1b}[31mred\u{7}\n\tb"), "a␛[31mred␇\n\tb");
        assert_eq!(visible("x\u{202e}y\u{9b}"), "x⟨U+202E⟩y⟨U+009B⟩");
        // No XML, and so no JUnit file, may hold these.
        assert_eq!(visible("\u{fffe}\u{ffff}"), "⟨U+FFFE⟩⟨U+FFFF⟩");
        assert_eq!(visible_line("a\nb\tc\r"), "a␊b␉c␍");
        assert!(matches!(visible("plain – text, 日本, é"), Cow::Borrowed(_)));
    }

    #[test]
    fn every_control_and_format_character_is_seen() {
        // The Cc range whole, and samples of Cf and of the ignorable characters beside it.
        let controls = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
        let formats = "\u{ad}\u{600b}\u{200b}\u{200e}\u{202a}\u{2066}\u{feff}\u{e0041}\u{e0100}\u{1d173}\u{180e}";
        for c in controls.chain(formats.chars().filter(|c| *c != '\u{600b}')) {
            let text = format!("a{c}b");
            assert!(
                !visible_line(&text).contains(c),
                "U+{:04X} stays hidden",
                c as u32
            );
        }
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({"a": "x\u{202e}y\u{1b}\u{e0041}\n", "b\u{9b}": [1.5]});
        let text = value.to_string();
        let shown = visible_json(&text);
        assert!(!shown.chars().any(is_hidden));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in [
            "=cmd|' /C calc'!A0",
            "+1+1",
            "-2+3",
            "@SUM(A1)",
            " =1",
            "\t=1",
            "\r=1",
            "\u{ff1d}1",
            "-",
            "+inf",
        ] {
            let cell = spreadsheet_cell(text);
            assert!(cell.starts_with('\''), "{text:?}: {cell:?}");
        }
        for number in ["-1.5", "+2", "1e-9", "-0.25E+3", "12", "plain", ""] {
            assert_eq!(spreadsheet_cell(number), number);
        }
    }
}
