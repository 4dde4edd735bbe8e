//! When an answer counts as correct.

use std::sync::LazyLock;

use driftgauge_spelling::alike;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

/// A run of letters and numbers.
static WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}]+").expect("a pattern that compiles"));

/// How an answer is held against the accepted ones; the best of several references counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// A reference occurs anywhere in the answer, whatever the case (the rule of arXiv 2409.19476), inside a word or a number as well:
    /// `1` in `10`, `no` in `know`. Accents, full-width characters, spaces, quotes and hyphens may be spelled otherwise in Unicode.
    #[default]
    Substring,
    /// As `substring`, but no letter or digit stands beside it.
    Words,
    /// The answer is a reference, but for case, white space around it and spellings as in `substring`.
    Exact,
    /// Token F1 after TriviaQA's normalisation: a score between 0 and 1. That is the script's, which knows no other spellings.
    F1,
    /// The answer equals a reference after TriviaQA's normalisation.
    Triviaqa,
}

impl Match {
    /// The rules that are shown beside the one that is asked for.
    pub const ALL: [Self; 4] = [Self::Substring, Self::Exact, Self::F1, Self::Triviaqa];

    /// Its name in configurations and results.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Substring => "substring",
            Self::Words => "words",
            Self::Exact => "exact",
            Self::F1 => "f1",
            Self::Triviaqa => "triviaqa",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Substring => "substring",
            Self::Words => "whole words",
            Self::Exact => "exact match",
            Self::F1 => "token F1",
            Self::Triviaqa => "TriviaQA match",
        }
    }

    /// Score of `answer` in [0, 1]; 0 without references, and of an answer without a word: it may be equal to a reference of
    /// which normalisation leaves nothing, but names none.
    #[must_use]
    pub fn score(self, answer: &str, references: &[&str]) -> f64 {
        if answer.trim().is_empty() {
            return 0.0;
        }
        let matches = |hit: bool| f64::from(u8::from(hit));
        match self {
            Self::Substring => {
                let answer = alike(answer);
                // An empty reference would be a part of every answer.
                let mut named = references.iter().map(|reference| alike(reference));
                matches(named.any(|reference| !reference.is_empty() && answer.contains(&reference)))
            }
            Self::Words => {
                let answer = alike(answer);
                let mut named = references.iter();
                matches(named.any(|reference| stands_in(&alike(reference), &answer)))
            }
            Self::Exact => {
                let answer = alike(answer);
                let answer = answer.trim();
                let mut named = references.iter();
                // Of characters that take no room nothing is left.
                matches(
                    !answer.is_empty() && named.any(|reference| alike(reference).trim() == answer),
                )
            }
            Self::Triviaqa => {
                let answer = normalise(answer);
                matches(
                    references
                        .iter()
                        .any(|reference| normalise(reference) == answer),
                )
            }
            Self::F1 => {
                let answer = normalise(answer);
                let best = references
                    .iter()
                    .map(|reference| token_f1(&answer, &normalise(reference)));
                best.fold(0.0, f64::max)
            }
        }
    }

    /// The rule as a formula.
    #[must_use]
    pub fn formula(self) -> &'static str {
        match self {
            Self::Substring => {
                "mean over prompts of 1[a reference occurs in the answer, ignoring case]"
            }
            Self::Words => {
                "mean over prompts of 1[a reference occurs in the answer as whole words, ignoring case]"
            }
            Self::Exact => {
                "mean over prompts of 1[answer = a reference, ignoring case and outer white space]"
            }
            Self::F1 => {
                "mean over prompts of max over references of token F1, TriviaQA normalisation"
            }
            Self::Triviaqa => {
                "mean over prompts of 1[answer = a reference after TriviaQA normalisation]"
            }
        }
    }
}

/// Whether a text stands in another one with no letter or digit beside it. An end of its own that is neither has no border.
fn stands_in(reference: &str, answer: &str) -> bool {
    let goes_on = |own: Option<char>, next: Option<char>| {
        own.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric)
    };
    !reference.is_empty()
        && answer.match_indices(reference).any(|(at, _)| {
            let (before, after) = (&answer[..at], &answer[at + reference.len()..]);
            !goes_on(reference.chars().next(), before.chars().next_back())
                && !goes_on(reference.chars().next_back(), after.chars().next())
        })
}

