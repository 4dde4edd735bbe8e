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
mod widest;

use half::f16;
use rayon::prelude::*;

use self::codes::zero;
use self::fixed::Digits;
pub(super) use self::fixed::{Fixed, Kind};
use self::widest::Widest;
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

/// What [`OUTPUTS`] outputs have.
#[derive(Clone, Copy)]
struct Panel<'a> {
    /// Scales of the blocks, numbers of IEEE's 16 bits, and their offsets where they have some: two blocks share a word.
    scales: &'a [Words],
    offsets: &'a [Words],
    words: &'a [Words],
}

/// The transpose of rows of blocks, in panels of [`OUTPUTS`] outputs, one behind the other.
#[derive(Debug)]
pub(super) struct Blocks {
    format: Format,
    /// Blocks of an output.
    count: usize,
    words: Vec<Words>,
}

impl Blocks {
    /// Bytes of a panel of so many inputs.
    pub(super) fn panel(format: Format, inputs: usize) -> usize {
        let layout = format.layout();
        Panel::size(layout, inputs / layout.numbers) * size_of::<Words>()
    }

    /// Packs rows of `inputs` numbers as a file has them; `inputs` is a whole number of blocks. Nothing where the scale or the offset of a
    /// block is not finite.
    pub(super) fn new(format: Format, bytes: &[u8], inputs: usize) -> Option<Self> {
        let layout = format.layout();
        let count = inputs / layout.numbers;
        let size = Panel::size(layout, count).max(1);
        let rows: Vec<&[u8]> = bytes.chunks_exact((count * layout.bytes).max(1)).collect();
        let mut words = vec![Words([0; OUTPUTS]); rows.len().div_ceil(OUTPUTS) * size];
        let panels = words.par_chunks_exact_mut(size);
        let packed = panels.zip(rows.par_chunks(OUTPUTS)).all(|(panel, rows)| {
            rows.iter().enumerate().all(|(j, row)| {
                let mut blocks = row.chunks_exact(layout.bytes).enumerate();
                blocks.all(|(number, block)| {
                    let block = Block::read(format, block);
                    let is_sound =
                        is_finite(block.scale) && (!layout.is_affine() || is_finite(block.offset));
                    if is_sound {
                        pack::write(&block, layout, j, (&mut *panel, number, count));
                    }
                    is_sound
                })
            })
        });
        packed.then_some(Self {
            format,
            count,
            words,
        })
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.words[..])
    }

    /// The panels from one on.
    fn panels(&self, first: usize) -> impl Iterator<Item = Panel<'_>> {
        let layout = self.format.layout();
        let size = Panel::size(layout, self.count).max(1);
        let words = &self.words[first * size..];
        words
            .chunks_exact(size)
            .map(move |words| Panel::new(layout, self.count, words))
    }

    /// A row of the weight: the numbers that its blocks stand for.
    pub(super) fn row(&self, index: usize, to: &mut [f32]) {
        if let Some(panel) = self.panels(index / OUTPUTS).next() {
            plain::column(self.format.layout(), panel, index % OUTPUTS, to);
        }
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
        let panels = self.panels(first / OUTPUTS);
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

impl<'a> Panel<'a> {
    /// Words of a panel of so many blocks.
    const fn size(layout: Layout, blocks: usize) -> usize {
        Self::whole(layout, blocks).1 + blocks * Parts::of(layout).size()
    }

    /// Where the words of scales end, and those of offsets behind them.
    const fn whole(layout: Layout, blocks: usize) -> (usize, usize) {
        let whole = blocks.div_ceil(2);
        (whole, if layout.is_affine() { 2 * whole } else { whole })
    }

    fn new(layout: Layout, blocks: usize, words: &'a [Words]) -> Self {
        let (scales, offsets) = Self::whole(layout, blocks);
        Self {
            scales: &words[..scales],
            offsets: &words[scales..offsets],
            words: &words[offsets..],
        }
    }
}

#[cfg(test)]
mod tests;
