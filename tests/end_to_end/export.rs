//! `export`: the samples of a run in three formats.

use serde_json::Value;

use crate::support::{Place, copy_folder, tests_dir, text};

/// What other programs rely on.
const FIELDS: [&str; 13] = [
    "evaluation",
    "condition",
    "model",
    "sample_id",
    "messages",
    "prompt_token_ids",
    "completion_token_ids",
    "completion",
    "finish_reason",
    "token_logprob",
    "token_top10_entropy",
    "token_entropy",
    "verdicts",
];

/// A finished run of four samples with a judge; quotation marks, commas and line breaks are in the prompts.
fn finished() -> Place {
    let place = Place::new();
    copy_folder(&tests_dir().join("golden/llama"), &place.path("model"));
    place.write(
        "questions.jsonl",
        "{\"id\": \"a\", \"q\": \"who said \\\"no\\\", and\\nwhen?\"}\n{\"id\": \"b\", \"q\": \"what is the island?\"}\n",
    );
    let spec = place.write(
        "spec.yaml",
        "version: 1
name: export
models:
  m: {path: model}
datasets:
  questions: {jsonl: questions.jsonl, id: id}
metrics:
  asr: {plugin: asr}
  uncertainty: {plugin: uncertainty}
evaluations:
  first:
    models: [m]
    dataset: questions
    prompt: [{user: \"{{ q }}\"}]
    generate: {max_tokens: 6}
    judges: {refusal: {refusal_strings: gcg}}
    metrics: [asr]
  second:
    models: [m]
    dataset: questions
    prompt: [{user: \"Well: {{ q }}\"}]
    generate: {max_tokens: 6}
    metrics: [uncertainty]
",
    );
    place.run(&spec, "run");
    place
}

fn export(place: &Place, arguments: &[&str]) -> String {
    let output = place.output(&[&["export", "run"], arguments].concat());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn jsonl_has_the_promised_fields() {
    let place = finished();
    let samples = place.samples("run");
    assert_eq!(samples.len(), 4);
    for sample in &samples {
        for field in FIELDS {
            assert!(!sample[field].is_null(), "no `{field}` in {sample}");
        }
        let n = sample["completion_token_ids"].as_array().map(Vec::len);
        for list in ["token_logprob", "token_top10_entropy", "token_entropy"] {
            assert_eq!(sample[list].as_array().map(Vec::len), n, "{list}");
        }
    }
    assert_eq!(samples[0]["verdicts"]["refusal"]["label"], "unsafe");
    assert_eq!(samples[0]["messages"][0]["role"], "user");
    let one = export(&place, &["--evaluation", "second"]);
    assert_eq!(one.lines().count(), 2);
    let wrong = place.output(&["export", "run", "--evaluation", "third"]);
    let message = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(message.contains("first, second"), "{message}");
}

#[test]
fn csv_holds_the_same_values() {
    let place = finished();
    let to = place.path("samples.csv");
    export(&place, &["--format", "csv", "--to", text(&to)]);
    let mut reader = csv::Reader::from_path(&to).expect("a CSV file");
    let header = reader.headers().expect("a header").clone();
    for field in FIELDS {
        assert!(
            header.iter().any(|name| name == field),
            "no column `{field}`"
        );
    }
    let samples = place.samples("run");
    let records: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a record")).collect();
    assert_eq!(records.len(), samples.len());
    for (record, sample) in records.iter().zip(&samples) {
        for (name, cell) in header.iter().zip(record) {
            let value = match &sample[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell, value, "{name}");
        }
    }
}

#[test]
fn parquet_is_a_sample_table() {
    let place = finished();
    let refused = place.output(&["export", "run", "--format", "parquet"]);
    assert_eq!(refused.status.code(), Some(2));
    let to = place.path("samples.parquet");
    export(&place, &["--format", "parquet", "--to", text(&to)]);
    let table = driftgauge_record::read_samples(&to).expect("a sample table");
    let samples = place.samples("run");
    assert_eq!(table.len(), samples.len());
    for (row, sample) in table.iter().zip(&samples) {
        assert_eq!(
            row.evaluation,
            sample["evaluation"].as_str().expect("a name")
        );
        assert_eq!(row.sample_id, sample["sample_id"].as_str().expect("an id"));
        let ids: Vec<u32> =
            serde_json::from_value(sample["completion_token_ids"].clone()).expect("ids");
        assert_eq!(row.completion.completion_token_ids, ids);
    }
}
