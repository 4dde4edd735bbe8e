//! Completions and verdicts made elsewhere, in each of the formats, through the whole of `driftgauge run`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Place, text};

/// Two questions, answered by a recording that the caller describes; `judges` may be empty.
pub(crate) fn spec(place: &Place, recorded: &str, judges: &str) -> PathBuf {
    place.write(
        "questions.jsonl",
        "{\"id\": \"a\", \"q\": \"first\"}\n{\"id\": \"b\", \"q\": \"second\"}\n",
    );
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: recorded
models:
  m: {{recorded: {{{recorded}}}}}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
metrics:
  asr: {{plugin: asr}}
evaluations:
  ask:
    models: [m]
    dataset: questions
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    {judges}
    metrics: [asr]
"
        ),
    )
}

const REFUSALS: &str = "judges: {words: {refusal_strings: gcg}}";

/// Text and verdicts of both samples.
fn answers(place: &Place, spec: &std::path::Path) -> Vec<(Value, Value)> {
    place.run(spec, "run");
    let samples = place.samples("run");
    assert_eq!(samples.len(), 2);
    samples
        .iter()
        .map(|sample| (sample["completion"].clone(), sample["verdicts"].clone()))
        .collect()
}

#[test]
fn json_lines_and_csv_are_read_by_their_columns() {
    let place = Place::new();
    place.write(
        "r.jsonl",
        "{\"key\": \"b\", \"said\": \"two\", \"judged\": \"unsafe\"}\n{\"key\": \"a\", \"said\": \"one\", \"judged\": \"safe\"}\n",
    );
    place.write("r.csv", "key,said,judged\nb,two,unsafe\na,one,safe\n");
    for format in ["jsonl", "csv"] {
        let columns = "columns: {id: key, completion: said, verdicts: {people: judged}}";
        let spec = spec(&place, &format!("{format}: r.{format}, {columns}"), "");
        let answers = answers(&place, &spec);
        assert_eq!(answers[0].0, "one", "{format}");
        assert_eq!(answers[1].0, "two", "{format}");
        assert_eq!(answers[0].1["people"]["label"], "safe", "{format}");
        assert_eq!(answers[1].1["people"]["label"], "unsafe", "{format}");
    }
}

#[test]
fn the_samples_of_a_run_are_a_recording() {
    let place = Place::new();
    place.write(
        "r.jsonl",
        "{\"id\": \"a\", \"text\": \"one\"}\n{\"id\": \"b\", \"text\": \"I'm sorry, no\"}\n",
    );
    let first = spec(
        &place,
        "jsonl: r.jsonl, columns: {id: id, completion: text}",
        REFUSALS,
    );
    let before = answers(&place, &first);
    assert_eq!(before[1].1["words"]["label"], "safe");
    std::fs::copy(
        place.path("run/samples/ask.parquet"),
        place.path("r.parquet"),
    )
    .expect("a copy");
    let recorded = "parquet: r.parquet, columns: {id: sample_id, completion: completion, condition: condition, sample: sample_index}";
    let again = spec(&place, recorded, REFUSALS);
    assert_eq!(answers(&place, &again), before);
}

#[test]
fn completions_of_harmbench_are_read_with_their_labels() {
    let place = Place::new();
    place.write(
        "m.json",
        r#"{"b": [{"test_case": "second", "generation": "two", "label": 1}], "a": [{"generation": "one", "label": -1}]}"#,
    );
    let spec = spec(&place, "harmbench: m.json", "");
    let answers = answers(&place, &spec);
    assert_eq!(answers[0].0, "one");
    assert_eq!(answers[0].1["recorded"]["label"], "unparsable");
    assert_eq!(answers[1].1["recorded"]["label"], "unsafe");
}

