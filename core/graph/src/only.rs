//! Which completions a metric counts: `only`, an expression over verdicts, the row and the completion itself.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::{PromptError, Templates};
use driftgauge_judge::Judge;
use driftgauge_record::{Sample, VerdictLabel};
use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value, json};

use crate::resolved::ResolvedEvaluation;

/// What an expression says of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It counts.
    Yes,
    /// It does not.
    No,
    /// What the expression asks for is not there: no score, say.
    Unknown,
}

/// Whether a completion counts.
///
/// # Errors
/// When the expression cannot be read, or compares what cannot be compared.
pub(crate) fn counted(
    templates: &Templates,
    only: &str,
    evaluation: &ResolvedEvaluation,
    sample: &Sample,
) -> Result<Counted, PromptError> {
    let judges: Map<String, Value> = sample
        .verdicts
        .iter()
        .map(|(id, verdict)| {
            let judge = evaluation.judges.get(id).map(|judge| &judge.judge);
            let mut said = fields(judge);
            said.insert("verdict".into(), json!(verdict.label.as_str()));
            said.insert("categories".into(), json!(verdict.categories));
            for (key, value) in [
                ("score", verdict.score),
                ("points", verdict.points),
                ("p_unsafe", verdict.p_unsafe),
            ] {
                if value.is_some() || judge.is_none() {
                    said.insert(key.to_owned(), json!(value));
                }
            }
            (id.clone(), Value::Object(said))
        })
        .collect();
    let mentioned = mentioned(only);
    // Of a judge that gave no verdict, nothing can be said.
    let silent = mentioned.iter().any(|(id, field)| {
        let verdict = sample.verdicts.get(*id);
        let label = verdict.map(|verdict| verdict.label);
        let of_verdict = *field == "verdict" || *field == "categories";
        let none = matches!(
            label,
            None | Some(VerdictLabel::Error | VerdictLabel::Unparsable)
        );
        !of_verdict && (none || judges.get(*id).is_none_or(|said| said[*field].is_null()))
            || of_verdict && label.is_none()
    });
    if silent {
        return Ok(Counted::Unknown);
    }
    let row = row_of(
        &sample.row,
        judges,
        &sample.completion.text,
        sample.completion.finish_reason.as_str(),
        &sample.sample_id,
    );
    Ok(match templates.holds(only, &row)? {
        true => Counted::Yes,
        false => Counted::No,
    })
}

/// Names that an expression has beside the columns of the row, where they would hide one.
const OURS: [&str; 4] = ["judges", "completion", "finish_reason", "row"];

/// Why an expression cannot be asked of an evaluation, as far as is known before anything runs: what is wrong, and what to do.
/// `recorded` are the judges of each recorded model whose verdicts its recording holds.
pub(crate) fn misfit(
    only: &str,
    evaluation: &ResolvedEvaluation,
    row: &Row,
    recorded: &[(String, Vec<String>)],
) -> Option<(String, String)> {
    let all_recorded = recorded.len() == evaluation.models.len();
    for (id, field) in mentioned(only) {
        let given = match evaluation.judges.get(id) {
            Some(judge) if matches!(judge.judge, Judge::Plugin(_)) => continue,
            Some(judge) => fields(Some(&judge.judge)),
            // A recording holds verdicts, and nothing else of a judge.
            None => match recorded
                .iter()
                .find(|(_, judges)| !judges.iter().any(|judge| judge == id))
            {
                None if all_recorded => fields(None),
                lacking => return Some(no_judge(id, evaluation, recorded, lacking)),
            },
        };
        if !given.contains_key(field) {
            return Some((
                format!("judge `{id}` gives no `{field}`"),
                format!("it gives {}", listed(given.keys())),
            ));
        }
    }
    let templates = Templates::default();
    // What cannot be read is refused below.
    let names = templates.names_of(only).unwrap_or_default();
    if names.contains("judges") && mentioned(only).is_empty() {
        return Some((
            "`judges` is read without a judge and what it says".to_owned(),
            "write `judges.ID.verdict` and the like".to_owned(),
        ));
    }
    if let Some(name) = OURS
        .iter()
        .find(|name| names.contains(**name) && row.columns.contains_key(**name))
    {
        return Some((
            format!("`{name}` is a column of the dataset, and a name of ours"),
            format!("write `row[\"{name}\"]` for the column, or give it another name in the file"),
        ));
    }
    let of_recordings = recorded.iter().flat_map(|(_, judges)| judges);
    let of_recordings = of_recordings.map(|id| (id.clone(), fields(None)));
    let asked = evaluation.judges.iter().map(|(id, judge)| {
        let mut said = fields(Some(&judge.judge));
        if matches!(judge.judge, Judge::Plugin(_)) {
            said.insert("score".into(), Value::Null);
            said.insert("p_unsafe".into(), Value::Null);
        }
        (id.clone(), said)
    });
    let judges = of_recordings.chain(asked).map(|(id, mut said)| {
        for (key, value) in &mut said {
            *value = match key.as_str() {
                "verdict" => json!("safe"),
                "categories" => json!([]),
                _ => json!(0.5),
            };
        }
        (id, Value::Object(said))
    });
    let row = row_of(
        &row.columns,
        judges.collect(),
        "a completion",
        "stop",
        &row.id,
    );
    let refused = templates.holds(only, &row).err()?;
    let problem = driftgauge_problem::Problem::from(refused);
    let names = "names are `judges.ID.verdict` and the like, `completion`, `finish_reason` and the row's columns";
    Some((
        problem.message,
        problem.help.unwrap_or_else(|| names.to_owned()),
    ))
}

