//! Per-prompt scores of one condition.
//!
//! A metric numbers prompts for all its conditions alike, so that the same row means the same prompt everywhere;
//! a column holds one score's sum and count per prompt. Several completions of one prompt average to its score: prompts,
//! not completions, are what intervals and paired tests count.

use std::sync::Arc;

use driftgauge_plugin_sdk::prompts::PromptIds;
use driftgauge_plugin_sdk::texts::TextList;
use driftgauge_plugin_sdk::wire::{SampleIds, ScoreKind, ScoreValues, Scores};
use driftgauge_plugin_sdk::{Batch, MetricError, Sample};
use indexmap::IndexMap;

use crate::cells::{Cell, Cells};
use crate::room::make_room;

/// Ids of prompts; their position is the row of every column.
#[derive(Debug, Clone)]
pub enum Prompts {
    /// As the harness numbers them, so that none has to be looked up.
    Told(Arc<TextList>),
    /// As they are found here.
    Found(PromptIds),
    /// As the harness numbers them, so many: it alone keeps their ids.
    Counted(usize),
}

impl Default for Prompts {
    fn default() -> Self {
        Self::Told(Arc::default())
    }
}

impl Prompts {
    /// The row of the prompt of each sample of a batch, made where it is new.
    ///
    /// # Errors
    /// When a sample cannot be read.
    pub fn rows(&mut self, batch: Batch<'_>) -> Result<Vec<u32>, MetricError> {
        let numbers = batch.column_prompt()?;
        if self.is_empty() && batch.host().names_prompts() {
            *self = Self::Counted(0);
        }
        if let Self::Counted(count) = self {
            let mut rows = Vec::with_capacity(numbers.len());
            for number in numbers {
                rows.push(counted(count, number)? as u32);
            }
            return Ok(rows);
        }
        if let Self::Told(ids) = self
            && let Some(rows) = told(&numbers, ids.len())
        {
            if rows.iter().any(|&row| row as usize >= ids.len()) {
                let new = batch.column_str("sample_id")?;
                let ids = Arc::make_mut(ids);
                for ((&row, id), sample) in rows.iter().zip(new).zip(batch.samples()) {
                    if row as usize == ids.len() {
                        ids.push(match id {
                            Some(id) => id,
                            None => sample.str("sample_id")?,
                        });
                    }
                }
            }
            return Ok(rows);
        }
        let each = batch.samples().zip(numbers);
        // Prompts are at most as many as samples, which fit in memory.
        each.map(|(sample, number)| Ok(self.numbered(number, &sample)? as u32))
            .collect()
    }

    /// The row of a sample's prompt, made if it is new.
    ///
    /// # Errors
    /// When the sample cannot be read.
    pub fn of(&mut self, sample: &Sample<'_>) -> Result<usize, MetricError> {
        self.numbered(sample.prompt()?, sample)
    }

    /// As [`Self::of`], where the number of the sample's prompt was read already.
    ///
    /// # Errors
    /// When the sample cannot be read.
    pub fn numbered(
        &mut self,
        number: Option<u32>,
        sample: &Sample<'_>,
    ) -> Result<usize, MetricError> {
        if let Self::Counted(count) = self {
            return counted(count, number);
        }
        if let Some(number) = number
            && let Some(row) = self.told(number as usize, || sample.str("sample_id"))?
        {
            return Ok(row);
        }
        Ok(self.row(sample.str("sample_id")?))
    }

    /// The row of a prompt that the harness numbers, made if it is the next one. `None` beyond: those are the prompts of samples that
    /// were not asked for, and their ids are nowhere.
    fn told<'s>(
        &mut self,
        row: usize,
        id: impl FnOnce() -> Result<&'s str, MetricError>,
    ) -> Result<Option<usize>, MetricError> {
        let Self::Told(ids) = self else {
            return Ok(None);
        };
        if row == ids.len() {
            Arc::make_mut(ids).push(id()?);
        }
        Ok((row < ids.len()).then_some(row))
    }

    /// The row of `id`, made if it is new.
    pub fn row(&mut self, id: &str) -> usize {
        if let Self::Told(ids) = self {
            let mut found = PromptIds::default();
            for id in ids.iter() {
                found.number(id);
            }
            *self = Self::Found(found);
        }
        match self {
            Self::Found(ids) => ids.number(id) as usize,
            // Those that the harness counts are asked for by their numbers alone.
            Self::Told(_) | Self::Counted(_) => 0,
        }
    }

    /// The row of `id`, when there is one.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<usize> {
        match self {
            Self::Told(ids) => ids.iter().position(|known| known == id),
            Self::Found(ids) => ids.find(id).map(|number| number as usize),
            Self::Counted(_) => None,
        }
    }

    /// The id of a row; no text where the harness alone keeps it.
    #[must_use]
    pub fn id(&self, row: usize) -> &str {
        let id = match self {
            Self::Told(ids) => ids.get(row),
            Self::Found(ids) => u32::try_from(row).ok().and_then(|number| ids.id(number)),
            Self::Counted(_) => None,
        };
        id.unwrap_or_default()
    }

    /// Number of prompts.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Told(ids) => ids.len(),
            Self::Found(ids) => ids.len(),
            Self::Counted(count) => *count,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of some rows, as scores name them.
    fn named(&self, rows: Vec<u32>) -> SampleIds {
        let all = match self {
            Self::Told(ids) => SampleIds::of_prompts(Arc::clone(ids)),
            Self::Found(ids) => ids.listed().into(),
            Self::Counted(count) => SampleIds::numbered(*count),
        };
        // Rows are those of prompts.
        all.at(rows).unwrap_or(all)
    }

    /// How pooled answers name the prompts of these rows: by their ids, or by their numbers where the harness alone keeps the ids.
    #[must_use]
    pub fn pooled(&self, rows: &[u32]) -> (Vec<String>, Vec<u32>) {
        match self {
            Self::Counted(_) => (Vec::new(), rows.to_vec()),
            _ => {
                let id = |row: &u32| self.id(*row as usize).to_owned();
                (rows.iter().map(id).collect(), Vec::new())
            }
        }
    }
}

/// The row of a prompt that the harness numbers and names: its number.
fn counted(count: &mut usize, number: Option<u32>) -> Result<usize, MetricError> {
    let missing =
        || MetricError::internal("the harness gave a sample without the number of its prompt");
    let row = number.ok_or_else(missing)? as usize;
    *count = (*count).max(row + 1);
    Ok(row)
}

/// The numbers of prompts, if every sample has one and each is known already or the next one.
fn told(numbers: &[Option<u32>], mut known: usize) -> Option<Vec<u32>> {
    let mut next = |number: u32| {
        known += usize::from(number as usize == known);
        ((number as usize) < known).then_some(number)
    };
    numbers.iter().map(|number| next((*number)?)).collect()
}

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
