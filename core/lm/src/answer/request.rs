//! What a request comes to: the prompt's tokens and the plan of its answer, and the completion in the end.

use std::sync::Arc;

use driftgauge_engine::{GenerateRequest, LongPrompt};
use driftgauge_problem::Problem;
use driftgauge_record::{Completion, FinishReason, answer_start, answer_start_within, thinking};

use super::recording::{Plan, Recording};
use super::text::Text;

/// A request that an engine can work on.
pub struct Asked {
    /// Tokens of the prompt; they fit into the context, with one more at least.
    pub prompt: Vec<u32>,
    /// How the answer is written.
    pub plan: Plan,
    /// What the answer is begun with.
    prefill: Option<String>,
    /// The watched strings.
    watch: Vec<String>,
    /// Where reasoning is kept apart from the answer.
    thinking: Option<Apart>,
}

/// Reasoning is to be kept apart.
struct Apart {
    /// The block that the prompt began.
    opened: Option<String>,
}

impl Asked {
    /// Reads a request for a model whose context holds so many tokens.
    ///
    /// # Errors
    /// When nothing is asked for, the prompt is empty or too long, or a text cannot be made tokens of.
    pub fn new(
        request: &GenerateRequest,
        text: &Text,
        end_tokens: &Arc<[u32]>,
        context: usize,
    ) -> Result<Self, Problem> {
        let (prompt, max_tokens, prefill) = prompt(request, text, context)?;
        Ok(Self {
            prompt,
            plan: Plan {
                max_tokens,
                sampling: request.sampling.clone(),
                end_tokens: end_tokens.clone(),
                stop: request.stop.clone(),
                watch: watched(request, text)?,
                top_logprobs: request.top_logprobs,
            },
            prefill,
            watch: request.watch_first_token.clone(),
            thinking: match request.strip_thinking {
                true => Some(Apart {
                    opened: opened(request, text)?,
                }),
                false => None,
            },
        })
    }

    /// A prompt of a self-check.
    #[must_use]
    pub fn probe(prompt: Vec<u32>, plan: Plan) -> Self {
        Self {
            prompt,
            plan,
            prefill: None,
            watch: Vec::new(),
            thinking: None,
        }
    }

    /// The completion of a finished answer.
    #[must_use]
    pub fn completion(self, recording: Recording, finish: FinishReason, text: &Text) -> Completion {
        let mut answer = text.decode(&recording.tokens);
        let watched = if self.watch.is_empty() {
            Vec::new()
        } else {
            let apart = self.thinking.as_ref();
            let opened = apart.is_some_and(|apart| apart.opened.is_some());
            answer_position(&recording.tokens, opened, text)
                .and_then(|position| recording.watched.into_iter().nth(position))
                .unwrap_or_default()
        };
        if let Some(cut) = recording.cut {
            answer.truncate(cut);
        }
        // Tags may be special tokens, which are no part of the text.
        let tagged = self.thinking.map(|Apart { opened }| match recording.cut {
            None => (text.decode_with_tags(&recording.tokens), opened),
            Some(_) => (answer.clone(), opened),
        });
        let mut completion = Completion {
            prompt_token_ids: self.prompt,
            completion_token_ids: recording.tokens,
            text: answer,
            finish_reason: finish,
            ends_with_eos: recording.ends_with_eos,
            token_logprob: recording.logprob,
            token_top1_logprob: recording.top1_logprob,
            token_margin: recording.margin,
            token_top10_entropy: recording.top10_entropy,
            token_top10_mass: recording.top10_mass,
            token_entropy: recording.entropy,
            token_top_logprobs: recording.top_logprobs,
            thinking: None,
            prefill: self.prefill,
            first_token_logprob: self
                .watch
                .into_iter()
                .zip(watched)
                .filter(|(_, ln_p)| *ln_p > f32::MIN)
                .collect(),
        };
        if let Some((tagged, opened)) = tagged
            && let (Some(thinking), answer) = thinking::apart(&tagged, opened.as_deref())
        {
            completion.thinking = Some(thinking);
            completion.text = answer;
        }
        completion
    }
}

