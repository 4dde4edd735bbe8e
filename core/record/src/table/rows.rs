//! A table's samples, as plugins read them.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, BooleanArray, Float32Array, ListArray};
use driftgauge_plugin_protocol::field::{Field, Integer, Text, Tokens};
use driftgauge_plugin_protocol::rows::{BatchError, Batches, Lookup, Rows};
use indexmap::IndexMap;
use serde_json::Value;

use super::TableRows;
use super::columns::Column;
use super::decode::{Parsed, Words};
use crate::rows::cell;
use crate::value;
use crate::{Verdict, VerdictLabel};

impl TableRows {
    fn flag(
        &self,
        name: &'static str,
        column: &Column<BooleanArray>,
        row: usize,
    ) -> Result<i64, String> {
        Ok(i64::from(self.column(name, column)?.value(row)))
    }

    fn row(&self, row: usize) -> Result<&IndexMap<String, Value>, String> {
        let cells = self.column_after("row", &self.batch.row, &self.before.row)?;
        cells
            .get(row)
            .ok_or_else(|| self.unusable("row").to_string())
    }

    fn judged(&self) -> Result<&Parsed<IndexMap<String, Verdict>>, String> {
        self.column_after("verdicts", &self.batch.verdicts, &self.before.verdicts)
    }

    /// The verdicts on a sample of the batch, by judge.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn verdicts(&self, row: usize) -> Result<&IndexMap<String, Verdict>, String> {
        let cells = self.judged()?;
        cells
            .get(row)
            .ok_or_else(|| self.unusable("verdicts").to_string())
    }

    fn measured(&self) -> Result<&Parsed<IndexMap<String, Vec<f64>>>, String> {
        self.column_after("values", &self.batch.values, &self.before.values)
    }

    fn values(&self, row: usize, name: &str) -> Result<Option<&[f64]>, String> {
        let values = self.measured()?.get(row);
        let values = values.ok_or_else(|| self.unusable("values").to_string())?;
        let found = values.get(name).filter(|values| !values.is_empty());
        Ok(found.map(Vec::as_slice))
    }

    /// The column of a text of which few are different, and its name.
    fn words(&self, text: Text) -> Option<(&'static str, &Column<Words>)> {
        let batch = &self.batch;
        Some(match text {
            Text::Evaluation => ("evaluation", &batch.evaluation),
            Text::Condition => ("condition", &batch.condition),
            Text::Model => ("model", &batch.model),
            Text::FinishReason => ("finish_reason", &batch.finish_reason),
            Text::Category => ("category", &batch.category),
            Text::WrongAnswer => ("wrong_answer", &batch.wrong_answer),
            Text::Error => ("error", &batch.error),
            Text::SampleId | Text::Completion => return None,
        })
    }

    /// The column of a list of numbers, and its name; `None` where the table is of a version that knew no such column.
    fn list(&self, list: Tokens) -> Option<(&'static str, &Column<ListArray>)> {
        let batch = &self.batch;
        Some(match list {
            Tokens::Logprob => ("token_logprob", &batch.token_logprob),
            Tokens::Top1Logprob => ("token_top1_logprob", &batch.token_top1_logprob),
            Tokens::Margin => ("token_margin", &batch.token_margin),
            Tokens::Top10Entropy => ("token_top10_entropy", &batch.token_top10_entropy),
            Tokens::Top10Mass => ("token_top10_mass", &batch.token_top10_mass),
            Tokens::Entropy => ("token_entropy", &batch.token_entropy),
            Tokens::TopLogprobs if !self.has("token_top_logprobs") => return None,
            Tokens::TopLogprobs => ("token_top_logprobs", &batch.token_top_logprobs),
        })
    }

    fn tokens(&self, row: usize, list: Tokens) -> Result<&[f32], String> {
        let Some((name, column)) = self.list(list) else {
            return Ok(&[]);
        };
        let lists = self.column(name, column)?;
        let items: Option<&Float32Array> = lists.values().as_primitive_opt::<Float32Type>();
        let items = items.ok_or_else(|| self.unusable(name).to_string())?;
        Ok(&items.values()[places(lists, row)])
    }
}

