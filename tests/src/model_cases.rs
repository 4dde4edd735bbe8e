//! Model folders that differ from a golden one by the changes of a case (`tests/fixtures/models`), made as
//! `tests/python/make_model_cases.py` makes them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::{Map, Value, json};

/// Every case with its name, in the order of the names.
///
/// # Panics
/// When one of them cannot be read.
#[must_use]
pub fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    let entries = std::fs::read_dir(folder).expect("the cases");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a case").path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let bytes = std::fs::read(&path).expect("a case");
        (
            name.into_owned(),
            serde_json::from_slice(&bytes).expect("JSON"),
        )
    };
    files.into_iter().map(read).collect()
}

/// The folder of a case.
///
/// # Panics
/// When it cannot be written.
pub fn write_case(to: &Path, case: &Value) {
    let golden = case["golden"].as_str().expect("a golden model");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(golden);
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(&golden).expect("a golden model") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let settings = [
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "generation_config.json",
            "chat_template.jinja",
        ];
        if settings.contains(&&*name)
            || (name.starts_with("model") && name.contains(".safetensors"))
        {
            std::fs::copy(&path, to.join(&*name)).expect("a copy");
        }
    }
    merge(&to.join("config.json"), &case["config"]);
    merge(&to.join("tokenizer_config.json"), &case["tokenizer"]);
    for (name, text) in case["files"].as_object().into_iter().flatten() {
        let file = to.join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text.as_str().expect("a text")).expect("a file");
    }
    for change in case["weights"].as_array().into_iter().flatten() {
        let change = change.as_object().expect("a change");
        let (kind, value) = change.iter().next().expect("a change");
        reweight(to, kind, value);
    }
}

/// Keys of a file; null takes one out.
fn merge(path: &Path, changes: &Value) {
    let Some(changes) = changes.as_object() else {
        return;
    };
    let text = std::fs::read_to_string(path).expect("a file");
    let mut values: Map<String, Value> = serde_json::from_str(&text).expect("JSON");
    for (key, value) in changes {
        match value {
            Value::Null => values.remove(key),
            value => values.insert(key.clone(), value.clone()),
        };
    }
    std::fs::write(path, Value::Object(values).to_string()).expect("a file");
}

type Tensors = HashMap<String, Tensor>;

fn reweight(folder: &Path, kind: &str, value: &Value) {
    let path = folder.join("model.safetensors");
    let mut tensors: Tensors =
        candle_core::safetensors::load(&path, &Device::Cpu).expect("weights");
    match kind {
        "cast" => {
            let dtype = match value.as_str() {
                Some("bf16") => DType::BF16,
                Some("f64") => DType::F64,
                _ => DType::F16,
            };
            for tensor in tensors.values_mut() {
                *tensor = tensor.to_dtype(dtype).expect("a type");
            }
        }
        "add" => {
            for (name, shape) in value.as_object().expect("shapes") {
                let shape: Vec<usize> = serde_json::from_value(shape.clone()).expect("a shape");
                tensors.insert(name.clone(), added(name, &shape));
            }
        }
        "remove" => {
            for name in value.as_array().expect("names") {
                tensors.remove(name.as_str().expect("a name"));
            }
        }
        "without_prefix" => {
            let prefix = value.as_str().expect("a prefix");
            let bare = |name: String| name.strip_prefix(prefix).map(str::to_owned).unwrap_or(name);
            tensors = tensors
                .into_iter()
                .map(|(name, tensor)| (bare(name), tensor))
                .collect();
        }
        _ => return shards(folder, &tensors, value),
    }
    candle_core::safetensors::save(&tensors, &path).expect("weights");
}

/// The numbers that the script gives an added tensor: a few, by its name.
fn added(name: &str, shape: &[usize]) -> Tensor {
    let of_name: usize = name.bytes().map(usize::from).sum();
    let numbers = (0..shape.iter().product::<usize>()).map(|index| {
        let step = u8::try_from((of_name + 7 * index) % 13).unwrap_or_default();
        (f32::from(step) - 6.0) / 16.0
    });
    let numbers: Vec<f32> = numbers.collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).expect("a tensor")
}

/// The same weights in two files with an index: with a name more or less, or beside the whole and other numbers.
fn shards(folder: &Path, tensors: &Tensors, how: &Value) {
    if how["beside"].is_null() {
        std::fs::remove_file(folder.join("model.safetensors")).expect("removed");
    }
    let factor = how["beside"].as_f64().unwrap_or(1.0);
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort();
    let mut index = Map::new();
    for (number, part) in [&names[..10], &names[10..]].into_iter().enumerate() {
        let file = format!("model-0000{}-of-00002.safetensors", number + 1);
        let scaled = |name: &&String| {
            let tensor = tensors[*name].affine(factor, 0.0).expect("numbers");
            ((*name).clone(), tensor)
        };
        let part: Tensors = part.iter().map(scaled).collect();
        candle_core::safetensors::save(&part, folder.join(&file)).expect("weights");
        index.extend(part.keys().map(|name| (name.clone(), json!(file))));
    }
    if let Some(more) = how["more"].as_str() {
        index.insert(more.to_owned(), json!("model-00002-of-00002.safetensors"));
    }
    if let Some(less) = how["less"].as_str() {
        index.remove(less);
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": index});
    std::fs::write(
        folder.join("model.safetensors.index.json"),
        index.to_string(),
    )
    .expect("an index");
}
