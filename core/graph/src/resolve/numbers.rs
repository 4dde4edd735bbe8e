//! Numbers that a spec names: found missing before a run where the plugin's manifest lists what it returns.

use driftgauge_plugin_protocol::numbers::JUDGE;
use driftgauge_plugin_protocol::wire::{Manifest, UNBOUNDED};
use driftgauge_problem::Problem;
use driftgauge_spec::spec::{MetricPath, Statistic};
use driftgauge_spec::{ExperimentSpec, Located, Text, nearest};

use super::absent;
use super::measures::resolved_metric;
use super::place;
use super::unset::without_setting;

/// One complaint for each number of a family, a gate or a published value that its metric cannot return, and for each limit and
/// value that its number can never be. `manifest` knows the plugin of a metric by the metric's id; what it does not know is not
/// judged.
pub fn unknown(spec: &ExperimentSpec, manifest: impl Fn(&str) -> Option<Manifest>) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut look = |evaluation: &str, metric: &str, number: Option<&str>, written: &Text| {
        let (Some(number), Some(manifest)) = (number, manifest(metric)) else {
            return;
        };
        if manifest.main.as_deref() == Some(number) {
            found.push(main_number(metric, number, written));
            return;
        }
        let judges = judges(spec, evaluation);
        let judges: Option<Vec<&str>> = judges
            .as_ref()
            .map(|judges| judges.iter().map(String::as_str).collect());
        let missing = || {
            absent::without_input(spec, evaluation, &manifest, number)
                .or_else(|| without_setting(spec, evaluation, metric, &manifest, number))
        };
        if !manifest.may_return(number, judges.as_deref()) {
            let chosen = chosen(spec, metric, &manifest);
            let asked = (metric, number, written);
            found.push(complaint(asked, &manifest, judges, chosen));
        } else if let Some(missing) = missing() {
            let message = format!(
                "`{metric}.{number}` will be absent: {}",
                missing.why(evaluation)
            );
            let problem = Problem::new("missing-input", message).help(missing.help());
            found.push(problem.of_input().at(place(written.span())));
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
    let searched = spec.search.values().flat_map(|search| {
        let goal = search.objective().map(|(path, _)| path);
        goal.into_iter()
            .chain(search.subject_to.iter().map(|bound| &bound.metric))
    });
    let gated = spec.gates.iter().map(|gate| &gate.metric);
    for path in members.chain(gated).chain(searched) {
        if let Some(parts) = MetricPath::parse(path) {
            look(parts.evaluation, parts.metric, parts.number, path);
        }
    }
    for expected in &spec.expected {
        let (metric, number) = expected.metric_parts();
        look(&expected.evaluation, metric, number, &expected.metric);
    }
    found.extend(unfit(spec, &manifest));
    found.extend(undrawn(spec, &manifest));
    found.extend(absent::against_itself(spec, &manifest));
    found
}

/// One complaint for each limit of a gate and each published value that its number can never be: a rate of 10, say. What a
/// plugin's manifest says nothing of is not judged.
fn unfit(spec: &ExperimentSpec, manifest: &impl Fn(&str) -> Option<Manifest>) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut look =
        |metric: &str, number: Option<&str>, limit: &Located<f64>, name: &str, way: Way| {
            let range = manifest(metric).and_then(|manifest| manifest.range_of_named(number));
            let Some([low, high]) = range.map(|range| range.map(open_ended)) else {
                return;
            };
            let (low, high) = match way {
                Way::Value => (low, high),
                Way::Difference => (low - high, high - low),
                Way::DifferenceInDifferences => (2.0 * (low - high), 2.0 * (high - low)),
                Way::Size => (0.0, high - low),
            };
            if (low..=high).contains(&**limit) {
                return;
            }
            let shown = match number {
                Some(number) => format!("{metric}.{number}"),
                None => metric.to_owned(),
            };
            let range = match (low.is_finite(), high.is_finite()) {
                (true, true) => format!("from {low} to {high}"),
                (true, false) => format!("at least {low}"),
                _ => format!("at most {high}"),
            };
            let message = format!("`{name}` is {limit}, and `{shown}` lies {range}");
            let problem = Problem::new("out-of-range", message)
                .of_input()
                .at(place(limit.span()));
            // What was meant as per cent.
            let share = **limit / 100.0;
            let per_cent = high <= 1.0 && (low..=high).contains(&share);
            found.push(if per_cent {
                problem.help(format!(
                    "rates are shares of 1: write `{share}` for {limit} %"
                ))
            } else {
                problem
            });
        };
    let bounds = spec.search.values().flat_map(|search| &search.subject_to);
    for bound in bounds {
        let Some(path) = MetricPath::parse(&bound.metric) else {
            continue;
        };
        for (limit, at) in bound.limits() {
            let way = match limit.is_of_difference() {
                true => Way::Size,
                false => Way::Value,
            };
            look(path.metric, path.number, at, limit.as_str(), way);
        }
    }
    for gate in &spec.gates {
        let Some(path) = MetricPath::parse(&gate.metric) else {
            continue;
        };
        for (name, limit, way) in [
            ("upper", &gate.upper, Way::Value),
            ("lower", &gate.lower, Way::Value),
            ("drop", &gate.drop, Way::Size),
            ("rise", &gate.rise, Way::Size),
        ] {
            if let Some(limit) = limit {
                look(path.metric, path.number, limit, name, way);
            }
        }
    }
    for expected in &spec.expected {
        let (metric, number) = expected.metric_parts();
        let differs = expected.baseline.is_some() || expected.baseline_condition.is_some();
        let way = match expected.statistic {
            Statistic::StandardError => Way::Size,
            Statistic::Value
                if expected.baseline.is_some() && expected.baseline_condition.is_some() =>
            {
                Way::DifferenceInDifferences
            }
            Statistic::Value if differs => Way::Difference,
            Statistic::Value => Way::Value,
        };
        look(metric, number, &expected.value, "value", way);
    }
    found
}

