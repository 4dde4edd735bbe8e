//! From the command line to an experiment and its plan, with every complaint about the spec on the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use driftgauge_engine::{MetricRunner, PluginIdentity, ResolvedMetric};
use driftgauge_graph::plan::{EngineIdentity, Plan, judge_plugin};
use driftgauge_graph::resolve::{Problem, ResolveOptions, Resolved, resolve};
use driftgauge_graph::resolved::ResolvedExperiment;
use driftgauge_judge::Judge;
use driftgauge_spec::spec::{ModelDtype, TrainingDtype};
use driftgauge_spec::{Diagnostic, ExperimentSpec, Source, Variables, check, parse, render_human};
use driftgauge_store::Store;
use serde_json::json;

use crate::args::{SpecArgs, StoreArgs};
use crate::metrics::PluginMetrics;
use crate::{numbers, settings};

/// A spec that was read, with its text.
pub(super) struct Loaded {
    pub(super) source: Source,
    pub(super) spec: ExperimentSpec,
    pub(super) variables: Variables,
}

/// Everything a plan rests on.
pub(super) struct Prepared {
    pub(super) experiment: ResolvedExperiment,
    pub(super) plan: Plan,
    pub(super) metrics: Arc<PluginMetrics>,
    /// The spec with paths that hold from any folder and variables as they were set.
    pub(super) spec_text: String,
    /// Digests of everything read.
    pub(super) lock: serde_json::Value,
    /// `cpu` or `cuda`.
    pub(super) device: &'static str,
}

/// What became of a spec.
pub(super) enum Outcome<T> {
    /// It can be used.
    Ready(T),
    /// It is wrong; the complaints are on standard error.
    Refused,
}

/// Reads and checks a spec, without looking at the files it names.
pub(super) fn read(args: &SpecArgs) -> Result<Result<Loaded, (Source, Vec<Diagnostic>)>> {
    let text = std::fs::read_to_string(&args.spec)
        .with_context(|| format!("cannot read the spec `{}`", args.spec.display()))?;
    let source = Source::new(args.spec.display().to_string(), text);
    let variables = Variables::from_arguments(&args.set).map_err(anyhow::Error::msg)?;
    Ok(match parse(&source, &variables) {
        Err(diagnostics) => Err((source, diagnostics)),
        Ok(spec) => {
            let diagnostics = check(&spec);
            if diagnostics.is_empty() {
                Ok(Loaded {
                    source,
                    spec,
                    variables,
                })
            } else {
                Err((source, diagnostics))
            }
        }
    })
}

/// Whether what is missing may be fetched from the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Nothing is asked.
    Closed,
    /// Sources that are not in the local cache are fetched.
    Open,
}

/// Reads, checks, resolves and plans.
pub(super) fn prepare(
    spec: &SpecArgs,
    options: &StoreArgs,
    store: &Store,
    network: Network,
) -> Result<Outcome<Prepared>> {
    let loaded = match read(spec)? {
        Ok(loaded) => loaded,
        Err((source, diagnostics)) => return Ok(refuse(&source, &diagnostics)),
    };
    let base = spec.spec.parent().unwrap_or(Path::new("")).to_owned();
    let resolve_options = ResolveOptions {
        source: loaded.source.clone(),
        base: base.clone(),
        limit: options.limit,
        digests: store.digests(),
        computed: |folder| {
            driftgauge_lm::DecoderConfig::from_folder(folder)
                .map(drop)
                .map_err(|error| error.to_string())
        },
    };
    let mut resolved = resolve(&loaded.spec, &resolve_options);
    if let Ok(Resolved { experiment, .. }) = &resolved
        && network == Network::Open
        && !experiment.missing_hub_sources().is_empty()
    {
        crate::hub::fetch(&experiment.missing_hub_sources())?;
        resolved = resolve(&loaded.spec, &resolve_options);
    }
    let Resolved {
        mut experiment,
        paths,
    } = match resolved {
        Ok(resolved) => resolved,
        Err(problems) => {
            return Ok(refuse(
                &loaded.source,
                &problems.iter().map(diagnostic).collect::<Vec<_>>(),
            ));
        }
    };
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let metrics = Arc::new(PluginMetrics::new(&options.plugin_dirs, base, executable));
    let plugins = match identify(&loaded.spec, &experiment, metrics.as_ref()) {
        Ok(plugins) => plugins,
        Err(problems) => return Ok(refuse(&loaded.source, &problems)),
    };
    let unknown = numbers::unknown(&loaded.spec, |id| {
        metrics.manifest(experiment.metrics.get(id)?)
    });
    if !unknown.is_empty() {
        return Ok(refuse(&loaded.source, &unknown));
    }
    settings::set_intervals(&mut experiment, &plugins);
    let unlisted = settings::set_top_logprobs(&loaded.spec, &mut experiment, &plugins);
    if !unlisted.is_empty() {
        return Ok(refuse(&loaded.source, &unlisted));
    }
    let device = match device_class(&options.device) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(Outcome::Refused);
        }
    };
    if device == "cpu" {
        let problems = bf16_on_cpu(&loaded.spec);
        if !problems.is_empty() {
            return Ok(refuse(&loaded.source, &problems));
        }
    }
    let engine = engine(device);
    let plan = Plan::of(&experiment, &engine, &plugins);
    let lock = lock(&experiment, &engine, &plugins);
    Ok(Outcome::Ready(Prepared {
        spec_text: portable_text(&loaded, &paths),
        experiment,
        plan,
        metrics,
        lock,
        device,
    }))
}

