//! Whether the samples of another tool were asked what the rows ask that they are paired with.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use driftgauge_problem::Problem;
use driftgauge_spec::spec::RecordedFormat;
use serde_json::Value;

use super::put::listed;
use super::{Asked, ConditionRows, beginning};
use crate::dataset::Row;

/// Holds what was asked against the rows: a column of which most texts were asked is the question, and has to be what was asked
/// under each row's own id. Where inspect or JailbreakBench count, some column has to say what was asked.
///
/// # Errors
/// With the first row that was asked something else.
pub(super) fn check(
    found: &ConditionRows<'_>,
    asked: Asked<'_>,
    rows: &[Row],
) -> Result<(), Problem> {
    let format = found.mapping.format;
    let mut everywhere: BTreeMap<&str, HashSet<Cow<'_, str>>> = BTreeMap::new();
    for &row in found.by_sample.values() {
        for (field, text) in texts(format, row) {
            everywhere.entry(field).or_default().insert(text);
        }
    }
    // A row without a sample is told where all samples are looked for.
    let pairs: Vec<(&Row, Said<'_>)> = rows
        .iter()
        .flat_map(|row| found.of_id(&row.id).map(move |theirs| (row, theirs)))
        .map(|(row, theirs)| (row, texts(format, theirs).into_iter().collect()))
        .collect();
    let columns = telling(rows);
    let mut elsewhere = None;
    for (&field, all) in &everywhere {
        for &column in &columns {
            let question = Question { field, all, column };
            if !question.is_most(&pairs) {
                continue;
            }
            match question.other(&pairs) {
                // A column that was asked row by row proves the pairing.
                None => return Ok(()),
                Some(pair) if elsewhere.is_none() => elsewhere = Some((pair, question)),
                Some(_) => {}
            }
        }
    }
    if let Some((pair, question)) = elsewhere {
        let column = question.column;
        return Err(another(found, pair, question.field).help(match question.is_asked(pair.0) {
            true => format!("the texts of the column `{column}` stand in another order there; pair them by an id that both have (`id: COLUMN` in the dataset)"),
            false => "take the dataset as it was when this was recorded, or leave the row out with its `filter`".to_owned(),
        }));
    }
    let counts = matches!(
        format,
        RecordedFormat::Inspect | RecordedFormat::Jailbreakbench
    );
    if !counts || asked.dataset_id.is_some() {
        return Ok(());
    }
    counted(found, &pairs, &columns)
}

/// A field that says what was asked, and a column that may be the same.
#[derive(Clone, Copy)]
struct Question<'a> {
    field: &'a str,
    /// All that was asked.
    all: &'a HashSet<Cow<'a, str>>,
    column: &'a str,
}

impl Question<'_> {
    /// Whether the text of a row was asked, under whatever id.
    fn is_asked(self, row: &Row) -> bool {
        own(row, self.column).is_some_and(|text| self.all.contains(text))
    }

    /// Whether most texts of the column were asked.
    fn is_most(self, pairs: &[(&Row, Said<'_>)]) -> bool {
        let asked = pairs.iter().filter(|(row, _)| self.is_asked(row)).count();
        2 * asked > pairs.len()
    }

    /// A row that was asked something else: one whose text stands under another id, or the first.
    fn other<'p>(self, pairs: &'p [(&'p Row, Said<'p>)]) -> Option<&'p (&'p Row, Said<'p>)> {
        let is_other =
            |(row, said): &&(&Row, Said<'_>)| match (said.get(self.field), own(row, self.column)) {
                (Some(asked), Some(ours)) => !within(ours, asked),
                (None, Some(_)) => self.is_asked(row),
                (_, None) => false,
            };
        let moved = pairs.iter().filter(is_other);
        let mut moved = moved.filter(|(row, _)| self.is_asked(row));
        moved.next().or_else(|| pairs.iter().find(is_other))
    }
}

