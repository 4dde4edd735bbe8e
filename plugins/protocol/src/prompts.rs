//! Ids of prompts and their numbers: 0, 1, 2... in the order in which the ids are first shown.
//!
//! Most tables are in order: an id is the one that came after the one before when they were shown first, or it comes after all of them.
//! Such ids are held against one or two others and need no table; the table is made when the first id comes that is neither.

use std::cmp::Ordering;
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
    /// None as long as each id comes after the one before it, as [`order`] says.
    numbers: Option<Numbers>,
    /// The number that was given last.
    last: u32,
}

/// The numbers by the hashes of their ids.
#[derive(Debug, Clone, Default)]
struct Numbers {
    table: HashTable<Numbered>,
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

/// Which of two ids comes first where they are in order: the shorter one, so that `p10` is after `p9`.
fn order(one: &str, other: &str) -> Ordering {
    let by_length = one.len().cmp(&other.len());
    by_length.then_with(|| one.cmp(other))
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
            last: &mut self.last,
        }
    }

    /// Sets memory aside for so many ids in all, of about the length of those that are there.
    pub fn reserve(&mut self, ids: usize) {
        Arc::make_mut(&mut self.ids).reserve(ids);
    }

    /// The number of `id`, when it has one.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<u32> {
        match &self.numbers {
            None => search(&self.ids, id),
            Some(numbers) => numbers.find(&self.ids, id),
        }
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

/// The place of `id` in a list that is in order.
fn search(ids: &TextList, id: &str) -> Option<u32> {
    let (mut low, mut high) = (0, ids.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        match order(ids.get(middle)?, id) {
            Ordering::Equal => return u32::try_from(middle).ok(),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
        }
    }
    None
}

impl Numbers {
    /// Those of a list of different ids.
    fn of(ids: &TextList) -> Self {
        let mut numbers = Self::default();
        let hashes = ids.iter().map(|id| numbers.hash(id));
        let hashes: Vec<u32> = hashes.collect();
        for (hash, number) in hashes.into_iter().zip(0..) {
            let new = Numbered { hash, number };
            let rehash = |known: &Numbered| spread(known.hash);
            numbers.table.insert_unique(spread(hash), new, rehash);
        }
        numbers
    }

    fn hash(&self, id: &str) -> u32 {
        self.hasher.hash_one(id) as u32
    }

    fn find(&self, ids: &TextList, id: &str) -> Option<u32> {
        let hash = self.hash(id);
        let same =
            |known: &Numbered| known.hash == hash && ids.get(known.number as usize) == Some(id);
        let found = self.table.find(spread(hash), same)?;
        Some(found.number)
    }

    /// The number of `id`, and the next one where it is new.
    fn number(&mut self, ids: &mut TextList, id: &str) -> u32 {
        let hash = self.hash(id);
        let same =
            |known: &Numbered| known.hash == hash && ids.get(known.number as usize) == Some(id);
        let rehash = |known: &Numbered| spread(known.hash);
        match self.table.entry(spread(hash), same, rehash) {
            Entry::Occupied(known) => known.get().number,
            Entry::Vacant(new) => {
                let number = push(ids, id);
                new.insert(Numbered { hash, number });
                number
            }
        }
    }
}

/// Adds a new id; its number.
fn push(ids: &mut TextList, id: &str) -> u32 {
    // Ids fit in memory, so that their number fits in 32 bits.
    let number = ids.len() as u32;
    ids.push(id);
    number
}

/// Ids that are being numbered.
pub struct Open<'a> {
    ids: &'a mut TextList,
    numbers: &'a mut Option<Numbers>,
    last: &'a mut u32,
}

impl Open<'_> {
    /// The number of `id`, the next one if it is new.
    pub fn number(&mut self, id: &str) -> u32 {
        *self.last = self.next_number(id);
        *self.last
    }

    fn next_number(&mut self, id: &str) -> u32 {
        // Samples of another condition come in the order of the first, and those of one prompt after each other.
        let last = *self.last;
        if self.ids.get(last as usize + 1) == Some(id) {
            return last + 1;
        }
        let held = |place: usize| self.ids.get(place).map(|known| order(known, id));
        let against_last = held(last as usize);
        if against_last == Some(Ordering::Equal) {
            return last;
        }
        if let Some(numbers) = self.numbers {
            return numbers.number(self.ids, id);
        }
        // The last one is mostly the end of the list, and was looked at.
        let against_end = match self.ids.len().checked_sub(1) {
            Some(end) if end != last as usize => held(end),
            _ => against_last,
        };
        if against_end.is_none_or(|end| end == Ordering::Less) {
            return push(self.ids, id);
        }
        if let Some(number) = search(self.ids, id) {
            return number;
        }
        let numbers = self.numbers.insert(Numbers::of(self.ids));
        numbers.number(self.ids, id)
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

    /// Whatever order they come in, ids have the numbers that a plain list gives them, and a table only from the first id on that is
    /// out of order.
    #[test]
    fn order_saves_the_table_and_changes_no_number() {
        let runs: [(&[&str], bool); 6] = [
            (&["p1", "p2", "p9", "p10", "p11", "p100"], false),
            (&["p1", "p2", "p10", "p1", "p2", "p10", "p1", "p11"], false),
            (&["a", "a", "a", "b", "b", "a", "b", "c", "c"], false),
            (&["", "a", "", "zz", "é", "zz"], false),
            (&["p1", "p10", "p2", "p10", "p1", "p3", "p2", "p2"], true),
            (&["z", "b", "y", "z", "b", "y", "a", "", "z", ""], true),
        ];
        for (shown, table) in runs {
            let (mut prompts, mut plain) = (PromptIds::default(), Vec::new());
            for (place, &id) in shown.iter().enumerate() {
                if !plain.contains(&id) {
                    assert_eq!(prompts.find(id), None, "{shown:?}");
                    plain.push(id);
                }
                let number = plain.iter().position(|known| *known == id).unwrap() as u32;
                assert_eq!(prompts.number(id), number, "{place} of {shown:?}");
                assert_eq!(prompts.find(id), Some(number));
            }
            assert_eq!(prompts.listed().iter().collect::<Vec<_>>(), plain);
            assert_eq!(prompts.numbers.is_some(), table, "{shown:?}");
        }
    }
}
