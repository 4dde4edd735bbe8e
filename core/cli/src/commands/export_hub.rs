//! `driftgauge export --format hub`: what a run made, laid out as repositories of the hub. Nothing is pushed.

use std::fs;
use std::path::{Path, PathBuf};

use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::RunDir;
use driftgauge_record::files::resolved::{ExperimentRecord, SampleMode, SourceRecord};
use driftgauge_report::Report;
use serde_json::{Value, json};

/// Files of a tokenizer, which an adapter has of its base.
const TOKENIZER: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];
const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Writes `to/models/ID` for every model that the run made, or for one, and `to/samples` where the spec shows samples in full.
///
/// # Errors
/// When there is something at `to` already, the run made no model of that name, or a file cannot be read or written.
pub(super) fn lay_out(dir: &Path, to: &Path, only: Option<&str>) -> Result<Vec<String>> {
    if to
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some())
    {
        let message = format!("`{}` is not empty", to.display());
        return Err(Problem::new("exists", message)
            .help("name a folder that is not there yet")
            .of_input());
    }
    let run = RunDir::new(dir);
    let record: ExperimentRecord = run.read()?;
    let report = Report::build(&run)?;
    let made: Vec<&String> = record
        .models
        .keys()
        .filter(|id| run.models().join(id).is_dir())
        .collect();
    let wanted: Vec<&String> = made
        .iter()
        .copied()
        .filter(|id| only.is_none_or(|only| only == *id))
        .collect();
    if wanted.is_empty() {
        let made: Vec<&str> = made.iter().map(|id| id.as_str()).collect();
        let message = match only {
            Some(only) => format!("the run made no model `{only}`"),
            None => "the run made no model".to_owned(),
        };
        return Err(Problem::new("no-model", message)
            .help(match made.is_empty() {
                true => "only models that were trained here are laid out".to_owned(),
                false => format!("it made {}", made.join(", ")),
            })
            .of_input());
    }
    let mut said = Vec::new();
    for id in wanted {
        let folder = to.join("models").join(id);
        copy(&run.models().join(id), &folder)?;
        let is_adapter = folder.join(ADAPTER_CONFIG).exists();
        if is_adapter {
            name_base(&folder, &record, id)?;
            said.extend(tokenizer(&run, &record, id, &folder)?);
        }
        write(
            &folder.join("README.md"),
            &model_card(&report, id, is_adapter),
        )?;
        said.push(format!(
            "{}: ready for a model repository",
            folder.display()
        ));
    }
    let samples = to.join("samples");
    match (only, record.samples) {
        (Some(_), _) => {}
        (None, SampleMode::Full) => {
            let evaluations = lay_out_samples(&run, &record, &samples)?;
            write(&samples.join("README.md"), &data_card(&record, &evaluations))?;
            said.push(format!("{}: ready for a dataset repository", samples.display()));
        }
        (None, _) => said.push(
            "the samples are left out: the spec does not show them in full (`report: {samples: full}`)".to_owned(),
        ),
    }
    Ok(said)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Copies the files of a folder; models have no folders within.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make `{}`", to.display()))?;
    let entries = from
        .read_dir()
        .with_context(|| format!("cannot read `{}`", from.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read `{}`", from.display()))?;
        if entry.path().is_file() {
            let target = to.join(entry.file_name());
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot write `{}`", target.display()))?;
        }
    }
    Ok(())
}

/// The model that another is made from.
fn base_of<'a>(record: &'a ExperimentRecord, id: &str) -> Option<&'a str> {
    match &record.models.get(id)?.source {
        SourceRecord::Finetune { base, .. } | SourceRecord::Adapter { base, .. } => Some(base),
        _ => None,
    }
}

/// Writes the base into the adapter's configuration, where its own loader looks for it: a base of the hub by its name there.
fn name_base(folder: &Path, record: &ExperimentRecord, id: &str) -> Result<()> {
    let hub = base_of(record, id).and_then(|base| record.models.get(base)?.hub.as_ref());
    let Some(hub) = hub else {
        return Ok(());
    };
    let path = folder.join(ADAPTER_CONFIG);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut config: Value = serde_json::from_str(&text)?;
    config["base_model_name_or_path"] = json!(hub.repository);
    write(&path, &serde_json::to_string_pretty(&config)?)
}

