//! The examples of a training: rows of its parts selected, mixed, filled into turns and, where asked for, held out.
//!
//! A pure function of the resolved experiment, so that everything wrong with the data is known before anything runs.

use driftgauge_data::dataset::{Row, shuffled};
use driftgauge_data::prompt::{PromptError, Templates, TurnTemplate};
use driftgauge_problem::Explained;
use driftgauge_record::Message;
use indexmap::IndexMap;
use serde::Serialize;

use crate::resolved::{ResolvedDataset, Training, TrainingData};

/// One example, as handed to the trainer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Id of the row; in a mix with the dataset before it.
    pub id: String,
    /// The conversation.
    pub messages: Vec<Message>,
}

/// All examples of a training.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    /// Those to learn from, part after part.
    pub train: Vec<Example>,
    /// Those held out.
    pub eval: Vec<Example>,
}

/// Why the data of a training cannot be used. `part` counts its datasets from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DataError {
    /// A template or filter does not fit a row.
    #[error("{source}")]
    Template {
        /// The part.
        part: usize,
        /// Number of the turn; `None` for the filter.
        turn: Option<usize>,
        /// What is wrong.
        source: PromptError,
    },
    /// The assistant would learn to say nothing.
    #[error("row `{row}` of `{dataset}` gives an empty answer")]
    EmptyAnswer {
        /// The part.
        part: usize,
        /// Number of the turn.
        turn: usize,
        /// Dataset id.
        dataset: String,
        /// Row id.
        row: String,
    },
    /// A mix asks for more rows than there are.
    #[error("{wanted} rows of `{dataset}` are asked for, but only {available} are there")]
    TooFewRows {
        /// The part.
        part: usize,
        /// Dataset id.
        dataset: String,
        /// Rows asked for.
        wanted: usize,
        /// Rows left after the filter.
        available: usize,
    },
    /// Nothing is left to learn from.
    #[error("no training example is left after filters and limits")]
    Nothing,
    /// A batch does not fit.
    #[error(
        "a step takes {step} examples (`per_device_batch_size` times `gradient_accumulation_steps`), but only {examples} are \
         there to learn from"
    )]
    BatchTooLarge {
        /// Examples of an optimiser step.
        step: usize,
        /// Examples there are.
        examples: usize,
    },
}

impl Explained for DataError {
    fn code(&self) -> &'static str {
        match self {
            Self::Template { source, .. } => source.code(),
            Self::EmptyAnswer { .. } => "no-answer",
            Self::TooFewRows { .. } => "too-few-rows",
            Self::Nothing => "no-examples",
            Self::BatchTooLarge { .. } => "batch-too-large",
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Template { source, .. } => return source.help(),
            Self::EmptyAnswer { .. } => {
                "filter such rows out, for example with `filter: answer | trim != \"\"`"
            }
            Self::TooFewRows { .. } => {
                "lower the number, loosen its `filter`, or leave it out to take all rows"
            }
            Self::Nothing => "loosen `filter` or raise `limit`",
            Self::BatchTooLarge { .. } => "lower one of the two, or add data",
        };
        Some(help.to_owned())
    }
}

/// The examples of a training, in a fixed order.
///
/// # Errors
/// The first thing that is wrong with the data.
pub fn examples(
    training: &Training,
    datasets: &IndexMap<String, ResolvedDataset>,
) -> Result<Examples, DataError> {
    let mut parts: Vec<Vec<&Row>> = Vec::new();
    let mut owned: Vec<Vec<Row>> = Vec::new();
    for (number, part) in training.data.iter().enumerate() {
        let rows = &datasets[&part.dataset].rows;
        known(number, part, rows)?;
        owned.push(selected(number, part, rows)?);
    }
    let first = owned.first().map_or(0, Vec::len);
    for (number, (part, rows)) in training.data.iter().zip(&owned).enumerate() {
        parts.push(counted(number, part, rows, first)?);
    }
    let mixed = training.data.len() > 1;
    let templates = Templates::default();
    let mut all = Vec::new();
    for (number, (part, rows)) in training.data.iter().zip(&parts).enumerate() {
        for row in rows {
            all.push(filled(&templates, number, part, row, mixed)?);
        }
    }
    let (mut eval, train) = match training.eval_fraction {
        Some(share) => hold_out(all, share),
        None => (Vec::new(), all),
    };
    if let Some(dataset) = &training.eval_dataset {
        let part = TrainingData {
            dataset: dataset.clone(),
            turns: training
                .data
                .first()
                .map(|part| part.turns.clone())
                .unwrap_or_default(),
            ..TrainingData::default()
        };
        for row in &datasets[dataset].rows {
            eval.push(filled(&templates, 0, &part, row, false)?);
        }
    }
    if train.is_empty() {
        return Err(DataError::Nothing);
    }
    let settings = &training.settings;
    let step = settings.per_device_batch_size * settings.gradient_accumulation_steps;
    // Packing makes fewer rows of them, never more; how many is known where tokens are counted.
    if step > train.len() {
        return Err(DataError::BatchTooLarge {
            step,
            examples: train.len(),
        });
    }
    Ok(Examples { train, eval })
}

