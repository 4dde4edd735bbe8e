//! Answers belong to bytes, never to names.

use crate::planned::Planned;
use crate::support::{Place, copy_folder, smoke_spec, tests_dir, text};

fn spec(models: &str, evaluated: &str) -> String {
    format!(
        "version: 1
name: identity
models:
{models}
datasets:
  questions: {{jsonl: questions.jsonl, id: id}}
metrics:
  uncertainty: {{plugin: uncertainty}}
evaluations:
  ask:
    models: [{evaluated}]
    dataset: questions
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: 12}}
    metrics: [uncertainty]
"
    )
}

const QUESTIONS: &str = "{\"id\": \"a\", \"q\": \"what is the capital of the island?\"}\n{\"id\": \"b\", \"q\": \"who wrote the river?\"}\n";

fn tokens(place: &Place, out: &str, model: &str) -> Vec<serde_json::Value> {
    place
        .samples(out)
        .into_iter()
        .filter(|sample| sample["model"] == model)
        .map(|sample| sample["completion_token_ids"].clone())
        .collect()
}

#[test]
fn two_folders_of_one_name_never_share_a_completion() {
    let place = Place::new();
    place.write("questions.jsonl", QUESTIONS);
    copy_folder(&tests_dir().join("golden/llama"), &place.path("model"));
    let path = place.write("spec.yaml", &spec("  m: {path: model}", "m"));
    place.run(&path, "first");
    // Other weights in the very same folder, under the very same name.
    std::fs::remove_dir_all(place.path("model")).expect("removed");
    copy_folder(&tests_dir().join("golden/qwen2"), &place.path("model"));
    let second = place.run(&path, "second");
    assert!(
        second["ran"].as_u64() > Some(0),
        "the old answers were served"
    );
    assert_ne!(tokens(&place, "first", "m"), tokens(&place, "second", "m"));
    // Back again: the first answers are still there and nothing runs.
    std::fs::remove_dir_all(place.path("model")).expect("removed");
    copy_folder(&tests_dir().join("golden/llama"), &place.path("renamed"));
    let path = place.write("spec.yaml", &spec("  m: {path: renamed}", "m"));
    let third = place.run(&path, "third");
    assert_eq!(third["ran"], 0, "a renamed folder is another model");
    assert_eq!(tokens(&place, "first", "m"), tokens(&place, "third", "m"));
}

#[test]
fn a_base_generated_after_its_fine_tune_is_the_base() {
    let place = Place::new();
    place.write("questions.jsonl", QUESTIONS);
    place.write(
        "train.jsonl",
        "{\"q\": \"what is the capital of the island?\", \"a\": \"king king king\"}\n{\"q\": \"who wrote the river?\", \"a\": \"queen queen queen\"}\n",
    );
    copy_folder(&tests_dir().join("golden/llama"), &place.path("model"));
    let models = "  base: {path: model}
  tuned:
    finetune: {base: base, settings: hard, dataset: train, messages: [{user: \"{{ q }}\"}, {assistant: \"{{ a }}\"}]}";
    let both = spec(models, "tuned, base").replace(
        "metrics:\n  uncertainty",
        "  train: {jsonl: train.jsonl}
finetune:
  hard: {lora: {rank: 4, alpha: 32}, learning_rate: 5.0e-3, lr_scheduler: constant, max_steps: 25, per_device_batch_size: 2}
metrics:\n  uncertainty",
    );
    let path = place.write("both.yaml", &both);
    place.run(&path, "both");
    let alone = Place::new();
    alone.write("questions.jsonl", QUESTIONS);
    copy_folder(&tests_dir().join("golden/llama"), &alone.path("model"));
    let path = alone.write("alone.yaml", &spec("  base: {path: model}", "base"));
    alone.run(&path, "alone");
    assert_eq!(
        tokens(&place, "both", "base"),
        tokens(&alone, "alone", "base")
    );
    assert_ne!(
        tokens(&place, "both", "base"),
        tokens(&place, "both", "tuned"),
        "the fine-tune changed nothing"
    );
    let _ = text(&path);
}

/// What a base is rounded to while an adapter is trained beside it is part of the fine-tune, and of nothing before it.
#[test]
fn a_rounded_base_is_another_fine_tune() {
    let place = Place::new();
    let folder = tests_dir().join("fixtures/smoke");
    let smoke = std::fs::read_to_string(smoke_spec())
        .expect("the spec")
        .replace("jsonl: ", &format!("jsonl: {}/", folder.display()))
        .replace(
            "../../../specs",
            &format!("{}/../../../specs", folder.display()),
        );
    let rate = "    learning_rate: 1.0e-2";
    let rounded = smoke.replacen(rate, &format!("    base_quantization: q8_0\n{rate}"), 1);
    assert_ne!(smoke, rounded);
    let keys = |name: &str, text: &str| -> Vec<(String, String)> {
        let path = place.write(name, text);
        Planned::of(&place, &path).fields(["id", "key"]).collect()
    };
    let (plain, other) = (keys("plain.yaml", &smoke), keys("rounded.yaml", &rounded));
    assert_eq!(plain.len(), other.len());
    let changed: Vec<&str> = plain
        .iter()
        .zip(&other)
        .filter(|(plain, other)| plain != other)
        .map(|(plain, _)| plain.0.as_str())
        .collect();
    assert!(changed.contains(&"finetune tuned"), "{changed:?}");
    assert!(
        changed
            .iter()
            .all(|id| !id.contains("base") || id.contains("tuned")),
        "{changed:?}"
    );
}
