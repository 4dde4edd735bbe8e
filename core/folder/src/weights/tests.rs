use driftgauge_problem::Explained as _;

use super::*;
use crate::header::tests::write;

/// The header of a file with one tensor of so many numbers.
fn numbers(name: &str, dtype: &str, bytes: usize, count: usize) -> String {
    let end = count * bytes;
    format!(r#"{{"{name}":{{"dtype":"{dtype}","shape":[{count}],"data_offsets":[0,{end}]}}}}"#)
}

fn halves(name: &str, count: usize) -> String {
    numbers(name, "F16", 2, count)
}

/// A file with one tensor of one number.
fn one(folder: &Path, file: &str, tensor: &str) {
    write(folder, file, &halves(tensor, 1), (2, 0));
}

fn refusal(folder: &Path) -> String {
    let error = inspect(folder).unwrap_err();
    format!("{error}\n{}", error.help().unwrap_or_default())
}

#[test]
fn one_set_is_chosen_as_transformers_chooses() {
    let dir = tempfile::tempdir().unwrap();
    one(dir.path(), "model-00001-of-00002.safetensors", "a");
    assert!(refusal(dir.path()).contains("shard 2 of 2 is missing"));
    one(dir.path(), "model-00002-of-00002.safetensors", "b");
    one(dir.path(), "adapter_model.safetensors", "c");
    assert_eq!(inspect(dir.path()).unwrap().tensors.len(), 2);
    one(dir.path(), "model-00001-of-00003.safetensors", "a");
    let both = refusal(dir.path());
    assert!(both.contains("two sets of shards"), "{both}");

    let index = dir.path().join(INDEX);
    std::fs::write(
        &index,
        r#"{"weight_map":{"a":"model-00001-of-00002.safetensors"}}"#,
    )
    .unwrap();
    assert_eq!(inspect(dir.path()).unwrap().files.len(), 1);
    std::fs::write(
        &index,
        r#"{"weight_map":{"z":"model-00001-of-00002.safetensors"}}"#,
    )
    .unwrap();
    let stale = refusal(dir.path());
    assert!(stale.contains("is stale: tensor `z`"), "{stale}");
    std::fs::write(
        &index,
        r#"{"weight_map":{"a":"model-00004-of-00004.safetensors"}}"#,
    )
    .unwrap();
    assert!(refusal(dir.path()).contains("which is missing"));
    std::fs::write(&index, r#"{"weight_map":{"a":"../x.safetensors"}}"#).unwrap();
    assert!(refusal(dir.path()).contains("outside the folder"));

    one(dir.path(), WHOLE, "a");
    let files = inspect(dir.path()).unwrap().files;
    assert_eq!(files, [dir.path().join(WHOLE)], "one file wins");
    let config = dir.path().join("config.json");
    std::fs::write(&config, r#"{"transformers_weights": "other.safetensors"}"#).unwrap();
    assert!(refusal(dir.path()).contains("`transformers_weights: other.safetensors`"));
}

#[test]
fn a_folder_without_one_set_of_weights_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(dir.path()).contains("no safetensors weights"));
    one(dir.path(), "weights.safetensors", "a");
    assert_eq!(inspect(dir.path()).unwrap().files.len(), 1);
    std::fs::write(dir.path().join("training_args.bin"), "x").unwrap();
    assert_eq!(inspect(dir.path()).unwrap().files.len(), 1);
    std::fs::write(dir.path().join("pytorch_model.bin"), "x").unwrap();
    let pickle = refusal(dir.path());
    assert!(
        pickle.contains("`pytorch_model.bin` is a pickle") && pickle.contains("save_pretrained"),
        "{pickle}"
    );
    std::fs::remove_file(dir.path().join("pytorch_model.bin")).unwrap();
    one(dir.path(), "more.safetensors", "b");
    assert!(refusal(dir.path()).contains("several safetensors files"));
}

#[test]
fn head_embedding_and_vocabulary_have_to_agree() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let config = |text: &str| std::fs::write(folder.join("config.json"), text).unwrap();
    write(
        folder,
        "model-00001-of-00002.safetensors",
        &halves("model.embed_tokens.weight", 5),
        (10, 1),
    );
    write(
        folder,
        "model-00002-of-00002.safetensors",
        &halves(HEAD, 5),
        (10, 1),
    );
    config(r#"{"tie_word_embeddings": true, "vocab_size": 5}"#);
    assert_eq!(inspect(folder).unwrap().embedding_rows(), Some(5));
    config(r#"{"tie_word_embeddings": true, "vocab_size": 7}"#);
    let apart = refusal(folder);
    assert!(
        apart.contains("`vocab_size` is 7") && apart.contains("5 rows"),
        "{apart}"
    );

    write(
        folder,
        "model-00002-of-00002.safetensors",
        &halves(HEAD, 5),
        (10, 2),
    );
    for tied in [
        r#"{"tie_word_embeddings": true}"#,
        r#"{"model_type": "gemma2"}"#,
    ] {
        config(tied);
        assert!(refusal(folder).contains("that differs from"), "{tied}");
    }
    config(r#"{"model_type": "llama"}"#);
    assert!(inspect(folder).is_ok());
    write(
        folder,
        "model-00002-of-00002.safetensors",
        &halves("x", 5),
        (10, 2),
    );
    let missing = refusal(folder);
    assert!(
        missing.contains("no file holds `lm_head.weight`"),
        "{missing}"
    );
}

#[test]
fn an_adapter_beside_a_whole_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    one(dir.path(), WHOLE, "a");
    std::fs::write(dir.path().join(ADAPTER_CONFIG), "{}").unwrap();
    let said = refusal(dir.path());
    assert!(
        said.contains(ADAPTER_CONFIG) && said.contains("source `adapter`"),
        "{said}"
    );
}

#[test]
fn weights_of_other_types_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for (dtype, bytes, read) in [
        ("F32", 4, true),
        ("BF16", 2, true),
        ("F16", 2, true),
        ("F64", 8, false),
        ("I32", 4, false),
        ("U8", 1, false),
        ("F8_E4M3", 1, false),
    ] {
        let header = numbers("a", dtype, bytes, 3);
        write(dir.path(), WHOLE, &header, (3 * bytes, 0));
        match inspect(dir.path()) {
            Ok(_) => assert!(read, "{dtype}"),
            Err(_) => {
                let said = refusal(dir.path());
                let named = format!("tensor `a` is stored as {dtype}");
                assert!(
                    !read && said.contains(&named) && said.contains(WHOLE),
                    "{said}"
                );
                assert!(said.contains("save it again"), "{said}");
            }
        }
    }
    // Of quantised weights the method says what they are.
    let config = r#"{"quantization_config": {"quant_method": "gptq"}}"#;
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    assert!(inspect(dir.path()).is_ok());
}

#[test]
fn a_context_beyond_any_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    one(dir.path(), WHOLE, "a");
    let config = r#"{"max_position_embeddings": 4000000000}"#;
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    let said = refusal(dir.path());
    assert!(
        said.contains("`max_position_embeddings`") && said.contains("4000000000"),
        "{said}"
    );
}
