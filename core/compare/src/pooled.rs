//! Numbers that are no means of scores, computed again on the same prompts of every side: AUROC, calibration error, kappa.

use std::collections::{BTreeSet, HashMap, HashSet};

use driftgauge_plugin_protocol::wire::{MOST_POOLED, MetricOutput, Pooled, PooledStatistic};
use driftgauge_record::{Draws, FurtherTest, LeftOut, PairedDetail, PairedTest};
use driftgauge_stats::bootstrap::Options;
use driftgauge_stats::calibration::{Answers, Contrast, Pooled as Number, contrasts, delong_test};

use super::clusters::Clusters;
use super::difference::Difference;
use super::statistic::number_of;
use super::{Between, PairComparison, described, scalar};

/// Every such number of two models under one condition.
pub(super) fn between_models(
    baseline: &MetricOutput,
    model: &MetricOutput,
    how: (Options, &Clusters),
) -> Vec<PairComparison> {
    let mut out = Vec::new();
    for ours in &baseline.pooled {
        let sides = found(model, ours, &ours.condition).map(|theirs| [(ours, -1.0), (theirs, 1.0)]);
        if let Some(sides) = sides {
            let place = (&*ours.condition, None);
            out.extend(compared(&sides, model, place, Between::Models, how));
        }
    }
    out
}

/// Every such number of a model under each condition, and under the first one.
pub(super) fn between_conditions(
    output: &MetricOutput,
    first: &str,
    how: (Options, &Clusters),
) -> Vec<PairComparison> {
    let mut out = Vec::new();
    for after in output
        .pooled
        .iter()
        .filter(|after| after.condition != first)
    {
        if let Some(before) = found(output, after, first) {
            let place = (&*after.condition, Some(first));
            let sides = [(before, -1.0), (after, 1.0)];
            out.extend(compared(&sides, output, place, Between::Conditions, how));
        }
    }
    out
}

/// How much further each condition moved such a number of the model than of the baseline.
pub(super) fn differences_in_differences(
    baseline: &MetricOutput,
    model: &MetricOutput,
    first: &str,
    how: (Options, &Clusters),
) -> Vec<PairComparison> {
    let mut out = Vec::new();
    for after in model.pooled.iter().filter(|after| after.condition != first) {
        let others = found(model, after, first)
            .zip(found(baseline, after, first))
            .zip(found(baseline, after, &after.condition));
        if let Some(((before, base_before), base_after)) = others {
            let place = (&*after.condition, Some(first));
            let sides = [
                (base_before, 1.0),
                (base_after, -1.0),
                (before, -1.0),
                (after, 1.0),
            ];
            out.extend(compared(
                &sides,
                model,
                place,
                Between::DifferenceInDifferences,
                how,
            ));
        }
    }
    out
}

/// The answers of the same numbers under a condition.
fn found<'a>(output: &'a MetricOutput, like: &Pooled, condition: &str) -> Option<&'a Pooled> {
    output
        .pooled
        .iter()
        .find(|pooled| pooled.condition == condition && pooled.numbers == like.numbers)
}

fn compared(
    sides: &[(&Pooled, f64)],
    output: &MetricOutput,
    (condition, first): (&str, Option<&str>),
    between: Between,
    (options, clusters): (Options, &Clusters),
) -> Vec<PairComparison> {
    if sides
        .iter()
        .any(|(side, _)| side.sample_ids.len() > MOST_POOLED)
    {
        return Vec::new();
    }
    let shared = Shared::of(sides, clusters);
    let answers: Option<Vec<Answers>> =
        sides.iter().map(|(side, _)| shared.answers(side)).collect();
    let Some(answers) = answers else {
        return Vec::new();
    };
    let signed: Vec<(&Answers, f64)> = answers.iter().zip(sides).map(|(a, s)| (a, s.1)).collect();
    let numbers = &sides[0].0.numbers;
    let statistics: Vec<Number> = numbers
        .iter()
        .map(|number| number_of(number.statistic))
        .collect();
    let contrasts = contrasts(&statistics, &signed, shared.items, options);
    let mut out = Vec::new();
    for (number, contrast) in numbers.iter().zip(contrasts) {
        let Some(contrast) = contrast else { continue };
        // DeLong's variance is of two sides, one answer to a prompt.
        let delong =
            (number.statistic == PooledStatistic::Auroc && shared.single && answers.len() == 2)
                .then(|| delong_test(&answers[0], &answers[1], shared.items))
                .flatten();
        let mut found = difference(contrast, &shared, options, !clusters.is_empty());
        found.detail.tests.extend(delong.map(|test| FurtherTest {
            name: test.name,
            statistic: Some(test.statistic),
            p: test.p,
        }));
        let scalar = scalar(output, &number.id, condition);
        let mut comparison = described(found, scalar, (&number.id, condition), between);
        comparison.baseline_condition = first.map(str::to_owned);
        out.push(comparison);
    }
    out
}

