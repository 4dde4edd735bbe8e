//! Weights in the block formats of GGUF files: a few bits for each number, and scales that neighbours in a row share.
//!
//! In memory they take what they take in the file. A panel is widened a few inputs at a time, into what stays in the first cache:
//! each number is then the very one that the block stands for, so a product is that of the dequantised weights to the bit.

mod row;

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use rayon::prelude::*;

use crate::blocks::{Block, Format, Layout, Offset};
use crate::ops::kernels::{Line, WIDTH};

/// Inputs that are widened at a time, at most.
pub(super) const STEP: usize = 32;

/// Bytes of a block of a panel: [`WIDTH`] blocks of the file. The block's scale and offset, the scales and offsets of its parts,
/// the low bits of the codes (two inputs to a byte, where they are no whole bytes) and the high ones, each as rows of one value for
/// each output.
fn parts(layout: Layout) -> [usize; 5] {
    let affine = 1 + usize::from(layout.is_affine());
    let (low, high) = match layout.bits {
        8 => (layout.numbers, 0),
        bits => (layout.numbers / 2, layout.numbers * (bits - 4) / 8),
    };
    let whole = 2 * WIDTH;
    [
        whole * affine,
        WIDTH * layout.scales(),
        WIDTH * layout.scales() * (affine - 1),
        WIDTH * low,
        WIDTH * high,
    ]
}

/// Writes a block into column `j` of a block of a panel.
fn write(block: &Block, layout: Layout, j: usize, to: &mut [u8]) {
    let [whole, scales, offsets, low, high] = split(layout, to);
    whole[2 * j..][..2].copy_from_slice(&block.scale);
    if layout.is_affine() {
        whole[2 * (WIDTH + j)..][..2].copy_from_slice(&block.offset);
    }
    let column = |rows: &mut [u8], values: &mut dyn Iterator<Item = u8>| {
        for (to, value) in rows.iter_mut().skip(j).step_by(WIDTH).zip(values) {
            *to = value;
        }
    };
    column(scales, &mut block.scales.iter().copied());
    column(offsets, &mut block.offsets.iter().copied());
    let codes = &block.codes[..layout.numbers];
    if layout.bits == 8 {
        column(low, &mut codes.iter().copied());
        return;
    }
    let pairs = codes.chunks_exact(2);
    column(
        low,
        &mut pairs.map(|pair| pair[0] & 15 | (pair[1] & 15) << 4),
    );
    let bits = layout.bits - 4;
    let together = |codes: &[u8]| {
        let bits = codes
            .iter()
            .enumerate()
            .map(|(i, code)| code >> 4 << (bits * i));
        bits.fold(0, |all, bits| all | bits)
    };
    if let Some(inputs) = 8_usize.checked_div(bits) {
        column(high, &mut codes.chunks_exact(inputs).map(together));
    }
}

/// The parts of a block of a panel.
fn split(layout: Layout, mut block: &mut [u8]) -> [&mut [u8]; 5] {
    parts(layout).map(|length| {
        let (part, rest) = std::mem::take(&mut block).split_at_mut(length);
        block = rest;
        part
    })
}

/// The transpose of rows of blocks, in panels of [`WIDTH`] outputs.
#[derive(Debug)]
pub(super) struct Blocks {
    format: Format,
    panels: Vec<Vec<u8>>,
}

impl Blocks {
    /// Bytes of a panel of so many inputs.
    pub(super) fn panel(format: Format, inputs: usize) -> usize {
        let layout = format.layout();
        inputs / layout.numbers * parts(layout).iter().sum::<usize>()
    }

