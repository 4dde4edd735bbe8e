//! Samples in the layouts of other tools, which read them as their own, as `recorded` does here.

use driftgauge_problem::{Problem, Result};
use driftgauge_record::{Sample, VerdictLabel};
use indexmap::IndexMap;
use serde_json::{Value, json};

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
                VerdictLabel::Error => Value::Null,
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

/// lm-eval's `samples_*.jsonl`: one line for each document, all its completions in it.
pub(super) fn lm_eval(samples: &[Sample]) -> Result<String> {
    one_of_each(samples)?;
    let mut documents: IndexMap<&str, Vec<&Sample>> = IndexMap::new();
    for sample in samples {
        if sample.values.contains_key("choice_loglik") {
            return Err(Problem::new(
                "not-exportable",
                format!("sample `{}` was scored, not generated", sample.sample_id),
            )
            .help("lm-eval's layout of multiple choice says whether each choice is the likeliest text, which is not recorded here"));
        }
        documents.entry(&sample.sample_id).or_default().push(sample);
    }
    let mut text = String::new();
    for (number, (id, samples)) in documents.iter().enumerate() {
        let first = samples[0];
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
