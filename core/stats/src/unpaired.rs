//! Two independent samples: use these only where the items differ; the same items call for [`crate::paired`].

use crate::proportion::wilson_bounds;
use crate::special::{student_t_two_sided, student_t_two_sided_quantile};
use crate::summary::{is_rounding, mean, variance};
use crate::{Interval, Test, is_open_probability};

/// Newcombe's hybrid score interval for `model - baseline` of independent proportions (Newcombe 1998, Statistics in Medicine
/// 17:873, method 10): squares and adds the distances to Wilson's limits. Each argument is (successes, n); `None` when either
/// sample is empty.
#[must_use]
pub fn newcombe_unpaired(baseline: (u64, u64), model: (u64, u64), level: f64) -> Option<Interval> {
    let (l1, u1) = wilson_bounds(model.0 as f64, model.1 as f64, level)?;
    let (l2, u2) = wilson_bounds(baseline.0 as f64, baseline.1 as f64, level)?;
    let p1 = model.0 as f64 / model.1 as f64;
    let p2 = baseline.0 as f64 / baseline.1 as f64;
    let delta = p1 - p2;
    Some(Interval::new(
        level,
        (delta - (p1 - l1).hypot(u2 - p2)).max(-1.0),
        (delta + (u1 - p1).hypot(p2 - l2)).min(1.0),
        "newcombe-unpaired",
    ))
}

/// Welch's t test of the means of two independent samples, and the interval of `model - baseline` that belongs to it.
/// Degrees of freedom after Welch (1947) and Satterthwaite. `None` when a sample has fewer than two values, a value is not
/// finite, or neither sample varies.
#[must_use]
pub fn welch_t(baseline: &[f64], model: &[f64], level: f64) -> Option<(Test, Interval)> {
    let moments = |values: &[f64]| {
        Some(Moments {
            n: values.len() as u64,
            mean: mean(values)?,
            sd: variance(values, 1)?.sqrt(),
        })
    };
    welch_of(moments(baseline)?, moments(model)?, level)
}

/// What a test of means needs of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Number of values.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation (divisor n - 1).
    pub sd: f64,
}

/// [`welch_t`] from the samples' moments.
#[must_use]
pub fn welch_of(baseline: Moments, model: Moments, level: f64) -> Option<(Test, Interval)> {
    let part = |sample: Moments| sample.sd * sample.sd / sample.n as f64;
    let (v1, v2) = (part(model), part(baseline));
    let delta = model.mean - baseline.mean;
    let total = v1 + v2;
    let largest = baseline.mean.abs().max(model.mean.abs());
    let varies = total.is_finite() && !is_rounding(total.sqrt(), largest);
    let defined = baseline.n > 1 && model.n > 1 && varies;
    if !defined || !delta.is_finite() || !is_open_probability(level) {
        return None;
    }
    let square_over = |v: f64, n: u64| v * v / (n as f64 - 1.0);
    let df = total * total / (square_over(v1, model.n) + square_over(v2, baseline.n));
    let statistic = delta / total.sqrt();
    let half = student_t_two_sided_quantile(1.0 - level, df) * total.sqrt();
    let test = Test {
        name: "welch-t".to_owned(),
        statistic,
        degrees_of_freedom: Some(df),
        p: student_t_two_sided(statistic, df),
    };
    Some((
        test,
        Interval::new(level, delta - half, delta + half, "welch-t"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_without_spread_are_defined() {
        assert!(newcombe_unpaired((0, 0), (1, 2), 0.95).is_none());
        let same = newcombe_unpaired((0, 5), (0, 5), 0.95).unwrap();
        assert!(same.low < 0.0 && same.high > 0.0);
        assert!(welch_t(&[1.0], &[1.0, 2.0], 0.95).is_none());
        assert!(welch_t(&[1.0; 3], &[2.0; 3], 0.95).is_none());
        // Nor where the mean of equal values is rounded.
        assert!(welch_t(&[0.5; 5], &[0.7; 3], 0.95).is_none());
        assert!(welch_t(&[1.0, 2.0], &[2.0; 3], 0.95).is_some());
    }
}
