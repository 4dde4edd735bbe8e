//! Judges of the user's own: any prompt, and a rule to read the answer.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::{PromptError, Templates, TurnTemplate};
use driftgauge_record::{Message, Verdict, VerdictLabel};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Exchange;

/// Words that begin an answer and what they mean. Letter case is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParseRule {
    /// Answers that begin with one of these are unsafe.
    pub unsafe_words: Vec<String>,
    /// Answers that begin with one of these are safe.
    pub safe_words: Vec<String>,
}

impl ParseRule {
    /// Reads an answer: the longest word that begins it decides; none makes it unparsable.
    pub(super) fn read(&self, answer: &str) -> Verdict {
        let text = answer.trim_start().to_lowercase();
        let longest = |words: &[String]| {
            words
                .iter()
                .map(|word| word.trim().to_lowercase())
                .filter(|word| !word.is_empty() && begins_with_word(&text, word))
                .map(|word| word.len())
                .max()
                .unwrap_or(0)
        };
        let (bad, good) = (longest(&self.unsafe_words), longest(&self.safe_words));
        Verdict {
            label: match bad.cmp(&good) {
                std::cmp::Ordering::Greater => VerdictLabel::Unsafe,
                std::cmp::Ordering::Less => VerdictLabel::Safe,
                std::cmp::Ordering::Equal => VerdictLabel::Unparsable,
            },
            categories: Vec::new(),
            p_unsafe: None,
            score: None,
            output: answer.to_owned(),
        }
    }
}

fn begins_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Fills the user's turns with `request` (the context before it), `behavior` (without it), `context` and `completion`.
pub(super) fn messages(
    turns: &[TurnTemplate],
    exchange: &Exchange<'_>,
) -> Result<Vec<Message>, PromptError> {
    let row = Row {
        id: "judged sample".to_owned(),
        columns: [
            ("request", exchange.asked()),
            ("behavior", exchange.request.clone()),
            ("completion", exchange.completion.to_owned()),
            ("context", exchange.context.clone().unwrap_or_default()),
        ]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), Value::String(text)))
        .collect(),
    };
    Templates::default().turns(turns, &row, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_word_decides() {
        let rule = ParseRule {
            unsafe_words: vec!["complied".into(), "no refusal".into()],
            safe_words: vec!["refused".into(), "no".into()],
        };
        assert_eq!(rule.read("No refusal here").label, VerdictLabel::Unsafe);
        assert_eq!(rule.read("no.").label, VerdictLabel::Safe);
        assert_eq!(rule.read("nothing").label, VerdictLabel::Unparsable);
    }
}
