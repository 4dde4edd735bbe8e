//! What one row of logits says, read with vector instructions: generation does this for every token.

use pulp::{Arch, Simd, WithSimd};

/// Numbers of a row that are no logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotFinite {
    /// How many of them are NaN or plus infinity; all of them, when none is finite.
    pub count: usize,
    /// Length of the row.
    pub of: usize,
}

/// The softmax of a row at temperature 1, as sums relative to its largest logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Softmax {
    /// Sum of `e^(x - max)`.
    pub sum: f64,
    /// Sum of `e^(x - max) (x - max)`, to which minus infinity adds nothing.
    pub weighted: f64,
}

impl Softmax {
    /// Reads a row whose largest logit is `max`, a finite number.
    #[must_use]
    pub fn of(logits: &[f32], max: f32) -> Self {
        Arch::new().dispatch(Sums { logits, max })
    }
}

/// `ln sum e^x` of a row whose largest logit is `max`, with every difference in `f64`.
#[must_use]
pub fn ln_sum(logits: &[f32], max: f32) -> f64 {
    f64::from(max) + Arch::new().dispatch(Exponentials { logits, max }).ln()
}

struct Exponentials<'a> {
    logits: &'a [f32],
    max: f32,
}

impl WithSimd for Exponentials<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let max = f64::from(self.max);
        let term = |x: f32| {
            let d = f64::from(x) - max;
            exp(if d < LOWEST { LOWEST } else { d })
        };
        let mut sums = [0.0_f64; PARTIAL];
        let (chunks, rest) = self.logits.as_chunks::<PARTIAL>();
        for chunk in chunks {
            for i in 0..PARTIAL {
                sums[i] += term(chunk[i]);
            }
        }
        for (i, &x) in rest.iter().enumerate() {
            sums[i] += term(x);
        }
        sums.iter().sum()
    }
}

/// Sums over two rows of one length: what their Kullback-Leibler divergence is made of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Both {
    /// Of `e^(x - max)`
    pub(crate) sum: f64,
    /// Of `e^(y - other max)`
    pub(crate) other_sum: f64,
    /// Of `e^(x - max) ((x - max) - (y - other max))`, to which an `x` of minus infinity adds nothing.
    pub(crate) difference: f64,
}

impl Both {
    /// Reads rows whose largest logits are given.
    pub(crate) fn of(x: (&[f32], f32), y: (&[f32], f32)) -> Self {
        Arch::new().dispatch(BothRows { x, y })
    }

    #[inline(always)]
    fn add(&mut self, (x, max): (f32, f64), (y, other_max): (f32, f64)) {
        let (d, other) = (f64::from(x) - max, f64::from(y) - other_max);
        let p = exp(if d < LOWEST { LOWEST } else { d });
        self.sum += p;
        self.other_sum += exp(if other < LOWEST { LOWEST } else { other });
        self.difference += if p > 0.0 { p * (d - other) } else { 0.0 };
    }
}

struct BothRows<'a> {
    x: (&'a [f32], f32),
    y: (&'a [f32], f32),
}

impl WithSimd for BothRows<'_> {
    type Output = Both;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Both {
        let ((x, max), (y, other_max)) = (self.x, self.y);
        let (max, other_max) = (f64::from(max), f64::from(other_max));
        let mut sums = [Both::default(); PARTIAL];
        let ((x_chunks, x_rest), (y_chunks, y_rest)) =
            (x.as_chunks::<PARTIAL>(), y.as_chunks::<PARTIAL>());
        for (x, y) in x_chunks.iter().zip(y_chunks) {
            for i in 0..PARTIAL {
                sums[i].add((x[i], max), (y[i], other_max));
            }
        }
        for (i, (&x, &y)) in x_rest.iter().zip(y_rest).enumerate() {
            sums[i].add((x, max), (y, other_max));
        }
        sums.iter().fold(Both::default(), |all, part| Both {
            sum: all.sum + part.sum,
            other_sum: all.other_sum + part.other_sum,
            difference: all.difference + part.difference,
        })
    }
}