#[test]
fn samples_of_lm_eval_are_read_with_their_scores() {
    let place = Place::new();
    place.write(
        "samples_task.jsonl",
        "{\"doc_id\": 0, \"doc\": {}, \"resps\": [[\" one\"]], \"filtered_resps\": [\"one\"], \"exact_match\": 1.0}
{\"doc_id\": 1, \"doc\": {}, \"resps\": [[\" two\"]], \"filtered_resps\": [\"two\"], \"exact_match\": 0.0}
",
    );
    let spec = spec(&place, "lm_eval: samples_task.jsonl", REFUSALS);
    // Documents are counted, so the dataset has to be as well.
    let counted = std::fs::read_to_string(&spec)
        .expect("the spec")
        .replace("questions.jsonl, id: id", "questions.jsonl");
    let spec = place.write("spec.yaml", &counted);
    let answers = answers(&place, &spec);
    assert_eq!(
        (&answers[0].0, &answers[1].0),
        (&json!("one"), &json!("two"))
    );
    let values = place.samples("run")[0]["values"].clone();
    assert_eq!(values["correct"], json!([1.0]), "{values}");
}

#[test]
fn an_error_without_a_verdict_is_an_error() {
    let place = Place::new();
    place.write(
        "r.csv",
        "id,text,why,judged\na,one,,safe\nb,,it timed out,\n",
    );
    let columns = "columns: {id: id, completion: text, error: why, verdicts: {people: judged}}";
    let spec = spec(&place, &format!("csv: r.csv, {columns}"), "");
    let answers = answers(&place, &spec);
    assert_eq!(answers[1].1["people"]["label"], "error");
    let sample = &place.samples("run")[1];
    assert_eq!(sample["finish_reason"], "error");
    assert_eq!(sample["error"], "it timed out");
}

#[test]
fn bad_recordings_are_refused_with_the_place() {
    let place = Place::new();
    place.write("word.csv", "id,text,judged\na,one,safe\nb,two,fine\n");
    place.write(
        "number.jsonl",
        "{\"id\": \"a\", \"text\": \"x\", \"p\": 1.5}\n",
    );
    place.write("cut.jsonl", "{\"id\": \"a\", \"text\": \"x\"}\n{\"id\": \n");
    place.write("bad.json", "[1, 2]");
    place.write("not.parquet", "hello");
    for (recorded, parts) in [
        (
            "csv: word.csv, columns: {id: id, completion: text, verdicts: {people: judged}}",
            vec!["word.csv`, row 2", "`fine`", "`unparsable`"],
        ),
        (
            "csv: word.csv, columns: {id: key, completion: text}",
            vec!["no column `key`", "judged"],
        ),
        (
            "jsonl: number.jsonl, columns: {id: id, completion: text, probability: p}",
            vec!["number.jsonl`, row 1", "1.5", "between 0 and 1"],
        ),
        ("jsonl: cut.jsonl", vec!["cut.jsonl:2"]),
        (
            "harmbench: bad.json",
            vec!["bad.json:1", "not HarmBench completions"],
        ),
        ("parquet: not.parquet", vec!["not.parquet"]),
        (
            "csv: word.csv, columns: {id: id, completion: text}, filter: \"judged == 'none'\"",
            vec!["no row for this model", "`filter`"],
        ),
    ] {
        let spec = spec(&place, recorded, "");
        let output = place.output(&["run", text(&spec), "--out", "run"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{recorded}: {said}");
        for part in parts.into_iter().chain(["spec.yaml:"]) {
            assert!(said.contains(part), "no `{part}` in:\n{said}");
        }
    }
}

#[test]
fn a_sample_recorded_twice_or_never_is_found_before_anything_runs() {
    let place = Place::new();
    place.write("twice.csv", "id,text\na,one\nb,two\na,three\n");
    place.write("missing.csv", "id,text\na,one\n");
    place.write(
        "silent.jsonl",
        "{\"id\": \"a\", \"text\": \"x\"}\n{\"id\": \"b\"}\n",
    );
    place.write("ended.csv", "id,text,end\na,one,stop\nb,two,tired\n");
    for (file, more, parts) in [
        (
            "csv: twice.csv",
            "",
            [
                "twice.csv` holds sample `a` more than once",
                "rows 1 and 3",
                "= help: narrow",
            ],
        ),
        (
            "csv: missing.csv",
            "",
            [
                "evaluation `ask`",
                "missing.csv` has no row for sample `b`",
                "= help: every sample",
            ],
        ),
        (
            "jsonl: silent.jsonl",
            "",
            [
                "silent.jsonl`, row 2",
                "sample `b`",
                "no completion in column `text`",
            ],
        ),
        (
            "csv: ended.csv",
            ", finish_reason: end",
            [
                "ended.csv`, row 2",
                "`tired` is no finish reason",
                "= help: it is `stop`",
            ],
        ),
    ] {
        let recorded = format!("{file}, columns: {{id: id, completion: text{more}}}");
        let spec = spec(&place, &recorded, "");
        let spec = text(&spec);
        for command in [vec!["plan", spec], vec!["run", spec, "--out", "run"]] {
            let output = place.output(&command);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
            for part in parts.iter().chain([&"spec.yaml:4"]) {
                assert!(said.contains(part), "no `{part}` in:\n{said}");
            }
        }
        assert!(!place.path("run").exists(), "something ran");
    }
}

#[test]
fn answers_that_were_given_once_are_of_one_condition() {
    let place = Place::new();
    place.write(
        "r.jsonl",
        "{\"id\": \"a\", \"v\": \"safe\", \"c\": \"plain\"}\n{\"id\": \"b\", \"v\": \"safe\", \"c\": \"plain\"}\n",
    );
    let columns = "columns: {id: id, verdicts: {guard: v}";
    let plan = |columns: &str, conditions: &str| {
        let path = spec(&place, &format!("jsonl: r.jsonl, {columns}}}"), "");
        let written = std::fs::read_to_string(&path).expect("the spec");
        let asked = "prompt: [{user: \"{{ q }}\"}]";
        let of = |condition: &str| format!("{condition}: {{{asked}}}");
        let all: Vec<String> = conditions.split(' ').map(of).collect();
        let written = written.replace(asked, &format!("conditions: {{{}}}", all.join(", ")));
        place.write("spec.yaml", &written);
        let output = place.output(&["plan", text(&path)]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = plan(columns, "plain misled");
    for part in [
        "error[bad-recording]",
        "under which condition it was answered, and there are `plain`, `misled`",
        "columns: {condition: ...}",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert!(!plan(columns, "plain").contains("error"));
    // Of the other one there is no answer.
    let said = plan(&format!("{columns}, condition: c"), "plain misled");
    assert!(
        said.contains("no row for sample `a` under condition `misled`"),
        "{said}"
    );
}

#[test]
fn no_row_is_dropped_in_silence() {
    let place = Place::new();
    let row = |id: &str, n: u32| format!("{{\"id\": \"{id}\", \"n\": {n}, \"v\": \"safe\"}}\n");
    place.write("r.jsonl", &[row("a", 0), row("b", 0), row("z", 0)].concat());
    let columns = "columns: {id: id, sample: n, verdicts: {guard: v}}";
    let path = spec(&place, &format!("jsonl: r.jsonl, {columns}"), "");
    let output = place.output(&["run", text(&path), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let note = "model m: left out, since no evaluation has a sample for them: 1 of 3 rows of r.jsonl, the first of them row 3";
    assert!(said.replace('`', "").contains(note), "{said}");
    let page = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
    assert!(page.contains("since no evaluation has a sample for them"));

    // Of several completions of a prompt nobody knows how many are meant, until it is said.
    let all = [row("a", 0), row("b", 0), row("a", 1), row("b", 1)].concat();
    place.write("r.jsonl", &all);
    let output = place.output(&["plan", text(&path)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [
        "error[bad-recording]",
        "holds up to 2 completions of a prompt, and one would be read",
        "generate: {samples: 2}",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    let path = spec(
        &place,
        &format!("jsonl: r.jsonl, {columns}"),
        "generate: {samples: 2}",
    );
    place.run(&path, "run");
    assert_eq!(place.samples("run").len(), 4);
}

#[test]
fn ids_of_a_recording_want_ids_of_the_dataset() {
    let place = Place::new();
    place.write(
        "r.jsonl",
        "{\"id\": 0, \"text\": \"one\"}\n{\"id\": 1, \"text\": \"two\"}\n",
    );
    place.write(
        "h.json",
        r#"{"0": [{"generation": "one", "label": 0}], "1": [{"generation": "two", "label": 0}]}"#,
    );
    for (recorded, file) in [
        (
            "jsonl: r.jsonl, columns: {id: id, completion: text}",
            "r.jsonl",
        ),
        ("harmbench: h.json", "h.json"),
    ] {
        let path = spec(&place, recorded, REFUSALS);
        let spec = std::fs::read_to_string(path).expect("the spec");
        let spec = spec.replace("questions.jsonl, id: id", "questions.jsonl");
        let spec = place.write("spec.yaml", &spec);
        let output = place.output(&["plan", text(&spec)]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in [
            file,
            "has ids in `id`, and the dataset declares none",
            "say `id: COLUMN` in the dataset",
        ] {
            assert!(said.contains(part), "no `{part}` in:\n{said}");
        }
    }
}
