//! The plugins that a spec names: found, identified, and asked about their configuration.

use driftgauge_engine::{MetricRunner, PluginIdentity, Refusal, ResolvedMetric};
use driftgauge_judge::Judge;
use driftgauge_problem::Problem;
use driftgauge_spec::spec::{Judge as SpecJudge, Metric};
use driftgauge_spec::{ExperimentSpec, Source, place_of_key};
use indexmap::IndexMap;

use super::{place, settings};
use crate::plan::judge_plugin;
use crate::resolved::ResolvedExperiment;

/// Finds the plugin of each metric and of each judge, and lets it look at its configuration.
pub(super) fn identify(
    source: &Source,
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    metrics: &dyn MetricRunner,
) -> Result<IndexMap<String, PluginIdentity>, Vec<Problem>> {
    let mut plugins = IndexMap::new();
    let mut problems = Vec::new();
    for (id, metric, written, judges) in wanted(spec, experiment) {
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
                plugins.insert(id, identity);
                let refused = metrics
                    .check_config(metric)
                    .err()
                    .or_else(|| settings::other_level(spec, metric));
                problems.extend(refused.map(|refused| bad_config(source, written, refused)));
            }
        }
    }
    if problems.is_empty() {
        Ok(plugins)
    } else {
        Err(problems)
    }
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

/// A plugin that the spec names: its key in the plan, its settings, what the spec says of it, and whether it has to judge.
type Wanted<'a> = (String, &'a ResolvedMetric, &'a Metric, bool);

fn wanted<'a>(
    spec: &'a ExperimentSpec,
    experiment: &'a ResolvedExperiment,
) -> impl Iterator<Item = Wanted<'a>> {
    let metrics = experiment
        .metrics
        .iter()
        .map(|(id, metric)| (id.clone(), metric, &spec.metrics[id.as_str()], false));
    let judges = experiment
        .evaluations
        .iter()
        .flat_map(move |(evaluation, resolved)| {
            resolved.judges.iter().filter_map(move |(id, judge)| {
                let Judge::Plugin(plugin) = &judge.judge else {
                    return None;
                };
                let written = &spec.evaluations[evaluation.as_str()].judges[id.as_str()];
                let SpecJudge::Plugin(written) = written else {
                    return None;
                };
                Some((judge_plugin(evaluation, id), plugin, written, true))
            })
        });
    metrics.chain(judges)
}