/// The field in which the samples of a layout that counts them say what was asked, where a row says nothing: nothing then proves that its
/// count is the place of a dataset's row.
#[must_use]
pub fn unsaid(format: RecordedFormat, rows: &[&Row]) -> Option<&'static str> {
    let field = match format {
        RecordedFormat::LmEval => "doc",
        RecordedFormat::Promptfoo => "vars",
        _ => return None,
    };
    let silent = rows.iter().any(|row| texts(format, row).is_empty());
    silent.then_some(field)
}

/// Checks that samples which are known by their number alone were asked what a column of their rows says.
fn counted(
    found: &ConditionRows<'_>,
    pairs: &[(&Row, Said<'_>)],
    columns: &[&str],
) -> Result<(), Problem> {
    let field = match found.mapping.format {
        RecordedFormat::Inspect => "input",
        _ => "goal",
    };
    let says = |(row, said): &(&Row, Said<'_>), column: &str| {
        let both = said.get(field).zip(own(row, column));
        both.is_some_and(|(asked, ours)| within(ours, asked) || within(asked, ours))
    };
    let holds = |column: &&str| pairs.iter().all(|pair| says(pair, column));
    if columns.iter().any(holds) {
        return Ok(());
    }
    let odd = |pair: &&(&Row, Said<'_>)| !columns.iter().any(|column| says(pair, column));
    let Some(pair) = pairs.iter().find(odd).or(pairs.first()) else {
        return Ok(());
    };
    Err(another(found, pair, field)
        .help("no column of the dataset says what was asked, and places pair nothing: give the dataset the ids of the recording as a column, and say `id: COLUMN`"))
}

fn another(found: &ConditionRows<'_>, (row, said): &(&Row, Said<'_>), field: &str) -> Problem {
    let name = match found.mapping.format {
        RecordedFormat::LmEval => format!("doc.{field}"),
        RecordedFormat::Promptfoo => format!("vars.{field}"),
        _ => field.to_owned(),
    };
    let asked = match said.get(field) {
        Some(asked) => format!("`{name}` is `{}` there", beginning(asked)),
        None => format!("there is no `{name}` there"),
    };
    let ours = row.columns.iter().filter_map(|(name, value)| {
        Some(format!(
            "`{}` here in `{name}`",
            beginning(value.as_str()?.trim())
        ))
    });
    let ours: Vec<String> = ours.take(3).collect();
    Problem::failed(format!(
        "`{}` was asked something else under `{}` than the dataset says: {asked}, and {}",
        found.recorded.file.path.display(),
        row.id,
        match ours.is_empty() {
            true => "there is no text here".to_owned(),
            false => ours.join(", "),
        }
    ))
}

/// The columns whose texts tell most rows apart.
fn telling(rows: &[Row]) -> Vec<&str> {
    let names = rows.iter().take(1).flat_map(|row| row.columns.keys());
    let tells = |name: &&str| {
        let texts: HashSet<&str> = rows.iter().filter_map(|row| own(row, name)).collect();
        2 * texts.len() > rows.len()
    };
    names.map(String::as_str).filter(tells).collect()
}

/// The text of a column of the dataset.
fn own<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    trimmed(row.columns.get(column)?.as_str()?)
}

/// Whether a text stands in another one as a whole, and not as a part of a word.
fn within(text: &str, whole: &str) -> bool {
    let ends = |rest: Option<char>| rest.is_none_or(|letter| !letter.is_alphanumeric());
    whole.match_indices(text).any(|(at, _)| {
        let (before, after) = (&whole[..at], &whole[at + text.len()..]);
        ends(before.chars().next_back()) && ends(after.chars().next())
    })
}

/// What a sample was asked, by the field that says it.
type Said<'a> = HashMap<&'a str, Cow<'a, str>>;

fn texts(format: RecordedFormat, row: &Row) -> Vec<(&str, Cow<'_, str>)> {
    let named = |fields: &str| {
        let fields = row.columns.get(fields).and_then(Value::as_object);
        let texts = fields.into_iter().flatten().filter_map(|(name, value)| {
            let text = trimmed(value.as_str()?)?;
            Some((name.as_str(), Cow::Borrowed(text)))
        });
        texts.collect()
    };
    match format {
        RecordedFormat::LmEval => named("doc"),
        RecordedFormat::Promptfoo => named("vars"),
        RecordedFormat::Inspect => {
            let input = input(row).and_then(|text| Some(trimmed(&text)?.to_owned()));
            input
                .map(|text| ("input", Cow::Owned(text)))
                .into_iter()
                .collect()
        }
        RecordedFormat::Jailbreakbench => {
            let goal = row.columns.get("goal").and_then(Value::as_str);
            goal.and_then(trimmed)
                .map(|text| ("goal", Cow::Borrowed(text)))
                .into_iter()
                .collect()
        }
        RecordedFormat::Rows(_) => {
            let said = OWN_QUESTIONS.iter().filter_map(|&field| {
                let asked = question(&listed(row.columns.get(field)?))?;
                Some((field, Cow::Owned(trimmed(&asked)?.to_owned())))
            });
            said.collect()
        }
        // A test case of HarmBench is an attack, and garak has prompts of its own.
        RecordedFormat::Harmbench | RecordedFormat::Garak => Vec::new(),
    }
}

/// Columns of a table of one's own that say what was asked. The first is that of `export`.
const OWN_QUESTIONS: [&str; 4] = ["messages", "prompt", "question", "input"];

fn trimmed(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// A question: a text, or what the user said last.
fn question(asked: &Value) -> Option<String> {
    let content = match asked {
        Value::Array(messages) => {
            let mut of_user = messages.iter().rev();
            &of_user.find(|message| message["role"] == "user")?["content"]
        }
        other => other,
    };
    Some(match content {
        Value::Array(parts) => {
            let texts: Vec<&str> = parts
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect();
            texts.join("\n")
        }
        other => other.as_str()?.to_owned(),
    })
}

/// The question of a sample of inspect.
fn input(row: &Row) -> Option<String> {
    let text = question(row.columns.get("input")?)?;
    // Long texts are kept apart.
    match text.strip_prefix("attachment://") {
        None => Some(text),
        Some(name) => {
            let kept = row.columns.get("attachments")?.get(name)?;
            kept.as_str().map(str::to_owned)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Recorded, RecordedMapping, check_rows};
    use super::*;

    fn rows(values: &[Value]) -> Vec<Row> {
        let rows = values.iter().enumerate().map(|(number, value)| Row {
            id: number.to_string(),
            columns: serde_json::from_value(value.clone()).unwrap(),
        });
        rows.collect()
    }

    fn checked(
        format: RecordedFormat,
        samples: &[Value],
        dataset: &[Row],
        dataset_id: Option<&str>,
    ) -> Result<(), Problem> {
        let recorded = Recorded {
            evaluations: Vec::new(),
            file: crate::PinnedFile {
                path: "log".into(),
                digest: driftgauge_store::Digest::of(b""),
            },
            mapping: RecordedMapping::of(format),
        };
        let asked = Asked {
            condition: "default",
            judged: false,
            dataset_id,
        };
        check_rows(&rows(samples), &recorded, asked, dataset)
    }

    fn capitals() -> Vec<Row> {
        rows(&[
            json!({"q": "capital of A", "r": "x"}),
            json!({"q": "capital of B", "r": "y"}),
        ])
    }

    #[test]
    fn samples_that_are_counted_were_asked_what_their_rows_say() {
        let inspect = |first: Value, second: Value| {
            let samples = [
                json!({"id": 1, "sample": 1, "input": first}),
                json!({"id": 2, "sample": 1, "input": second}),
            ];
            checked(RecordedFormat::Inspect, &samples, &capitals(), None)
        };
        assert_eq!(
            inspect("capital of A".into(), " capital of B".into()),
            Ok(())
        );
        // In a template, and in messages.
        let message = |text: &str| json!([{"role": "system", "content": "hi"}, {"role": "user", "content": text}]);
        assert_eq!(
            inspect(
                message("Name the capital of A."),
                message("Name the capital of B.")
            ),
            Ok(())
        );
        let said = inspect("capital of B".into(), "capital of A".into()).unwrap_err();
        let help = said.help.clone().unwrap();
        assert!(
            said.message.contains("under `0`") && help.contains("another order"),
            "{said}"
        );
        assert!(
            said.message.contains("`input` is `capital of B` there"),
            "{said}"
        );
        for (first, second) in [
            (
                message("Name the capital of B."),
                message("Name the capital of A."),
            ),
            ("capital of C".into(), "capital of D".into()),
            (Value::Null, Value::Null),
        ] {
            let said = inspect(first, second).unwrap_err();
            assert!(said.message.contains("was asked something else"), "{said}");
            assert!(said.help.unwrap().contains("say `id: COLUMN`"));
        }

        let broken = |goals: [&str; 2]| {
            let [first, second] = goals;
            let samples = [
                json!({"id": 0, "index": 0, "goal": first}),
                json!({"id": 1, "index": 1, "goal": second}),
            ];
            checked(RecordedFormat::Jailbreakbench, &samples, &capitals(), None)
        };
        assert_eq!(broken(["capital of A", "capital of B"]), Ok(()));
        assert!(broken(["capital of B", "capital of A"]).is_err());
        assert!(broken(["capital of C", "capital of D"]).is_err());
    }

    #[test]
    fn a_count_without_what_was_asked_is_known() {
        for (format, field) in [
            (RecordedFormat::LmEval, "doc"),
            (RecordedFormat::Promptfoo, "vars"),
        ] {
            let said = json!({"id": 0, field: {"q": "which?"}});
            let of = |samples: &[Value]| {
                let rows = rows(samples);
                unsaid(format, &rows.iter().collect::<Vec<&Row>>())
            };
            assert_eq!(of(std::slice::from_ref(&said)), None);
            for silent in [json!({"id": 1}), json!({"id": 1, field: {}})] {
                assert_eq!(of(&[said.clone(), silent]), Some(field));
            }
        }
    }

    #[test]
    fn texts_in_another_order_are_found_under_other_names() {
        let of = |format: RecordedFormat, fields: &str, texts: [&str; 2]| {
            let mut number = 0;
            let samples = texts.map(|text| {
                number += 1;
                json!({"id": number - 1, fields: {"question": text}})
            });
            checked(format, &samples, &capitals(), None)
        };
        for (format, fields) in [
            (RecordedFormat::LmEval, "doc"),
            (RecordedFormat::Promptfoo, "vars"),
        ] {
            assert_eq!(of(format, fields, ["capital of A", "capital of B"]), Ok(()));
            let said = of(format, fields, ["capital of B", "capital of A"]).unwrap_err();
            assert!(said.help.unwrap().contains("another order"));
            // Nothing in common says nothing.
            assert_eq!(of(format, fields, ["what?", "which?"]), Ok(()));
        }
        // The same under ids.
        let mut named = capitals();
        for (row, id) in named.iter_mut().zip(["a", "b"]) {
            row.id = id.to_owned();
        }
        let by_id = |first: &str, second: &str| {
            let samples = [
                json!({"id": "a", "sample": 1, "input": first}),
                json!({"id": "b", "sample": 1, "input": second}),
            ];
            checked(RecordedFormat::Inspect, &samples, &named, Some("id"))
        };
        assert_eq!(by_id("capital of A", "capital of B"), Ok(()));
        assert_eq!(by_id("Say A", "Say B"), Ok(()));
        assert!(by_id("capital of B", "capital of A").is_err());
    }
}
