//! The range of every number that a person may write, in one place: the language of specs puts them into its schema and
//! checks by them, and the trainer reads the same tables. A number that stands in no table is refused by both.

mod amounts;
mod tables;

use std::fmt;

pub use amounts::{Memory, Span};
pub use tables::*;

/// The numbers of one part of the language: the key of each and what it may be.
pub type Table = &'static [(&'static str, Range)];

/// The range of a key.
#[must_use]
pub fn of(table: Table, key: &str) -> Option<Range> {
    table
        .iter()
        .find_map(|&(known, range)| (known == key).then_some(range))
}

/// What a number may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// A whole number from `low` to `high`.
    Whole {
        /// The least.
        low: u64,
        /// The most.
        high: u64,
    },
    /// A finite number.
    Real {
        /// The lower end.
        low: End,
        /// The upper end.
        high: End,
    },
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// Belongs to the range.
    Closed(f64),
    /// Does not.
    Open(f64),
}

impl Range {
    /// Whole numbers from `low` to `high`.
    #[must_use]
    pub const fn whole(low: u64, high: u64) -> Self {
        Self::Whole { low, high }
    }

    /// Numbers from `low` to `high`.
    #[must_use]
    pub const fn real(low: f64, high: f64) -> Self {
        Self::Real {
            low: End::Closed(low),
            high: End::Closed(high),
        }
    }

    /// Numbers above `low`, up to `high`.
    #[must_use]
    pub const fn above(low: f64, high: f64) -> Self {
        Self::Real {
            low: End::Open(low),
            high: End::Closed(high),
        }
    }

    /// Numbers from `low`, below `high`.
    #[must_use]
    pub const fn below(low: f64, high: f64) -> Self {
        Self::Real {
            low: End::Closed(low),
            high: End::Open(high),
        }
    }

    /// Whether a number lies in it. No range holds what is not finite, and a range of whole numbers only those.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        match self {
            // Above 2^53 a float says no whole number exactly; `holds_whole` is asked for those.
            Self::Whole { low, high } => {
                value.fract() == 0.0 && value >= low as f64 && value <= high as f64
            }
            Self::Real { low, high } => {
                let above = match low {
                    End::Closed(low) => value >= low,
                    End::Open(low) => value > low,
                };
                let below = match high {
                    End::Closed(high) => value <= high,
                    End::Open(high) => value < high,
                };
                above && below
            }
        }
    }

    /// Whether a whole number lies in it.
    #[must_use]
    pub fn holds_whole(self, value: u64) -> bool {
        match self {
            Self::Whole { low, high } => (low..=high).contains(&value),
            Self::Real { .. } => self.holds(value as f64),
        }
    }
}

/// What a number has to be: `from 0 to 1`, `above 0`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole { low, high } if high >= COUNTLESS => write!(f, "at least {low}"),
            Self::Whole { low, high } => write!(f, "from {low} to {high}"),
            Self::Real { low, high } => match (low, high) {
                (End::Closed(low), End::Closed(high)) if low == -f64::MAX && high == f64::MAX => {
                    f.write_str("a finite number")
                }
                (End::Closed(low), End::Closed(high)) if high == f64::MAX => {
                    write!(f, "at least {low}")
                }
                (End::Closed(low), End::Closed(high)) => write!(f, "from {low} to {high}"),
                (End::Open(low), End::Closed(high)) => {
                    write!(f, "above {low} and at most {high}")
                }
                (End::Closed(low), End::Open(high)) => {
                    write!(f, "at least {low} and below {high}")
                }
                (End::Open(low), End::Open(high)) => write!(f, "between {low} and {high}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_belong_to_a_range_or_do_not() {
        let probability = Range::above(0.0, 1.0);
        assert!(probability.holds(1.0) && probability.holds(1e-300));
        for outside in [0.0, -0.0, 1.5, -1.0, f64::NAN, f64::INFINITY] {
            assert!(!probability.holds(outside), "{outside}");
        }
        let decay = Range::below(0.0, 1.0);
        assert!(decay.holds(0.0) && !decay.holds(1.0));
        let count = Range::whole(1, 10);
        assert!(count.holds(10.0) && !count.holds(2.5) && !count.holds(0.0));
        assert!(count.holds_whole(1) && !count.holds_whole(11));
        assert!(Range::whole(0, u64::MAX).holds_whole(u64::MAX));
    }

    #[test]
    fn ranges_say_what_they_want() {
        for (range, text) in [
            (Range::whole(1, COUNTLESS), "at least 1"),
            (Range::whole(1, 1000), "from 1 to 1000"),
            (Range::above(0.0, 1.0), "above 0 and at most 1"),
            (Range::below(0.0, 1.0), "at least 0 and below 1"),
            (Range::real(0.0, 100.0), "from 0 to 100"),
            (Range::real(0.0, f64::MAX), "at least 0"),
            (Range::real(-f64::MAX, f64::MAX), "a finite number"),
        ] {
            assert_eq!(range.to_string(), text);
        }
    }

    #[test]
    fn no_table_names_a_key_twice_and_no_range_is_empty() {
        for (section, table) in ALL {
            for (at, (key, range)) in table.iter().enumerate() {
                let twice = table[..at].iter().any(|(known, _)| known == key);
                assert!(!twice, "{section}.{key} stands twice");
                let empty = match *range {
                    Range::Whole { low, high } => low > high,
                    Range::Real { low, high } => {
                        let (End::Closed(low) | End::Open(low)) = low;
                        let (End::Closed(high) | End::Open(high)) = high;
                        // Also for what is no number.
                        low.partial_cmp(&high) != Some(std::cmp::Ordering::Less)
                    }
                };
                assert!(!empty, "{section}.{key} holds nothing");
            }
        }
    }
}
