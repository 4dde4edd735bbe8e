//! What no expression can hold: minijinja takes `}}` for the end of it, and has nothing to go on in after that.

/// Why a text is no expression, where that is known before it is compiled: what ends a template stands outside of strings and
/// brackets.
#[must_use]
pub fn ends_early(expression: &str) -> Option<&'static str> {
    if is_too_deep(expression, true) {
        return Some("too many brackets stand within one another");
    }
    let bytes = expression.as_bytes();
    let (mut at, mut depth) = (0, 0_i64);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            quote @ (b'"' | b'\'') => at = end_of_string(bytes, at, quote),
            b'(' | b'[' | b'{' => depth += 1,
            b'}' if depth == 0 && bytes.get(at + 1) == Some(&b'}') => {
                return Some("`}}` ends a template; an expression stands without braces around it");
            }
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Brackets within brackets that a template or expression may have: each costs the compiler, which calls itself, some of its stack.
const DEEPEST: usize = 50;

/// Whether brackets stand deeper within one another than can be compiled; those of the text around `{{ }}` and `{% %}` do not
/// count.
#[must_use]
pub fn is_too_deep(text: &str, is_expression: bool) -> bool {
    let bytes = text.as_bytes();
    let (mut within, mut depth) = (is_expression, 0_usize);
    for (at, &byte) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1);
        match byte {
            b'{' if !within && matches!(next, Some(b'{' | b'%')) => (within, depth) = (true, 0),
            b'}' | b'%' if !is_expression && depth <= 2 && next == Some(&b'}') => within = false,
            b'(' | b'[' | b'{' if within => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}

/// Where the string that begins at `at` ends.
fn end_of_string(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            _ if byte == quote => break,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_brackets_are_told_and_those_of_plain_text_are_not() {
        let open = "[".repeat(80);
        for (text, is_expression, deep) in [
            (format!("a{open}"), true, true),
            (format!("{{{{ a{open} }}}}"), false, true),
            (format!("{{% if a{open} %}}"), false, true),
            (format!("{{{{ a }}}} {open} {{{{ b }}}}"), false, false),
            (open.clone(), false, false),
            ("{{ a[b[c({1: {2: 3}})]] }}".to_owned(), false, false),
            ("[a] ".repeat(80), true, false),
        ] {
            assert_eq!(is_too_deep(&text, is_expression), deep, "{text}");
        }
    }

    #[test]
    fn only_what_ends_a_template_is_refused() {
        for text in ["a }} b", "a -}} b", "}}", "{a: 1}}} b", "'x' }} y"] {
            assert!(ends_early(text).is_some(), "{text}");
        }
        for text in [
            "a == \"}}\" and b",
            "'it\\'s }}' == a",
            "{\"a\": {\"b\": 1}}.a.b",
            "[{1: 2}][0]",
            "a % b",
            "",
            "\"never closed }}",
        ] {
            assert_eq!(ends_early(text), None, "{text}");
        }
    }
}
