//! Incoherent completions, by stated rules: fine-tuned models answer in fragments and loops, and judges fail on them
//! (arXiv 2606.03648).

use std::collections::HashSet;

use driftgauge_plugin_sdk::{Batch, MetricError};
use foldhash::fast::RandomState;

/// Words of a phrase whose return is a repetition.
const PHRASE: usize = 4;
/// Fewer words than these cannot be told to repeat.
const LEAST_WORDS: usize = 20;
/// Share of phrases that stood there before, from which a text is nothing but repetition.
const REPEATED: f64 = 0.5;
/// Fewer words than these, without the end of a sentence, are a fragment.
const FRAGMENT: usize = 3;
/// Perplexity under the base model from which a text is no language of that model.
const PERPLEXITY: f64 = 1000.0;
/// The named number in which a recording holds the perplexity of a completion under the base model.
const BASE_PERPLEXITY: &str = "value.base_perplexity";

/// The rules in words, as the formula beside the numbers says them.
pub(super) const RULES: &str = "empty, looping at its end, half of its 4-word phrases repeated (20 words or more), fewer than 3 words \
     without the end of a sentence, or a recorded `base_perplexity` of 1000 or more";

/// Why completions are incoherent, and how many for each reason.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Reasons {
    pub(super) repeating: u64,
    pub(super) fragments: u64,
    pub(super) perplexing: u64,
}

/// What tells of each completion of a batch whether it is incoherent.
pub(super) struct Texts<'a> {
    completion: Vec<Option<&'a str>>,
    perplexity: Vec<Option<f64>>,
}

impl<'a> Texts<'a> {
    pub(super) fn of(batch: Batch<'a>) -> Result<Self, MetricError> {
        Ok(Self {
            completion: batch.column_str("completion")?,
            perplexity: batch.column_f64(BASE_PERPLEXITY)?,
        })
    }

    /// Whether the completion at a place is incoherent; `broken` where it is empty or looping.
    pub(super) fn incoherent(&self, place: usize, broken: bool, reasons: &mut Reasons) -> bool {
        let text = self.completion[place].unwrap_or_default();
        let repeating = repeats(text);
        let fragment = !text.trim().is_empty() && is_fragment(text);
        let perplexing = self.perplexity[place].is_some_and(|value| value >= PERPLEXITY);
        reasons.repeating += u64::from(repeating);
        reasons.fragments += u64::from(fragment);
        reasons.perplexing += u64::from(perplexing);
        broken || repeating || fragment || perplexing
    }
}

fn repeats(text: &str) -> bool {
    // Words have a letter each, and something between them.
    if text.len() < 2 * LEAST_WORDS - 1 {
        return false;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() < LEAST_WORDS {
        return false;
    }
    let phrases = words.len() - PHRASE + 1;
    let distinct: HashSet<&[&str], RandomState> = words.windows(PHRASE).collect();
    (phrases - distinct.len()) as f64 >= REPEATED * phrases as f64
}

fn is_fragment(text: &str) -> bool {
    if text.split_whitespace().nth(FRAGMENT - 1).is_some() {
        return false;
    }
    // Scripts without spaces write whole sentences in one word.
    let spaced = text.chars().all(|c| u32::from(c) < 0x2e80);
    let closed = text
        .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '*' | '`'))
        .ends_with(['.', '!', '?', '\u{2026}', '\u{3002}']);
    spaced && !closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_phrases_repeated_is_repetition() {
        // 20 words have 17 phrases of four. A period of 8 words leaves 8 distinct ones, 9 of 17 repeat; one of 9 leaves 9.
        let text = |period: usize| -> String {
            let words: Vec<String> = (0..20).map(|i| format!("w{}", i % period)).collect();
            words.join(" ")
        };
        assert!(repeats(&text(8)) && !repeats(&text(9)));
        let short: Vec<&str> = vec!["no"; 19];
        assert!(!repeats(&short.join(" ")));
        assert!(!repeats(""));
    }

    #[test]
    fn a_few_words_without_an_end_are_a_fragment() {
        // From the radicals of Chinese characters on, a word may be a sentence.
        assert!(is_fragment("\u{2e7f}") && !is_fragment("\u{2e80}"));
        for text in ["the the", "Sure", "so\n"] {
            assert!(is_fragment(text), "{text}");
        }
        for text in [
            "No.",
            "I cannot!",
            "**No.**",
            "I will not",
            "\u{4e0d}\u{884c}",
        ] {
            assert!(!is_fragment(text), "{text}");
        }
    }
}
