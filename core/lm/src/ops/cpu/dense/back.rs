//! The way back: numbers of the rows are read one by one beside panels of the matrix, whose columns lie side by side in memory already.

use half::bf16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::panel::{Block, DEPTH, Line, Next, WIDTH, add_blocks, steps};
use super::super::{PIECE, vectorized, zeros};
use super::{Number, tasks};

/// Panels of a strip: what they take beside the rows of a group stays in the second-level cache.
const PANELS: usize = 4;
/// Rows that meet a strip before the next rows do: whole tiles.
const GROUP: usize = 120;

/// `g w`: rows of `in` numbers, for rows `g` of `outputs` numbers and a matrix `[outputs, in]`. Strips of its columns are packed once
/// each, and meet all rows, or a part where there are more threads than strips.
pub(in crate::ops) fn times((g, outputs): (&[f32], usize), w: &[bf16]) -> Vec<f32> {
    let width = w.len() / outputs.max(1);
    let count = g.len() / outputs.max(1);
    let mut y = zeros(count * width);
    if y.is_empty() {
        return y;
    }
    let rows = Rows::new(g, outputs);
    let threads = rayon::current_num_threads();
    let panels = width.div_ceil(WIDTH);
    let strips = panels.div_ceil(PANELS).max(2 * threads);
    let columns = panels.div_ceil(strips.next_multiple_of(threads)) * WIDTH;
    let strips = width.div_ceil(columns);
    let parts = (2 * threads).div_ceil(strips).min(count.div_ceil(GROUP));
    let height = count.div_ceil(parts);
    let tasks = tasks(&mut y, (height, width), columns).into_par_iter();
    let tasks = tasks.with_max_len(1).enumerate();
    tasks.for_each(|(task, y)| {
        vectorized(Strip {
            rows: &rows,
            first_row: task / strips * height,
            w,
            width,
            first_column: task % strips * columns,
            y,
        });
    });
    y
}

/// Rows in blocks: first the first block of each row.
struct Rows {
    blocks: Vec<Block>,
    count: usize,
    depth: usize,
}

impl Rows {
    /// Of rows of `depth` numbers.
    fn new(numbers: &[f32], depth: usize) -> Self {
        let count = numbers.len() / depth;
        let block = |i: usize| {
            let (start, row) = (i / count * DEPTH, i % count);
            let mut block = [0.0; DEPTH];
            let from = &numbers[row * depth + start..][..DEPTH.min(depth - start)];
            block[..from.len()].copy_from_slice(from);
            block
        };
        Self {
            blocks: (0..depth.div_ceil(DEPTH) * count)
                .into_par_iter()
                .with_min_len(PIECE / DEPTH)
                .map(block)
                .collect(),
            count,
            depth,
        }
    }
}

/// Some columns of [`times`] for some rows: `y` are the pieces of those rows.
struct Strip<'a> {
    rows: &'a Rows,
    first_row: usize,
    w: &'a [bf16],
    /// Numbers of a row of the matrix.
    width: usize,
    first_column: usize,
    y: Vec<&'a mut [f32]>,
}

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            rows,
            first_row,
            w,
            width,
            first_column,
            mut y,
        } = self;
        let columns = y.first().map_or(0, |piece| piece.len());
        let panels = columns.div_ceil(WIDTH);
        let mut lines = vec![Line::ZERO; panels * DEPTH];
        let mut sums = vec![Line::ZERO; panels * y.len()];
        for start in (0..rows.depth).step_by(DEPTH) {
            let depth = DEPTH.min(rows.depth - start);
            let numbers = w[start * width..].chunks_exact(width).take(depth);
            for (step, row) in numbers.enumerate() {
                let row = &row[first_column..first_column + columns];
                for (panel, piece) in row.chunks(WIDTH).enumerate() {
                    bf16::widen(piece, &mut lines[panel * DEPTH + step].0);
                }
            }
            // Behind the last rows of these columns come the next columns.
            let next = match w.get((start + DEPTH) * width + first_column..) {
                Some(rows) => rows,
                None => w.get(first_column + columns..).unwrap_or_default(),
            };
            let next = Next::of_rows(next, width, (DEPTH, columns));
            let mut ahead = next.over(steps::<S>((y.len(), depth, WIDTH)) * panels);
            let blocks = &rows.blocks[start / DEPTH * rows.count + first_row..][..y.len()];
            for (group, blocks) in blocks.chunks(GROUP).enumerate() {
                let panels = lines
                    .chunks_exact(DEPTH)
                    .zip(sums.chunks_exact_mut(y.len()));
                for (lines, sums) in panels {
                    let sums = &mut sums[group * GROUP..][..blocks.len()];
                    ahead = add_blocks(simd, (blocks, &lines[..depth], WIDTH), sums, ahead);
                }
            }
        }
        for (panel, sums) in sums.chunks_exact(y.len()).enumerate() {
            for (y, sums) in y.iter_mut().zip(sums) {
                let y = &mut y[panel * WIDTH..];
                let count = WIDTH.min(y.len());
                y[..count].copy_from_slice(&sums.0[..count]);
            }
        }
    }
}
