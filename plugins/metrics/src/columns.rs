//! Per-prompt scores of one condition.
//!
//! A metric numbers prompts for all its conditions alike, so that the same row means the same prompt everywhere;
//! a column holds one score's sum and count per prompt. Several completions of one prompt average to its score: prompts,
//! not completions, are what intervals and paired tests count.

mod prompts;

use driftgauge_plugin_sdk::wire::{ScoreKind, ScoreValues, Scores};
use indexmap::IndexMap;

use crate::cells::{Cell, Cells};
use crate::room::make_room;
pub use prompts::Prompts;

/// Values by condition, in the order the conditions were first seen.
#[derive(Debug, Clone)]
pub struct Conditions<T>(IndexMap<String, T>);

impl<T> Default for Conditions<T> {
    fn default() -> Self {
        Self(IndexMap::new())
    }
}

impl<T: Default> Conditions<T> {
    /// The place and value of a condition, made if it is new.
    pub fn entry(&mut self, condition: &str) -> (usize, &mut T) {
        // Samples come condition after condition.
        let last = self.0.len().wrapping_sub(1);
        let is_last = |(name, _): (&String, &T)| name == condition;
        let place = match self.0.get_index(last).is_some_and(is_last) {
            true => Some(last),
            false => self.0.get_index_of(condition),
        };
        let place =
            place.unwrap_or_else(|| self.0.insert_full(condition.to_owned(), T::default()).0);
        (place, &mut self.0[place])
    }

    /// The name of the condition at a place.
    #[must_use]
    pub fn name(&self, place: usize) -> &str {
        self.0.get_index(place).map_or("", |(name, _)| name)
    }

    /// Conditions with their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The values of the conditions, in order, to change.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.values_mut()
    }

    /// The value of a condition.
    #[must_use]
    pub fn get(&self, condition: &str) -> Option<&T> {
        self.0.get(condition)
    }

    /// The first condition seen.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(|(name, _)| name.as_str())
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Number of conditions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Sum and number of one score per prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    cells: Cells,
    /// The row of each cell, ascending; that of its place where there are none.
    rows: Option<Vec<u32>>,
}

impl Column {
    /// A column without scores, of prompts that were asked this often.
    #[must_use]
    pub fn asked(times: &[u32]) -> Self {
        let cell = |&asked: &u32| Cell {
            asked,
            ..Cell::default()
        };
        Self {
            cells: times.iter().map(cell).collect(),
            rows: None,
        }
    }

    /// Of each prompt's completions (`asked`), the share that was counted.
    #[must_use]
    pub fn shares(counted: &[u32], asked: &[u32]) -> Self {
        let cell = |(row, &asked): (usize, &u32)| Cell {
            sum: f64::from(counted.get(row).copied().unwrap_or(0)),
            n: asked,
            asked,
        };
        Self {
            cells: asked.iter().enumerate().map(cell).collect(),
            rows: None,
        }
    }

    /// Takes back every score that is `value` (0 or 1), in a column of 0s and 1s: it turns out not to be known.
    pub fn retract(&mut self, value: f64) {
        let without = |cell: Cell| {
            // A sum of 0s and 1s counts the 1s.
            let ones = cell.sum as u32;
            let (sum, n) = match value == 0.0 {
                true => (cell.sum, ones),
                false => (0.0, cell.n - ones),
            };
            Cell { sum, n, ..cell }
        };
        self.cells = self.cells.iter().map(without).collect();
    }

    /// Adds the score of one completion; `None` says that the prompt was asked and has no score here.
    pub fn add(&mut self, row: usize, score: Option<f64>) {
        debug_assert!(self.rows.is_none(), "a part of a column takes no scores");
        self.cells.add(row, score);
    }

    /// Mean score of a prompt; `None` when it has none.
    #[must_use]
    pub fn mean(&self, row: usize) -> Option<f64> {
        self.cell(row)?.mean()
    }

    fn cell(&self, row: usize) -> Option<Cell> {
        let place = match &self.rows {
            None => row,
            Some(rows) => rows.binary_search(&u32::try_from(row).ok()?).ok()?,
        };
        self.cells.get(place)
    }

    /// The cells with their rows.
    fn cells(&self) -> impl Iterator<Item = (u32, Cell)> {
        // The cells first: there may be no row after the last one.
        let cells = self.cells.iter().zip(0..);
        cells.map(move |(cell, place)| (self.row(place), cell))
    }

    /// Number of scored completions of a prompt.
    #[must_use]
    pub fn count(&self, row: usize) -> u32 {
        self.cell(row).map_or(0, |cell| cell.n)
    }

