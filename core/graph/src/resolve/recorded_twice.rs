//! Whether one recorded answer would stand for two.

use std::collections::HashMap;

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::{Templates, TurnTemplate};
use driftgauge_data::recording::Recorded;
use driftgauge_problem::Problem;

use crate::resolved::{ResolvedCondition, ResolvedDataset, ResolvedEvaluation};

/// Why an answer would stand for two: an earlier evaluation reads the same rows of a recording and puts other prompts, or has
/// answers made in another way.
pub(super) fn answered_twice(
    recorded: &Recorded,
    [
        (earlier_id, earlier, earlier_data),
        (later_id, later, later_data),
    ]: [(&str, &ResolvedEvaluation, &ResolvedDataset); 2],
) -> Option<Problem> {
    let mapping = &recorded.mapping;
    let word = |id: &String| mapping.conditions.get(id).unwrap_or(id).clone();
    let made_alike = earlier.generate.sampling == later.generate.sampling;
    let shared = shared([(earlier_data, earlier), (later_data, later)]);
    if shared.is_empty() {
        return None;
    }
    let what = earlier.conditions.iter().find_map(|(id, condition)| {
        let mut others = later
            .conditions
            .iter()
            .filter(|(other, _)| mapping.condition.is_none() || word(id) == word(other));
        others.find_map(|(_, other)| {
            if condition.examples != other.examples || !same_prompts([condition, other], &shared) {
                Some("prompts")
            } else {
                (!made_alike).then_some("settings of `generate`")
            }
        })
    })?;
    Some(
        Problem::failed(format!(
            "rows of `{}` would be the answers of the evaluations `{earlier_id}` and `{later_id}`, whose {what} differ: an answer was given to one of them",
            recorded.file.path.display()
        ))
        .help("give each evaluation a recording of its own (`evaluations: [...]`), of its own file or with a `filter` of its own"),
    )
}

/// The rows that both evaluations ask about, of the earlier and of the later one.
fn shared<'d>(
    [(ours, earlier), (theirs, later)]: [(&'d ResolvedDataset, &ResolvedEvaluation); 2],
) -> Vec<[&'d Row; 2]> {
    let rows = |data: &'d ResolvedDataset, evaluation: &ResolvedEvaluation| {
        data.rows
            .iter()
            .take(evaluation.limit.unwrap_or(usize::MAX))
    };
    let known: HashMap<&str, &Row> = rows(ours, earlier).map(|row| (&*row.id, row)).collect();
    let both = rows(theirs, later).filter_map(|row| Some([*known.get(&*row.id)?, row]));
    both.collect()
}

/// Whether two conditions ask the same of every row, whatever their templates are.
fn same_prompts(conditions: [&ResolvedCondition; 2], rows: &[[&Row; 2]]) -> bool {
    let [ours, theirs] = conditions;
    // Which row stands in is no matter of one row.
    let is_shuffled =
        |turns: &[TurnTemplate]| turns.iter().any(|turn| turn.template.contains("shuffled"));
    if ours.turns == theirs.turns || is_shuffled(&ours.turns) || is_shuffled(&theirs.turns) {
        return ours.turns == theirs.turns;
    }
    let templates = Templates::default();
    let filled = |turns: &[TurnTemplate], row: &Row| templates.turns(turns, row, None).ok();
    rows.iter().all(|[one, other]| {
        let asked = filled(&ours.turns, one);
        // What cannot be filled is told elsewhere.
        asked.is_none() || asked == filled(&theirs.turns, other)
    })
}
