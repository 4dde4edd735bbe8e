//! Rows in whole numbers times panels of blocks, in vectors.

use pulp::{NullaryFnOnce, Simd};

use super::codes::{Codes, OfPart, floats, halves, vectors, with_format};
use super::fixed::Row;
use super::lanes::Lanes;
use super::sums::{OfBlock, add_block};
use super::{Fixed, OUTPUTS, Panel, Parts, Words};
use crate::blocks::Format;

/// Rows times some panels; `y` are the pieces of the product's rows.
pub(super) fn product<'a, S: Lanes>(
    simd: S,
    format: Format,
    panels: impl Iterator<Item = Panel<'a>>,
    rows: &Fixed,
    y: &mut [&mut [f32]],
) {
    macro_rules! product {
        ($format:expr) => {
            match (S::U32_LANES, y) {
                (OUTPUTS, [y]) => one_row::<S, 1, $format>(simd, panels, rows, y),
                (OUTPUTS, y) => many_rows::<S, 1, $format>(simd, panels, rows, y),
                (_, [y]) => one_row::<S, 2, $format>(simd, panels, rows, y),
                (_, y) => many_rows::<S, 2, $format>(simd, panels, rows, y),
            }
        };
    }
    with_format!(format, product);
}

/// One row times panels, `V` vectors of outputs at a time.
fn one_row<'a, S: Lanes, const V: usize, const F: usize>(
    simd: S,
    panels: impl Iterator<Item = Panel<'a>>,
    rows: &Fixed,
    y: &mut [f32],
) {
    let row = rows.row(0);
    for (panel, y) in panels.zip(y.chunks_mut(OUTPUTS)) {
        let mut sums = [0.0; OUTPUTS];
        simd.run(OneRow::<S, V, F> {
            simd,
            panel,
            row,
            sums: &mut sums,
        });
        y.copy_from_slice(&sums[..y.len()]);
    }
}

/// How many [`Words`] ahead of those that one row is multiplied with others are fetched: processors do not fetch across pages by
/// themselves, so every page would begin with a wait for memory.
const AHEAD: usize = 96;

/// One row times a panel, whose codes are taken from it as they are multiplied.
struct OneRow<'a, S, const V: usize, const F: usize> {
    simd: S,
    panel: Panel<'a>,
    row: Row<'a>,
    sums: &'a mut [f32; OUTPUTS],
}

impl<S: Lanes, const V: usize, const F: usize> NullaryFnOnce for OneRow<'_, S, V, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self {
            simd,
            panel,
            row,
            sums,
        } = self;
        let layout = const { Format::ALL[F].2 };
        let size = const { Parts::of(Format::ALL[F].2).size() };
        for first in (0..OUTPUTS / S::U32_LANES).step_by(V) {
            let mut chains = [[simd.splat_f32s(0.0); V]; 1];
            for (number, words) in panel.words.chunks_exact(size).enumerate() {
                let codes = Codes::<F>::new(words);
                let numbers = layout.numbers;
                add_block::<S, 1, V, F>(
                    simd,
                    #[inline(always)]
                    |part, eight| codes.part(part).eight(simd, eight, first),
                    #[inline(always)]
                    |part| {
                        codes.part(part).fetch(simd, AHEAD);
                        codes.of_part(simd, part, first)
                    },
                    &of_block::<S, V, F>(simd, panel, number, first),
                    &[row.some(number * numbers, numbers, layout.of_scale())],
                    &mut chains,
                );
            }
            let (sums, _) = S::as_mut_simd_f32s(&mut sums[..]);
            sums[first..][..V].copy_from_slice(&chains[0]);
        }
    }
}

/// Scale and offset of block `number` of a panel, for some vectors of outputs. Where parts have offsets, those are taken away.
#[inline(always)]
fn of_block<S: Lanes, const V: usize, const F: usize>(
    simd: S,
    panel: Panel<'_>,
    number: usize,
    first: usize,
) -> OfBlock<S, V> {
    let layout = const { Format::ALL[F].2 };
    let mut offset = [simd.splat_f32s(0.0); V];
    if layout.is_affine() {
        offset = halves::<S, V, F>(simd, panel.offsets, number, first);
        if layout.per_scale.is_some() {
            for offset in &mut offset {
                *offset = simd.neg_f32s(*offset);
            }
        }
    }
    OfBlock {
        scale: halves::<S, V, F>(simd, panel.scales, number, first),
        offset,
    }
}

