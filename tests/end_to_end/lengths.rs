//! Prompts and questions to judges that are too long, told by `plan` of models that are still to be trained from nothing.

use std::path::{Path, PathBuf};

use crate::support::{Place, text};

const WORDS: [&str; 6] = ["lake", "stone", "river", "hill", "song", "bread"];

/// A base, a fine-tune of it and a judge with contexts of so many tokens, and three requests; the last repeats a word.
fn spec(place: &Place, name: &str, context: usize, judge: usize, answer: usize) -> PathBuf {
    let rows =
        |count: usize, row: &dyn Fn(usize) -> String| -> String { (0..count).map(row).collect() };
    let chat = rows(12, &|i| {
        let (asked, told) = (WORDS[i % 6], WORDS[(i * 5) % 6]);
        format!(
            "{{\"id\": \"r{i}\", \"q\": \"where is the {asked}?\", \"a\": \"the {told} is there\"}}\n"
        )
    });
    place.write("chat.jsonl", &chat);
    let asks = rows(3, &|i| {
        let word = format!(" {}", WORDS[i]).repeat([1, 2, 9][i]);
        format!("{{\"id\": \"a{i}\", \"q\": \"tell me of{word}\"}}\n")
    });
    place.write("asks.jsonl", &asks);
    let architecture = "hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2, vocab_size: 300";
    let turns = "dataset: chat, messages: [{user: \"{{ q }}\"}, {assistant: \"{{ a }}\"}]";
    let train = "learning_rate: 1.0e-3, max_steps: 2, per_device_batch_size: 2";
    place.write(
        name,
        &format!(
            "version: 1
name: lengths
seed: 1
models:
  base: {{pretrain: {{settings: small, {turns}}}}}
  tuned: {{finetune: {{base: base, settings: lora, {turns}}}}}
  guard: {{pretrain: {{settings: guard, {turns}}}}}
datasets:
  chat: {{jsonl: chat.jsonl, id: id}}
  asks: {{jsonl: asks.jsonl, id: id}}
pretrain:
  small: {{architecture: {{{architecture}, max_position_embeddings: {context}}}, {train}}}
  guard: {{architecture: {{{architecture}, max_position_embeddings: {judge}}}, {train}}}
finetune:
  lora: {{lora: {{rank: 2}}, {train}}}
metrics: {{asr: {{plugin: asr}}}}
evaluations:
  harm:
    models: [base, tuned]
    dataset: asks
    prompt: [{{user: \"{{{{ q }}}}\"}}]
    generate: {{max_tokens: {answer}, temperature: 0}}
    judges: {{g: {{llama_guard: {{model: guard, max_tokens: 4}}}}}}
    metrics: [asr]
"
        ),
    )
}

fn planned(place: &Place, spec: &Path) -> (Option<i32>, String) {
    let output = place.output(&["plan", text(spec)]);
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_model_that_is_to_be_trained_is_measured_as_it_will_read() {
    let place = Place::new();
    let long = spec(&place, "long.yaml", 128, 128, 4);
    assert_eq!(planned(&place, &long).0, Some(0));
    place.run(&long, "run");
    let samples = place.samples("run");
    let read = |model: &str| {
        let found = samples
            .iter()
            .find(|s| s["model"] == model && s["sample_id"] == "a2");
        let ids = found.expect("a sample")["prompt_token_ids"].as_array();
        ids.expect("tokens").len()
    };
    let tokens = read("base");
    assert_eq!(tokens, read("tuned"));
    // One token has to be left for the answer.
    let fits = spec(&place, "fits.yaml", tokens + 1, 128, 4);
    assert_eq!(planned(&place, &fits).0, Some(0));
    let short = spec(&place, "short.yaml", tokens, 128, 4);
    let (code, said) = planned(&place, &short);
    assert_eq!(code, Some(2), "{said}");
    for model in ["base", "tuned"] {
        let told = format!(
            "1 of 3 prompts are too long for model `{model}`: sample `a2` has {tokens} tokens, and the model's context holds {tokens}"
        );
        assert!(said.contains(&told), "{said}");
    }
}

#[test]
fn judges_are_measured_with_the_longest_answer() {
    let place = Place::new();
    let too_long = |judge: usize, answer: usize| {
        let spec = spec(&place, "spec.yaml", 128, judge, answer);
        planned(&place, &spec)
    };
    // What is certain is refused: the request alone is longer than the judge reads.
    let (code, said) = too_long(40, 4);
    assert_eq!(code, Some(2), "{said}");
    let parts = [
        "error[prompt-too-long]: in what judge `g` is asked in evaluation `harm`",
        "model `guard`: sample `a2` has",
        "context holds 40",
    ];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    // What may be is warned of: with an answer as long as it may be.
    let least = (41..128)
        .find(|judge| too_long(*judge, 4).0 == Some(0))
        .expect("a length");
    let (code, said) = too_long(least, 4);
    assert_eq!(code, Some(0));
    let parts = [
        "warning[prompt-may-be-too-long]: with answers of 4 tokens, in what judge `g`",
        "lower `max_tokens`",
    ];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    let (code, said) = too_long(least + 4, 4);
    assert_eq!(code, Some(0));
    assert!(!said.contains("too-long"), "{said}");
}

#[test]
fn packed_rows_that_are_fewer_than_a_step_takes_are_refused_by_plan() {
    let place = Place::new();
    let spec = spec(&place, "packed.yaml", 128, 128, 4);
    let written = std::fs::read_to_string(&spec).unwrap();
    let packed = |step: usize, longest: usize| {
        let lora = format!(
            "lora: {{rank: 2}}, packing: true, max_seq_length: {longest}, gradient_accumulation_steps: {step}, learning_rate"
        );
        let text = written.replace("lora: {rank: 2}, learning_rate", &lora);
        place.write("packed.yaml", &text);
        planned(&place, &spec)
    };
    // Twelve conversations of some twenty tokens: one row of each, and few rows of many.
    assert_eq!(packed(6, 24).0, Some(0));
    let (code, told) = packed(6, 128);
    assert_eq!(code, Some(2), "{told}");
    for part in [
        "takes 12 rows",
        "of 128 tokens of its 12 examples",
        "`packing`",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // Rows of 128 tokens make few steps, in which a later checkpoint never comes.
    let late = written
        .replace(
            "lora: {rank: 2}, learning_rate",
            "lora: {rank: 2}, packing: true, epochs: 1, learning_rate",
        )
        .replacen(
            "max_steps: 2, per_device_batch_size: 2}\nmetrics",
            "per_device_batch_size: 2}\nmetrics",
            1,
        )
        .replace(
            "settings: lora, dataset",
            "settings: lora, checkpoint: 5, dataset",
        );
    place.write("packed.yaml", &late);
    let (code, told) = planned(&place, &spec);
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("`checkpoint: 5` lies beyond") && told.contains("packed rows"),
        "{told}"
    );
    // No packing makes rows of more.
    let (code, told) = packed(7, 24);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("a step takes 14 examples"), "{told}");
}
