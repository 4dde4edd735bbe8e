//! The frozen matrix, packed into panels piece by piece.

use std::ops::Range;

use half::bf16;

use super::transpose::{SIDE, Turn};
use super::{DEPTH, Line, WIDTH};

/// A matrix as it lies in memory, or its transpose.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    numbers: &'a [bf16],
    /// Numbers of a row in memory.
    width: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// Rows of `width` numbers.
    pub(super) fn new(numbers: &'a [bf16], width: usize) -> Self {
        Self {
            numbers,
            width,
            transposed: false,
        }
    }

    /// The transpose of rows of `width` numbers.
    pub(super) fn transposed(numbers: &'a [bf16], width: usize) -> Self {
        Self {
            transposed: true,
            ..Self::new(numbers, width)
        }
    }

    /// Rows and columns.
    pub(super) fn shape(self) -> (usize, usize) {
        let height = self.numbers.len() / self.width.max(1);
        match self.transposed {
            true => (self.width, height),
            false => (height, self.width),
        }
    }

    /// Writes some columns of at most [`DEPTH`] rows as panels of so many lines each.
    #[inline(always)]
    pub(super) fn pack(self, rows: Range<usize>, columns: Range<usize>, lines: &mut [Line]) {
        match self.transposed {
            true => self.pack_transposed(rows, columns, lines),
            false => self.pack_plain(rows, columns, lines),
        }
    }

    #[inline(always)]
    fn pack_plain(self, rows: Range<usize>, columns: Range<usize>, lines: &mut [Line]) {
        for (step, row) in rows.enumerate() {
            let row = &self.numbers[row * self.width..][columns.clone()];
            for (panel, piece) in row.chunks(WIDTH).enumerate() {
                widen(piece, &mut lines[panel * DEPTH + step].0);
            }
        }
    }

    #[inline(always)]
    fn pack_transposed(self, rows: Range<usize>, columns: Range<usize>, lines: &mut [Line]) {
        let turn = Turn::new();
        for column in columns.clone().step_by(SIDE) {
            let (panel, at) = (
                (column - columns.start) / WIDTH,
                (column - columns.start) % WIDTH,
            );
            let lines = &mut lines[panel * DEPTH..][..DEPTH];
            for (from, lines) in rows.clone().step_by(SIDE).zip(lines.chunks_mut(SIDE)) {
                let turned = turn.block(&self.block(column, from));
                for (line, turned) in lines.iter_mut().zip(&turned) {
                    line.0[at..at + SIDE].copy_from_slice(turned);
                }
            }
        }
    }

    /// A block of memory, zero where there is none.
    #[inline(always)]
    fn block(self, row: usize, column: usize) -> [[f32; SIDE]; SIDE] {
        let mut block = [[0.0; SIDE]; SIDE];
        let width = SIDE.min(self.width - column);
        let rows = self.numbers[row * self.width..].chunks_exact(self.width);
        for (row, block) in rows.zip(&mut block) {
            match row[column..].first_chunk::<SIDE>() {
                Some(row) => widen(row, block),
                None => widen(&row[column..], &mut block[..width]),
            }
        }
        block
    }
}

/// As whole numbers, which they are exactly.
#[inline(always)]
fn widen(from: &[bf16], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f32::from_bits(u32::from(from.to_bits()) << 16);
    }
}
