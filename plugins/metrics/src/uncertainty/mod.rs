//! Uncertainty: how sure a model was of its own tokens, apart for correct and incorrect answers, and whether that sureness
//! predicts correctness.
//!
//! The primary number is the mean top-10 entropy (`primary` chooses another): it is bounded, needs no recorded
//! vocabulary, and is the one that recorded studies have too. Each measure is taken per completion, averaged over the
//! completions of a prompt, then over prompts.

mod measures;
mod report;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use driftgauge_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::answers::{self, Match};
use crate::columns::{Conditions, Prompts};
use measures::{Measure, Tokens};

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
    /// `eos: keep`, `token: emitted`, primary `top10_entropy`.
    #[default]
    Driftgauge,
    /// arXiv 2409.19476: `eos: drop-last`, `token: top1`, primary `top10_entropy`.
    Paper,
    /// LM-Polygraph: `eos: keep`, `token: emitted`, primary `mean_nll` (its `Perplexity`).
    LmPolygraph,
}

/// Configuration of [`Uncertainty`].
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
    /// Number of equal-width bins of the calibration error.
    pub ece_bins: usize,
    /// How an answer is held against the references, where no `correct` is recorded.
    pub r#match: Match,
    /// Names of recorded values, by measure, for samples without token lists; the measure's id when absent.
    pub recorded: BTreeMap<String, String>,
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
            ece_bins: 10,
            r#match: Match::default(),
            recorded: BTreeMap::new(),
        }
    }
}

/// The metric `uncertainty`.
#[derive(Debug)]
pub struct Uncertainty {
    eos: Eos,
    token: Token,
    primary: Measure,
    confidence: Measure,
    ece_bins: usize,
    rule: Match,
    vocabulary: Option<u32>,
    measures: Vec<Measure>,
    /// Field of the recorded value of each measure.
    fields: Vec<String>,
    prompts: Prompts,
    conditions: Conditions<Gathered>,
}

/// Completions of one condition, as parallel lists.
#[derive(Debug, Default)]
struct Gathered {
    /// Row of the prompt.
    prompt: Vec<u32>,
    /// Whether the answer is correct, where that is known.
    correct: Vec<Option<bool>>,
    /// Hash of the normalised answer, for self-consistency.
    answer: Vec<u64>,
    /// By measure, in the order of the metric's measures; NaN where undefined.
    values: Vec<Vec<f64>>,
    /// Whether some prompt was sampled several times.
    repeated: bool,
    /// Completions that were not made.
    failed: u64,
    /// Completions without a single counted token, and without recorded values.
    without: u64,
}

impl Metric for Uncertainty {
    type Config = UncertaintyConfig;

    fn manifest() -> Manifest {
        Manifest::new("uncertainty", env!("CARGO_PKG_VERSION"), "Uncertainty").describe(
            "How sure the model was of its own tokens, and whether that predicts correct answers.",
        )
    }

