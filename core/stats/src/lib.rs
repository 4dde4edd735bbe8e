//! Intervals, tests and calibration as pure functions.
//!
//! Every function is defined for no data, one value and all-equal values: it says `None` rather than NaN. Nothing depends on
//! the order of the samples or the number of threads; randomness is ChaCha12 from a named seed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bootstrap;
pub mod multiplicity;
pub mod paired;
pub mod permutation;
pub mod proportion;
pub mod summary;

use serde::{Deserialize, Serialize};

/// A confidence interval and how it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Confidence level, for example 0.95.
    pub level: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Method, for example `wilson`.
    pub method: String,
}

/// Standard normal quantile at `p` (Acklam's rational approximation, refined by one step of Halley's method on the error
/// function; absolute error below 1e-12 for p in [1e-300, 1 - 1e-16]).
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    let polynomial =
        |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let first = if p < 0.024_25 {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    } else {
        let q = p - 0.5;
        let r = q * q;
        polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
    };
    let error = 0.5 * erfc(-first / std::f64::consts::SQRT_2) - p;
    let step = error * (std::f64::consts::TAU).sqrt() * (first * first / 2.0).exp();
    first - step / (1.0 + first * step / 2.0)
}

/// Complementary error function for x >= 0: a Taylor series of erf for small x, Lentz' continued fraction beyond.
fn erfc(x: f64) -> f64 {
    if x < 2.0 {
        let mut term = x;
        let mut sum = x;
        let mut n = 0.0;
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - 2.0 / std::f64::consts::PI.sqrt() * sum;
    }
    let mut fraction = 0.0;
    for k in (1..=200).rev() {
        fraction = 0.5 * f64::from(k) / (x + fraction);
    }
    (-x * x).exp() / std::f64::consts::PI.sqrt() / (x + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_scipys() {
        // scipy.stats.norm.ppf
        for (p, z) in [
            (0.975, 1.959_963_984_540_054),
            (0.5, 0.0),
            (0.8, 0.841_621_233_572_914_3),
            (0.995, 2.575_829_303_548_900_4),
            (1e-10, -6.361_340_902_404_055),
        ] {
            assert!((normal_quantile(p) - z).abs() < 1e-9, "{p}");
        }
    }
}
