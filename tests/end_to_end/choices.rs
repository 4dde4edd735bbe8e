//! Multiple choice against lm-evaluation-harness: every folder of `fixtures/choices` is a model with another kind of tokenizer, and
//! what `tests/python/make_choices.py` had lm-eval say of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Place, tests_dir, text};

fn folders() -> Vec<PathBuf> {
    let all = std::fs::read_dir(tests_dir().join("fixtures/choices")).expect("a folder");
    all.map(|entry| entry.expect("an entry").path()).collect()
}

fn reference(folder: &Path) -> Vec<Value> {
    let text = std::fs::read(folder.join("choices.json")).expect("choices.json");
    let read: Value = serde_json::from_slice(&text).expect("JSON");
    read["items"].as_array().expect("items").clone()
}

/// One evaluation over the plain prompts and one over the conversations.
fn spec(place: &Place, folder: &Path, items: &[Value]) -> PathBuf {
    let mut rows = [String::new(), String::new()];
    for (index, item) in items.iter().enumerate() {
        let chat = item["prompt"].is_array();
        let prompt = match &item["prompt"] {
            Value::Array(turns) => turns[0]["content"].clone(),
            text => text.clone(),
        };
        let row = json!({"id": index.to_string(), "p": prompt, "c": item["choices"], "right": item["correct"]});
        writeln!(rows[usize::from(chat)], "{row}").expect("written");
    }
    place.write("plain.jsonl", &rows[0]);
    place.write("chat.jsonl", &rows[1]);
    let score = "score: {choices: \"{{ c }}\", correct: right}\n    metrics: [truth]";
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: choices
models:
  m: {{path: {}}}
datasets:
  plain: {{jsonl: plain.jsonl, id: id}}
  chat: {{jsonl: chat.jsonl, id: id}}
metrics:
  truth: {{plugin: truthfulness}}
evaluations:
  plain:
    models: [m]
    dataset: plain
    prompt: [{{text: \"{{{{ p }}}}\"}}]
    {score}
  chat:
    models: [m]
    dataset: chat
    prompt: [{{user: \"{{{{ p }}}}\"}}]
    {score}
",
            folder.display()
        ),
    )
}

#[test]
fn log_likelihoods_and_accuracies_are_those_of_lm_eval() {
    for folder in folders() {
        let name = folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let items = reference(&folder);
        let place = Place::new();
        let spec = spec(&place, &folder, &items);
        let output = place.output(&["run", text(&spec), "--out", "run"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {said}");

        let samples = place.samples("run");
        assert_eq!(samples.len(), items.len(), "{name}");
        for sample in &samples {
            let id = sample["sample_id"].as_str().expect("an id");
            let item = &items[id.parse::<usize>().expect("an index")];
            let numbers = |value: &Value| -> Vec<f64> {
                let list = value.as_array().expect("a list").iter();
                list.map(|number| number.as_f64().expect("a number"))
                    .collect()
            };
            let ours = numbers(&sample["values"]["choice_loglik"]);
            let theirs = numbers(&item["loglikelihood"]);
            assert_eq!(ours.len(), theirs.len(), "{name} {id}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!((ours - theirs).abs() < 1e-4, "{name} {id}: {ours} {theirs}");
            }
            if item["tokens"][0].is_number() {
                assert_eq!(
                    numbers(&sample["values"]["choice_tokens"]),
                    numbers(&item["tokens"]),
                    "{name} {id}"
                );
            }
        }

        let results = place.results("run");
        for metric in ["acc", "acc_norm", "mc1", "mc2"] {
            for evaluation in ["plain", "chat"] {
                let of: Vec<f64> = items
                    .iter()
                    .filter(|item| item["prompt"].is_array() == (evaluation == "chat"))
                    .map(|item| item[metric].as_f64().expect("a number"))
                    .collect();
                let mean = of.iter().sum::<f64>() / of.len() as f64;
                let mut rows = results["metrics"].as_array().expect("rows").iter();
                let row = rows.find(|row| {
                    row["metric"] == format!("truth.{metric}") && row["evaluation"] == evaluation
                        || metric == "mc1"
                            && row["metric"] == "truth"
                            && row["evaluation"] == evaluation
                });
                let value = row.expect("a number")["value"].as_f64().expect("a value");
                assert!(
                    (value - mean).abs() < 1e-6,
                    "{name} {evaluation} {metric}: {value} {mean}"
                );
            }
        }

        // Where one token holds the end of the prompt and the beginning of the choice, the run says so.
        let merged = items.iter().filter(|item| item["merged"] == true).count();
        assert!(merged > 0, "{name}");
        let note = format!("in {merged} samples");
        assert!(
            said.contains(&note) && said.contains("as lm-eval does"),
            "{name}: {said}"
        );
    }
}

/// Exported as lm-eval's samples and read again, every number is the same.
#[test]
fn scored_choices_and_texts_round_trip_as_lm_eval_writes_them() {
    let folder = folders().into_iter().min().expect("a folder");
    let items = reference(&folder);
    let place = Place::new();
    let spec = spec(&place, &folder, &items);
    place.run(&spec, "run");
    let export = |evaluation: &str, file: &str, run: &str| {
        let to = place.path(file);
        let arguments = [
            "export",
            run,
            "--evaluation",
            evaluation,
            "--format",
            "lm_eval",
        ];
        let output = place.output(&[&arguments[..], &["--to", text(&to)]].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::read_to_string(to).expect("lines")
    };
    let lines = export("plain", "samples_plain.jsonl", "run");
    let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        first["arguments"]["gen_args_0"]["arg_0"],
        items[0]["prompt"]
    );
    assert_eq!(
        first["arguments"]["gen_args_1"]["arg_1"],
        items[0]["choices"][1]
    );
    assert!(
        (first["acc"].as_f64().expect("acc") - items[0]["acc"].as_f64().expect("acc")).abs()
            < 1e-12
    );

    let again = std::fs::read_to_string(&spec).expect("the spec");
    let again = again
        .replace(
            &format!("path: {}", folder.display()),
            "recorded: {lm_eval: samples_plain.jsonl}",
        )
        .replace("  chat:\n    models: [m]", "  other:\n    models: [m]");
    let (head, _) = again.split_once("  other:").expect("two evaluations");
    let head = head.replace("    score: {choices: \"{{ c }}\", correct: right}\n", "");
    let head = head.replace("  chat: {jsonl: chat.jsonl, id: id}\n", "");
    let again = place.write("again.yaml", &head);
    place.run(&again, "again");
    let number = |run: &str, metric: &str| {
        let results = place.results(run);
        let rows = results["metrics"].as_array().expect("rows").clone();
        let found = rows
            .into_iter()
            .find(|row| row["metric"] == metric && row["evaluation"] == "plain");
        found.unwrap_or_else(|| panic!("no {metric} in {run}"))["value"].clone()
    };
    for metric in ["truth.acc", "truth.acc_norm", "truth", "truth.mc2"] {
        assert_eq!(number("run", metric), number("again", metric), "{metric}");
    }

    // A text that was scored has its ln p, and no made-up completion.
    let texts = place.write(
        "texts.yaml",
        &format!(
            "version: 1
name: texts
models: {{m: {{path: {}}}}}
datasets: {{plain: {{jsonl: plain.jsonl, id: id}}}}
metrics: {{ppl: {{plugin: uncertainty}}}}
evaluations:
  read: {{models: [m], dataset: plain, perplexity: {{text: \"{{{{ p }}}}\"}}, metrics: [ppl]}}
",
            folder.display()
        ),
    );
    place.run(&texts, "texts");
    let lines = export("read", "samples_texts.jsonl", "texts");
    for (line, sample) in lines.lines().zip(place.samples("texts")) {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if !sample["error"].is_null() {
            assert_eq!(line["error"], sample["error"]);
            continue;
        }
        let tokens = sample["values"]["text_logprob"].as_array().expect("ln p");
        let sum: f64 = tokens.iter().filter_map(Value::as_f64).sum();
        let said: f64 = line["filtered_resps"][0]
            .as_str()
            .expect("text")
            .parse()
            .expect("a number");
        assert!((said - sum).abs() < 1e-9, "{line}");
        assert!(line["arguments"]["gen_args_0"].get("arg_1").is_none());
    }
}