/// What is said of a judge that nobody asks, or whose verdicts a recording does not hold.
fn no_judge(
    id: &str,
    evaluation: &ResolvedEvaluation,
    recorded: &[(String, Vec<String>)],
    lacking: Option<&(String, Vec<String>)>,
) -> (String, String) {
    let is_known = recorded
        .iter()
        .any(|(_, judges)| judges.iter().any(|judge| judge == id));
    let problem = match lacking {
        Some((model, _)) if is_known => {
            format!("the recording of `{model}` holds no verdicts of `{id}`")
        }
        None if is_known => {
            format!("the recordings alone hold verdicts of `{id}`, and other models have none")
        }
        _ => format!("there is no judge `{id}`"),
    };
    let known: IndexSet<&String> = evaluation
        .judges
        .keys()
        .chain(recorded.iter().flat_map(|(_, judges)| judges))
        .collect();
    let help = match known.is_empty() {
        true => "the evaluation asks no judge".to_owned(),
        false => format!("its judges are {}", listed(known.into_iter())),
    };
    (problem, help)
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// What a judge says beside its verdict, before it is asked.
fn fields(judge: Option<&Judge>) -> Map<String, Value> {
    let mut names = vec!["verdict", "categories"];
    match judge {
        Some(Judge::LlamaGuard { .. }) => names.push("p_unsafe"),
        Some(Judge::StrongReject { .. }) => names.push("score"),
        Some(judge) if judge.gives_scores() => names.extend(["score", "points"]),
        _ => {}
    }
    names
        .into_iter()
        .map(|name| (name.to_owned(), Value::Null))
        .collect()
}

fn row_of(
    columns: &IndexMap<String, Value>,
    judges: Map<String, Value>,
    completion: &str,
    finish_reason: &str,
    id: &str,
) -> Row {
    let mut all = columns.clone();
    all.insert("row".into(), json!(columns));
    all.insert("judges".into(), Value::Object(judges));
    all.insert("completion".into(), json!(completion));
    all.insert("finish_reason".into(), json!(finish_reason));
    Row {
        id: id.to_owned(),
        columns: all,
    }
}

/// The judges that an expression names, each with the field: `judges.guard.score`.
fn mentioned(only: &str) -> Vec<(&str, &str)> {
    const JUDGES: &str = "judges";
    let mut out = Vec::new();
    let mut rest = only;
    while let Some(at) = rest.find(JUDGES) {
        let inside_word =
            rest[..at].ends_with(|c: char| is_of_word(c) || matches!(c, '.' | '"' | '\''));
        rest = &rest[at + JUDGES.len()..];
        if inside_word {
            continue;
        }
        let named = part(rest).and_then(|(id, behind)| Some((id, part(behind)?.0)));
        out.extend(named);
    }
    out
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The name in `.name` or `["name"]`, and what stands behind it.
fn part(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    if let Some(text) = text.strip_prefix('.') {
        let text = text.trim_start();
        let end = text.find(|c: char| !is_of_word(c)).unwrap_or(text.len());
        return (end > 0).then(|| text.split_at(end));
    }
    let text = text.strip_prefix('[')?.trim_start();
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, behind) = text[1..].split_once(quote)?;
    Some((name, behind.trim_start().strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_are_found_in_an_expression() {
        assert_eq!(
            mentioned("judges.a.score >= 0.5 and not (judges.b_c.verdict == 'safe')"),
            [("a", "score"), ("b_c", "verdict")]
        );
        assert_eq!(
            mentioned("judges[\"a-b\"].points > 1 and judges . c['verdict'] == \"judges.d.score\""),
            [("a-b", "points"), ("c", "verdict")]
        );
        for none in [
            "row.judges.a == 1",
            "judges == 1",
            "judges[a].score",
            "judges.a",
        ] {
            assert_eq!(mentioned(none), [], "{none}");
        }
    }
}
