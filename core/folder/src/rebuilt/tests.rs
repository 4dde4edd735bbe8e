use super::*;

/// What becomes of a byte-level tokenizer that splits words as GPT-2 does, under a class and an architecture.
fn of(class: Option<&str>, model_type: &str) -> Option<Rebuilt> {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: Value| {
        std::fs::write(dir.path().join(name), content.to_string()).unwrap();
    };
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let model = json!({"type": "BPE", "vocab": {"a": 0}, "merges": [], "byte_fallback": false});
    write(
        "tokenizer.json",
        json!({"normalizer": null, "pre_tokenizer": bytes, "decoder": bytes, "model": model}),
    );
    write("config.json", json!({ "model_type": model_type }));
    write("tokenizer_config.json", json!({ "tokenizer_class": class }));
    rebuilt(dir.path()).unwrap()
}

/// Asked of transformers 5.24: the class of `AutoTokenizer`, and whether its normaliser and words are those of the file.
#[test]
fn the_class_is_the_one_that_transformers_settles_on() {
    let plain = Some("PreTrainedTokenizerFast");
    for (class, model_type, expected) in [
        (Some("LlamaTokenizerFast"), "llama", None),
        (Some("Qwen2Tokenizer"), "llama", Some("Qwen2Tokenizer")),
        (Some("GPT2TokenizerFast"), "llama", None),
        (plain, "qwen2", Some("Qwen2Tokenizer")),
        (plain, "qwen3", None),
        (None, "qwen3", Some("Qwen2Tokenizer")),
        (Some("GPT2Tokenizer"), "mistral", None),
        (None, "llama", None),
        (Some("LlamaTokenizer"), "qwen2", Some("Qwen2Tokenizer")),
        (Some("GPT2Tokenizer"), "starcoder2", None),
        (Some("CohereTokenizer"), "llama", Some("CohereTokenizer")),
        (Some("Qwen2Tokenizer"), "phi3", None),
        (Some("UnheardOf"), "llama", None),
        (Some("UnheardOf"), "qwen3", None),
    ] {
        let found = of(class, model_type).map(|found| found.class);
        assert_eq!(found.as_deref(), expected, "{class:?} {model_type}");
    }
}

#[test]
fn parts_that_a_class_has_otherwise_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let told = |class: &str, more: Value, tokenizer: Value| {
        let mut settings = json!({ "tokenizer_class": class });
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("tokenizer_config.json"), settings.to_string()).unwrap();
        std::fs::write(path("tokenizer.json"), tokenizer.to_string()).unwrap();
        rebuilt(dir.path())
            .unwrap()
            .map_or(Vec::new(), |found| found.parts)
    };
    let none = json!({});
    let words = qwen2(&none);
    let qwen = |normalizer: Value, words: &Value, ignores: bool| json!({"normalizer": normalizer, "pre_tokenizer": words, "model": {"ignore_merges": ignores}});
    let nfc = json!({"type": "NFC"});
    let class = "Qwen2TokenizerFast";
    assert!(told(class, none.clone(), qwen(nfc.clone(), &words, false)).is_empty());
    assert_eq!(
        told(class, none.clone(), qwen(Value::Null, &words, true)),
        ["normalizer", "model.ignore_merges"]
    );
    let space = json!({"add_prefix_space": true});
    assert_eq!(
        told(class, space.clone(), qwen(nfc, &words, false)),
        ["pre_tokenizer"]
    );
    // GPT-2, where the settings ask for a space before a text and the file has none.
    let gpt2 = json!({"pre_tokenizer": byte_level(&none, true), "model": {}});
    assert!(told("GPT2Tokenizer", none.clone(), gpt2.clone()).is_empty());
    assert_eq!(told("GPT2Tokenizer", space, gpt2), ["pre_tokenizer"]);
    // Pieces, as Llama 2 and Gemma have them.
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    let both = json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace]});
    let pieces = |normalizer: &Value| json!({"normalizer": normalizer, "model": {"byte_fallback": true, "fuse_unk": true}});
    let legacy = json!({"legacy": true});
    assert!(told("LlamaTokenizer", legacy.clone(), pieces(&both)).is_empty());
    assert_eq!(
        told("LlamaTokenizer", none.clone(), pieces(&both)),
        ["normalizer", "pre_tokenizer"]
    );
    assert!(told("GemmaTokenizer", none.clone(), pieces(&replace)).is_empty());
    assert_eq!(
        told(
            "GemmaTokenizer",
            none,
            json!({"normalizer": replace, "model": {}})
        ),
        ["model.byte_fallback", "model.fuse_unk"]
    );
}
