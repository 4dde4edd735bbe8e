//! The hierarchical bootstrap: when a model was trained several times, its seeds are drawn, then the items.
//!
//! Items are shared by all seeds and both arms (the design is crossed), so a replicate draws the items once, and seeds of each
//! arm on their own: the interval then speaks of the recipe, not of one checkpoint (Davison and Hinkley 1997, section 3.8).

use super::Options;
use super::draw::{below, stream};
use super::items::Items;
use super::replicates::Replicates;
use crate::Interval;
use crate::summary::mean;

/// Streams of seed draws start here, far from the sections that items use.
const SEED_SECTION: u64 = 1 << 38;

/// Interval of the mean score of a recipe that was trained once per seed. `seeds[s][i]` is the score of item i under seed s.
/// `None` without seeds or items, for unequal lengths, when a score is not finite, or when nothing varies.
#[must_use]
pub fn hierarchical_mean(seeds: &[&[f64]], options: Options) -> Option<Interval> {
    hierarchical(&[], seeds, options)
}

/// Interval of the difference of mean scores, `model - baseline`, each arm with as many seeds as it has. One seed in an arm
/// says nothing about the spread between its seeds: the interval then holds for that checkpoint only.
#[must_use]
pub fn hierarchical_difference(
    baseline: &[&[f64]],
    model: &[&[f64]],
    options: Options,
) -> Option<Interval> {
    if baseline.is_empty() {
        return None;
    }
    hierarchical(baseline, model, options)
}

fn hierarchical(baseline: &[&[f64]], model: &[&[f64]], options: Options) -> Option<Interval> {
    if model.is_empty() {
        return None;
    }
    // Seeds are exchangeable: put in the order of their means, the order in which they were given does not show.
    let (baseline, model) = (by_mean(baseline)?, by_mean(model)?);
    let split = baseline.len();
    let columns = [baseline, model].concat();
    let items = Items::new(&columns)?;
    let n = items.n() as f64;
    let totals = items.resample(options);
    let arms: Vec<usize> = (0..columns.len()).collect();
    let (baseline, model) = arms.split_at(split);
    let arm_mean = |totals: &[f64], arm: &[usize]| {
        let sum: f64 = arm.iter().map(|&seed| totals[seed]).sum();
        sum / n / arm.len().max(1) as f64
    };
    let estimate = arm_mean(totals.observed(), model) - arm_mean(totals.observed(), baseline);
    let values = totals
        .each()
        .enumerate()
        .map(|(replicate, totals)| {
            let mut generator = stream(options.seed, replicate as u64, SEED_SECTION);
            let mut drawn = |arm: &[usize]| -> Vec<usize> {
                arm.iter()
                    .map(|_| arm[below(&mut generator, arm.len())])
                    .collect()
            };
            let (baseline, model) = (drawn(baseline), drawn(model));
            Some(arm_mean(totals, &model) - arm_mean(totals, &baseline))
        })
        .collect();
    let mut interval = Replicates::new(Some(estimate), values, totals.drawn(), options.seed)?
        .percentile(options.level)?;
    interval.method = interval
        .method
        .replace("bootstrap-", "hierarchical-bootstrap-");
    Some(interval)
}

fn by_mean<'a>(seeds: &[&'a [f64]]) -> Option<Vec<&'a [f64]>> {
    let mut keyed: Vec<(f64, &[f64])> = seeds
        .iter()
        .map(|seed| Some((mean(seed)?, *seed)))
        .collect::<Option<_>>()?;
    keyed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    Some(keyed.into_iter().map(|(_, seed)| seed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_differ_widen_the_interval() {
        let low: Vec<f64> = (0..400).map(|i| f64::from(i % 10) + 0.0).collect();
        let high: Vec<f64> = low.iter().map(|value| value + 3.0).collect();
        let options = Options {
            resamples: 4000,
            ..Options::default()
        };
        let alike = hierarchical_mean(&[&low, &low], options).unwrap();
        let apart = hierarchical_mean(&[&low, &high], options).unwrap();
        assert!(apart.high - apart.low > 2.0 * (alike.high - alike.low));
        assert_eq!(hierarchical_mean(&[&high, &low], options), Some(apart));
        assert!(
            alike
                .method
                .starts_with("hierarchical-bootstrap-percentile")
        );
    }

    #[test]
    fn shared_items_cancel_in_a_difference() {
        let base: Vec<f64> = (0..400).map(|i| f64::from(i % 10)).collect();
        let model: Vec<f64> = base.iter().map(|value| value + 1.0).collect();
        // What is left is the same for every item: no spread, and so no interval.
        let ci = hierarchical_difference(&[&base, &base], &[&model], Options::default());
        assert_eq!(ci, None);
        assert_eq!(hierarchical_mean(&[], Options::default()), None);
        assert_eq!(
            hierarchical_difference(&[], &[&model], Options::default()),
            None
        );
    }
}
