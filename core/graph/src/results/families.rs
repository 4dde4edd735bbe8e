//! Families: p-values that are adjusted together.

use driftgauge_record::{Adjustment, Comparison, Results};
use driftgauge_spec::spec::Adjust;
use driftgauge_stats::multiplicity::{benjamini_hochberg, holm};

use crate::resolved_comparisons::ResolvedFamily;

/// Name of the families that a breakdown by category forms where the spec names none.
const CATEGORIES: &str = "categories";

/// Adjusts the comparisons of one list: those of each family together, in the order of the families, and what no family names
/// in a breakdown by category, which is exploratory, for its false discovery rate.
pub(crate) fn adjust(comparisons: &mut [Comparison], families: &[ResolvedFamily]) {
    for family in families {
        let members = free(comparisons, |comparison| family.holds(comparison));
        let groups = if family.per_model {
            grouped(comparisons, members, |comparison| {
                (comparison.baseline.clone(), comparison.model.clone())
            })
        } else {
            vec![members]
        };
        for group in groups {
            adjust_together(comparisons, &group, &family.id, family.adjust);
        }
    }
    let categories = free(comparisons, |comparison| breakdown(comparison).is_some());
    let groups = grouped(comparisons, categories, |comparison| {
        (
            comparison.evaluation.clone(),
            breakdown(comparison).unwrap_or_default().to_owned(),
            comparison.condition.clone(),
            (comparison.baseline.clone(), comparison.model.clone()),
        )
    });
    for group in groups {
        adjust_together(comparisons, &group, CATEGORIES, Adjust::BenjaminiHochberg);
    }
}

/// The metric whose breakdown by category a comparison belongs to.
fn breakdown(comparison: &Comparison) -> Option<&str> {
    comparison
        .metric
        .split_once(".category.")
        .map(|(metric, _)| metric)
}

/// Positions of comparisons with a p-value that no family has adjusted yet.
fn free(comparisons: &[Comparison], wanted: impl Fn(&Comparison) -> bool) -> Vec<usize> {
    comparisons
        .iter()
        .enumerate()
        .filter(|(_, comparison)| {
            comparison.p.is_some() && comparison.adjustment.is_none() && wanted(comparison)
        })
        .map(|(index, _)| index)
        .collect()
}

