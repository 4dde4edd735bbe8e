//! What a well-formed [`MetricOutput`] is. The SDK checks before sending, the host before believing.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::wire::{
    ChartSpec, Manifest, MetricOutput, OUTPUT_SCHEMA, Pooled, PooledStatistic, SampleIds, Scalar,
    ScoreKind, Scores, Table,
};

/// Everything wrong with an output, one phrase each; empty when it is well-formed.
#[must_use]
pub fn problems(output: &MetricOutput) -> Vec<String> {
    let mut found = Vec::new();
    if output.schema != OUTPUT_SCHEMA {
        found.push(format!(
            "`schema` is {}, this harness reads {OUTPUT_SCHEMA}",
            output.schema
        ));
    }
    let mut seen = HashSet::new();
    let mut primaries = HashSet::new();
    for scalar in &output.scalars {
        check_scalar(scalar, &mut found);
        if !seen.insert((&scalar.id, &scalar.condition)) {
            found.push(format!("scalar {} appears twice", name(scalar)));
        }
        if scalar.primary && !primaries.insert(&scalar.condition) {
            found.push(format!(
                "condition `{}` has more than one primary scalar",
                scalar.condition
            ));
        }
    }
    let mut seen_scores = HashSet::new();
    let before = std::iter::once(None).chain(output.scores.iter().map(Some));
    for (scores, before) in output.scores.iter().zip(before) {
        if !seen.contains(&(&scores.id, &scores.condition)) {
            found.push(format!(
                "scores `{}` of condition `{}` belong to no scalar",
                scores.id, scores.condition
            ));
        }
        if !seen_scores.insert((&scores.id, &scores.condition)) {
            found.push(format!(
                "scores `{}` of condition `{}` appear twice",
                scores.id, scores.condition
            ));
        }
        let known = before.is_some_and(|before| scores.sample_ids.share_a_list(&before.sample_ids));
        check_scores(scores, known, &mut found);
    }
    for pooled in &output.pooled {
        check_pooled(pooled, &seen, &mut found);
    }
    check_verdicts(output, &mut found);
    output
        .tables
        .iter()
        .for_each(|table| check_table(table, &mut found));
    output
        .charts
        .iter()
        .for_each(|chart| check_chart(chart, &mut found));
    found
}

/// Numbers that a manifest does not list although it lists some, one phrase each.
#[must_use]
pub fn unlisted(manifest: &Manifest, output: &MetricOutput) -> Vec<String> {
    // The primary number carries the metric's own name.
    let others = output.scalars.iter().filter(|scalar| !scalar.primary);
    let mut found: Vec<String> = others
        .filter(|scalar| !manifest.may_return(&scalar.id, None))
        .map(|scalar| {
            let id = &scalar.id;
            format!("scalar `{id}` is not among the `numbers` of the manifest")
        })
        .collect();
    found.dedup();
    found
}

fn name(scalar: &Scalar) -> String {
    format!("`{}` of condition `{}`", scalar.id, scalar.condition)
}

fn check_scalar(scalar: &Scalar, found: &mut Vec<String>) {
    if scalar.id.is_empty() || scalar.id.chars().any(|c| c.is_whitespace() || c == '/') {
        found.push(format!(
            "scalar id `{}` is empty or has a space or `/`",
            scalar.id
        ));
    }
    if scalar.value.is_some_and(|value| !value.is_finite()) {
        found.push(format!(
            "scalar {} is not finite (an undefined value is null)",
            name(scalar)
        ));
    }
    for ci in scalar.ci.iter().chain(&scalar.intervals) {
        let finite = ci.low.is_finite() && ci.high.is_finite();
        if !finite || ci.low > ci.high || !(ci.level > 0.0 && ci.level < 1.0) {
            found.push(format!(
                "interval of scalar {} is not `low <= high` with a level between 0 and 1",
                name(scalar)
            ));
        }
    }
}

/// `known`: the list of sample ids is that of the scores before, whose check was enough.
fn check_scores(scores: &Scores, known: bool, found: &mut Vec<String>) {
    let place = format!("scores `{}` of condition `{}`", scores.id, scores.condition);
    if scores.sample_ids.len() != scores.values.len() {
        found.push(format!(
            "{place} have {} sample ids and {} values",
            scores.sample_ids.len(),
            scores.values.len()
        ));
    }
    if let Some(twice) = twice(&scores.sample_ids, known) {
        found.push(format!("{place} have sample id `{twice}` twice"));
    }
    let values = || scores.values.iter().flatten();
    if values().any(|value| !value.is_finite()) {
        found.push(format!("{place} have a value that is not finite"));
    }
    if scores.kind == ScoreKind::Binary && values().any(|&value| value != 0.0 && value != 1.0) {
        found.push(format!(
            "{place} are binary but have a value other than 0 and 1"
        ));
    }
}

/// `scalars`: id and condition of those there are.
fn check_pooled(pooled: &Pooled, scalars: &HashSet<(&String, &String)>, found: &mut Vec<String>) {
    let place = format!("pooled answers of condition `{}`", pooled.condition);
    let n = pooled.sample_ids.len();
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
            found.push(format!("{place} belong to no scalar `{}`", number.id));
        }
        let outside = match number.statistic {
            PooledStatistic::CalibrationError { bins: 0 } => true,
            PooledStatistic::CalibrationError { .. } => !pooled
                .values
                .iter()
                .all(|value| (0.0..=1.0).contains(value)),
            PooledStatistic::Kappa | PooledStatistic::Ac1 => pooled
                .values
                .iter()
                .any(|value| *value != 0.0 && *value != 1.0),
            _ => false,
        };
        if outside {
            found.push(format!("{place} cannot give `{}`", number.id));
        }
    }
}