fn refuse<T>(source: &Source, diagnostics: &[Diagnostic]) -> Outcome<T> {
    eprint!("{}", render_human(source, diagnostics));
    Outcome::Refused
}

fn diagnostic(problem: &Problem) -> Diagnostic {
    let diagnostic = Diagnostic::error(problem.code, problem.message.clone()).at(problem.span, "");
    match &problem.help {
        Some(help) => diagnostic.help(help.clone()),
        None => diagnostic,
    }
}

/// Finds the plugin of each metric and of each judge, and lets it look at its configuration.
fn identify(
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    metrics: &PluginMetrics,
) -> Result<indexmap::IndexMap<String, PluginIdentity>, Vec<Diagnostic>> {
    let mut plugins = indexmap::IndexMap::new();
    let mut problems = Vec::new();
    for (id, metric, plugin_span, config_span, judges) in wanted(spec, experiment) {
        let mut complain = |code, span, error: String| {
            let (message, help) = match error.split_once("\nhint: ") {
                Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
                None => (error, None),
            };
            problems.push(diagnostic(&Problem {
                code,
                message,
                span,
                help,
            }));
        };
        match metrics.identify(metric) {
            Err(error) => complain("plugin-not-found", plugin_span, error),
            Ok(identity) if judges && !identity.judges => complain(
                "no-judge",
                plugin_span,
                format!(
                    "plugin `{}` measures and gives no verdicts\nhint: a plugin that judges says `judges` in its manifest; \
                     list this one under `metrics`",
                    identity.id
                ),
            ),
            Ok(identity) => {
                plugins.insert(id, identity);
                let checked = metrics.check_config(metric);
                if let Some(problem) = checked
                    .err()
                    .or_else(|| settings::other_level(spec, metric))
                {
                    complain("bad-config", config_span, problem);
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(plugins)
    } else {
        Err(problems)
    }
}

/// Class of the device that models will compute on; part of every key.
fn device_class(device: &str) -> Result<&'static str, driftgauge_lm::Error> {
    let compute = driftgauge_lm::Compute {
        device: Some(device.to_owned()),
        dtype: None,
    };
    compute.device_class()
}

/// Parts of the spec that ask the processor for a type that it has no products in. Only here is the device known.
fn bf16_on_cpu(spec: &ExperimentSpec) -> Vec<Diagnostic> {
    let trainings = spec.finetune.iter().chain(spec.pretrain.iter());
    let trainings = trainings
        .filter(|(_, settings)| settings.dtype == TrainingDtype::Bf16)
        .map(|(id, _)| id);
    let models = spec.models.iter();
    let models = models
        .filter(|(_, model)| model.dtype == ModelDtype::Bf16)
        .map(|(id, _)| id);
    trainings
        .chain(models)
        .map(|id| {
            Diagnostic::error(
                "not-supported",
                format!("`{id}` asks for `dtype: bf16`, which a CPU cannot compute: its matrix product has no bf16 kernel"),
            )
            .at(id.span(), "")
            .help("leave `dtype` out: a CPU computes in f32, a GPU in bf16; weights stored as bf16 are read either way")
        })
        .collect()
}

/// A plugin that the spec names: its key in the plan, its settings, the places of its name and configuration, and whether
/// it has to judge.
type Wanted<'a> = (
    String,
    &'a ResolvedMetric,
    driftgauge_spec::Span,
    driftgauge_spec::Span,
    bool,
);

fn wanted<'a>(
    spec: &'a ExperimentSpec,
    experiment: &'a ResolvedExperiment,
) -> impl Iterator<Item = Wanted<'a>> {
    let metrics = experiment.metrics.iter().map(|(id, metric)| {
        let written = &spec.metrics[id.as_str()];
        let name = written.plugin.span();
        let config = written.config.as_ref();
        let config = config.map_or(name, |config| config.span());
        (id.clone(), metric, name, config, false)
    });
    let judges = experiment
        .evaluations
        .iter()
        .flat_map(move |(evaluation, resolved)| {
            resolved.judges.iter().filter_map(move |(id, judge)| {
                let Judge::Plugin(plugin) = &judge.judge else {
                    return None;
                };
                let written = &spec.evaluations[evaluation.as_str()].judges[id.as_str()];
                let driftgauge_spec::spec::Judge::Plugin(written) = written else {
                    return None;
                };
                let (name, config) = (written.plugin.span(), written.config.span());
                let config = if config.is_none() { name } else { config };
                Some((judge_plugin(evaluation, id), plugin, name, config, true))
            })
        });
    metrics.chain(judges)
}

