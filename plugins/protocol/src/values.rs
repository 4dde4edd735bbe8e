//! The values of scores: a million zeros and ones are a quarter of a megabyte, not sixteen.

use std::borrow::Cow;

use crate::bits::Bits;

/// A value for each of some samples, or none: a list that is made at once and does not change. Zeros and ones take a bit each, other
/// numbers eight bytes. `collect` makes one of `Option<f64>`, `from` of a vector.
#[derive(Debug, Clone, Default)]
pub struct ScoreValues {
    numbers: Numbers,
    /// Places without a value.
    missing: Bits,
}

#[derive(Debug, Clone)]
enum Numbers {
    /// As long as all are zeros and ones: how many there are, and the places of the ones.
    Binary(usize, Bits),
    /// Any.
    Real(Vec<f64>),
}

impl Default for Numbers {
    fn default() -> Self {
        Self::Binary(0, Bits::default())
    }
}

impl Numbers {
    fn len(&self) -> usize {
        match self {
            Self::Binary(len, _) => *len,
            Self::Real(values) => values.len(),
        }
    }

    fn get(&self, place: usize) -> Option<f64> {
        match self {
            Self::Binary(len, ones) => (place < *len).then(|| f64::from(u8::from(ones.has(place)))),
            Self::Real(values) => values.get(place).copied(),
        }
    }

    fn all(&self) -> Vec<f64> {
        match self {
            Self::Binary(len, ones) => {
                let mut all = vec![0.0; *len];
                ones.each().for_each(|place| all[place] = 1.0);
                all
            }
            Self::Real(values) => values.clone(),
        }
    }

    fn push(&mut self, value: f64) {
        match self {
            Self::Real(values) => values.push(value),
            // By its bits: -0 is another number.
            Self::Binary(len, ones) if value == 1.0 || value.to_bits() == 0 => {
                if value == 1.0 {
                    ones.insert(*len);
                }
                *len += 1;
            }
            Self::Binary(..) => {
                let mut values = self.all();
                values.push(value);
                *self = Self::Real(values);
            }
        }
    }
}

impl ScoreValues {
    /// How many there are, with those that are missing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a place; `None` where there is none.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<f64> {
        let value = self.numbers.get(place)?;
        (!self.missing.has(place)).then_some(value)
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<f64>> + Clone {
        (0..self.len()).map(|place| self.get(place))
    }

    /// How many have no value.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing.count()
    }

    /// A number for each, 0 where there is no value.
    #[must_use]
    pub fn numbers(&self) -> Cow<'_, [f64]> {
        match &self.numbers {
            Numbers::Binary(..) => Cow::Owned(self.numbers.all()),
            Numbers::Real(values) => Cow::Borrowed(values),
        }
    }

    /// Sum and number of the values, one after the other.
    #[must_use]
    pub fn sum(&self) -> (f64, u64) {
        if let (Numbers::Binary(len, ones), 0) = (&self.numbers, self.missing()) {
            return (ones.count() as f64, *len as u64);
        }
        let each = self.iter().flatten();
        each.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1))
    }

    /// Whether all values are 0 or 1.
    #[must_use]
    pub fn are_binary(&self) -> bool {
        matches!(self.numbers, Numbers::Binary(..))
            || self
                .iter()
                .flatten()
                .all(|value| value == 0.0 || value == 1.0)
    }

    /// Whether no value is infinite or none at all.
    #[must_use]
    pub fn are_finite(&self) -> bool {
        matches!(self.numbers, Numbers::Binary(..)) || self.iter().flatten().all(f64::is_finite)
    }

    /// Of numbers with a flag each, 1 where it is a value and 0 where there is none; all are values without flags. Where they are
    /// `binary`, zeros and ones are likely.
    ///
    /// # Errors
    /// What is wrong with the flags.
    pub fn of_given(values: &[f64], present: Option<&[u8]>, binary: bool) -> Result<Self, String> {
        let Some(present) = present else {
            return Ok(match binary {
                true => Self::of_binary(values),
                false => Self::of_numbers(values.to_vec()),
            });
        };
        let (n, flags) = (values.len(), present.len());
        if flags != n {
            return Err(format!("have {flags} in `present` and {n} values"));
        }
        if let Some(odd) = present.iter().find(|&&flag| flag > 1) {
            return Err(format!("have {odd} in `present`, where 0 and 1 belong"));
        }
        let values = values.iter().zip(present);
        Ok(values
            .map(|(&value, &flag)| (flag == 1).then_some(value))
            .collect())
    }

    /// Of numbers that all are values, zeros and ones most likely.
    fn of_binary(values: &[f64]) -> Self {
        let is_bit = |value: &f64| *value == 1.0 || value.to_bits() == 0;
        if !values.iter().all(is_bit) {
            return values.iter().copied().map(Some).collect();
        }
        Self::of_flags(values, |value| *value == 1.0)
    }

    /// A 1 for each item of which `is_one` holds and a 0 for each other one.
    #[must_use]
    pub fn of_flags<T>(items: &[T], is_one: impl Fn(&T) -> bool) -> Self {
        let word = |items: &[T]| {
            let bit = |(place, item): (usize, &T)| u64::from(is_one(item)) << place;
            items.iter().enumerate().map(bit).sum()
        };
        let ones = items.chunks(64).map(word).collect();
        Self {
            numbers: Numbers::Binary(items.len(), Bits::of_words(ones)),
            missing: Bits::default(),
        }
    }

    /// Of numbers that all are values; kept as they are.
    fn of_numbers(values: Vec<f64>) -> Self {
        Self {
            numbers: Numbers::Real(values),
            missing: Bits::default(),
        }
    }

    fn push(&mut self, value: Option<f64>) {
        // What stands where there is no value is a 0 like others.
        if value.is_none() {
            self.missing.insert(self.len());
        }
        self.numbers.push(value.unwrap_or_default());
    }
}

