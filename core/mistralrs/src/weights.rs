//! Which files hold a model's weights, and whether their headers tell the truth.
//!
//! mistral.rs maps the files into memory and panics, or reads past the end, when a header promises more than the file
//! holds. So the headers are read here first, which costs nothing beside loading.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Longest header that a safetensors file may have, as in the format's reference implementation.
const LONGEST_HEADER: u64 = 100_000_000;

/// The tensors of a set of safetensors files.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    /// The files, in the order of their names.
    pub(crate) files: Vec<PathBuf>,
    /// Shape of each tensor by name.
    pub(crate) shapes: BTreeMap<String, Vec<u64>>,
}

impl Weights {
    /// How many numbers the weights are.
    pub(crate) fn parameters(&self) -> u64 {
        let size = |shape: &Vec<u64>| shape.iter().product::<u64>();
        self.shapes.values().map(size).sum()
    }

    /// How many tokens the input embedding has a row for.
    pub(crate) fn embedding_rows(&self) -> Option<u64> {
        let embedding =
            |name: &&String| name.ends_with("embed_tokens.weight") || name.ends_with("wte.weight");
        let name = self.shapes.keys().find(embedding)?;
        self.shapes[name].first().copied()
    }
}

/// Finds the weights of a model folder and checks every header.
///
/// # Errors
/// When there are none, when a shard of the index is missing, or when a file is truncated or lies about its contents.
pub(crate) fn inspect(folder: &Path) -> Result<Weights, String> {
    let mut weights = Weights {
        files: files_of(folder)?,
        shapes: BTreeMap::new(),
    };
    for file in &weights.files {
        for (name, shape) in shapes_of(file)? {
            if weights.shapes.insert(name.clone(), shape).is_some() {
                return Err(format!(
                    "tensor `{name}` is in `{}` and in an earlier file of the same model; \
                     hint: keep one set of weights in the folder",
                    file.display()
                ));
            }
        }
    }
    Ok(weights)
}

/// One set of weights, in the order of preference that `transformers` has: a single file, then the shards of the index,
/// then shards without an index, then a single file of any name.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let single = folder.join("model.safetensors");
    if single.exists() {
        return Ok(vec![single]);
    }
    let index = folder.join("model.safetensors.index.json");
    if index.exists() {
        return files_of_index(folder, &index);
    }
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map_err(|e| format!("cannot list the model folder `{}`: {e}", folder.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let safetensors: Vec<PathBuf> = names
        .iter()
        .filter(|n| n.ends_with(".safetensors") && !n.starts_with("adapter"))
        .map(|n| folder.join(n))
        .collect();
    let shards: Vec<PathBuf> = safetensors
        .iter()
        .filter(|p| is_shard(p))
        .cloned()
        .collect();
    match (shards.is_empty(), safetensors.len()) {
        (false, _) => Ok(shards),
        (true, 1) => Ok(safetensors),
        (true, 0) => Err(no_weights(folder, &names)),
        (true, _) => Err(format!(
            "`{}` has several safetensors files and no `model.safetensors` or index that says which belong together",
            folder.display()
        )),
    }
}

fn no_weights(folder: &Path, names: &[String]) -> String {
    let pickle = |n: &&String| n.ends_with(".bin") || n.ends_with(".pth") || n.ends_with(".pt");
    let hint = match names.iter().find(pickle) {
        Some(name) => format!(
            "hint: `{name}` is a pickle; load it with transformers and save it again with `save_pretrained(..., \
             safe_serialization=True)`"
        ),
        None => "hint: a model folder has `config.json`, `tokenizer.json` and `model.safetensors` or its shards".into(),
    };
    format!("no safetensors weights in `{}`; {hint}", folder.display())
}

fn is_shard(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    name.strip_suffix(".safetensors")
        .and_then(|n| n.rsplit_once("-of-"))
        .and_then(|(head, total)| Some((head.rsplit_once('-')?.1, total)))
        .is_some_and(|(number, total)| {
            let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
            digits(number) && digits(total)
        })
}

fn files_of_index(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text =
        std::fs::read(index).map_err(|e| format!("cannot read `{}`: {e}", index.display()))?;
    let parsed: Index = serde_json::from_slice(&text)
        .map_err(|e| format!("`{}` is no index of weights: {e}", index.display()))?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    let files: Vec<PathBuf> = names.iter().map(|n| folder.join(n)).collect();
    match files.iter().find(|f| !f.exists()) {
        Some(missing) => Err(format!(
            "`{}` names the shard `{}`, which is missing; hint: finish the download",
            index.display(),
            missing.display()
        )),
        None if files.is_empty() => Err(format!("`{}` names no shard", index.display())),
        None => Ok(files),
    }
}

/// What a header says of one tensor.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Names and shapes of a file's tensors, once its header agrees with itself and with the length of the file.
fn shapes_of(path: &Path) -> Result<Vec<(String, Vec<u64>)>, String> {
    let broken = |why: String| {
        format!(
            "`{}` is no sound safetensors file: {why}; hint: copy or download it again",
            path.display()
        )
    };
    let (header, data) = read_header(path).map_err(broken)?;
    let parsed: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header)
        .map_err(|e| broken(format!("its header is no JSON object ({e})")))?;
    let mut shapes = Vec::new();
    let mut end = 0;
    for (name, value) in parsed {
        if name == "__metadata__" {
            continue;
        }
        let entry: Entry = serde_json::from_value(value)
            .map_err(|e| broken(format!("the entry of tensor `{name}` is malformed ({e})")))?;
        check_extent(&entry, data).map_err(|why| broken(format!("tensor `{name}` {why}")))?;
        end = end.max(entry.data_offsets.1);
        shapes.push((name, entry.shape));
    }
    if end != data {
        return Err(broken(format!(
            "its header describes {end} bytes of tensors, and the file holds {data}"
        )));
    }
    Ok(shapes)
}

