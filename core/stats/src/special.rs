//! The special functions behind the tests: normal, Student's t, gamma and incomplete beta.

use std::f64::consts::{PI, SQRT_2, TAU};

/// Standard normal distribution function.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / SQRT_2)
}

/// Two-sided p-value of a standard normal `z`; keeps its digits far into the tail.
#[must_use]
pub fn normal_two_sided(z: f64) -> f64 {
    erfc(z.abs() / SQRT_2).min(1.0)
}

/// Standard normal quantile at `p`: Acklam's rational approximation, refined by one step of Halley's method on the error
/// function. `p` is clamped to [1e-300, 1 - 1e-16], so that the result is finite.
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
    let p = p.clamp(1e-300, 1.0 - 1e-16);
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
    let error = 0.5 * erfc(-first / SQRT_2) - p;
    let step = error * TAU.sqrt() * (first * first / 2.0).exp();
    first - step / (1.0 + first * step / 2.0)
}

/// Complementary error function: a Taylor series of erf for small x, a continued fraction beyond.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.0 {
        let mut term = x;
        let mut sum = x;
        let mut n = 0.0;
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - 2.0 / PI.sqrt() * sum;
    }
    let mut fraction = 0.0;
    for k in (1..=200).rev() {
        fraction = 0.5 * f64::from(k) / (x + fraction);
    }
    (-x * x).exp() / PI.sqrt() / (x + fraction)
}

/// Logarithm of the gamma function for x > 0: Stirling's series, after raising x to at least 12 by the recurrence.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    let mut shifted = x;
    let mut product = 1.0;
    while shifted < 12.0 {
        product *= shifted;
        shifted += 1.0;
    }
    (shifted - 0.5) * shifted.ln() - shifted + 0.5 * TAU.ln() + stirling_tail(shifted)
        - product.ln()
}

/// What Stirling's formula leaves out of `ln_gamma(x)`: `1/12x - 1/360x³ + …`, for x >= 9 or so.
pub(crate) fn stirling_tail(x: f64) -> f64 {
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
    ];
    inverse * series.iter().rev().fold(0.0, |sum, c| sum * square + c)
}

/// Logarithm of the binomial coefficient `C(n, k)`.
#[must_use]
pub fn ln_choose(n: u64, k: u64) -> f64 {
    if k == 0 || k >= n {
        return 0.0;
    }
    ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k) as f64 + 1.0)
}

/// Regularised incomplete beta function `I_x(a, b)` for a, b > 0, by its continued fraction (DLMF 8.17.22) with the modified
/// Lentz algorithm, on the side where the fraction converges fast.
#[must_use]
pub fn beta_regularized(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_lower(b, a, 1.0 - x);
    }
    beta_lower(a, b, x)
}

fn beta_lower(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let ln_front =
        ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p() - a.ln();
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    // The number of terms grows with the square root of the larger parameter.
    for m in 1..1_000_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        let change = d * c;
        fraction *= change;
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    ln_front.exp() * fraction
}

/// The x with `I_x(a, b) = p`, by bisection to the last bit.
#[must_use]
pub fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    bisect(0.0, 1.0, |x| beta_regularized(a, b, x) < p)
}

/// Two-sided p-value of Student's t with `df` degrees of freedom: `I_{df/(df+t²)}(df/2, 1/2)`.
#[must_use]
pub fn student_t_two_sided(t: f64, df: f64) -> f64 {
    beta_regularized(df / 2.0, 0.5, df / (df + t * t))
}

/// The t that Student's t exceeds in absolute value with probability `p`; `p` in (0, 1).
#[must_use]
pub fn student_t_two_sided_quantile(p: f64, df: f64) -> f64 {
    // With x = df/(df+t²), a monotone map of (0, 1) to t.
    let x = beta_quantile(df / 2.0, 0.5, p);
    if x <= 0.0 {
        return f64::MAX.sqrt();
    }
    (df * (1.0 - x) / x).sqrt()
}

/// The point between `low` and `high` where `is_below` turns from true to false.
pub(crate) fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_stay_finite() {
        for p in [0.0, 1.0, -3.0, 2.0] {
            assert!(normal_quantile(p).is_finite());
        }
        assert!(student_t_two_sided_quantile(1e-12, 1.0).is_finite());
    }

    #[test]
    fn quantiles_invert_their_distributions() {
        for p in [1e-10, 0.01, 0.3, 0.5, 0.9] {
            assert!((normal_cdf(normal_quantile(p)) - p).abs() < 1e-12);
            assert!((beta_regularized(3.0, 5.5, beta_quantile(3.0, 5.5, p)) - p).abs() < 1e-12);
            let t = student_t_two_sided_quantile(p, 7.0);
            assert!((student_t_two_sided(t, 7.0) - p).abs() < 1e-12);
        }
    }
}
