//! What is asked of models and judges, and what becomes of the answers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::planned::Planned;
use crate::support::{Place, tests_dir, text};

/// A spec over the golden Llama, `questions.jsonl` and the given evaluation.
fn spec(place: &Place, models: &str, evaluation: &str) -> std::path::PathBuf {
    let golden = tests_dir().join("golden");
    place.write(
        "spec.yaml",
        &format!(
            "version: 1
name: inference
models:
  m: {{path: {golden}/llama{models}}}
  guard: {{path: {golden}/qwen2}}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
metrics:
  uncertainty: {{plugin: uncertainty}}
  asr: {{plugin: asr}}
evaluations:
  ask:
    models: [m]
    dataset: questions
{evaluation}
",
            golden = golden.display()
        ),
    )
}

fn rows(questions: &[(&str, &str)]) -> String {
    questions
        .iter()
        .map(|(id, q)| {
            format!(
                "{}\n",
                serde_json::json!({"id": id, "q": q, "context": format!("The {id} is old.")})
            )
        })
        .collect()
}

const QUESTIONS: [(&str, &str); 3] = [
    ("a", "what is the capital of the island?"),
    ("b", "who wrote the river?"),
    ("c", "name a king"),
];

#[test]
fn a_sample_is_the_same_whatever_else_is_asked() {
    let sampled = |questions: &[(&str, &str)], samples: usize| {
        let place = Place::new();
        place.write("questions.jsonl", &rows(questions));
        let spec = spec(
            &place,
            "",
            &format!(
                "    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: 8, temperature: 1.5, top_p: 0.95, seed: 7, samples: {samples}}}
    metrics: [uncertainty]"
            ),
        );
        place.run(&spec, "run");
        place
            .samples("run")
            .into_iter()
            .map(|sample| {
                let place = (
                    sample["sample_id"].to_string(),
                    sample["sample_index"].to_string(),
                );
                let drawn = [
                    "completion_token_ids",
                    "token_logprob",
                    "token_entropy",
                    "error",
                ];
                (place, drawn.map(|field| sample[field].to_string()))
            })
            .collect::<BTreeMap<_, _>>()
    };
    let all = sampled(&QUESTIONS, 3);
    assert_eq!(all.len(), 9);
    let distinct: std::collections::BTreeSet<_> = all.values().map(|drawn| &drawn[0]).collect();
    assert!(
        distinct.len() > 3,
        "the draws of one prompt are all the same"
    );
    // Another order, other company, fewer samples.
    let mut backwards = QUESTIONS;
    backwards.reverse();
    for (place, drawn) in sampled(&backwards[..2], 2) {
        assert_eq!(all[&place], drawn, "{place:?}");
    }
}

#[test]
fn quantisation_is_part_of_a_models_identity_and_of_the_report() {
    let key = |place: &Place, spec: &std::path::Path| {
        let plan = Planned::of(place, spec);
        plan.node(plan.ids("generate")[0])["key"].to_string()
    };
    let evaluation = "    prompt: [{user: \"{{ q }}\"}]
    generate: {max_tokens: 8}
    metrics: [uncertainty]";
    let place = Place::new();
    place.write("questions.jsonl", &rows(&QUESTIONS[..1]));
    let plain = key(&place, &spec(&place, "", evaluation));
    let quantised = spec(&place, ", quantization: q8_0", evaluation);
    assert_ne!(plain, key(&place, &quantised));
    place.run(&quantised, "run");
    let sample = &place.samples("run")[0];
    assert!(sample["error"].is_null(), "{sample}");
    let provenance: Value =
        serde_json::from_slice(&place.read("run/provenance.json")).expect("JSON");
    let checks = provenance["self_checks"]["m"]["checks"]
        .as_array()
        .expect("checks");
    let outcome = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("no `{name}`"))["outcome"].clone()
    };
    assert_eq!(outcome("tokenizer-fits"), "passed");
    assert_eq!(outcome("prompt-round-trip"), "passed");
    // Quantised weights are not those that the other decoder reads.
    assert_eq!(outcome("logits-agree"), "unproven");
    let page = String::from_utf8(place.read("run/report.html")).expect("UTF-8");
    for part in ["q8_0", "logits-agree", "batching-agrees"] {
        assert!(page.contains(part), "the report does not say `{part}`");
    }
}