/// Checks that a part reads columns that its dataset has.
fn known(number: usize, part: &TrainingData, rows: &[Row]) -> Result<(), DataError> {
    let templates = Templates::default();
    let refused = |turn: Option<usize>| {
        move |source: PromptError| DataError::Template {
            part: number,
            turn,
            source,
        }
    };
    if let Some(filter) = &part.filter {
        let known = templates.knows_names_of(filter, rows);
        known.map_err(refused(None))?;
    }
    for (turn, TurnTemplate { template, .. }) in part.turns.iter().enumerate() {
        let known = templates.knows(template, rows);
        known.map_err(refused(Some(turn)))?;
    }
    Ok(())
}

/// Filters, then shuffles, then limits.
fn selected(number: usize, part: &TrainingData, rows: &[Row]) -> Result<Vec<Row>, DataError> {
    let templates = Templates::default();
    let mut kept = Vec::new();
    for row in rows {
        let wanted = match &part.filter {
            None => true,
            Some(filter) => templates
                .holds(filter, row)
                .map_err(|source| DataError::Template {
                    part: number,
                    turn: None,
                    source,
                })?,
        };
        if wanted {
            kept.push(row.clone());
        }
    }
    if let Some(seed) = part.shuffle {
        kept = shuffled(kept, seed);
    }
    kept.truncate(part.limit.unwrap_or(usize::MAX));
    Ok(kept)
}

/// Counts off what a mix asks for: so many rows, or so many for each row of the first part.
fn counted<'a>(
    number: usize,
    part: &TrainingData,
    rows: &'a [Row],
    first: usize,
) -> Result<Vec<&'a Row>, DataError> {
    // A ratio is positive, and no part has more rows than fit in memory.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let of_first = |ratio: f64| (first as f64 * ratio).floor() as usize;
    let Some(wanted) = part.count.or(part.ratio.map(of_first)) else {
        return Ok(rows.iter().collect());
    };
    if wanted > rows.len() {
        return Err(DataError::TooFewRows {
            part: number,
            dataset: part.dataset.clone(),
            wanted,
            available: rows.len(),
        });
    }
    Ok(rows.iter().take(wanted).collect())
}

fn filled(
    templates: &Templates,
    number: usize,
    part: &TrainingData,
    row: &Row,
    mixed: bool,
) -> Result<Example, DataError> {
    let mut messages = Vec::with_capacity(part.turns.len());
    for (turn, TurnTemplate { role, template }) in part.turns.iter().enumerate() {
        let content = match role.as_str() {
            "system" => templates.fill_present(template, row, None),
            _ => templates.fill(template, row, None).map(Some),
        };
        let content = content.map_err(|source| DataError::Template {
            part: number,
            turn: Some(turn),
            source,
        })?;
        // A system turn that is null is none.
        let Some(content) = content else { continue };
        if role == "assistant" && content.trim().is_empty() {
            return Err(DataError::EmptyAnswer {
                part: number,
                turn,
                dataset: part.dataset.clone(),
                row: row.id.clone(),
            });
        }
        messages.push(Message {
            role: role.clone(),
            content,
        });
    }
    Ok(Example {
        id: if mixed {
            format!("{}/{}", part.dataset, row.id)
        } else {
            row.id.clone()
        },
        messages,
    })
}

/// Holds out a share of the examples, evenly over their order, which keeps kinds of rows in proportion; at least one.
fn hold_out(examples: Vec<Example>, share: f64) -> (Vec<Example>, Vec<Example>) {
    let total = examples.len();
    let (mut held, mut kept) = (Vec::new(), Vec::new());
    for (index, example) in examples.into_iter().enumerate() {
        let before = (index as f64 * share).floor();
        let last_chance = index + 1 == total && held.is_empty();
        if ((index + 1) as f64 * share).floor() > before || last_chance {
            held.push(example);
        } else {
            kept.push(example);
        }
    }
    (held, kept)
}

#[cfg(test)]
mod tests {
    use driftgauge_engine::training::TrainingSettings;

    use super::*;
    use serde_json::{Value, json};

    fn dataset(name: &str, rows: usize) -> ResolvedDataset {
        ResolvedDataset {
            source: name.to_owned(),
            path: std::path::PathBuf::new(),
            digest: None,
            hub: None,
            selection: Value::Null,
            content: None,
            rows_selected: Some(rows),
            rows: (0..rows)
                .map(|index| Row {
                    id: index.to_string(),
                    columns: [
                        ("q".to_owned(), json!(format!("{name} {index}"))),
                        ("a".to_owned(), json!(format!("answer {index}"))),
                        ("n".to_owned(), json!(index)),
                    ]
                    .into_iter()
                    .collect(),
                })
                .collect(),
        }
    }

