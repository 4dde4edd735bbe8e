//! Ids of prompts and their numbers: 0, 1, 2... in the order in which the ids are first shown.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::texts::TextList;

/// Different ids, numbered as they come.
#[derive(Debug, Clone, Default)]
pub struct PromptIds {
    ids: Arc<TextList>,
    numbers: HashTable<Numbered>,
    hasher: RandomState,
}

/// A number with a part of its id's hash, so that few ids are looked at.
#[derive(Debug, Clone, Copy)]
struct Numbered {
    hash: u32,
    number: u32,
}

/// A hash as the table wants it: of which all bits count.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl PromptIds {
    /// The number of `id`, the next one if it is new.
    pub fn number(&mut self, id: &str) -> u32 {
        self.open().number(id)
    }

    /// To number many ids: the list is looked at only once for whether anybody shares it.
    pub fn open(&mut self) -> Open<'_> {
        Open {
            ids: Arc::make_mut(&mut self.ids),
            numbers: &mut self.numbers,
            hasher: &self.hasher,
        }
    }

    /// The number of `id`, when it has one.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(id) as u32;
        let same = |known: &Numbered| known.hash == hash && self.id(known.number) == Some(id);
        let found = self.numbers.find(spread(hash), same)?;
        Some(found.number)
    }

    /// The id of a number.
    #[must_use]
    pub fn id(&self, number: u32) -> Option<&str> {
        self.ids.get(number as usize)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids in order.
    #[must_use]
    pub fn listed(&self) -> Arc<TextList> {
        Arc::clone(&self.ids)
    }
}

/// Ids that are being numbered.
pub struct Open<'a> {
    ids: &'a mut TextList,
    numbers: &'a mut HashTable<Numbered>,
    hasher: &'a RandomState,
}

impl Open<'_> {
    /// The number of `id`, the next one if it is new.
    pub fn number(&mut self, id: &str) -> u32 {
        let hash = self.hasher.hash_one(id) as u32;
        let ids = &mut *self.ids;
        let same =
            |known: &Numbered| known.hash == hash && ids.get(known.number as usize) == Some(id);
        let found = self
            .numbers
            .entry(spread(hash), same, |known| spread(known.hash));
        match found {
            Entry::Occupied(known) => known.get().number,
            Entry::Vacant(new) => {
                // Ids fit in memory, so that their number fits in 32 bits.
                let number = ids.len() as u32;
                new.insert(Numbered { hash, number });
                ids.push(id);
                number
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_its_number() {
        let mut prompts = PromptIds::default();
        let numbers = ["b", "a", "b", "c", "a"].map(|id| prompts.number(id));
        assert_eq!(numbers, [0, 1, 0, 2, 1]);
        assert_eq!((prompts.id(2), prompts.id(3)), (Some("c"), None));
        assert_eq!((prompts.find("a"), prompts.find("d")), (Some(1), None));
        let listed = prompts.listed();
        assert_eq!(prompts.number("d"), 3);
        assert_eq!(listed.iter().collect::<Vec<_>>(), ["b", "a", "c"]);
    }
}
