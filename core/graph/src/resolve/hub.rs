//! The local cache of the Hugging Face hub, read as it lies: `models--org--name/{refs,snapshots}`. Nothing is fetched.

use std::path::{Path, PathBuf};

use driftgauge_spec::spec::DatasetFormat;

fn cache() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    from("HF_HUB_CACHE")
        .or_else(|| from("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| from("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

/// Folder of a cached revision: a branch through its ref, or a commit by name.
fn snapshot(kind: &str, repository: &str, revision: &str) -> Option<PathBuf> {
    let folder = cache()?.join(format!("{kind}--{}", repository.replace('/', "--")));
    let commit = std::fs::read_to_string(folder.join("refs").join(revision))
        .map_or_else(|_| revision.to_owned(), |commit| commit.trim().to_owned());
    let snapshot = folder.join("snapshots").join(commit);
    snapshot.is_dir().then_some(snapshot)
}

/// The folder of a cached model.
pub(super) fn model_folder(repository: &str, revision: &str) -> Option<PathBuf> {
    snapshot("models", repository, revision).filter(|folder| folder.join("config.json").is_file())
}

/// The file of a cached dataset: the one named, else the only Parquet, JSON Lines, JSON or CSV file of the split.
pub(super) fn dataset_file(
    repository: &str,
    revision: &str,
    split: &str,
    file: Option<&str>,
) -> Option<(DatasetFormat, PathBuf)> {
    let folder = snapshot("datasets", repository, revision)?;
    if let Some(file) = file {
        let path = folder.join(file);
        return Some((format_of(&path)?, path)).filter(|(_, path)| path.is_file());
    }
    let mut candidates = Vec::new();
    for directory in [folder.clone(), folder.join("data"), folder.join("default")] {
        let Ok(entries) = std::fs::read_dir(directory) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if let Some(format) = format_of(&path)
                && (name == split || name.starts_with(&format!("{split}-")))
            {
                candidates.push((format, path));
            }
        }
    }
    // Several shards are not joined by guessing at their order; the spec can name a file.
    match candidates.len() {
        1 => candidates.pop(),
        _ => None,
    }
}

fn format_of(path: &Path) -> Option<DatasetFormat> {
    match path.extension()?.to_str()? {
        "parquet" => Some(DatasetFormat::Parquet),
        "jsonl" => Some(DatasetFormat::Jsonl),
        "json" => Some(DatasetFormat::Json),
        "csv" => Some(DatasetFormat::Csv),
        _ => None,
    }
}
