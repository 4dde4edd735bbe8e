//! What a well-formed [`MetricOutput`] is, and what one can be that was made from the samples shown. The SDK checks before
//! sending, the host before believing.

mod found;
mod pooled;
mod shown;

use std::collections::HashSet;

use foldhash::fast::RandomState;

use self::found::{Found, number, short};
use self::pooled::check_pooled;
use self::shown::{check_chart, check_table};
pub use crate::limits;
use crate::seen::Seen;
use crate::wire::{
    Interval, Manifest, MetricOutput, OUTPUT_SCHEMA, SampleIds, Scalar, ScoreKind, Scores,
};

/// Everything wrong with an output, one phrase each; empty when it is well-formed.
#[must_use]
pub fn problems(output: &MetricOutput) -> Vec<String> {
    let mut found = Found::default();
    if output.schema != OUTPUT_SCHEMA {
        found.push(format!(
            "`schema` is {}, this harness reads {OUTPUT_SCHEMA}",
            output.schema
        ));
    }
    found.at_most("`scalars`", output.scalars.len(), limits::SCALARS);
    found.at_most("`scores`", output.scores.len(), limits::SCALARS);
    found.at_most("`tables`", output.tables.len(), limits::PARTS);
    found.at_most("`charts`", output.charts.len(), limits::PARTS);
    found.at_most("`notes`", output.notes.len(), limits::NOTES);
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
        let of = |scalar: &&Scalar| scalar.id == scores.id && scalar.condition == scores.condition;
        match output.scalars.iter().find(of) {
            None => found.push(format!(
                "scores `{}` of condition `{}` belong to no scalar",
                short(&scores.id),
                short(&scores.condition)
            )),
            Some(scalar) => check_mean(scalar, scores, &mut found),
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
    found.at_most(
        "lists of pooled answers",
        output.pooled.len(),
        limits::SCALARS,
    );
    for pooled in &output.pooled {
        check_pooled(pooled, &seen, &mut found);
    }
    check_verdicts(output, &mut found);
    let mut ids = HashSet::new();
    for table in &output.tables {
        if !ids.insert(&table.id) {
            found.push(format!("table `{}` appears twice", table.id));
        }
        check_table(table, &mut found);
    }
    let mut ids = HashSet::new();
    for chart in &output.charts {
        if !ids.insert(&chart.id) {
            found.push(format!("chart `{}` appears twice", chart.id));
        }
        check_chart(chart, &mut found);
    }
    for (place, note) in output.notes.iter().enumerate() {
        found.text(&format!("note {place}"), "notes", note, limits::TEXT);
    }
    found.0
}

/// What a plugin with this manifest cannot have found in the samples it was shown, one phrase each.
#[must_use]
pub fn unfounded(manifest: &Manifest, output: &MetricOutput, seen: &Seen) -> Vec<String> {
    let mut found = Found(unlisted(manifest, output));
    for scalar in &output.scalars {
        let place = format!("scalar {}", name(scalar));
        check_range(manifest, scalar, &mut found);
        if seen.is_empty() {
            continue;
        }
        match seen.samples(&scalar.condition) {
            None => found.push(format!("{place} names a `condition` without samples")),
            Some(samples) if scalar.n > samples => found.push(format!(
                "`n` of {place} is {}, and the condition has {samples} samples",
                scalar.n
            )),
            Some(_) => {}
        }
    }
    if seen.is_empty() {
        return found.0;
    }
    for scores in &output.scores {
        if let Some(id) = seen.unknown(&scores.condition, &scores.sample_ids) {
            found.push(format!(
                "scores `{}` of condition `{}` name the sample id `{}`, which was not shown",
                scores.id,
                scores.condition,
                short(id)
            ));
        }
    }
    for pooled in &output.pooled {
        let mut ids = pooled.sample_ids.iter();
        if let Some(id) = ids.find(|id| !seen.has(&pooled.condition, id)) {
            found.push(format!(
                "pooled answers of condition `{}` name the sample id `{}`, which was not shown",
                short(&pooled.condition),
                short(id)
            ));
        }
    }
    for verdict in &output.verdicts {
        if !seen.has_anywhere(&verdict.sample_id) {
            found.push(format!(
                "a verdict names the sample id `{}`, which was not shown",
                short(&verdict.sample_id)
            ));
        }
    }
    found.0
}

/// A value lies within what the manifest says of it, and a `ratio` of which it says nothing between 0 and 1.
fn check_range(manifest: &Manifest, scalar: &Scalar, found: &mut Found) {
    let ratio = (scalar.unit == "ratio").then_some([0.0, 1.0]);
    let stated = manifest.range_of(&scalar.id);
    let (Some([low, high]), Some(value)) = (stated.or(ratio), scalar.value) else {
        return;
    };
    // Numbers of single precision are off by more than the last digits of a double.
    let slack = 1e-6;
    if !within(value, low - slack, high + slack) {
        found.push(format!(
            "the value {} of scalar {} lies outside of {} to {}, {}",
            number(value),
            name(scalar),
            number(low),
            number(high),
            match stated {
                Some(_) => "the `ranges` of the manifest",
                None => "where a `ratio` lies",
            }
        ));
    }
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
    format!(
        "`{}` of condition `{}`",
        short(&scalar.id),
        short(&scalar.condition)
    )
}

fn check_scalar(scalar: &Scalar, found: &mut Found) {
    found.id("scalar", &scalar.id);
    let place = format!("scalar {}", name(scalar));
    for (field, text, longest) in [
        ("title", &scalar.title, limits::TITLE),
        ("condition", &scalar.condition, limits::ID),
        ("unit", &scalar.unit, limits::TITLE),
        ("formula", &scalar.formula, limits::TEXT),
    ] {
        found.text(&place, field, text, longest);
    }
    if scalar.value.is_some_and(|value| !value.is_finite()) {
        found.push(format!(
            "scalar {} is not finite (an undefined value is null)",
            name(scalar)
        ));
    }
    for ci in scalar.ci.iter().chain(&scalar.intervals) {
        check_interval(scalar, ci, found);
    }
}

fn check_interval(scalar: &Scalar, ci: &Interval, found: &mut Found) {
    let place = format!("the interval of scalar {}", name(scalar));
    found.text(&place, "method", &ci.method, limits::TITLE);
    let finite = ci.low.is_finite() && ci.high.is_finite();
    if !finite || ci.low > ci.high || !(ci.level > 0.0 && ci.level < 1.0) {
        found.push(format!(
            "interval of scalar {} is not `low <= high` with a level between 0 and 1",
            name(scalar)
        ));
        return;
    }
    // Percentiles of resamples need not hold the estimate: that is how a biased one is seen.
    let drawn = ci.draws.is_some();
    if let Some(value) = scalar.value
        && !drawn
        && !within(value, ci.low, ci.high)
    {
        found.push(format!(
            "the value {} of scalar {} lies outside of its interval, {} to {}",
            number(value),
            name(scalar),
            number(ci.low),
            number(ci.high)
        ));
    }
}

/// Between two bounds, give or take the last digits.
fn within(value: f64, low: f64, high: f64) -> bool {
    let slack = 1e-9 * (1.0 + value.abs());
    value >= low - slack && value <= high + slack
}

/// A scalar with scores is their mean.
fn check_mean(scalar: &Scalar, scores: &Scores, found: &mut Found) {
    let (sum, n) = scores.values.sum();
    let Some(value) = scalar.value.filter(|_| n > 0) else {
        return;
    };
    let mean = sum / n as f64;
    let off = (mean - value).abs() > 1e-6 * (1.0 + mean.abs().max(value.abs()));
    if mean.is_finite() && value.is_finite() && off {
        found.push(format!(
            "the value {} of scalar {} is not {}, the mean of its `scores`",
            number(value),
            name(scalar),
            number(mean)
        ));
    }
}

/// `known`: the list of sample ids is that of the scores before, whose check was enough.
fn check_scores(scores: &Scores, known: bool, found: &mut Found) {
    let place = format!(
        "scores `{}` of condition `{}`",
        short(&scores.id),
        short(&scores.condition)
    );
    if scores.sample_ids.len() != scores.values.len() {
        found.push(format!(
            "{place} have {} sample ids and {} values",
            scores.sample_ids.len(),
            scores.values.len()
        ));
    }
    if let Some(twice) = twice(&scores.sample_ids, known) {
        found.push(format!("{place} have sample id `{}` twice", short(twice)));
    }
    if !scores.values.are_finite() {
        found.push(format!("{place} have a value that is not finite"));
    }
    if scores.kind == ScoreKind::Binary && !scores.values.are_binary() {
        found.push(format!(
            "{place} are binary but have a value other than 0 and 1"
        ));
    }
}

/// An id that appears twice, in a list that is not `known` or among places.
fn twice(sample_ids: &SampleIds, known: bool) -> Option<&str> {
    let (list, places) = sample_ids.parts();
    // As many ids as samples: the usual hash would cost more than all else. Prompts that were shown have each id once.
    let known = known || sample_ids.are_of_prompts();
    let n = if known { 0 } else { list.len() };
    let mut seen = HashSet::with_capacity_and_hasher(n, RandomState::default());
    let mut listed = vec![false; places.map_or(0, |_| sample_ids.listed())];
    let mut places = places.into_iter().flatten();
    let again = list.iter().take(n).find(|id| !seen.insert(*id));
    let mut place = || places.find(|&&place| std::mem::replace(&mut listed[place as usize], true));
    again.or_else(|| place().map(|&place| list.get(place as usize).unwrap_or_default()))
}

fn check_verdicts(output: &MetricOutput, found: &mut Found) {
    let mut seen = HashSet::new();
    for verdict in &output.verdicts {
        let place = format!("the verdict on sample `{}`", short(&verdict.sample_id));
        if !seen.insert((&verdict.sample_id, verdict.sample_index)) {
            found.push(format!("{place} appears twice"));
        }
        for (name, number) in [("p_unsafe", verdict.p_unsafe), ("score", verdict.score)] {
            if number.is_some_and(|number| !(0.0..=1.0).contains(&number)) {
                found.push(format!("{place} has a `{name}` outside of 0 to 1"));
            }
        }
        found.at_most(
            &format!("`categories` of {place}"),
            verdict.categories.len(),
            limits::ACROSS,
        );
        for category in &verdict.categories {
            found.text(&place, "categories", category, limits::ID);
        }
        found.text(&place, "output", &verdict.output, limits::TEXT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Table;

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
            values: vec![Some(0.5)].into(),
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
            values: vec![Some(1.0), Some(0.0)].into(),
        });
        assert_eq!(problems(&output), Vec::<String>::new());
    }
}