/// Rows times panels, of which some inputs are taken at a time, for all rows.
fn many_rows<'a, S: Lanes, const V: usize, const F: usize>(
    simd: S,
    panels: impl Iterator<Item = Panel<'a>>,
    rows: &Fixed,
    y: &mut [&mut [f32]],
) {
    let layout = const { Format::ALL[F].2 };
    let size = const { Parts::of(Format::ALL[F].2).size() };
    let at_once = STEP / layout.numbers;
    let mut step = Step::new();
    let mut sums = vec![[0.0; OUTPUTS]; y.len()];
    let width = y.first().map_or(0, |y| y.len());
    for (panel, start) in panels.zip((0..width).step_by(OUTPUTS)) {
        let end = (start + OUTPUTS).min(width);
        sums.fill([0.0; OUTPUTS]);
        for (number, words) in panel.words.chunks(at_once * size).enumerate() {
            simd.run(ReadStep::<S, F> {
                simd,
                panel,
                words,
                first: number * at_once,
                step: &mut step,
            });
            simd.run(SomeInputs::<S, V, F> {
                simd,
                step: &step,
                words,
                rows: (rows, number * STEP),
                sums: &mut sums,
            });
        }
        for (y, sums) in y.iter_mut().zip(&sums) {
            y[start..end].copy_from_slice(&sums[..end - start]);
        }
    }
}

/// Inputs whose codes are taken from a panel at a time: they stay in the first cache.
const STEP: usize = 256;

/// As few inputs as share a scale.
const LEAST_SHARED: usize = 16;

/// As few inputs as have a block.
const LEAST_BLOCK: usize = 32;

/// What a panel says of some inputs.
struct Step {
    /// A byte for each code.
    codes: Vec<Words>,
    of_parts: [OfOutputs; STEP / LEAST_SHARED],
    of_blocks: [OfOutputs; STEP / LEAST_BLOCK],
}

/// Scale and offset of each output.
#[derive(Clone, Copy)]
struct OfOutputs {
    scale: [f32; OUTPUTS],
    offset: [f32; OUTPUTS],
}

impl Step {
    fn new() -> Self {
        let nothing = OfOutputs {
            scale: [0.0; OUTPUTS],
            offset: [0.0; OUTPUTS],
        };
        Self {
            codes: vec![Words([0; OUTPUTS]); STEP / 4],
            of_parts: [nothing; STEP / LEAST_SHARED],
            of_blocks: [nothing; STEP / LEAST_BLOCK],
        }
    }
}

impl OfOutputs {
    #[inline(always)]
    fn set<S: Simd>(&mut self, first: usize, scale: S::f32s, offset: S::f32s) {
        S::as_mut_simd_f32s(&mut self.scale[..]).0[first] = scale;
        S::as_mut_simd_f32s(&mut self.offset[..]).0[first] = offset;
    }
}

/// Reads the words of some blocks of a panel, of which `first` is the first.
struct ReadStep<'a, S, const F: usize> {
    simd: S,
    panel: Panel<'a>,
    words: &'a [Words],
    first: usize,
    step: &'a mut Step,
}

impl<S: Lanes, const F: usize> NullaryFnOnce for ReadStep<'_, S, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self {
            simd,
            panel,
            words,
            first: first_block,
            step,
        } = self;
        let layout = const { Format::ALL[F].2 };
        let size = const { Parts::of(Format::ALL[F].2).size() };
        let parts = layout.numbers / layout.of_scale();
        for (index, words) in words.chunks_exact(size).enumerate() {
            let codes = Codes::<F>::new(words);
            for first in 0..OUTPUTS / S::U32_LANES {
                let of = of_block::<S, 1, F>(simd, panel, first_block + index, first);
                step.of_blocks[index].set::<S>(first, of.scale[0], of.offset[0]);
                for part in 0..parts {
                    let of = codes.of_part::<S, 1>(simd, part, first);
                    let to = &mut step.of_parts[index * parts + part];
                    to.set::<S>(first, of.scale[0], of.offset[0]);
                }
                if layout.bits == 8 {
                    continue;
                }
                let to = &mut step.codes[index * layout.numbers / 4..][..layout.numbers / 4];
                for (part, to) in to.chunks_exact_mut(layout.of_scale() / 4).enumerate() {
                    let codes = codes.part(part);
                    for (eight, to) in to.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                        let codes = codes.eight::<S, 1>(simd, eight, first);
                        for (to, [codes]) in to.iter_mut().zip(codes) {
                            S::as_mut_simd_u32s(&mut to.0[..]).0[first] = codes;
                        }
                    }
                }
            }
        }
    }
}

