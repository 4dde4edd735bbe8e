//! The way forward: the rows are packed side by side once, and numbers of the matrix are read one by one beside them, in the order that
//! they have in memory.

use half::bf16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::panel::{DEPTH, Line, WIDTH, vectors};
use super::super::transpose::{SIDE, Turn};
use super::super::{vectorized, zeros};
use super::rows::Rows;
use super::{tasks, widen};

/// Outputs of a tile: with two vectors of rows as many sums as the registers hold; half of them where vectors are narrow.
const TILE: usize = 12;
/// Outputs of a task: whole tiles, and whole blocks to turn around.
const STRIP: usize = 48;
/// Panels of rows of a task at most: their sums stay in the second-level cache.
const PANELS: usize = 8;

/// Rows of the matrix of one tile, as many numbers of each as a block has lines.
type Numbers = [[f32; DEPTH]; TILE];

/// `x w^T`: rows of `out` numbers, for rows `x` of `depth` numbers and a matrix `[out, depth]`.
pub(in crate::ops) fn times_transposed((x, depth): (&[f32], usize), w: &[bf16]) -> Vec<f32> {
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
struct Strip<'a> {
    rows: &'a Rows,
    first_panel: usize,
    w: &'a [bf16],
    depth: usize,
    y: Vec<&'a mut [f32]>,
}

impl WithSimd for Strip<'_> {
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
        let mut tiles = vec![[[0.0; DEPTH]; TILE]; outputs.div_ceil(TILE)];
        for start in (0..depth).step_by(DEPTH) {
            let length = DEPTH.min(depth - start);
            let from = w.chunks_exact(depth).take(outputs);
            for (row, to) in from.zip(tiles.as_flattened_mut()) {
                widen(&row[start..start + length], to);
            }
            for (panel, sums) in sums.iter_mut().enumerate() {
                let lines = &rows.lines(start / DEPTH, first_panel + panel)[..length];
                let count = WIDTH.min(y.len() - panel * WIDTH);
                add_panel::<S>(simd, (lines, count), &tiles, sums);
            }
        }
        for (sums, y) in sums.iter().zip(y.chunks_mut(WIDTH)) {
            write(sums, y);
        }
    }
}

/// Adds the products of every tile with as many rows of a panel as there are.
#[inline(always)]
fn add_panel<S: Simd>(
    simd: S,
    (lines, count): (&[Line], usize),
    tiles: &[Numbers],
    sums: &mut [Line; STRIP],
) {
    const HALF: usize = TILE / 2;
    for start in (0..count).step_by(2 * S::F32_LANES) {
        for (tile, sums) in tiles.iter().zip(sums.as_chunks_mut::<TILE>().0) {
            if S::F32_LANES >= 16 {
                add_tile::<S, TILE>(simd, (lines, start), tile, sums);
                continue;
            }
            let (tiles, sums) = (tile.as_chunks::<HALF>().0, sums.as_chunks_mut::<HALF>().0);
            for (tile, sums) in tiles.iter().zip(sums) {
                add_tile::<S, HALF>(simd, (lines, start), tile, sums);
            }
        }
    }
}

/// The same of some outputs and two vectors of rows.
#[inline(always)]
fn add_tile<S: Simd, const R: usize>(
    simd: S,
    (lines, start): (&[Line], usize),
    tile: &[[f32; DEPTH]; R],
    sums: &mut [Line; R],
) {
    let mut chains = [[simd.splat_f32s(0.0); 2]; R];
    for (chains, sums) in chains.iter_mut().zip(sums.iter()) {
        *chains = vectors::<S, 2>(simd, &sums.0[start..]);
    }
    let lines = &lines[..lines.len().min(DEPTH)];
    for (k, line) in lines.iter().enumerate() {
        let line = vectors::<S, 2>(simd, &line.0[start..]);
        for (row, chains) in tile.iter().zip(&mut chains) {
            let number = simd.splat_f32s(row[k]);
            for v in 0..2 {
                chains[v] = simd.mul_add_f32s(number, line[v], chains[v]);
            }
        }
    }
    for (chains, sums) in chains.iter().zip(sums) {
        let chains: &[f32] = pulp::bytemuck::cast_slice(chains);
        sums.0[start..start + 2 * S::F32_LANES].copy_from_slice(chains);
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