/// One complaint for each gate on a number that has no interval, since its metric's configuration draws none: a gate judges the
/// bounds of an interval, so it would fail whatever is measured.
fn undrawn(spec: &ExperimentSpec, manifest: &impl Fn(&str) -> Option<Manifest>) -> Vec<Problem> {
    let gates = spec.gates.iter().filter_map(|gate| {
        let path = MetricPath::parse(&gate.metric)?;
        let config = resolved_metric(spec.metrics.get(path.metric)?).config;
        let manifest = manifest(path.metric)?;
        manifest.is_undrawn(path.number, &config).then(|| {
            let message = format!(
                "`{}` has no interval for a gate to judge: metric `{}` is told to draw none",
                gate.metric, path.metric
            );
            Problem::new("no-interval", message)
                .of_input()
                .at(place(gate.metric.span()))
                .help("leave `resamples: 0` out of the metric's `config`, or gate another number")
        })
    });
    gates.collect()
}

/// A bound that is none is infinite.
fn open_ended(bound: f64) -> f64 {
    if bound.abs() < UNBOUNDED {
        bound
    } else {
        f64::INFINITY.copysign(bound)
    }
}

/// What a limit is of: a number itself, a difference of two, of two differences, or the size of one.
#[derive(Debug, Clone, Copy)]
enum Way {
    Value,
    Difference,
    DifferenceInDifferences,
    Size,
}

/// A number that stands for its metric is called by the metric's name alone.
fn main_number(metric: &str, number: &str, written: &Text) -> Problem {
    let message = format!("`{number}` is the number that stands for metric `{metric}`");
    Problem::new("unknown-number", message)
        .of_input()
        .at(place(written.span()))
        .help(format!("write `{metric}`, without the number"))
}

/// The key by which a metric's configuration says which numbers it returns, where it does.
fn chosen<'m>(spec: &ExperimentSpec, metric: &str, manifest: &'m Manifest) -> Option<&'m str> {
    let config = resolved_metric(spec.metrics.get(metric)?).config;
    manifest.chosen(&config)?;
    manifest.chosen_by.as_deref()
}

/// The numbers of a metric as a spec names them.
fn listed(metric: &str, manifest: &Manifest) -> String {
    let name = |id: &String| match manifest.main.as_ref() == Some(id) {
        true => format!("`{metric}` itself ({id})"),
        false => format!("`{metric}.{id}`"),
    };
    let names: Vec<String> = manifest.numbers.iter().map(name).collect();
    names.join(", ")
}

/// A number that the metric cannot return; `chosen` is the key by which its configuration says which ones it does.
fn complaint(
    (metric, number, written): (&str, &str, &Text),
    manifest: &Manifest,
    judges: Option<Vec<&str>>,
    chosen: Option<&str>,
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
    let near = nearest(number, whole.chain(open.iter().map(String::as_str)));
    let help = match (near, chosen) {
        (Some(near), _) => format!("did you mean `{metric}.{near}`?"),
        (None, Some(key)) => format!(
            "it is asked for {}: add `{number}` to its `{key}`",
            listed(metric, manifest)
        ),
        (None, None) => {
            let ids: Vec<String> = ids.iter().map(|id| format!("`{metric}.{id}`")).collect();
            format!("beside `{metric}` itself it has {}", ids.join(", "))
        }
    };
    let why = match chosen {
        Some(key) => format!("its `{key}` does not ask for it"),
        None => format!("plugin `{}` returns no such number", manifest.id),
    };
    let message = format!("metric `{metric}` has no number `{number}`: {why}");
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
