//! Whether pooled answers can give the numbers that they are said to.

use std::collections::HashSet;

use super::found::{Found, short};
use crate::wire::{Pooled, PooledStatistic};

/// `scalars`: id and condition of those there are.
pub(super) fn check_pooled(
    pooled: &Pooled,
    scalars: &HashSet<(&String, &String)>,
    found: &mut Found,
) {
    let place = format!("pooled answers of condition `{}`", short(&pooled.condition));
    if !pooled.prompts.is_empty() && !pooled.sample_ids.is_empty() {
        found.push(format!("{place} name both `prompts` and `sample_ids`"));
    }
    let n = pooled.prompts.len().max(pooled.sample_ids.len());
    if pooled.values.len() != n || pooled.truths.len() != n {
        found.push(format!(
            "{place} have {n} sample ids, {} values and {} truths",
            pooled.values.len(),
            pooled.truths.len()
        ));
    }
    if pooled.values.iter().any(|value| !value.is_finite()) {
        found.push(format!("{place} have a value that is not finite"));
    }
    for number in &pooled.numbers {
        if !scalars.contains(&(&number.id, &pooled.condition)) {
            found.push(format!(
                "{place} belong to no scalar `{}`",
                short(&number.id)
            ));
        }
        let mut values = pooled.values.iter();
        let fits = match number.statistic {
            PooledStatistic::CalibrationError { bins } => {
                bins > 0 && values.all(|value| (0.0..=1.0).contains(value))
            }
            PooledStatistic::Kappa | PooledStatistic::Ac1 => {
                values.all(|value| *value == 0.0 || *value == 1.0)
            }
            PooledStatistic::Auroc | PooledStatistic::Aurc | PooledStatistic::Prr => true,
        };
        if !fits {
            found.push(format!("{place} cannot give `{}`", short(&number.id)));
        }
    }
}
