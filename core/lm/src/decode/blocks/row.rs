//! One row times panels of blocks: what writing a single answer does, as fast as memory gives the blocks.
//!
//! A weight is widened and multiplied with in registers. Each output is the chain that [`Blocks::read`] and a product of rows make of
//! it; since a chain waits for itself, two panels go side by side.

use pulp::Simd;

use super::{Blocks, Scaled, parts};
use crate::ops::kernels::{Line, WIDTH};

impl Blocks {
    /// `x` times the panels from `first` on, as many as `y` has room for. Whether it was done: not with vectors so narrow that it would be
    /// slower.
    #[inline(always)]
    pub(crate) fn row_times<S: Simd>(
        &self,
        simd: S,
        first: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> bool {
        match S::F32_LANES {
            16 => self.row_times_panels::<S, 2>(simd, first, x, y),
            8 => self.row_times_panels::<S, 4>(simd, first, x, y),
            _ => return false,
        }
        true
    }

    /// The same, a panel being `V` vectors wide.
    #[inline(always)]
    fn row_times_panels<S: Simd, const V: usize>(
        &self,
        simd: S,
        first: usize,
        x: &[f32],
        y: &mut [f32],
    ) {
        let mut panels = self.panels[first..].iter();
        let mut pairs = y.chunks_exact_mut(2 * WIDTH);
        for y in &mut pairs {
            if let (Some(one), Some(two)) = (panels.next(), panels.next()) {
                let sums = self.times::<S, V, 2>(simd, [one, two], x);
                write::<S, V, 2>(&sums, y);
            }
        }
        for y in pairs.into_remainder().chunks_mut(WIDTH) {
            if let Some(one) = panels.next() {
                let sums = self.times::<S, V, 1>(simd, [one], x);
                write::<S, V, 1>(&sums, y);
            }
        }
    }

    /// `x` times each of some panels.
    #[inline(always)]
    fn times<S: Simd, const V: usize, const P: usize>(
        &self,
        simd: S,
        panels: [&[u8]; P],
        x: &[f32],
    ) -> [[S::f32s; V]; P] {
        let layout = self.format.layout();
        let size = parts(layout).iter().sum::<usize>();
        let of_scale = layout.per_scale.unwrap_or(layout.numbers);
        let mut sums = [[simd.splat_f32s(0.0); V]; P];
        for (number, x) in x.chunks_exact(layout.numbers).enumerate() {
            let blocks: [Scaled<'_>; P] = std::array::from_fn(
                #[inline(always)]
                |panel| Scaled::new(layout, &panels[panel][number * size..][..size]),
            );
            for (part, x) in x.chunks_exact(of_scale).enumerate() {
                let mut factors = [(Line::ZERO, Line::ZERO); P];
                for (factors, block) in factors.iter_mut().zip(&blocks) {
                    *factors = block.factors(part);
                }
                let input = part * of_scale;
                // As many inputs at a time as share bytes of the codes.
                match layout.bits {
                    4 => add::<S, V, P, 4, 2>(simd, input, x, &blocks, &factors, &mut sums),
                    5 => add::<S, V, P, 5, 8>(simd, input, x, &blocks, &factors, &mut sums),
                    6 => add::<S, V, P, 6, 4>(simd, input, x, &blocks, &factors, &mut sums),
                    _ => add::<S, V, P, 8, 1>(simd, input, x, &blocks, &factors, &mut sums),
                }
            }
        }
        sums
    }
}

/// Adds what inputs from `first` on weigh that share a scale, `G` of them at a time; codes have `BITS` bits.
#[inline(always)]
fn add<S: Simd, const V: usize, const P: usize, const BITS: usize, const G: usize>(
    simd: S,
    first: usize,
    x: &[f32],
    blocks: &[Scaled<'_>; P],
    factors: &[(Line, Line); P],
    sums: &mut [[S::f32s; V]; P],
) {
    let mut chains = *sums;
    for (number, x) in x.as_chunks::<G>().0.iter().enumerate() {
        let panels = blocks.iter().zip(factors);
        for (chains, (block, (scale, offset))) in chains.iter_mut().zip(panels) {
            let mut lines = [Line::ZERO; G];
            block.widen_bits::<BITS>(first + number * G, scale, offset, &mut lines);
            for (line, x) in lines.iter().zip(x) {
                let x = simd.splat_f32s(*x);
                let (line, _) = S::as_simd_f32s(&line.0);
                for (chain, weights) in chains.iter_mut().zip(line) {
                    *chain = simd.mul_add_f32s(x, *weights, *chain);
                }
            }
        }
    }
    *sums = chains;
}

/// Writes the sums of panels, the last of which may be wider than what is left.
#[inline(always)]
fn write<S: Simd, const V: usize, const P: usize>(sums: &[[S::f32s; V]; P], y: &mut [f32]) {
    for (y, sums) in y.chunks_mut(WIDTH).zip(sums) {
        let sums: &[f32] = pulp::bytemuck::cast_slice(sums);
        y.copy_from_slice(&sums[..y.len()]);
    }
}
