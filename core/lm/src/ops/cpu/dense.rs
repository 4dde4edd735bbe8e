//! Products of rows with a matrix as it lies in memory, `[out, in]`: with its transpose on the way forward (`forward.rs`), with itself, in
//! `bf16`, on the way back (`back.rs`). It is copied piece by piece beside the rows that it meets, the next piece being fetched meanwhile: it
//! is in memory once, and it is turned around in neither direction.
//!
//! An element is one chain of fused multiplications and additions in the order of the inner dimension: the tiles, and so the number
//! of threads, change nothing.

mod back;
mod forward;
mod rows;

#[cfg(test)]
mod tests;

pub(in crate::ops) use back::times;
pub(in crate::ops) use forward::times_transposed;
use half::bf16;

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

/// A number as a matrix holds it.
pub(in crate::ops) trait Number: Copy + Sync {
    /// As numbers of 32 bits, which they are exactly.
    fn widen(from: &[Self], to: &mut [f32]);
}

impl Number for bf16 {
    #[inline(always)]
    fn widen(from: &[Self], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
    }
}

impl Number for f32 {
    #[inline(always)]
    fn widen(from: &[Self], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
}
