//! A GGUF file against values computed by `transformers` from the same weights.

use driftgauge_engine::{CheckOutcome, Generator};
use driftgauge_tests::gguf::write_qwen2;

use crate::support::{self, Golden, assert_close, golden};

#[test]
fn a_gguf_file_gives_the_numbers_of_its_weights() {
    let folder = golden("qwen2");
    let dir = tempfile::tempdir().unwrap();
    write_qwen2(&folder, &dir.path().join("model.gguf"), false);
    let mut model = support::model(dir.path());
    model.gguf = Some("model.gguf".to_owned());
    model.tokenizer = Some(folder.clone());
    let mut engine = driftgauge_mistralrs::load(&model).unwrap();
    let logits = engine
        .loaded()
        .checks
        .iter()
        .find(|check| check.name == "logits-agree");
    assert_eq!(logits.unwrap().outcome, CheckOutcome::Unproven);
    let golden = Golden::read(&folder);
    for sample in &golden.samples {
        let request = support::request(&sample.messages, golden.max_new_tokens);
        let answer = engine.generate(&[request]).remove(0).unwrap();
        assert_eq!(answer.completion_token_ids, sample.completion_token_ids);
        assert_close(&answer.token_logprob, &sample.token_logprob, 1e-4);
        assert_close(&answer.token_entropy, &sample.full_entropy, 1e-4);
    }
    // A file that ends early is named, with the tensor.
    let path = dir.path().join("model.gguf");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1000]).unwrap();
    let error = driftgauge_mistralrs::load(&model)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("model.gguf") && error.contains("truncated"),
        "{error}"
    );
}

#[test]
fn the_tokenizer_and_the_template_inside_a_file_are_used() {
    let folder = golden("qwen2");
    let dir = tempfile::tempdir().unwrap();
    write_qwen2(&folder, &dir.path().join("model.gguf"), true);
    // What lies beside the file is not.
    std::fs::write(dir.path().join("tokenizer.json"), "{}").unwrap();
    std::fs::write(dir.path().join("chat_template.jinja"), "nothing").unwrap();
    let mut model = support::model(dir.path());
    model.gguf = Some("model.gguf".to_owned());
    let mut engine = driftgauge_mistralrs::load(&model).unwrap();
    let golden = Golden::read(&folder);
    for sample in &golden.samples {
        let request = support::request(&sample.messages, golden.max_new_tokens);
        let answer = engine.generate(&[request]).remove(0).unwrap();
        assert_eq!(answer.prompt_token_ids, sample.prompt_token_ids);
        assert_eq!(answer.completion_token_ids, sample.completion_token_ids);
        assert_eq!(answer.text, sample.completion);
    }
}
