//! Correcting a rate for the judge's known errors.

use serde::{Deserialize, Serialize};

use crate::Interval;
use crate::proportion::wilson_bounds;
use crate::special::normal_quantile;

/// A share that was itself estimated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimated {
    /// The share, in [0, 1].
    pub value: f64,
    /// How many labelled samples it rests on; `None` takes it as exact.
    pub n: Option<u64>,
}

impl Estimated {
    fn variance(self) -> f64 {
        // Agresti and Coull's two successes and two failures keep a share of 0 or 1 from looking certain.
        self.n.map_or(0.0, |n| {
            let n = n as f64 + 4.0;
            let share = (self.value * (n - 4.0) + 2.0) / n;
            share * (1.0 - share) / n
        })
    }
}

/// A corrected rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    /// The corrected rate, held to [0, 1].
    pub estimate: f64,
    /// Its interval, held to [0, 1]; `None` where no rate between would agree with the judge's errors.
    pub ci: Option<Interval>,
    /// Whether the uncorrected rate was outside what a judge with these errors can give, so that the estimate was held.
    pub held: bool,
}

/// Rogan and Gladen's estimate (1978, American Journal of Epidemiology 107:71) of the true rate behind a judge's `positives`
/// of `n`: `(p + specificity - 1) / (sensitivity + specificity - 1)`.
///
/// Its interval squares and adds three distances (as Zou and Donner 2008 do): from p to its Wilson limits, and the rate's
/// standard errors due to the sensitivity, `π se(Se)`, and the specificity, `(1 - π) se(Sp)`, all over Se + Sp - 1. With
/// known errors it is Wilson's interval, corrected at both ends. `None` for n = 0 or a judge no better than chance.
#[must_use]
pub fn rogan_gladen(
    positives: u64,
    n: u64,
    sensitivity: Estimated,
    specificity: Estimated,
    level: f64,
) -> Option<Corrected> {
    rogan_gladen_share(
        (n > 0).then_some(positives as f64 / n as f64)?,
        n as f64,
        sensitivity,
        specificity,
        level,
    )
}

/// [`rogan_gladen`] for a share `p` that is worth `n` independent trials (see [`crate::proportion::effective_trials`]).
#[must_use]
pub fn rogan_gladen_share(
    p: f64,
    n: f64,
    sensitivity: Estimated,
    specificity: Estimated,
    level: f64,
) -> Option<Corrected> {
    let share = 0.0..=1.0;
    if !share.contains(&p) {
        return None;
    }
    let (low, high) = wilson_bounds(p * n, n, level)?;
    if !share.contains(&sensitivity.value) || !share.contains(&specificity.value) {
        return None;
    }
    let informedness = sensitivity.value + specificity.value - 1.0;
    if informedness <= 0.0 {
        return None;
    }
    let raw = (p + specificity.value - 1.0) / informedness;
    let rate = raw.clamp(0.0, 1.0);
    let z = normal_quantile(0.5 + level / 2.0);
    let judge = z
        * z
        * (rate * rate * sensitivity.variance()
            + (1.0 - rate) * (1.0 - rate) * specificity.variance());
    let distance = |to_limit: f64| (to_limit * to_limit + judge).sqrt() / informedness;
    let (low, high) = (raw - distance(p - low), raw + distance(high - p));
    // Held to [0, 1] one that lies outside would have no width.
    let agrees = low < 1.0 && high > 0.0;
    Some(Corrected {
        estimate: rate,
        ci: agrees.then(|| {
            let (low, high) = (low.max(0.0), high.min(1.0));
            Interval::new(level, low, high, "rogan-gladen-wilson")
        }),
        held: rate != raw,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proportion::wilson;

    const fn known(value: f64) -> Estimated {
        Estimated { value, n: None }
    }

    #[test]
    fn a_perfect_judge_changes_nothing() {
        let corrected = rogan_gladen(30, 100, known(1.0), known(1.0), 0.95).unwrap();
        let plain = wilson(30, 100, 0.95).unwrap();
        assert!((corrected.estimate - 0.3).abs() < 1e-15);
        let ci = corrected.ci.unwrap();
        assert!((ci.low - plain.low).abs() < 1e-12);
        assert!((ci.high - plain.high).abs() < 1e-12);
    }

    #[test]
    fn uncertain_errors_widen_and_useless_judges_say_nothing() {
        let sure = rogan_gladen(30, 100, known(0.9), known(0.95), 0.95).unwrap();
        let unsure = Estimated {
            value: 0.9,
            n: Some(50),
        };
        let wide = rogan_gladen(30, 100, unsure, known(0.95), 0.95).unwrap();
        let width = |found: &Corrected| found.ci.as_ref().map(|ci| ci.high - ci.low);
        assert!(width(&wide) > width(&sure));
        assert_eq!(rogan_gladen(30, 100, known(0.5), known(0.5), 0.95), None);
        assert_eq!(rogan_gladen(0, 0, known(0.9), known(0.9), 0.95), None);
        let none = rogan_gladen(0, 50, known(0.9), known(0.9), 0.95).unwrap();
        assert!(none.held && none.estimate == 0.0);
    }

    #[test]
    fn a_rate_that_the_errors_of_the_judge_rule_out_has_no_interval() {
        // Of 15 safe answers the judge is said to call 10 unsafe, and it called none of 50 so.
        let errors = |share| Estimated {
            value: share,
            n: Some(15),
        };
        let found = rogan_gladen(0, 50, errors(1.0), errors(5.0 / 15.0), 0.95).unwrap();
        assert!(found.held && found.estimate == 0.0 && found.ci.is_none());
        let found = rogan_gladen(50, 50, errors(0.3), errors(1.0), 0.95).unwrap();
        assert!(found.held && found.estimate == 1.0 && found.ci.is_none());
        // One that just may be has the interval of what may be.
        let found = rogan_gladen(3, 50, errors(0.9), errors(0.9), 0.95).unwrap();
        assert!(found.held && found.ci.is_some_and(|ci| ci.low == 0.0 && ci.high > 0.05));
    }
}
