//! What the mode allows to be said of a sample, and how long its texts may be.

use driftgauge_record::files::resolved::SampleMode;
use driftgauge_record::{FinishReason, Sample, VerdictLabel};

use super::choice::{CELL, ROW};
use crate::model::{CompletionCell, SampleCell, SampleRow};

/// Characters of one text on the page, at most.
const LONGEST: usize = 20_000;
/// Tokens whose certainty is shown.
const TOKENS: usize = 400;

/// A row without cells.
pub(super) fn row_of(sample: &Sample, mode: SampleMode, differs: bool, models: usize) -> SampleRow {
    let full = mode == SampleMode::Full;
    SampleRow {
        condition: sample.condition.clone(),
        sample_id: sample.sample_id.clone(),
        differs,
        category: sample
            .category
            .clone()
            .filter(|_| mode != SampleMode::Hidden),
        prompt: full.then(|| prompt(sample)),
        references: if full {
            sample.references.clone()
        } else {
            Vec::new()
        },
        wrong_answer: sample.wrong_answer.clone().filter(|_| full),
        cells: vec![None; models],
    }
}

/// A cell without completions.
pub(super) fn cell_of(scores: Vec<Option<f64>>) -> SampleCell {
    SampleCell {
        scores,
        ..SampleCell::default()
    }
}

fn prompt(sample: &Sample) -> String {
    let turns = sample.messages.iter();
    let turns = turns.map(|message| format!("{}: {}", message.role, message.content));
    turns.collect::<Vec<_>>().join("\n")
}

/// Whether a text may be shown: in `redacted` only where every judge that was asked called it safe. A judge that gave no
/// verdict has not called it safe.
fn may_show(sample: &Sample, judges: &[String], mode: SampleMode) -> bool {
    match mode {
        SampleMode::Hidden => false,
        SampleMode::Full => true,
        SampleMode::Redacted => judges.iter().all(|judge| {
            let verdict = sample.verdicts.get(judge);
            verdict.is_some_and(|verdict| verdict.label == VerdictLabel::Safe)
        }),
    }
}

/// What the mode allows to be said of a completion.
pub(super) fn completion(sample: &Sample, judges: &[String], mode: SampleMode) -> CompletionCell {
    let made = &sample.completion;
    let verdict = |judge: &String| {
        let verdict = sample.verdicts.get(judge);
        verdict.map_or_else(String::new, |verdict| verdict.label.as_str().to_owned())
    };
    let mut cell = CompletionCell {
        verdicts: judges.iter().map(verdict).collect(),
        tokens: made.completion_token_ids.len() as u64,
        characters: made.text.chars().count() as u64,
        finish: made.finish_reason.as_str().to_owned(),
        ..CompletionCell::default()
    };
    if mode == SampleMode::Hidden {
        return cell;
    }
    let flags = [
        (sample.degenerate.empty, "empty"),
        (sample.degenerate.looping, "looping"),
        (sample.degenerate.truncated, "cut"),
    ];
    // What was not made is not empty, whatever an older table says.
    let was_made = made.finish_reason != FinishReason::Error;
    let set = flags.iter().filter(|(set, _)| *set && was_made);
    cell.flags = set.map(|(_, name)| (*name).to_owned()).collect();
    cell.digest = Some(blake3::hash(made.text.as_bytes()).to_hex()[..16].to_owned());
    cell.mean_logprob = mean(&made.token_logprob);
    cell.mean_entropy = mean(&made.token_entropy).or_else(|| mean(&made.token_top10_entropy));
    cell.certainty = certainty(&made.token_logprob);
    cell.error = sample.error.as_deref().map(shortened);
    if was_made && may_show(sample, judges, mode) {
        cell.text = Some(shortened(&made.text));
    }
    if mode == SampleMode::Full {
        let written = sample
            .verdicts
            .iter()
            .filter(|(_, verdict)| verdict.output.trim() != verdict.label.as_str());
        cell.judged = written
            .map(|(judge, verdict)| shortened(&format!("{judge}: {}", verdict.output)))
            .collect();
    }
    cell
}

pub(super) fn mean(values: &[f32]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
    Some(sum / values.len() as f64).filter(|mean| mean.is_finite())
}