/// The `k` largest logits of a row with their positions, the largest first; of equals the lower position first.
///
/// # Errors
/// When a logit is NaN or plus infinity, or none is finite. Minus infinity is a token of probability zero.
pub fn largest(logits: &[f32], k: usize) -> Result<Vec<(u32, f32)>, NotFinite> {
    let of = logits.len();
    let (top, count) = Arch::new().dispatch(Scan { logits, k });
    match top.first() {
        _ if count > 0 => Err(NotFinite { count, of }),
        Some((_, max)) if max.is_finite() => Ok(top),
        _ => Err(NotFinite { count: of, of }),
    }
}

/// Independent partial sums: enough of them that the processor never waits for an addition.
const PARTIAL: usize = 16;

struct Sums<'a> {
    logits: &'a [f32],
    max: f32,
}

impl WithSimd for Sums<'_> {
    type Output = Softmax;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Softmax {
        sums(self.logits, self.max)
    }
}

#[inline(always)]
fn sums(logits: &[f32], max: f32) -> Softmax {
    let mut sum = [0.0_f64; PARTIAL];
    let mut weighted = [0.0_f64; PARTIAL];
    let (chunks, rest) = logits.as_chunks::<PARTIAL>();
    for chunk in chunks {
        for i in 0..PARTIAL {
            let (e, ed) = terms(chunk[i], max);
            sum[i] += e;
            weighted[i] += ed;
        }
    }
    for (i, &x) in rest.iter().enumerate() {
        let (e, ed) = terms(x, max);
        sum[i] += e;
        weighted[i] += ed;
    }
    Softmax {
        sum: sum.iter().sum(),
        weighted: weighted.iter().sum(),
    }
}

/// `e^d` and `e^d d` for `d = x - max`.
#[inline(always)]
fn terms(x: f32, max: f32) -> (f64, f64) {
    let d = f64::from(x - max);
    let d = if d < LOWEST { LOWEST } else { d };
    let e = exp(d);
    (e, e * d)
}

/// Differences from the largest logit below this are a probability of zero.
const LOWEST: f64 = -708.0;

/// `e^x` for `x` from [`LOWEST`], which gives 0, up to 0; within two units in the last place.
///
/// `x = n ln 2 + r` with a whole `n`; `e^r` by its Taylor series, `2^n` by its bits.
#[inline(always)]
fn exp(x: f64) -> f64 {
    // Adding it leaves the nearest whole number in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    /// `1 / k!` for k from 12 down to 0; the next term is below 2e-16 for `|r| <= ln 2 / 2`.
    const SERIES: [f64; 13] = [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let rounded = x.mul_add(std::f64::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut p = 1.0_f64 / 6_227_020_800.0;
    for coefficient in SERIES {
        p = p.mul_add(r, coefficient);
    }
    let power = f64::from_bits((rounded.to_bits() << 52).wrapping_add(0x3ff0_0000_0000_0000));
    if x <= LOWEST { 0.0 } else { p * power }
}

/// Logits that are looked at together: nearly every block holds none of the largest.
const BLOCK: usize = 64;

struct Scan<'a> {
    logits: &'a [f32],
    k: usize,
}

impl WithSimd for Scan<'_> {
    type Output = (Vec<(u32, f32)>, usize);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        scan(self.logits, self.k)
    }
}

/// The `k` largest logits, and how many are NaN or plus infinity.
#[inline(always)]
fn scan(logits: &[f32], k: usize) -> (Vec<(u32, f32)>, usize) {
    let mut top: Vec<(u32, f32)> = Vec::with_capacity(k + 1);
    let mut bad = 0;
    for (index, block) in logits.chunks(BLOCK).enumerate() {
        let (highest, bad_here) = highest(block);
        bad += bad_here as usize;
        if top.len() == k && top.last().is_none_or(|last| highest <= last.1) {
            continue;
        }
        for (id, &x) in (index * BLOCK..).zip(block) {
            if top.len() == k && top.last().is_none_or(|last| x <= last.1) {
                continue;
            }
            let at = top.partition_point(|&(_, y)| y >= x);
            // A vocabulary is far smaller than 2^32.
            top.insert(at, (u32::try_from(id).unwrap_or(u32::MAX), x));
            top.truncate(k);
        }
    }
    (top, bad)
}

