//! The paths of a spec: those of an included file start at that file, and are made to start at the spec.

use crate::source::Source;
use crate::spec::{Dataset, ExperimentSpec, Judge, Metric, Model, OneOrMany, Recorded};
use crate::{Span, Text};

/// Makes the paths of included files start at the folder of the spec.
pub(crate) fn from_spec(source: &Source, spec: &mut ExperimentSpec) {
    if !source.includes() {
        return;
    }
    each(spec, &mut |path| {
        if source.is_included(path.span()) {
            let whole = source.seen_from_spec(path.span(), path.get());
            *path = Text::new(whole.to_string_lossy().into_owned(), path.span());
        }
    });
    each_word(spec, &mut |word| {
        let whole = source.seen_from_spec(word.span(), word.get());
        let folder = source.folder().unwrap_or(std::path::Path::new(""));
        // A word of a program is a path where it names a file.
        if source.is_included(word.span()) && folder.join(&whole).is_file() {
            *word = Text::new(whole.to_string_lossy().into_owned(), word.span());
        }
    });
}

/// Places of all paths of included files.
pub(crate) fn included(source: &Source, spec: &ExperimentSpec) -> Vec<(Span, String)> {
    let mut out = Vec::new();
    let mut spec = spec.clone();
    let mut take = |path: &mut Text| {
        if source.is_included(path.span()) {
            out.push((path.span(), path.get().clone()));
        }
    };
    each(&mut spec, &mut take);
    each_word(&mut spec, &mut take);
    out
}

fn each(spec: &mut ExperimentSpec, take: &mut impl FnMut(&mut Text)) {
    for model in spec.models.values_mut() {
        of_model(model, take);
    }
    for dataset in spec.datasets.values_mut() {
        of_dataset(dataset, take);
    }
    for metric in spec.metrics.values_mut() {
        of_plugin(metric, take);
    }
    for evaluation in spec.evaluations.values_mut() {
        for judge in evaluation.judges.values_mut() {
            match judge {
                Judge::Plugin(plugin) => of_plugin(plugin, take),
                Judge::RefusalStrings(OneOrMany::One(name)) if is_path(name) => take(name),
                _ => {}
            }
        }
    }
}

/// The words of programs.
fn each_word(spec: &mut ExperimentSpec, take: &mut impl FnMut(&mut Text)) {
    let judges = spec
        .evaluations
        .values_mut()
        .flat_map(|evaluation| evaluation.judges.values_mut());
    let judges = judges.filter_map(|judge| match judge {
        Judge::Plugin(plugin) => Some(plugin),
        _ => None,
    });
    for metric in spec.metrics.values_mut().chain(judges) {
        metric.command.iter_mut().flatten().for_each(&mut *take);
    }
}

fn of_model(model: &mut Model, take: &mut impl FnMut(&mut Text)) {
    let own = [
        &mut model.path,
        &mut model.gguf,
        &mut model.tokenizer,
        &mut model.chat_template,
    ];
    own.into_iter().flatten().for_each(&mut *take);
    if let Some(pretrain) = &mut model.pretrain {
        pretrain.chat_template.iter_mut().for_each(&mut *take);
    }
    if let Some(finetune) = &mut model.finetune {
        finetune.init_adapter.iter_mut().for_each(&mut *take);
    }
    if let Some(adapter) = &mut model.adapter {
        adapter.path.iter_mut().for_each(&mut *take);
    }
    match &mut model.recorded {
        Some(OneOrMany::One(recorded)) => of_recording(recorded, take),
        Some(OneOrMany::Many(several)) => {
            for recorded in several {
                of_recording(recorded, take);
            }
        }
        None => {}
    }
}

fn of_recording(recorded: &mut Recorded, take: &mut impl FnMut(&mut Text)) {
    let files = [
        &mut recorded.jsonl,
        &mut recorded.json,
        &mut recorded.csv,
        &mut recorded.tsv,
        &mut recorded.parquet,
        &mut recorded.harmbench,
        &mut recorded.lm_eval,
        &mut recorded.inspect,
        &mut recorded.promptfoo,
        &mut recorded.garak,
        &mut recorded.jailbreakbench,
    ];
    files.into_iter().flatten().for_each(take);
}

fn of_dataset(dataset: &mut Dataset, take: &mut impl FnMut(&mut Text)) {
    let files = [
        &mut dataset.jsonl,
        &mut dataset.json,
        &mut dataset.csv,
        &mut dataset.tsv,
        &mut dataset.parquet,
    ];
    files.into_iter().flatten().for_each(&mut *take);
    if let Some(join) = &mut dataset.join {
        let files = [
            &mut join.jsonl,
            &mut join.json,
            &mut join.csv,
            &mut join.tsv,
            &mut join.parquet,
        ];
        files.into_iter().flatten().for_each(take);
    }
}

fn of_plugin(metric: &mut Metric, take: &mut impl FnMut(&mut Text)) {
    metric
        .plugin
        .iter_mut()
        .filter(|plugin| is_path(plugin))
        .for_each(&mut *take);
    metric.files.iter_mut().for_each(take);
}

/// Whether a name that may be one of ours is a path instead.
fn is_path(name: &str) -> bool {
    name.contains(['/', '\\']) || name.ends_with(".json")
}