fn grouped<K: PartialEq>(
    comparisons: &[Comparison],
    members: Vec<usize>,
    key: impl Fn(&Comparison) -> K,
) -> Vec<Vec<usize>> {
    let mut groups: Vec<(K, Vec<usize>)> = Vec::new();
    for member in members {
        let of = key(&comparisons[member]);
        match groups.iter_mut().find(|(key, _)| *key == of) {
            Some((_, group)) => group.push(member),
            None => groups.push((of, vec![member])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn adjust_together(
    comparisons: &mut [Comparison],
    members: &[usize],
    family: &str,
    method: Adjust,
) {
    let p_values: Vec<f64> = members
        .iter()
        .filter_map(|&index| comparisons[index].p)
        .collect();
    let adjusted = match method {
        Adjust::Holm => holm(&p_values),
        Adjust::BenjaminiHochberg => benjamini_hochberg(&p_values),
    };
    for (&index, adjusted) in members.iter().zip(adjusted) {
        comparisons[index].p_adjusted = Some(adjusted);
        comparisons[index].adjustment = Some(Adjustment {
            family: family.to_owned(),
            method: method.as_str().to_owned(),
            size: members.len() as u64,
        });
    }
}

/// One note for each member of a family that names no number with a comparison.
pub(super) fn empty(results: &Results, families: &[ResolvedFamily]) -> Vec<String> {
    // Without comparisons there is no baseline, or its models failed; either is said elsewhere.
    if results.comparisons.is_empty() {
        return Vec::new();
    }
    let mut notes = Vec::new();
    for family in families {
        let lines = family.lines.iter().copied().chain(std::iter::repeat(None));
        for (member, line) in family.members.iter().zip(lines) {
            let found = results
                .comparisons
                .iter()
                .chain(&results.unpaired_comparisons)
                .any(|comparison| ResolvedFamily::names(member, comparison));
            if !found {
                notes.push(format!(
                    "family `{}`{}: `{member}` names no comparison of this run; those there are: {}",
                    family.id,
                    written(line),
                    of_metric(results, member)
                ));
            }
        }
    }
    notes
}

/// Where something is written: ` (line 7 of the spec)`.
pub(super) fn written(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(" (line {line} of the spec)"))
}

/// The compared numbers of the metric that a member of a family is about, or else the metrics.
fn of_metric(results: &Results, member: &str) -> String {
    let full = |comparison: &Comparison| format!("{}/{}", comparison.evaluation, comparison.metric);
    let mut names: Vec<String> = results.comparisons.iter().map(full).collect();
    names.sort_unstable();
    names.dedup();
    let main = member.split('.').next().unwrap_or(member);
    let near: Vec<&String> = names
        .iter()
        .filter(|name| name.split('.').next() == Some(main))
        .collect();
    let near = if near.is_empty() {
        names.iter().collect()
    } else {
        near
    };
    near.iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(metric: &str, model: &str, p: f64) -> Comparison {
        Comparison {
            evaluation: "e".into(),
            condition: "default".into(),
            metric: metric.into(),
            model: model.into(),
            p: Some(p),
            ..Comparison::default()
        }
    }

    fn family(members: &[&str], per_model: bool) -> ResolvedFamily {
        ResolvedFamily {
            lines: Vec::new(),
            id: "f".into(),
            members: members.iter().map(|&member| member.to_owned()).collect(),
            adjust: Adjust::Holm,
            per_model,
        }
    }

    fn adjusted(comparisons: &[Comparison]) -> Vec<Option<f64>> {
        comparisons.iter().map(|found| found.p_adjusted).collect()
    }

    #[test]
    fn members_are_adjusted_together_or_by_model() {
        let mut all = [
            comparison("asr", "a", 0.01),
            comparison("asr", "b", 0.02),
            comparison("other", "a", 0.03),
        ];
        adjust(&mut all, &[family(&["e/asr"], false)]);
        assert_eq!(adjusted(&all), [Some(0.02), Some(0.02), None]);
        assert_eq!(all[0].adjustment.as_ref().unwrap().size, 2);
        let mut each = [comparison("asr", "a", 0.01), comparison("asr", "b", 0.02)];
        adjust(&mut each, &[family(&["e/*"], true)]);
        assert_eq!(adjusted(&each), [Some(0.01), Some(0.02)]);
    }

    #[test]
    fn a_breakdown_is_exploratory_unless_it_is_declared() {
        let rows = || {
            [
                comparison("asr.category.x", "a", 0.01),
                comparison("asr.category.y", "a", 0.04),
                comparison("asr.category.x", "b", 0.04),
            ]
        };
        let mut found = rows();
        adjust(&mut found, &[]);
        assert_eq!(adjusted(&found), [Some(0.02), Some(0.04), Some(0.04)]);
        assert_eq!(
            found[0].adjustment.as_ref().unwrap().method,
            "benjamini-hochberg"
        );
        let mut declared = rows();
        adjust(&mut declared, &[family(&["e/asr.category.*"], true)]);
        assert_eq!(adjusted(&declared), [Some(0.02), Some(0.04), Some(0.04)]);
        assert_eq!(declared[0].adjustment.as_ref().unwrap().method, "holm");
    }

    #[test]
    fn a_family_that_names_nothing_is_told() {
        let results = Results {
            comparisons: vec![comparison("asr", "a", 0.5)],
            ..Results::default()
        };
        let notes = empty(&results, &[family(&["e/asr", "e/asr.nonsense"], false)]);
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].contains("`e/asr.nonsense` names no comparison"),
            "{}",
            notes[0]
        );
    }
}
