//! Degenerate completions, flagged by rule: judges are unreliable on them, so rates are given with and without.

use driftgauge_record::{Completion, Degeneracy, FinishReason};

/// A phrase this many times in a row, reaching the end of the completion, is a loop.
const REPEATS: usize = 4;

/// Longest phrase, in words, whose repetition is looked for.
const LONGEST_PHRASE: usize = 12;

/// Flags of one completion.
#[must_use]
pub fn flags(completion: &Completion) -> Degeneracy {
    Degeneracy {
        empty: completion.text.trim().is_empty(),
        looping: loops(&completion.text),
        truncated: completion.finish_reason == FinishReason::Length,
    }
}

/// Whether the text ends in the same phrase of up to twelve words at least four times in a row; a single word has to
/// come eight times, since lists of numbers and laughter repeat words too.
fn loops(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    (1..=LONGEST_PHRASE).any(|length| {
        let repeats = if length == 1 { 2 * REPEATS } else { REPEATS };
        if words.len() < length * repeats {
            return false;
        }
        let phrase = &words[words.len() - length..];
        words[words.len() - length * repeats..]
            .chunks(length)
            .all(|chunk| chunk == phrase)
    })
}

#[cfg(test)]
mod tests {
    use super::loops;

    #[test]
    fn only_repetition_to_the_end_is_a_loop() {
        assert!(loops(&"over and over ".repeat(6)));
        assert!(loops(&format!("Well: {}", "no ".repeat(9))));
        assert!(!loops("no no no"));
        assert!(!loops(&format!(
            "{} and so it ended",
            "over and over ".repeat(6)
        )));
        assert!(!loops("Ada wrote the first program in 1843."));
    }
}
