//! Prompts and their rows: as the harness numbers them, or as they are found here.

use std::sync::Arc;

use driftgauge_plugin_sdk::prompts::PromptIds;
use driftgauge_plugin_sdk::texts::TextList;
use driftgauge_plugin_sdk::wire::SampleIds;
use driftgauge_plugin_sdk::{Batch, MetricError, Sample};

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
    pub(super) fn told<'s>(
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
    pub(super) fn named(&self, rows: Vec<u32>) -> SampleIds {
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
