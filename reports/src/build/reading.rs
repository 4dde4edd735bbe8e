//! What was drawn and adjusted behind the numbers.

use driftgauge_record::{Comparison, Draws, Interval, Results};

use crate::model::{Drawn, Family, Reading};

pub(super) fn of(results: &Results, threshold: f64) -> Reading {
    let comparisons = || {
        [
            &results.comparisons,
            &results.further_comparisons,
            &results.condition_comparisons,
            &results.differences_in_differences,
            &results.unpaired_comparisons,
            &results.training_comparisons,
        ]
        .into_iter()
        .flatten()
    };
    let numbers = results
        .metrics
        .iter()
        .flat_map(|metric| metric.ci.iter().chain(&metric.intervals))
        .filter_map(|interval| interval.draws);
    Reading {
        threshold,
        resampling: results.resampling.clone(),
        differences: drawn(comparisons().flat_map(draws)),
        numbers: drawn(numbers),
        families: families(comparisons()),
    }
}

/// The draws of the intervals and the test of a difference.
fn draws(comparison: &Comparison) -> impl Iterator<Item = Draws> {
    let further = comparison.detail.iter().flat_map(|found| &found.intervals);
    let intervals = comparison.ci.iter().chain(further);
    let test = comparison.test.as_ref().and_then(|test| test.draws);
    intervals
        .filter_map(|interval: &Interval| interval.draws)
        .chain(test)
}

fn drawn(draws: impl Iterator<Item = Draws>) -> Option<Drawn> {
    let mut found: Option<Drawn> = None;
    for Draws { resamples, seed } in draws {
        let drawn = found.get_or_insert_with(|| Drawn {
            fewest: resamples,
            most: resamples,
            seeds: Vec::new(),
        });
        drawn.fewest = drawn.fewest.min(resamples);
        drawn.most = drawn.most.max(resamples);
        if let Err(place) = drawn.seeds.binary_search(&seed) {
            drawn.seeds.insert(place, seed);
        }
    }
    found
}

/// The families in the order of their first p-value.
fn families<'a>(comparisons: impl Iterator<Item = &'a Comparison>) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for adjustment in comparisons.filter_map(|comparison| comparison.adjustment.as_ref()) {
        let known = families
            .iter_mut()
            .find(|family| family.name == adjustment.family && family.method == adjustment.method);
        match known {
            Some(family) => {
                let [fewest, most] = family.sizes;
                family.sizes = [fewest.min(adjustment.size), most.max(adjustment.size)];
            }
            None => families.push(Family {
                name: adjustment.family.clone(),
                method: adjustment.method.clone(),
                sizes: [adjustment.size; 2],
            }),
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_record::{Adjustment, PairedTest};

    #[test]
    fn draws_and_families_are_brought_together() {
        let comparison = |resamples, size| Comparison {
            test: Some(PairedTest {
                draws: Some(Draws { resamples, seed: 7 }),
                ..PairedTest::default()
            }),
            adjustment: Some(Adjustment {
                family: "attacks".into(),
                method: "holm".into(),
                size,
            }),
            ..Comparison::default()
        };
        let reading = of(
            &Results {
                comparisons: vec![comparison(100, 2)],
                further_comparisons: vec![comparison(50, 1)],
                ..Results::default()
            },
            0.05,
        );
        let drawn = reading.differences.unwrap();
        assert_eq!((drawn.fewest, drawn.most, drawn.seeds), (50, 100, vec![7]));
        assert_eq!(reading.numbers, None);
        assert_eq!(reading.families.len(), 1);
        assert_eq!(reading.families[0].sizes, [1, 2]);
    }
}
