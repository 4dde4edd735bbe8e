//! Which files of a repository are asked for.

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn dataset(split: &str, file: Option<&str>) -> HubSource {
    HubSource {
        kind: RepositoryKind::Dataset,
        repository: "org/name".to_owned(),
        revision: "main".to_owned(),
        split: Some(split.to_owned()),
        file: file.map(str::to_owned),
        commit: None,
    }
}

#[test]
fn the_cache_is_where_the_hubs_own_tools_have_it() {
    let of = |set: &'static [(&'static str, &'static str)]| {
        let variable = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| PathBuf::from(value))
        };
        cache_from(&variable).unwrap()
    };
    assert_eq!(
        of(&[("HOME", "/h")]),
        Path::new("/h/.cache/huggingface/hub")
    );
    let xdg = [("HOME", "/h"), ("XDG_CACHE_HOME", "/x")].as_slice();
    assert_eq!(of(xdg), Path::new("/x/huggingface/hub"));
    let home = [("HF_HOME", "/f"), ("XDG_CACHE_HOME", "/x")].as_slice();
    assert_eq!(of(home), Path::new("/f/hub"));
    assert_eq!(
        of(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/f")]),
        Path::new("/c")
    );
}

#[test]
fn one_set_of_weights_is_taken_and_the_configuration_last() {
    let all = names(&[
        ".gitattributes",
        "config.json",
        "consolidated.safetensors",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        INDEX,
        "original/consolidated.00.pth",
        "params.json",
        "tokenizer.json",
    ]);
    let index = serde_json::json!({"weight_map": {"a": "model-00001-of-00002.safetensors",
        "b": "model-00002-of-00002.safetensors"}});
    assert_eq!(needs_index(&all), Some(INDEX));
    let files = model_files(&all, Some(&index)).unwrap();
    assert_eq!(files[0], "model-00001-of-00002.safetensors");
    assert_eq!(files[2], INDEX);
    assert_eq!(files.last().unwrap(), "config.json");
    assert!(
        !files
            .iter()
            .any(|name| name.contains("consolidated") || name == "params.json")
    );
}

#[test]
fn a_repository_without_what_is_needed_says_so() {
    let problem = |list: &[&str]| model_files(&names(list), None).unwrap_err();
    assert_eq!(problem(&["README.md"]), "it has no config.json");
    assert_eq!(problem(&["config.json"]), "it has no tokenizer.json");
    let old = problem(&["config.json", "tokenizer.json", "pytorch_model.bin"]);
    assert!(old.contains("`pytorch_model.bin`"), "{old}");
}

#[test]
fn a_missing_shard_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("config.json", "{}");
    write("tokenizer.json", "{}");
    write(
        INDEX,
        r#"{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}"#,
    );
    write("model-1-of-2.safetensors", "");
    let lacking = missing_file(RepositoryKind::Model, dir.path());
    assert_eq!(
        lacking.as_deref(),
        Some("model-2-of-2.safetensors is missing")
    );
    write("model-2-of-2.safetensors", "");
    assert_eq!(missing_file(RepositoryKind::Model, dir.path()), None);
}

#[test]
fn a_split_is_found_when_it_is_one_file() {
    let of = |split: &str, list: &[&str]| dataset(split, None).dataset_file(&names(list));
    let found = of(
        "test",
        &[
            "README.md",
            "data/test-00000-of-00001.parquet",
            "data/train.csv",
        ],
    );
    assert_eq!(found.unwrap(), "data/test-00000-of-00001.parquet");
    assert_eq!(
        of("test", &["default/test/0000.parquet"]).unwrap(),
        "default/test/0000.parquet"
    );
    assert!(of("test", &["train.jsonl"]).unwrap_err().contains("`test`"));
    let shard = of("train", &["data/train-00000-of-00002.parquet"]).unwrap_err();
    assert!(shard.contains("`file` can name one"), "{shard}");
    let named = dataset("train", Some("x.jsonl"));
    assert_eq!(
        named
            .dataset_file(&names(&["x.jsonl", "train.csv"]))
            .unwrap(),
        "x.jsonl"
    );
    assert!(named.dataset_file(&names(&["train.csv"])).is_err());
    let odd = dataset("train", Some("x.txt"));
    assert!(
        odd.dataset_file(&names(&["x.txt"]))
            .unwrap_err()
            .contains(".parquet")
    );
}

#[test]
fn words_folders_and_formats_by_name() {
    use RepositoryKind::{Adapter, Dataset, Model};
    assert_eq!(
        [Model, Adapter, Dataset].map(RepositoryKind::word),
        ["model", "adapter", "dataset"]
    );
    assert_eq!(
        [Model, Adapter, Dataset].map(RepositoryKind::plural),
        ["models", "models", "datasets"]
    );
    for (name, format) in [
        ("a.parquet", Some(DatasetFormat::Parquet)),
        ("a/b.jsonl", Some(DatasetFormat::Jsonl)),
        ("a.json", Some(DatasetFormat::Json)),
        ("a.csv.gz", Some(DatasetFormat::Csv)),
        ("a.tsv", Some(DatasetFormat::Tsv)),
        ("README.md", None),
    ] {
        assert_eq!(format_of(name), format, "{name}");
    }
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let expected = set("HF_HOME").or_else(|| Some(caches?.join("huggingface")));
    assert_eq!(home(), expected);
    let hub = set("HF_HUB_CACHE").or_else(|| set("HUGGINGFACE_HUB_CACHE"));
    assert_eq!(cache(), hub.or_else(|| Some(expected?.join("hub"))));
}

#[test]
fn an_adapter_has_settings_and_weights() {
    let both = names(&["README.md", CONFIG_FILE, WEIGHTS_FILE]);
    assert_eq!(
        adapter_files(&both),
        Ok(names(&[WEIGHTS_FILE, CONFIG_FILE]))
    );
    assert!(
        adapter_files(&both[..1])
            .unwrap_err()
            .contains("it is no adapter")
    );
    assert!(adapter_files(&both[..2]).unwrap_err().contains("a pickle"));
    let folder = tempfile::tempdir().unwrap();
    let missing = || missing_file(RepositoryKind::Adapter, folder.path());
    assert!(missing().unwrap().contains("it is no adapter"));
    for file in [CONFIG_FILE, WEIGHTS_FILE] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    assert_eq!(missing(), None);
    let mut source = dataset("train", None);
    source.repository = "no-such-organisation/no-such-name".to_owned();
    assert_eq!(source.lacks().unwrap(), "nothing of it is there");
}