/// What makes completions and trains in this build.
fn engine(device: &str) -> EngineIdentity {
    EngineIdentity {
        generation: driftgauge_mistralrs::ENGINE.to_owned(),
        training: driftgauge_lm::TRAINER.to_owned(),
        device: device.to_owned(),
    }
}

fn lock(
    experiment: &ResolvedExperiment,
    engine: &EngineIdentity,
    plugins: &indexmap::IndexMap<String, PluginIdentity>,
) -> serde_json::Value {
    use driftgauge_graph::resolved::ModelSource;
    let datasets: serde_json::Map<_, _> = experiment
        .datasets
        .iter()
        .map(|(id, dataset)| {
            let mut pinned = json!({ "source": dataset.source, "blake3": dataset.digest, "rows": dataset.rows_selected });
            if let Some(hub) = &dataset.hub {
                pinned["hub"] = json!(hub);
            }
            (id.clone(), pinned)
        })
        .collect();
    let models: serde_json::Map<_, _> = experiment
        .models
        .iter()
        .filter_map(|(id, model)| {
            let mut pinned = json!({ "description": model.description });
            match &model.source {
                ModelSource::Folder { digest, .. } => pinned["blake3"] = json!(digest),
                ModelSource::Recorded(recordings) => {
                    pinned["blake3"] = match recordings.as_slice() {
                        [recorded] => json!(recorded.file.digest),
                        several => {
                            let digests = several.iter().map(|recorded| &recorded.file.digest);
                            json!(digests.collect::<Vec<_>>())
                        }
                    };
                }
                ModelSource::Endpoint(_) => pinned["weights"] = json!("not pinned"),
                _ => return None,
            }
            if let Some(hub) = &model.hub {
                pinned["hub"] = json!(hub);
            }
            Some((id.clone(), pinned))
        })
        .collect();
    json!({ "datasets": datasets, "models": models, "plugins": plugins, "engine": engine })
}

/// The spec's text with absolute paths and the variables as they were set, so that it runs again from the run folder.
fn portable_text(loaded: &Loaded, paths: &[(driftgauge_spec::Span, PathBuf)]) -> String {
    let mut edits: Vec<(driftgauge_spec::Span, String)> = paths
        .iter()
        .map(|(span, path)| (*span, json!(path.to_string_lossy()).to_string()))
        .collect();
    edits.extend(loaded.variables.edits(&loaded.spec));
    edits.retain(|(span, _)| !span.is_none());
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    edits.dedup_by_key(|(span, _)| *span);
    let mut text = loaded.source.text().to_owned();
    for (span, replacement) in edits {
        if text.is_char_boundary(span.start) && text.is_char_boundary(span.end) {
            text.replace_range(span.start..span.end, &replacement);
        }
    }
    text
}
