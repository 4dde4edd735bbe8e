//! The plugins that a spec names: found, identified, and asked about their configuration.

use driftgauge_engine::{MetricRunner, PluginIdentity, ResolvedMetric};
use driftgauge_judge::Judge;
use driftgauge_problem::Problem;
use driftgauge_spec::spec::Judge as SpecJudge;
use driftgauge_spec::{ExperimentSpec, Span};
use indexmap::IndexMap;

use super::{place, settings};
use crate::plan::judge_plugin;
use crate::resolved::ResolvedExperiment;

/// Finds the plugin of each metric and of each judge, and lets it look at its configuration.
pub(super) fn identify(
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    metrics: &dyn MetricRunner,
) -> Result<IndexMap<String, PluginIdentity>, Vec<Problem>> {
    let mut plugins = IndexMap::new();
    let mut problems = Vec::new();
    for (id, metric, plugin_span, config_span, judges) in wanted(spec, experiment) {
        let mut complain = |code: &'static str, span, problem: Problem| {
            let problem = Problem {
                code: code.into(),
                ..problem
            };
            problems.push(problem.of_input().at(place(span)));
        };
        match metrics.identify(metric) {
            Err(error) => complain("plugin-not-found", plugin_span, error),
            Ok(identity) if judges && !identity.judges => complain(
                "no-judge",
                plugin_span,
                Problem::failed(format!("plugin `{}` measures and gives no verdicts", identity.id)).help(
                    "a plugin that judges says `judges` in its manifest; list this one under `metrics`",
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

/// A plugin that the spec names: its key in the plan, its settings, the places of its name and configuration, and whether
/// it has to judge.
type Wanted<'a> = (String, &'a ResolvedMetric, Span, Span, bool);

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
                let SpecJudge::Plugin(written) = written else {
                    return None;
                };
                let (name, config) = (written.plugin.span(), written.config.span());
                let config = if config.is_none() { name } else { config };
                Some((judge_plugin(evaluation, id), plugin, name, config, true))
            })
        });
    metrics.chain(judges)
}
