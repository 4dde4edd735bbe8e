//! What a block adds to its outputs, in vectors.
//!
//! Codes times digits are added in 16 bits, which their sums do not leave (`fixed.rs` says why), then in words. The digits' sums are
//! below 2^24, so the sum of whole numbers that they make together is rounded once.

use pulp::Simd;
use pulp::bytemuck::cast;

use super::codes::{OfPart, zero};
use super::fixed::{BASE, LARGE, Row};
use super::lanes::Lanes;
use crate::blocks::Format;

/// Scale and offset of a block.
#[derive(Clone, Copy)]
pub(super) struct OfBlock<S: Simd, const V: usize> {
    pub(super) scale: [S::f32s; V],
    pub(super) offset: [S::f32s; V],
}

/// Adds what a block gives to `V` vectors of outputs of `R` rows; `rows` have as many inputs. Of a part, `codes` says those of the inputs
/// `8 eight` to `8 eight + 3` and of the four behind them; `F` numbers the format.
#[inline(always)]
pub(super) fn add_block<S: Lanes, const R: usize, const V: usize, const F: usize>(
    simd: S,
    codes: impl Fn(usize, usize) -> [[S::u32s; V]; 2],
    of_part: impl Fn(usize) -> OfPart<S, V>,
    of_block: &OfBlock<S, V>,
    rows: &[Row<'_>; R],
    chains: &mut [[S::f32s; V]; R],
) {
    let layout = const { Format::ALL[F].2 };
    let nothing = [[simd.splat_f32s(0.0); V]; R];
    // What the block's scale is multiplied with, and its offset.
    let (mut scaled, mut added) = (nothing, nothing);
    for part in 0..layout.numbers / layout.of_scale() {
        let sums = match layout.bits {
            8 => of_two_digits::<S, R, V, F>(simd, &codes, part, rows),
            _ => of_three_digits::<S, R, V, F>(simd, &codes, part, rows),
        };
        let factors = of_part(part);
        for r in 0..R {
            let of_row = &rows[r].shared[part];
            let scale = simd.splat_f32s(of_row.scale);
            let inputs = simd.splat_f32s(of_row.sum);
            let taken = simd.splat_f32s(zero(layout) as f32 * of_row.sum);
            for v in 0..V {
                let (scaled, added) = (&mut scaled[r][v], &mut added[r][v]);
                if layout.per_scale.is_none() {
                    *added = inputs;
                    *scaled = match layout.is_affine() {
                        true => simd.mul_add_f32s(sums[r][v], scale, taken),
                        false => simd.mul_f32s(sums[r][v], scale),
                    };
                    continue;
                }
                let factor = simd.mul_f32s(factors.scale[v], scale);
                *scaled = simd.mul_add_f32s(sums[r][v], factor, *scaled);
                if layout.is_affine() {
                    if zero(layout) > 0 {
                        *scaled = simd.mul_add_f32s(factors.scale[v], taken, *scaled);
                    }
                    *added = simd.mul_add_f32s(factors.offset[v], inputs, *added);
                }
            }
        }
    }
    for r in 0..R {
        for v in 0..V {
            let chain = &mut chains[r][v];
            *chain = simd.mul_add_f32s(of_block.scale[v], scaled[r][v], *chain);
            if layout.is_affine() {
                *chain = simd.mul_add_f32s(of_block.offset[v], added[r][v], *chain);
            }
        }
    }
}

/// Sums of a part's codes less their zero times whole numbers of three digits.
#[inline(always)]
fn of_three_digits<S: Lanes, const R: usize, const V: usize, const F: usize>(
    simd: S,
    codes: &impl Fn(usize, usize) -> [[S::u32s; V]; 2],
    part: usize,
    rows: &[Row<'_>; R],
) -> [[S::f32s; V]; R] {
    let fours = const { Format::ALL[F].2.of_scale() / 4 };
    let mut sums = [[[simd.splat_u32s(0); V]; 3]; R];
    let mut digits = [&[][..]; R];
    for ((sums, digits), row) in sums.iter_mut().zip(&mut digits).zip(rows) {
        *digits = &row.three[part * fours..][..fours];
        for (sums, begin) in sums.iter_mut().zip(row.shared[part].of_three) {
            *sums = [simd.splat_u32s(begin); V];
        }
    }
    for eight in 0..fours / 2 {
        let codes = codes(part, eight);
        for (half, codes) in codes.iter().enumerate() {
            for (sums, digits) in sums.iter_mut().zip(&digits) {
                for (sums, digits) in sums.iter_mut().zip(&digits[2 * eight + half]) {
                    let digits = simd.splat_u32s(*digits);
                    for v in 0..V {
                        let product = simd.times_bytes(codes[v], digits);
                        sums[v] = simd.add_halves(sums[v], product);
                    }
                }
            }
        }
    }
    let both = |x: i16| cast([x; 2]);
    let (one, base) = (simd.splat_u32s(both(1)), simd.splat_u32s(both(BASE as i16)));
    let large = simd.splat_f32s(BASE * BASE);
    let mut whole = [[simd.splat_f32s(0.0); V]; R];
    for (whole, [high, middle, low]) in whole.iter_mut().zip(&sums) {
        for v in 0..V {
            let low = simd.add_u32s(
                simd.times_halves(middle[v], base),
                simd.times_halves(low[v], one),
            );
            let high = simd.floats(simd.times_halves(high[v], one));
            whole[v] = simd.mul_add_f32s(high, large, simd.floats(low));
        }
    }
    whole
}

/// The same of two digits: each code is a number of 16 bits of its own.
#[inline(always)]
fn of_two_digits<S: Lanes, const R: usize, const V: usize, const F: usize>(
    simd: S,
    codes: &impl Fn(usize, usize) -> [[S::u32s; V]; 2],
    part: usize,
    rows: &[Row<'_>; R],
) -> [[S::f32s; V]; R] {
    let fours = const { Format::ALL[F].2.of_scale() / 4 };
    let mut sums = [[[simd.splat_u32s(0); V]; 2]; R];
    let mut digits = [&[][..]; R];
    for ((sums, digits), row) in sums.iter_mut().zip(&mut digits).zip(rows) {
        *digits = &row.two[part * fours..][..fours];
        for (sums, begin) in sums.iter_mut().zip(row.shared[part].of_two) {
            *sums = [simd.splat_u32s(begin); V];
        }
    }
    let even = simd.splat_u32s(0x00ff_00ff);
    let byte = simd.splat_u32s(8);
    for eight in 0..fours / 2 {
        let codes = codes(part, eight);
        for (half, codes) in codes.iter().enumerate() {
            for odd in 0..2 {
                let mut two = *codes;
                for two in &mut two {
                    if odd == 1 {
                        *two = simd.wrapping_dyn_shr_u32s(*two, byte);
                    }
                    *two = simd.and_u32s(*two, even);
                }
                for (sums, digits) in sums.iter_mut().zip(&digits) {
                    for (sums, digits) in sums.iter_mut().zip(&digits[2 * eight + half][odd]) {
                        let digits = simd.splat_u32s(*digits);
                        for v in 0..V {
                            let product = simd.times_halves(two[v], digits);
                            sums[v] = simd.add_u32s(sums[v], product);
                        }
                    }
                }
            }
        }
    }
    let large = simd.splat_f32s(LARGE);
    let mut whole = [[simd.splat_f32s(0.0); V]; R];
    for (whole, [high, low]) in whole.iter_mut().zip(&sums) {
        for v in 0..V {
            whole[v] = simd.mul_add_f32s(simd.floats(high[v]), large, simd.floats(low[v]));
        }
    }
    whole
}
