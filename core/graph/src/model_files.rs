//! What the files of a model are, as bytes: the digest that its identity rests on.

use std::io::Read;
use std::path::Path;

use driftgauge_store::{Digest, node_key};
use serde_json::{Value, json};

use crate::resolved::ModelSource;

/// The file that every tokenizer's folder has.
pub(crate) const TOKENIZER: &str = "tokenizer.json";

/// Gives the digest of one file.
type OfFile<'a> = dyn Fn(&Path) -> std::io::Result<Digest> + 'a;

/// Whether an engine reads this file of a model folder.
fn matters(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "config.json",
        "params.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer.model",
        "tekken.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "chat_template.json",
    ];
    NAMES.contains(&name)
        || name.ends_with(".safetensors")
        || name.ends_with(".safetensors.index.json")
}

/// Whether this file of a folder says how text becomes tokens, and where answers end.
fn is_tokenizer_file(name: &str) -> bool {
    matters(name) && !name.contains(".safetensors") && name != "config.json"
}

/// Whether a GGUF file has a tokenizer inside: its header, which comes first, then names a list of tokens.
pub(crate) fn has_tokenizer(gguf: &Path) -> bool {
    const KEY: &[u8] = b"tokenizer.ggml.tokens";
    const HEADER: u64 = 4 << 20;
    let mut header = Vec::new();
    std::fs::File::open(gguf)
        .and_then(|file| file.take(HEADER).read_to_end(&mut header))
        .is_ok_and(|_| header.windows(KEY.len()).any(|part| part == KEY))
}

/// Digest over the names inside a model folder and the bytes of the files that an engine reads.
pub(crate) fn folder_digest(folder: &Path, digest: &OfFile<'_>) -> std::io::Result<Digest> {
    digest_of(folder, matters, digest)
}

/// Digest of what is read of a tokenizer's folder.
pub(crate) fn tokenizer_digest(folder: &Path, digest: &OfFile<'_>) -> std::io::Result<Digest> {
    digest_of(folder, is_tokenizer_file, digest)
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

fn digest_of(
    folder: &Path,
    matters: fn(&str) -> bool,
    digest: &OfFile<'_>,
) -> std::io::Result<Digest> {
    let mut names: Vec<String> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| matters(name))
        .collect();
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
