//! Which scores belong together: pairs by sample id, in the order of the ids.

use std::collections::HashMap;

use driftgauge_plugin_protocol::wire::Scores;
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
pub(crate) fn pair(baselines: &[&Scores], models: &[&Scores]) -> Result<Paired, String> {
    let columns = [baselines, models].concat();
    let Some((first, others)) = columns.split_first() else {
        return Ok(Paired::default());
    };
    let mut lookups = Vec::new();
    for other in others {
        lookups.push(same_samples(first, other)?);
    }
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut left_out = LeftOut::default();
    for (id, value) in first.sample_ids.iter().zip(&first.values) {
        let rest = || lookups.iter().map(|lookup| lookup[id.as_str()]);
        let all = || std::iter::once(*value).chain(rest());
        if let Some(scores) = all().collect::<Option<Vec<f64>>>() {
            rows.push((id, scores));
            continue;
        }
        left_out.prompts += 1;
        left_out.baseline += u64::from(all().take(baselines.len()).any(|score| score.is_none()));
        left_out.model += u64::from(all().skip(baselines.len()).any(|score| score.is_none()));
    }
    rows.sort_by(|a, b| a.0.cmp(b.0));
    Ok(Paired {
        columns: (0..columns.len())
            .map(|column| rows.iter().map(|(_, scores)| scores[column]).collect())
            .collect(),
        ids: rows.into_iter().map(|(id, _)| id.to_owned()).collect(),
        left_out: Some(left_out).filter(|left_out| left_out.prompts > 0),
    })
}

/// The other column by id, when it has exactly the samples of the first.
fn same_samples<'a>(
    first: &Scores,
    other: &'a Scores,
) -> Result<HashMap<&'a str, Option<f64>>, String> {
    let by_id: HashMap<&str, Option<f64>> = other
        .sample_ids
        .iter()
        .map(String::as_str)
        .zip(other.values.iter().copied())
        .collect();
    let missing: Vec<&String> = first
        .sample_ids
        .iter()
        .filter(|id| !by_id.contains_key(id.as_str()))
        .collect();
    let hint = "hint: only the same samples can be paired";
    if let Some(id) = missing.first() {
        return Err(format!(
            "the two sides do not have the same samples: `{id}` is missing on one of them ({} of {} are)\n{hint}",
            missing.len(),
            first.sample_ids.len()
        ));
    }
    if by_id.len() != first.sample_ids.len() {
        let ours: std::collections::HashSet<&str> =
            first.sample_ids.iter().map(String::as_str).collect();
        let extra = other
            .sample_ids
            .iter()
            .find(|id| !ours.contains(id.as_str()));
        return Err(format!(
            "the two sides do not have the same samples: `{}` is missing on one of them ({} against {})\n{hint}",
            extra.map_or("", String::as_str),
            first.sample_ids.len(),
            by_id.len()
        ));
    }
    Ok(by_id)
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
            sample_ids: ids.iter().map(|&id| id.to_owned()).collect(),
            values: values.to_vec(),
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
            assert!(error.contains("`b` is missing"), "{error}");
            assert!(error.contains("hint: "), "{error}");
        }
        let more = scores(&["a", "b", "c"], &[Some(1.0); 3]);
        assert!(
            pair(&[&a], &[&more])
                .unwrap_err()
                .contains("`c` is missing")
        );
    }
}
