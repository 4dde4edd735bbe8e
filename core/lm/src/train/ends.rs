//! The tokens that close the answers of a training: a model that learns to end there has to be stopped there.

use std::collections::BTreeMap;

use crate::tokenize::Tokenizer;
use driftgauge_engine::training::TrainOn;

/// What a training teaches about ends.
pub(crate) struct Ends {
    /// Tokens that close answers and that the model does not declare as ends yet.
    pub(crate) learnt: Vec<u32>,
    /// The same in words, for the training's notes.
    pub(crate) note: Option<String>,
}

/// Holds the tokens that close answers, with their numbers, against the end tokens that a model declares.
pub(crate) fn ends(
    train_on: TrainOn,
    closers: &BTreeMap<Option<u32>, usize>,
    declared: &[u32],
    tokenizer: &Tokenizer,
) -> Ends {
    if train_on != TrainOn::Responses || closers.is_empty() {
        return Ends {
            learnt: Vec::new(),
            note: None,
        };
    }
    let spelling = |id: u32| format!("`{}`", tokenizer.decode(&[id], false).unwrap_or_default());
    let (mut known, mut learnt, mut spellings) = (Vec::new(), Vec::new(), Vec::new());
    for id in closers.keys().flatten().copied() {
        if declared.contains(&id) {
            known.push(spelling(id));
        } else {
            learnt.push(id);
            spellings.push(spelling(id));
        }
    }
    let mut parts = Vec::new();
    if !known.is_empty() {
        parts.push(format!(
            "answers are closed by {}, at which the model ends already",
            known.join(" and ")
        ));
    }
    if !learnt.is_empty() {
        parts.push(format!(
            "answers are closed by {}, at which the model did not end: added to the end tokens of the model that is written",
            spellings.join(" and ")
        ));
    }
    if let Some(open) = closers.get(&None) {
        let all: usize = closers.values().sum();
        parts.push(format!(
            "{open} of {all} answers are closed by no token of their own, so no end token is added for them and the model may go \
             on behind an answer; a chat template that writes an end token behind answers, or `stop` in the evaluation"
        ));
    }
    Ends {
        learnt,
        note: Some(parts.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::train_byte_level_bpe;

    #[test]
    fn what_closes_answers_is_an_end_or_it_is_said_why_not() {
        let json =
            train_byte_level_bpe(["a"].into_iter(), 300, &["<|eot|>", "<|im_end|>"]).unwrap();
        let tokenizer = Tokenizer::from_bytes(json.as_bytes()).unwrap();
        let of = |closers: &[(Option<u32>, usize)], train_on| {
            let counts = closers.iter().copied().collect();
            ends(train_on, &counts, &[0], &tokenizer)
        };
        let known = of(&[(Some(0), 3)], TrainOn::Responses);
        assert!(known.learnt.is_empty());
        assert!(
            known
                .note
                .unwrap()
                .contains("`<|eot|>`, at which the model ends already")
        );
        let new = of(&[(Some(1), 3)], TrainOn::Responses);
        assert_eq!(new.learnt, [1]);
        assert!(
            new.note
                .unwrap()
                .contains("`<|im_end|>`, at which the model did not end")
        );
        let open = of(&[(None, 2), (Some(1), 1)], TrainOn::Responses);
        assert_eq!(open.learnt, [1]);
        assert!(
            open.note
                .unwrap()
                .contains("2 of 3 answers are closed by no token")
        );
        assert!(of(&[(Some(1), 3)], TrainOn::All).learnt.is_empty());
    }
}