/// The tokens of a prompt that fits, how many may follow, and what the answer is begun with.
fn prompt(
    request: &GenerateRequest,
    text: &Text,
    context: usize,
) -> Result<(Vec<u32>, usize, Option<String>), Problem> {
    if request.max_tokens == 0 {
        return Err("`max_tokens` is 0".into());
    }
    let (mut tokens, prefill) = match &request.text {
        Some(plain) => (text.encode_plain(plain)?, None),
        None => text.encode_conversation(&request.messages, request.prefill_tokens)?,
    };
    if tokens.is_empty() {
        return Err("the rendered prompt is empty".into());
    }
    if tokens.len() >= context {
        match request.on_long_prompt {
            LongPrompt::Error | LongPrompt::Skip => {
                return Err(Problem::failed(format!(
                    "the prompt has {} tokens and the model's context holds {context}",
                    tokens.len()
                ))
                .help("shorten it, or set `on_long_prompt: truncate`"));
            }
            LongPrompt::Truncate => {
                let room = request.max_tokens.min(context / 2).max(1);
                tokens.drain(..tokens.len() + room - context);
            }
        }
    }
    // No engine may run past the last position that the model has.
    let max_tokens = request.max_tokens.min(context - tokens.len());
    Ok((tokens, max_tokens, prefill))
}

/// The block of reasoning in which the prompt ends.
fn opened(request: &GenerateRequest, text: &Text) -> Result<Option<String>, Problem> {
    Ok(match &request.text {
        Some(plain) => thinking::opened_by(plain),
        None => thinking::opened_by(&text.render(&request.messages)?),
    })
}

/// For each string the tokens that begin it, in all spellings; none of those that begin several of the strings.
fn watched(request: &GenerateRequest, text: &Text) -> Result<Vec<Vec<u32>>, Problem> {
    let words = request.watch_first_token.iter();
    let sets: Vec<Vec<u32>> = words
        .map(|word| first_tokens(word, text))
        .collect::<Result<_, _>>()?;
    let several = |id: &u32| sets.iter().filter(|set| set.contains(id)).count() > 1;
    let own = |set: &Vec<u32>| set.iter().copied().filter(|id| !several(id)).collect();
    Ok(sets.iter().map(own).collect())
}

/// The tokens with which a word begins: the first one of its plain spelling, and those of ` word`, `Word` and `WORD` that
/// say the same letters.
fn first_tokens(word: &str, text: &Text) -> Result<Vec<u32>, Problem> {
    let spelt = |id: u32| text.decode(&[id]).trim().to_lowercase();
    let mut capital = word.to_owned();
    if let Some(first) = capital.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let plain = text.encode(word)?;
    let first = *plain
        .first()
        .ok_or_else(|| Problem::failed(format!("`{word}` has no first token to watch")))?;
    let letters = spelt(first);
    let mut tokens = vec![first];
    for spelling in [
        format!(" {word}"),
        capital.clone(),
        format!(" {capital}"),
        word.to_uppercase(),
        format!(" {}", word.to_uppercase()),
    ] {
        let begins = text.encode(&spelling)?.into_iter().next();
        tokens.extend(begins.filter(|&id| !letters.is_empty() && spelt(id) == letters));
    }
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// The position of the token with which the answer proper begins; `opened` tells that the prompt ends inside of reasoning.
fn answer_position(tokens: &[u32], opened: bool, text: &Text) -> Option<usize> {
    let answer = text.decode_with_tags(tokens);
    let start = match opened {
        true => answer_start_within(&answer),
        false => answer_start(&answer),
    }?;
    // A character may take several tokens, and shows with its last.
    let ends = |position: usize| text.decode_with_tags(&tokens[..=position]).len() > start;
    (0..tokens.len()).find(|&position| ends(position))
}
