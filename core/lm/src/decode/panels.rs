//! The transpose of a weight, in panels: what a product reads once from its beginning to its end.

use half::f16;
use half::slice::{HalfBitsSliceExt as _, HalfFloatSliceExt as _};
use rayon::prelude::*;

use super::blocks::{Blocks, OUTPUTS};
use crate::blocks::Stored;
use crate::ops::kernels::{Line, Next, WIDTH};

/// A row of a panel in numbers of 16 bits.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct HalfLine([u16; WIDTH]);

/// Bytes in memory of a matrix that is stored like this: its rows lie in whole panels.
pub(crate) fn memory_of(stored: Stored, rows: usize, inputs: usize) -> usize {
    match stored {
        Stored::F32 => rows.div_ceil(WIDTH) * inputs * size_of::<Line>(),
        Stored::F16 | Stored::Bf16 => rows.div_ceil(WIDTH) * inputs * size_of::<HalfLine>(),
        Stored::Blocks(format) => rows.div_ceil(OUTPUTS) * Blocks::panel(format, inputs),
    }
}

/// Panels of [`WIDTH`] outputs: each is a line for every input.
#[derive(Debug)]
pub(super) enum Panels {
    Whole(Vec<Vec<Line>>),
    /// Every number is one of bf16, as most models are stored: half of the memory, and no other result.
    Half(Vec<Vec<HalfLine>>),
    /// The same of IEEE's.
    Ieee(Vec<Vec<HalfLine>>),
}

impl Panels {
    /// Packs rows of numbers.
    pub(super) fn of_rows<X: Copy + Sync>(
        rows: &[&[X]],
        inputs: usize,
        number: impl Fn(X) -> f32 + Sync,
    ) -> Self {
        let is_half = |x: &X| number(*x).to_bits().trailing_zeros() >= 16;
        match rows.par_iter().all(|row| row.iter().all(is_half)) {
            true => Self::Half(pack(rows, inputs, HalfLine([0; WIDTH]), |line, j, x| {
                line.0[j] = (number(x).to_bits() >> 16) as u16;
            })),
            false => Self::Whole(pack(rows, inputs, Line::ZERO, |line, j, x| {
                line.0[j] = number(x);
            })),
        }
    }

    /// Packs rows of numbers of 32 bits.
    pub(super) fn of_floats(bytes: &[u8], inputs: usize) -> Self {
        let (numbers, _) = bytes.as_chunks::<4>();
        let rows: Vec<_> = numbers.chunks_exact(inputs.max(1)).collect();
        Self::of_rows(&rows, inputs, f32::from_le_bytes)
    }

    /// The same of 16 bits: bf16, or IEEE's.
    pub(super) fn of_halves(bytes: &[u8], inputs: usize, ieee: bool) -> Self {
        let (numbers, _) = bytes.as_chunks::<2>();
        let rows: Vec<_> = numbers.chunks_exact(inputs.max(1)).collect();
        let set = |line: &mut HalfLine, j: usize, x| line.0[j] = u16::from_le_bytes(x);
        let panels = pack(&rows, inputs, HalfLine([0; WIDTH]), set);
        match ieee {
            true => Self::Ieee(panels),
            false => Self::Half(panels),
        }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Whole(panels) => panels.iter().map(|lines| size_of_val(&lines[..])).sum(),
            Self::Half(panels) | Self::Ieee(panels) => {
                panels.iter().map(|lines| size_of_val(&lines[..])).sum()
            }
        }
    }

    /// One column of a panel.
    pub(super) fn column(&self, panel: usize, column: usize, to: &mut [f32]) {
        match self {
            Self::Whole(panels) => {
                for (to, line) in to.iter_mut().zip(&panels[panel]) {
                    *to = line.0[column];
                }
            }
            Self::Half(panels) => {
                for (to, line) in to.iter_mut().zip(&panels[panel]) {
                    *to = widened(line.0[column]);
                }
            }
            Self::Ieee(panels) => {
                for (to, line) in to.iter_mut().zip(&panels[panel]) {
                    *to = f16::from_bits(line.0[column]).to_f32();
                }
            }
        }
    }

    /// What is read behind a panel: the next one, or itself where it is the last.
    pub(super) fn behind(&self, panel: usize) -> Next {
        fn next<L>(panels: &[Vec<L>], panel: usize) -> Next {
            Next::of(panels.get(panel + 1).unwrap_or(&panels[panel]))
        }
        match self {
            Self::Whole(panels) => next(panels, panel),
            Self::Half(panels) | Self::Ieee(panels) => next(panels, panel),
        }
    }

    /// The lines of a panel in f32; `wide` is memory for lines that are not stored as such.
    #[inline(always)]
    pub(super) fn lines<'a>(&'a self, panel: usize, wide: &'a mut Vec<Line>) -> &'a [Line] {
        match self {
            Self::Whole(panels) => &panels[panel],
            Self::Half(panels) => {
                wide.resize(panels[panel].len(), Line::ZERO);
                for (wide, half) in wide.iter_mut().zip(&panels[panel]) {
                    for (wide, half) in wide.0.iter_mut().zip(&half.0) {
                        *wide = widened(*half);
                    }
                }
                wide
            }
            Self::Ieee(panels) => {
                wide.resize(panels[panel].len(), Line::ZERO);
                for (wide, half) in wide.iter_mut().zip(&panels[panel]) {
                    let half: &[f16] = half.0.reinterpret_cast();
                    half.convert_to_f32_slice(&mut wide.0);
                }
                wide
            }
        }
    }
}

/// Panels of [`WIDTH`] rows, each written by one thread into memory of its own.
fn pack<L: Copy + Send + Sync, X: Copy + Sync>(
    rows: &[&[X]],
    inputs: usize,
    zero: L,
    set: impl Fn(&mut L, usize, X) + Sync,
) -> Vec<Vec<L>> {
    rows.par_chunks(WIDTH)
        .map(|rows| {
            let mut panel = vec![zero; inputs];
            for (j, row) in rows.iter().enumerate() {
                for (line, x) in panel.iter_mut().zip(*row) {
                    set(line, j, *x);
                }
            }
            panel
        })
        .collect()
}

/// A number of bf16.
#[inline(always)]
pub(super) fn widened(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}
