//! Functions of a number and sums over a row, written so that the compiler turns them into vector instructions.

use pulp::Simd;

/// Vectors of independent partial sums: an addition takes four cycles.
const PARTIAL: usize = 4;

/// `e^x`, within two units in the last place; 0 below -87.3, at most `e^88`.
///
/// `x = n ln 2 + r` with a whole `n`; `e^r` by the polynomial of the Cephes library, `2^n` by its bits.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.0;
    // Adding it leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let inside = if x > HIGHEST { HIGHEST } else { x };
    let inside = if inside < LOWEST { LOWEST } else { inside };
    let rounded = inside.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, inside));
    let mut p = 1.987_569_1e-4_f32;
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p.mul_add(r, coefficient);
    }
    let p = p.mul_add(r * r, r) + 1.0;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < LOWEST { 0.0 } else { p * power }
}

/// Logistic function `1 / (1 + e^-x)`.
#[inline(always)]
pub(in crate::ops) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `sum(a * b)` of rows of one length.
#[inline(always)]
pub(in crate::ops) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let mut sums = [simd.splat_f32s(0.0); PARTIAL];
    let (a_chunks, b_chunks) = (a.chunks_exact(PARTIAL), b.chunks_exact(PARTIAL));
    for (a, b) in a_chunks.remainder().iter().zip(b_chunks.remainder()) {
        sums[0] = simd.mul_add_f32s(*a, *b, sums[0]);
    }
    for (a, b) in a_chunks.zip(b_chunks) {
        for i in 0..PARTIAL {
            sums[i] = simd.mul_add_f32s(a[i], b[i], sums[i]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    total(simd, sums) + rest
}

/// `sum(row)`
#[inline(always)]
pub(in crate::ops) fn sum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (row, rest) = S::as_simd_f32s(row);
    let mut sums = [simd.splat_f32s(0.0); PARTIAL];
    let chunks = row.chunks_exact(PARTIAL);
    for x in chunks.remainder() {
        sums[0] = simd.add_f32s(sums[0], *x);
    }
    for x in chunks {
        for i in 0..PARTIAL {
            sums[i] = simd.add_f32s(sums[i], x[i]);
        }
    }
    total(simd, sums) + rest.iter().sum::<f32>()
}

#[inline(always)]
fn total<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; PARTIAL]) -> f32 {
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)))
}

/// The largest element; negative infinity of an empty row.
#[inline(always)]
pub(in crate::ops) fn max<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (row, rest) = S::as_simd_f32s(row);
    let mut highest = [simd.splat_f32s(f32::NEG_INFINITY); 2];
    let chunks = row.chunks_exact(2);
    for x in chunks.remainder() {
        highest[0] = simd.max_f32s(highest[0], *x);
    }
    for x in chunks {
        highest[0] = simd.max_f32s(highest[0], x[0]);
        highest[1] = simd.max_f32s(highest[1], x[1]);
    }
    let highest = simd.reduce_max_f32s(simd.max_f32s(highest[0], highest[1]));
    rest.iter().copied().fold(highest, f32::max)
}

/// Replaces every element by `e^(x - shift)` and returns their sum.
#[inline(always)]
pub(in crate::ops) fn exp_sum<S: Simd>(simd: S, row: &mut [f32], shift: f32) -> f32 {
    for x in row.iter_mut() {
        *x = exp(*x - shift);
    }
    sum(simd, row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exp() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0 + 0.003;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) / expected - 1.0).abs();
            assert!(error < 2.5e-7, "exp({x}): {error}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-90.0), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    /// Sum, dot product with ones, largest element, and sum of the exponentials of the differences from 3.
    struct Reductions<'a>(&'a [f32]);

    impl pulp::WithSimd for Reductions<'_> {
        type Output = [f32; 4];

        fn with_simd<S: Simd>(self, simd: S) -> [f32; 4] {
            let (row, ones) = (self.0, vec![1.0; self.0.len()]);
            let exponentials = exp_sum(simd, &mut vec![3.0; row.len()], 3.0);
            [
                sum(simd, row),
                dot(simd, row, &ones),
                max(simd, row),
                exponentials,
            ]
        }
    }

    #[test]
    fn rows_of_any_length_are_summed_whole() {
        for n in [0usize, 1, 7, 8, 15, 16, 17, 31, 33, 100] {
            let row: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let total = (n * n.saturating_sub(1) / 2) as f32;
            let highest = n.checked_sub(1).map_or(f32::NEG_INFINITY, |i| i as f32);
            let expected = [total, total, highest, n as f32];
            assert_eq!(pulp::Arch::new().dispatch(Reductions(&row)), expected);
            assert_eq!(pulp::Arch::Scalar.dispatch(Reductions(&row)), expected);
        }
    }
}
