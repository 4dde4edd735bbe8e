//! Intervals of a proportion.

use crate::special::{beta_quantile, normal_quantile};
use crate::{Interval, is_open_probability};

/// Wilson's score interval (Wilson 1927): `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`. The default: near its level
/// on average, and sensible at 0 of n. `None` for n = 0, more successes than trials, or a level outside (0, 1).
#[must_use]
pub fn wilson(successes: u64, n: u64, level: f64) -> Option<Interval> {
    let (low, high) = wilson_bounds(successes as f64, n as f64, level)?;
    Some(Interval::new(level, low, high, "wilson"))
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
    fn one_trial_and_the_ends_are_defined() {
        for interval in [wilson, clopper_pearson] {
            let none = interval(0, 1, 0.95).unwrap();
            let all = interval(1, 1, 0.95).unwrap();
            assert!(none.low == 0.0 && none.high > 0.5 && none.high < 1.0);
            assert!((none.high + all.low - 1.0).abs() < 1e-12 && all.high == 1.0);
        }
    }
}
