//! Samples in memory, as plugins read them.

use std::borrow::Cow;

use driftgauge_plugin_protocol::field::{Field, Integer, Text, Tokens};
use driftgauge_plugin_protocol::rows::{BatchError, Batches, Lookup, Rows};
use serde_json::Value;

use crate::{Sample, Verdict, VerdictLabel, value};

/// Samples of one batch.
#[derive(Debug, Default)]
pub struct SampleRows(pub Vec<Sample>);

/// Batches of samples that something gives one by one.
#[derive(Debug)]
pub struct SampleBatches<I> {
    samples: I,
    size: usize,
    batch: SampleRows,
}

impl<I> SampleBatches<I> {
    /// Batches of at most `size` of the `samples`.
    pub fn new(samples: I, size: usize) -> Self {
        Self {
            samples,
            size: size.max(1),
            batch: SampleRows::default(),
        }
    }
}

impl<E: Into<BatchError>, I: Iterator<Item = Result<Sample, E>>> Batches for SampleBatches<I> {
    fn next_batch(&mut self) -> Result<Option<&dyn Rows>, BatchError> {
        let batch = &mut self.batch.0;
        batch.clear();
        for sample in self.samples.by_ref().take(self.size) {
            batch.push(sample.map_err(Into::into)?);
        }
        Ok((!batch.is_empty()).then_some(&self.batch))
    }
}

impl SampleRows {
    fn verdict(&self, row: usize, judge: &str) -> Option<&Verdict> {
        self.0[row].verdicts.get(judge)
    }

    /// Ids of the judges whose verdicts are such.
    fn ids(&self, row: usize, such: impl Fn(&Verdict) -> bool) -> Vec<Cow<'_, str>> {
        let verdicts = self.0[row].verdicts.iter();
        let ids = verdicts.filter(|(_, verdict)| such(verdict));
        ids.map(|(id, _)| Cow::Borrowed(id.as_str())).collect()
    }

    fn values(&self, row: usize, name: &str) -> Option<&[f64]> {
        let values = self.0[row].values.get(name)?;
        (!values.is_empty()).then_some(values)
    }

    fn tokens(&self, row: usize, list: Tokens) -> &[f32] {
        let completion = &self.0[row].completion;
        match list {
            Tokens::Logprob => &completion.token_logprob,
            Tokens::Top1Logprob => &completion.token_top1_logprob,
            Tokens::Margin => &completion.token_margin,
            Tokens::Top10Entropy => &completion.token_top10_entropy,
            Tokens::Top10Mass => &completion.token_top10_mass,
            Tokens::Entropy => &completion.token_entropy,
            Tokens::TopLogprobs => &completion.token_top_logprobs,
        }
    }
}

