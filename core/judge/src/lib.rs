//! Judges: from a request and a completion to a verdict.
//!
//! A verdict is one of safe, unsafe, unparsable, error; an answer that is no verdict is never read as one. The prompt a
//! judge sees is part of the node's key.

mod continued;
mod denied;
mod explained;
mod harmbench;
mod llama_guard;
mod parse;
mod plugin;
mod reading;
mod refusal;
mod scale;
mod score;
mod strong_reject;
mod turned;
mod words;

use driftgauge_record::{Completion, FinishReason, Message, Sample, Verdict};
use serde::{Deserialize, Serialize};

pub use parse::{ParseRule, Scale};
pub use plugin::verdicts as plugin_verdicts;
pub use refusal::{RefusalList, RefusalMatch, refusal_list, refusal_list_names};

use driftgauge_data::prompt::{TurnTemplate, plain_text};
use driftgauge_engine::ResolvedMetric;
use driftgauge_engine::{GenerateRequest, LongPrompt, PREFILL_ROLE, Sampling};

/// A judge with everything that decides its verdicts, its model aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// A Llama Guard: `safe`, or `unsafe` and a line of categories.
    LlamaGuard {
        /// Categories for the documented layout as the spec writes them, instead of the fourteen of Llama Guard 3.
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
        /// Turns over `request`, `behavior`, `context` and `completion`.
        turns: Vec<TurnTemplate>,
        /// How to read the answer.
        parse: ParseRule,
        /// Limit on the judge's new tokens.
        max_tokens: usize,
    },
    /// A list of refusal strings: a completion without any of them counts as compliance. A heuristic.
    RefusalStrings(RefusalList),
    /// A plugin that returns a verdict on each sample.
    Plugin(ResolvedMetric),
}

/// New tokens of the HarmBench classifier: its word, and what models that are no such classifier put around it.
const HARMBENCH_TOKENS: usize = 8;

/// What a judge looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange<'a> {
    /// The request: the evaluation's `behavior`, or else the conversation without its system turns.
    pub request: String,
    /// The completion.
    pub completion: &'a str,
    /// The row's context, when the subject was shown one that the request does not hold already.
    pub context: Option<String>,
}

impl Exchange<'_> {
    /// Context and request as one text, for judges that know no context.
    #[must_use]
    pub fn asked(&self) -> String {
        match &self.context {
            Some(context) => format!("{context}\n{}", self.request),
            None => self.request.clone(),
        }
    }
}

impl Judge {
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
    ) -> Result<GenerateRequest, driftgauge_data::prompt::PromptError> {
        let greedy =
            |messages: Vec<Message>, text: Option<String>, max_tokens: usize| GenerateRequest {
                messages,
                text,
                max_tokens,
                sampling: Sampling::greedy(),
                stop: Vec::new(),
                watch_first_token: Vec::new(),
                top_logprobs: 0,
                on_long_prompt: LongPrompt::Error,
                // Only the engine knows whether the prompt opened a block of reasoning.
                strip_thinking: true,
                prefill_tokens: None,
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
            Self::HarmBench => greedy(
                Vec::new(),
                Some(harmbench::prompt(exchange)),
                HARMBENCH_TOKENS,
            ),
            Self::StrongReject { .. } => greedy(strong_reject::messages(exchange), None, 512),
            Self::Prompt {
                turns, max_tokens, ..
            } => {
                let messages = parse::messages(turns, exchange)?;
                match plain_text(&messages).map(str::to_owned) {
                    Some(text) => greedy(Vec::new(), Some(text), *max_tokens),
                    None => greedy(messages, None, *max_tokens),
                }
            }
            Self::RefusalStrings(_) | Self::Plugin(_) => greedy(Vec::new(), None, 0),
        })
    }

    /// Reads the answer of the judge's model.
    #[must_use]
    pub fn read(&self, answer: &Completion) -> Verdict {
        let mut verdict = self.read_answer(answer);
        if let Some(thinking) = &answer.thinking {
            verdict.output = match answer.text.as_str() {
                "" => format!("<think>\n{thinking}"),
                text => format!("<think>\n{thinking}\n</think>\n\n{text}"),
            };
        }
        verdict
    }

    fn read_answer(&self, answer: &Completion) -> Verdict {
        match self {
            Self::LlamaGuard { categories, .. } => llama_guard::read(answer, categories),
            Self::HarmBench => harmbench::read(answer),
            Self::StrongReject { threshold } => strong_reject::read(answer, *threshold),
            Self::Prompt { parse, .. } => parse.read(answer),
            Self::RefusalStrings(list) => list.verdict(&answer.text),
            Self::Plugin(_) => Verdict::error("this judge asks no model"),
        }
    }

    /// Whether it gives scores, as far as is known before it is asked.
    #[must_use]
    pub fn gives_scores(&self) -> bool {
        match self {
            Self::StrongReject { .. } => true,
            Self::Prompt { parse, .. } => parse.scale.is_some(),
            Self::LlamaGuard { .. }
            | Self::HarmBench
            | Self::RefusalStrings(_)
            | Self::Plugin(_) => false,
        }
    }

    /// Whether it gives scores that are no verdicts.
    #[must_use]
    pub fn only_scores(&self) -> bool {
        match self {
            Self::Prompt { parse, .. } => {
                parse.scale.is_some_and(|scale| scale.unsafe_from.is_none())
            }
            _ => false,
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
            Self::Prompt { .. } | Self::RefusalStrings(_) | Self::Plugin(_) => String::new(),
        }
    }
}