impl Extend<Option<f64>> for ScoreValues {
    fn extend<I: IntoIterator<Item = Option<f64>>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl FromIterator<Option<f64>> for ScoreValues {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(values: I) -> Self {
        let mut all = Self::default();
        all.extend(values);
        all
    }
}

impl From<Vec<Option<f64>>> for ScoreValues {
    fn from(values: Vec<Option<f64>>) -> Self {
        values.into_iter().collect()
    }
}

impl PartialEq for ScoreValues {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl PartialEq<[Option<f64>]> for ScoreValues {
    fn eq(&self, other: &[Option<f64>]) -> bool {
        self.iter().eq(other.iter().copied())
    }
}

impl<const N: usize> PartialEq<[Option<f64>; N]> for ScoreValues {
    fn eq(&self, other: &[Option<f64>; N]) -> bool {
        *self == other[..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_was_put_in() {
        let binary = [Some(1.0), None, Some(0.0), Some(1.0)];
        let real = [Some(1.0), None, Some(0.0), Some(-0.0), Some(0.25), None];
        for all in [&binary[..], &real[..], &[None], &[]] {
            let values: ScoreValues = all.iter().copied().collect();
            assert_eq!(
                (values.len(), values.is_empty()),
                (all.len(), all.is_empty())
            );
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            let (ours, theirs) = (values.iter().map(bits), all.iter().copied().map(bits));
            assert!(ours.eq(theirs), "{values:?}");
            assert_eq!(values.get(all.len()), None);
            let missing = all.iter().filter(|value| value.is_none()).count();
            assert_eq!(values.missing(), missing);
            assert_eq!(values, ScoreValues::from(all.to_vec()));
        }
        let values = ScoreValues::from(binary.to_vec());
        assert_eq!(values, binary);
        assert!(matches!(values.numbers, Numbers::Binary(4, _)));
        assert_eq!(*values.numbers(), [1.0, 0.0, 0.0, 1.0]);
        for all in [
            &[1.0, 0.0, 1.0][..],
            &[],
            &[0.0; 130],
            &[1.0, 0.25],
            &[-0.0, 1.0],
        ] {
            let (ours, theirs) = (
                ScoreValues::of_binary(all),
                ScoreValues::from_iter(all.iter().copied().map(Some)),
            );
            let bits = |values: &ScoreValues| {
                values
                    .numbers()
                    .iter()
                    .map(|value| value.to_bits())
                    .collect::<Vec<_>>()
            };
            assert_eq!((&ours, bits(&ours)), (&theirs, bits(&theirs)), "{all:?}");
            assert_eq!(ours.sum(), (all.iter().sum(), all.len() as u64));
            assert_eq!(ours.are_binary(), !all.contains(&0.25));
        }
        assert_eq!(values.sum(), (2.0, 3));
        assert!(values.are_finite() && !ScoreValues::of_numbers(vec![1.0, f64::NAN]).are_finite());
        assert!(!ScoreValues::from(real.to_vec()).are_binary());
        let flagged = |flags: &[u8]| ScoreValues::of_given(&[1.0, 0.5, 0.0], Some(flags), false);
        assert_eq!(flagged(&[1, 0, 1]).unwrap(), [Some(1.0), None, Some(0.0)]);
        assert!(
            flagged(&[1, 0])
                .unwrap_err()
                .contains("2 in `present` and 3 values")
        );
        assert!(
            flagged(&[1, 0, 2])
                .unwrap_err()
                .contains("2 in `present`, where 0")
        );
        let kept = ScoreValues::of_numbers(vec![1.0, 0.0]);
        assert_eq!(kept, ScoreValues::from(vec![Some(1.0), Some(0.0)]));
        assert_ne!(kept, [Some(1.0), None]);
    }
}
