//! Functions of a number and sums over a row, written so that the compiler turns them into vector instructions.

/// Independent partial sums: two vectors of eight.
pub(in crate::ops) const LANES: usize = 16;

/// `e^x`, within two units in the last place; 0 below -87.3, at most `e^88`.
///
/// `x = n ln 2 + r` with a whole `n`; `e^r` by the polynomial of the Cephes library, `2^n` by its bits.
#[inline(always)]
pub(in crate::ops) fn exp(x: f32) -> f32 {
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

#[inline(always)]
fn total(lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    let mut lanes = lanes;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `sum(a * b)`
#[inline(always)]
pub(in crate::ops) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a_rows, b_rows) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (lane, (a, b)) in a_rows
        .remainder()
        .iter()
        .zip(b_rows.remainder())
        .enumerate()
    {
        lanes[lane] = a * b;
    }
    for (a, b) in a_rows.zip(b_rows) {
        for i in 0..LANES {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    total(lanes)
}

/// The largest element; negative infinity of an empty row.
#[inline(always)]
pub(in crate::ops) fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let rows = row.chunks_exact(LANES);
    for (lane, &x) in rows.remainder().iter().enumerate() {
        lanes[lane] = x;
    }
    for chunk in rows {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] {
                chunk[i]
            } else {
                lanes[i]
            };
        }
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// Replaces every element by `e^(x - shift)` and returns their sum.
#[inline(always)]
pub(in crate::ops) fn exp_sum(row: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut rows = row.chunks_exact_mut(LANES);
    for chunk in &mut rows {
        for i in 0..LANES {
            chunk[i] = exp(chunk[i] - shift);
            lanes[i] += chunk[i];
        }
    }
    for (lane, x) in rows.into_remainder().iter_mut().enumerate() {
        *x = exp(*x - shift);
        lanes[lane] += *x;
    }
    total(lanes)
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

    #[test]
    fn rows_of_any_length_are_summed_whole() {
        for n in [0usize, 1, 15, 16, 17, 100] {
            let row: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let ones = vec![1.0; n];
            assert_eq!(dot(&row, &ones), (n * n.saturating_sub(1) / 2) as f32);
            let highest = n.checked_sub(1).map_or(f32::NEG_INFINITY, |i| i as f32);
            assert_eq!(max(&row), highest);
            assert_eq!(exp_sum(&mut vec![3.0; n], 3.0), n as f32);
        }
    }
}
