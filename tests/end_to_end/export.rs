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

/// The front matter of a card, whose values are JSON, and what stands below.
fn card(place: &Place, name: &str) -> (String, String) {
    let text = String::from_utf8(place.read(name)).expect("UTF-8");
    let (front, rest) = text
        .strip_prefix("---\n")
        .and_then(|text| text.split_once("---\n"))
        .unwrap_or_else(|| panic!("{name} has no front matter:\n{text}"));
    (front.to_owned(), rest.to_owned())
}

#[test]
fn what_a_run_made_is_laid_out_for_the_hub() {
    let place = Place::new();
    copy_folder(&tests_dir().join("fixtures/smoke"), &place.path("smoke"));
    let spec = String::from_utf8(place.read("smoke/smoke.yaml")).expect("UTF-8");
    let specs = tests_dir().join("../specs").canonicalize().expect("specs");
    let spec = spec.replace("../../../specs", text(&specs));
    let full = format!("{spec}\nreport: {{samples: full}}\n");
    let spec = place.write("smoke/smoke.yaml", &full);
    place.run(&spec, "run");
    let output = place.output(&["export", "run", "--format", "hub", "--to", "upload"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for line in [
        "models/base: ready",
        "models/tuned: ready",
        "samples: ready",
    ] {
        assert!(said.contains(&format!("upload/{line}")), "{said}");
    }
    // An adapter loads beside its base: its own weights, and the tokenizer that it was trained with.
    for (copied, own) in [
        (
            "adapter_model.safetensors",
            "run/models/tuned/adapter_model.safetensors",
        ),
        ("tokenizer.json", "run/models/base/tokenizer.json"),
    ] {
        assert_eq!(
            place.read(&format!("upload/models/tuned/{copied}")),
            place.read(own)
        );
    }
    let (front, text) = card(&place, "upload/models/tuned/README.md");
    assert!(front.starts_with("library_name: peft\n"), "{front}");
    assert!(
        !front.contains("base_model") && front.contains("model-index: ["),
        "{front}"
    );
    assert!(
        text.contains("# tuned") && text.contains("| measure | value | n |"),
        "{text}"
    );
    let (front, _) = card(&place, "upload/models/base/README.md");
    assert!(front.starts_with("library_name: transformers\n"), "{front}");
    let (front, text) = card(&place, "upload/samples/README.md");
    assert!(
        front.contains("{\"config_name\":\"drift\",\"data_files\":\"data/drift.parquet\"}"),
        "{front}"
    );
    assert!(text.contains("| `harmfulness` | `requests` |"), "{text}");
    assert_eq!(
        place.read("upload/samples/data/drift.parquet"),
        place.read("run/samples/drift.parquet")
    );

    // Nothing is written over, a model that was not made here is named, and samples that the spec hides stay.
    let again = place.output(&["export", "run", "--format", "hub", "--to", "upload"]);
    assert_eq!(again.status.code(), Some(2));
    let none = place.output(&[
        "export", "run", "--format", "hub", "--to", "none", "--model", "nothing",
    ]);
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("it made base, guard, tuned"));
    place.write(
        "smoke/smoke.yaml",
        &full.replace("samples: full", "samples: hidden"),
    );
    place.run(&spec, "run");
    let output = place.output(&["export", "run", "--format", "hub", "--to", "hidden"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("the samples are left out"));
    assert!(!place.path("hidden/samples").exists());
}

/// The values of an event file: tag, step, value. Read here as the format is described, not as it was written.
fn events(bytes: &[u8]) -> Vec<(String, u64, f32)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (byte, rest) = bytes.split_first().expect("a byte");
            *bytes = rest;
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return number;
            }
        }
    }
    /// The fields of a message: number, and the number or the bytes of it.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let (mut number, mut length) = (0, 0);
            match key & 7 {
                0 => number = varint(&mut bytes),
                1 => length = 8,
                2 => length = varint(&mut bytes),
                5 => length = 4,
                other => panic!("wire type {other}"),
            }
            let (data, rest) = bytes.split_at(usize::try_from(length).expect("a length"));
            fields.push((key >> 3, number, data.to_vec()));
            bytes = rest;
        }
        fields
    }
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().expect("a length"));
        let end = 12 + usize::try_from(length).expect("a length");
        let event = fields(&rest[12..end]);
        rest = &rest[end + 4..];
        let step = event.iter().find(|(field, ..)| *field == 2);
        let step = step.map_or(0, |(_, step, _)| *step);
        for (_, _, summary) in event.iter().filter(|(field, ..)| *field == 5) {
            for (_, _, value) in fields(summary) {
                let value = fields(&value);
                let of = |wanted: u64| {
                    &value
                        .iter()
                        .find(|(field, ..)| *field == wanted)
                        .expect("a field")
                        .2
                };
                let tag = String::from_utf8(of(1).clone()).expect("UTF-8");
                let number = f32::from_le_bytes(of(2).as_slice().try_into().expect("a float"));
                found.push((tag, step, number));
            }
        }
    }
    found
}

#[test]
fn trainings_and_results_become_event_files() {
    let place = Place::new();
    copy_folder(&tests_dir().join("fixtures/runs/smoke"), &place.path("run"));
    let output = place.output(&["export", "run", "--format", "tensorboard"]);
    assert_eq!(output.status.code(), Some(2), "it needs a folder");
    let output = place.output(&["export", "run", "--format", "tensorboard", "--to", "logs"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found = events(&place.read("logs/tuned/events.out.tfevents.0.driftgauge"));
    let log = String::from_utf8(place.read("run/models/tuned/train_log.jsonl")).expect("UTF-8");
    let losses: Vec<(u64, f32)> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|row| {
            (
                row["step"].as_u64().expect("a step"),
                row["loss"].as_f64().expect("a loss") as f32,
            )
        })
        .collect();
    let drawn: Vec<(u64, f32)> = found
        .iter()
        .filter(|(tag, ..)| tag == "train/loss")
        .map(|(_, step, value)| (*step, *value))
        .collect();
    assert!(!losses.is_empty());
    assert_eq!(drawn, losses);
    let results: Value = serde_json::from_slice(&place.read("run/results.json")).expect("JSON");
    let refusals = results["metrics"].as_array().expect("metrics").iter();
    let mut refusals =
        refusals.filter(|of| of["model"] == "tuned" && of["metric"] == "asr.refusal");
    let value = refusals.next().expect("a number")["value"]
        .as_f64()
        .expect("a value");
    let last = losses.last().expect("a step").0;
    let expected = (
        "harmfulness/default/asr.refusal".to_owned(),
        last,
        value as f32,
    );
    assert!(found.contains(&expected), "{expected:?}");
}
