//! Products of many rows with a frozen matrix in `bf16` as it lies in memory, `[out, in]`: with its transpose on the way forward,
//! with itself on the way back. It is widened piece by piece beside the rows that it meets, so it is in memory once.
//!
//! An element is one chain of fused multiplications and additions in the order of the inner dimension: the tiles, and so the number
//! of threads, change nothing.

mod matrix;

#[cfg(test)]
mod tests;

use half::bf16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::panel::{Block, DEPTH, Line, WIDTH, times_blocks};
use super::{PIECE, transpose, vectorized, zeros};
use matrix::Matrix;

/// Panels of a strip: what they take beside the rows of a group stays in the second-level cache.
const PANELS: usize = 4;
/// Rows that meet a strip before the next rows do: whole tiles.
const GROUP: usize = 120;

/// `x w^T`: rows of `out` numbers, for rows `x` of `depth` numbers and a matrix `[out, depth]`.
pub(in crate::ops) fn times_transposed((x, depth): (&[f32], usize), w: &[bf16]) -> Vec<f32> {
    product(x, Matrix::transposed(w, depth))
}

/// `g w`: rows of `in` numbers, for rows `g` of `outputs` numbers and a matrix `[outputs, in]`.
pub(in crate::ops) fn times((g, outputs): (&[f32], usize), w: &[bf16]) -> Vec<f32> {
    product(g, Matrix::new(w, w.len() / outputs.max(1)))
}

/// Rows times a matrix: strips of its columns are packed once each, and meet all rows, or a part where there are more threads than strips.
fn product(x: &[f32], matrix: Matrix<'_>) -> Vec<f32> {
    let (depth, width) = matrix.shape();
    let count = x.len() / depth.max(1);
    let mut y = zeros(count * width);
    if y.is_empty() {
        return y;
    }
    let rows = Rows::new(x, depth);
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
            matrix,
            first_column: task % strips * columns,
            y,
        });
    });
    y
}

/// Cuts a result of rows of `width` numbers into tasks: parts of `height` rows, and of each part strips of `columns` numbers. A task is
/// the pieces of its rows; the strips of a part follow each other.
fn tasks(y: &mut [f32], (height, width): (usize, usize), columns: usize) -> Vec<Vec<&mut [f32]>> {
    let strips = width.div_ceil(columns);
    let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
    for part in y.chunks_mut(height * width) {
        let first = tasks.len();
        let count = part.len() / width;
        tasks.extend((0..strips).map(|_| Vec::with_capacity(count)));
        for row in part.chunks_exact_mut(width) {
            for (task, piece) in tasks[first..].iter_mut().zip(row.chunks_mut(columns)) {
                task.push(piece);
            }
        }
    }
    tasks
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

/// Some columns of [`product`] for some rows: `y` are the pieces of those rows.
struct Strip<'a> {
    rows: &'a Rows,
    first_row: usize,
    matrix: Matrix<'a>,
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
            matrix,
            first_column,
            mut y,
        } = self;
        let width = y.first().map_or(0, |piece| piece.len());
        let columns = first_column..first_column + width;
        let mut lines = vec![Line::ZERO; width.div_ceil(WIDTH) * DEPTH];
        for start in (0..rows.depth).step_by(DEPTH) {
            let depth = DEPTH.min(rows.depth - start);
            matrix.pack(start..start + depth, columns.clone(), &mut lines);
            let blocks = &rows.blocks[start / DEPTH * rows.count + first_row..][..y.len()];
            for (blocks, y) in blocks.chunks(GROUP).zip(y.chunks_mut(GROUP)) {
                for (panel, lines) in lines.chunks_exact(DEPTH).enumerate() {
                    let begun = start > 0;
                    times_blocks(simd, (blocks, &lines[..depth]), y, panel * WIDTH, begun);
                }
            }
        }
    }
}
