//! Products of many rows with a frozen matrix in `bf16` as it lies in memory, `[out, in]`: with its transpose on the way forward,
//! with itself on the way back. It is widened piece by piece beside the rows that it meets, so it is in memory once.
//!
//! An element is one chain of fused multiplications and additions in the order of the inner dimension: the tiles, and so the number
//! of threads, change nothing.

mod back;
mod forward;

#[cfg(test)]
mod tests;

use std::cell::Cell;

use half::bf16;

use super::panel::{Block, DEPTH, Line, WIDTH, blocks_times_panel};
use super::{PIECE, transpose, vectorized, zeros};

pub(in crate::ops) use back::times;
pub(in crate::ops) use forward::times_transposed;

/// Rows of the other operand in one task.
const GROUP: usize = 8 * WIDTH;

/// As whole numbers, which they are exactly.
#[inline(always)]
fn widen(from: &[bf16], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f32::from_bits(u32::from(from.to_bits()) << 16);
    }
}

/// Cuts a result of rows of `width` numbers into tasks: groups of rows, and of each group strips of `columns` numbers. A task is
/// the pieces of its rows; the strips of a group follow each other.
fn tasks(y: &mut [f32], width: usize, columns: usize) -> Vec<Vec<&mut [f32]>> {
    let strips = width.div_ceil(columns);
    let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
    for group in y.chunks_mut(GROUP * width) {
        let first = tasks.len();
        let count = group.len() / width;
        tasks.extend((0..strips).map(|_| Vec::with_capacity(count)));
        for row in group.chunks_exact_mut(width) {
            for (task, piece) in tasks[first..].iter_mut().zip(row.chunks_mut(columns)) {
                task.push(piece);
            }
        }
    }
    tasks
}

/// Sums of tiles, a row of a panel each.
fn sums(count: usize) -> Vec<Cell<[f32; WIDTH]>> {
    vec![Cell::new([0.0; WIDTH]); count]
}
