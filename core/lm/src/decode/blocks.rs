//! Weights in the block formats of GGUF files: a few bits for each number, and scales that neighbours in a row share.
//!
//! In memory they take what they take in the file, and they are multiplied as they are: an input row is made whole numbers of 24 bits
//! with one power of two for those whose weights share a scale ([`Fixed`]), and codes times whole numbers are added without any rounding. Only the sum of
//! the inputs that share a scale is rounded, so a product is nearer to that of the dequantised weights than a chain of their numbers in
//! f32 is, and it is the same bytes whatever rows stand beside it and with vectors of any width.

mod codes;
mod fixed;
mod kernel;
mod lanes;
mod pack;
mod plain;
mod sums;

use half::f16;
use rayon::prelude::*;

use self::codes::zero;
use self::fixed::Digits;
pub(super) use self::fixed::{Fixed, Kind};
use self::lanes::Widest;
use crate::blocks::{Block, Format, Layout};

/// Outputs of a panel: the widest vectors have as many words.
pub(super) const OUTPUTS: usize = 16;

/// A word for each output of a panel.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Words([u32; OUTPUTS]);

/// How many [`Words`] a block of a panel, [`OUTPUTS`] blocks of the file, has of each kind.
struct Parts {
    /// How many parts there are.
    count: usize,
    /// Their scales and offsets, where they have some: four to a word.
    scales: usize,
    offsets: usize,
    /// In each part: the codes' low four bits, eight inputs to a word; or whole codes of eight bits, four to a word.
    low: usize,
    /// In each part: the bits above them.
    high: usize,
}

impl Parts {
    const fn of(layout: Layout) -> Self {
        let scales = layout.scales() / 4;
        let (low, high) = match layout.bits {
            8 => (8, 0),
            bits => (4, bits - 4),
        };
        Self {
            count: layout.numbers / layout.of_scale(),
            scales,
            offsets: if layout.is_affine() { scales } else { 0 },
            low: layout.of_scale() * low / 32,
            high: layout.of_scale() * high / 32,
        }
    }

    const fn size(&self) -> usize {
        self.scales + self.offsets + self.count * (self.low + self.high)
    }
}

/// [`OUTPUTS`] outputs.
#[derive(Debug)]
struct Panel {
    /// Scales of the blocks, numbers of IEEE's 16 bits, and their offsets where they have some: two blocks share a word.
    scales: Vec<Words>,
    offsets: Vec<Words>,
    words: Vec<Words>,
}

/// The transpose of rows of blocks, in panels of [`OUTPUTS`] outputs.
#[derive(Debug)]
pub(super) struct Blocks {
    format: Format,
    panels: Vec<Panel>,
}

impl Blocks {
    /// Bytes of a panel of so many inputs.
    pub(super) fn panel(format: Format, inputs: usize) -> usize {
        let layout = format.layout();
        let blocks = inputs / layout.numbers;
        let whole = blocks.div_ceil(2) * (1 + usize::from(layout.is_affine()));
        (whole + blocks * Parts::of(layout).size()) * size_of::<Words>()
    }

    /// Packs rows of `inputs` numbers as a file has them; `inputs` is a whole number of blocks. Nothing where the scale or the offset of a
    /// block is not finite.
    pub(super) fn new(format: Format, bytes: &[u8], inputs: usize) -> Option<Self> {
        let layout = format.layout();
        let blocks = inputs / layout.numbers;
        let rows: Vec<&[u8]> = bytes.chunks_exact((blocks * layout.bytes).max(1)).collect();
        let panels = rows.par_chunks(OUTPUTS).map(|rows| {
            let mut panel = Panel::empty(layout, blocks);
            for (j, row) in rows.iter().enumerate() {
                for (number, block) in row.chunks_exact(layout.bytes).enumerate() {
                    let block = Block::read(format, block);
                    if !is_finite(block.scale) || layout.is_affine() && !is_finite(block.offset) {
                        return None;
                    }
                    pack::write(&block, layout, j, (&mut panel, number));
                }
            }
            Some(panel)
        });
        Some(Self {
            format,
            panels: panels.collect::<Option<_>>()?,
        })
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let words = self.panels.iter().map(|panel| {
            let whole = panel.scales.len() + panel.offsets.len();
            whole + panel.words.len()
        });
        words.sum::<usize>() * size_of::<Words>()
    }

    /// A row of the weight: the numbers that its blocks stand for.
    pub(super) fn row(&self, index: usize, to: &mut [f32]) {
        let (panel, column) = (&self.panels[index / OUTPUTS], index % OUTPUTS);
        plain::column(self.format.layout(), panel, column, to);
    }

    /// How rows are made whole numbers for a product with these blocks.
    pub(super) fn kind(&self) -> Kind {
        let layout = self.format.layout();
        let digits = match Widest::of_this_processor() {
            Some(_) if layout.bits < 8 => Digits::Three,
            _ => Digits::Two,
        };
        Kind {
            digits,
            shared: layout.of_scale(),
            zero: zero(layout),
        }
    }

    /// Rows times the outputs from `first` on, the first of a panel, as many as the rows of `y` have room for.
    pub(super) fn product(&self, first: usize, rows: &Fixed, y: &mut [&mut [f32]]) {
        let panels = &self.panels[first / OUTPUTS..];
        match Widest::of_this_processor() {
            Some(widest) => widest.product(self.format, panels, rows, y),
            None => plain::product(self.format.layout(), panels, rows, y),
        }
    }
}

/// Whether the bytes of a number of IEEE's 16 bits are those of a finite one.
fn is_finite(bytes: [u8; 2]) -> bool {
    f16::from_le_bytes(bytes).is_finite()
}

impl Panel {
    fn empty(layout: Layout, blocks: usize) -> Self {
        let words = |count| vec![Words([0; OUTPUTS]); count];
        Self {
            scales: words(blocks.div_ceil(2)),
            offsets: words(if layout.is_affine() {
                blocks.div_ceil(2)
            } else {
                0
            }),
            words: words(blocks * Parts::of(layout).size()),
        }
    }
}

#[cfg(test)]
mod tests;