    /// Packs rows of `inputs` numbers as a file has them; `inputs` is a whole number of blocks.
    pub(super) fn new(format: Format, bytes: &[u8], inputs: usize) -> Self {
        let layout = format.layout();
        let blocks = inputs / layout.numbers;
        let size = parts(layout).iter().sum::<usize>();
        let rows: Vec<&[u8]> = bytes.chunks_exact((blocks * layout.bytes).max(1)).collect();
        let panels = rows.par_chunks(WIDTH).map(|rows| {
            let mut panel = vec![0; blocks * size];
            for (j, row) in rows.iter().enumerate() {
                let blocks = row.chunks_exact(layout.bytes);
                for (to, block) in panel.chunks_exact_mut(size).zip(blocks) {
                    write(&Block::read(format, block), layout, j, to);
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
        self.panels.iter().map(Vec::len).sum()
    }

    /// Shows a panel, widened, `at_once` inputs at a time or fewer, in their order: the first of them, and their lines. `at_once` is a
    /// multiple of 8 up to [`STEP`].
    #[inline(always)]
    pub(super) fn read(&self, panel: usize, at_once: usize, mut see: impl FnMut(usize, &[Line])) {
        let layout = self.format.layout();
        let size = parts(layout).iter().sum::<usize>();
        let of_scale = layout.per_scale.unwrap_or(layout.numbers);
        let at_once = at_once.min(of_scale);
        let mut lines = [Line::ZERO; STEP];
        let lines = &mut lines[..at_once];
        for (number, block) in self.panels[panel].chunks_exact(size).enumerate() {
            let block = Scaled::new(layout, block);
            for part in 0..layout.numbers / of_scale {
                let (scale, offset) = block.factors(part);
                for first in (0..of_scale).step_by(at_once) {
                    let input = part * of_scale + first;
                    block.widen(input, &scale, &offset, lines);
                    see(number * layout.numbers + input, lines);
                }
            }
        }
    }
}

/// Values of [`WIDTH`] outputs.
type Row = [u8; WIDTH];

/// A block of a panel while it is widened.
struct Scaled<'a> {
    layout: Layout,
    /// Scale and offset of the whole block.
    scale: Line,
    offset: Line,
    scales: &'a [Row],
    offsets: &'a [Row],
    low: &'a [Row],
    high: &'a [Row],
}

impl<'a> Scaled<'a> {
    #[inline(always)]
    fn new(layout: Layout, block: &'a [u8]) -> Self {
        let [whole, scales, offsets, low, high] = parts(layout);
        let (rows, _) = block.as_chunks::<WIDTH>();
        let mut rest = rows;
        let mut take = |bytes: usize| {
            let (part, behind) = rest.split_at(bytes / WIDTH);
            rest = behind;
            part
        };
        let whole = take(whole);
        Self {
            scale: halves(&whole[..2]),
            offset: match layout.offset {
                Offset::Stored => halves(&whole[2..]),
                Offset::Fixed(_) | Offset::None => Line::ZERO,
            },
            scales: take(scales),
            offsets: take(offsets),
            low: take(low),
            high: take(high),
            layout,
        }
    }

    /// The numbers of some inputs that share a scale.
    #[inline(always)]
    fn widen(&self, input: usize, scale: &Line, offset: &Line, to: &mut [Line]) {
        match self.layout.bits {
            4 => self.widen_bits::<4>(input, scale, offset, to),
            5 => self.widen_bits::<5>(input, scale, offset, to),
            6 => self.widen_bits::<6>(input, scale, offset, to),
            _ => self.widen_bits::<8>(input, scale, offset, to),
        }
    }

    /// The same of codes of `BITS` bits.
    #[inline(always)]
    fn widen_bits<const BITS: usize>(
        &self,
        input: usize,
        scale: &Line,
        offset: &Line,
        to: &mut [Line],
    ) {
        match BITS {
            4 => nibbles(&self.low[input / 2..], scale, offset, to),
            5 => {
                let (low, high) = (&self.low[input / 2..], &self.high[input / 8..]);
                with_high_bits::<1, 4, 8>(low, high, scale, offset, to);
            }
            6 => {
                let (low, high) = (&self.low[input / 2..], &self.high[input / 4..]);
                with_high_bits::<2, 2, 4>(low, high, scale, offset, to);
            }
            _ => signed(&self.low[input..], scale, to),
        }
    }

    /// Scale and offset of the inputs that share one. Of scales beside a fixed offset, each has a sign.
    #[inline(always)]
    fn factors(&self, part: usize) -> (Line, Line) {
        let (mut scale, mut offset) = (self.scale, self.offset);
        let fixed = match self.layout.offset {
            Offset::Fixed(zero) => Some(f32::from(zero)),
            Offset::Stored | Offset::None => None,
        };
        if self.layout.per_scale.is_some() {
            for (scale, &times) in scale.0.iter_mut().zip(&self.scales[part]) {
                *scale *= match fixed {
                    Some(_) => f32::from(times as i8),
                    None => f32::from(times),
                };
            }
            if fixed.is_none() {
                for (offset, &times) in offset.0.iter_mut().zip(&self.offsets[part]) {
                    *offset *= -f32::from(times);
                }
            }
        }
        if let Some(zero) = fixed {
            for (offset, scale) in offset.0.iter_mut().zip(&scale.0) {
                *offset = -zero * scale;
            }
        }
        (scale, offset)
    }
}

/// Numbers of 16 bits, one for each output.
#[inline(always)]
fn halves(rows: &[Row]) -> Line {
    let (bytes, _) = rows.as_flattened().as_chunks::<2>();
    let mut numbers = [f16::ZERO; WIDTH];
    for (number, bytes) in numbers.iter_mut().zip(bytes) {
        *number = f16::from_le_bytes(*bytes);
    }
    let mut line = Line::ZERO;
    numbers.convert_to_f32_slice(&mut line.0);
    line
}

/// `code * scale + offset` for each output: the product is exact, so that one rounding is all there is.
#[inline(always)]
fn numbers(to: &mut Line, scale: &Line, offset: &Line, code: impl Fn(usize) -> u8) {
    for (j, to) in to.0.iter_mut().enumerate() {
        *to = f32::from(code(j)).mul_add(scale.0[j], offset.0[j]);
    }
}

/// An input to a byte, with a sign.
#[inline(always)]
fn signed(rows: &[Row], scale: &Line, to: &mut [Line]) {
    for (to, codes) in to.iter_mut().zip(rows) {
        let numbers = to.0.iter_mut().zip(codes).zip(&scale.0);
        for ((to, &code), scale) in numbers {
            *to = f32::from(code as i8) * scale;
        }
    }
}

/// Two inputs to a byte. The high bits stay where they are: sixteen times the code times a sixteenth of the scale is the same number.
#[inline(always)]
fn nibbles(rows: &[Row], scale: &Line, offset: &Line, to: &mut [Line]) {
    let mut sixteenth = *scale;
    for scale in &mut sixteenth.0 {
        *scale /= 16.0;
    }
    for (to, codes) in to.as_chunks_mut::<2>().0.iter_mut().zip(rows) {
        numbers(
            &mut to[0],
            scale,
            offset,
            #[inline(always)]
            |j| codes[j] & 15,
        );
        numbers(
            &mut to[1],
            &sixteenth,
            offset,
            #[inline(always)]
            |j| codes[j] & 0xf0,
        );
    }
}

/// The same with `BITS` bits more of each code: of `INPUTS` in a byte, whose low bits are `ROWS` rows.
#[inline(always)]
fn with_high_bits<const BITS: usize, const ROWS: usize, const INPUTS: usize>(
    low: &[Row],
    high: &[Row],
    scale: &Line,
    offset: &Line,
    to: &mut [Line],
) {
    let low = low.as_chunks::<ROWS>().0.iter();
    let to = to.as_chunks_mut::<INPUTS>().0.iter_mut();
    for (to, (low, high)) in to.zip(low.zip(high)) {
        for (i, to) in to.iter_mut().enumerate() {
            let mask = (1 << BITS) - 1;
            numbers(
                to,
                scale,
                offset,
                #[inline(always)]
                |j| {
                    let low = low[i / 2][j] >> (4 * (i % 2)) & 15;
                    low | (high[j] >> (BITS * i) & mask) << 4
                },
            );
        }
    }
}

#[cfg(test)]
mod tests;
