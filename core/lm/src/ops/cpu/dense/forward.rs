//! The way forward: the rows are packed side by side once, and numbers of the matrix are read one by one beside them, in the order that
//! they have in memory.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::panel::{Block, DEPTH, Line, Next, WIDTH, add_blocks, steps};
use super::super::transpose::{SIDE, Turn};
use super::super::{vectorized, zeros};
use super::rows::Rows;
use super::{Number, tasks};

/// Outputs of a task: whole tiles, and whole blocks to turn around.
const STRIP: usize = 48;
/// Panels of rows of a task at most: their sums stay in the second-level cache.
const PANELS: usize = 8;

/// `x w^T`: rows of `out` numbers, for rows `x` of `depth` numbers and a matrix `[out, depth]`.
pub(in crate::ops) fn times_transposed<N: Number>(
    (x, depth): (&[f32], usize),
    w: &[N],
) -> Vec<f32> {
    let width = w.len() / depth.max(1);
    let mut y = zeros(x.len() / depth.max(1) * width);
    if y.is_empty() {
        return y;
    }
    let rows = Rows::new(x, depth);
    let strips = width.div_ceil(STRIP);
    let tasks = tasks(&mut y, (PANELS * WIDTH, width), STRIP).into_par_iter();
    tasks.with_max_len(1).enumerate().for_each(|(task, y)| {
        vectorized(Strip {
            rows: &rows,
            first_panel: task / strips * PANELS,
            w: &w[task % strips * STRIP * depth..],
            depth,
            y,
        });
    });
    y
}

/// Some outputs of [`times_transposed`] for some rows: `y` are the pieces of those rows, and `w` begins with those outputs.
struct Strip<'a, N> {
    rows: &'a Rows,
    first_panel: usize,
    w: &'a [N],
    depth: usize,
    y: Vec<&'a mut [f32]>,
}

impl<N: Number> WithSimd for Strip<'_, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            rows,
            first_panel,
            w,
            depth,
            mut y,
        } = self;
        let outputs = y.first().map_or(0, |piece| piece.len());
        let mut sums = vec![[Line::ZERO; STRIP]; y.len().div_ceil(WIDTH)];
        let mut blocks: Vec<Block> = vec![[0.0; DEPTH]; outputs];
        for start in (0..depth).step_by(DEPTH) {
            let length = DEPTH.min(depth - start);
            for (row, block) in w.chunks_exact(depth).zip(&mut blocks) {
                N::widen(&row[start..start + length], block);
            }
            // Behind the last numbers of these outputs come the next outputs.
            let next = match start + DEPTH < depth {
                true => &w[start + DEPTH..],
                false => w.get(STRIP * depth..).unwrap_or_default(),
            };
            let next = Next::of_rows(next, depth, (outputs, DEPTH));
            let mut ahead = next.over(steps::<S>((outputs, length, WIDTH)) * sums.len());
            for (panel, sums) in sums.iter_mut().enumerate() {
                let lines = &rows.lines(start / DEPTH, first_panel + panel)[..length];
                let count = WIDTH.min(y.len() - panel * WIDTH);
                ahead = add_blocks(simd, (&blocks, lines, count), sums, ahead);
            }
        }
        for (sums, y) in sums.iter().zip(y.chunks_mut(WIDTH)) {
            write(sums, y);
        }
    }
}

/// Writes the sums of a panel, a line for each output, into the pieces of its rows.
#[inline(always)]
fn write(sums: &[Line; STRIP], y: &mut [&mut [f32]]) {
    let turn = Turn::new();
    let outputs = y.first().map_or(0, |piece| piece.len());
    for (first, sums) in (0..outputs).step_by(SIDE).zip(sums.as_chunks().0) {
        for (half, y) in y.chunks_mut(SIDE).enumerate() {
            let block = sums
                .each_ref()
                .map(|line: &Line| line.0.as_chunks().0[half]);
            for (y, turned) in y.iter_mut().zip(&turn.block(&block)) {
                let y = &mut y[first..];
                match y.first_chunk_mut() {
                    Some(y) => *y = *turned,
                    None => y.copy_from_slice(&turned[..y.len()]),
                }
            }
        }
    }
}
