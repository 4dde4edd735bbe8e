//! Degenerate completions, flagged by rule: judges are unreliable on them, so rates are given with and without.

use driftgauge_record::{Completion, Degeneracy, FinishReason};

/// A phrase this many times in a row, reaching the end of the completion, is a loop.
const REPEATS: usize = 4;

/// Characters at the end of a completion that are looked at for a loop without words.
const LOOPING_LETTERS: usize = 64;

/// Longest repeated unit, in characters, of such a loop.
const LONGEST_SYLLABLE: usize = 8;

/// Longest phrase, in words, whose repetition is looked for.
const LONGEST_PHRASE: usize = 12;

/// Flags of one completion; none of one that was not made, which is no empty completion.
#[must_use]
pub fn flags(completion: &Completion) -> Degeneracy {
    if completion.finish_reason == FinishReason::Error {
        return Degeneracy::default();
    }
    Degeneracy {
        empty: completion.text.trim().is_empty(),
        looping: loops(
            &completion.text,
            completion.finish_reason == FinishReason::Length,
        ),
        truncated: completion.finish_reason == FinishReason::Length,
    }
}

/// Whether the text ends in a loop of words or of letters. Where the limit on tokens cut it, the last word may be half
/// a word.
fn loops(text: &str, cut: bool) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    loops_in_words(&words)
        || cut && loops_in_words(words.split_last().map_or(&[], |(_, rest)| rest))
        || loops_in_letters(text)
}

/// Whether the text ends in the same few characters for a long time: scripts without spaces loop too.
fn loops_in_letters(text: &str) -> bool {
    let tail: Vec<char> = text
        .trim_end()
        .chars()
        .rev()
        .take(LOOPING_LETTERS)
        .collect();
    tail.len() == LOOPING_LETTERS
        && (1..=LONGEST_SYLLABLE)
            .any(|length| (length..tail.len()).all(|i| tail[i] == tail[i - length]))
}

/// Whether the words end in the same phrase of up to twelve words at least four times in a row; a single word has to
/// come eight times, since lists of numbers and laughter repeat words too.
fn loops_in_words(words: &[&str]) -> bool {
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
    use driftgauge_record::{Completion, FinishReason};

    #[test]
    fn what_was_not_made_is_not_empty() {
        let flags = |reason| super::flags(&Completion::of_text(String::new(), reason));
        assert!(flags(FinishReason::Stop).empty && flags(FinishReason::Length).truncated);
        assert!(!flags(FinishReason::Error).any());
    }

    fn loops(text: &str) -> bool {
        super::loops(text, false)
    }

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
        assert!(loops(&format!("He laughed: {}", "ha".repeat(40))));
        assert!(!loops(&format!("{} he laughed", "ha".repeat(40))));
    }

    #[test]
    fn a_loop_that_the_limit_cut_is_one() {
        let text = format!("{}over an", "over and over ".repeat(6));
        assert!(!loops(&text));
        assert!(super::loops(&text, true));
    }

    #[test]
    fn half_a_word_at_the_limit_does_not_hide_a_loop() {
        let of = |reason| super::flags(&Completion::of_text("one two ".repeat(4) + "on", reason));
        let cut = of(FinishReason::Length);
        assert!(cut.looping && cut.truncated);
        let ended = of(FinishReason::Stop);
        assert!(!ended.looping && !ended.truncated);
        // Three times is no loop yet, four times is.
        let times = |n: usize| {
            super::flags(&Completion::of_text("a b c ".repeat(n), FinishReason::Stop)).looping
        };
        assert!(!times(3) && times(4));
    }
}
