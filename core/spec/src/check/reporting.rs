//! What compares, limits and publishes numbers: every path has to name a metric, every difference a comparison that is made.

use super::{Checker, unknown};
use crate::diagnostic::Diagnostic;
use crate::located::{Located, Text};
use crate::spec::{Compare, Expected, MetricPath};

/// The fewest resamples of which one lies beyond each bound of an interval of that level.
#[must_use]
pub fn least_resamples(level: f64) -> usize {
    (2.0 / (1.0 - level) - 1e-9).ceil() as usize
}

impl Checker<'_> {
    /// An `evaluation/metric` path: both have to be there, and belong together.
    pub(super) fn path(&mut self, path: &Text) {
        let Some(parts) = MetricPath::parse(path) else {
            self.error(
                Diagnostic::error(
                    "unknown-metric",
                    format!("`{path}` names no metric of an evaluation"),
                )
                .at(path.span(), "")
                .help("write `evaluation/metric`"),
            );
            return;
        };
        let spec = self.spec;
        let Some(evaluation) = spec.evaluations.get(parts.evaluation) else {
            let written = Located::new(parts.evaluation.to_owned(), path.span());
            self.error(unknown("evaluation", &written, &spec.evaluations));
            return;
        };
        if !evaluation
            .metrics
            .iter()
            .any(|metric| metric.get() == parts.metric)
        {
            let known: Vec<_> = evaluation
                .metrics
                .iter()
                .map(|metric| format!("`{}/{metric}`", parts.evaluation))
                .collect();
            self.error(
                Diagnostic::error(
                    "unknown-metric",
                    format!(
                        "evaluation `{}` has no metric `{}`",
                        parts.evaluation, parts.metric
                    ),
                )
                .at(path.span(), "")
                .help(format!("it has {}", or_none(&known))),
            );
        }
    }

    pub(super) fn compare(&mut self) {
        let spec = self.spec;
        let Some(compare) = &spec.compare else { return };
        if !spec.models.contains_key(compare.baseline.get().as_str()) {
            self.error(unknown("model", &compare.baseline, &spec.models));
        }
        for pair in &compare.pairs {
            for model in pair {
                if !spec.models.contains_key(model.get().as_str()) {
                    self.error(unknown("model", model, &spec.models));
                }
            }
            let [first, second] = pair;
            if first.get() == second.get() || *first.get() == *compare.baseline.get() {
                self.error(
                    Diagnostic::error("no-comparison", "this pair adds no comparison")
                        .at(second.span(), "")
                        .help("every model is held against the baseline anyway; pairs are of two other models"),
                );
            }
        }
        let (level, needed) = (*compare.level, least_resamples(*compare.level));
        if (1..needed).contains(&*compare.resamples) {
            let message = format!(
                "`resamples: {}` are too few for an interval of level {level}: none would lie beyond its bounds",
                compare.resamples
            );
            self.error(
                Diagnostic::error("out-of-range", message)
                    .at(compare.resamples.span(), "")
                    .help(format!("draw {needed} at least; 10000 are usual")),
            );
        }
        for path in compare.family.iter().chain(&compare.exploratory) {
            self.path(path);
        }
        for (id, family) in &compare.families {
            if ["family", "exploratory", "categories"].contains(&id.get().as_str()) {
                self.error(
                    Diagnostic::error("bad-id", format!("a family cannot be called `{id}`"))
                        .at(id.span(), "stands for another family in results"),
                );
            }
            if family.members.is_empty() {
                self.error(
                    Diagnostic::error("empty-family", format!("family `{id}` names nothing"))
                        .at(id.span(), "")
                        .help("list `evaluation/metric` pairs in `members`, or remove the family"),
                );
            }
            for member in &family.members {
                self.path(member);
            }
        }
        self.in_one_family(compare);
    }

    /// A p-value is adjusted in the first family that names it. One that names nothing which is left would be emptied without a word.
    fn in_one_family(&mut self, compare: &Compare) {
        let own = [
            ("family", &compare.family),
            ("exploratory", &compare.exploratory),
        ];
        let further = compare.families.iter();
        let further = further.map(|(id, family)| (id.get().as_str(), &family.members));
        let mut before: Vec<(&str, &Text)> = Vec::new();
        for (family, members) in own.into_iter().chain(further) {
            for member in members {
                if let Some((taken, by)) = before.iter().find(|(_, known)| covers(known, member)) {
                    self.error(
                        Diagnostic::error(
                            "twice",
                            format!("`{member}` is in family `{taken}` already, and is adjusted there"),
                        )
                        .at(member.span(), format!("nothing is left for `{family}`"))
                        .at(by.span(), "adjusts it")
                        .help("every number is adjusted in one family: take one of the two out, or name what is special before what is general"),
                    );
                }
                before.push((family, member));
            }
        }
    }

    pub(super) fn gates(&mut self) {
        let spec = self.spec;
        for gate in &spec.gates {
            self.path(&gate.metric);
            self.asked(
                &gate.model,
                MetricPath::parse(&gate.metric).map(|parts| parts.evaluation),
            );
            if let Some(limit) = gate.drop.as_ref().or(gate.rise.as_ref()) {
                let baseline = spec.compare.as_ref().map(|compare| &compare.baseline);
                if baseline.is_none_or(|baseline| baseline.get() == gate.model.get()) {
                    self.error(
                        Diagnostic::error(
                            "no-comparison",
                            format!("model `{}` is compared with nothing", gate.model),
                        )
                        .at(limit.span(), "limits a difference from the baseline")
                        .help("name another model as the `baseline` of `compare`"),
                    );
                }
            }
            if let (Some(condition), Some(parts)) =
                (&gate.condition, MetricPath::parse(&gate.metric))
            {
                self.condition(condition, parts.evaluation);
            }
            if let (Some(lower), Some(upper)) = (&gate.lower, &gate.upper)
                && **lower > **upper
            {
                self.error(
                    Diagnostic::error(
                        "out-of-range",
                        "no value is above `lower` and below `upper`",
                    )
                    .at(lower.span(), format!("`lower` is {lower}"))
                    .at(upper.span(), format!("`upper` is {upper}"))
                    .help("the interval has to lie between the two: `lower` is the smaller one"),
                );
            }
            if [&gate.upper, &gate.lower, &gate.drop, &gate.rise]
                .iter()
                .all(|limit| limit.is_none())
            {
                self.error(
                    Diagnostic::error("no-limit", "a gate without a limit never closes")
                        .at(gate.metric.span(), "")
                        .help("add `upper`, `lower`, `drop` or `rise`"),
                );
            }
        }
    }

    /// A model has to be defined, and among those that the evaluation asks.
    pub(super) fn asked(&mut self, model: &Text, evaluation: Option<&str>) {
        let spec = self.spec;
        if !spec.models.contains_key(model.get().as_str()) {
            self.error(unknown("model", model, &spec.models));
            return;
        }
        let Some((id, evaluation)) =
            evaluation.and_then(|id| Some((id, spec.evaluations.get(id)?)))
        else {
            return;
        };
        if !evaluation.models.contains(model) {
            let models: Vec<_> = evaluation
                .models
                .iter()
                .map(|model| format!("`{model}`"))
                .collect();
            self.error(
                Diagnostic::error(
                    "unknown-model",
                    format!("evaluation `{id}` does not ask model `{model}`"),
                )
                .at(model.span(), "")
                .help(format!("it asks {}", or_none(&models))),
            );
        }
    }

    pub(super) fn condition(&mut self, condition: &Text, evaluation: &str) {
        if let Some(evaluation) = self.spec.evaluations.get(evaluation)
            && !evaluation.conditions.contains_key(condition.get().as_str())
            && !(evaluation.conditions.is_empty() && condition.get() == "default")
        {
            self.error(unknown("condition", condition, &evaluation.conditions));
        }
    }

    pub(super) fn expected(&mut self) {
        let spec = self.spec;
        for expected in &spec.expected {
            let (metric, number) = expected.metric_parts();
            let full = match number {
                Some(number) => format!("{}/{metric}.{number}", expected.evaluation),
                None => format!("{}/{metric}", expected.evaluation),
            };
            self.path(&Located::new(full, expected.metric.span()));
            self.asked(&expected.model, Some(expected.evaluation.get()));
            for condition in expected
                .condition
                .iter()
                .chain(&expected.baseline_condition)
            {
                self.condition(condition, &expected.evaluation);
            }
            self.one_condition(expected);
            self.difference(expected);
        }
    }

    /// A value is published of one condition: where there are several, nobody guesses which.
    fn one_condition(&mut self, expected: &Expected) {
        let spec = self.spec;
        let evaluation = spec.evaluations.get(expected.evaluation.get().as_str());
        let Some(evaluation) = evaluation.filter(|evaluation| evaluation.conditions.len() > 1)
        else {
            return;
        };
        if expected.condition.is_some() || expected.baseline_condition.is_some() {
            return;
        }
        let known: Vec<String> = evaluation
            .conditions
            .keys()
            .map(|condition| format!("`{condition}`"))
            .collect();
        self.error(
            Diagnostic::error(
                "missing-key",
                format!(
                    "evaluation `{}` has several conditions, and the published value names none",
                    expected.evaluation
                ),
            )
            .at(expected.metric.span(), "of which condition?")
            .help(format!("add `condition`, one of {}", known.join(", "))),
        );
    }

    /// A published difference is held against a comparison, so it has to be one that is made.
    fn difference(&mut self, expected: &Expected) {
        let spec = self.spec;
        if let Some(baseline) = &expected.baseline {
            let compared = spec.compare.as_ref().map(|compare| compare.baseline.get());
            if compared != Some(baseline.get()) {
                self.error(
                    Diagnostic::error(
                        "no-comparison",
                        format!("nothing is compared with model `{baseline}`"),
                    )
                    .at(baseline.span(), "")
                    .help(match compared {
                        Some(id) => {
                            format!("differences are taken from `{id}`, the baseline of `compare`")
                        }
                        None => "name the model as the `baseline` of `compare`".to_owned(),
                    }),
                );
            } else if baseline.get() == expected.model.get() {
                self.error(
                    Diagnostic::error("no-comparison", "a model does not differ from itself")
                        .at(baseline.span(), ""),
                );
            }
        }
        let Some(from) = &expected.baseline_condition else {
            return;
        };
        let first = spec
            .evaluations
            .get(expected.evaluation.get().as_str())
            .and_then(|evaluation| evaluation.conditions.keys().next());
        let to = expected.condition.as_ref();
        if first.is_some_and(|first| first.get() != from.get()) {
            self.error(
                Diagnostic::error(
                    "no-comparison",
                    format!("nothing is compared with condition `{from}`"),
                )
                .at(from.span(), "")
                .help(format!(
                    "conditions are held against the first one, `{}`",
                    first.map_or("", |first| first.get())
                )),
            );
        } else if to.is_none_or(|to| to.get() == from.get()) {
            self.error(
                Diagnostic::error("no-comparison", "a condition does not differ from itself")
                    .at(from.span(), "")
                    .help("name the other one with `condition`"),
            );
        }
    }
}

/// Whether a member of a family names all that another one names: `e/asr.category.*` is all categories.
fn covers(member: &str, other: &str) -> bool {
    match member.strip_suffix('*') {
        Some(start) => other.trim_end_matches('*').starts_with(start),
        None => member == other,
    }
}

fn or_none(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}
