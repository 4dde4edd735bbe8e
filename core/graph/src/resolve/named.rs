//! Names of an evaluation's own parts in the configuration of a metric: its judges, conditions and categories. A plugin marks such keys
//! in the schema of its configuration with `x-names`; only here is it known what there is to name.

use driftgauge_data::recording::{Readings, Recorded, judges_of};
use driftgauge_engine::Refusal;
use driftgauge_plugin_protocol::wire::Manifest;
use driftgauge_problem::Problem;
use driftgauge_spec::{ExperimentSpec, Source, nearest};
use indexmap::{IndexMap, IndexSet};
use serde_json::Value;

use super::categories::category_names;
use super::measures::resolved_metric;
use super::plugins::bad_config;
use crate::resolved::{ModelSource, ResolvedEvaluation, ResolvedExperiment, ResolvedModel};

/// The key of a schema that says what a text names: `judge`, `condition` or `category`.
const NAMES: &str = "x-names";

/// A name in a configuration.
#[derive(Debug, PartialEq, Eq)]
struct Named<'a> {
    key: String,
    name: &'a str,
    kind: &'a str,
    /// Whether it is one of several: then some evaluation that uses the metric has to have it, and else each.
    listed: bool,
}

/// Names in the configurations of metrics that no evaluation, or not each one, has.
pub(super) fn unknown_names(
    source: &Source,
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    manifests: &IndexMap<String, Manifest>,
) -> Vec<Problem> {
    let mut out = Vec::new();
    for (id, written) in &spec.metrics {
        let Some(manifest) = manifests.get(id.get()) else {
            continue;
        };
        let config = resolved_metric(written).config;
        let users: Vec<(&String, &ResolvedEvaluation)> = experiment
            .evaluations
            .iter()
            .filter(|(_, evaluation)| evaluation.metrics.contains(id.get()))
            .collect();
        for named in names(&manifest.config_schema, &config) {
            // What cannot be known yet may be there.
            let has = |evaluation: &str, resolved: &ResolvedEvaluation| {
                known(experiment, evaluation, resolved, named.kind)
                    .is_none_or(|known| known.contains(named.name))
            };
            let lacking = users.iter().find(|(user, resolved)| !has(user, resolved));
            let Some((user, resolved)) = lacking else {
                continue;
            };
            if named.listed && users.iter().any(|(user, resolved)| has(user, resolved)) {
                continue;
            }
            let there = known(experiment, user, resolved, named.kind).unwrap_or_default();
            let there: Vec<&str> = there.iter().map(String::as_str).collect();
            let help = match nearest(named.name, there.iter().copied()) {
                _ if there.is_empty() => format!("it has no {} at all", named.kind),
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has `{}`", there.join("`, `")),
            };
            let problem = Problem::failed(format!(
                "evaluation `{user}` has no {} `{}`, which the configuration of metric `{id}` names",
                named.kind, named.name
            ))
            .help(help);
            let refused = Refusal {
                problem,
                key: Some(named.key),
            };
            out.push(bad_config(source, written, refused));
        }
    }
    out
}

/// What an evaluation has of a kind; `None` where that is not known before a run.
fn known(
    experiment: &ResolvedExperiment,
    id: &str,
    evaluation: &ResolvedEvaluation,
    kind: &str,
) -> Option<IndexSet<String>> {
    match kind {
        "condition" => Some(evaluation.conditions.keys().cloned().collect()),
        "judge" => {
            let recorded =
                recorded_judges(&experiment.readings, id, evaluation, &experiment.models);
            let recorded = recorded.into_iter().flat_map(|(_, judges)| judges);
            Some(evaluation.judges.keys().cloned().chain(recorded).collect())
        }
        "category" => {
            let dataset = experiment.datasets.get(&evaluation.dataset)?;
            Some(category_names(dataset, evaluation)?.into_iter().collect())
        }
        _ => None,
    }
}

/// The recorded models of an evaluation, each with the judges whose verdicts its recording holds.
pub(super) fn recorded_judges(
    readings: &Readings,
    id: &str,
    evaluation: &ResolvedEvaluation,
    models: &IndexMap<String, ResolvedModel>,
) -> Vec<(String, Vec<String>)> {
    let of = |model: &String| {
        let ModelSource::Recorded(recordings) = &models.get(model)?.source else {
            return None;
        };
        let recorded = &recordings[Recorded::position(recordings, id)?];
        // A recording that cannot be read was reported by itself.
        let all = readings.rows(recorded).ok()?;
        let judges = judges_of(&all, recorded, !evaluation.judges.is_empty()).ok()?;
        Some((model.clone(), judges))
    };
    evaluation.models.iter().filter_map(of).collect()
}

/// The names in the keys of a configuration that its schema marks: a text, the items of a list, the keys of a map.
fn names<'a>(schema: &'a Value, config: &'a Value) -> Vec<Named<'a>> {
    let mut out = Vec::new();
    let properties = schema["properties"].as_object();
    for (key, property) in properties.into_iter().flatten() {
        let Some(kind) = property[NAMES].as_str() else {
            continue;
        };
        let named = |key: String, name: &'a str, listed: bool| Named {
            key,
            name,
            kind,
            listed,
        };
        match &config[key] {
            Value::String(name) => out.push(named(key.clone(), name, false)),
            Value::Array(items) => out.extend(items.iter().enumerate().filter_map(|(at, item)| {
                Some(named(format!("{key}[{at}]"), item.as_str()?, true))
            })),
            Value::Object(map) => out.extend(
                map.keys()
                    .map(|name| named(format!("{key}.{name}"), name, true)),
            ),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_found_where_the_schema_marks_them() {
        let schema = json!({"properties": {
            "judge": {"type": ["string", "null"], "x-names": "judge"},
            "leave": {"type": "array", "x-names": "category"},
            "rates": {"type": "object", "x-names": "judge"},
            "other": {"type": "string"},
        }});
        let config = json!({"judge": "g", "leave": ["a", 1], "rates": {"h": {}}, "other": "g"});
        let found = names(&schema, &config);
        let found: Vec<(&str, &str, &str, bool)> = found
            .iter()
            .map(|named| (named.key.as_str(), named.name, named.kind, named.listed))
            .collect();
        assert_eq!(
            found,
            [
                ("judge", "g", "judge", false),
                ("leave[0]", "a", "category", true),
                ("rates.h", "h", "judge", true),
            ]
        );
        assert_eq!(names(&schema, &json!({"judge": null})), []);
    }
}
