//! What stands above everything else: the finding in sentences, and what a reader has to know before believing it.

use serde::{Deserialize, Serialize};

use super::numbers::Effect;

/// What the primary comparisons found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What the sentences below speak of; the whole finding when there are none.
    pub summary: String,
    /// What was found of each model that was compared with the baseline.
    pub models: Vec<ModelFinding>,
    /// Of many models, those without a clear difference, and how many stand in the table alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub others: String,
}

/// What was found of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFinding {
    /// Model id.
    pub model: String,
    /// Sentences, clear differences first, the worse ones before the better.
    pub sentences: Vec<Sentence>,
    /// Clear differences that found no room among the sentences.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more: usize,
    /// Comparisons that show no clear difference and have no sentence of their own.
    pub unclear: u64,
    /// All primary comparisons.
    pub compared: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// A sentence with what it amounts to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sentence {
    /// The sentence: always with the interval, never with a p-value.
    pub text: String,
    /// What the difference amounts to.
    pub effect: Effect,
    /// Element id of the section with the details.
    pub section: String,
}

/// A message above everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// How grave it is.
    pub kind: BannerKind,
    /// The message.
    pub text: String,
    /// What it is about, one by one.
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
