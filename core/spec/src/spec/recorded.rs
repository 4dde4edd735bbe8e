//! Completions and verdicts that were made elsewhere, as a model's source.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ColumnType, DatasetFormat, Named};
use crate::located::Text;

/// Completions and verdicts made elsewhere: exactly one file, of rows (`jsonl`, `json`, `csv`, `tsv`, `parquet`) or as another
/// tool writes it (`harmbench`, `lm_eval`, `inspect`, `promptfoo`, `garak`, `jailbreakbench`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// A file with one JSON object a line.
    #[serde(default)]
    pub jsonl: Option<Text>,
    /// A file with a JSON list of objects.
    #[serde(default)]
    pub json: Option<Text>,
    /// A file of comma-separated values with a header line.
    #[serde(default)]
    pub csv: Option<Text>,
    /// A file of values that tabs separate, with a header line.
    #[serde(default)]
    pub tsv: Option<Text>,
    /// An Apache Parquet file.
    #[serde(default)]
    pub parquet: Option<Text>,
    /// Completions in HarmBench's format: `{behavior id: [{test_case, generation, label?}]}`.
    #[serde(default)]
    pub harmbench: Option<Text>,
    /// `samples_*.jsonl` of lm-evaluation-harness 0.4: generated answers and multiple choice.
    #[serde(default)]
    pub lm_eval: Option<Text>,
    /// A log of inspect, `.eval` or `.json`.
    #[serde(default)]
    pub inspect: Option<Text>,
    /// Results of promptfoo, `.json` or `.jsonl`.
    #[serde(default)]
    pub promptfoo: Option<Text>,
    /// A report of garak, `.report.jsonl`.
    #[serde(default)]
    pub garak: Option<Text>,
    /// A jailbreak artifact of JailbreakBench, `.json`.
    #[serde(default)]
    pub jailbreakbench: Option<Text>,
    /// Ids of the evaluations it serves; all of them when absent.
    #[serde(default)]
    pub evaluations: Vec<Text>,
    /// Which column holds what; a nested one by its path, as `output.completion`. What another tool writes is known.
    #[serde(default)]
    pub columns: RecordedColumns,
    /// What the cells of columns are, where the file does not say it: those of CSV files are text.
    #[serde(default)]
    pub types: Named<ColumnType>,
    /// A minijinja expression over the columns; rows for which it is true belong to this model.
    #[serde(default)]
    pub filter: Option<Text>,
    /// Words of the condition column by condition id, where they differ from the ids.
    #[serde(default)]
    pub conditions: Named<Text>,
}

/// Which column of a recorded file holds what.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedColumns {
    /// Id of the dataset row.
    #[serde(default)]
    pub id: Option<Text>,
    /// The completion.
    #[serde(default)]
    pub completion: Option<Text>,
    /// Condition.
    #[serde(default)]
    pub condition: Option<Text>,
    /// Index of the sample, when a prompt was sampled several times.
    #[serde(default)]
    pub sample: Option<Text>,
    /// Why generation ended: `stop`, `length` or `error`.
    #[serde(default)]
    pub finish_reason: Option<Text>,
    /// Why there is no completion.
    #[serde(default)]
    pub error: Option<Text>,
    /// Verdict of each judge, by judge id: `safe`, `unsafe`, `unparsable` or `error`.
    #[serde(default)]
    pub verdicts: Named<Text>,
    /// Whether the answer was found correct.
    #[serde(default)]
    pub correct: Option<Text>,
    /// Mean token probability of the answer.
    #[serde(default)]
    pub probability: Option<Text>,
    /// Mean token entropy of the answer, in nats.
    #[serde(default)]
    pub entropy: Option<Text>,
    /// Perplexity of the answer.
    #[serde(default)]
    pub perplexity: Option<Text>,
    /// List of ln p of the answer's tokens.
    #[serde(default)]
    pub token_logprob: Option<Text>,
    /// Whether the last of these tokens is the one that ended the answer: what `eos: drop` then drops. Not known when absent.
    #[serde(default)]
    pub ends_with_eos: Option<Text>,
    /// Further numbers of a sample, or lists of numbers, by the name under which a metric asks for them: `choice_loglik` and
    /// `choice_correct` are those of multiple choice.
    #[serde(default)]
    pub values: IndexMap<Text, Text>,
}

/// How a recorded file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedFormat {
    /// Rows, whose columns the recording names.
    Rows(DatasetFormat),
    /// HarmBench completions.
    Harmbench,
    /// Samples of lm-evaluation-harness.
    LmEval,
    /// A log of inspect.
    Inspect,
    /// Results of promptfoo.
    Promptfoo,
    /// A report of garak.
    Garak,
    /// An artifact of JailbreakBench.
    Jailbreakbench,
}

impl RecordedFormat {
    /// Every layout by the key that names it.
    pub const NAMED: [(&'static str, Self); 11] = [
        ("jsonl", Self::Rows(DatasetFormat::Jsonl)),
        ("json", Self::Rows(DatasetFormat::Json)),
        ("csv", Self::Rows(DatasetFormat::Csv)),
        ("tsv", Self::Rows(DatasetFormat::Tsv)),
        ("parquet", Self::Rows(DatasetFormat::Parquet)),
        ("harmbench", Self::Harmbench),
        ("lm_eval", Self::LmEval),
        ("inspect", Self::Inspect),
        ("promptfoo", Self::Promptfoo),
        ("garak", Self::Garak),
        ("jailbreakbench", Self::Jailbreakbench),
    ];

    /// The layout of a key; a hyphen stands for the underscore.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        let mut all = Self::NAMED.into_iter();
        all.find(|(known, _)| *known == name).map(|(_, it)| it)
    }

    /// Its key.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = Self::NAMED.into_iter();
        all.find(|(_, it)| *it == self)
            .map_or("rows", |(name, _)| name)
    }
}

impl Recorded {
    /// Whether it serves an evaluation.
    #[must_use]
    pub fn serves(&self, evaluation: &str) -> bool {
        self.evaluations.is_empty() || self.evaluations.iter().any(|id| id.get() == evaluation)
    }

    /// Every file that is given. A spec that passes [`crate::check()`] has exactly one.
    #[must_use]
    pub fn files(&self) -> Vec<(RecordedFormat, &Text)> {
        [
            (RecordedFormat::Rows(DatasetFormat::Jsonl), &self.jsonl),
            (RecordedFormat::Rows(DatasetFormat::Json), &self.json),
            (RecordedFormat::Rows(DatasetFormat::Csv), &self.csv),
            (RecordedFormat::Rows(DatasetFormat::Tsv), &self.tsv),
            (RecordedFormat::Rows(DatasetFormat::Parquet), &self.parquet),
            (RecordedFormat::Harmbench, &self.harmbench),
            (RecordedFormat::LmEval, &self.lm_eval),
            (RecordedFormat::Inspect, &self.inspect),
            (RecordedFormat::Promptfoo, &self.promptfoo),
            (RecordedFormat::Garak, &self.garak),
            (RecordedFormat::Jailbreakbench, &self.jailbreakbench),
        ]
        .into_iter()
        .filter_map(|(format, path)| Some((format, path.as_ref()?)))
        .collect()
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> Option<(RecordedFormat, &Text)> {
        self.files().first().copied()
    }
}