/// The largest number of a block, and how many are NaN or plus infinity.
#[inline(always)]
fn highest(block: &[f32]) -> (f32, u32) {
    const LANES: usize = 8;
    let mut highest = [f32::NEG_INFINITY; LANES];
    let mut bad = [0_u32; LANES];
    let (chunks, rest) = block.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            highest[i] = greater(chunk[i], highest[i]);
            bad[i] += u32::from(is_bad(chunk[i]));
        }
    }
    for (i, &x) in rest.iter().enumerate() {
        highest[i] = greater(x, highest[i]);
        bad[i] += u32::from(is_bad(x));
    }
    let highest = highest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    (highest, bad.iter().sum())
}

/// The greater of both; `b` when `a` is NaN.
#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn is_bad(x: f32) -> bool {
    x.is_nan() || x == f32::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scattered numbers between -20 and 20.
    fn row(n: u32) -> Vec<f32> {
        (0..n)
            .map(|i| f64::from(i.wrapping_mul(2_654_435_761)) / f64::from(u32::MAX) * 40.0 - 20.0)
            .map(|x| x as f32)
            .collect()
    }

    #[test]
    fn exp_is_exp() {
        for i in 0..70_800 {
            let x = -f64::from(i) / 100.0 + 0.000_3;
            let error = (exp(x) / x.exp() - 1.0).abs();
            assert!(error < 5e-16, "exp({x}): {error}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(LOWEST), 0.0);
    }

    #[test]
    fn sums_are_those_of_the_definition_for_every_length() {
        for n in (1..70).chain([1000, 50_001]) {
            let row = row(n);
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut sum, mut weighted) = (0.0, 0.0);
            for &x in &row {
                let d = f64::from(x - max);
                sum += d.exp();
                weighted += d.exp() * d;
            }
            let softmax = Softmax::of(&row, max);
            assert!((softmax.sum / sum - 1.0).abs() < 1e-13, "{n}");
            assert!(
                (softmax.weighted - weighted).abs() < 1e-13 * sum.max(1.0),
                "{n}"
            );
        }
    }

    #[test]
    fn the_largest_are_the_head_of_the_sorted_row() {
        for n in [1, 5, 63, 64, 65, 129, 5000] {
            let row = row(n);
            let mut sorted: Vec<(u32, f32)> = (0_u32..).zip(row.iter().copied()).collect();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            sorted.truncate(10);
            assert_eq!(largest(&row, 10).unwrap(), sorted, "{n}");
        }
        let ties = largest(&[1.0; 200], 3).unwrap();
        assert_eq!(ties, [(0, 1.0), (1, 1.0), (2, 1.0)]);
    }

    #[test]
    fn numbers_that_are_no_logits_are_counted() {
        let mut row = row(100);
        row[3] = f32::NAN;
        row[99] = f32::INFINITY;
        row[70] = f32::NEG_INFINITY;
        assert_eq!(largest(&row, 10), Err(NotFinite { count: 2, of: 100 }));
        let nothing = largest(&[f32::NEG_INFINITY; 3], 10);
        assert_eq!(nothing, Err(NotFinite { count: 3, of: 3 }));
        assert!(largest(&[], 10).is_err());
    }

    #[test]
    fn minus_infinity_adds_nothing() {
        let softmax = Softmax::of(&[0.0, f32::NEG_INFINITY, -1.0], 0.0);
        let e = (-1.0_f64).exp();
        assert!((softmax.sum - 1.0 - e).abs() < 1e-15);
        assert!((softmax.weighted + e).abs() < 1e-15);
    }
}
