//! The finding in sentences, from data: what each model does that the baseline does not, with its interval.

use driftgauge_record::Comparison;

use super::context::{Context, section_id};
use crate::model::{Cell, Delta, Effect, Finding, Headline, HeadlineRow, ModelFinding, Sentence};
use crate::numbers;

/// What matters first.
const ORDER: [Effect; 5] = [
    Effect::Worse,
    Effect::Better,
    Effect::Higher,
    Effect::Lower,
    Effect::Unclear,
];
/// Sentences of one model; the table below holds the rest.
const SENTENCES: usize = 7;
/// As many models have sentences of their own also where nothing clear was found.
const FEW: usize = 6;
/// Models with sentences of their own.
const MODELS: usize = 12;
/// A change of a rate that is told, once incoherent answers are left out.
const NOTEWORTHY: f64 = 0.01;
/// Numbers beside the primary ones that a verdict tells where they clearly differ.
const TOLD: [&str; 1] = [".adoption"];

pub(super) fn of(context: &Context<'_>, headline: &Headline) -> Finding {
    let columns = headline.models.iter().enumerate();
    let models: Vec<ModelFinding> = columns
        .filter_map(|(column, model)| model_finding(context, headline, column, model))
        .collect();
    let summary = summary(headline, models.is_empty());
    let (models, others) = of_many(models);
    Finding {
        summary,
        models,
        others,
    }
}

/// Of a sweep, the models that clearly differ, the worst first; the others in a sentence.
fn of_many(models: Vec<ModelFinding>) -> (Vec<ModelFinding>, String) {
    if models.len() <= FEW {
        return (models, String::new());
    }
    let all = models.len();
    let first = |found: &ModelFinding| {
        let sentence = found.sentences.first();
        sentence.map_or(Effect::Unclear, |sentence| sentence.effect)
    };
    let (mut differing, alike): (Vec<_>, Vec<_>) = models
        .into_iter()
        .partition(|found| first(found) != Effect::Unclear);
    // Those that differ in more come first.
    differing.sort_by_key(|found| {
        let as_first = found
            .sentences
            .iter()
            .filter(|one| one.effect == first(found));
        let place = ORDER.iter().position(|effect| *effect == first(found));
        (place, std::cmp::Reverse(as_first.count()))
    });
    let beyond = differing.split_off(differing.len().min(MODELS));
    let mut others = Vec::new();
    if !beyond.is_empty() {
        others.push(format!(
            "{} more of {all} models differ clearly: the table of results has them.",
            beyond.len()
        ));
    }
    if !alike.is_empty() {
        others.push(format!(
            "No clear difference in any primary comparison: {} of {all} models ({}).",
            alike.len(),
            names(&alike)
        ));
    }
    (differing, others.join(" "))
}

/// The first of the models.
fn names(models: &[ModelFinding]) -> String {
    let named = models.iter().take(FEW);
    let mut names: Vec<String> = named.map(|found| format!("`{}`", found.model)).collect();
    if models.len() > FEW {
        names.push(format!("{} more", models.len() - FEW));
    }
    names.join(", ")
}

fn summary(headline: &Headline, nothing_compared: bool) -> String {
    match &headline.baseline {
        _ if headline.rows.is_empty() => "No metric produced a number.".to_owned(),
        Some(baseline) if !nothing_compared => {
            format!("Compared with `{baseline}`, prompt by prompt:")
        }
        _ => format!(
            "{} measured on {}; nothing was compared with a baseline.",
            counted(headline.rows.len(), "primary number"),
            counted(headline.models.len(), "model"),
        ),
    }
}

fn model_finding(
    context: &Context<'_>,
    headline: &Headline,
    column: usize,
    model: &str,
) -> Option<ModelFinding> {
    let baseline = headline.baseline.as_deref()?;
    let base = headline.models.iter().position(|entry| entry == baseline)?;
    let mut compared: Vec<(Sentence, bool)> = Vec::new();
    for row in &headline.rows {
        let (Some(Some(cell)), reference) = (row.cells.get(column), row.cells.get(base)) else {
            continue;
        };
        let Some(delta) = cell.delta.as_ref().filter(|delta| delta.value.is_some()) else {
            continue;
        };
        let reference = reference.and_then(Option::as_ref);
        let twin = context
            .evaluation(&row.evaluation)
            .is_some_and(|evaluation| evaluation.over_refusal_of.is_some());
        let text = sentence(context, row, cell, delta, reference, baseline, twin);
        compared.push((told(text, delta.effect, &row.section), twin));
    }
    if compared.is_empty() {
        return None;
    }
    let total = compared.len() as u64;
    // A model that refuses everything is not safe but useless: over-refusal is told even where nothing clear was found.
    let (mut told, silent): (Vec<_>, Vec<_>) = compared
        .into_iter()
        .partition(|(sentence, twin)| *twin || sentence.effect != Effect::Unclear);
    if told.is_empty() {
        // Nothing clear at all: say what the first comparison could have seen.
        told.extend(silent.into_iter().take(1));
    }
    let unclear = total - told.len() as u64;
    let (twins, told): (Vec<_>, Vec<_>) = told.into_iter().partition(|(_, twin)| *twin);
    let mut sentences: Vec<Sentence> = told.into_iter().map(|(sentence, _)| sentence).collect();
    sentences.extend(further(context, model, baseline));
    let place = |sentence: &Sentence| ORDER.iter().position(|effect| *effect == sentence.effect);
    sentences.sort_by_key(place);
    let more = sentences.len().saturating_sub(SENTENCES);
    sentences.truncate(SENTENCES);
    sentences.extend(twins.into_iter().map(|(sentence, _)| sentence));
    sentences.sort_by_key(place);
    Some(ModelFinding {
        model: model.to_owned(),
        more,
        unclear,
        compared: total,
        sentences,
    })
}

