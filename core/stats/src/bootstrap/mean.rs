//! Bootstrap intervals of a mean and of a paired mean difference.

use super::Options;
use super::exact::ExactMean;
use super::expansion::LargeMean;
use super::items::Items;
use crate::Interval;
use crate::paired::{PairCounts, newcombe_paired};

fn first_mean(totals: &[f64], n: f64) -> Option<f64> {
    Some(totals[0] / n)
}

/// Percentile interval of the mean of `values` (one per item). `None` of nothing, when a value is not finite, and when all values
/// are equal ([`crate::proportion::wilson_bounded`] serves those that are bounded). For up to a few thousand 0/1 scores, or differences of such, the bootstrap
/// distribution is computed exactly instead of drawn (`bootstrap-percentile-exact`): the limit of infinitely many resamples. From
/// 20,000 scores of many sizes on, where drawing would cost a minute and change nothing, its quantiles come from the moments of the
/// scores (`bootstrap-percentile-expansion`), unless a few of them decide.
#[must_use]
pub fn mean_interval(values: &[f64], options: Options) -> Option<Interval> {
    if let Some(exact) = ExactMean::new(values) {
        return exact.percentile(options.level);
    }
    let items = Items::new(&[values])?;
    match LargeMean::new(values).filter(|_| !items.are_counted()) {
        Some(large) => large.percentile(options.level),
        None => items.resample(options).percentile(first_mean),
    }
}

/// BCa interval of the mean of `values`; as [`mean_interval`] otherwise. For skewed scores such as perplexity.
#[must_use]
pub fn mean_interval_bca(values: &[f64], options: Options) -> Option<Interval> {
    if let Some(exact) = ExactMean::new(values) {
        return exact.bca(options.level);
    }
    let items = Items::new(&[values])?;
    match LargeMean::new(values).filter(|_| !items.are_counted()) {
        Some(large) => large.bca(options.level),
        None => items.resample(options).bca(first_mean),
    }
}

/// Percentile interval of the mean of `model - baseline`, paired by item. When all differences are equal there is nothing to
/// resample: Newcombe's interval for 0/1 scores, else `None` ([`crate::paired::newcombe_means`] serves scores that are bounded).
/// `None` of nothing, for unequal lengths, or when a value is not finite.
#[must_use]
pub fn paired_mean_difference(
    baseline: &[f64],
    model: &[f64],
    options: Options,
) -> Option<Interval> {
    if baseline.len() != model.len() {
        return None;
    }
    let differences: Vec<f64> = model.iter().zip(baseline).map(|(m, b)| m - b).collect();
    mean_interval(&differences, options).or_else(|| {
        let binary = |values: &[f64]| values.iter().all(|&value| value == 0.0 || value == 1.0);
        let pairs: Vec<(f64, f64)> = baseline
            .iter()
            .copied()
            .zip(model.iter().copied())
            .collect();
        (binary(baseline) && binary(model))
            .then(|| newcombe_paired(PairCounts::of(&pairs), options.level))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_about_the_normal_one() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 10)).collect();
        let options = Options {
            level: 0.95,
            resamples: 4000,
            seed: 7,
        };
        for interval in [mean_interval, mean_interval_bca] {
            let ci = interval(&values, options).unwrap();
            // mean 4.5, sd 2.872, se 0.1436
            assert!(
                (ci.low - 4.2185).abs() < 0.02 && (ci.high - 4.7815).abs() < 0.02,
                "{ci:?}"
            );
            assert_eq!(interval(&values, options), Some(ci));
        }
    }

    #[test]
    fn many_scores_are_not_drawn() {
        let values: Vec<f64> = (0..20_000)
            .map(|i| f64::from(i).sqrt().sin().exp())
            .collect();
        let options = Options {
            resamples: 2_000,
            ..Options::default()
        };
        let drawn = Items::new(&[&values]).unwrap().resample(options);
        let se = crate::summary::standard_error(&values).unwrap();
        let pairs = [
            (
                mean_interval(&values, options),
                drawn.percentile(first_mean),
            ),
            (mean_interval_bca(&values, options), drawn.bca(first_mean)),
        ];
        for (ours, drawn) in pairs {
            let (ours, drawn) = (ours.unwrap(), drawn.unwrap());
            assert!(ours.method.ends_with("-expansion"), "{}", ours.method);
            // 2,000 draws leave a twentieth of a standard error.
            let near = |one: f64, other: f64| (one - other).abs() < 0.15 * se;
            assert!(
                near(ours.low, drawn.low) && near(ours.high, drawn.high),
                "{ours:?} {drawn:?}"
            );
        }
        let mut backwards = values.clone();
        backwards.reverse();
        assert_eq!(
            mean_interval(&values, options),
            mean_interval(&backwards, options)
        );
        // Verdicts have few sizes: they are drawn as counts, as before.
        let verdicts: Vec<f64> = (0..20_000).map(|i| f64::from(i % 3)).collect();
        let counted = mean_interval(&verdicts, options).unwrap();
        assert_eq!(counted.method, "bootstrap-percentile-multinomial");
    }

    #[test]
    fn small_and_equal_samples_are_defined() {
        let options = Options {
            resamples: 100,
            ..Options::default()
        };
        for interval in [mean_interval, mean_interval_bca] {
            assert_eq!(interval(&[], options), None);
            for values in [[2.0].as_slice(), &[2.0; 50], &[0.1; 33]] {
                assert_eq!(interval(values, options), None);
            }
        }
        let same = paired_mean_difference(&[1.0; 40], &[1.0; 40], options).unwrap();
        assert!(same.method == "newcombe-paired" && same.low < 0.0 && same.high > 0.0);
        assert_eq!(paired_mean_difference(&[1.0], &[], options), None);
        let graded = paired_mean_difference(&[0.5; 9], &[0.75; 9], options);
        assert_eq!(graded, None);
    }
}
