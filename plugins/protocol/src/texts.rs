//! Many short texts in one piece of memory.

use std::fmt;

use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many times as many texts there is room for where there is none for another: what is not filled takes no memory, and every
/// growth is a copy.
const GROWTH: usize = 8;
/// Bytes by which later texts are longer: numbers in ids grow.
const SPARE: usize = 4;

/// A list of texts that lie one after the other: a million ids are two allocations, not a million.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextList {
    text: String,
    ends: Ends,
}

/// Where each text ends, in bytes from the beginning of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ends {
    /// As long as the texts have less than 4 GiB together, as all but the longest lists have.
    Short(Vec<u32>),
    /// Any.
    Long(Vec<usize>),
}

impl Default for Ends {
    fn default() -> Self {
        Self::Short(Vec::new())
    }
}

impl Ends {
    fn len(&self) -> usize {
        match self {
            Self::Short(ends) => ends.len(),
            Self::Long(ends) => ends.len(),
        }
    }

    fn get(&self, place: usize) -> Option<usize> {
        match self {
            Self::Short(ends) => ends.get(place).map(|&end| end as usize),
            Self::Long(ends) => ends.get(place).copied(),
        }
    }

    fn push(&mut self, end: usize) {
        match self {
            Self::Long(ends) => ends.push(end),
            Self::Short(ends) => match u32::try_from(end) {
                Ok(end) => ends.push(end),
                Err(_) => {
                    let before = ends.iter().map(|&end| end as usize);
                    *self = Self::Long(before.chain([end]).collect());
                }
            },
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Short(ends) => ends.len() == ends.capacity(),
            Self::Long(ends) => ends.len() == ends.capacity(),
        }
    }

    fn reserve(&mut self, more: usize) {
        match self {
            Self::Short(ends) => ends.reserve(more),
            Self::Long(ends) => ends.reserve(more),
        }
    }
}

impl TextList {
    /// Adds a text at the end.
    pub fn push(&mut self, text: &str) {
        let little = self.text.capacity() - self.text.len() < text.len();
        if self.ends.is_full() || little {
            self.reserve(self.len().saturating_mul(GROWTH));
        }
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// Sets memory aside for so many texts in all, a little longer than those that are there.
    pub fn reserve(&mut self, texts: usize) {
        let Some(more) = texts.checked_sub(self.len()).filter(|_| !self.is_empty()) else {
            return;
        };
        let length = self.text.len() / self.len() + SPARE;
        self.text.reserve(more.saturating_mul(length));
        self.ends.reserve(more);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text at a place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&str> {
        let end = self.ends.get(place)?;
        let start = match place.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before)?,
        };
        Some(&self.text[start..end])
    }

    /// Bytes of memory that they take, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() + size_of::<usize>() * self.ends.len()
    }

    /// Where each one ends, in bytes from the beginning of the first.
    pub fn ends(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter_map(|place| self.ends.get(place))
    }

    /// Texts that lie one after the other in `text`, each up to one of the `ends`; `None` where these are not such places.
    #[must_use]
    pub fn from_parts(text: String, ends: Vec<u32>) -> Option<Self> {
        let sound = ends.is_sorted()
            && ends.last().copied().unwrap_or(0) as usize == text.len()
            && ends.iter().all(|&end| text.is_char_boundary(end as usize));
        let ends = Ends::Short(ends);
        sound.then_some(Self { text, ends })
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}

impl<S: AsRef<str>> FromIterator<S> for TextList {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut list = Self::default();
        texts.into_iter().for_each(|text| list.push(text.as_ref()));
        list
    }
}

impl Serialize for TextList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for TextList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Texts)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = TextList;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<TextList, A::Error> {
        let mut list = TextList::default();
        while texts.next_element_seed(Next(&mut list))?.is_some() {}
        Ok(list)
    }
}

/// Reads the next text to the end of a list.
struct Next<'a>(&'a mut TextList);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Next<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.push(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_what_was_pushed() {
        let texts = ["a", "", "häßlich \"quoted\"\n", "d"];
        let list = TextList::from_iter(texts);
        assert_eq!(list.iter().collect::<Vec<_>>(), texts);
        assert_eq!((list.get(2), list.get(4)), (Some(texts[2]), None));
        let json = serde_json::to_string(&list).unwrap();
        assert_eq!(json, serde_json::to_string(&texts).unwrap());
        assert_eq!(serde_json::from_str::<TextList>(&json).unwrap(), list);
        let error = serde_json::from_str::<TextList>("[\"a\", 1]").unwrap_err();
        assert!(error.to_string().contains("expected a text"), "{error}");
        let parts = |ends: &[u32]| TextList::from_parts("aä".to_owned(), ends.to_vec());
        assert_eq!(parts(&[1, 1, 3]), Some(TextList::from_iter(["a", "", "ä"])));
        for wrong in [&[3, 1, 3][..], &[2, 3], &[1], &[], &[1, 3, 9]] {
            assert_eq!(parts(wrong), None, "{wrong:?}");
        }
        assert_eq!(list.ends().collect::<Vec<_>>(), [1, 1, 20, 21]);
    }

    #[test]
    fn ends_beyond_four_gibibytes_are_kept_too() {
        let beyond = u32::MAX as usize + 1;
        let all = [3, 3, u32::MAX as usize, beyond, beyond + 7];
        let mut ends = Ends::default();
        for (place, end) in all.into_iter().enumerate() {
            ends.push(end);
            let kept: Vec<_> = (0..ends.len())
                .filter_map(|place| ends.get(place))
                .collect();
            assert_eq!(kept, all[..=place]);
            assert_eq!(matches!(ends, Ends::Short(_)), end < beyond);
        }
        assert_eq!(ends.get(all.len()), None);
    }
}
