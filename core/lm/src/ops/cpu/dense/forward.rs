//! Rows times the transpose of a matrix.

use std::cell::Cell;

use half::bf16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::transpose::{SIDE, Turn};
use super::{DEPTH, GROUP, Line, WIDTH, blocks_times_panel, sums, tasks, vectorized, widen, zeros};

/// Rows of the matrix that one task multiplies with: whole tiles.
const STRIP: usize = 48;

/// `x w^T`: rows of `out` numbers, for rows `x` of `depth` numbers and a matrix `[out, depth]`.
pub(in crate::ops) fn times_transposed((x, depth): (&[f32], usize), w: &[bf16]) -> Vec<f32> {
    let (rows, outputs) = (x.len() / depth.max(1), w.len() / depth.max(1));
    let mut y = zeros(rows * outputs);
    if y.is_empty() {
        return y;
    }
    let columns = columns(x, depth);
    let strips = outputs.div_ceil(STRIP);
    let tasks = tasks(&mut y, outputs, STRIP).into_par_iter();
    tasks.enumerate().for_each(|(task, y)| {
        let (group, strip) = (task / strips, task % strips);
        vectorized(Strip {
            panels: &columns[group * GROUP / WIDTH * depth..],
            depth,
            w: &w[strip * STRIP * depth..],
            y,
        });
    });
    y
}

/// Rows as columns of panels: for each panel of rows a line for each step of the inner dimension.
fn columns(x: &[f32], depth: usize) -> Vec<Line> {
    let rows = x.len() / depth;
    let mut lines = vec![Line::ZERO; rows.div_ceil(WIDTH) * depth];
    lines
        .par_chunks_exact_mut(depth)
        .zip(x.par_chunks(WIDTH * depth))
        .for_each(|(lines, x)| transpose(x, lines));
    lines
}

/// Rows of `x`, at most as many as a panel has columns, as those columns.
fn transpose(x: &[f32], lines: &mut [Line]) {
    let (turn, depth) = (Turn::new(), lines.len());
    let rows: Vec<&[f32]> = x.chunks_exact(depth).collect();
    for (half, rows) in rows.chunks(SIDE).enumerate() {
        let at = half * SIDE;
        for (block, lines) in lines.chunks_mut(SIDE).enumerate() {
            let from = block * SIDE;
            let row = |j: usize| -> [f32; SIDE] {
                let row = rows.get(j).map_or(&[][..], |row| &row[from..]);
                match row.first_chunk() {
                    Some(whole) => *whole,
                    None => std::array::from_fn(|i| row.get(i).copied().unwrap_or(0.0)),
                }
            };
            let turned = turn.block(&std::array::from_fn(row));
            for (line, turned) in lines.iter_mut().zip(&turned) {
                line.0[at..at + SIDE].copy_from_slice(turned);
            }
        }
    }
}

/// Some outputs for some rows: `y` are the pieces of those rows, `w` begins with the matrix' rows of those outputs.
struct Strip<'a> {
    panels: &'a [Line],
    depth: usize,
    w: &'a [bf16],
    y: Vec<&'a mut [f32]>,
}

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            panels,
            depth,
            w,
            mut y,
        } = self;
        let outputs = y.first().map_or(0, |piece| piece.len());
        let sums = sums(y.len().div_ceil(WIDTH) * outputs);
        // Read in the order of memory, which the processor foresees.
        let mut blocks = vec![[0.0; DEPTH]; depth.div_ceil(DEPTH) * outputs];
        for (output, w) in w.chunks_exact(depth).take(outputs).enumerate() {
            for (number, piece) in w.chunks(DEPTH).enumerate() {
                widen(piece, &mut blocks[number * outputs + output]);
            }
        }
        for (start, rows) in (0..).step_by(DEPTH).zip(blocks.chunks_exact(outputs)) {
            let end = depth.min(start + DEPTH);
            let panels = panels.chunks_exact(depth);
            for (panel, sums) in panels.zip(sums.chunks_exact(outputs)) {
                blocks_times_panel(simd, rows, &panel[start..end], sums);
            }
        }
        for (y, sums) in y.chunks_mut(WIDTH).zip(sums.chunks_exact(outputs)) {
            write_transposed(y, sums);
        }
    }
}

/// Writes sums of outputs for some rows into the pieces of those rows.
fn write_transposed(y: &mut [&mut [f32]], sums: &[Cell<[f32; WIDTH]>]) {
    let turn = Turn::new();
    for (block, sums) in sums.chunks(SIDE).enumerate() {
        let from = block * SIDE;
        let mut halves = [[[0.0; SIDE]; SIDE]; 2];
        for (output, sum) in sums.iter().enumerate() {
            let sum = sum.get();
            for (half, sum) in halves.iter_mut().zip(sum.as_chunks::<SIDE>().0) {
                half[output] = *sum;
            }
        }
        for (half, y) in halves.iter().zip(y.chunks_mut(SIDE)) {
            for (y, turned) in y.iter_mut().zip(&turn.block(half)) {
                match y[from..].first_chunk_mut::<SIDE>() {
                    Some(y) => *y = *turned,
                    None => y[from..].copy_from_slice(&turned[..sums.len()]),
                }
            }
        }
    }
}