fn difference(found: Contrast, shared: &Shared, options: Options, clustered: bool) -> Difference {
    // Of four sides the first two are the baseline's.
    let half = found.sides.len() / 2;
    let side = |values: &[f64]| match values {
        [value] => Some(*value),
        [before, after] => Some(after - before),
        _ => None,
    };
    let mut ci = found.ci;
    if let Some(ci) = ci.as_mut().filter(|_| clustered || !shared.single) {
        ci.method = ci.method.replace("bootstrap-", "cluster-bootstrap-");
    }
    Difference {
        delta: Some(found.estimate),
        ci,
        test: found.p.map(|_| PairedTest {
            name: "paired-bootstrap".to_owned(),
            draws: Some(Draws {
                resamples: options.resamples as u64,
                seed: options.seed,
            }),
            ..PairedTest::default()
        }),
        p: found.p,
        n: shared.prompts,
        detail: PairedDetail {
            baseline_value: side(&found.sides[..half]),
            model_value: side(&found.sides[half..]),
            left_out: shared.left_out,
            se: found.se,
            ..PairedDetail::default()
        },
    }
}

/// The prompts that every side has an answer to, and the item that each of them is drawn with.
struct Shared<'a> {
    item: HashMap<&'a str, u32>,
    items: usize,
    prompts: u64,
    /// Whether every prompt is an item of its own, with one answer on every side.
    single: bool,
    left_out: Option<LeftOut>,
}

impl<'a> Shared<'a> {
    fn of(sides: &[(&'a Pooled, f64)], clusters: &'a Clusters) -> Self {
        let ids = |side: &'a Pooled| side.sample_ids.iter().map(String::as_str);
        let each: Vec<HashSet<&str>> = sides.iter().map(|(side, _)| ids(side).collect()).collect();
        let every: BTreeSet<&str> = each.iter().flatten().copied().collect();
        let mut item = HashMap::new();
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut left_out = LeftOut::default();
        let half = each.len() / 2;
        for id in every {
            let missing = |sides: &[HashSet<&str>]| sides.iter().any(|side| !side.contains(id));
            let (baseline, model) = (missing(&each[..half]), missing(&each[half..]));
            if baseline || model {
                left_out.prompts += 1;
                left_out.baseline += u64::from(baseline);
                left_out.model += u64::from(model);
                continue;
            }
            let next = numbers.len() as u32;
            let number = *numbers.entry(clusters.of(id)).or_insert(next);
            item.insert(id, number);
        }
        let once = sides
            .iter()
            .zip(&each)
            .all(|((side, _), ids)| side.sample_ids.len() == ids.len());
        Self {
            items: numbers.len(),
            prompts: item.len() as u64,
            single: once && numbers.len() == item.len(),
            left_out: Some(left_out).filter(|left_out| left_out.prompts > 0),
            item,
        }
    }

    fn answers(&self, side: &Pooled) -> Option<Answers> {
        let (mut values, mut truths, mut items) = (Vec::new(), Vec::new(), Vec::new());
        let columns = side.values.iter().zip(&side.truths);
        for (id, (value, truth)) in side.sample_ids.iter().zip(columns) {
            if let Some(&item) = self.item.get(id.as_str()) {
                values.push(*value);
                truths.push(*truth);
                items.push(item);
            }
        }
        Answers::new(&values, &truths, &items)
    }
}

#[cfg(test)]
mod tests {
    use driftgauge_plugin_protocol::wire::{PooledNumber, Scalar};

    use super::*;

    fn output(ids: &[&str], values: &[f64], truths: &[bool]) -> MetricOutput {
        let mut output = MetricOutput::new();
        output
            .scalars
            .push(Scalar::new("auroc", "AUROC", "default"));
        output.pooled.push(Pooled {
            condition: "default".to_owned(),
            numbers: vec![PooledNumber {
                id: "auroc".to_owned(),
                statistic: PooledStatistic::Auroc,
            }],
            sample_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            prompts: Vec::new(),
            values: values.to_vec(),
            truths: truths.to_vec(),
        });
        output
    }

    #[test]
    fn answers_are_paired_by_id_and_those_of_one_side_left_out() {
        let options = Options {
            resamples: 200,
            ..Options::default()
        };
        let baseline = output(
            &["a", "b", "c", "d", "x"],
            &[0.9, 0.8, 0.2, 0.1, 0.5],
            &[true, true, false, false, true],
        );
        let model = output(
            &["d", "c", "b", "a"],
            &[0.9, 0.2, 0.8, 0.1],
            &[false, false, true, true],
        );
        let how = (options, &Clusters::default());
        let found = between_models(&baseline, &model, how).remove(0);
        assert_eq!(found.detail.baseline_value, Some(1.0));
        // Of right 0.8, 0.1 against wrong 0.9, 0.2: one of four.
        assert_eq!((found.delta, found.n), (Some(-0.75), 4));
        let left_out = found.detail.left_out.unwrap();
        assert_eq!(
            (left_out.prompts, left_out.baseline, left_out.model),
            (1, 0, 1)
        );
    }

    #[test]
    fn other_numbers_are_not_held_against_each_other() {
        let mut other = output(&["a", "b"], &[0.1, 0.2], &[true, false]);
        let baseline = other.clone();
        other.pooled[0].numbers[0].statistic = PooledStatistic::Aurc;
        let how = (Options::default(), &Clusters::default());
        assert!(between_models(&baseline, &other, how).is_empty());
    }
}