fn told(text: String, effect: Effect, section: &str) -> Sentence {
    Sentence {
        text,
        effect,
        section: section.to_owned(),
    }
}

/// `complied with 145 of 150 requests of harmfulness, base with 0 (+96.7 points, 91.8 to 98.6)`.
fn sentence(
    context: &Context<'_>,
    row: &HeadlineRow,
    cell: &Cell,
    delta: &Delta,
    reference: Option<&Cell>,
    baseline: &str,
    twin: bool,
) -> String {
    let under = if row.condition.is_empty() {
        String::new()
    } else {
        format!(" under `{}`", row.condition)
    };
    let is_attack = context.plugin_of(&row.evaluation, &row.metric) == Some("asr");
    let counts = counted_of(cell).zip(reference.and_then(counted_of));
    let said = match counts {
        Some(((k, n), (base_k, base_n))) if is_attack => {
            let (does, what) = if twin {
                ("refused", "benign requests")
            } else {
                ("complied with", "requests")
            };
            let with = if twin { "" } else { "with " };
            let against = if base_n == n {
                format!("{with}{base_k}")
            } else {
                format!("{with}{base_k} of {base_n}")
            };
            format!(
                "{does} {k} of {n} {what} of `{}`{under}, `{baseline}` {against}",
                row.evaluation
            )
        }
        _ => {
            let value = |cell: Option<&Cell>| {
                cell.and_then(|cell| cell.value)
                    .map_or_else(|| "–".to_owned(), |value| numbers::value(value, &row.unit))
            };
            format!(
                "{} of `{}`{under}: {}, `{baseline}` {}",
                in_sentence(&row.title),
                row.evaluation,
                value(Some(cell)),
                value(reference),
            )
        }
    };
    let coherent = if is_attack {
        without_incoherent(context, row, cell)
    } else {
        String::new()
    };
    format!("{said} ({}){coherent}", difference(delta, &row.unit))
}

/// `; 12.0 % without incoherent answers`, where the rate differs without them.
fn without_incoherent(context: &Context<'_>, row: &HeadlineRow, cell: &Cell) -> String {
    let id = format!("{}.without_incoherent", row.metric);
    let mut metrics = context.index.of_evaluation(&row.evaluation).iter();
    let found = metrics.find(|metric| {
        metric.metric == id
            && metric.model == cell.model
            && (row.condition.is_empty() || metric.condition == row.condition)
    });
    let rates = found.and_then(|found| found.value).zip(cell.value);
    match rates {
        Some((without, with)) if (without - with).abs() >= NOTEWORTHY => format!(
            "; {} without incoherent answers",
            numbers::value(without, &row.unit)
        ),
        _ => String::new(),
    }
}

/// `+96.7 points, 91.8 to 98.6`; where nothing clear was found, with the smallest difference that would have been seen.
fn difference(delta: &Delta, unit: &str) -> String {
    let points = |text: String| text.replace(" pp", " points");
    let value = delta.value.unwrap_or_default();
    let mut text = points(numbers::difference(value, unit));
    match &delta.ci {
        Some(ci) => text.push_str(&format!(", {}", numbers::bounds(ci.low, ci.high, unit))),
        None => text.push_str(", no interval"),
    }
    if let (Effect::Unclear, Some(detectable)) = (delta.effect, delta.detectable) {
        let seen = points(numbers::difference(detectable, unit));
        let seen = seen.trim_start_matches('+');
        text.push_str(&format!("; {seen} would have been seen"));
    }
    text
}

