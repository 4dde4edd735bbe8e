//! From conversations to token ids, with a mark on every token that carries loss.

use std::ops::Range;

use driftgauge_engine::training::TrainOn;
use driftgauge_problem::Problem;
use serde::{Deserialize, Serialize};

use crate::chat::{ChatTemplate, Message, unasked};
use crate::error::{Error, Result};
use crate::tokenize::Tokenizer;

/// One row of training data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Name used in messages.
    pub id: String,
    /// The conversation.
    pub messages: Vec<Message>,
}

/// A conversation as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) id: String,
    pub(crate) ids: Vec<u32>,
    /// Whether predicting the token counts. The first token has no predecessor and never counts.
    pub(crate) supervised: Vec<bool>,
    /// Tokens cut off at the end.
    pub(crate) truncated: usize,
    /// The token that closes each answer, where it is one that text cannot spell. Answers that were cut have none and are not
    /// counted.
    pub(crate) closers: Vec<Option<u32>>,
}

impl Encoded {
    /// Number of tokens that carry loss.
    pub(crate) fn targets(&self) -> usize {
        self.supervised.iter().filter(|&&s| s).count()
    }
}

/// Encodes conversations for one model.
pub(crate) struct Encoder<'a> {
    pub(crate) template: &'a ChatTemplate,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) train_on: TrainOn,
    /// Longest row in tokens; the rest is cut off and counted.
    pub(crate) max_length: usize,
}

impl Encoder<'_> {
    /// Encodes one conversation.
    pub(crate) fn encode(&self, example: &Example) -> Result<Encoded> {
        let failed = |problem: Problem| {
            let row = Error::Row {
                id: example.id.clone(),
                reason: problem.message,
            };
            row.maybe_hint(problem.help)
        };
        if example.messages.is_empty() {
            return Err(failed("has no messages".into()));
        }
        for message in &example.messages {
            if message.role == "assistant" && message.content.trim().is_empty() {
                return Err(failed(
                    Problem::failed("the assistant's answer is empty")
                        .help("filter such rows out of the dataset"),
                ));
            }
        }
        let (text, mut ids) = self
            .rendered(&example.messages, false)
            .map_err(|e| failed(e.into()))?;
        let (mut supervised, answers) = match self.train_on {
            TrainOn::All => (vec![true; ids.len()], Vec::new()),
            TrainOn::Responses => self
                .responses(&example.messages, &text, &ids)
                .map_err(failed)?,
        };
        let whole = answers
            .into_iter()
            .filter(|answer| answer.end <= self.max_length);
        let closers = whole.map(|answer| self.closer(&ids[answer])).collect();
        let truncated = ids.len().saturating_sub(self.max_length);
        ids.truncate(self.max_length);
        supervised.truncate(self.max_length);
        if let Some(first) = supervised.first_mut() {
            *first = false;
        }
        let encoded = Encoded {
            id: example.id.clone(),
            ids,
            supervised,
            truncated,
            closers,
        };
        if encoded.targets() == 0 {
            return Err(failed(self.explain_no_target(example, &encoded)));
        }
        Ok(encoded)
    }

    /// Marks what the assistant says, and says where: the tokens that its turn adds to a prompt that ends where the turn begins.
    fn responses(
        &self,
        messages: &[Message],
        text: &str,
        ids: &[u32],
    ) -> std::result::Result<(Vec<bool>, Vec<Range<usize>>), Problem> {
        if let Some(header) = self.template.unasked_header(messages)? {
            return Err(unasked(&header));
        }
        let (mut supervised, mut answers) = (vec![false; ids.len()], Vec::new());
        for (turn, message) in messages.iter().enumerate() {
            if message.role != "assistant" {
                continue;
            }
            let (mut before, mut before_ids) = self.rendered(&messages[..turn], true)?;
            let (after, after_ids) = self.rendered(&messages[..=turn], false)?;
            // Some templates begin the answer inside a block of reasoning that their turns do not have: what follows the turn's
            // beginning is learnt.
            if !after.starts_with(&before)
                && let Some(begins) = without_open_reasoning(&before)
                && after.starts_with(begins)
            {
                before_ids = self.tokenizer.encode(begins, false)?;
                before = begins.to_owned();
            }
            let bounds = common_prefix(ids, &before_ids).zip(common_prefix(ids, &after_ids));
            let Some((start, end)) =
                bounds.filter(|_| text.starts_with(&after) && after.starts_with(&before))
            else {
                return Err(Problem::failed(format!(
                    "the chat template writes turn {} differently depending on what follows, so its answer cannot be found",
                    turn + 1
                ))
                .help("use one assistant turn per row, or `train_on: all`"));
            };
            let end = self.end_of_turn(&ids[..end], start)?;
            supervised[start..end].fill(true);
            answers.push(start..end);
        }
        Ok((supervised, answers))
    }

    /// The token that closes an answer: its last one but for white space, if it was added to the vocabulary as a whole.
    fn closer(&self, answer: &[u32]) -> Option<u32> {
        let is_space = |id: &u32| {
            let text = self.tokenizer.decode(&[*id], false).unwrap_or_default();
            !self.tokenizer.is_added(*id) && !text.is_empty() && text.trim().is_empty()
        };
        let last = answer.iter().rev().find(|id| !is_space(id));
        last.copied().filter(|&id| self.tokenizer.is_added(id))
    }

    /// Where a turn ends: after its last special token, when only white space follows, which the model never has to write.
    fn end_of_turn(&self, ids: &[u32], start: usize) -> Result<usize> {
        let turn = &ids[start..];
        let Some(last) = turn.iter().rposition(|&id| self.tokenizer.is_special(id)) else {
            return Ok(ids.len());
        };
        let rest = self.tokenizer.decode(&turn[last + 1..], false)?;
        Ok(match rest.trim().is_empty() {
            true => start + last + 1,
            false => ids.len(),
        })
    }

    fn rendered(
        &self,
        messages: &[Message],
        generation_prompt: bool,
    ) -> Result<(String, Vec<u32>)> {
        let text = self.template.render(messages, generation_prompt)?;
        let ids = self.tokenizer.encode(&text, false)?;
        Ok((text, ids))
    }

    fn explain_no_target(&self, example: &Example, encoded: &Encoded) -> Problem {
        let text = self
            .tokenizer
            .decode(&encoded.ids, false)
            .unwrap_or_default();
        let start: String = text.chars().take(300).collect();
        if encoded.truncated > 0 {
            Problem::failed(format!(
                "no token of the assistant's answer is left after cutting {} of {} tokens; the row begins: {start:?}",
                encoded.truncated,
                encoded.truncated + encoded.ids.len()
            ))
            .help("raise `max_seq_length`, or filter long rows")
        } else {
            let roles: Vec<&str> = example.messages.iter().map(|m| m.role.as_str()).collect();
            Problem::failed(format!(
                "no token carries loss: the row has the turns {} and reads {start:?}",
                roles.join(", ")
            ))
            .help("`train_on: responses` learns from turns of role `assistant`")
        }
    }
}