/// TriviaQA's normalisation, as in the data set's evaluation script: `_` to a space, lower case, ASCII punctuation and the quotes
/// `\u{2018}`, `\u{2019}` and `\u{b4}` to spaces, the whole words a, an and the to spaces, white space squeezed.
///
/// The script's borders of words are those of Python: between a letter or number (Unicode's general categories L and N) and
/// anything else. So the article goes from `the “Heroes”`, and from an `a` with a combining accent.
#[must_use]
pub fn normalise(text: &str) -> String {
    let spaced: String = text
        .to_lowercase()
        .chars()
        .map(|c| match c {
            '\u{2018}' | '\u{2019}' | '\u{b4}' => ' ',
            // Python splits at the four separators of ASCII too.
            '\u{1c}'..='\u{1f}' => ' ',
            c if c.is_ascii_punctuation() => ' ',
            c => c,
        })
        .collect();
    let mut without = String::with_capacity(spaced.len());
    let mut at = 0;
    for word in WORD.find_iter(&spaced) {
        without.push_str(&spaced[at..word.start()]);
        without.push_str(match word.as_str() {
            "a" | "an" | "the" => " ",
            other => other,
        });
        at = word.end();
    }
    without.push_str(&spaced[at..]);
    let words: Vec<&str> = without.split_whitespace().collect();
    words.join(" ")
}

/// F1 of two bags of tokens, 0 without overlap.
fn token_f1(answer: &str, reference: &str) -> f64 {
    let answer: Vec<&str> = answer
        .split(' ')
        .filter(|token| !token.is_empty())
        .collect();
    let mut left: Vec<&str> = reference
        .split(' ')
        .filter(|token| !token.is_empty())
        .collect();
    let reference = left.len();
    let mut common = 0usize;
    for token in &answer {
        if let Some(place) = left.iter().position(|other| other == token) {
            left.swap_remove(place);
            common += 1;
        }
    }
    if common == 0 {
        return 0.0;
    }
    let precision = common as f64 / answer.len() as f64;
    let recall = common as f64 / reference as f64;
    2.0 * precision * recall / (precision + recall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triviaqa_normalisation() {
        assert_eq!(
            normalise("The  \u{2018}Great_Gatsby\u{2019}!"),
            "great gatsby"
        );
        assert_eq!(normalise("a-b, an apple"), "b apple");
        assert_eq!(normalise("Theatre"), "theatre");
        assert_eq!(normalise("the"), "");
    }

    #[derive(Deserialize)]
    struct Pair {
        answer: String,
        reference: String,
        normalised: String,
        exact: f64,
        f1: f64,
    }

    #[test]
    fn triviaqa_rules_on_nasty_answers() {
        let text = include_str!("../tests/fixtures/answers.json");
        let pairs: Vec<Pair> = serde_json::from_str(text).unwrap();
        assert!(pairs.len() >= 300);
        for pair in pairs {
            let (answer, references) = (pair.answer.as_str(), [pair.reference.as_str()]);
            assert_eq!(normalise(answer), pair.normalised, "{answer:?}");
            if answer.trim().is_empty() {
                continue;
            }
            let exact = Match::Triviaqa.score(answer, &references);
            assert_eq!(exact, pair.exact, "{answer:?} {references:?}");
            let f1 = Match::F1.score(answer, &references);
            assert!((f1 - pair.f1).abs() < 1e-12, "{answer:?} {references:?}");
        }
    }

    #[test]
    fn each_rule() {
        let references = ["New York City", "NYC"];
        let cases = [
            ("It is new york city, I think.", [1.0, 0.0, 0.0, 0.6]),
            (" nyc ", [1.0, 1.0, 1.0, 1.0]),
            ("N.Y.C.", [0.0, 0.0, 0.0, 0.0]),
            ("the New York-City", [0.0, 0.0, 1.0, 1.0]),
            ("", [0.0, 0.0, 0.0, 0.0]),
        ];
        for (answer, expected) in cases {
            let rules = [Match::Substring, Match::Exact, Match::Triviaqa, Match::F1];
            let scores = rules.map(|rule| rule.score(answer, &references));
            assert_eq!(scores, expected, "{answer}");
        }
        assert_eq!(Match::Substring.score("anything", &[""]), 0.0);
        for (answer, reference, within, words) in [
            ("It is 10.", "1", 1.0, 0.0),
            ("It is 1.", "1", 1.0, 1.0),
            ("I know it", "no", 1.0, 0.0),
            ("No, it is", "no", 1.0, 1.0),
            ("21 or 1", "1", 1.0, 1.0),
            ("in C++.", "C++", 1.0, 1.0),
            ("anything", "", 0.0, 0.0),
        ] {
            let scores =
                [Match::Substring, Match::Words].map(|rule| rule.score(answer, &[reference]));
            assert_eq!(scores, [within, words], "{answer:?} {reference:?}");
        }
        for (answer, reference) in [
            ("It is Cafe\u{301}.", "Caf\u{e9}"),
            ("42\u{a0}km", "\u{ff14}2 km"),
        ] {
            let scores =
                [Match::Substring, Match::Words].map(|rule| rule.score(answer, &[reference]));
            assert_eq!(scores, [1.0, 1.0], "{answer:?} {reference:?}");
        }
        assert_eq!(Match::Exact.score("42\u{a0}km", &["42 km"]), 1.0);
        // What is no letter by itself names nothing.
        assert_eq!(Match::Substring.score("anything", &["\u{200b}"]), 0.0);
        for rule in Match::ALL {
            assert_eq!(rule.score(" ", &["The The", ""]), 0.0);
        }
    }
}
