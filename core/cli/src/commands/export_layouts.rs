//! Samples in the layouts of other tools, which read them as their own, as `recorded` does here.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_problem::{Problem, Result};
use driftgauge_record::{Sample, VerdictLabel};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};

/// What an evaluation scores, as `resolved.json` has it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scored {
    Choices { choices: Vec<String> },
    Perplexity { text: String },
}

/// HarmBench's `{id: [{test_case, generation, label?}]}`. The label is the verdict of the evaluation's first judge.
pub(super) fn harmbench(samples: &[Sample]) -> Result<String> {
    one_of_each(samples)?;
    let mut behaviors: IndexMap<&str, Vec<Value>> = IndexMap::new();
    for sample in samples {
        let mut completion = json!({
            "test_case": request(sample),
            "generation": sample.completion.text,
        });
        if let Some(verdict) = sample.verdicts.values().next() {
            completion["label"] = match verdict.label {
                VerdictLabel::Unsafe => json!(1),
                VerdictLabel::Safe => json!(0),
                VerdictLabel::Unparsable => json!(-1),
                VerdictLabel::Error | VerdictLabel::Scored => Value::Null,
            };
        }
        with_error(&mut completion, sample);
        behaviors
            .entry(&sample.sample_id)
            .or_default()
            .push(completion);
    }
    Ok(json!(behaviors).to_string() + "\n")
}

/// lm-eval's `samples_*.jsonl`: one line for each document, all its completions in it. `score` is what the evaluation scored.
pub(super) fn lm_eval(samples: &[Sample], score: &Value) -> Result<String> {
    one_of_each(samples)?;
    let mut documents: IndexMap<&str, Vec<&Sample>> = IndexMap::new();
    for sample in samples {
        documents.entry(&sample.sample_id).or_default().push(sample);
    }
    let templates = Templates::default();
    let mut text = String::new();
    for (number, (id, samples)) in documents.iter().enumerate() {
        let first = samples[0];
        if let Some(mut line) = scored(first, score, &templates)? {
            line["doc_id"] = json!(number);
            text.push_str(&line.to_string());
            text.push('\n');
            continue;
        }
        let answers: Vec<&str> = samples.iter().map(|s| s.completion.text.as_str()).collect();
        let filtered = match answers.as_slice() {
            [only] => json!([only]),
            several => json!([several]),
        };
        let target = match first.references.as_slice() {
            [only] => json!(only),
            several => json!(several),
        };
        let mut line = json!({
            "doc_id": number,
            "doc": first.row,
            "target": target,
            "arguments": {"gen_args_0": {"arg_0": request(first), "arg_1": {}}},
            "resps": [answers],
            "filtered_resps": filtered,
            "filter": "none",
        });
        if let ([_], Some(correct)) = (samples.as_slice(), first.values.get("correct")) {
            line["exact_match"] = json!(correct.first());
        }
        if let Some(failed) = samples.iter().find(|sample| sample.error.is_some()) {
            if samples.len() > 1 {
                return Err(Problem::new(
                    "not-exportable",
                    format!("a completion of sample `{id}` was not made"),
                )
                .help("lm-eval's layout has no place for that beside other completions"));
            }
            with_error(&mut line, failed);
        }
        text.push_str(&line.to_string());
        text.push('\n');
    }
    Ok(text)
}