    /// Rows that were asked, in order.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        let seen = |(row, cell): (u32, Cell)| (cell.asked > 0).then_some(row as usize);
        self.cells().filter_map(seen)
    }

    /// The column without the rows that `keep` refuses.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = self.cells().filter(|(row, _)| keep(*row as usize));
        let (rows, cells) = kept.unzip();
        Self {
            cells,
            rows: Some(rows),
        }
    }

    /// The column taken apart: `part` says which of so many parts a row belongs to; rows of none are left out.
    #[must_use]
    pub fn split(&self, parts: usize, part: impl Fn(usize) -> Option<usize>) -> Vec<Self> {
        let column = |(rows, cells)| Self {
            cells,
            rows: Some(rows),
        };
        if let Some(codes) = self.cells.codes() {
            let parted = self.parted(codes.iter().copied(), parts, part);
            let cells = parted.map(|(rows, codes)| (rows, Cells::Small(codes)));
            return cells.map(column).collect();
        }
        let parted = self.parted(self.cells.iter(), parts, part);
        let cells = parted.map(|(rows, cells)| (rows, cells.into_iter().collect()));
        cells.map(column).collect()
    }

    /// The rows of each part, and what there is of each in `cells`, one for each cell of the column.
    fn parted<T>(
        &self,
        cells: impl Iterator<Item = T>,
        parts: usize,
        part: impl Fn(usize) -> Option<usize>,
    ) -> impl Iterator<Item = (Vec<u32>, Vec<T>)> {
        let mut found: Vec<(Vec<u32>, Vec<T>)> = Vec::new();
        found.resize_with(parts, Default::default);
        // The cells first: there may be no row after the last one.
        for (cell, place) in cells.zip(0..) {
            let row = self.row(place);
            if let Some((rows, cells)) = part(row as usize).and_then(|part| found.get_mut(part)) {
                make_room(rows, 1);
                rows.push(row);
                make_room(cells, 1);
                cells.push(cell);
            }
        }
        found.into_iter()
    }

    /// The row of the cell at a place.
    fn row(&self, place: u32) -> u32 {
        match &self.rows {
            None => place,
            Some(rows) => rows[place as usize],
        }
    }

    /// The column with every completion without a score counted as `score`.
    #[must_use]
    pub fn with_missing_as(&self, score: f64) -> Self {
        let fill = |cell: Cell| Cell {
            sum: cell.sum + score * f64::from(cell.asked - cell.n),
            n: cell.asked,
            asked: cell.asked,
        };
        Self {
            cells: self.cells.iter().map(fill).collect(),
            rows: self.rows.clone(),
        }
    }

    /// Mean scores of all prompts that have one.
    pub fn means(&self) -> impl Iterator<Item = f64> {
        self.cells.iter().filter_map(|cell| cell.mean())
    }

    /// [`Self::means`] as a list.
    #[must_use]
    pub fn scores(&self) -> Vec<f64> {
        // Most prompts have one.
        let mut scores = Vec::with_capacity(self.cells.len());
        scores.extend(self.means());
        scores
    }

    /// How many prompts have the mean score 0 and how many 1, where none has another.
    #[must_use]
    pub fn binary(&self) -> Option<(u64, u64)> {
        self.cells.binary()
    }

    /// Number of scored completions.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.cells.iter().map(|cell| u64::from(cell.n)).sum()
    }

    /// Whether some prompt has more than one scored completion.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.cells.iter().any(|cell| cell.n > 1)
    }

    /// Adds the scores as they cross the plugin boundary; they are binary when every one is 0 or 1. All share the list of the
    /// prompts' ids.
    pub fn add_scores(
        &self,
        id: &str,
        condition: &str,
        prompts: &Prompts,
        scores: &mut Vec<Scores>,
    ) {
        let (rows, values): (Vec<u32>, ScoreValues) = match self.cells.scores() {
            Some(values) => {
                let rows = self.cells.iter().zip(0..);
                let rows = rows.map(|(_, place)| self.row(place)).collect();
                (rows, values)
            }
            None => {
                let asked = self.cells().filter(|(_, cell)| cell.asked > 0);
                asked.map(|(row, cell)| (row, cell.mean())).unzip()
            }
        };
        let binary = self.binary().is_some();
        scores.push(Scores {
            id: id.to_owned(),
            condition: condition.to_owned(),
            kind: if binary {
                ScoreKind::Binary
            } else {
                ScoreKind::Real
            },
            sample_ids: prompts.named(rows),
            values,
        });
    }
}

#[cfg(test)]
mod tests;
