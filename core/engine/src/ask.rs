//! What an engine is asked, and what it answers.

use std::path::PathBuf;

use driftgauge_record::Message;
use serde::{Deserialize, Serialize};

use crate::proof::{Proof, Witness};

/// What makes completions on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalEngine {
    /// mistral.rs.
    #[default]
    Mistralrs,
    /// The batched decoder of driftgauge, on a processor.
    Native,
}

impl LocalEngine {
    /// Bytes of keys and values that the native engine keeps, unless one answer alone needs more.
    pub const NATIVE_CACHE: u64 = 1 << 30;

    /// The word of specs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Mistralrs => "mistralrs",
            Self::Native => "native",
        }
    }
}

/// Which model a worker loads, as bytes on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadModel {
    /// An ordinary model folder, or the folder of the GGUF file.
    pub folder: PathBuf,
    /// File name inside `folder` for a GGUF model.
    #[serde(default)]
    pub gguf: Option<String>,
    /// Folder with the tokenizer of a GGUF model; the one inside the file when absent.
    #[serde(default)]
    pub tokenizer: Option<PathBuf>,
    /// In-situ quantisation, for example `q4k` or `q8_0`.
    #[serde(default)]
    pub quantization: Option<String>,
    /// A chat template file that overrides the folder's own.
    #[serde(default)]
    pub chat_template: Option<PathBuf>,
    /// `f32`, `f16`, `bf16` or `auto` (f32 on CPU, bf16 on a GPU).
    #[serde(default = "auto")]
    pub dtype: String,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    #[serde(default = "auto")]
    pub device: String,
    /// Whether every prompt will be plain text, so that the model needs no chat template.
    #[serde(default)]
    pub plain_text: bool,
    /// Tokens of the longest prompt and answer together that the model will be asked for, at most.
    #[serde(default)]
    pub longest: Option<usize>,
    /// What it is loaded in, when it is to answer.
    #[serde(default)]
    pub engine: LocalEngine,
    /// What the native engine is held against.
    #[serde(default)]
    pub witness: Witness,
    /// What was proven of it before.
    #[serde(default)]
    pub proof: Option<Box<Proof>>,
    /// Whether a model of which the self-check proves less than everything is refused.
    #[serde(default)]
    pub strict: bool,
}

impl LoadModel {
    /// Whether another one loads the same bytes in the same way.
    #[must_use]
    pub fn is_same_model(&self, other: &Self) -> bool {
        let asked = |model: &Self| Self {
            longest: None,
            plain_text: false,
            proof: None,
            ..model.clone()
        };
        asked(self) == asked(other)
    }
}

fn auto() -> String {
    "auto".to_owned()
}

/// How tokens are drawn. Temperature 0 is greedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 for greedy decoding.
    pub temperature: f64,
    /// Nucleus: smallest set of tokens with at least this probability.
    #[serde(default)]
    pub top_p: Option<f64>,
    /// The k most likely tokens.
    #[serde(default)]
    pub top_k: Option<usize>,
    /// Tokens at least this likely relative to the most likely one.
    #[serde(default)]
    pub min_p: Option<f64>,
    /// Key of the counter-based randomness: the same key and prompt draw the same tokens, whatever else runs.
    #[serde(default)]
    pub seed: u64,
}

impl Sampling {
    /// Always the most likely token.
    #[must_use]
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_p: None,
            top_k: None,
            min_p: None,
            seed: 0,
        }
    }
}

/// What to do with a prompt longer than the model's context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LongPrompt {
    /// Fail the sample; refused before a run where it is known by then.
    #[default]
    Error,
    /// Fail the sample.
    Skip,
    /// Drop tokens from the start of the prompt.
    Truncate,
}

/// One completion asked of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// The conversation before the chat template.
    pub messages: Vec<Message>,
    /// The prompt as plain text: when set, it is tokenised as it stands and no chat template is applied.
    #[serde(default)]
    pub text: Option<String>,
    /// Limit on new tokens.
    pub max_tokens: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Strings that end the answer; they are cut off the text.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Strings whose ln p is wanted where the answer proper begins: the first token of each, in any spelling.
    #[serde(default)]
    pub watch_first_token: Vec<String>,
    /// How many of the likeliest tokens' ln p are wanted at every position; 0 for none.
    #[serde(default)]
    pub top_logprobs: usize,
    /// Policy for prompts longer than the context.
    #[serde(default)]
    pub on_long_prompt: LongPrompt,
    /// Whether reasoning is kept apart from the answer.
    #[serde(default)]
    pub strip_thinking: bool,
    /// Where the last message is a [`PREFILL_ROLE`], only so many of its tokens begin the answer.
    #[serde(default)]
    pub prefill_tokens: Option<usize>,
}

/// Role of a last message that begins the answer: the model goes on behind it.
pub const PREFILL_ROLE: &str = "prefill";

/// What stands before scored tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Rendered with the chat template when set.
    #[serde(default)]
    pub messages: Option<Vec<Message>>,
    /// Plain text after the rendered messages, tokenised as it stands.
    #[serde(default)]
    pub text: String,
    /// The very tokens of another model's prompt, instead of both.
    #[serde(default)]
    pub tokens: Option<Vec<u32>>,
}

/// Log-likelihoods asked of a model: of each continuation, given the prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRequest {
    /// What stands before.
    pub prompt: Prompt,
    /// What is scored.
    pub continuations: Vec<Continuation>,
    /// Whether they are choices, which are scored whole even where nothing stands before them.
    #[serde(default)]
    pub choices: bool,
}

/// A continuation as text or as the very tokens of another model's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Continuation {
    /// Text, tokenised by the model's own tokenizer.
    Text(String),
    /// Token ids.
    Tokens(Vec<u32>),
}

/// Scores of one prompt's continuations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreResponse {
    /// Per continuation: ln p of each of its tokens.
    pub token_logprob: Vec<Vec<f64>>,
    /// Per continuation: whether the tokenizer merges its beginning with the end of the prompt.
    #[serde(default)]
    pub merged: Vec<bool>,
}

/// Two models to hold against each other on the same tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadPair {
    /// The reference, whose tokenizer and chat template are used.
    pub reference: LoadModel,
    /// The model that is held against it.
    pub model: LoadModel,
}

/// The divergence of a model from its reference asked on one text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DivergenceRequest {
    /// What stands before.
    pub prompt: Prompt,
    /// The tokens at whose positions distributions are compared.
    pub continuation: Continuation,
}

/// One entry per compared position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DivergenceResponse {
    /// `KL(reference || model)` in nats.
    pub kl: Vec<f64>,
    /// Whether both find the same token the most likely.
    pub top1_agree: Vec<bool>,
    /// Whether the tokenizer merges the beginning of the text with the end of the prompt.
    #[serde(default)]
    pub merged: bool,
}