/// Fills a turn of a judge's own prompt with texts that stand for those of a sample.
///
/// # Errors
/// When the template is wrong or names something that judges are not shown.
pub fn try_turn(turn: TurnTemplate) -> Result<(), driftgauge_data::prompt::PromptError> {
    let probe = Exchange {
        request: "a request".to_owned(),
        completion: "a completion",
        context: Some("a context".to_owned()),
    };
    parse::messages(&[turn], &probe).map(|_| ())
}

/// A verdict for a sample that has no completion: an error of the subject is never a refusal.
#[must_use]
pub fn without_completion(sample: &Sample) -> Option<Verdict> {
    (sample.completion.finish_reason == FinishReason::Error)
        .then(|| Verdict::error("the sample has no completion"))
}

/// What a judge is shown of a sample: the request without constant instructions, and the context of the row where the
/// subject was shown one, so that both see the same. `behavior` stands for the request when the evaluation has one.
#[must_use]
pub fn exchange<'a>(
    turns: &[TurnTemplate],
    sample: &'a Sample,
    behavior: Option<String>,
) -> Exchange<'a> {
    // A turn without template marks is the same for every row, to the letter.
    let constant = |message: &Message| {
        turns.iter().any(|turn| {
            turn.role == message.role && !turn.depends_on_row() && turn.template == message.content
        })
    };
    // What begins the answer is part of the completion.
    let asked = sample.messages.iter().filter(|m| m.role != PREFILL_ROLE);
    let (system, conversation): (Vec<&Message>, Vec<&Message>) =
        asked.partition(|m| m.role == "system");
    let joined = |messages: Vec<&Message>| {
        let texts: Vec<&str> = messages.iter().map(|m| m.content.as_str()).collect();
        texts.join("\n")
    };
    // Examples stand before the turns of the prompt, and are no part of the request.
    let own = turns
        .iter()
        .filter(|turn| turn.role != "system" && turn.role != PREFILL_ROLE)
        .count();
    let first = match conversation.len().checked_sub(own) {
        Some(shown) if own > 0 => shown,
        _ => 0,
    };
    let request = behavior.unwrap_or_else(|| joined(conversation[first..].to_vec()));
    let context = joined(system.into_iter().filter(|m| !constant(m)).collect());
    let shown = context.trim().is_empty() || request.contains(context.trim());
    Exchange {
        request,
        completion: &sample.completion.text,
        context: (!shown).then_some(context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(messages: &[(&str, &str)]) -> Sample {
        let messages = messages.iter().map(|(role, content)| Message {
            role: (*role).to_owned(),
            content: (*content).to_owned(),
        });
        driftgauge_record::Sample::unanswered("1".to_owned(), 0, messages.collect())
    }

    fn turns(turns: &[(&str, &str)]) -> Vec<TurnTemplate> {
        turns
            .iter()
            .map(|(role, template)| TurnTemplate {
                role: (*role).to_owned(),
                template: (*template).to_owned(),
            })
            .collect()
    }

    #[test]
    fn judges_see_the_context_that_the_subject_saw_and_no_constant_instructions() {
        let turns = turns(&[
            ("system", "Be brief."),
            ("system", "{{ ContextString }}"),
            ("user", "{{ Behavior }} Now."),
        ]);
        let sample = sample(&[
            ("system", "Be brief."),
            ("system", "The door is blue."),
            ("user", "open it Now."),
        ]);
        let plain = exchange(&turns, &sample, None);
        assert_eq!(plain.request, "open it Now.");
        assert_eq!(plain.context.as_deref(), Some("The door is blue."));
        assert_eq!(plain.asked(), "The door is blue.\nopen it Now.");
        let behavior = exchange(&turns, &sample, Some("open it".to_owned()));
        assert_eq!(behavior.asked(), "The door is blue.\nopen it");
        // A behavior that brings the context along does not get it twice.
        let both = Some("The door is blue.\nopen it".to_owned());
        let both = exchange(&turns, &sample, both);
        assert_eq!(
            (both.asked().as_str(), both.context),
            ("The door is blue.\nopen it", None)
        );
    }

    #[test]
    fn harmbench_shows_the_context_apart_from_the_behavior() {
        let exchange = Exchange {
            request: "open it".to_owned(),
            completion: "opened",
            context: Some("The door is blue.".to_owned()),
        };
        let request = Judge::HarmBench.request(&exchange, false).unwrap();
        let text = request.text.unwrap();
        assert!(text.contains("[CONTEXT]: The door is blue.\n[BEHAVIOR]: open it\n"));
        assert_eq!(text.matches("blue").count(), 1);
    }
}
