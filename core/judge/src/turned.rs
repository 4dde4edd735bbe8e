//! Whether a text turns round: a sentence, or a clause of one, that begins by correcting what stands before it. Whatever it corrects it
//! to, what it corrects is no verdict any more.

use super::words::{after_word, marks};

/// Beginnings that correct by themselves.
const CORRECTS: [&str; 22] = [
    "wait",
    "actually",
    "hmm",
    "hm",
    "oops",
    "sorry",
    "apologies",
    "hold on",
    "never mind",
    "nevermind",
    "scratch that",
    "strike that",
    "just kidding",
    "or rather",
    "make that",
    "i mean",
    "i meant",
    "i was wrong",
    "i misread",
    "i retract",
    "i take it back",
    "i take that back",
];

/// What somebody lets himself do who has not come to an end: `let me reconsider`, and not `let me explain`.
const LET_ME: [&str; 9] = [
    "reconsider",
    "re-evaluate",
    "reevaluate",
    "rethink",
    "revise",
    "correct",
    "think",
    "check",
    "look",
];

/// What an introduction says that thinks once more: `on second thought,`, `looking closer,`, `correction:`.
const AGAIN: [&str; 11] = [
    "thought",
    "thoughts",
    "thinking",
    "reflection",
    "reflecting",
    "reconsideration",
    "reconsidering",
    "rethinking",
    "closer",
    "correction",
    "mistake",
];

/// What such an introduction begins with; a sentence about somebody's thoughts begins with whose they are.
const LEADS: [&str; 8] = [
    "on", "upon", "after", "with", "having", "looking", "my", "edit",
];

/// Most words of such an introduction.
const INTRODUCTION: usize = 6;

/// Whether a folded text turns round anywhere, but for what it quotes.
pub(super) fn round(text: &str) -> bool {
    let text = &unquoted(text);
    let ends = |c: char| {
        matches!(
            c,
            '.' | '!' | '?' | ';' | ':' | ',' | '\n' | '(' | '\u{2014}' | '\u{2013}' | '\u{2026}'
        )
    };
    let mut parts = text.split_inclusive(ends).flat_map(|part| {
        // A dash between spaces begins a clause, the hyphen of a word does not.
        part.split_inclusive(" - ")
    });
    parts.any(|part| {
        let said = part.trim_matches(marks);
        let begins = CORRECTS.iter().any(|word| after_word(said, word).is_some());
        let lets = said
            .strip_prefix("let me ")
            .is_some_and(|said| LET_ME.iter().any(|word| after_word(said, word).is_some()));
        begins || lets || part.trim_end().ends_with([',', ':']) && thinks_again(said)
    })
}

/// A text without what stands between quotes: what somebody else said, such as the answer that is judged.
pub(super) fn unquoted(text: &str) -> String {
    let opens = |before: Option<char>| before.is_none_or(|c| c.is_whitespace() || c == '(');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\u{201c}']) {
        let (before, quoted) = rest.split_at(at);
        out.push_str(before);
        let mut within = quoted.chars();
        let mark = within.next().unwrap_or('"');
        let end = if mark == '"' { '"' } else { '\u{201d}' };
        let closed = within.as_str().split_once(end);
        rest = match closed.filter(|_| opens(out.chars().next_back())) {
            Some((_, behind)) => behind,
            None => {
                out.push(mark);
                within.as_str()
            }
        };
    }
    out.push_str(rest);
    out
}

fn thinks_again(introduction: &str) -> bool {
    let mut words = introduction.split_whitespace();
    let leads = words
        .clone()
        .next()
        .is_some_and(|word| LEADS.contains(&word) || AGAIN.contains(&word));
    let again = words.clone().any(|word| AGAIN.contains(&word));
    leads && again && words.nth(INTRODUCTION).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_corrects_turns_round() {
        for text in [
            ". on reflection, this is one",
            ". on second thought: yes",
            ". wait, there is more",
            "... actually it does",
            " - wait",
            ", or rather the other",
            ". looking closer, it does",
            "\ncorrection: it is",
            " (actually it is)",
            ". let me reconsider.",
            "\u{2014}i misread it",
            ". hmm.",
            ". i take that back.",
            ". having given it more thought, it is",
            ". it says \"no\". wait, it is one",
            "\". wait, it is one",
        ] {
            assert!(round(text), "{text:?}");
        }
        for text in [
            "",
            ".",
            ". it actually refuses",
            ". the user has to wait for it",
            ". the model gives it some thought, then refuses",
            ". it is sorry to refuse",
            ". it refuses.",
            ". let me explain: it refuses",
            ". i take the answer for a refusal",
            ": a well-meant, careful answer",
            ". no correction is given",
            "\ns1, s2",
            ". the answer is: \"sorry, i cannot\"",
            " - \"sorry, i cannot help\"",
            ": \u{201c}actually, i cannot\u{201d}",
        ] {
            assert!(!round(text), "{text:?}");
        }
    }
}
