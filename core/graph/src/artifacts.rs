//! What nodes leave in the store, how to find it, and the nodes that are made in this process.

use std::fs;
use std::path::{Path, PathBuf};

use driftgauge_compare::{
    Compared, between_conditions, between_models, between_trainings, differences_in_differences,
    measured_otherwise,
};
use driftgauge_data::dataset::Row;
use driftgauge_engine::LoadModel;
use driftgauge_plugin_protocol::wire::MetricOutput;
use driftgauge_record::write_samples;
use driftgauge_stats::bootstrap::Options;
use driftgauge_store::Artifact;

use crate::exec::{Context, judge_by_rule};
use crate::plan::{Kind, Part};
use crate::recorded;
use crate::resolved::ModelSource;
use crate::samples::ModelSamples;

/// Samples of a generate or score node, names left empty.
pub(crate) const COMPLETIONS: &str = "completions.parquet";
/// Verdicts of a judge node.
pub(crate) const VERDICTS: &str = "verdicts.jsonl";
/// Divergences of a model from its reference.
pub(crate) const DIVERGENCE: &str = "divergence.jsonl";
/// Output of a metric node.
pub(crate) const METRIC: &str = "metric.json";
/// Output of a compare node.
pub(crate) const COMPARISONS: &str = "comparisons.json";
/// Rows of a dataset node.
const ROWS: &str = "rows.jsonl";

/// Makes the artifact of a light node.
pub(crate) fn make(context: &Context, node: usize) -> Result<(), String> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    let scratch = context
        .store
        .scratch(key)
        .map_err(|error| error.to_string())?;
    match &planned.part {
        Part::Dataset(dataset) => write_rows(&context.experiment.datasets[dataset].rows, &scratch)?,
        Part::Completions {
            evaluation,
            condition,
            model,
        } => {
            let samples = recorded::samples(context, evaluation, condition, model)?;
            write_samples(&scratch.join(COMPLETIONS), samples)
                .map_err(|error| error.to_string())?;
        }
        Part::Verdicts { .. } => judge_by_rule(context, node, &scratch)?,
        Part::Metric {
            evaluation,
            metric,
            model,
        } => {
            let mut samples = ModelSamples::new(context, evaluation, model)?;
            let output = context
                .metrics
                .run(&context.experiment.metrics[metric], &mut samples)?;
            write_json(&scratch.join(METRIC), &output)?;
        }
        Part::Comparison { .. } => {
            let first = planned.params["first_condition"].as_str();
            let found = compare_node(context, first, &planned.inputs)?;
            write_json(&scratch.join(COMPARISONS), &found)?;
        }
        Part::Trainings { .. } => {
            let baselines = planned.params["baseline_trainings"].as_u64().unwrap_or(0);
            let found = trainings_node(context, &planned.inputs, baselines as usize)?;
            write_json(&scratch.join(COMPARISONS), &found)?;
        }
        Part::Model(_) | Part::Divergence { .. } => {
            return Err("this is not made in this process".to_owned());
        }
    }
    keep(context, node, &scratch, 0)
}

/// Makes the files in `scratch` the node's artifact. It is provisional when `unanswered` of its own requests, or of its
/// inputs', got no answer: the next run makes it again.
pub(crate) fn keep(
    context: &Context,
    node: usize,
    scratch: &Path,
    unanswered: u64,
) -> Result<(), String> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    let mut inputs = planned
        .inputs
        .iter()
        .filter_map(|&input| context.plan.nodes[input].key.as_ref());
    let lacking = unanswered > 0 || inputs.any(|key| context.store.provisional(key).is_some());
    let kept = if lacking {
        context.store.commit_provisional(key, scratch, unanswered)
    } else {
        context.store.commit(key, scratch)
    };
    kept.map(drop).map_err(|error| error.to_string())
}

/// A model against the baseline, and against itself under other conditions. The last input is the model's metric, the one
/// before it, if any, the baseline's. `first` is the condition that others are held against, if they are.
fn compare_node(
    context: &Context,
    first: Option<&str>,
    inputs: &[usize],
) -> Result<Compared, String> {
    let outputs = outputs(context, inputs)?;
    let options = options(context);
    let (model, baseline) = match outputs.as_slice() {
        [model] => (model, None),
        [baseline, model] => (model, Some(baseline)),
        _ => return Err("a comparison has one or two sides".to_owned()),
    };
    let refused = measured_otherwise(&outputs);
    let baseline = baseline.filter(|_| refused.is_none());
    let mut pairs = Vec::new();
    if let Some(baseline) = baseline {
        pairs.extend(between_models(baseline, model, options)?);
    }
    if let Some(first) = first {
        if let Some(baseline) = baseline {
            pairs.extend(differences_in_differences(baseline, model, first, options));
        }
        pairs.extend(between_conditions(model, first, options));
    }
    Ok(Compared { pairs, refused })
}

