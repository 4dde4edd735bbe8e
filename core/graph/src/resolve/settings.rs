//! What the parts of an experiment settle with the plugins that measure it: one level for every interval, and the statistics
//! that completions have to record.

use driftgauge_engine::{Endpoint, PluginIdentity, Refusal, ResolvedMetric};
use driftgauge_problem::Problem;
use driftgauge_spec::ExperimentSpec;
use indexmap::IndexMap;
use serde_json::json;

use super::place;
use crate::resolved::{ModelSource, ResolvedExperiment};
use crate::resolved_comparisons::ResolvedCompare;

/// One level and one number of resamples for the whole experiment: they go into the configuration of each metric that has them, and
/// so into its key, but for those that metrics take anyway.
pub(super) fn set_intervals(
    experiment: &mut ResolvedExperiment,
    plugins: &IndexMap<String, PluginIdentity>,
) {
    let level = experiment.compare.level;
    let usual = (level - ResolvedCompare::USUAL_LEVEL).abs() < 1e-12;
    let resamples = experiment.compare.resamples;
    for (id, metric) in &mut experiment.metrics {
        let Some(plugin) = plugins.get(id) else {
            continue;
        };
        if plugin.takes_level && !usual && metric.config["level"].is_null() {
            metric.config["level"] = json!(level);
        }
        let other = resamples != ResolvedCompare::USUAL_RESAMPLES;
        if plugin.takes_resamples && other && metric.config["resamples"].is_null() {
            metric.config["resamples"] = json!(resamples);
        }
    }
}

/// A level in a metric's own configuration that is not the experiment's.
pub(super) fn other_level(spec: &ExperimentSpec, metric: &ResolvedMetric) -> Option<Refusal> {
    let level = **spec.compare.as_ref().map(|compare| &compare.level)?;
    let own = metric.config["level"].as_f64()?;
    ((own - level).abs() > 1e-12).then(|| Refusal {
        problem: Problem::failed(format!(
            "this metric asks for `level: {own}`, and `compare` for {level}"
        ))
        .help("leave it out here; `compare.level` is that of every interval"),
        key: Some("level".to_owned()),
    })
}

/// A number of resamples in a metric's own configuration of which none lies beyond the bounds of its intervals.
pub(super) fn few_resamples(spec: &ExperimentSpec, metric: &ResolvedMetric) -> Option<Refusal> {
    let own = metric.config["level"].as_f64();
    let compare = spec.compare.as_ref().map(|compare| *compare.level);
    let level = own.or(compare).unwrap_or(ResolvedCompare::USUAL_LEVEL);
    let drawn = usize::try_from(metric.config["resamples"].as_u64()?).ok()?;
    let needed = driftgauge_spec::least_resamples(level);
    (1..needed).contains(&drawn).then(|| Refusal {
        problem: Problem::failed(format!(
            "`resamples: {drawn}` are too few for an interval of level {level}: none would lie beyond its bounds"
        ))
        .help(format!("draw {needed} at least; 10000 are usual")),
        key: Some("resamples".to_owned()),
    })
}

/// Has each evaluation record as many of the likeliest tokens as the most demanding of its metrics reads. Complains where a
/// server cannot list so many.
pub(super) fn set_top_logprobs(
    spec: &ExperimentSpec,
    experiment: &mut ResolvedExperiment,
    plugins: &IndexMap<String, PluginIdentity>,
) -> Vec<Problem> {
    let mut complaints = Vec::new();
    for evaluation in experiment.evaluations.values_mut() {
        let served = evaluation.models.iter().find(|model| {
            let source = experiment.models.get(*model).map(|model| &model.source);
            matches!(source, Some(ModelSource::Endpoint(_)))
        });
        for id in &evaluation.metrics {
            let (Some(metric), Some(plugin)) = (experiment.metrics.get(id), plugins.get(id)) else {
                continue;
            };
            let Some(wanted) = plugin.top_logprobs(&metric.config) else {
                continue;
            };
            if let Some(model) = served.filter(|_| wanted > Endpoint::MOST_LISTED) {
                let written = &spec.metrics[id.as_str()];
                let config = written.config.as_ref().map(|config| config.span());
                let message = format!(
                    "metric `{id}` reads the {wanted} likeliest tokens, and the server of model `{model}` lists {} at most",
                    Endpoint::MOST_LISTED
                );
                let span = config.unwrap_or(written.span());
                let problem = Problem::new("bad-config", message)
                    .of_input()
                    .at(place(span));
                complaints
                    .push(problem.help("ask for fewer, or give the evaluation another metric"));
            }
            let recorded = &mut evaluation.generate.top_logprobs;
            *recorded = wanted.max(*recorded);
        }
    }
    complaints
}
