//! How a model reads prompts, told from its files before it is loaded.

use std::path::PathBuf;

use driftgauge_problem::Problem;
use driftgauge_record::Message;

use crate::ask::{LocalEngine, Prompt};

/// The files that say how a model reads a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextFiles {
    /// An ordinary model folder, or the folder of the GGUF file.
    pub folder: PathBuf,
    /// File name inside `folder` for a GGUF model.
    pub gguf: Option<String>,
    /// Folder with the tokenizer of a GGUF model; the one inside the file when absent.
    pub tokenizer: Option<PathBuf>,
    /// A chat template file that overrides the folder's own.
    pub chat_template: Option<PathBuf>,
    /// What the model is loaded in.
    pub engine: LocalEngine,
}

/// A model that is still to be trained from nothing, as far as it decides how it will read a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrained {
    /// Its context.
    pub context: usize,
    /// Tokens of its vocabulary, at most.
    pub vocab_size: usize,
    /// Chat template file; that of the trainer when absent.
    pub chat_template: Option<PathBuf>,
    /// What its tokenizer will be learnt from: roles and contents of the training rows, in their order.
    pub texts: Vec<String>,
}

/// How long the texts may be that a model is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A prompt that is answered has to have fewer tokens.
    pub context: usize,
    /// Tokens that are read where given text is scored.
    pub scored: usize,
    /// How far what generates computes the model as it is meant, where that is not everywhere.
    pub reach: Option<Reach>,
}

/// How far an engine computes what a model's configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Tokens of a prompt and its answer together.
    pub tokens: usize,
    /// The key of the configuration that says so, with its value.
    pub key: String,
}

/// Reads prompts as a model does that is not loaded.
pub trait PromptReader {
    /// How long they may be.
    fn limits(&self) -> &Limits;

    /// The text of a prompt.
    ///
    /// # Errors
    /// When the chat template is missing or refuses the turns.
    fn render(&self, prompt: &Prompt) -> Result<String, Problem>;

    /// How many tokens a prompt has together with a text that is scored behind it.
    ///
    /// # Errors
    /// As [`Self::render`], and when the tokenizer fails.
    fn tokens(&self, prompt: &Prompt, scored: &str) -> Result<usize, Problem>;

    /// How many tokens a conversation has as a row that is learnt, before it is cut; `None` where that is not known before.
    ///
    /// # Errors
    /// As [`Self::tokens`].
    fn learnt(&self, messages: &[Message]) -> Result<Option<usize>, Problem>;

    /// Whether a conversation's first answer is learnt as an answer: its chat template ends a prompt with all that it writes before one.
    ///
    /// # Errors
    /// When it does not, or as [`Self::render`].
    fn learns_answers(&self, messages: &[Message]) -> Result<(), Problem>;

    /// What the chat template writes for an answer that begins with a prompt's prefill, where the prompt does not end so: the prefill
    /// then stands where no answer begins.
    ///
    /// # Errors
    /// As [`Self::render`].
    fn prefilled_otherwise(&self, messages: &[Message]) -> Result<Option<String>, Problem>;

    /// Spellings of the special tokens, which the tokenizer finds in any text.
    fn special(&self) -> Vec<String>;
}
