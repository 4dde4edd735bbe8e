//! The commands that take what a run made.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use driftgauge_spec::spec::RecordedFormat;

use super::shared::Format;

/// `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Run folder. Several, the oldest first: how the primary numbers moved over them, and what changed from each to the next.
    #[arg(required = true)]
    pub(crate) dirs: Vec<PathBuf>,
    /// Of several runs: end with exit code 100, as where a gate fails, when a primary number of the last is clearly worse than that of the one before.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) deny: Option<DenyChange>,
    /// The form; `html` without `--to` writes the run folder's own report.
    #[arg(long, value_enum, default_value = "html")]
    pub(crate) format: ReportFormat,
    /// Write to a file; for `svg` and `png`, to a folder. Without it, charts go to the run folder, other forms than `html` to standard
    /// output.
    #[arg(long, value_name = "PATH")]
    pub(crate) to: Option<PathBuf>,
    /// Show so much of the samples, instead of what the spec says.
    #[arg(long, value_enum)]
    pub(crate) samples: Option<Samples>,
    /// Leave out clock, host, command line and state of the store: the same samples give the same bytes.
    #[arg(long)]
    pub(crate) stable: bool,
    /// Model of `--format card`, `every-eval-ever` and `eval-results`; needed where several were compared.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    /// In CSV, no cell is a formula to a spreadsheet; `false` writes texts as they are.
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1, action = clap::ArgAction::Set)]
    pub(crate) spreadsheet_safe: bool,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// One page with everything.
    Html,
    /// Markdown for a pull request.
    Md,
    /// The report as data.
    Json,
    /// Every number and difference, one a line.
    Csv,
    /// Gates and published values as test cases.
    Junit,
    /// Every chart as a vector graphic, one file each, for papers.
    Svg,
    /// The same as pictures of 300 pixels an inch.
    Png,
    /// The results of one model for its card, with `model-index`.
    Card,
    /// The results of one model as Every Eval Ever's JSON.
    EveryEvalEver,
    /// The results of one model over data sets of the hub, for `.eval_results` of its repository.
    EvalResults,
}

/// How much of the samples is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Samples {
    /// No texts.
    Hidden,
    /// Completions that every judge called safe.
    Redacted,
    /// All texts.
    Full,
}

/// `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Run folder; with `--sample`, a spec.
    #[arg(value_name = "DIR|SPEC")]
    pub(crate) dir: PathBuf,
    /// Print the prompt of this sample as a model gets it, with its token ids: `EVALUATION/ROW`, the row by its id, or by its number
    /// from 1 where no id is that.
    #[arg(long, value_name = "EVALUATION/ROW")]
    pub(crate) sample: Option<String>,
    /// The model; needed where the evaluation asks several.
    #[arg(long, value_name = "ID", requires = "sample")]
    pub(crate) model: Option<String>,
    /// The condition; all of them without it.
    #[arg(long, value_name = "ID", requires = "sample")]
    pub(crate) condition: Option<String>,
    /// Set a variable of the spec.
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "sample")]
    pub(crate) set: Vec<String>,
    /// Folder of finished artifacts, in which a model that was trained is found.
    #[arg(long, env = "DRIFTGAUGE_STORE", default_value = ".driftgauge/store")]
    pub(crate) store: PathBuf,
    /// How the prompt is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

/// `compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Run folder of the baseline, or a file of results that another tool wrote.
    pub(crate) run_a: PathBuf,
    /// Run folder, or file, of what is held against it.
    pub(crate) run_b: PathBuf,
    /// Models to hold against each other, A's and B's; those of the same name when absent.
    #[arg(long = "pair", value_name = "A=B")]
    pub(crate) pairs: Vec<String>,
    /// Of files: their layout, or A's and B's (harmbench, lm_eval, inspect, promptfoo, garak, jailbreakbench, jsonl, json, csv, tsv,
    /// parquet); what stands in a file tells it when absent.
    #[arg(long, value_name = "LAYOUT[,B]", value_delimiter = ',', value_parser = layout)]
    pub(crate) layout: Vec<RecordedFormat>,
    /// Of files: the column whose values pair, or A's and B's; the layout's own id when absent.
    #[arg(long, value_name = "COLUMN[,B]", value_delimiter = ',')]
    pub(crate) id: Vec<String>,
    /// Of files: keep the rows for which this holds, as `filter` of a recording. Twice: of A and of B.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) filter: Vec<String>,
    /// Of files: compare the prompts that both have, where one has more.
    #[arg(long)]
    pub(crate) shared: bool,
    /// Every number, not only the one that stands for its metric. JSON has all of them always.
    #[arg(long)]
    pub(crate) all: bool,
    /// How the comparison is written.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: CompareFormat,
    /// Write to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// End with exit code 100, as where a gate fails, when a primary number of B is clearly worse than A's.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) deny: Option<DenyChange>,
}

/// Forms of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompareFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// One page.
    Html,
}

/// What may not have happened from one run to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DenyChange {
    /// A primary number that is clearly worse.
    Worse,
}

/// A layout by its name.
fn layout(name: &str) -> Result<RecordedFormat, String> {
    RecordedFormat::named(name).ok_or_else(|| {
        let known: Vec<&str> = RecordedFormat::NAMED
            .iter()
            .map(|(name, _)| *name)
            .collect();
        format!("the layouts are {}", known.join(", "))
    })
}

/// Formats of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated; lists and objects as JSON text.
    Csv,
    /// One Parquet file, to `--to`.
    Parquet,
    /// Completions and labels of one model as HarmBench writes them.
    Harmbench,
    /// Samples of one model as lm-eval writes them.
    #[value(name = "lm_eval", alias = "lm-eval")]
    LmEval,
    /// Models that the run made, with tokenizer and card, and its samples, as folders to upload; to the folder `--to`. Nothing is pushed.
    Hub,
    /// Trainings and results as event files of TensorBoard, a folder for each model; to the folder `--to`.
    Tensorboard,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Run folder.
    pub(crate) dir: PathBuf,
    /// Output format.
    #[arg(long, value_enum, default_value = "jsonl")]
    pub(crate) format: ExportFormat,
    /// Write to a file instead of standard output; a folder of `--format hub`.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Only this evaluation.
    #[arg(long)]
    pub(crate) evaluation: Option<String>,
    /// Only this model.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Only this condition.
    #[arg(long)]
    pub(crate) condition: Option<String>,
    /// In CSV, no cell is a formula to a spreadsheet, and control characters are visible marks; `false` writes texts as they are.
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1, action = clap::ArgAction::Set)]
    pub(crate) spreadsheet_safe: bool,
}
