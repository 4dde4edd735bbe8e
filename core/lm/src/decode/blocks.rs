//! Weights in the block formats of GGUF files: a few bits for each number, and scales that neighbours in a row share.
//!
//! In memory they take what they take in the file. A panel is widened a few inputs at a time, in registers or into what stays in the
//! first cache: each number is then the very one that the block stands for, so a product is that of the dequantised weights to the bit.

mod pack;
mod row;
mod widen;

use pulp::Simd;
use rayon::prelude::*;

use crate::blocks::{Block, Format, Layout};
use crate::ops::kernels::{Line, WIDTH};

/// Inputs that are widened at a time, at most.
pub(super) const STEP: usize = 32;

/// Inputs whose codes are read together.
const GROUP: usize = 8;

/// A word for each of sixteen outputs, aligned for the widest vectors.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Words([u32; WIDTH / 2]);

/// A word for each output of a panel.
type Pair = [Words; 2];

/// How many [`Words`] a block of a panel, [`WIDTH`] blocks of the file, has of each kind.
struct Parts {
    /// The block's scale and its offset in numbers of IEEE's 16 bits: those of output `j` and output `j + 16` share a word.
    whole: usize,
    /// Scales and offsets of its parts: four to a word.
    scales: usize,
    offsets: usize,
    /// The codes' low four bits, eight inputs to a word; or whole codes of eight bits, four to a word.
    low: usize,
    /// The bits above them, of 32 inputs a bit or of 16 two bits to a word.
    high: usize,
}

impl Parts {
    const fn of(layout: Layout) -> Self {
        let affine = layout.is_affine() as usize;
        let scales = 2 * (layout.scales() / 4);
        let (low, high) = match layout.bits {
            8 => (8, 0),
            bits => (4, bits - 4),
        };
        Self {
            whole: 1 + affine,
            scales,
            offsets: scales * affine,
            low: 2 * (layout.numbers * low / 32),
            high: 2 * (layout.numbers * high / 32),
        }
    }

    const fn size(&self) -> usize {
        self.whole + self.scales + self.offsets + self.low + self.high
    }
}

/// The transpose of rows of blocks, in panels of [`WIDTH`] outputs.
#[derive(Debug)]
pub(super) struct Blocks {
    format: Format,
    panels: Vec<Vec<Words>>,
}

impl Blocks {
    /// Bytes of a panel of so many inputs.
    pub(super) fn panel(format: Format, inputs: usize) -> usize {
        let layout = format.layout();
        inputs / layout.numbers * Parts::of(layout).size() * size_of::<Words>()
    }

    /// Packs rows of `inputs` numbers as a file has them; `inputs` is a whole number of blocks.
    pub(super) fn new(format: Format, bytes: &[u8], inputs: usize) -> Self {
        let layout = format.layout();
        let blocks = inputs / layout.numbers;
        let size = Parts::of(layout).size();
        let rows: Vec<&[u8]> = bytes.chunks_exact((blocks * layout.bytes).max(1)).collect();
        let panels = rows.par_chunks(WIDTH).map(|rows| {
            let mut panel = vec![Words([0; WIDTH / 2]); blocks * size];
            for (j, row) in rows.iter().enumerate() {
                let blocks = row.chunks_exact(layout.bytes);
                for (to, block) in panel.chunks_exact_mut(size).zip(blocks) {
                    pack::write(&Block::read(format, block), layout, j, to);
                }
            }
            panel
        });
        Self {
            format,
            panels: panels.collect(),
        }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let panels = self.panels.iter();
        panels.map(|panel| size_of_val(&panel[..])).sum()
    }

    /// Shows a panel, widened, `at_once` inputs at a time or fewer, in their order: the first of them, and their lines. `at_once` is a
    /// multiple of [`GROUP`] up to [`STEP`].
    #[inline(always)]
    pub(super) fn read<S: Simd>(
        &self,
        simd: S,
        panel: usize,
        at_once: usize,
        see: impl FnMut(usize, &[Line]),
    ) {
        let panel = &self.panels[panel];
        match S::F32_LANES {
            16 => read::<S, 2>(simd, self.format, panel, at_once, see),
            8 => read::<S, 4>(simd, self.format, panel, at_once, see),
            4 => read::<S, 8>(simd, self.format, panel, at_once, see),
            _ => read::<S, WIDTH>(simd, self.format, panel, at_once, see),
        }
    }
}

/// The same, a panel being `V` vectors wide.
#[inline(always)]
fn read<S: Simd, const V: usize>(
    simd: S,
    format: Format,
    panel: &[Words],
    at_once: usize,
    mut see: impl FnMut(usize, &[Line]),
) {
    let layout = format.layout();
    let of_scale = layout.of_scale();
    let at_once = at_once.min(of_scale);
    let mut lines = [Line::ZERO; STEP];
    let lines = &mut lines[..at_once];
    for (number, block) in panel.chunks_exact(Parts::of(layout).size()).enumerate() {
        for part in 0..layout.numbers / of_scale {
            let factors = widen::factors::<S, V>(simd, format, block, part);
            for first in (0..of_scale).step_by(at_once) {
                let input = part * of_scale + first;
                widen::lines(simd, format, block, input / GROUP, &factors, lines);
                see(number * layout.numbers + input, lines);
            }
        }
    }
}

#[cfg(test)]
mod tests;