/// All trainings of a model against all those of the baseline, which are the first inputs.
fn trainings_node(
    context: &Context,
    inputs: &[usize],
    baselines: usize,
) -> Result<Compared, String> {
    let outputs = outputs(context, inputs)?;
    if let Some(reason) = measured_otherwise(&outputs) {
        return Ok(Compared {
            refused: Some(reason),
            ..Compared::default()
        });
    }
    let (baselines, models) = outputs
        .split_at_checked(baselines)
        .ok_or("a comparison of trainings lacks a side")?;
    Ok(Compared {
        pairs: between_trainings(baselines, models, options(context))?,
        refused: None,
    })
}

fn outputs(context: &Context, inputs: &[usize]) -> Result<Vec<MetricOutput>, String> {
    inputs
        .iter()
        .map(|&input| metric_output(context, input))
        .collect()
}

fn options(context: &Context) -> Options {
    let experiment = &context.experiment;
    Options {
        level: experiment.compare.level,
        resamples: experiment.compare.resamples,
        seed: experiment.seed,
    }
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    fs::write(path, text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

fn write_rows(rows: &[Row], folder: &Path) -> Result<(), String> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row).map_err(|error| error.to_string())?);
        text.push('\n');
    }
    let path = folder.join(ROWS);
    fs::write(&path, text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

/// The artifact of a node that has run.
pub(crate) fn artifact_of(context: &Context, node: usize) -> Result<Artifact, String> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.as_ref().ok_or("its source is not pinned")?;
    context
        .store
        .get(key)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("`{}` has no artifact", planned.id))
}

/// The node of the completions that a judge node judges: its first input.
pub(crate) fn completions_node(context: &Context, judge: usize) -> usize {
    context.plan.nodes[judge].inputs[0]
}

/// The output of a metric node.
pub(crate) fn metric_output(context: &Context, node: usize) -> Result<MetricOutput, String> {
    let path = artifact_of(context, node)?.path(METRIC);
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// The output of a compare node.
pub(crate) fn comparisons(context: &Context, node: usize) -> Result<Compared, String> {
    let path = artifact_of(context, node)?.path(COMPARISONS);
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn node_folder(context: &Context, kind: Kind, model: &str, inside: &str) -> Option<PathBuf> {
    let node = context
        .plan
        .nodes
        .iter()
        .find(|node| node.kind == kind && node.part == Part::Model(model.to_owned()))?;
    Some(context.store.artifact_dir(node.key.as_ref()?).join(inside))
}

/// The plain folder of a model: as found, as trained, or as merged.
pub(crate) fn model_folder(context: &Context, model: &str) -> Option<PathBuf> {
    match &context.experiment.models.get(model)?.source {
        ModelSource::Folder { path, .. } => Some(path.clone()),
        ModelSource::Pretrain(_) => node_folder(context, Kind::Pretrain, model, "model"),
        ModelSource::Finetune { .. } => node_folder(context, Kind::Merge, model, "model"),
        _ => None,
    }
}

/// The adapter (or whole model) that a fine-tune left.
pub(crate) fn finetune_folder(context: &Context, model: &str) -> Option<PathBuf> {
    node_folder(context, Kind::Finetune, model, "adapter")
}

/// What a worker loads for a model.
pub(crate) fn load_model(context: &Context, model: &str) -> Result<LoadModel, String> {
    let resolved = &context.experiment.models[model];
    let folder = model_folder(context, model)
        .ok_or_else(|| format!("model `{model}` has no folder on this machine to load"))?;
    let (gguf, tokenizer) = match &resolved.source {
        ModelSource::Folder {
            gguf, tokenizer, ..
        } => (gguf.clone(), tokenizer.clone()),
        _ => (None, None),
    };
    Ok(LoadModel {
        folder,
        gguf,
        tokenizer,
        quantization: resolved.quantization.clone(),
        chat_template: resolved
            .chat_template
            .as_ref()
            .map(|file| file.path.clone()),
        dtype: resolved.dtype.clone(),
        device: context.device.clone(),
        plain_text: false,
    })
}

/// Whether a model has a chat template of its own.
pub(crate) fn has_chat_template(context: &Context, model: &str) -> bool {
    if context.experiment.models[model].chat_template.is_some() {
        return true;
    }
    let folder = match &context.experiment.models[model].source {
        // The template inside a GGUF file is not looked for: judges then have the layout that is documented for them.
        ModelSource::Folder {
            gguf: Some(_),
            tokenizer,
            ..
        } => match tokenizer {
            Some(folder) => folder.clone(),
            None => return false,
        },
        _ => match model_folder(context, model) {
            Some(folder) => folder,
            // A remote model applies its own template.
            None => return true,
        },
    };
    folder.join("chat_template.jinja").is_file()
        || fs::read_to_string(folder.join("tokenizer_config.json"))
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
            .is_some_and(|config| !config["chat_template"].is_null())
}