impl Rows for SampleRows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn text(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, str>> {
        let sample = &self.0[row];
        let found = match field {
            Field::Text(Text::SampleId) => Some(sample.sample_id.as_str()),
            Field::Text(Text::Evaluation) => Some(sample.evaluation.as_str()),
            Field::Text(Text::Condition) => Some(sample.condition.as_str()),
            Field::Text(Text::Model) => Some(sample.model.as_str()),
            Field::Text(Text::Completion) => Some(sample.completion.text.as_str()),
            Field::Text(Text::FinishReason) => Some(sample.completion.finish_reason.as_str()),
            Field::Text(Text::Category) => sample.category.as_deref(),
            Field::Text(Text::WrongAnswer) => sample.wrong_answer.as_deref(),
            Field::Text(Text::Error) => sample.error.as_deref(),
            Field::Verdict(judge) => self.verdict(row, judge).map(|v| v.label.as_str()),
            Field::JudgeOutput(judge) => self.verdict(row, judge).map(|v| v.output.as_str()),
            Field::Row(column) => {
                return cell(value::column(&sample.row, column));
            }
            _ => return Lookup::OtherType,
        };
        found.map(Cow::Borrowed).into()
    }

    fn number(&self, row: usize, field: Field<'_>) -> Lookup<f64> {
        match field {
            Field::PUnsafe(judge) => self.verdict(row, judge).and_then(|v| v.p_unsafe),
            Field::Score(judge) => self.verdict(row, judge).and_then(|v| v.score),
            Field::Points(judge) => self.verdict(row, judge).and_then(|v| v.points),
            Field::Row(column) => return value::number(value::column(&self.0[row].row, column)),
            Field::Value(name) => self.values(row, name).map(|values| values[0]),
            _ => return Lookup::OtherType,
        }
        .into()
    }

    fn integer(&self, row: usize, field: Field<'_>) -> Lookup<i64> {
        let sample = &self.0[row];
        Lookup::Present(match field {
            Field::Integer(Integer::SampleIndex) => i64::from(sample.sample_index),
            Field::Integer(Integer::EndsWithEos) => i64::from(sample.completion.ends_with_eos),
            Field::Integer(Integer::Empty) => i64::from(sample.degenerate.empty),
            Field::Integer(Integer::Looping) => i64::from(sample.degenerate.looping),
            Field::Integer(Integer::Truncated) => i64::from(sample.degenerate.truncated),
            _ => return Lookup::OtherType,
        })
    }

    fn floats(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f32]>> {
        match field {
            Field::Tokens(list) => {
                let list = self.tokens(row, list);
                (!list.is_empty()).then_some(Cow::Borrowed(list)).into()
            }
            Field::Value(name) => self
                .values(row, name)
                .map(|values| values.iter().map(|&value| value as f32).collect())
                .into(),
            _ => Lookup::OtherType,
        }
    }

    fn doubles(&self, row: usize, field: Field<'_>) -> Lookup<Cow<'_, [f64]>> {
        match field {
            Field::Value(name) => self.values(row, name).map(Cow::Borrowed).into(),
            _ => Lookup::OtherType,
        }
    }

    fn texts(&self, row: usize, field: Field<'_>) -> Lookup<Vec<Cow<'_, str>>> {
        match field {
            Field::References => Lookup::Present(borrow(&self.0[row].references)),
            Field::Judges => {
                Lookup::Present(self.ids(row, |verdict| verdict.label != VerdictLabel::Scored))
            }
            Field::Scorers => Lookup::Present(self.ids(row, |verdict| verdict.score.is_some())),
            Field::Categories(judge) => self
                .verdict(row, judge)
                .map(|verdict| borrow(&verdict.categories))
                .into(),
            _ => Lookup::OtherType,
        }
    }

    fn json(&self, row: usize) -> Result<String, String> {
        // Plain data with string keys always serialises.
        Ok(serde_json::to_string(&self.0[row]).unwrap_or_default())
    }
}

/// A cell of a dataset's row as text: text as it is, other values as JSON.
#[must_use]
pub fn cell(value: Option<&Value>) -> Lookup<Cow<'_, str>> {
    match value {
        None | Some(Value::Null) => Lookup::Null,
        Some(Value::String(text)) => Lookup::Present(Cow::Borrowed(text)),
        Some(other) => Lookup::Present(Cow::Owned(other.to_string())),
    }
}

fn borrow(texts: &[String]) -> Vec<Cow<'_, str>> {
    texts
        .iter()
        .map(|text| Cow::Borrowed(text.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_of_the_size_that_was_asked_for() {
        let sizes = |size: usize| {
            let sample =
                |id: u8| Ok::<_, BatchError>(Sample::unanswered(id.to_string(), 0, Vec::new()));
            let mut batches = SampleBatches::new((0..5).map(sample), size);
            let mut sizes = Vec::new();
            while let Some(batch) = batches.next_batch().unwrap() {
                sizes.push(batch.len());
            }
            sizes
        };
        assert_eq!(sizes(2), [2, 2, 1]);
        assert_eq!(sizes(1), [1; 5]);
        // Nothing at a time would never end.
        assert_eq!(sizes(0), [1; 5]);
        assert_eq!(sizes(9), [5]);
    }
}