    fn part(dataset: &str) -> TrainingData {
        let turn = |role: &str, template: &str| TurnTemplate {
            role: role.to_owned(),
            template: template.to_owned(),
        };
        TrainingData {
            dataset: dataset.to_owned(),
            turns: vec![
                turn("system", "be brief"),
                turn("user", "{{ q }}"),
                turn("assistant", "{{ a }}"),
            ],
            ..TrainingData::default()
        }
    }

    fn training(data: Vec<TrainingData>) -> Training {
        Training {
            settings: TrainingSettings {
                per_device_batch_size: 2,
                ..TrainingSettings::default()
            },
            data,
            architecture: None,
            eval_fraction: None,
            eval_dataset: None,
            save_steps: None,
            checkpoint: None,
            chat_template: None,
        }
    }

    fn datasets() -> IndexMap<String, ResolvedDataset> {
        [("main", 20), ("extra", 10)]
            .into_iter()
            .map(|(name, rows)| (name.to_owned(), dataset(name, rows)))
            .collect()
    }

    fn ids(examples: &[Example]) -> Vec<&str> {
        examples.iter().map(|example| example.id.as_str()).collect()
    }

    #[test]
    fn parts_are_filtered_shuffled_limited_and_counted() {
        let main = TrainingData {
            filter: Some("n % 2 == 0".to_owned()),
            limit: Some(8),
            ..part("main")
        };
        let by_ratio = TrainingData {
            ratio: Some(0.25),
            ..part("extra")
        };
        let by_count = TrainingData {
            count: Some(3),
            shuffle: Some(9),
            filter: Some("n < 5".to_owned()),
            ..part("extra")
        };
        let all = examples(
            &training(vec![main, by_ratio, by_count.clone()]),
            &datasets(),
        )
        .unwrap();
        let ids = ids(&all.train);
        assert_eq!(ids[..3], ["main/0", "main/2", "main/4"]);
        // A quarter of the eight rows that are left of the first part.
        assert_eq!(ids[8..10], ["extra/0", "extra/1"]);
        assert_eq!(ids.len(), 8 + 2 + 3);
        assert_ne!(ids[10..], ["extra/0", "extra/1", "extra/2"], "shuffled");
        let again = examples(&training(vec![by_count]), &datasets()).unwrap();
        let chosen: Vec<String> = again
            .train
            .iter()
            .map(|e| format!("extra/{}", e.id))
            .collect();
        assert_eq!(chosen, ids[10..], "the same seed, the same rows");
        assert_eq!(all.train[0].messages[0].content, "be brief");
        assert_eq!(all.train[0].messages[2].content, "answer 0");
    }

    #[test]
    fn a_share_is_held_out_evenly() {
        let held = |share| {
            let mut training = training(vec![part("main")]);
            training.eval_fraction = Some(share);
            let all = examples(&training, &datasets()).unwrap();
            assert_eq!(all.train.len() + all.eval.len(), 20);
            ids(&all.eval).join(" ")
        };
        assert_eq!(held(0.2), "4 9 14 19");
        assert_eq!(held(0.4), "2 4 7 9 12 14 17 19");
        assert_eq!(held(0.01), "19", "at least one");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |training: &Training, data: &IndexMap<String, ResolvedDataset>| {
            examples(training, data).unwrap_err().to_string()
        };
        let many = TrainingData {
            count: Some(11),
            ..part("extra")
        };
        let text = error(&training(vec![part("main"), many]), &datasets());
        assert!(
            text.contains("11 rows of `extra`") && text.contains("only 10"),
            "{text}"
        );

        let mut blank = datasets();
        blank["main"].rows[7].columns["a"] = json!(" \n");
        let text = error(&training(vec![part("main")]), &blank);
        assert!(
            text.contains("row `7` of `main` gives an empty answer"),
            "{text}"
        );

        let mut null = datasets();
        null["main"].rows[3].columns["a"] = Value::Null;
        let text = error(&training(vec![part("main")]), &null);
        assert!(text.contains("row `3`") && text.contains("null"), "{text}");

        let none = TrainingData {
            filter: Some("n > 99".to_owned()),
            ..part("main")
        };
        let text = error(&training(vec![none]), &datasets());
        assert!(text.contains("no training example is left"), "{text}");

        let mut large = training(vec![part("main")]);
        large.settings.per_device_batch_size = 21;
        let text = error(&large, &datasets());
        assert!(
            text.contains("takes 21 examples") && text.contains("only 20"),
            "{text}"
        );
    }
}
