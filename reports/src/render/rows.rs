//! The samples as an inert block of JSON inside the page, short enough for tens of thousands of them. `samples.js` reads it.

use std::collections::HashMap;

use driftgauge_record::{visible, visible_line};
use serde_json::{Value, json};

use crate::Report;
use crate::model::{CompletionCell, SampleCell, SampleRow, SampleSection};

/// The samples inside the page.
pub(super) struct Block {
    pub(super) text: String,
    /// Rows of each section that found room.
    pub(super) counts: Vec<usize>,
}

/// The block with all sections, in at most about `room` bytes: where escapes or very many models take more than was reckoned with, the
/// last rows of each section are left out.
pub(super) fn script_block(report: &Report, room: usize) -> Block {
    let baseline = report.headline.baseline.as_deref();
    let parts = report.samples.iter();
    let mut sections: Vec<(String, Vec<String>)> =
        parts.map(|part| section(part, baseline)).collect();
    let heads: usize = sections.iter().map(|(head, _)| head.len() + 16).sum();
    let rows: usize = sections
        .iter()
        .flat_map(|(_, rows)| rows)
        .map(|row| row.len() + 1)
        .sum();
    let room = room.saturating_sub(heads);
    if rows > room {
        for (_, own) in &mut sections {
            let all: usize = own.iter().map(|row| row.len() + 1).sum();
            let share = (all as f64 * room as f64 / rows as f64) as usize;
            let mut used = 0;
            let fits = own.iter().take_while(|row| {
                used += row.len() + 1;
                used <= share
            });
            own.truncate(fits.count());
        }
    }
    let counts = sections.iter().map(|(_, rows)| rows.len()).collect();
    let sections: Vec<String> = sections
        .into_iter()
        .map(|(head, rows)| format!("{head},\"rows\":[{}]}}", rows.join(",")))
        .collect();
    let mode = json!(report.sample_mode);
    let text = format!(
        "<script type=\"application/json\" id=\"sample-rows\">{{\"mode\":{mode},\"sections\":[{}]}}</script>",
        sections.join(",")
    );
    Block { text, counts }
}

/// JSON in which nothing can end the block, or begin a comment.
fn inert(value: &Value) -> String {
    let json = value.to_string();
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// What a section says of all its rows, as an object that is still open, and the rows.
fn section(section: &SampleSection, baseline: Option<&str>) -> (String, Vec<String>) {
    let mut categories: Vec<&str> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for category in section
        .rows
        .iter()
        .filter_map(|row| row.category.as_deref())
    {
        places.entry(category).or_insert_with(|| {
            categories.push(category);
            categories.len() - 1
        });
    }
    let rows = section.rows.iter();
    let rows = rows.map(|row| inert(&row_of(row, section, &places)));
    let head = json!({
        "evaluation": visible_line(&section.evaluation),
        "file": visible_line(&section.file),
        "models": names(&section.models),
        "baseline": section.models.iter().position(|model| Some(model.as_str()) == baseline),
        "judges": names(&section.judges),
        "metrics": section.metrics.iter().map(|metric| json!([visible_line(&metric.metric), visible_line(&metric.title), u8::from(metric.primary)])).collect::<Vec<_>>(),
        "conditions": names(&section.conditions),
        "fields": section.fields.iter().map(|name| shown(name)).collect::<Vec<_>>(),
        "categories": categories.iter().map(|name| shown(name)).collect::<Vec<_>>(),
    });
    let mut head = inert(&head);
    head.pop();
    (head, rows.collect())
}

/// `[condition, id, differs, category, cells, prompt, references, wrong answer]`.
fn row_of(row: &SampleRow, section: &SampleSection, categories: &HashMap<&str, usize>) -> Value {
    let condition = section
        .conditions
        .iter()
        .position(|name| *name == row.condition);
    let category = row
        .category
        .as_deref()
        .and_then(|name| categories.get(name));
    let cells: Vec<Value> = row.cells.iter().map(cell_of).collect();
    let references: Vec<String> = row.references.iter().map(|text| shown(text)).collect();
    short(vec![
        json!(condition),
        json!(shown(&row.sample_id)),
        json!(u8::from(row.differs)),
        json!(category),
        json!(cells),
        json!(row.prompt.as_deref().map(shown)),
        if references.is_empty() {
            Value::Null
        } else {
            json!(references)
        },
        json!(row.wrong_answer.as_deref().map(shown)),
    ])
}

/// `[scores, completions, omitted]`.
fn cell_of(cell: &Option<SampleCell>) -> Value {
    let Some(cell) = cell else {
        return Value::Null;
    };
    let scores = cell.scores.iter().map(|score| match score {
        Some(0.0) => json!(0),
        Some(1.0) => json!(1),
        other => json!(other),
    });
    let completions: Vec<Value> = cell.completions.iter().map(completion).collect();
    let omitted = (cell.omitted > 0).then_some(cell.omitted);
    short(vec![
        short(scores.collect()),
        json!(completions),
        json!(omitted),
    ])
}

/// `[verdicts, tokens, characters, finish, flags, digest, ln p, entropy, certainty, text, judged, error, fields]`.
fn completion(made: &CompletionCell) -> Value {
    let verdicts = made.verdicts.iter().map(|word| match word.as_str() {
        "safe" => json!("s"),
        "unsafe" => json!("u"),
        "unparsable" => json!("?"),
        "error" => json!("e"),
        _ => Value::Null,
    });
    let list = |texts: &[String]| {
        (!texts.is_empty()).then(|| texts.iter().map(|text| shown(text)).collect::<Vec<_>>())
    };
    let fields = made
        .fields
        .iter()
        .map(|field| json!(field.as_deref().map(shown)));
    let rounded = |value: Option<f64>| value.map(|value| (value * 1000.0).round() / 1000.0);
    short(vec![
        short(verdicts.collect()),
        json!(made.tokens),
        json!(made.characters),
        json!(made.finish),
        json!(list(&made.flags)),
        json!(made.digest),
        json!(rounded(made.mean_logprob)),
        json!(rounded(made.mean_entropy)),
        json!(made.certainty),
        json!(made.text.as_deref().map(shown)),
        json!(list(&made.judged)),
        json!(made.error.as_deref().map(shown)),
        short(fields.collect())
            .as_array()
            .filter(|fields| !fields.is_empty())
            .map_or(Value::Null, |fields| json!(fields)),
    ])
}

/// Names as links of the page have them.
fn names(names: &[String]) -> Vec<std::borrow::Cow<'_, str>> {
    names.iter().map(|name| visible_line(name)).collect()
}