/// The column of a whole number or a flag.
fn flag_name(integer: Integer) -> &'static str {
    match integer {
        Integer::SampleIndex => "sample_index",
        Integer::EndsWithEos => "ends_with_eos",
        Integer::Empty => "empty",
        Integer::Looping => "looping",
        Integer::Truncated => "truncated",
    }
}

/// Where a row's items are. Offsets of a valid array are in order and within its items.
fn places(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    let starts = lists.value_offsets();
    starts[row] as usize..starts[row + 1] as usize
}

impl Batches for TableRows {
    fn prompts(&self) -> usize {
        self.total()
    }

    fn next_batch(&mut self) -> Result<Option<&dyn Rows>, BatchError> {
        Ok(if self.advance() { Some(self) } else { None })
    }
}

fn borrow<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Cow<'a, str>> {
    texts.map(Cow::Borrowed).collect()
}

/// Found, found to be nothing, or not readable.
fn lookup<T>(found: Result<Option<T>, String>) -> Lookup<T> {
    found.map_or_else(Lookup::Failed, Lookup::from)
}

impl Rows for TableRows {
    fn len(&self) -> usize {
        self.batch.len
    }

    fn text(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, str>> {
        let (name, column) = match field {
            Field::Text(Text::SampleId) => ("sample_id", &self.batch.sample_id),
            Field::Text(Text::Completion) => ("completion", &self.batch.completion),
            Field::Text(text) => {
                let Some((name, column)) = self.words(text) else {
                    return Lookup::OtherType;
                };
                let found = self.column(name, column);
                return lookup(found.map(|words| words.get(row).map(Cow::Borrowed)));
            }
            Field::Verdict(judge) => {
                let verdict = self.verdicts(row).map(|verdicts| verdicts.get(judge));
                return lookup(verdict).map(|verdict| Cow::Borrowed(verdict.label.as_str()));
            }
            Field::JudgeOutput(judge) => {
                let verdict = self.verdicts(row).map(|verdicts| verdicts.get(judge));
                return lookup(verdict).map(|verdict| Cow::Borrowed(verdict.output.as_str()));
            }
            Field::Row(column) => {
                return match self.row(row) {
                    Ok(columns) => cell(value::column(columns, column)),
                    Err(problem) => Lookup::Failed(problem),
                };
            }
            _ => return Lookup::OtherType,
        };
        lookup(self.column(name, column).map(|column| {
            let present = !column.is_null(row);
            present.then(|| Cow::Borrowed(column.value(row)))
        }))
    }

    fn number(&self, row: usize, field: Field<'_>) -> Lookup<f64> {
        lookup(match field {
            Field::PUnsafe(judge) => self
                .verdicts(row)
                .map(|verdicts| verdicts.get(judge)?.p_unsafe),
            Field::Score(judge) => self
                .verdicts(row)
                .map(|verdicts| verdicts.get(judge)?.score),
            Field::Points(judge) => self
                .verdicts(row)
                .map(|verdicts| verdicts.get(judge)?.points),
            Field::Row(column) => {
                return match self.row(row) {
                    Ok(columns) => value::number(value::column(columns, column)),
                    Err(problem) => Lookup::Failed(problem),
                };
            }
            Field::Value(name) => self
                .values(row, name)
                .map(|values| values.map(|values| values[0])),
            _ => return Lookup::OtherType,
        })
    }

    fn integer(&self, row: usize, field: Field<'_>) -> Lookup<i64> {
        let batch = &self.batch;
        let found = match field {
            Field::Integer(Integer::SampleIndex) => self
                .column("sample_index", &batch.sample_index)
                .map(|column| i64::from(column.value(row))),
            Field::Integer(Integer::EndsWithEos) => {
                self.flag("ends_with_eos", &batch.ends_with_eos, row)
            }
            Field::Integer(Integer::Empty) => self.flag("empty", &batch.empty, row),
            Field::Integer(Integer::Looping) => self.flag("looping", &batch.looping, row),
            Field::Integer(Integer::Truncated) => self.flag("truncated", &batch.truncated, row),
            _ => return Lookup::OtherType,
        };
        lookup(found.map(Some))
    }

    fn floats(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f32]>> {
        match field {
            Field::Tokens(list) => lookup(
                self.tokens(row, list)
                    .map(|list| (!list.is_empty()).then_some(Cow::Borrowed(list))),
            ),
            Field::Value(name) => lookup(self.values(row, name))
                .map(|values| values.iter().map(|&value| value as f32).collect()),
            _ => Lookup::OtherType,
        }
    }

    fn doubles(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f64]>> {
        match field {
            Field::Value(name) => lookup(self.values(row, name)).map(Cow::Borrowed),
            _ => Lookup::OtherType,
        }
    }

    fn texts(&self, row: usize, field: Field<'_>) -> Lookup<Vec<Cow<'_, str>>> {
        match field {
            Field::References => {
                lookup(self.column("references", &self.batch.references).map(Some)).map(|lists| {
                    let items = lists.values().as_string_opt::<i32>();
                    let place = |place| items.map_or("", |items| items.value(place));
                    borrow(places(lists, row).map(place))
                })
            }
            Field::Judges => lookup(self.verdicts(row).map(Some)).map(|verdicts| {
                let judged = verdicts
                    .iter()
                    .filter(|(_, verdict)| verdict.label != VerdictLabel::Scored);
                borrow(judged.map(|(id, _)| id.as_str()))
            }),
            Field::Scorers => lookup(self.verdicts(row).map(Some)).map(|verdicts| {
                let scored = verdicts
                    .iter()
                    .filter(|(_, verdict)| verdict.score.is_some());
                borrow(scored.map(|(id, _)| id.as_str()))
            }),
            Field::Categories(judge) => {
                lookup(self.verdicts(row).map(|verdicts| verdicts.get(judge))).map(|verdict| {
                    let categories = verdict.categories.iter();
                    borrow(categories.map(String::as_str))
                })
            }
            _ => Lookup::OtherType,
        }
    }

    fn alike(&self, field: Field<'_>) -> Option<&[u32]> {
        Some(match field {
            Field::Text(text) => {
                let (name, column) = self.words(text)?;
                self.column(name, column).ok()?.alike()
            }
            Field::Verdict(_)
            | Field::JudgeOutput(_)
            | Field::PUnsafe(_)
            | Field::Score(_)
            | Field::Points(_)
            | Field::Categories(_)
            | Field::Judges
            | Field::Scorers => self.judged().ok()?.alike(),
            Field::Value(_) => self.measured().ok()?.alike(),
            Field::Integer(integer) => self.all_alike(flag_name(integer))?,
            Field::Tokens(list) => self.all_alike(self.list(list)?.0)?,
            Field::References => self.all_alike("references")?,
            _ => return None,
        })
    }

    fn json(&self, row: usize) -> Result<String, String> {
        // Plain data with string keys always serialises.
        let sample = self.sample(row)?;
        Ok(serde_json::to_string(sample).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::BATCH;
    use super::*;
    use crate::{Sample, SampleRows, write_samples};

    const FIELDS: [&str; 36] = [
        "sample_id",
        "evaluation",
        "condition",
        "model",
        "completion",
        "finish_reason",
        "category",
        "wrong_answer",
        "error",
        "references",
        "judges",
        "verdict.guard",
        "verdict.other",
        "judge_output.guard",
        "categories.guard",
        "p_unsafe.guard",
        "score.guard",
        "row.text",
        "row.number",
        "row.list",
        "row.null",
        "row.missing",
        "value.kl",
        "value.none",
        "value.missing",
        "token_logprob",
        "token_top1_logprob",
        "token_margin",
        "token_top10_entropy",
        "token_top10_mass",
        "token_entropy",
        "token_top_logprobs",
        "sample_index",
        "ends_with_eos",
        "looping",
        "truncated",
    ];

    /// Samples of which no two are alike, some of them without what others have.
    fn sample(i: usize) -> Sample {
        let (every_third, number) = (i.is_multiple_of(3), i as f32);
        let verdict = serde_json::json!({"label": "unsafe", "categories": ["S2"], "p_unsafe": 0.75, "output": "unsafe\nS2"});
        serde_json::from_value(serde_json::json!({
            "evaluation": "e", "condition": format!("c{}", i % 2), "model": "m", "sample_id": format!("s{i}"),
            "sample_index": i % 4, "messages": [{"role": "user", "content": "open the \"door\"\n"}],
            "completion": {"prompt_token_ids": [0, i], "completion_token_ids": [7], "text": format!("answer {i}"),
                "finish_reason": if every_third { "error" } else { "stop" }, "ends_with_eos": !every_third,
                "token_logprob": vec![-number; i % 5], "token_top1_logprob": [-0.5, -number], "token_margin": [],
                "token_top10_entropy": vec![number; i % 2], "token_top10_mass": [0.5], "token_entropy": [number, 2.0],
                "token_top_logprobs": [-0.1, -number]},
            "error": every_third.then_some("none"),
            "degenerate": {"empty": false, "looping": every_third, "truncated": i % 2 == 1},
            "references": vec!["Ada"; i % 3], "wrong_answer": every_third.then_some("Bob"), "category": format!("k{}", i % 7),
            "row": {"text": "t", "number": i, "list": [1, null], "null": null},
            "verdicts": if every_third { serde_json::json!({}) } else { serde_json::json!({"guard": verdict}) },
            "values": {"kl": vec![f64::from(number); i % 3], "none": []},
        }))
        .unwrap()
    }

    fn table(samples: &[Sample]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.parquet");
        write_samples(&path, samples.to_vec()).unwrap();
        (dir, path)
    }

    #[test]
    fn a_table_gives_what_its_samples_have() {
        let samples: Vec<Sample> = (0..BATCH * 2 + 7).map(sample).collect();
        let (_dir, path) = table(&samples);
        let mut rows = TableRows::open(&path).unwrap();
        let (mut seen, mut batches) = (0, 0);
        while rows.advance() {
            let expected = SampleRows(samples[seen..seen + rows.len()].to_vec());
            for (place, name) in FIELDS.into_iter().enumerate() {
                // Some columns are first asked for in the middle of the table, some are left out there.
                if place % 3 == batches {
                    continue;
                }
                let field = Field::parse(name).unwrap();
                let alike = rows.alike(field);
                for row in 0..rows.len() {
                    let first = alike.map_or(row, |alike| alike[row] as usize);
                    assert!(
                        first <= row && alike.is_none_or(|alike| alike[first] as usize == first)
                    );
                    assert_eq!(
                        expected.text(first, field),
                        expected.text(row, field),
                        "{name}"
                    );
                    assert_eq!(
                        expected.doubles(first, field),
                        expected.doubles(row, field),
                        "{name}"
                    );
                    assert_eq!(
                        expected.texts(first, field),
                        expected.texts(row, field),
                        "{name}"
                    );
                    assert_eq!(rows.text(row, field), expected.text(row, field), "{name}");
                    assert_eq!(
                        rows.number(row, field),
                        expected.number(row, field),
                        "{name}"
                    );
                    assert_eq!(
                        rows.integer(row, field),
                        expected.integer(row, field),
                        "{name}"
                    );
                    assert_eq!(
                        rows.floats(row, field),
                        expected.floats(row, field),
                        "{name}"
                    );
                    assert_eq!(
                        rows.doubles(row, field),
                        expected.doubles(row, field),
                        "{name}"
                    );
                    assert_eq!(rows.texts(row, field), expected.texts(row, field), "{name}");
                }
            }
            assert_eq!(rows.json(3), expected.json(3));
            seen += rows.len();
            batches += 1;
        }
        assert_eq!((seen, batches), (samples.len(), 3));
    }

    #[test]
    fn what_is_asked_of_a_broken_table_fails_with_its_name() {
        let (_dir, path) = table(&[sample(1)]);
        let mut rows = TableRows::open(&path).unwrap();
        assert!(rows.advance());
        std::fs::remove_file(&path).unwrap();
        let field = Field::parse("completion").unwrap();
        let Lookup::Failed(problem) = rows.text(0, field) else {
            panic!("a file that is gone was read");
        };
        assert!(problem.contains("s.parquet"), "{problem}");
    }
}
