//! What no expression can hold: minijinja takes `}}` for the end of it, and has nothing to go on in after that.

/// Why a text is no expression, where that is known before it is compiled: what ends a template stands outside of strings and
/// brackets.
#[must_use]
pub fn ends_early(expression: &str) -> Option<&'static str> {
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