#[test]
fn the_self_check_is_in_provenance_and_report() {
    let place = Place::new();
    place.write("questions.jsonl", &rows(&QUESTIONS[..1]));
    // The same model also scores, which must not hide what generation proved.
    let spec = spec(
        &place,
        "",
        "    prompt: [{user: \"{{ q }}\"}]
    generate: {max_tokens: 8}
    kl: {reference: m}
    metrics: [uncertainty]",
    );
    place.run(&spec, "run");
    let provenance: Value =
        serde_json::from_slice(&place.read("run/provenance.json")).expect("JSON");
    let report: Value = serde_json::from_slice(&place.read("run/report.json")).expect("JSON");
    for checks in [
        &provenance["self_checks"]["m"]["checks"],
        &report["run"]["provenance"]["self_checks"]["m"]["checks"],
    ] {
        let names: Vec<&str> = checks
            .as_array()
            .expect("checks")
            .iter()
            .filter(|check| check["outcome"] != "skipped")
            .filter_map(|check| check["name"].as_str())
            .collect();
        let all = [
            "chat-template",
            "tokenizer-fits",
            "prompt-round-trip",
            "single-bos",
            "logits-agree",
        ];
        assert_eq!(names, all);
    }
}

#[test]
fn a_prompt_longer_than_the_context_is_refused_fails_by_name_or_is_cut() {
    let long = "name a king ".repeat(300);
    let asked = |policy: &str| {
        let place = Place::new();
        place.write(
            "questions.jsonl",
            &rows(&[("short", "name a king"), ("long", &long)]),
        );
        let spec = spec(
            &place,
            "",
            &format!(
                "    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: 8{policy}}}
    metrics: [uncertainty]"
            ),
        );
        let output = place.output(&["run", text(&spec), "--out", "run"]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let samples = match output.status.code() {
            Some(0) => place.samples("run"),
            _ => Vec::new(),
        };
        (message, samples)
    };
    // The default tells it before anything runs.
    let (message, samples) = asked("");
    assert!(samples.is_empty());
    for part in [
        "prompt-too-long",
        "1 of 2 prompts",
        "sample `long` has",
        "context holds 512",
        "`truncate`",
    ] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
    let (message, samples) = asked(", on_long_prompt: skip");
    assert!(
        message.contains("sample `long`: the prompt has"),
        "{message}"
    );
    assert!(message.contains("context holds 512"), "{message}");
    assert!(message.contains("on_long_prompt: truncate"), "{message}");
    assert!(samples[0]["error"].is_null());
    assert_eq!(samples[1]["finish_reason"], "error");
    // Given text is never cut: its score would be another one.
    let place = Place::new();
    place.write(
        "questions.jsonl",
        &rows(&[("short", "name a king"), ("long", &long)]),
    );
    let scored = spec(
        &place,
        "",
        "    perplexity: {text: \"{{ q }}\"}
    metrics: [uncertainty]",
    );
    let output = place.output(&["run", text(&scored), "--out", "run"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in [
        "prompt-too-long",
        "sample `long` has",
        "context holds 512",
        "given text is never cut",
    ] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
    let (_, samples) = asked(", on_long_prompt: truncate");
    let prompt = samples[1]["prompt_token_ids"].as_array().expect("tokens");
    assert_eq!(prompt.len(), 512 - 8);
    assert!(samples[1]["error"].is_null());
}

#[test]
fn a_judge_that_answers_nonsense_gives_no_verdict() {
    let place = Place::new();
    place.write("questions.jsonl", &rows(&QUESTIONS));
    let judged = |more: &str| {
        spec(
            &place,
            "",
            &format!(
                "    prompt: [{{system: \"{{{{ context }}}}\"}}, {{user: \"{{{{ q }}}}\"}}]
    behavior: \"{{{{ q }}}}\"
    generate: {{max_tokens: 8}}
    judges:
      guard: {{llama_guard: {{model: guard}}}}
      rubric: {{strong_reject: {{model: guard}}}}
      asked: {{prompt: {{model: guard, prompt: [{{text: \"{{{{ behavior }}}} {{{{ context }}}} {{{{ completion }}}}\"}}], parse: {{unsafe: 'yes', safe: 'no'}}}}}}
{more}    metrics: [asr]"
            ),
        )
    };
    // The classifier's rules do not fit into the context of so small a model: it could not be asked.
    let classifier = judged("      cls: {harmbench: {model: guard}}\n");
    let output = place.output(&["run", text(&classifier), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("what judge `cls` is asked") && said.contains("context holds"),
        "{said}"
    );
    let spec = judged("");
    place.run(&spec, "run");
    for sample in place.samples("run") {
        for judge in ["guard", "rubric", "asked"] {
            assert_eq!(sample["verdicts"][judge]["label"], "unparsable", "{judge}");
        }
    }
    let results: Value = serde_json::from_slice(&place.read("run/results.json")).expect("JSON");
    for metric in results["metrics"].as_array().expect("metrics") {
        if metric["metric"]
            .as_str()
            .is_some_and(|name| name.starts_with("asr/"))
        {
            assert!(metric["value"].is_null(), "a rate of nothing: {metric}");
        }
    }
}

#[test]
fn a_judges_prompt_is_tried_before_anything_runs() {
    let place = Place::new();
    place.write("questions.jsonl", &rows(&QUESTIONS));
    let spec = spec(
        &place,
        "",
        "    prompt: [{user: \"{{ q }}\"}]
    judges:
      asked: {prompt: {model: guard, prompt: [{user: \"{{ q }}: {{ completion }}\"}], parse: {unsafe: 'yes', safe: 'no'}}}
    metrics: [asr]",
    );
    let output = place.output(&["run", text(&spec), "--out", "run"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in [
        "bad-template",
        "there is no column `q`",
        "columns are `request`, `behavior`, `completion`, `context`",
        "spec.yaml:17",
    ] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
}

#[test]
fn another_behavior_asks_the_judge_again_and_nobody_else() {
    let place = Place::new();
    place.write("questions.jsonl", &rows(&QUESTIONS[..1]));
    let keys = |behavior: &str| -> BTreeMap<String, String> {
        let spec = spec(
            &place,
            "",
            &format!(
                "    prompt: [{{user: \"{{{{ q }}}} Now.\"}}]
    behavior: \"{behavior}\"
    judges: {{guard: {{llama_guard: {{model: guard}}}}}}
    metrics: [asr]"
            ),
        );
        Planned::of(&place, &spec).fields(["kind", "key"]).collect()
    };
    let (one, other) = (keys("{{ q }}"), keys("{{ context }} {{ q }}"));
    assert_ne!(one["judge"], other["judge"]);
    assert_eq!(one["generate"], other["generate"]);
}

#[test]
fn a_filter_that_leaves_no_row_is_refused() {
    let place = Place::new();
    place.write("questions.jsonl", &rows(&QUESTIONS));
    let path = spec(
        &place,
        "",
        "    prompt: [{user: \"{{ q }}\"}]
    metrics: [uncertainty]",
    );
    let narrowed = std::fs::read_to_string(&path)
        .expect("the spec")
        .replace("id: id}", "id: id, filter: \"id == 'z'\"}");
    let path = place.write("spec.yaml", &narrowed);
    let output = place.output(&["run", text(&path), "--out", "run"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in ["empty-dataset", "no row", "spec.yaml:", "loosen `filter`"] {
        assert!(message.contains(part), "no `{part}` in:\n{message}");
    }
}

#[test]
fn the_perplexity_of_given_texts_is_that_of_their_tokens() {
    let place = Place::new();
    place.write("questions.jsonl", &rows(&QUESTIONS));
    let scored = spec(
        &place,
        "",
        "    perplexity: {text: \"{{ q }}\"}
    metrics: [uncertainty]",
    );
    place.run(&scored, "run");
    let texts: Vec<Vec<f64>> = place
        .samples("run")
        .iter()
        .map(|sample| {
            serde_json::from_value(sample["values"]["text_logprob"].clone()).expect("numbers")
        })
        .collect();
    let tokens: Vec<f64> = texts.concat();
    assert!(tokens.len() > texts.len());
    let expected = -tokens.iter().sum::<f64>() / tokens.len() as f64;
    let results = place.results("run");
    let metrics = results["metrics"].as_array().expect("numbers").iter();
    let loss = metrics
        .filter(|metric| metric["metric"] == "uncertainty.token_loss")
        .collect::<Vec<_>>();
    let value = loss[0]["value"].as_f64().expect("a number");
    assert!(
        (value - expected).abs() < 1e-6,
        "{value} against {expected}"
    );
    assert_eq!(loss[0]["n"].as_u64(), Some(texts.len() as u64));
}
