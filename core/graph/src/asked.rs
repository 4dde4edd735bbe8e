//! What an experiment will ask of a model, known before anything runs.

use driftgauge_data::prompt::Templates;
use driftgauge_engine::Prompt;
use driftgauge_problem::Problem;

use crate::nodes::choices::texts;
use crate::nodes::prompts::prompted_of;
use crate::nodes::score::given;
use crate::resolved::ResolvedExperiment;

pub use crate::nodes::models::folder_of;

/// A prompt, and the texts that are scored after it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The row that it is made of.
    pub sample_id: String,
    /// What stands before.
    pub prompt: Prompt,
    /// What is scored: choices, or a text. Empty where the model answers.
    pub texts: Vec<String>,
}

impl Asked {
    /// Bytes of what the row put into it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let turns = self.prompt.messages.iter().flatten();
        let turns: usize = turns.map(|message| message.content.len()).sum();
        let longest = self.texts.iter().map(String::len).max().unwrap_or(0);
        turns + self.prompt.text.len() + longest
    }
}

/// Everything that an evaluation asks under a condition, once for each row.
///
/// # Errors
/// When a template cannot be filled for a row.
pub fn asked(
    experiment: &ResolvedExperiment,
    evaluation: &str,
    condition: &str,
) -> Result<Vec<Asked>, Problem> {
    let resolved = &experiment.evaluations[evaluation];
    let templates = Templates::default();
    prompted_of(experiment, evaluation, condition)?
        .into_iter()
        .filter(|(_, sample)| sample.sample_index == 0)
        .map(|(row, sample)| {
            let mut scored = match &resolved.score {
                Some(score) => texts(score, row, &templates)?,
                None => Vec::new(),
            };
            if let Some(text) = resolved.kl.as_ref().and_then(|kl| kl.text.as_ref()) {
                let filled = templates.fill(text, row, None);
                scored.push(filled?);
            }
            Ok(Asked {
                sample_id: sample.sample_id,
                prompt: given(sample.messages),
                texts: scored,
            })
        })
        .collect()
}
