//! One row times panels of blocks: what writing a single answer does, as fast as memory gives the blocks.
//!
//! A weight is widened and multiplied with in registers. Each output is the chain that [`Blocks::read`] and a product of rows make of
//! it; since a chain waits for itself, there have to be several side by side.

use pulp::Simd;

use super::widen::{Scales, group, with_format};
use super::{Blocks, GROUP, Parts, Words};
use crate::blocks::Format;
use crate::ops::kernels::WIDTH;

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
            16 => self.row_times_panels::<S, 2, 2>(simd, first, x, y),
            8 => self.row_times_panels::<S, 4, 1>(simd, first, x, y),
            _ => return false,
        }
        true
    }

    /// The same, a panel being `V` vectors wide and `P` panels going side by side.
    #[inline(always)]
    fn row_times_panels<S: Simd, const V: usize, const P: usize>(
        &self,
        simd: S,
        first: usize,
        x: &[f32],
        y: &mut [f32],
    ) {
        let panels = &self.panels[first..];
        let (whole, left) = y.split_at_mut(y.len() / (P * WIDTH) * (P * WIDTH));
        let (_, panels_left) = panels.split_at(whole.len() / WIDTH);
        for (y, panels) in whole.chunks_exact_mut(P * WIDTH).zip(panels.as_chunks().0) {
            write::<S, V, P>(&self.times(simd, panels, x), y);
        }
        for (y, panels) in left.chunks_mut(WIDTH).zip(panels_left.as_chunks().0) {
            write::<S, V, 1>(&self.times(simd, panels, x), y);
        }
    }

    /// `x` times each of some panels.
    #[inline(always)]
    fn times<S: Simd, const V: usize, const P: usize>(
        &self,
        simd: S,
        panels: &[Vec<Words>; P],
        x: &[f32],
    ) -> [[S::f32s; V]; P] {
        macro_rules! times {
            ($format:expr) => {
                times::<S, V, P, $format>(simd, panels, x)
            };
        }
        with_format!(self.format, times)
    }
}

/// The same for one format.
#[inline(always)]
fn times<S: Simd, const V: usize, const P: usize, const F: usize>(
    simd: S,
    panels: &[Vec<Words>; P],
    x: &[f32],
) -> [[S::f32s; V]; P] {
    let layout = const { Format::ALL[F].2 };
    let size = const { Parts::of(Format::ALL[F].2).size() };
    let mut sums = [[simd.splat_f32s(0.0); V]; P];
    for (number, x) in x.chunks_exact(layout.numbers).enumerate() {
        let mut blocks = [&panels[0][number * size..][..size]; P];
        let mut scales = [Scales::<S, V, F>::new(simd, blocks[0]); P];
        for panel in 1..P {
            blocks[panel] = &panels[panel][number * size..][..size];
            scales[panel] = Scales::new(simd, blocks[panel]);
        }
        for (part, x) in x.chunks_exact(layout.of_scale()).enumerate() {
            let mut factors = [scales[0].factors(simd, part); P];
            for panel in 1..P {
                factors[panel] = scales[panel].factors(simd, part);
            }
            let first = part * layout.of_scale() / GROUP;
            for (number, x) in (first..).zip(x.as_chunks::<GROUP>().0) {
                for panel in 0..P {
                    let sums = &mut sums[panel];
                    group::<S, V, F>(
                        simd,
                        blocks[panel],
                        number,
                        &factors[panel],
                        #[inline(always)]
                        |input, numbers| {
                            let x = simd.splat_f32s(x[input]);
                            for v in 0..V {
                                sums[v] = simd.mul_add_f32s(x, numbers[v], sums[v]);
                            }
                        },
                    );
                }
            }
        }
    }
    sums
}

/// Writes the sums of panels, the last of which may be wider than what is left.
#[inline(always)]
fn write<S: Simd, const V: usize, const P: usize>(sums: &[[S::f32s; V]; P], y: &mut [f32]) {
    for (y, sums) in y.chunks_mut(WIDTH).zip(sums) {
        let sums: &[f32] = pulp::bytemuck::cast_slice(sums);
        y.copy_from_slice(&sums[..y.len()]);
    }
}