/// The header's bytes, and how many bytes of tensors follow it.
fn read_header(path: &Path) -> Result<(Vec<u8>, u64), String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let mut size = [0_u8; 8];
    file.read_exact(&mut size)
        .map_err(|_| format!("it has only {length} bytes"))?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER || size > length - 8 {
        return Err(format!(
            "it claims a header of {size} bytes in a file of {length}"
        ));
    }
    let mut header = vec![0_u8; size as usize];
    file.read_exact(&mut header).map_err(|e| e.to_string())?;
    Ok((header, length - 8 - size))
}

fn check_extent(entry: &Entry, data: u64) -> Result<(), String> {
    let (begin, end) = entry.data_offsets;
    if end > data {
        return Err(format!(
            "ends at byte {end} of {data}: the file is truncated"
        ));
    }
    let Some(bits) = bits_of(&entry.dtype) else {
        return Err(format!("has the unknown type `{}`", entry.dtype));
    };
    let bytes = entry
        .shape
        .iter()
        .try_fold(bits, |n, &d| n.checked_mul(d))
        .map(|bits| bits.div_ceil(8));
    if end.checked_sub(begin) != bytes || bytes.is_none() {
        return Err(format!(
            "has shape {:?} of {} and the byte range {begin}..{end}, which do not agree",
            entry.shape, entry.dtype
        ));
    }
    Ok(())
}

fn bits_of(dtype: &str) -> Option<u64> {
    match dtype {
        "F4" | "U4" | "I4" => Some(4),
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => Some(8),
        "I16" | "U16" | "F16" | "BF16" => Some(16),
        "I32" | "U32" | "F32" => Some(32),
        "I64" | "U64" | "F64" => Some(64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with the given header and that many bytes of data.
    fn write(folder: &Path, name: &str, header: &str, data: usize) -> PathBuf {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend(std::iter::repeat_n(0, data));
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    const TWO: &str = r#"{"__metadata__":{"format":"pt"},
        "model.embed_tokens.weight":{"dtype":"F32","shape":[5,2],"data_offsets":[0,40]},
        "b":{"dtype":"BF16","shape":[3],"data_offsets":[40,46]}}"#;

    #[test]
    fn a_sound_file_tells_its_shapes() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "model.safetensors", TWO, 46);
        let w = inspect(dir.path()).unwrap();
        assert_eq!(w.embedding_rows(), Some(5));
        assert_eq!(w.parameters(), 13);
    }

    #[test]
    fn truncated_and_lying_files_are_named_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            (TWO.to_owned(), 20, "is truncated"),
            (
                TWO.to_owned(),
                60,
                "describes 46 bytes of tensors, and the file holds 60",
            ),
            (TWO.replace("[5,2]", "[5,3]"), 46, "do not agree"),
            (
                TWO.replace("[5,2]", "[5,18446744073709551615]"),
                46,
                "do not agree",
            ),
            (TWO.replace("BF16", "Q99"), 46, "unknown type `Q99`"),
            ("[1]".to_owned(), 0, "no JSON object"),
        ];
        for (header, data, reason) in cases {
            write(dir.path(), "model.safetensors", &header, data);
            let e = inspect(dir.path()).unwrap_err();
            assert!(e.contains(reason) && e.contains("model.safetensors"), "{e}");
        }
        std::fs::write(dir.path().join("model.safetensors"), [255; 20]).unwrap();
        assert!(inspect(dir.path()).unwrap_err().contains("claims a header"));
        std::fs::write(dir.path().join("model.safetensors"), [1; 3]).unwrap();
        assert!(inspect(dir.path()).unwrap_err().contains("only 3 bytes"));
    }

    #[test]
    fn shards_are_found_with_and_without_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let one = |name: &str| {
            format!(r#"{{"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}}"#)
        };
        write(dir.path(), "model-00001-of-00002.safetensors", &one("a"), 1);
        write(dir.path(), "model-00002-of-00002.safetensors", &one("b"), 1);
        write(dir.path(), "adapter_model.safetensors", &one("c"), 1);
        assert_eq!(inspect(dir.path()).unwrap().shapes.len(), 2);

        let index = dir.path().join("model.safetensors.index.json");
        std::fs::write(
            &index,
            r#"{"weight_map":{"a":"model-00001-of-00002.safetensors"}}"#,
        )
        .unwrap();
        assert_eq!(inspect(dir.path()).unwrap().files.len(), 1);
        std::fs::write(
            &index,
            r#"{"weight_map":{"a":"model-00003-of-00003.safetensors"}}"#,
        )
        .unwrap();
        assert!(
            inspect(dir.path())
                .unwrap_err()
                .contains("which is missing")
        );

        write(dir.path(), "model.safetensors", &one("a"), 1);
        assert_eq!(inspect(dir.path()).unwrap().files.len(), 1, "one file wins");
    }

    #[test]
    fn a_folder_without_weights_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            inspect(dir.path())
                .unwrap_err()
                .contains("no safetensors weights")
        );
        std::fs::write(dir.path().join("pytorch_model.bin"), "x").unwrap();
        assert!(inspect(dir.path()).unwrap_err().contains("pickle"));
    }
}
