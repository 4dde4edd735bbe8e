//! What a plugin was shown, as far as its result can be held against it.

use std::collections::HashSet;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::field::{Field, Text};
use crate::rows::{Lookup, Rows};

/// Conditions and ids of the samples that a plugin was shown. Ids are kept as hashes: eight bytes a sample.
#[derive(Debug, Default)]
pub struct Seen {
    conditions: Vec<Condition>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Condition {
    id: String,
    samples: u64,
    ids: HashSet<u64, RandomState>,
}

impl Seen {
    /// Takes note of a batch.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn note(&mut self, rows: &dyn Rows) -> Result<(), String> {
        let mut place = None;
        for row in 0..rows.len() {
            let condition = present(rows.text(row, Field::Text(Text::Condition)))?;
            let id = present(rows.text(row, Field::Text(Text::SampleId)))?;
            let hash = self.hasher.hash_one(&*id);
            let known = place.filter(|&place: &usize| self.conditions[place].id == *condition);
            let at = known.unwrap_or_else(|| self.place(&condition));
            place = Some(at);
            let condition = &mut self.conditions[at];
            condition.samples += 1;
            condition.ids.insert(hash);
        }
        Ok(())
    }

    fn place(&mut self, id: &str) -> usize {
        let known = self.conditions.iter().position(|known| known.id == id);
        known.unwrap_or_else(|| {
            self.conditions.push(Condition {
                id: id.to_owned(),
                samples: 0,
                ids: HashSet::default(),
            });
            self.conditions.len() - 1
        })
    }

    /// Whether nothing was shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// How many samples a condition has; `None` where there is no such condition.
    #[must_use]
    pub fn samples(&self, condition: &str) -> Option<u64> {
        self.condition(condition).map(|known| known.samples)
    }

    /// Whether a condition has a sample of that id.
    #[must_use]
    pub fn has(&self, condition: &str, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        self.condition(condition)
            .is_some_and(|known| known.ids.contains(&hash))
    }

    /// Whether any condition has a sample of that id.
    #[must_use]
    pub fn has_anywhere(&self, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        self.conditions
            .iter()
            .any(|known| known.ids.contains(&hash))
    }

    /// The ids of the conditions.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        self.conditions
            .iter()
            .map(|condition| condition.id.as_str())
    }

    fn condition(&self, id: &str) -> Option<&Condition> {
        self.conditions.iter().find(|known| known.id == id)
    }
}

fn present(found: Lookup<std::borrow::Cow<'_, str>>) -> Result<std::borrow::Cow<'_, str>, String> {
    match found {
        Lookup::Present(text) => Ok(text),
        Lookup::Failed(problem) => Err(problem),
        Lookup::Null | Lookup::OtherType => Ok("".into()),
    }
}