fn shown(text: &str) -> String {
    visible(text).into_owned()
}

/// A list without the nulls at its end.
fn short(mut list: Vec<Value>) -> Value {
    while list.last().is_some_and(Value::is_null) {
        list.pop();
    }
    Value::Array(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_block_ends_it() {
        let report = Report {
            samples: vec![SampleSection {
                evaluation: "</script><script>alert(1)</script>".to_owned(),
                rows: vec![SampleRow {
                    sample_id: "<!--\u{2028}\u{1b}".to_owned(),
                    ..SampleRow::default()
                }],
                ..SampleSection::default()
            }],
            ..Report::default()
        };
        let Block {
            text: block,
            counts,
        } = script_block(&report, 10_000);
        assert_eq!(counts, [1]);
        assert_eq!(block.matches('<').count(), 2, "{block}");
        assert!(!block.contains(['\u{2028}', '\u{1b}']));
        let json = block
            .split_once('>')
            .and_then(|(_, rest)| rest.strip_suffix("</script>"))
            .unwrap();
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(
            value["sections"][0]["evaluation"],
            "</script><script>alert(1)</script>"
        );
    }

    #[test]
    fn escapes_take_no_more_room_than_there_is() {
        let part = |rows: usize| SampleSection {
            rows: (0..rows)
                .map(|row| SampleRow {
                    sample_id: "<&>".repeat(50) + &row.to_string(),
                    ..SampleRow::default()
                })
                .collect(),
            ..SampleSection::default()
        };
        let report = Report {
            samples: vec![part(100), part(20)],
            ..Report::default()
        };
        let whole = script_block(&report, 1_000_000);
        assert_eq!(whole.counts, [100, 20]);
        let cut = script_block(&report, whole.text.len() / 2);
        assert!(cut.text.len() <= whole.text.len() / 2 + 100);
        assert!(
            (45..=50).contains(&cut.counts[0]) && (8..=10).contains(&cut.counts[1]),
            "{:?}",
            cut.counts
        );
        let json = cut
            .text
            .split_once('>')
            .unwrap()
            .1
            .strip_suffix("</script>")
            .unwrap();
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(
            value["sections"][0]["rows"].as_array().unwrap().len(),
            cut.counts[0]
        );
    }

    #[test]
    fn what_is_not_there_takes_no_room() {
        let bare = completion(&CompletionCell {
            verdicts: vec!["safe".to_owned(), String::new()],
            tokens: 4,
            characters: 9,
            finish: "stop".to_owned(),
            ..CompletionCell::default()
        });
        assert_eq!(bare.to_string(), "[[\"s\"],4,9,\"stop\"]");
    }
}
