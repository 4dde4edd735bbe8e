//! What a column keeps of each prompt. Of a prompt that was asked once and has a score of 0 or 1, as most have, that is a byte.

use driftgauge_plugin_sdk::wire::ScoreValues;

use crate::room::reach;

/// A prompt's part of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cell {
    pub(crate) sum: f64,
    /// Completions with a score.
    pub(crate) n: u32,
    /// Completions, with a score or without.
    pub(crate) asked: u32,
}

impl Cell {
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / f64::from(self.n))
    }

    /// With the score of one more completion.
    fn with(self, score: Option<f64>) -> Self {
        Self {
            sum: self.sum + score.unwrap_or_default(),
            n: self.n + u32::from(score.is_some()),
            asked: self.asked + 1,
        }
    }
}

/// The cells that are a byte, by that byte: never asked, asked once and without a score, with a score of 0, with one of 1.
const SMALL: [Cell; 4] = [
    cell(0.0, 0, 0),
    cell(0.0, 0, 1),
    cell(0.0, 1, 1),
    cell(1.0, 1, 1),
];

const fn cell(sum: f64, n: u32, asked: u32) -> Cell {
    Cell { sum, n, asked }
}

/// Cells in order.
#[derive(Debug, Clone)]
pub(crate) enum Cells {
    /// As long as all are among [`SMALL`].
    Small(Vec<u8>),
    Any(Vec<Cell>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl Cells {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Small(codes) => codes.len(),
            Self::Any(cells) => cells.len(),
        }
    }

    pub(crate) fn get(&self, place: usize) -> Option<Cell> {
        match self {
            Self::Small(codes) => codes.get(place).map(|&code| SMALL[usize::from(code)]),
            Self::Any(cells) => cells.get(place).copied(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Cell> + Clone {
        let (codes, cells) = match self {
            Self::Small(codes) => (&codes[..], &[][..]),
            Self::Any(cells) => (&[][..], &cells[..]),
        };
        let small = codes.iter().map(|&code| SMALL[usize::from(code)]);
        small.chain(cells.iter().copied())
    }

    /// The codes, where all cells are one.
    pub(crate) fn codes(&self) -> Option<&[u8]> {
        match self {
            Self::Small(codes) => Some(codes),
            Self::Any(_) => None,
        }
    }

    /// The scores, where each cell was asked once and has one of 0 or 1.
    pub(crate) fn scores(&self) -> Option<ScoreValues> {
        let codes = self.codes()?;
        let all = codes.iter().all(|&code| code >= 2);
        all.then(|| ScoreValues::of_flags(codes, |&code| code == 3))
    }

    /// How many prompts have the mean score 0 and how many 1, where none has another.
    pub(crate) fn binary(&self) -> Option<(u64, u64)> {
        if let Self::Small(codes) = self {
            let count = |wanted| codes.iter().filter(|&&code| code == wanted).count() as u64;
            return Some((count(2), count(3)));
        }
        let (mut scored, mut zeros, mut ones) = (0, 0, 0);
        for cell in self.iter().filter(|cell| cell.n > 0) {
            scored += 1;
            zeros += u64::from(cell.sum == 0.0);
            ones += u64::from(cell.sum == f64::from(cell.n));
        }
        (zeros + ones == scored).then_some((zeros, ones))
    }

    /// Adds the score of one completion to a cell, made if it is new; `None` says that there is no score.
    pub(crate) fn add(&mut self, place: usize, score: Option<f64>) {
        match self {
            Self::Small(codes) => reach(codes, place, 0),
            Self::Any(cells) => reach(cells, place, Cell::default()),
        }
        if let Self::Small(codes) = self {
            match code(SMALL[usize::from(codes[place])].with(score)) {
                Some(code) => {
                    codes[place] = code;
                    return;
                }
                None => *self = Self::Any(self.iter().collect()),
            }
        }
        if let Self::Any(cells) = self {
            cells[place] = cells[place].with(score);
        }
    }

    fn push(&mut self, cell: Cell) {
        match self {
            Self::Any(cells) => cells.push(cell),
            Self::Small(codes) => match code(cell) {
                Some(code) => codes.push(code),
                None => *self = Self::Any(self.iter().chain([cell]).collect()),
            },
        }
    }
}

/// The place in [`SMALL`] of a cell that is there.
fn code(cell: Cell) -> Option<u8> {
    let code = match (cell.asked, cell.n) {
        (0, _) => 0,
        (_, 0) => 1,
        _ if cell.sum == 0.0 => 2,
        _ => 3,
    };
    (SMALL[usize::from(code)] == cell).then_some(code)
}

impl Extend<Cell> for Cells {
    fn extend<I: IntoIterator<Item = Cell>>(&mut self, cells: I) {
        cells.into_iter().for_each(|cell| self.push(cell));
    }
}

impl FromIterator<Cell> for Cells {
    fn from_iter<I: IntoIterator<Item = Cell>>(cells: I) -> Self {
        let mut all = Self::default();
        all.extend(cells);
        all
    }
}

impl PartialEq for Cells {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each cell of both forms is what the scores that were added make of it, in whatever order.
    #[test]
    fn small_cells_and_others_are_the_same_cells() {
        let scores = [
            (0, Some(1.0)),
            (2, Some(0.0)),
            (3, None),
            (4, Some(-0.0)),
            (1, Some(1.0)),
            (3, Some(1.0)),
            (1, Some(0.25)),
            (6, Some(0.5)),
            (0, None),
        ];
        let mut cells = Cells::default();
        let mut plain: Vec<Cell> = Vec::new();
        for (added, (place, score)) in scores.into_iter().enumerate() {
            cells.add(place, score);
            plain.resize(plain.len().max(place + 1), Cell::default());
            let cell = &mut plain[place];
            cell.asked += 1;
            if let Some(score) = score {
                cell.sum += score;
                cell.n += 1;
            }
            assert!(cells.iter().eq(plain.iter().copied()), "after {added}");
            assert_eq!(matches!(cells, Cells::Small(_)), added < 5, "after {added}");
            assert_eq!((cells.get(place), cells.get(7)), (Some(plain[place]), None));
            assert_eq!(cells, plain.iter().copied().collect());
            assert_eq!(cells.binary(), Cells::Any(plain.clone()).binary());
        }
        assert_eq!(cells.len(), 7);
        assert_eq!(cells.binary(), None);
        let two = Cells::Any(vec![cell(2.0, 2, 2), cell(0.0, 3, 4), cell(0.0, 0, 1)]);
        assert_eq!(two.binary(), Some((1, 1)));
    }
}
