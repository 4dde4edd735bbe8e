//! Rows side by side in panels: a line holds the numbers of as many rows at one place.

use rayon::prelude::*;

use super::super::PIECE;
use super::super::panel::{DEPTH, Line, WIDTH};
use super::super::transpose::{SIDE, Turn};

/// Rows in panels of [`WIDTH`], each in blocks of [`DEPTH`] lines: first the first block of each panel. The last block is as short as
/// whole turned blocks allow; rows and places that there are not are zero.
pub(super) struct Rows {
    lines: Vec<Line>,
    panels: usize,
    depth: usize,
}

impl Rows {
    /// Of rows of `depth` numbers.
    pub(super) fn new(numbers: &[f32], depth: usize) -> Self {
        const OF_BLOCK: usize = DEPTH / SIDE;
        let panels = (numbers.len() / depth).div_ceil(WIDTH);
        let of_panel = depth.div_ceil(SIDE);
        let turn = Turn::new();
        let some = |i: usize| {
            let (block, within) = (i / (panels * OF_BLOCK), i % (panels * OF_BLOCK));
            let of_block = OF_BLOCK.min(of_panel - block * OF_BLOCK);
            let place = block * DEPTH + within % of_block * SIDE;
            let rows = &numbers[within / of_block * WIDTH * depth..];
            lines(turn, rows, depth, place)
        };
        let lines: Vec<[Line; SIDE]> = (0..of_panel * panels)
            .into_par_iter()
            .with_min_len(PIECE / WIDTH / SIDE)
            .map(some)
            .collect();
        Self {
            lines: lines.into_flattened(),
            panels,
            depth: of_panel * SIDE,
        }
    }

    /// The lines of a block of a panel.
    pub(super) fn lines(&self, block: usize, panel: usize) -> &[Line] {
        let start = block * DEPTH;
        let length = DEPTH.min(self.depth - start);
        &self.lines[start * self.panels + panel * length..][..length]
    }
}

/// Some lines of a panel from a place on; `rows` are those of the panel and all behind it.
fn lines(turn: Turn, rows: &[f32], depth: usize, place: usize) -> [Line; SIDE] {
    let mut lines = [Line::ZERO; SIDE];
    for (half, rows) in rows.chunks(SIDE * depth).take(WIDTH / SIDE).enumerate() {
        let mut block = [[0.0; SIDE]; SIDE];
        for (block, row) in block.iter_mut().zip(rows.chunks_exact(depth)) {
            match row[place..].first_chunk() {
                Some(row) => *block = *row,
                None => block[..depth - place].copy_from_slice(&row[place..]),
            }
        }
        for (line, turned) in lines.iter_mut().zip(&turn.block(&block)) {
            line.0.as_chunks_mut().0[half] = *turned;
        }
    }
    lines
}
