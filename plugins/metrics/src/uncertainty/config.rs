//! What can be configured, and the definitions of others as one word.

use std::collections::BTreeMap;

use driftgauge_plugin_sdk::MetricError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::measures::Measure;
use crate::answers::Match;
use crate::estimate::Level;

/// Whether the token that ended the answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Eos {
    /// It counts.
    Keep,
    /// It is dropped where one was produced.
    Drop,
    /// The last position is dropped, also of answers cut at the limit (what the code of arXiv 2409.19476 does).
    DropLast,
}

/// Whose probability is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Token {
    /// The token that was emitted.
    Emitted,
    /// The most likely token, emitted or not.
    Top1,
}

/// Definitions of a publication or tool, as defaults for the other keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Definitions {
    /// `eos: keep`, `token: emitted`, primary `top10_entropy`, 10 bins.
    #[default]
    Driftgauge,
    /// arXiv 2409.19476: `eos: drop-last`, `token: top1`, primary `top10_entropy`, 10 bins.
    Paper,
    /// LM-Polygraph: `eos: keep`, `token: emitted`, primary `mean_nll` (its `Perplexity`), 20 bins.
    LmPolygraph,
}

/// What [`Definitions`] stands for.
pub(super) struct Defaults {
    pub(super) eos: Eos,
    pub(super) token: Token,
    pub(super) primary: Measure,
    pub(super) ece_bins: usize,
}

/// Configuration of [`super::Uncertainty`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UncertaintyConfig {
    /// Whose definitions the keys below default to.
    pub definitions: Definitions,
    /// Whether the token that ended the answer counts.
    pub eos: Option<Eos>,
    /// Whose probability is meant.
    pub token: Option<Token>,
    /// Number of likeliest tokens behind the top-k entropy; samples record the ten likeliest, so 10.
    pub top_k: u32,
    /// The number that stands for the metric.
    pub primary: Option<Measure>,
    /// What is reported.
    pub measures: Option<Vec<Measure>>,
    /// Size of the vocabulary, for the upper bound of the entropy.
    pub vocabulary: Option<u32>,
    /// The predictor of correctness whose calibration is reported.
    pub confidence: Measure,
    /// Number of equal-width bins of the calibration error; part of its name.
    pub ece_bins: Option<usize>,
    /// How an answer is held against the references, where no `correct` is recorded.
    pub r#match: Match,
    /// Names of recorded values, by measure, for samples without token lists; the measure's id when absent.
    pub recorded: BTreeMap<String, String>,
    /// Level of every interval; that of `compare` when absent.
    pub level: Level,
}

impl Default for UncertaintyConfig {
    fn default() -> Self {
        Self {
            definitions: Definitions::default(),
            eos: None,
            token: None,
            top_k: 10,
            primary: None,
            measures: None,
            vocabulary: None,
            confidence: Measure::MeanTokenProbability,
            ece_bins: None,
            r#match: Match::default(),
            recorded: BTreeMap::new(),
            level: Level::default(),
        }
    }
}

impl UncertaintyConfig {
    pub(super) fn defaults(&self) -> Defaults {
        match self.definitions {
            Definitions::Driftgauge => Defaults {
                eos: Eos::Keep,
                token: Token::Emitted,
                primary: Measure::Top10Entropy,
                ece_bins: 10,
            },
            Definitions::Paper => Defaults {
                eos: Eos::DropLast,
                token: Token::Top1,
                primary: Measure::Top10Entropy,
                ece_bins: 10,
            },
            Definitions::LmPolygraph => Defaults {
                eos: Eos::Keep,
                token: Token::Emitted,
                primary: Measure::MeanNll,
                ece_bins: 20,
            },
        }
    }

    pub(super) fn check(&self) -> Result<(), MetricError> {
        if self.top_k != 10 {
            return Err(MetricError::config(format!(
                "`top_k` is {}, but samples record the ten likeliest tokens",
                self.top_k
            ))
            .help("use `top_k: 10`, or the measure `token_entropy` over the whole vocabulary"));
        }
        if self.ece_bins == Some(0) {
            return Err(MetricError::config("`ece_bins` is 0").help("use 10, 15 or 20"));
        }
        let known = |name: &str| Measure::ALL.iter().any(|measure| measure.id() == name);
        if let Some(name) = self.recorded.keys().find(|name| !known(name)) {
            let names: Vec<_> = Measure::ALL
                .iter()
                .map(|m| format!("`{}`", m.id()))
                .collect();
            return Err(
                MetricError::config(format!("`recorded` names no measure: `{name}`"))
                    .help(format!("measures: {}", names.join(", "))),
            );
        }
        Ok(())
    }
}
