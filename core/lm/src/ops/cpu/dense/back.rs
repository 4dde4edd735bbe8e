//! Rows times a matrix.

use half::bf16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{
    Block, DEPTH, GROUP, Line, PIECE, WIDTH, blocks_times_panel, sums, tasks, vectorized, widen,
    zeros,
};

/// Columns of the matrix that one task multiplies with, at most: the longer the pieces of its rows, the better the processor
/// foresees them.
const COLUMNS: usize = 16 * WIDTH;

/// Columns of one task where there are `inputs`: as many as leave every thread two tasks.
fn columns(inputs: usize, groups: usize) -> usize {
    let tasks = (2 * rayon::current_num_threads()).div_ceil(groups);
    let columns = inputs.div_ceil(tasks).next_multiple_of(WIDTH);
    columns.clamp(2 * WIDTH, COLUMNS)
}

/// `g w`: rows of `in` numbers, for rows `g` of `outputs` numbers and a matrix `[outputs, in]`.
pub(in crate::ops) fn times((g, outputs): (&[f32], usize), w: &[bf16]) -> Vec<f32> {
    let (rows, inputs) = (g.len() / outputs.max(1), w.len() / outputs.max(1));
    let mut y = zeros(rows * inputs);
    if y.is_empty() {
        return y;
    }
    let columns = columns(inputs, rows.div_ceil(GROUP));
    let strips = inputs.div_ceil(columns);
    let rows = Blocks::new(g, outputs);
    let tasks = tasks(&mut y, inputs, columns).into_par_iter();
    tasks.enumerate().for_each(|(task, y)| {
        let (group, strip) = (task / strips, task % strips);
        vectorized(Back {
            rows: &rows,
            first_row: group * GROUP,
            w,
            inputs,
            first_input: strip * columns,
            y,
        });
    });
    y
}

/// Rows in blocks: first the first block of each row.
struct Blocks {
    blocks: Vec<Block>,
    rows: usize,
    depth: usize,
}

impl Blocks {
    /// Of rows of `depth` numbers.
    fn new(numbers: &[f32], depth: usize) -> Self {
        let rows = numbers.len() / depth;
        let block = |i: usize| {
            let (start, row) = (i / rows * DEPTH, i % rows);
            let mut block = [0.0; DEPTH];
            let from = &numbers[row * depth + start..][..DEPTH.min(depth - start)];
            block[..from.len()].copy_from_slice(from);
            block
        };
        Self {
            blocks: (0..depth.div_ceil(DEPTH) * rows)
                .into_par_iter()
                .with_min_len(PIECE / DEPTH)
                .map(block)
                .collect(),
            rows,
            depth,
        }
    }
}

/// Some inputs of [`times`] for some rows: `y` are the pieces of those rows.
struct Back<'a> {
    rows: &'a Blocks,
    first_row: usize,
    w: &'a [bf16],
    inputs: usize,
    first_input: usize,
    y: Vec<&'a mut [f32]>,
}

impl WithSimd for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            rows,
            first_row,
            w,
            inputs,
            first_input,
            mut y,
        } = self;
        let count = y.len();
        let width = y.first().map_or(0, |piece| piece.len());
        let panels = width.div_ceil(WIDTH);
        let sums = sums(panels * count);
        let mut lines = vec![Line::ZERO; panels * DEPTH];
        for start in (0..rows.depth).step_by(DEPTH) {
            let depth = DEPTH.min(rows.depth - start);
            let pieces = w[start * inputs..].chunks_exact(inputs).take(depth);
            for (step, row) in pieces.enumerate() {
                let piece = &row[first_input..][..width];
                for (panel, piece) in piece.chunks(WIDTH).enumerate() {
                    widen(piece, &mut lines[panel * DEPTH + step].0);
                }
            }
            let rows = &rows.blocks[start / DEPTH * rows.rows + first_row..][..count];
            for (panel, sums) in lines.chunks_exact(DEPTH).zip(sums.chunks_exact(count)) {
                blocks_times_panel(simd, rows, &panel[..depth], sums);
            }
        }
        for (panel, sums) in sums.chunks_exact(count).enumerate() {
            for (y, sum) in y.iter_mut().zip(sums) {
                let y = &mut y[panel * WIDTH..];
                match y.first_chunk_mut::<WIDTH>() {
                    Some(y) => *y = sum.get(),
                    None => y.copy_from_slice(&sum.get()[..y.len()]),
                }
            }
        }
    }
}