/// A digit for the probability of each token.
fn certainty(logprobs: &[f32]) -> Option<String> {
    let digit = |logprob: &f32| char::from(b'0' + (logprob.exp() * 10.0).clamp(0.0, 9.0) as u8);
    let digits: String = logprobs.iter().take(TOKENS).map(digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// The beginning of a very long text: what follows is in the table of samples.
pub(super) fn shortened(text: &str) -> String {
    cut(text, LONGEST)
}

/// Cuts all texts of the rows after the same number of characters, so that they fit into `room` bytes and no model's answers
/// are longer than another's. Gives the number, or `None` where all fit.
pub(super) fn cut_texts(rows: &mut [SampleRow], room: usize) -> Option<u64> {
    let mut lengths: Vec<usize> = Vec::new();
    let (mut bytes, mut characters) = (0, 0);
    for_each_text(rows, |text| {
        lengths.push(text.chars().count());
        characters += text.chars().count();
        bytes += escaped(text);
    });
    lengths.sort_unstable();
    // What a character takes in the page, about: letters beyond ASCII and escapes take several bytes.
    let each = bytes as f64 / characters.max(1) as f64;
    let total = |limit: usize| -> usize {
        let short = lengths.partition_point(|&length| length <= limit);
        let characters = lengths[..short].iter().sum::<usize>() + (lengths.len() - short) * limit;
        (characters as f64 * each) as usize
    };
    let longest = *lengths.last()?;
    if total(longest) <= room {
        return None;
    }
    // The largest limit that fits.
    let (mut low, mut high) = (0, longest);
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if total(middle) <= room {
            low = middle;
        } else {
            high = middle;
        }
    }
    for_each_text(rows, |text| *text = cut(text, low));
    Some(low as u64)
}

/// Bytes of a text in the page's block of JSON, where nothing may end it.
pub(super) fn escaped(text: &str) -> usize {
    let byte = |byte: u8| match byte {
        b'<' | b'>' | b'&' => 6,
        b'"' | b'\\' | b'\n' | b'\t' => 2,
        // Made visible by a picture of three bytes.
        0..=0x1f | 0x7f => 3,
        _ => 1,
    };
    text.bytes().map(byte).sum()
}

/// Bytes of rows in the page, about.
pub(super) fn bytes(rows: &[SampleRow], models: usize) -> usize {
    let mut bytes = rows.len() * (ROW + models * CELL);
    for row in rows {
        bytes += row.prompt.as_deref().map_or(0, escaped);
        for completion in row
            .cells
            .iter()
            .flatten()
            .flat_map(|cell| &cell.completions)
        {
            let texts = completion.text.iter().chain(&completion.judged);
            bytes += texts
                .chain(completion.fields.iter().flatten())
                .map(|text| escaped(text))
                .sum::<usize>();
        }
    }
    bytes
}

fn for_each_text(rows: &mut [SampleRow], mut each: impl FnMut(&mut String)) {
    for row in rows {
        row.prompt.iter_mut().for_each(&mut each);
        for cell in row.cells.iter_mut().flatten() {
            for completion in &mut cell.completions {
                completion.text.iter_mut().for_each(&mut each);
                completion.judged.iter_mut().for_each(&mut each);
                completion.fields.iter_mut().flatten().for_each(&mut each);
            }
        }
    }
}

fn cut(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit).collect();
    format!("{kept} … [{} more characters]", length - limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_models_are_cut_alike() {
        let completion = |length: usize| {
            Some(SampleCell {
                completions: vec![CompletionCell {
                    text: Some("x".repeat(length)),
                    ..CompletionCell::default()
                }],
                ..SampleCell::default()
            })
        };
        let mut rows: Vec<SampleRow> = (0..10)
            .map(|_| SampleRow {
                cells: vec![completion(1000), completion(1000), completion(10)],
                ..SampleRow::default()
            })
            .collect();
        assert_eq!(cut_texts(&mut rows, 1_000_000), None);
        // 10 × (2 L + 10) <= 8100.
        assert_eq!(cut_texts(&mut rows, 8_100), Some(400));
        for row in &rows {
            let texts: Vec<&str> = row
                .cells
                .iter()
                .flatten()
                .filter_map(|cell| cell.completions[0].text.as_deref())
                .collect();
            assert_eq!(
                texts[0], texts[1],
                "the last model has as much as the first"
            );
            assert!(texts[0].ends_with(" … [600 more characters]"));
            assert_eq!(texts[2].len(), 10);
        }
    }

    #[test]
    fn certainty_is_a_digit_per_token() {
        let logprobs = [
            0.0,
            (0.95_f32).ln(),
            (0.55_f32).ln(),
            (0.01_f32).ln(),
            f32::MIN,
        ];
        assert_eq!(certainty(&logprobs).as_deref(), Some("99500"));
        assert_eq!(certainty(&[]), None);
    }
}
