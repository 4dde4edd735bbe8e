//! What a plugin was shown, as far as its result can be held against it.

use std::borrow::Cow;

use crate::arrays::{Given, Of};
use crate::bits::Bits;
use crate::field::{Field, Text};
use crate::prompts::PromptIds;
use crate::rows::{Lookup, Rows};
use crate::wire::{Pooled, SampleIds, Scores};

/// Conditions and ids of the samples that a plugin was shown. What grows with the samples is each different id, once.
#[derive(Debug, Default)]
pub struct Seen {
    conditions: Vec<Condition>,
    prompts: PromptIds,
    /// The number of each sample's prompt, in the last batch.
    batch: Vec<u32>,
    /// How many prompts are likely to come, until the first batch has come.
    expected: usize,
}

#[derive(Debug)]
struct Condition {
    id: String,
    samples: u64,
    prompts: Bits,
}

impl Seen {
    /// Before the first batch of samples that are likely of so many prompts.
    #[must_use]
    pub fn expecting(prompts: usize) -> Self {
        Self {
            expected: prompts,
            ..Self::default()
        }
    }

    /// Takes note of a batch.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn note(&mut self, rows: &dyn Rows) -> Result<(), String> {
        let mut place = None;
        self.batch.clear();
        let mut prompts = self.prompts.open();
        let condition = Field::Text(Text::Condition);
        let alike = rows.alike(condition);
        let same_as_before = |row: usize| {
            let alike = alike?;
            let before = alike.get(row.checked_sub(1)?);
            Some(before == alike.get(row))
        };
        for row in 0..rows.len() {
            let id = present(rows.text(row, Field::Text(Text::SampleId)))?;
            let number = prompts.number(&id);
            self.batch.push(number);
            let at = match place.filter(|_| same_as_before(row) == Some(true)) {
                Some(at) => at,
                None => {
                    let condition = present(rows.text(row, condition))?;
                    let known =
                        place.filter(|&place: &usize| self.conditions[place].id == *condition);
                    known.unwrap_or_else(|| place_of(&mut self.conditions, &condition))
                }
            };
            place = Some(at);
            let condition = &mut self.conditions[at];
            condition.samples += 1;
            condition.prompts.insert(number as usize);
        }
        match std::mem::take(&mut self.expected) {
            0 => {}
            expected => self.prompts.reserve(expected),
        }
        Ok(())
    }

    /// The number of each sample's prompt in the batch that was noted last.
    #[must_use]
    pub fn batch(&self) -> &[u32] {
        &self.batch
    }

    /// The ids of all prompts in the order of their numbers.
    #[must_use]
    pub fn prompts(&self) -> SampleIds {
        SampleIds::of_prompts(self.prompts.listed())
    }

    /// The number of a prompt that was shown.
    #[must_use]
    pub fn number(&self, id: &str) -> Option<u32> {
        self.prompts.find(id)
    }

    /// The scores that these are, of samples that were shown.
    ///
    /// # Errors
    /// What does not agree, by field.
    pub fn scores(&self, given: Given) -> Result<Scores, String> {
        let n = given.values.len();
        let place = format!("scores `{}` of condition `{}`", given.id, given.condition);
        let numbers = match given.of {
            Of::First => (0..).take(n).collect(),
            Of::Prompts(numbers) => numbers,
            Of::Ids(ids) => ids
                .iter()
                .map(|id| {
                    let unknown =
                        || format!("{place} name the sample id `{id}`, which was not shown");
                    self.number(id).ok_or_else(unknown)
                })
                .collect::<Result<_, _>>()?,
        };
        if numbers.len() != n {
            return Err(format!(
                "{place} have {} prompts and {n} values",
                numbers.len()
            ));
        }
        let sample_ids = self.prompts();
        let shown = sample_ids.len();
        let sample_ids = match numbers.iter().find(|&&number| number as usize >= shown) {
            Some(number) => {
                return Err(format!(
                    "{place} name prompt {number} of {shown} that were shown"
                ));
            }
            None => sample_ids.at(numbers)?,
        };
        Ok(Scores {
            id: given.id,
            condition: given.condition,
            kind: given.kind,
            sample_ids,
            values: given.values,
        })
    }

    /// Puts the ids of prompts in the place of their numbers, where pooled answers name those.
    ///
    /// # Errors
    /// What does not agree, by field.
    pub fn name_pooled(&self, pooled: &mut [Pooled]) -> Result<(), String> {
        for pooled in pooled
            .iter_mut()
            .filter(|pooled| !pooled.prompts.is_empty())
        {
            let place = format!("pooled answers of condition `{}`", pooled.condition);
            if !pooled.sample_ids.is_empty() {
                return Err(format!("{place} name both `prompts` and `sample_ids`"));
            }
            let id = |number: u32| {
                let shown = self.prompts.len();
                let id = self.prompts.id(number).map(str::to_owned);
                id.ok_or_else(|| format!("{place} name prompt {number} of {shown} that were shown"))
            };
            let prompts = std::mem::take(&mut pooled.prompts);
            pooled.sample_ids = prompts.into_iter().map(id).collect::<Result<_, _>>()?;
        }
        Ok(())
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

    /// One of these ids, which was not shown under a condition.
    #[must_use]
    pub fn unknown<'a>(&self, condition: &str, ids: &'a SampleIds) -> Option<&'a str> {
        let Some(condition) = self.condition(condition) else {
            return ids.iter().next();
        };
        // Places in our own list are numbers: nothing has to be looked up.
        if ids.share_a_list(&self.prompts()) {
            let mut places = 0..ids.len();
            let number = |row: usize| ids.places().map_or(row as u32, |places| places[row]);
            let row = places.find(|&row| !condition.prompts.has(number(row) as usize))?;
            return ids.iter().nth(row);
        }
        ids.iter().find(|id| !self.holds(condition, id))
    }

    /// Whether a condition has a sample of that id.
    #[must_use]
    pub fn has(&self, condition: &str, id: &str) -> bool {
        let condition = self.condition(condition);
        condition.is_some_and(|condition| self.holds(condition, id))
    }

    fn holds(&self, condition: &Condition, id: &str) -> bool {
        let number = self.number(id);
        number.is_some_and(|number| condition.prompts.has(number as usize))
    }

    /// Whether any condition has a sample of that id.
    #[must_use]
    pub fn has_anywhere(&self, id: &str) -> bool {
        self.number(id).is_some()
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

/// The place of a condition, made if it is new.
fn place_of(conditions: &mut Vec<Condition>, id: &str) -> usize {
    let known = conditions.iter().position(|known| known.id == id);
    known.unwrap_or_else(|| {
        conditions.push(Condition {
            id: id.to_owned(),
            samples: 0,
            prompts: Bits::default(),
        });
        conditions.len() - 1
    })
}

fn present(found: Lookup<Cow<'_, str>>) -> Result<Cow<'_, str>, String> {
    match found {
        Lookup::Present(text) => Ok(text),
        Lookup::Failed(problem) => Err(problem),
        Lookup::Null | Lookup::OtherType => Ok("".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooled_answers_are_named_by_the_numbers_of_their_prompts() {
        let mut seen = Seen::default();
        for id in ["a", "b", "c"] {
            seen.prompts.number(id);
        }
        let pooled = |ids: &[&str], prompts: &[u32]| Pooled {
            condition: "default".to_owned(),
            numbers: Vec::new(),
            sample_ids: ids.iter().map(|&id| id.to_owned()).collect(),
            prompts: prompts.to_vec(),
            values: vec![0.5; 3],
            truths: vec![true; 3],
        };
        let named = |ids: &[&str], prompts: &[u32]| {
            let mut all = [pooled(ids, prompts)];
            seen.name_pooled(&mut all).map(|()| all)
        };
        let expected = Ok([pooled(&["c", "a", "a"], &[])]);
        assert_eq!(named(&[], &[2, 0, 0]), expected);
        assert_eq!(named(&["c", "a", "a"], &[]), expected);
        let beyond = named(&[], &[0, 3, 1]).unwrap_err();
        assert!(
            beyond.contains("name prompt 3 of 3 that were shown"),
            "{beyond}"
        );
        let both = named(&["a"], &[0]).unwrap_err();
        assert!(both.contains("both `prompts` and `sample_ids`"), "{both}");
    }
}
