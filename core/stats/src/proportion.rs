//! Intervals of a proportion.

use crate::{Interval, normal_quantile};

/// Wilson's score interval (Wilson 1927): `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`; `None` for n = 0.
#[must_use]
pub fn wilson(successes: u64, n: u64, level: f64) -> Option<Interval> {
    let (low, high) = wilson_bounds(successes as f64, n as f64, level)?;
    Some(Interval {
        level,
        low,
        high,
        method: "wilson".to_owned(),
    })
}

/// The bounds alone.
pub(crate) fn wilson_bounds(successes: f64, n: f64, level: f64) -> Option<(f64, f64)> {
    if n <= 0.0 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_statsmodels() {
        // statsmodels.stats.proportion.proportion_confint(131, 320, method="wilson")
        let ci = wilson(131, 320, 0.95).unwrap();
        assert!((ci.low - 0.356_884).abs() < 1e-6 && (ci.high - 0.464_016).abs() < 1e-6);
        let none = wilson(0, 50, 0.95).unwrap();
        assert!(none.low == 0.0 && (none.high - 0.071_347_6).abs() < 1e-6);
        assert_eq!(wilson(0, 0, 0.95), None);
    }
}
