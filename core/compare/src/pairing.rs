//! Which scores belong together: pairs by sample id, in the order of the ids.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use driftgauge_plugin_protocol::wire::Scores;
use driftgauge_problem::Problem;
use driftgauge_record::LeftOut;

/// Scores of several columns for the same samples, in the order of the ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Paired {
    /// Sample ids.
    pub(crate) ids: Vec<String>,
    /// One list of scores per column.
    pub(crate) columns: Vec<Vec<f64>>,
    /// Samples that some column has no score for; `None` when there are none.
    pub(crate) left_out: Option<LeftOut>,
}

/// Pairs the columns of both sides by sample id; samples that some column has no score for are left out, and counted.
///
/// # Errors
/// When two columns score different samples, with the first id that only one of them has.
pub(crate) fn pair(baselines: &[&Scores], models: &[&Scores]) -> Result<Paired, Problem> {
    let columns = [baselines, models].concat();
    let Some((first, others)) = columns.split_first() else {
        return Ok(Paired::default());
    };
    let lookups = others
        .iter()
        .map(|other| same_samples(first, other))
        .collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<&str> = first.sample_ids.iter().collect();
    let score = |column: usize, row: usize| match column.checked_sub(1) {
        None => first.values.get(row),
        Some(other) => others[other].values.get(lookups[other].get(row)),
    };
    let mut left_out = LeftOut::default();
    let mut rows: Vec<usize> = Vec::new();
    for row in 0..ids.len() {
        let missing = |side: Range<usize>| side.into_iter().any(|c| score(c, row).is_none());
        let baseline = missing(0..baselines.len());
        let model = missing(baselines.len()..columns.len());
        if !baseline && !model {
            rows.push(row);
            continue;
        }
        left_out.prompts += 1;
        left_out.baseline += u64::from(baseline);
        left_out.model += u64::from(model);
    }
    rows.sort_by_key(|&row| ids[row]);
    let scores = |column| rows.iter().filter_map(|&row| score(column, row)).collect();
    Ok(Paired {
        columns: (0..columns.len()).map(scores).collect(),
        ids: rows.iter().map(|&row| ids[row].to_owned()).collect(),
        left_out: Some(left_out).filter(|left_out| left_out.prompts > 0),
    })
}

/// Where the samples of one column are in another one.
enum Places {
    /// At the same places.
    Same,
    /// By place in the first one.
    Others(Vec<usize>),
}

impl Places {
    fn get(&self, row: usize) -> usize {
        match self {
            Self::Same => row,
            Self::Others(places) => places[row],
        }
    }
}

/// Where the samples of the first column are in the other one, when that has exactly the same.
fn same_samples(first: &Scores, other: &Scores) -> Result<Places, Problem> {
    if first.sample_ids == other.sample_ids {
        return Ok(Places::Same);
    }
    let by_id: HashMap<&str, usize> = other.sample_ids.iter().zip(0..).collect();
    let place = |id: &str| by_id.get(id).copied();
    let missing: Vec<&str> = first
        .sample_ids
        .iter()
        .filter(|id| place(id).is_none())
        .collect();
    let differ = |message: String| {
        Problem::new("other-samples", message).help("only the same samples can be paired")
    };
    if let Some(id) = missing.first() {
        return Err(differ(format!(
            "the two sides do not have the same samples: `{id}` is missing on one of them ({} of {} are)",
            missing.len(),
            first.sample_ids.len()
        )));
    }
    if by_id.len() != first.sample_ids.len() {
        let ours: HashSet<&str> = first.sample_ids.iter().collect();
        let extra = other.sample_ids.iter().find(|id| !ours.contains(id));
        return Err(differ(format!(
            "the two sides do not have the same samples: `{}` is missing on one of them ({} against {})",
            extra.unwrap_or_default(),
            first.sample_ids.len(),
            by_id.len()
        )));
    }
    Ok(Places::Others(
        first.sample_ids.iter().filter_map(place).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_plugin_protocol::wire::ScoreKind;

    fn scores(ids: &[&str], values: &[Option<f64>]) -> Scores {
        Scores {
            id: "s".into(),
            condition: "c".into(),
            kind: ScoreKind::Real,
            sample_ids: ids.iter().copied().collect(),
            values: values.iter().copied().collect(),
        }
    }

    #[test]
    fn columns_are_paired_by_id_not_by_place() {
        let a = scores(&["b", "a", "c"], &[Some(1.0), Some(0.0), None]);
        let b = scores(&["c", "a", "b"], &[Some(5.0), Some(6.0), Some(7.0)]);
        let paired = pair(&[&a], &[&b]).unwrap();
        assert_eq!(paired.ids, ["a", "b"]);
        assert_eq!(paired.columns, [[0.0, 1.0], [6.0, 7.0]]);
        let left_out = paired.left_out.unwrap();
        assert_eq!(
            (left_out.prompts, left_out.baseline, left_out.model),
            (1, 1, 0)
        );
    }

    #[test]
    fn the_sample_that_is_missing_is_named() {
        let a = scores(&["a", "b"], &[Some(1.0); 2]);
        for other in [
            scores(&["a", "z"], &[Some(1.0); 2]),
            scores(&["a"], &[Some(1.0)]),
        ] {
            let error = pair(&[&a], &[&other]).unwrap_err();
            assert!(error.message.contains("`b` is missing"), "{error}");
            assert!(error.help.is_some(), "{error}");
        }
        let more = scores(&["a", "b", "c"], &[Some(1.0); 3]);
        assert!(
            pair(&[&a], &[&more])
                .unwrap_err()
                .message
                .contains("`c` is missing")
        );
    }
}
