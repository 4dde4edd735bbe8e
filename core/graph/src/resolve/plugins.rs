//! The plugins that a spec names: found, identified, and asked about their configuration.

use driftgauge_engine::{MetricRunner, PluginIdentity, Refusal};
use driftgauge_plugin_protocol::wire::Manifest;
use driftgauge_problem::Problem;
use driftgauge_spec::spec::{Judge as SpecJudge, Metric};
use driftgauge_spec::{ExperimentSpec, Source, place_of_key};
use indexmap::IndexMap;

use super::measures::resolved_metric;
use super::{configs, place, settings};
use crate::plan::judge_plugin;

/// Finds the plugin of each metric and of each judge that is used, and lets it look at its configuration. What is wrong is told in
/// full; plugins that are not found are missing.
pub(super) fn identify(
    source: &Source,
    spec: &ExperimentSpec,
    metrics: &dyn MetricRunner,
) -> (IndexMap<String, PluginIdentity>, Vec<Problem>) {
    let mut plugins = IndexMap::new();
    let mut problems = Vec::new();
    for (id, written, judges) in wanted(spec) {
        let metric = &resolved_metric(written);
        let mut complain = |code: &'static str, problem: Problem| {
            let problem = Problem {
                code: code.into(),
                ..problem
            };
            problems.push(problem.of_input().at(place(written.span())));
        };
        match metrics.identify(metric) {
            Err(error) => complain("plugin-not-found", error),
            Ok(identity) if judges && !identity.judges => complain(
                "no-judge",
                Problem::failed(format!("plugin `{}` measures and gives no verdicts", identity.id)).help(
                    "a plugin that judges says `judges` in its manifest; list this one under `metrics`",
                ),
            ),
            Ok(identity) => {
                let draws = identity.takes_resamples;
                plugins.insert(id, identity);
                let unfit = metrics
                    .manifest(metric)
                    .map(|manifest| unfit_config(source, written, &manifest))
                    .unwrap_or_default();
                if unfit.is_empty() {
                    let refused = metrics
                        .check_config(metric)
                        .err()
                        .or_else(|| settings::other_level(spec, metric))
                        .or_else(|| settings::few_resamples(spec, metric).filter(|_| draws));
                    problems.extend(refused.map(|refused| bad_config(source, written, refused)));
                }
                problems.extend(unfit);
            }
        }
    }
    (plugins, problems)
}

/// Everything in a configuration that does not fit the schema of its plugin.
#[must_use]
pub fn unfit_config(source: &Source, written: &Metric, manifest: &Manifest) -> Vec<Problem> {
    let config = resolved_metric(written).config;
    let misfits = configs::misfits(&manifest.config_schema, &config);
    let problem = |misfit: configs::Misfit| {
        let refused = Refusal {
            problem: Problem::failed(format!(
                "plugin `{}` does not accept its configuration: {}",
                manifest.id, misfit.message
            ))
            .help(misfit.help),
            key: (!misfit.key.is_empty()).then_some(misfit.key),
        };
        bad_config(source, written, refused)
    };
    misfits.into_iter().map(problem).collect()
}

/// A configuration that its plugin refuses, at the key that is wrong.
#[must_use]
pub fn bad_config(source: &Source, written: &Metric, refused: Refusal) -> Problem {
    let config = written.config.as_ref().map(|config| config.span());
    let config = config.filter(|span| !span.is_none());
    let key = refused.key.as_deref().zip(config);
    let key = key.and_then(|(key, config)| place_of_key(source, config, key));
    let problem = Problem {
        code: "bad-config".into(),
        ..refused.problem
    };
    let span = key.or(config).unwrap_or(written.span());
    problem.of_input().at(place(span))
}

/// A plugin that the spec names: its key in the plan, what the spec says of it, and whether it has to judge.
type Wanted<'a> = (String, &'a Metric, bool);

fn wanted(spec: &ExperimentSpec) -> impl Iterator<Item = Wanted<'_>> {
    let metrics = spec
        .metrics
        .iter()
        .map(|(id, metric)| (id.get().clone(), metric, false));
    let judges = spec.evaluations.iter().flat_map(|(evaluation, asked)| {
        asked
            .judges
            .iter()
            .filter_map(move |(id, judge)| match judge {
                SpecJudge::Plugin(plugin) => Some((judge_plugin(evaluation, id), plugin, true)),
                _ => None,
            })
    });
    // One that names no plugin was told by the checks.
    metrics
        .chain(judges)
        .filter(|(_, metric, _)| metric.source().is_some_and(|source| !source.is_empty()))
}