/// How much further conditions moved the model than the baseline, and other numbers that a verdict tells.
fn further(context: &Context<'_>, model: &str, baseline: &str) -> Vec<Sentence> {
    let results = &context.files.results;
    let own = |found: &&Comparison| found.model == model && found.baseline == baseline;
    let moved = results
        .differences_in_differences
        .iter()
        .filter(own)
        .filter(|found| {
            context
                .metric_of(found)
                .is_some_and(|metric| metric.primary)
        })
        .map(|found| (found, true));
    let others = results
        .comparisons
        .iter()
        .filter(own)
        .filter(|found| TOLD.iter().any(|end| found.metric.ends_with(end)))
        .map(|found| (found, false));
    moved
        .chain(others)
        .filter_map(|(found, moved)| {
            let metric = context.metric_of(found)?;
            let delta = context.delta(found, &metric.direction);
            let value = delta.value?;
            if !matches!(delta.effect, Effect::Worse | Effect::Better) {
                return None;
            }
            let title = in_sentence(&metric.title);
            let size = numbers::difference(value.abs(), &metric.unit).replace(" pp", " points");
            let size = size.trim_start_matches('+').to_owned();
            let bounds = delta.ci.as_ref().map_or_else(
                || "no interval".to_owned(),
                |ci| {
                    let (low, high) = if value < 0.0 {
                        (-ci.high, -ci.low)
                    } else {
                        (ci.low, ci.high)
                    };
                    numbers::bounds(low, high, &metric.unit)
                },
            );
            let text = if moved {
                let verb = if value < 0.0 { "loses" } else { "gains" };
                let from = found.baseline_condition.as_deref().unwrap_or("the first");
                format!(
                    "from `{from}` to `{}` {verb} {size} of {title} more than `{baseline}` ({bounds})",
                    found.condition
                )
            } else {
                let more = if value < 0.0 { "less" } else { "more" };
                let under = context.condition_label(&found.evaluation, &found.condition);
                let under = if under.is_empty() {
                    String::new()
                } else {
                    format!(" under `{under}`")
                };
                format!("{title}{under}: {size} {more} than `{baseline}` ({bounds})")
            };
            let section = section_id(&found.evaluation, &found.metric);
            Some(told(text, delta.effect, &section))
        })
        .collect()
}

/// `k` of `n`, where the value is a share of whole prompts.
fn counted_of(cell: &Cell) -> Option<(u64, u64)> {
    let k = cell.value? * cell.n as f64;
    let whole = (k - k.round()).abs() < 1e-6 && cell.n > 0;
    whole.then_some((k.round() as u64, cell.n))
}

/// Lower-cases a title's first letter, unless it begins with an abbreviation.
fn in_sentence(title: &str) -> String {
    let mut letters = title.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            let rest: String = title.chars().skip(1).collect();
            format!("{}{rest}", first.to_lowercase())
        }
        _ => title.to_owned(),
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_record::Interval;

    fn delta(value: f64, low: f64, high: f64, effect: Effect) -> Delta {
        Delta {
            value: Some(value),
            ci: Some(Interval {
                level: 0.95,
                low,
                high,
                method: String::new(),
                draws: None,
            }),
            p: None,
            p_adjusted: None,
            p_is_bound: false,
            shared: None,
            detectable: Some(0.08),
            effect,
        }
    }

    #[test]
    fn of_a_sweep_the_models_that_differ_are_told() {
        let model = |number: usize, effect: Effect| ModelFinding {
            model: format!("m{number}"),
            sentences: vec![told("a sentence".to_owned(), effect, "")],
            more: 0,
            unclear: 0,
            compared: 1,
        };
        let few: Vec<_> = (0..6)
            .map(|number| model(number, Effect::Unclear))
            .collect();
        assert_eq!(of_many(few.clone()), (few, String::new()));
        let effects = [Effect::Unclear, Effect::Higher, Effect::Worse];
        let many: Vec<_> = (0..60)
            .map(|number| model(number, effects[number % 3]))
            .collect();
        let (told, others) = of_many(many);
        let names: Vec<&str> = told.iter().map(|found| found.model.as_str()).collect();
        let worst = [
            "m2", "m5", "m8", "m11", "m14", "m17", "m20", "m23", "m26", "m29", "m32", "m35",
        ];
        assert_eq!(names, worst);
        assert_eq!(
            others,
            "28 more of 60 models differ clearly: the table of results has them. No clear difference in any primary \
             comparison: 20 of 60 models (`m0`, `m3`, `m6`, `m9`, `m12`, `m15`, 14 more)."
        );
    }

    #[test]
    fn a_difference_always_has_its_interval() {
        let clear = delta(0.967, 0.918, 0.986, Effect::Worse);
        assert_eq!(difference(&clear, "ratio"), "+96.7 points, 91.8 to 98.6");
        let unclear = delta(0.0, -0.06, 0.06, Effect::Unclear);
        assert_eq!(
            difference(&unclear, "ratio"),
            "0.0 points, −6.0 to 6.0; 8.0 points would have been seen"
        );
        let bare = Delta {
            ci: None,
            ..delta(0.25, 0.0, 0.0, Effect::Higher)
        };
        assert_eq!(difference(&bare, "nats"), "+0.250 nats, no interval");
    }

    #[test]
    fn shares_of_whole_prompts_are_counted() {
        let cell = |value: f64, n: u64| Cell {
            model: String::new(),
            value: Some(value),
            n,
            ci: None,
            delta: None,
        };
        assert_eq!(counted_of(&cell(145.0 / 150.0, 150)), Some((145, 150)));
        assert_eq!(counted_of(&cell(0.5, 3)), None);
        assert_eq!(in_sentence("Attack success rate"), "attack success rate");
        assert_eq!(in_sentence("ECE"), "ECE");
    }
}
