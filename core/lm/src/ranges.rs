//! The numbers of a training against the ranges that specs are checked by.

pub(crate) use driftgauge_ranges::{ARCHITECTURE, INITIAL_WEIGHTS, LORA, TRAINING, Table};

use crate::error::{Error, Result};

/// Refuses the first number outside of its range, and one that the table does not know.
pub(crate) fn hold(table: Table, numbers: &[(&str, f64)]) -> Result<()> {
    for (key, value) in numbers {
        let range = driftgauge_ranges::of(table, key)
            .ok_or_else(|| Error::Config(format!("`{key}` has no range")))?;
        if !range.holds(*value) {
            return Err(Error::Config(format!("`{key}` {value} has to be {range}")));
        }
    }
    Ok(())
}