/// All rows times some inputs of a panel; `rows` says which is the first of those.
struct SomeInputs<'a, S, const V: usize, const F: usize> {
    simd: S,
    step: &'a Step,
    words: &'a [Words],
    rows: (&'a Fixed, usize),
    sums: &'a mut [[f32; OUTPUTS]],
}

impl<S: Lanes, const V: usize, const F: usize> NullaryFnOnce for SomeInputs<'_, S, V, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self {
            simd,
            step,
            words,
            rows: (rows, first),
            sums,
        } = self;
        let layout = const { Format::ALL[F].2 };
        let size = const { Parts::of(Format::ALL[F].2).size() };
        let blocks = words.len() / size;
        // Codes of eight bits lie in the panel as they are multiplied.
        let words = match layout.bits {
            8 => words,
            _ => &step.codes,
        };
        let (pairs, last) = sums.as_chunks_mut::<2>();
        let last_row = 2 * pairs.len();
        let row = |index| {
            let row = rows.row(index);
            row.some(first, blocks * layout.numbers, layout.of_scale())
        };
        for (index, sums) in pairs.iter_mut().enumerate() {
            let rows = [row(2 * index), row(2 * index + 1)];
            some_rows::<S, 2, V, F>(simd, (step, words, blocks), &rows, sums);
        }
        if let [sums] = last {
            let sums = std::array::from_mut(sums);
            some_rows::<S, 1, V, F>(simd, (step, words, blocks), &[row(last_row)], sums);
        }
    }
}

/// `R` of the rows.
#[inline(always)]
fn some_rows<S: Lanes, const R: usize, const V: usize, const F: usize>(
    simd: S,
    (step, words, blocks): (&Step, &[Words], usize),
    rows: &[Row<'_>; R],
    sums: &mut [[f32; OUTPUTS]; R],
) {
    let layout = const { Format::ALL[F].2 };
    let (numbers, shared) = (layout.numbers, layout.of_scale());
    for first in (0..OUTPUTS / S::U32_LANES).step_by(V) {
        let mut chains = [[simd.splat_f32s(0.0); V]; R];
        for (chains, sums) in chains.iter_mut().zip(sums.iter()) {
            *chains = floats::<S, V>(simd, sums, first);
        }
        for block in 0..blocks {
            let codes = &words[block * numbers / 4..][..numbers / 4];
            let of_block = &step.of_blocks[block];
            let mut of_rows = *rows;
            for row in &mut of_rows {
                *row = row.some(block * numbers, numbers, shared);
            }
            add_block::<S, R, V, F>(
                simd,
                #[inline(always)]
                |part, eight| {
                    let at = part * shared / 4 + 2 * eight;
                    [
                        vectors::<S, V>(simd, &codes[at].0, first),
                        vectors::<S, V>(simd, &codes[at + 1].0, first),
                    ]
                },
                #[inline(always)]
                |part| {
                    let of_part = &step.of_parts[block * (numbers / shared) + part];
                    OfPart {
                        scale: floats::<S, V>(simd, &of_part.scale, first),
                        offset: floats::<S, V>(simd, &of_part.offset, first),
                    }
                },
                &OfBlock {
                    scale: floats::<S, V>(simd, &of_block.scale, first),
                    offset: floats::<S, V>(simd, &of_block.offset, first),
                },
                &of_rows,
                &mut chains,
            );
        }
        for (chains, sums) in chains.iter().zip(sums.iter_mut()) {
            let (sums, _) = S::as_mut_simd_f32s(&mut sums[..]);
            sums[first..][..V].copy_from_slice(chains);
        }
    }
}
