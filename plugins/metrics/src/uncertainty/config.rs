//! What can be configured, and the definitions of others as one word.

use std::borrow::Cow;
use std::collections::BTreeMap;

use driftgauge_plugin_sdk::MetricError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::measures::Measure;
use crate::answers::Match;
use crate::asked::{self, Asked};
use crate::estimate::{Draws, Level};

/// Number of likeliest tokens whose sums every sample records.
pub(super) const RECORDED: u32 = 10;
/// Most likeliest tokens that are recorded at each position.
const MOST_LIKELIEST: u32 = 1000;

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

impl Eos {
    /// Which positions count, for formulas.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Keep => "end token kept",
            Self::Drop => "end token dropped",
            Self::DropLast => "last position dropped",
        }
    }
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

impl Token {
    /// The field of its logarithm.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Emitted => "token_logprob",
            Self::Top1 => "token_top1_logprob",
        }
    }

    /// Whose probability p_t is, for formulas.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Emitted => "p_t of the emitted token",
            Self::Top1 => "p_t of the likeliest token",
        }
    }
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

/// A measure by its id.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct MeasureName(String);

impl JsonSchema for MeasureName {
    fn schema_name() -> Cow<'static, str> {
        "Measure".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let ids = Measure::all(RECORDED).map(Measure::id);
        json_schema!({
            "description": "A measure; that of the likeliest tokens has the number `top_k` in its id.",
            "anyOf": [
                {"enum": ids},
                {"type": "string", "pattern": "^top[0-9]+_entropy(_renormalised)?$"},
            ],
        })
    }
}

/// Ids of numbers that are about answers and no mean of a measure.
pub(super) const OF_ANSWERS: [&str; 5] = ["overconfidence", "brier", "auroc", "aurc", "prr"];
/// Ids of the numbers of given texts, the one that stands for the metric first.
pub(super) const OF_TEXTS: [&str; 3] = ["loss", "token_loss", "corpus_perplexity"];

/// The measures of a configuration.
pub(super) struct Chosen {
    /// The measure behind the number that stands for the metric.
    pub(super) primary: Measure,
    /// The id of that number.
    pub(super) main: String,
    pub(super) confidence: Measure,
    /// Which numbers are returned.
    pub(super) asked: Asked,
    /// All of them, in the order they are reported.
    pub(super) measures: Vec<Measure>,
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
    /// Number k of likeliest tokens behind the top-k entropy and the bounds of the full entropy. With another k than 10,
    /// generation records as many tokens at every position, and the ids change with it: `top5_entropy`.
    pub top_k: u32,
    /// The number that stands for the metric.
    pub primary: Option<MeasureName>,
    /// What is reported.
    pub measures: Option<Vec<MeasureName>>,
    /// The numbers that are returned, by their ids (`auroc`, `ece10`, `perplexity_correct`); all of the `measures` when absent. Nothing
    /// else is computed, and there are no tables and charts. The first one stands for the metric unless `primary` is given.
    #[schemars(schema_with = "statistics")]
    pub statistics: Option<Vec<String>>,
    /// Size of the vocabulary, for the upper bound of the entropy.
    pub vocabulary: Option<u32>,
    /// The predictor of correctness whose calibration is reported; `mean_token_probability` when absent.
    pub confidence: Option<MeasureName>,
    /// Number of equal-width bins of the calibration error; part of its name.
    pub ece_bins: Option<usize>,
    /// How an answer is held against the references. When it is left out, a recorded `correct` (0 or 1) decides where there is
    /// one, and `substring` elsewhere; when it is given, a recorded `correct` decides only where there are no references.
    pub r#match: Option<Match>,
    /// Names of recorded values, by measure, for samples without token lists; the measure's id when absent.
    pub recorded: BTreeMap<String, String>,
    /// Level of every interval; that of `compare` when absent.
    pub level: Level,
    /// Replicates of every bootstrap interval, four times as many of the rank statistics and fewer of very many samples; those of
    /// `compare` when absent. With 0 the calibration error, the Brier score and the areas under curves of risk have no interval.
    pub resamples: Draws,
}

impl Default for UncertaintyConfig {
    fn default() -> Self {
        Self {
            definitions: Definitions::default(),
            eos: None,
            token: None,
            top_k: RECORDED,
            primary: None,
            measures: None,
            statistics: None,
            vocabulary: None,
            confidence: None,
            ece_bins: None,
            r#match: None,
            recorded: BTreeMap::new(),
            level: Level::default(),
            resamples: Draws::default(),
        }
    }
}

/// The schema of `statistics`.
fn statistics(_: &mut SchemaGenerator) -> Schema {
    let usual = UncertaintyConfig::default();
    asked::schema(
        &usual.known(),
        "^(top[0-9]+_entropy(_renormalised)?(_correct|_incorrect)?|ece[0-9]+)$",
    )
}

impl UncertaintyConfig {
    /// Ids of all numbers that this configuration can ask for.
    fn known(&self) -> Vec<String> {
        let of_measure = |measure: Measure| {
            let id = measure.id();
            ["", asked::SUFFIXES[0], asked::SUFFIXES[1]].map(|suffix| format!("{id}{suffix}"))
        };
        let bins = self.ece_bins.unwrap_or(self.defaults().ece_bins);
        let others = OF_ANSWERS.iter().chain(&OF_TEXTS);
        let measures = Measure::all(self.top_k).into_iter().flat_map(of_measure);
        measures
            .chain([format!("ece{bins}")])
            .chain(others.map(|&id| id.to_owned()))
            .collect()
    }

