//! Intervals of a proportion.

use crate::special::{beta_quantile, normal_quantile};
use crate::summary::{mean, variance};
use crate::{Interval, is_open_probability};

/// Wilson's score interval (Wilson 1927): `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`. The default: near its level
/// on average, and sensible at 0 of n. `None` for n = 0, more successes than trials, or a level outside (0, 1).
#[must_use]
pub fn wilson(successes: u64, n: u64, level: f64) -> Option<Interval> {
    let (low, high) = wilson_bounds(successes as f64, n as f64, level)?;
    Some(Interval::new(level, low, high, "wilson"))
}

/// [`wilson`] for a share that is not a count of whole trials: a mean `p` of scores in [0, 1] with the information of `n`
/// independent 0/1 trials (an effective number, see [`effective_trials`]). `None` for a share outside [0, 1] or n <= 0.
#[must_use]
pub fn wilson_share(p: f64, n: f64, level: f64) -> Option<Interval> {
    let share = (0.0..=1.0).contains(&p) && n.is_finite();
    let (low, high) = share.then(|| wilson_bounds(p * n, n, level)).flatten()?;
    Some(Interval::new(level, low, high, "wilson-clustered"))
}

/// Interval of the mean of `n` scores in [0, 1] that are all equal: Wilson's, as if the mean were a share of n 0/1 trials, which
/// have the largest spread that bounded scores with this mean can have (`p (1 - p)`; Bhatia and Davis 2000). For scores whose own
/// spread says nothing. `None` for fewer than two scores, or a mean outside [0, 1].
#[must_use]
pub fn wilson_bounded(mean: f64, n: u64, level: f64) -> Option<Interval> {
    let bounded = n > 1 && (0.0..=1.0).contains(&mean);
    let (low, high) = bounded
        .then(|| wilson_bounds(mean * n as f64, n as f64, level))
        .flatten()?;
    Some(Interval::new(level, low, high, "wilson-bounded"))
}

/// How many independent 0/1 trials the mean of `scores` is worth, one score in [0, 1] per item, each the mean of several
/// trials: `n p(1-p) / var(scores)` (n items times Kish's design effect turned round, Kish 1965), at least the number of
/// items and at most `trials`, the number of trials in all. 0/1 scores are worth one each, so copying every trial k times
/// changes nothing. 0 of nothing.
#[must_use]
pub fn effective_trials(scores: &[f64], trials: u64) -> f64 {
    let n = scores.len() as f64;
    let Some(p) = mean(scores) else {
        return 0.0;
    };
    let most = (trials as f64).max(n);
    if scores.iter().all(|&score| score == 0.0 || score == 1.0) {
        return n;
    }
    let bernoulli = p * (1.0 - p);
    match variance(scores, 0) {
        Some(spread) if spread > 0.0 => (n * bernoulli / spread).clamp(n, most),
        // One item says nothing about the spread between items, however often it was tried.
        _ if scores.len() == 1 => n,
        _ => most,
    }
}

/// Wilson's bounds alone.
pub(crate) fn wilson_bounds(successes: f64, n: f64, level: f64) -> Option<(f64, f64)> {
    if n <= 0.0 || successes > n || !is_open_probability(level) {
        return None;
    }
    let z = normal_quantile(0.5 + level / 2.0);
    let p = successes / n;
    let centre = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    // Exact at the ends, where rounding would leave 1e-17.
    let low = if successes == 0.0 {
        0.0
    } else {
        (centre - spread) / scale
    };
    let high = if successes == n {
        1.0
    } else {
        (centre + spread) / scale
    };
    Some((low, high))
}

/// Clopper and Pearson's exact interval (1934): quantiles of Beta(k, n-k+1) and Beta(k+1, n-k). Never covers less than its
/// level, hence the one for gates; the closed forms `1 - (α/2)^(1/n)` and `(α/2)^(1/n)` at 0 and n of n. `None` as [`wilson`].
#[must_use]
pub fn clopper_pearson(successes: u64, n: u64, level: f64) -> Option<Interval> {
    if n == 0 || successes > n || !is_open_probability(level) {
        return None;
    }
    let tail = (1.0 - level) / 2.0;
    let (k, trials) = (successes as f64, n as f64);
    let low = if successes == 0 {
        0.0
    } else if successes == n {
        tail.powf(1.0 / trials)
    } else {
        beta_quantile(k, trials - k + 1.0, tail)
    };
    let high = if successes == n {
        1.0
    } else if successes == 0 {
        -(tail.ln() / trials).exp_m1()
    } else {
        beta_quantile(k + 1.0, trials - k, 1.0 - tail)
    };
    Some(Interval::new(level, low, high, "clopper-pearson"))
}

/// Binomial standard error `sqrt(p(1-p)/n)` of a proportion; `None` for n = 0.
#[must_use]
pub fn standard_error(successes: u64, n: u64) -> Option<f64> {
    if n == 0 || successes > n {
        return None;
    }
    let p = successes as f64 / n as f64;
    Some((p * (1.0 - p) / n as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gives_nothing() {
        for interval in [wilson, clopper_pearson] {
            assert_eq!(interval(0, 0, 0.95), None);
            assert_eq!(interval(3, 2, 0.95), None);
            assert_eq!(interval(1, 2, 1.0), None);
            assert_eq!(interval(1, 2, f64::NAN), None);
        }
        assert_eq!(standard_error(0, 0), None);
    }

    #[test]
    fn copies_are_worth_nothing_and_independent_repeats_something() {
        let binary = [1.0, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(effective_trials(&binary, 500), 5.0);
        // Every item's mean is the same: the trials within it are as good as independent.
        assert_eq!(effective_trials(&[0.3; 40], 400), 400.0);
        assert_eq!(effective_trials(&[0.3], 10), 1.0);
        assert_eq!(effective_trials(&[], 0), 0.0);
        let share = wilson_share(0.3, 400.0, 0.95).unwrap();
        let count = wilson(120, 400, 0.95).unwrap();
        assert!((share.low - count.low).abs() < 1e-12 && (share.high - count.high).abs() < 1e-12);
        assert_eq!(wilson_share(1.2, 10.0, 0.95), None);
        assert_eq!(wilson_share(0.5, 0.0, 0.95), None);
    }

    #[test]
    fn equal_scores_have_the_interval_of_a_share() {
        let graded = wilson_bounded(0.25, 40, 0.95).unwrap();
        let count = wilson(10, 40, 0.95).unwrap();
        assert_eq!((graded.low, graded.high), (count.low, count.high));
        assert_eq!(wilson_bounded(0.0, 6, 0.95).unwrap().low, 0.0);
        for (mean, n) in [(0.5, 0), (0.5, 1), (1.5, 9), (f64::NAN, 9)] {
            assert_eq!(wilson_bounded(mean, n, 0.95), None);
        }
    }

    #[test]
    fn one_trial_and_the_ends_are_defined() {
        for interval in [wilson, clopper_pearson] {
            let none = interval(0, 1, 0.95).unwrap();
            let all = interval(1, 1, 0.95).unwrap();
            assert!(none.low == 0.0 && none.high > 0.5 && none.high < 1.0);
            assert!((none.high + all.low - 1.0).abs() < 1e-12 && all.high == 1.0);
        }
    }
}