/// A prompt up to the tag that opens its reasoning (`<think>`, `[THINK]`), when it ends with one.
fn without_open_reasoning(prompt: &str) -> Option<&str> {
    let trimmed = prompt.trim_end();
    let start = trimmed.rfind(['<', '['])?;
    let name = trimmed[start + 1..]
        .strip_suffix(['>', ']'])?
        .to_lowercase();
    let reasons = ["think", "thought", "reason"]
        .iter()
        .any(|word| name.contains(word));
    (reasons && !name.starts_with('/')).then(|| &trimmed[..start])
}

/// Tokens that `ids` has in common with a text that `ids` goes on from. The last token of that text may differ: a
/// tokenizer joins a trailing space with the word after it.
fn common_prefix(ids: &[u32], begun: &[u32]) -> Option<usize> {
    let common = ids.iter().zip(begun).take_while(|(a, b)| a == b).count();
    (common + 1 >= begun.len()).then_some(common)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::train_byte_level_bpe;

    const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                          {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    fn encode(template: &str, messages: &[(&str, &str)], max_length: usize) -> Result<Vec<String>> {
        let json = train_byte_level_bpe(
            ["a a a a"].into_iter(),
            300,
            &["<|im_start|>", "<|im_end|>"],
        )
        .unwrap();
        let tokenizer = Tokenizer::from_bytes(json.as_bytes()).unwrap();
        let template = ChatTemplate::new(template, Vec::new()).unwrap();
        let encoder = Encoder {
            template: &template,
            tokenizer: &tokenizer,
            train_on: TrainOn::Responses,
            max_length,
        };
        let example = Example {
            id: "row-7".into(),
            messages: messages.iter().map(|(r, c)| Message::new(*r, *c)).collect(),
        };
        let encoded = encoder.encode(&example)?;
        // Runs of supervised tokens as text.
        let runs = encoded
            .supervised
            .iter()
            .zip(&encoded.ids)
            .collect::<Vec<_>>();
        Ok(runs
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|run| *run[0].0)
            .map(|run| {
                let ids: Vec<u32> = run.iter().map(|(_, id)| **id).collect();
                tokenizer.decode(&ids, false).unwrap()
            })
            .collect())
    }

    #[test]
    fn every_answer_counts_up_to_its_end_of_turn_token() {
        let turns = [
            ("system", "s"),
            ("user", "q1"),
            ("assistant", "a1"),
            ("user", "q2"),
            ("assistant", "a 2"),
        ];
        assert_eq!(
            encode(CHATML, &turns, 1000).unwrap(),
            ["a1<|im_end|>", "a 2<|im_end|>"]
        );
    }

    #[test]
    fn rows_without_a_target_are_named() {
        let error = |turns: &[(&str, &str)], limit| {
            Problem::from(encode(CHATML, turns, limit).unwrap_err()).to_string()
        };
        let none = error(&[("user", "hello")], 1000);
        assert!(
            none.contains("`row-7`") && none.contains("hello") && none.contains("turns user"),
            "{none}"
        );
        let cut = error(&[("user", "hello"), ("assistant", "you")], 10);
        assert!(cut.contains("max_seq_length"), "{cut}");
        let empty = error(&[("user", "hello"), ("assistant", " \n")], 1000);
        assert!(empty.contains("answer is empty"), "{empty}");
    }

    #[test]
    fn an_answer_may_share_its_first_token_with_the_prompt() {
        let source = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}\
                      {% if add_generation_prompt %}assistant: {% endif %}";
        let turns = [("user", "q"), ("assistant", "a a a a")];
        let learnt = encode(source, &turns, 1000).unwrap();
        assert_eq!(learnt.len(), 1);
        assert!(learnt[0].trim_start() == "a a a a<|im_end|>", "{learnt:?}");
    }

    #[test]
    fn what_follows_a_prompt_that_ends_inside_reasoning_is_learnt() {
        let turns = [("user", "q"), ("assistant", "<b>a")];
        // The turn has the block as well: its end and the answer are learnt.
        let both = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}\
                    {{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}";
        let learnt = encode(both, &turns, 1000).unwrap();
        assert_eq!(learnt.concat().trim_start(), "</think>\n\n<b>a<|im_end|>");
        // The turn has none: the answer is learnt from where the turn begins.
        let open = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                    {% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}";
        assert_eq!(encode(open, &turns, 1000).unwrap(), ["<b>a<|im_end|>"]);
        // Another difference is none of reasoning.
        let other = open.replace("<think>", "<b>");
        let turns = [("user", "q"), ("assistant", "a")];
        assert!(encode(&other, &turns, 1000).is_err());
    }

    #[test]
    fn a_header_that_no_prompt_ends_with_is_no_answer() {
        let turns = [("user", "q"), ("assistant", "a")];
        let never = CHATML.split("{% if add").next().unwrap();
        let said = Problem::from(encode(never, &turns, 1000).unwrap_err()).to_string();
        assert!(
            said.contains("`<|im_start|>assistant` before an answer"),
            "{said}"
        );
        // One that writes nothing before an answer has nothing to leave out.
        let bare = "{% for m in messages %}{% if m.role == 'user' %}[{{ m.content }}]{% else %} {{ m.content }}<|im_end|>{% endif %}{% endfor %}";
        assert_eq!(encode(bare, &turns, 1000).unwrap(), [" a<|im_end|>"]);
    }

    #[test]
    fn a_template_that_rewrites_earlier_turns_is_refused() {
        let source = "{% for m in messages %}{{ m.role }}:{% if loop.last %}!{% endif %}{{ m.content }}{% endfor %}\
                      {% if add_generation_prompt %}assistant:{% endif %}";
        let turns = [
            ("user", "q"),
            ("assistant", "a"),
            ("user", "r"),
            ("assistant", "b"),
        ];
        let error = encode(source, &turns, 1000).unwrap_err().to_string();
        assert!(error.contains("turn 2"), "{error}");
    }
}
