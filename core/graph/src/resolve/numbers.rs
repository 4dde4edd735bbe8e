//! Numbers that a spec names: found missing before a run where the plugin's manifest lists what it returns.

use driftgauge_plugin_protocol::numbers::JUDGE;
use driftgauge_plugin_protocol::wire::Manifest;
use driftgauge_problem::Problem;
use driftgauge_spec::spec::MetricPath;
use driftgauge_spec::{ExperimentSpec, Text, nearest};

use super::place;

/// One complaint for each number of a family, a gate or a published value that its metric cannot return. `manifest` knows the
/// plugin of a metric by the metric's id; what it does not know is not judged.
pub fn unknown(spec: &ExperimentSpec, manifest: impl Fn(&str) -> Option<Manifest>) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut look = |evaluation: &str, metric: &str, number: Option<&str>, written: &Text| {
        let (Some(number), Some(manifest)) = (number, manifest(metric)) else {
            return;
        };
        let judges = judges(spec, evaluation);
        let judges: Option<Vec<&str>> = judges
            .as_ref()
            .map(|judges| judges.iter().map(String::as_str).collect());
        if !manifest.may_return(number, judges.as_deref()) {
            found.push(complaint(metric, number, written, &manifest, judges));
        }
    };
    let compare = spec.compare.iter();
    let members = compare.flat_map(|compare| {
        let families = compare.families.values().flat_map(|family| &family.members);
        compare
            .family
            .iter()
            .chain(&compare.exploratory)
            .chain(families)
    });
    for path in members.chain(spec.gates.iter().map(|gate| &gate.metric)) {
        if let Some(parts) = MetricPath::parse(path) {
            look(parts.evaluation, parts.metric, parts.number, path);
        }
    }
    for expected in &spec.expected {
        let (metric, number) = expected.metric_parts();
        look(&expected.evaluation, metric, number, &expected.metric);
    }
    found
}

fn complaint(
    metric: &str,
    number: &str,
    written: &Text,
    manifest: &Manifest,
    judges: Option<Vec<&str>>,
) -> Problem {
    let mut ids: Vec<&str> = manifest.numbers.iter().map(String::as_str).collect();
    ids.retain(|id| *id != JUDGE);
    ids.extend(judges.unwrap_or_default());
    // An open end takes what was written after the same number of parts.
    let open = ids.iter().filter_map(|id| {
        let start = id.strip_suffix(".*")?;
        let (_, rest) = number.split_once('.')?;
        Some(format!("{start}.{rest}"))
    });
    let open: Vec<String> = open.collect();
    let whole = ids.iter().copied().filter(|id| !id.ends_with('*'));
    let help = match nearest(number, whole.chain(open.iter().map(String::as_str))) {
        Some(near) => format!("did you mean `{metric}.{near}`?"),
        None => {
            let ids: Vec<String> = ids.iter().map(|id| format!("`{metric}.{id}`")).collect();
            format!("beside `{metric}` itself it has {}", ids.join(", "))
        }
    };
    let message = format!(
        "metric `{metric}` has no number `{number}`: plugin `{}` returns no such number",
        manifest.id
    );
    Problem::new("unknown-number", message)
        .of_input()
        .at(place(written.span()))
        .help(help)
}

/// Ids of all judges whose verdicts an evaluation may hold, its own and those of recordings; `None` where a recording does not
/// say.
fn judges(spec: &ExperimentSpec, evaluation: &str) -> Option<Vec<String>> {
    let asked = spec.evaluations.get(evaluation)?;
    let mut ids: Vec<String> = asked.judges.keys().map(|id| id.get().clone()).collect();
    for model in &asked.models {
        let model = spec.models.get(model.get().as_str())?;
        let recordings = model.recorded.iter().flat_map(|parts| parts.as_slice());
        for recording in recordings.filter(|recording| recording.serves(evaluation)) {
            ids.extend(recording.columns.verdicts.keys().map(|id| id.get().clone()));
            if recording.harmbench.is_some() || recording.lm_eval.is_some() {
                return None;
            }
        }
    }
    ids.sort();
    ids.dedup();
    Some(ids)
}
