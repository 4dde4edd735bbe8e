//! What inference nodes have in common: items that a model is asked, and the artifact made of its answers.

use std::path::Path;

use driftgauge_engine::worker::{Answer, Ask};
use driftgauge_problem::Problem;
use driftgauge_record::Sample;

/// The work of an inference node, made once: every item with the sample that it belongs to, so that question and answer
/// meet at the same item and nowhere else.
pub(crate) trait Inference: Send + Sync {
    /// Number of items.
    fn len(&self) -> usize;

    /// What the model is asked for an item; `None` where nothing is to be asked.
    fn ask(&self, item: usize) -> Option<Ask>;

    /// What a reader of the log should know of the answers, beside those that failed.
    fn notes(&self, _answers: &[Option<Answer>]) -> Vec<String> {
        Vec::new()
    }

    /// Writes the files of the artifact. `answers` has an entry for every item, `None` where nothing was asked. Returns what
    /// a reader of the log should know of samples that came to nothing.
    ///
    /// # Errors
    /// When a file cannot be written, or an answer is of another kind than the question.
    fn write(&self, answers: Vec<Option<Answer>>, folder: &Path) -> Result<Vec<Failure>, Problem>;
}

/// A sample without a completion, score or divergence, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Id of the sample.
    pub(crate) sample_id: String,
    /// Why.
    pub(crate) error: Problem,
}

impl Failure {
    pub(super) fn of(sample: &Sample, error: &Problem) -> Self {
        Self {
            sample_id: sample.sample_id.clone(),
            error: error.clone(),
        }
    }
}

/// What stands for an answer that a finished session does not hold.
pub(super) fn no_answer() -> Answer {
    Err("no answer".into())
}