/// The line of a sample of which given text was scored. Whether a text is the likeliest one is not recorded, and null.
fn scored(sample: &Sample, score: &Value, templates: &Templates) -> Result<Option<Value>> {
    let logliks = match (
        sample.values.get("choice_loglik"),
        sample.values.get("text_logprob"),
    ) {
        (Some(logliks), _) => logliks.clone(),
        (None, Some(tokens)) => vec![tokens.iter().sum()],
        (None, None) => return Ok(None),
    };
    let row = Row {
        id: sample.sample_id.clone(),
        columns: sample.row.clone(),
    };
    let texts = match serde_json::from_value(score.clone()) {
        Ok(Scored::Choices { choices }) => {
            let mut texts = Vec::new();
            for template in &choices {
                texts.extend(templates.texts(template, &row)?);
            }
            texts
        }
        Ok(Scored::Perplexity { text }) => vec![templates.fill(&text, &row, None)?],
        Err(_) => Vec::new(),
    };
    if texts.len() != logliks.len() {
        return Err(Problem::new(
            "not-exportable",
            format!(
                "sample `{}` has the ln p of {} texts, and what they are is not known here",
                sample.sample_id,
                logliks.len()
            ),
        )
        .help("recorded log-likelihoods stay in the file that they came from"));
    }
    let prompt = request(sample);
    let rolling = prompt.is_empty() && sample.values.contains_key("text_logprob");
    let arguments: serde_json::Map<String, Value> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let argument = match rolling {
                true => json!({"arg_0": text}),
                false => json!({"arg_0": prompt, "arg_1": text}),
            };
            (format!("gen_args_{number}"), argument)
        })
        .collect();
    let responses: Vec<Value> = logliks
        .iter()
        .map(|loglik| match rolling {
            true => json!(loglik.to_string()),
            false => json!([loglik.to_string(), null]),
        })
        .collect();
    let mut line = json!({
        "doc_id": 0,
        "doc": sample.row,
        "target": "",
        "arguments": arguments,
        "resps": responses.iter().map(|response| json!([response])).collect::<Vec<_>>(),
        "filtered_resps": responses,
        "filter": "none",
    });
    if let Some(labels) = sample.values.get("choice_correct") {
        let right: Vec<usize> = (0..labels.len()).filter(|at| labels[*at] != 0.0).collect();
        line["target"] = match right.as_slice() {
            [only] => json!(only.to_string()),
            several => json!(json!(several).to_string()),
        };
        let lengths = sample.values.get("choice_characters");
        let marks = [
            ("acc", mark(&logliks, labels, None)),
            (
                "acc_norm",
                lengths.and_then(|lengths| mark(&logliks, labels, Some(lengths))),
            ),
        ];
        let mut names = Vec::new();
        for (name, mark) in marks {
            if let Some(mark) = mark {
                line[name] = json!(mark);
                names.push(name);
            }
        }
        line["metrics"] = json!(names);
    }
    with_error(&mut line, sample);
    Ok(Some(line))
}

/// 1 where the likeliest choice, the first of equals, is a right one; by the byte where lengths are given.
fn mark(logliks: &[f64], labels: &[f64], lengths: Option<&Vec<f64>>) -> Option<f64> {
    let score = |at: usize| match lengths {
        Some(lengths) => logliks[at] / lengths[at],
        None => logliks[at],
    };
    let fits = lengths.is_none_or(|lengths| {
        lengths.len() == logliks.len() && lengths.iter().all(|length| *length > 0.0)
    });
    let best = (0..logliks.len()).reduce(|best, next| {
        if score(next) > score(best) {
            next
        } else {
            best
        }
    });
    let label = labels.get(best.filter(|_| fits)?)?;
    Some(f64::from(u8::from(*label != 0.0)))
}

/// What was asked: the last turn of the user, or the plain text.
fn request(sample: &Sample) -> &str {
    let mut turns = sample.messages.iter().rev();
    let asked = turns.find(|turn| turn.role != "system" && turn.role != "assistant");
    asked.map_or("", |turn| &turn.content)
}

/// A field of our own, which `recorded` reads: what was not made is no empty answer.
fn with_error(fields: &mut Value, sample: &Sample) {
    if let Some(error) = &sample.error {
        fields["error"] = json!(error);
    }
}

/// These layouts know no models, evaluations and conditions.
fn one_of_each(samples: &[Sample]) -> Result<()> {
    let Some(first) = samples.first() else {
        return Err(Problem::new("nothing-to-export", "no sample is left")
            .help("look at `--evaluation`, `--model` and `--condition`"));
    };
    for (option, of) in [
        ("evaluation", (|s| &s.evaluation) as fn(&Sample) -> &String),
        ("model", |s| &s.model),
        ("condition", |s| &s.condition),
    ] {
        if let Some(other) = samples.iter().find(|sample| of(sample) != of(first)) {
            return Err(Problem::new(
                "several-to-export",
                format!(
                    "this layout holds one {option}, and there are `{}` and `{}`",
                    of(first),
                    of(other)
                ),
            )
            .help(format!("choose one with `--{option}`")));
        }
    }
    Ok(())
}
