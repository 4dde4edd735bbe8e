//! The samples as an inert block of JSON inside the page, short enough for tens of thousands of them. `samples.js` reads it.

use std::collections::HashMap;

use driftgauge_record::visible;
use serde_json::{Value, json};

use crate::Report;
use crate::model::{CompletionCell, SampleCell, SampleRow, SampleSection};

/// The block with all sections.
pub(super) fn script_block(report: &Report) -> String {
    let sections: Vec<Value> = report
        .samples
        .iter()
        .map(|part| section(part, report.headline.baseline.as_deref()))
        .collect();
    let json = json!({ "mode": report.sample_mode, "sections": sections }).to_string();
    // Nothing in the block can end it, or begin a comment.
    let inert = json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    format!("<script type=\"application/json\" id=\"sample-rows\">{inert}</script>")
}

fn section(section: &SampleSection, baseline: Option<&str>) -> Value {
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
    let rows: Vec<Value> = section
        .rows
        .iter()
        .map(|row| row_of(row, section, &places))
        .collect();
    json!({
        "evaluation": section.evaluation,
        "models": section.models,
        "baseline": section.models.iter().position(|model| Some(model.as_str()) == baseline),
        "judges": section.judges,
        "metrics": section.metrics.iter().map(|metric| json!([metric.metric, metric.title, u8::from(metric.primary)])).collect::<Vec<_>>(),
        "conditions": section.conditions,
        "fields": section.fields.iter().map(|name| shown(name)).collect::<Vec<_>>(),
        "categories": categories.iter().map(|name| shown(name)).collect::<Vec<_>>(),
        "rows": rows,
    })
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
        let block = script_block(&report);
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