    /// The measure that a number is a mean of.
    fn measure_of(&self, id: &str) -> Option<Measure> {
        let cut = |suffix: &&str| id.strip_suffix(*suffix);
        let id = asked::SUFFIXES.iter().find_map(cut).unwrap_or(id);
        Measure::all(self.top_k).into_iter().find(|m| m.id() == id)
    }

    pub(super) fn defaults(&self) -> Defaults {
        match self.definitions {
            Definitions::Driftgauge => Defaults {
                eos: Eos::Keep,
                token: Token::Emitted,
                primary: Measure::TopEntropy(self.top_k),
                ece_bins: 10,
            },
            Definitions::Paper => Defaults {
                eos: Eos::DropLast,
                token: Token::Top1,
                primary: Measure::TopEntropy(self.top_k),
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

    /// The measures that the configuration names.
    pub(super) fn chosen(&self) -> Result<Chosen, MetricError> {
        self.check()?;
        let asked = Asked::new(self.statistics.as_deref(), &self.known())?;
        let primary = self.primary.as_ref();
        let primary = primary.map(|name| self.measure("primary", name));
        let primary = primary.transpose()?;
        let confidence = self.confidence.as_ref();
        let confidence = confidence.map(|name| self.measure("confidence", name));
        let confidence = confidence
            .transpose()?
            .unwrap_or(Measure::MeanTokenProbability);
        for name in self.recorded.keys() {
            self.measure("recorded", &MeasureName(name.clone()))?;
        }
        if !asked.is_all() {
            return self.of_statistics(asked, primary, confidence);
        }
        let primary = primary.unwrap_or(self.defaults().primary);
        let mut wanted = match &self.measures {
            None => Measure::usual(self.top_k).to_vec(),
            Some(names) => names
                .iter()
                .map(|name| self.measure("measures", name))
                .collect::<Result<_, _>>()?,
        };
        if self.vocabulary.is_some() {
            wanted.extend([
                Measure::EntropyLowerBound(self.top_k),
                Measure::EntropyUpperBound(self.top_k),
            ]);
        }
        wanted.extend([primary, confidence]);
        let mut measures = Measure::all(self.top_k).to_vec();
        measures.retain(|measure| wanted.contains(measure));
        Ok(Chosen {
            primary,
            main: primary.id().into_owned(),
            confidence,
            asked,
            measures,
        })
    }

    /// The measures behind the numbers that are asked for.
    fn of_statistics(
        &self,
        asked: Asked,
        primary: Option<Measure>,
        confidence: Measure,
    ) -> Result<Chosen, MetricError> {
        if self.measures.is_some() {
            let both = "`measures` and `statistics` are both given";
            return Err(MetricError::config(both)
                .help("`statistics` says it all: leave `measures` out")
                .key("measures"));
        }
        let main = match primary {
            Some(primary) => primary.id().into_owned(),
            None => asked.listed().next().unwrap_or_default().to_owned(),
        };
        if !asked.has(&main) {
            let absent = format!("`primary` is `{main}`, which `statistics` does not name");
            return Err(MetricError::config(absent)
                .help("add it there, or leave `primary` out: the first of `statistics` then stands for the metric")
                .key("primary"));
        }
        let measure = |id: &str| match self.measure_of(id) {
            None if OF_TEXTS.contains(&id) => None,
            // What is no mean of a measure is about the confidence.
            found => Some(found.unwrap_or(confidence)),
        };
        let mut measures = Measure::all(self.top_k).to_vec();
        measures.retain(|one| asked.listed().any(|id| measure(id) == Some(*one)));
        Ok(Chosen {
            primary: measure(&main).unwrap_or(confidence),
            main,
            confidence,
            asked,
            measures,
        })
    }

    /// The measure that a key names.
    fn measure(&self, key: &str, MeasureName(name): &MeasureName) -> Result<Measure, MetricError> {
        let all = Measure::all(self.top_k);
        all.into_iter().find(|m| m.id() == *name).ok_or_else(|| {
            let ids = all.map(|measure| format!("`{}`", measure.id()));
            MetricError::config(format!("`{key}` names no measure: `{name}`")).help(format!(
                "with `top_k: {}` the measures are {}",
                self.top_k,
                ids.join(", ")
            ))
        })
    }

    fn check(&self) -> Result<(), MetricError> {
        if !(1..=MOST_LIKELIEST).contains(&self.top_k) {
            return Err(MetricError::config(format!("`top_k` is {}", self.top_k)).help(format!(
                "it is a number of tokens between 1 and {MOST_LIKELIEST}; `token_entropy` is over the whole vocabulary"
            )));
        }
        if let Some(vocabulary) = self.vocabulary.filter(|size| *size < self.top_k) {
            return Err(MetricError::config(format!(
                "`vocabulary` is {vocabulary}, fewer tokens than `top_k: {}`",
                self.top_k
            ))
            .help("give the size of the models' vocabulary, or leave it out"));
        }
        if self.ece_bins == Some(0) {
            return Err(MetricError::config("`ece_bins` is 0").help("use 10, 15 or 20"));
        }
        Ok(())
    }
}