/// An id that appears twice, in a list that is not `known` or among places.
fn twice(sample_ids: &SampleIds, known: bool) -> Option<&str> {
    let (list, places) = sample_ids.parts();
    // As many ids as samples: the usual hash would cost more than all else.
    let n = if known { 0 } else { list.len() };
    let mut seen = HashSet::with_capacity_and_hasher(n, RandomState::default());
    let mut listed = vec![false; places.map_or(0, |_| list.len())];
    let mut places = places.into_iter().flatten();
    let again = list.iter().take(n).find(|id| !seen.insert(*id));
    let mut place = || places.find(|&&place| std::mem::replace(&mut listed[place as usize], true));
    again.or_else(|| list.get(*place()? as usize))
}

fn check_verdicts(output: &MetricOutput, found: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for verdict in &output.verdicts {
        let place = format!("the verdict on sample `{}`", verdict.sample_id);
        if !seen.insert((&verdict.sample_id, verdict.sample_index)) {
            found.push(format!("{place} appears twice"));
        }
        for (name, number) in [("p_unsafe", verdict.p_unsafe), ("score", verdict.score)] {
            if number.is_some_and(|number| !(0.0..=1.0).contains(&number)) {
                found.push(format!("{place} has a `{name}` outside of 0 to 1"));
            }
        }
    }
}

fn check_table(table: &Table, found: &mut Vec<String>) {
    for (index, row) in table.rows.iter().enumerate() {
        if row.len() != table.columns.len() {
            found.push(format!(
                "row {index} of table `{}` has {} cells for {} columns",
                table.id,
                row.len(),
                table.columns.len()
            ));
            return;
        }
        if row.iter().any(|cell| cell.is_array() || cell.is_object()) {
            found.push(format!(
                "row {index} of table `{}` has a cell that is no string, number, boolean or null",
                table.id
            ));
            return;
        }
    }
}

fn check_chart(chart: &ChartSpec, found: &mut Vec<String>) {
    let mut numbers = chart
        .series
        .iter()
        .flat_map(|series| &series.points)
        .flat_map(|point| [point.x, point.y, point.low, point.high])
        .chain(
            [&chart.x, &chart.y]
                .into_iter()
                .flat_map(|axis| axis.domain.into_iter().flatten().map(Some)),
        )
        .flatten();
    if numbers.any(|number| !number.is_finite()) {
        found.push(format!(
            "chart `{}` has a number that is not finite",
            chart.id
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Interval;

    #[test]
    fn every_fault_is_named() {
        let scalar = Scalar::new("asr", "ASR", "default").value(f64::NAN, 3);
        let mut output = MetricOutput::new();
        output.schema = 9;
        output.scalars = vec![
            scalar.clone().primary(),
            Scalar {
                ci: Some(Interval {
                    level: 0.95,
                    low: 0.9,
                    high: 0.1,
                    method: "wilson".into(),
                    draws: None,
                }),
                ..Scalar::new("asr", "ASR", "default").primary()
            },
        ];
        output.scores.push(Scores {
            id: "other".into(),
            condition: "default".into(),
            kind: ScoreKind::Binary,
            sample_ids: SampleIds::from_iter(["a", "a"]),
            values: vec![Some(0.5)],
        });
        output.tables.push(Table {
            id: "t".into(),
            title: String::new(),
            columns: vec!["a".into()],
            rows: vec![vec![]],
        });
        let all = problems(&output).join("\n");
        for expected in [
            "`schema` is 9",
            "not finite",
            "appears twice",
            "more than one primary",
            "`low <= high`",
            "belong to no scalar",
            "2 sample ids and 1 values",
            "sample id `a` twice",
            "other than 0 and 1",
            "0 cells for 1 columns",
        ] {
            assert!(all.contains(expected), "{expected} in\n{all}");
        }
    }

    #[test]
    fn numbers_outside_of_the_list_are_named() {
        let mut output = MetricOutput::new();
        output.scalars = vec![
            Scalar::new("rate", "", "default").primary(),
            Scalar::new("low", "", "default"),
            Scalar::new("high", "", "default"),
        ];
        let open = Manifest::new("m", "1", "M");
        assert_eq!(unlisted(&open, &output), Vec::<String>::new());
        let found = unlisted(&open.returns(["low"]), &output);
        assert!(found.len() == 1 && found[0].contains("`high`"), "{found:?}");
    }

    #[test]
    fn a_sound_output_passes() {
        let mut output = MetricOutput::new();
        output
            .scalars
            .push(Scalar::new("asr", "ASR", "default").value(0.5, 2).primary());
        output.scores.push(Scores {
            id: "asr".into(),
            condition: "default".into(),
            kind: ScoreKind::Binary,
            sample_ids: SampleIds::from_iter(["a", "b"]),
            values: vec![Some(1.0), Some(0.0)],
        });
        assert_eq!(problems(&output), Vec::<String>::new());
    }
}
