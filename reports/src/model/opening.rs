//! What stands above everything else: the finding in sentences, and what a reader has to know before believing it.

use serde::{Deserialize, Serialize};

use super::numbers::Effect;

/// What the primary comparisons found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the lines below speak of; the whole finding when there are none.
    pub summary: String,
    /// One line per model that was compared with the baseline.
    pub models: Vec<ModelVerdict>,
}

/// What the primary comparisons found of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelVerdict {
    /// Model id.
    pub model: String,
    /// Clear differences, those with a better direction first.
    pub changes: Vec<Change>,
    /// Comparisons that show no clear difference.
    pub unclear: u64,
    /// All primary comparisons.
    pub compared: u64,
}

/// A measure that clearly differs from the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What the number is, as it reads within a sentence.
    pub title: String,
    /// Element id of the section with the details.
    pub section: String,
    /// Unit of the number.
    pub unit: String,
    /// What the difference amounts to.
    pub effect: Effect,
    /// Difference under the condition where it is smallest.
    pub smallest: f64,
    /// Difference under the condition where it is largest.
    pub largest: f64,
    /// Conditions under which it differs; empty when the evaluation has only one.
    pub conditions: Vec<String>,
    /// Whether these are all conditions that were compared.
    pub everywhere: bool,
}

/// A message above everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// How grave it is.
    pub kind: BannerKind,
    /// The message.
    pub text: String,
    /// What it is about, one by one.
    #[serde(default)]
    pub items: Vec<String>,
}

/// How grave a banner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BannerKind {
    /// Something failed.
    Failure,
    /// The numbers need care.
    Warning,
    /// Good to know.
    Note,
}
