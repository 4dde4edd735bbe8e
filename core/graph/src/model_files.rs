//! What the files of a model are, as bytes: the digest that its identity rests on.

use std::io::Read;
use std::path::Path;

use driftgauge_folder::adapter::AdapterFiles;
use driftgauge_folder::weights::{INDEX, WHOLE};
use driftgauge_store::{Digest, node_key};
use serde_json::{Value, json};

use crate::resolved::ModelSource;

/// The file that every tokenizer's folder has.
pub(crate) const TOKENIZER: &str = "tokenizer.json";

/// Gives the digest of one file.
type OfFile<'a> = dyn Fn(&Path) -> std::io::Result<Digest> + 'a;

/// Files of a model folder, beside its weights, that an engine reads.
const SETTINGS: [&str; 11] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "params.json",
    "special_tokens_map.json",
    "tekken.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
];

/// Whether a GGUF file has a tokenizer inside: its header, which comes first, then names a list of tokens.
pub(crate) fn has_tokenizer(gguf: &Path) -> bool {
    const KEY: &[u8] = b"tokenizer.ggml.tokens";
    const HEADER: u64 = 4 << 20;
    let mut header = Vec::new();
    std::fs::File::open(gguf)
        .and_then(|file| file.take(HEADER).read_to_end(&mut header))
        .is_ok_and(|_| header.windows(KEY.len()).any(|part| part == KEY))
}

/// Whether a folder has a chat template.
pub(crate) fn has_template(folder: &Path) -> bool {
    template_text(folder).is_some()
}

/// The source of a folder's chat template, or the list of several.
pub(crate) fn template_text(folder: &Path) -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    read("chat_template.jinja").or_else(|| {
        let config: Value = serde_json::from_str(&read("tokenizer_config.json")?).ok()?;
        match &config["chat_template"] {
            Value::Null => None,
            Value::String(source) => Some(source.clone()),
            several => Some(several.to_string()),
        }
    })
}

/// Digest over the names inside a model folder and the bytes of the files that an engine reads: its settings, and the one set
/// of weights that every engine takes.
pub(crate) fn folder_digest(folder: &Path, digest: &OfFile<'_>) -> std::io::Result<Digest> {
    let weights = driftgauge_folder::weight_files(folder).map_err(std::io::Error::other)?;
    let mut names: Vec<String> = weights
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let whole = names.iter().any(|name| name == WHOLE);
    names.extend(settings(folder)?);
    if !whole && folder.join(INDEX).is_file() {
        names.push(INDEX.to_owned());
    }
    digest_of(folder, names, digest)
}

/// Digest of what is read of a tokenizer's folder.
pub(crate) fn tokenizer_digest(folder: &Path, digest: &OfFile<'_>) -> std::io::Result<Digest> {
    let mut names = settings(folder)?;
    names.retain(|name| name != "config.json");
    digest_of(folder, names, digest)
}

/// Digest of an adapter: of its settings and of its weights.
pub(crate) fn adapter_digest(files: &AdapterFiles, digest: &OfFile<'_>) -> std::io::Result<Digest> {
    let leaves = [digest(&files.settings)?, digest(&files.weights)?];
    Ok(node_key("adapter", 1, &Value::Null, &leaves))
}

/// Digest of a GGUF file and of the tokenizer that is read with it.
pub(crate) fn gguf_digest(file: Digest, tokenizer: Option<Digest>) -> Digest {
    let leaves: Vec<Digest> = [file].into_iter().chain(tokenizer).collect();
    // 2: the tokenizer that is read is part of it.
    node_key("gguf", 2, &Value::Null, &leaves)
}

/// The digest that the files of a source on this machine have now; `None` for other sources.
pub(crate) fn source_digest(
    source: &ModelSource,
    digest: &OfFile<'_>,
) -> Option<std::io::Result<Digest>> {
    let ModelSource::Folder {
        path,
        gguf,
        tokenizer,
        ..
    } = source
    else {
        return None;
    };
    let Some(name) = gguf else {
        return Some(folder_digest(path, digest));
    };
    let tokenizer = tokenizer
        .as_ref()
        .map(|folder| tokenizer_digest(folder, digest));
    Some(tokenizer.transpose().and_then(|tokenizer| {
        let file = digest(&path.join(name))?;
        Ok(gguf_digest(file, tokenizer))
    }))
}

/// Names of the settings that a folder has.
fn settings(folder: &Path) -> std::io::Result<Vec<String>> {
    let names = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    Ok(names
        .filter(|name| SETTINGS.contains(&name.as_str()))
        .collect())
}

fn digest_of(
    folder: &Path,
    mut names: Vec<String>,
    digest: &OfFile<'_>,
) -> std::io::Result<Digest> {
    names.sort_unstable();
    let digests = names
        .iter()
        .map(|name| digest(&folder.join(name)))
        .collect::<std::io::Result<Vec<_>>>()?;
    Ok(node_key("model-folder", 1, &json!(names), &digests))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_by_its_bytes() {
        let left = tempfile::tempdir().unwrap();
        let right = tempfile::tempdir().unwrap();
        for dir in [&left, &right] {
            std::fs::write(dir.path().join("config.json"), "{}").unwrap();
            std::fs::write(dir.path().join("model.safetensors"), "weights").unwrap();
        }
        std::fs::write(right.path().join("README.md"), "hello").unwrap();
        // Weights that nobody reads while there is `model.safetensors`.
        std::fs::write(right.path().join("model-00001-of-00001.safetensors"), "x").unwrap();
        let of = |dir: &tempfile::TempDir| {
            folder_digest(dir.path(), &|path| Digest::of_file(path)).unwrap()
        };
        assert_eq!(of(&left), of(&right));
        std::fs::write(right.path().join("model.safetensors"), "Weights").unwrap();
        assert_ne!(of(&left), of(&right));
    }

    #[test]
    fn a_source_has_the_digest_of_its_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.gguf"), "weights").unwrap();
        std::fs::write(dir.path().join(TOKENIZER), "{}").unwrap();
        let source = ModelSource::Folder {
            path: dir.path().to_owned(),
            gguf: Some("m.gguf".into()),
            tokenizer: Some(dir.path().to_owned()),
            digest: Digest::of(b""),
        };
        let now = || source_digest(&source, &|path| Digest::of_file(path)).unwrap();
        let before = now().unwrap();
        std::fs::write(dir.path().join(TOKENIZER), "{ }").unwrap();
        assert_ne!(now().unwrap(), before);
        std::fs::remove_file(dir.path().join("m.gguf")).unwrap();
        assert!(now().is_err());
    }
}
