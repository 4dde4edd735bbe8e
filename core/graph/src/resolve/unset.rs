//! Numbers that are absent without a setting of their metric: a plugin marks the setting in the schema of its configuration with
//! `x-numbers`, and the numbers that it lists exist where the setting is given.

use driftgauge_plugin_protocol::wire::Manifest;
use driftgauge_spec::ExperimentSpec;
use driftgauge_spec::spec::Evaluation;
use serde_json::Value;

use super::absent::{Missing, is_of};
use super::measures::resolved_metric;
use crate::judge_check::JUDGE_ERROR;

/// The key of a schema that lists the numbers that are absent without its property.
const NUMBERS: &str = "x-numbers";

/// The setting that a number of a metric is absent without.
pub(super) fn without_setting<'m>(
    spec: &ExperimentSpec,
    evaluation: &str,
    metric: &str,
    manifest: &'m Manifest,
    number: &str,
) -> Option<Missing<'m>> {
    let evaluation = spec.evaluations.get(evaluation)?;
    let config = resolved_metric(spec.metrics.get(metric)?).config;
    let properties = manifest.config_schema["properties"].as_object()?;
    properties.iter().find_map(|(key, property)| {
        let ids = property[NUMBERS].as_array()?;
        let mut ids = ids.iter().filter_map(Value::as_str);
        if !ids.any(|id| is_of(id, number)) {
            return None;
        }
        if key == JUDGE_ERROR {
            return uncorrected(spec, evaluation, &config, number);
        }
        let given = match &config[key] {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty(),
            _ => true,
        };
        (!given).then_some(Missing::Setting(key))
    })
}

/// What a rate that is corrected for a judge's errors lacks: `corrected` is that of the judge who stands for the metric, and
/// `corrected.JUDGE` that of another one.
fn uncorrected(
    spec: &ExperimentSpec,
    evaluation: &Evaluation,
    config: &Value,
    number: &str,
) -> Option<Missing<'static>> {
    let recorded = |evaluation: &Evaluation| {
        let models = evaluation.models.iter();
        let mut models = models.map(|model| spec.models.get(model.get().as_str()));
        models.any(|model| model.is_none_or(|model| model.recorded.is_some()))
    };
    let first = evaluation.judges.iter();
    let mut first = first.filter(|(_, judge)| judge.gives_verdicts());
    let main = config["judge"].as_str().or_else(|| {
        // Of recorded judges it is not known yet which one is the first.
        let first = first.next().filter(|_| !recorded(evaluation));
        first.map(|(id, _)| id.get().as_str())
    });
    let judge = match number.split_once('.') {
        Some((_, judge)) if Some(judge) == main => return Some(Missing::Another),
        Some((_, judge)) => Some(judge),
        None => main,
    };
    let known = match &evaluation.judge_check {
        Some(check) => {
            let known = spec.evaluations.get(check.get().as_str())?;
            recorded(known) || judge.is_none_or(|judge| held(evaluation, known, judge))
        }
        None => match (config[JUDGE_ERROR].as_object(), judge) {
            (Some(errors), Some(judge)) => errors.contains_key(judge),
            (Some(errors), None) => !errors.is_empty(),
            (None, _) => false,
        },
    };
    (!known).then_some(Missing::JudgeError)
}

/// Whether an evaluation on known answers tells how often a judge is right.
fn held(evaluation: &Evaluation, known: &Evaluation, judge: &str) -> bool {
    let model = evaluation.judges.get(judge).and_then(|judge| judge.model());
    known.judges.contains_key(judge) || model.is_some_and(|model| known.models.contains(model))
}
