//! Sets of small numbers, a bit each.

/// A set of numbers. What grows is as long as the largest of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// Of the numbers whose bits are set, 64 in each word.
    pub(crate) fn of_words(words: Vec<u64>) -> Self {
        Self(words)
    }

    pub(crate) fn insert(&mut self, number: usize) {
        let (word, bit) = (number / 64, number % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    pub(crate) fn has(&self, number: usize) -> bool {
        let word = self.0.get(number / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// The numbers in it, ascending.
    pub(crate) fn each(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().zip((0..).step_by(64));
        words.flat_map(|(&word, start)| {
            let rest = std::iter::successors(Some(word), |rest| Some(rest & (rest - 1)));
            let rest = rest.take(word.count_ones() as usize);
            rest.map(move |rest| start + rest.trailing_zeros() as usize)
        })
    }

    /// How many numbers are in it.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_there() {
        let mut bits = Bits::default();
        assert_eq!((bits.has(0), bits.count()), (false, 0));
        for number in [0, 63, 64, 200, 64] {
            bits.insert(number);
        }
        let there: Vec<usize> = (0..1000).filter(|&number| bits.has(number)).collect();
        assert_eq!(there, [0, 63, 64, 200]);
        assert!(bits.each().eq(there));
        assert_eq!(Bits::default().each().count(), 0);
        let full = Bits::of_words(vec![u64::MAX, 0, 1 << 63]);
        assert!(full.each().eq((0..64).chain([191])));
        assert_eq!(bits.count(), 4);
    }
}
