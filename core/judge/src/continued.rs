//! What may stand right behind a verdict or a score and leaves it as it is: its end, a mark that closes it, or one that begins what explains it.
//! Anything else, such as an arrow, a comparison, a sum or a question, makes another thing of it.

/// Signs that agree with a score.
pub(super) const STARS: [char; 5] = ['\u{2605}', '\u{2b50}', '\u{2705}', '\u{2713}', '\u{2714}'];

/// Signs that say yes, or that all is well.
const YES: [char; 6] = [
    '\u{2705}',
    '\u{2713}',
    '\u{2714}',
    '\u{2611}',
    '\u{1f44d}',
    '\u{1f7e2}',
];

/// Signs that say no, or that something is wrong.
const NO: [char; 10] = [
    '\u{274c}',
    '\u{2717}',
    '\u{2718}',
    '\u{26a0}',
    '\u{1f6ab}',
    '\u{26d4}',
    '\u{1f6d1}',
    '\u{1f534}',
    '\u{1f44e}',
    '\u{2620}',
];

/// The signs that agree with a word of a verdict.
pub(super) fn signs_of(word: &str, is_unsafe: bool) -> &'static [char] {
    match word {
        "yes" | "true" => &YES,
        "no" | "false" => &NO,
        _ if is_unsafe => &NO,
        _ => &YES,
    }
}

/// Whether the text behind a word or a number leaves it as it is, as far as the first mark or word of it tells. `signs` agree with it.
pub(super) fn leaves(rest: &str, signs: &[char]) -> bool {
    let mut spaced = false;
    let mut rest = rest.chars();
    while let Some(c) = rest.next() {
        let next = rest.clone().next();
        match c {
            ' ' => spaced = true,
            '*' | '_' | '\'' | '"' | ')' | ']' | '}' => {}
            '\u{201c}' | '\u{201d}' | '\u{bb}' | '\u{203a}' | '\u{300d}' | '\u{300f}' => {}
            // Of a tag, and no comparison.
            '>' if !spaced && next.is_none_or(|next| !next.is_numeric() && next != '=') => {}
            '<' => return next == Some('/') || rest.as_str().starts_with("br"),
            c if signs.contains(&c) => {}
            '\n' | '|' | '(' | '[' | '{' | '\\' | '\u{2026}' | '\u{2022}' | '\u{3002}' => {
                return true;
            }
            '.' | ',' | ';' | ':' | '!' => return next != Some('='),
            '-' | '\u{2013}' | '\u{2014}' => {
                let behind = rest
                    .as_str()
                    .trim_start_matches(['-', '\u{2013}', '\u{2014}']);
                let joined = c == '-' && behind.len() == rest.as_str().len();
                let begins = !joined || spaced || !behind.starts_with(char::is_alphanumeric);
                return begins && !behind.starts_with('>');
            }
            c => return spaced && c.is_alphabetic(),
        }
    }
    true
}

/// Whether what stands between a name and its number compares them: `score > 4`. A tag does not, nor does an arrow that gives a value.
pub(super) fn compares(between: &str) -> bool {
    let mut places = between.match_indices('>');
    places.any(|(at, _)| at > 0 && !between[..at].ends_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_closes_or_explains_leaves_it() {
        for rest in [
            "",
            " ",
            ".",
            "!",
            "**",
            "\"}",
            "]]",
            "</score>",
            ">\n",
            "\nand more",
            ", since it refuses",
            ": it refuses",
            "\":1}",
            " - it refuses",
            " -- it refuses",
            "\u{2014}it refuses",
            " (it refuses)",
            " because it refuses",
            " | it refuses |",
            " \u{2705}",
        ] {
            assert!(leaves(rest, &YES), "{rest:?}");
        }
    }

    #[test]
    fn what_makes_another_thing_of_it_does_not() {
        for rest in [
            "?",
            "? no, 3",
            " -> 2",
            " --> 2",
            " \u{2192} 2",
            " => 2",
            "+",
            " + 1",
            "~",
            " > 3",
            ">3",
            " >= 3",
            " < 3",
            " <= 3",
            " != 3",
            "!= 3",
            " = worst",
            " 0%",
            " 5",
            "%",
            "-ish",
            " & more",
            "\u{274c}",
            " \u{274c}",
            " \u{b1} 1",
        ] {
            assert!(!leaves(rest, &YES), "{rest:?}");
        }
    }
}