    fn new(config: UncertaintyConfig, _: &Host<'_>) -> Result<Self, MetricError> {
        if config.top_k != 10 {
            return Err(MetricError::config(format!(
                "`top_k` is {}, but samples record the ten likeliest tokens",
                config.top_k
            ))
            .help("use `top_k: 10`, or the measure `token_entropy` over the whole vocabulary"));
        }
        if config.ece_bins == 0 {
            return Err(MetricError::config("`ece_bins` is 0").help("use 10, 15 or 20"));
        }
        if !config.confidence.has_confidence() {
            return Err(MetricError::config(format!(
                "`confidence` is `{}`, which is not between 0 and 1",
                config.confidence.id()
            ))
            .help("use for example `mean_token_probability`, `min_token_probability` or `perplexity` (as 1/perplexity)"));
        }
        let known = |name: &str| Measure::ALL.iter().any(|measure| measure.id() == name);
        if let Some(name) = config.recorded.keys().find(|name| !known(name)) {
            let names: Vec<_> = Measure::ALL
                .iter()
                .map(|m| format!("`{}`", m.id()))
                .collect();
            return Err(
                MetricError::config(format!("`recorded` names no measure: `{name}`"))
                    .help(format!("measures: {}", names.join(", "))),
            );
        }
        let (eos, token, primary) = match config.definitions {
            Definitions::Driftgauge => (Eos::Keep, Token::Emitted, Measure::Top10Entropy),
            Definitions::Paper => (Eos::DropLast, Token::Top1, Measure::Top10Entropy),
            Definitions::LmPolygraph => (Eos::Keep, Token::Emitted, Measure::MeanNll),
        };
        let primary = config.primary.unwrap_or(primary);
        let mut measures = config.measures.unwrap_or_else(|| Measure::USUAL.to_vec());
        if config.vocabulary.is_some() {
            measures.extend([Measure::EntropyLowerBound, Measure::EntropyUpperBound]);
        }
        measures.extend([primary, config.confidence]);
        let chosen = Measure::ALL
            .into_iter()
            .filter(|measure| measures.contains(measure));
        let measures: Vec<Measure> = chosen.collect();
        let fields = measures
            .iter()
            .map(|measure| {
                let name = config.recorded.get(measure.id());
                format!("value.{}", name.map_or(measure.id(), String::as_str))
            })
            .collect();
        Ok(Self {
            eos: config.eos.unwrap_or(eos),
            token: config.token.unwrap_or(token),
            primary,
            confidence: config.confidence,
            ece_bins: config.ece_bins,
            rule: config.r#match,
            vocabulary: config.vocabulary,
            measures,
            fields,
            prompts: Prompts::default(),
            conditions: Conditions::default(),
        })
    }

    fn update(&mut self, batch: Batch<'_>) -> Result<(), MetricError> {
        for sample in batch.samples() {
            self.take(&sample)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<MetricOutput, MetricError> {
        Ok(self.report())
    }
}

impl Uncertainty {
    fn take(&mut self, sample: &Sample<'_>) -> Result<(), MetricError> {
        let tokens = self.tokens(sample)?;
        let gathered = self.conditions.entry(sample.str("condition")?);
        if sample.opt_str("finish_reason")? == Some("error") {
            gathered.failed += 1;
            return Ok(());
        }
        let row = self.prompts.row(sample.str("sample_id")?);
        gathered.values.resize_with(self.measures.len(), Vec::new);
        let mut any = false;
        for ((measure, field), values) in self
            .measures
            .iter()
            .zip(&self.fields)
            .zip(&mut gathered.values)
        {
            let value = match measure.of(&tokens) {
                Some(value) => Some(value),
                None => sample.opt_f64(field)?.filter(|value| value.is_finite()),
            };
            any |= value.is_some();
            values.push(value.unwrap_or(f64::NAN));
        }
        gathered.without += u64::from(!any);
        let score = answers::score(sample, self.rule)?;
        gathered.correct.push(score.map(|score| score >= 0.5));
        // Prompts are at most as many as samples, which fit in memory.
        gathered.prompt.push(u32::try_from(row).unwrap_or(u32::MAX));
        gathered.repeated |= sample.i64("sample_index")? > 0;
        let answer = sample.opt_str("completion")?.unwrap_or_default();
        gathered.answer.push(fingerprint(answer));
        Ok(())
    }

    /// The lists of a sample, without the end token where it is to be dropped.
    fn tokens<'a>(&self, sample: &Sample<'a>) -> Result<Tokens<'a>, MetricError> {
        let drop = match self.eos {
            Eos::Keep => false,
            Eos::Drop => sample.i64("ends_with_eos")? != 0,
            Eos::DropLast => true,
        };
        let list = |field: &str| {
            let all = sample.f32s(field)?;
            Ok::<_, MetricError>(match all {
                [kept @ .., _] if drop => kept,
                all => all,
            })
        };
        Ok(Tokens {
            logprob: list(match self.token {
                Token::Emitted => "token_logprob",
                Token::Top1 => "token_top1_logprob",
            })?,
            top10_entropy: list("token_top10_entropy")?,
            top10_mass: list("token_top10_mass")?,
            entropy: list("token_entropy")?,
            margin: list("token_margin")?,
            vocabulary: self.vocabulary,
        })
    }
}

/// Equal for answers that are equal after normalisation.
fn fingerprint(answer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    answers::normalise(answer).hash(&mut hasher);
    hasher.finish()
}
