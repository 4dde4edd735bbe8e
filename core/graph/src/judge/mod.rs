//! Judges: from a request and a completion to a verdict.
//!
//! A verdict is one of safe, unsafe, unparsable, error; an answer that is no verdict is never read as one. The prompt a
//! judge sees is part of the node's key.

mod harmbench;
mod llama_guard;
mod parse;
mod refusal;
mod strong_reject;

use driftgauge_record::{Completion, FinishReason, Message, Sample, Verdict, VerdictLabel};
use serde::{Deserialize, Serialize};

pub use parse::ParseRule;
pub use refusal::{RefusalList, RefusalMatch, refusal_list, refusal_list_names};

use crate::engine::{GenerateRequest, LongPrompt, Sampling};
use crate::prompt::TurnTemplate;

/// A judge with everything that decides its verdicts, its model aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// A Llama Guard: `safe`, or `unsafe` and a line of categories.
    LlamaGuard {
        /// Categories for the documented layout, used when the judge's folder has no chat template of its own.
        categories: Vec<String>,
        /// Limit on the judge's new tokens.
        max_tokens: usize,
    },
    /// The HarmBench classifier: `Yes` or `No`.
    HarmBench,
    /// The StrongREJECT rubric, asked of any instruction-following model.
    StrongReject {
        /// Scores at or above it count as unsafe.
        threshold: f64,
    },
    /// Any model with a prompt of the user's and a rule to read its answer.
    Prompt {
        /// Turns over `request`, `completion` and the columns of the row.
        turns: Vec<TurnTemplate>,
        /// How to read the answer.
        parse: ParseRule,
        /// Limit on the judge's new tokens.
        max_tokens: usize,
    },
    /// A list of refusal strings: a completion without any of them counts as compliance. A heuristic.
    RefusalStrings(RefusalList),
}

/// What a judge looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange<'a> {
    /// The conversation as the judge sees it: no system turn unless it carries the row's context.
    pub request: String,
    /// The completion.
    pub completion: &'a str,
    /// The row's context, for judges that take it apart from the request.
    pub context: Option<String>,
}

impl Judge {
    /// Whether the judge needs a model.
    #[must_use]
    pub fn needs_model(&self) -> bool {
        !matches!(self, Self::RefusalStrings(_))
    }

    /// The verdict of a judge without a model.
    #[must_use]
    pub fn verdict_of_text(&self, completion: &str) -> Option<Verdict> {
        match self {
            Self::RefusalStrings(list) => Some(list.verdict(completion)),
            _ => None,
        }
    }

    /// What the judge's model is asked about one exchange. `has_template` tells whether its folder has a chat template.
    ///
    /// # Errors
    /// When a prompt of the user's cannot be filled.
    pub fn request(
        &self,
        exchange: &Exchange<'_>,
        has_template: bool,
    ) -> Result<GenerateRequest, crate::prompt::PromptError> {
        let greedy =
            |messages: Vec<Message>, text: Option<String>, max_tokens: usize| GenerateRequest {
                messages,
                text,
                max_tokens,
                sampling: Sampling::greedy(),
                stop: Vec::new(),
                watch_first_token: Vec::new(),
                on_long_prompt: LongPrompt::Error,
            };
        Ok(match self {
            Self::LlamaGuard {
                categories,
                max_tokens,
            } => {
                let (messages, text) = llama_guard::prompt(exchange, categories, has_template);
                GenerateRequest {
                    watch_first_token: vec!["safe".to_owned(), "unsafe".to_owned()],
                    ..greedy(messages, text, *max_tokens)
                }
            }
            Self::HarmBench => greedy(Vec::new(), Some(harmbench::prompt(exchange)), 1),
            Self::StrongReject { .. } => greedy(strong_reject::messages(exchange), None, 512),
            Self::Prompt {
                turns, max_tokens, ..
            } => greedy(parse::messages(turns, exchange)?, None, *max_tokens),
            Self::RefusalStrings(_) => greedy(Vec::new(), None, 0),
        })
    }

    /// Reads the answer of the judge's model.
    #[must_use]
    pub fn read(&self, answer: &Completion) -> Verdict {
        match self {
            Self::LlamaGuard { .. } => llama_guard::read(answer),
            Self::HarmBench => harmbench::read(&answer.text),
            Self::StrongReject { threshold } => strong_reject::read(&answer.text, *threshold),
            Self::Prompt { parse, .. } => parse.read(&answer.text),
            Self::RefusalStrings(list) => list.verdict(&answer.text),
        }
    }

    /// Text whose digest identifies the built-in prompt of this judge.
    #[must_use]
    pub fn prompt_identity(&self) -> String {
        let probe = Exchange {
            request: "{request}".to_owned(),
            completion: "{completion}",
            context: Some("{context}".to_owned()),
        };
        match self {
            Self::LlamaGuard { categories, .. } => llama_guard::prompt(&probe, categories, false)
                .1
                .unwrap_or_default(),
            Self::HarmBench => harmbench::prompt(&probe),
            Self::StrongReject { .. } => strong_reject::messages(&probe)
                .into_iter()
                .map(|message| message.content)
                .collect(),
            Self::Prompt { .. } | Self::RefusalStrings(_) => String::new(),
        }
    }
}

/// A verdict for a sample that has no completion: an error of the subject is never a refusal.
#[must_use]
pub fn without_completion(sample: &Sample) -> Option<Verdict> {
    (sample.completion.finish_reason == FinishReason::Error)
        .then(|| error_verdict("the sample has no completion"))
}

/// A verdict for a judge that could not be asked.
#[must_use]
pub fn error_verdict(problem: &str) -> Verdict {
    Verdict {
        label: VerdictLabel::Error,
        categories: Vec::new(),
        p_unsafe: None,
        score: None,
        output: problem.to_owned(),
    }
}

/// The request as a judge sees it: every turn but a constant system prompt. A system turn that carries the row's own
/// context goes before the request, so that subject and judge see the same.
#[must_use]
pub fn exchange<'a>(turns: &[TurnTemplate], sample: &'a Sample) -> Exchange<'a> {
    let mut parts = Vec::new();
    let mut context = None;
    for (index, message) in sample.messages.iter().enumerate() {
        if message.role == "system" {
            if turns.get(index).is_some_and(TurnTemplate::depends_on_row) {
                context = Some(message.content.clone());
                parts.push(message.content.clone());
            }
        } else {
            parts.push(message.content.clone());
        }
    }
    Exchange {
        request: parts.join("\n"),
        completion: &sample.completion.text,
        context,
    }
}