/// Copies the tokenizer of the base to an adapter; says so where it is not to be had.
fn tokenizer(
    run: &RunDir,
    record: &ExperimentRecord,
    id: &str,
    folder: &Path,
) -> Result<Option<String>> {
    let mut base = base_of(record, id);
    // An adapter upon an adapter has the tokenizer of the model below both.
    while let Some(further) = base.and_then(|base| base_of(record, base)) {
        base = Some(further);
    }
    let place: Option<PathBuf> = base.and_then(|base| match &record.models.get(base)?.source {
        SourceRecord::Folder { path, .. } => Some(path.clone()),
        SourceRecord::Pretrain { .. } => Some(run.models().join(base)),
        _ => None,
    });
    let mut any = false;
    for name in TOKENIZER {
        let Some(from) = place.as_ref().map(|place| place.join(name)) else {
            break;
        };
        if from.is_file() && !folder.join(name).exists() {
            fs::copy(&from, folder.join(name))
                .with_context(|| format!("cannot copy `{}`", from.display()))?;
            any = true;
        }
    }
    Ok((!any).then(|| {
        format!("note: the tokenizer of `{id}`'s base is not on this machine; add it, or let the base's be used")
    }))
}

/// The card of a model: the report's section on it, below what the hub sorts models by.
fn model_card(report: &Report, id: &str, is_adapter: bool) -> String {
    let library = if is_adapter { "peft" } else { "transformers" };
    let front =
        format!("library_name: {library}\npipeline_tag: text-generation\ntags: [\"driftgauge\"]\n");
    let intro = format!(
        "# {id}\n\nTrained and measured with driftgauge; `train_log.jsonl` has every step.\n"
    );
    match report.to_card(id) {
        Some(card) => {
            let card = card.strip_prefix("---\n").unwrap_or(&card).to_owned();
            let (index, section) = card.split_once("---\n").unwrap_or(("", &card));
            format!("---\n{front}{index}---\n\n{intro}{section}")
        }
        None => format!("---\n{front}---\n\n{intro}\nThe run measured nothing of this model.\n"),
    }
}

/// Copies the tables of samples; gives the ids of the evaluations that have one.
fn lay_out_samples<'a>(
    run: &RunDir,
    record: &'a ExperimentRecord,
    to: &Path,
) -> Result<Vec<&'a str>> {
    let data = to.join("data");
    fs::create_dir_all(&data).with_context(|| format!("cannot make `{}`", data.display()))?;
    let mut evaluations = Vec::new();
    for id in record.evaluations.keys() {
        let from = run.samples_of(id);
        if from.is_file() {
            run.check_sealed(&from)?;
            let target = data.join(format!("{id}.parquet"));
            fs::copy(&from, &target)
                .with_context(|| format!("cannot write `{}`", target.display()))?;
            evaluations.push(id.as_str());
        }
    }
    Ok(evaluations)
}

/// The card of the samples: one configuration for each evaluation.
fn data_card(record: &ExperimentRecord, evaluations: &[&str]) -> String {
    let configs: Vec<Value> = evaluations
        .iter()
        .map(|id| json!({ "config_name": id, "data_files": format!("data/{id}.parquet") }))
        .collect();
    let rows: String = evaluations
        .iter()
        .map(|id| {
            let of = &record.evaluations[*id];
            let said = of.description.replace('|', "\\|").replace('\n', " ");
            format!("| `{id}` | `{}` | {said} |\n", of.dataset)
        })
        .collect();
    // JSON is YAML, and nothing in a name can become another key.
    format!(
        "---\npretty_name: {}\ntags: [\"driftgauge\"]\nconfigs: {}\n---\n\n# Samples of {}\n\n\
         Every prompt, completion, verdict and statistic of the run. They may hold what a model should not have said.\n\n\
         | evaluation | dataset | what is asked |\n|---|---|---|\n{rows}",
        json!(format!("Samples of {}", record.title)),
        json!(configs),
        record.title,
    )
}
