//! Sources of the Hugging Face hub, as they lie in its local cache: `models--org--name/{refs,snapshots}`. Nothing is
//! fetched here; what is missing is fetched before a run, by a crate of its own.

use std::path::{Path, PathBuf};

use driftgauge_folder::adapter::{CONFIG_FILE, WEIGHTS_FILE};
use driftgauge_folder::weights::{INDEX, WeightSet, choose, files_of_index};
use driftgauge_spec::spec::DatasetFormat;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What kind of repository a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepositoryKind {
    /// A model.
    Model,
    /// An adapter, in a repository of the same sort as models.
    Adapter,
    /// A dataset.
    Dataset,
}

impl RepositoryKind {
    /// The word for one of them.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Adapter => "adapter",
            Self::Dataset => "dataset",
        }
    }

    /// The word used in folder names of the cache.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Model | Self::Adapter => "models",
            Self::Dataset => "datasets",
        }
    }
}

/// A repository at a revision, and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubSource {
    /// Model or dataset.
    pub kind: RepositoryKind,
    /// `organisation/name`.
    pub repository: String,
    /// Branch, tag or commit, as in the spec.
    pub revision: String,
    /// Split of a dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// File of a dataset, instead of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The commit that the revision stands for; `None` while the source is not in the local cache.
    pub commit: Option<String>,
}

/// Files of one commit in the local cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder.
    pub folder: PathBuf,
    /// The commit.
    pub commit: String,
}

/// Where the hub's tools keep things: `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME`, else in `~/.cache`.
#[must_use]
pub fn home() -> Option<PathBuf> {
    home_from(&variable)
}

/// The local cache: `HF_HUB_CACHE` (or its older name `HUGGINGFACE_HUB_CACHE`), else `hub` in [`home`].
#[must_use]
pub fn cache() -> Option<PathBuf> {
    cache_from(&variable)
}

fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

fn home_from(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("HF_HOME").or_else(|| {
        let caches = variable("XDG_CACHE_HOME");
        let caches = caches.or_else(|| variable("HOME").map(|home| home.join(".cache")));
        caches.map(|caches| caches.join("huggingface"))
    })
}

fn cache_from(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| home_from(variable).map(|home| home.join("hub")))
}

impl HubSource {
    /// The cached files of the revision: a branch or tag through its ref, or a commit by name. They may not be all.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let name = format!(
            "{}--{}",
            self.kind.plural(),
            self.repository.replace('/', "--")
        );
        let folder = cache()?.join(name);
        let commit = std::fs::read_to_string(folder.join("refs").join(&self.revision))
            .map_or_else(|_| self.revision.clone(), |text| text.trim().to_owned());
        let snapshot = folder.join("snapshots").join(&commit);
        snapshot.is_dir().then_some(Snapshot {
            folder: snapshot,
            commit,
        })
    }

    /// What the local cache lacks of the source, in words; `None` when it is all there.
    #[must_use]
    pub fn lacks(&self) -> Option<String> {
        let Some(snapshot) = self.snapshot() else {
            return Some("nothing of it is there".to_owned());
        };
        match self.kind {
            RepositoryKind::Model | RepositoryKind::Adapter => {
                missing_file(self.kind, &snapshot.folder)
            }
            RepositoryKind::Dataset => self.cached_dataset().err(),
        }
    }

    /// The cached file of a dataset.
    ///
    /// # Errors
    /// In words, why there is none.
    pub fn cached_dataset(&self) -> Result<(DatasetFormat, PathBuf), String> {
        let snapshot = self.snapshot().ok_or("nothing of it is there")?;
        let names = file_names(&snapshot.folder, "");
        let name = self.dataset_file(&names)?;
        let format = format_of(&name).ok_or_else(|| unreadable(&name))?;
        Ok((format, snapshot.folder.join(name)))
    }

    /// Which of a dataset's files is the source: the one named, else the only data file of the split.
    ///
    /// # Errors
    /// In words, when there is none, or more than one.
    pub fn dataset_file(&self, names: &[String]) -> Result<String, String> {
        if let Some(file) = &self.file {
            if format_of(file).is_none() {
                return Err(unreadable(file));
            }
            return if names.contains(file) {
                Ok(file.clone())
            } else {
                Err(format!("it has no file `{file}`"))
            };
        }
        let split = self.split.as_deref().unwrap_or("train");
        let of_split: Vec<&String> = names
            .iter()
            .filter(|name| format_of(name).is_some() && belongs_to(name, split))
            .collect();
        match of_split.as_slice() {
            // One shard of several is not the split, even when the others are not here.
            [only] if !is_one_of_several(only) => Ok((*only).clone()),
            [] => Err(format!("it has no data file for the split `{split}`")),
            several => Err(format!(
                "the split `{split}` lies in {} files ({}, ...); `file` can name one",
                several.len().max(2),
                several[0]
            )),
        }
    }
}

fn unreadable(name: &str) -> String {
    format!("`{name}` is no file of rows: it has to end in .parquet, .jsonl, .json, .csv or .tsv")
}

/// `train.jsonl`, `data/train-00000-of-00001.parquet`, `default/train/0000.parquet`.
fn belongs_to(name: &str, split: &str) -> bool {
    let path = Path::new(driftgauge_spec::unpacked_name(name));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let parent = path.parent().and_then(Path::file_name);
    stem == split
        || stem.starts_with(&format!("{split}-"))
        || parent.is_some_and(|parent| parent == split)
}

/// `-of-00002` at the end of a name, whatever the number.
fn is_one_of_several(name: &str) -> bool {
    let name = driftgauge_spec::unpacked_name(name);
    let stem = Path::new(name).file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy();
    let count = stem.rsplit_once("-of-").map(|(_, count)| count);
    count.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 1))
}

/// The files of a model repository that an engine reads, out of all its files: settings, tokenizer and the set of weights that
/// a folder of them stands for. `index` is the content of its index of shards, where [`needs_index`] says that it counts. The
/// configuration comes last, so that a folder with one is whole.
///
/// # Errors
/// In words, what the repository lacks.
pub fn model_files(names: &[String], index: Option<&Value>) -> Result<Vec<String>, String> {
    const SETTINGS: [&str; 8] = [
        "added_tokens.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "chat_template.json",
        "config.json",
    ];
    let has = |name: &str| names.iter().any(|known| known == name);
    for needed in ["config.json", "tokenizer.json"] {
        if !has(needed) {
            return Err(format!("it has no {needed}"));
        }
    }
    let chosen = choose(names).map_err(|refusal| match refusal.help {
        Some(help) => format!("{}; {help}", refusal.reason),
        None => refusal.reason,
    })?;
    let mut files = match (chosen, index) {
        (WeightSet::Files(files), _) => files,
        (WeightSet::Indexed, None) => return Err(format!("its {INDEX} is not there")),
        (WeightSet::Indexed, Some(index)) => {
            let shards = files_of_index(index, Path::new(INDEX)).map_err(|e| e.to_string())?;
            shards.into_iter().chain([INDEX.to_owned()]).collect()
        }
    };
    let settings = SETTINGS.into_iter().filter(|name| has(name));
    files.extend(settings.map(str::to_owned));
    Ok(files)
}

/// The file of a model repository that says which others are wanted, if one does.
#[must_use]
pub fn needs_index(names: &[String]) -> Option<&'static str> {
    matches!(choose(names), Ok(WeightSet::Indexed)).then_some(INDEX)
}

/// The files of a repository that holds an adapter in PEFT's layout. The settings come last.
///
/// # Errors
/// In words, what the repository lacks.
pub fn adapter_files(names: &[String]) -> Result<Vec<String>, String> {
    let has = |name: &str| names.iter().any(|known| known == name);
    match (has(CONFIG_FILE), has(WEIGHTS_FILE)) {
        (true, true) => Ok([WEIGHTS_FILE, CONFIG_FILE].map(str::to_owned).into()),
        (false, _) => Err(format!("it is no adapter: it has no {CONFIG_FILE}")),
        (_, false) => Err(format!(
            "it has no {WEIGHTS_FILE}; where its weights are a pickle (`adapter_model.bin`), load them with PEFT and save them \
             again into a folder, for `path`"
        )),
    }
}

/// What a cached folder of a repository lacks.
fn missing_file(kind: RepositoryKind, folder: &Path) -> Option<String> {
    let names = file_names(folder, "");
    let wanted = match kind {
        RepositoryKind::Adapter => adapter_files(&names),
        _ => {
            let index = std::fs::read_to_string(folder.join(INDEX)).ok();
            let index = index.and_then(|text| serde_json::from_str(&text).ok());
            model_files(&names, index.as_ref())
        }
    };
    match wanted {
        Err(problem) => Some(problem),
        Ok(files) => {
            let missing = files
                .into_iter()
                .find(|file| !folder.join(file).is_file())?;
            Some(format!("{missing} is missing"))
        }
    }
}

/// Names of the files in a folder and its subfolders, with `/`. A link to a file that is not there is no file.
fn file_names(folder: &Path, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            names.extend(file_names(&path, &format!("{name}/")));
        } else if path.is_file() {
            names.push(name);
        }
    }
    names.sort_unstable();
    names
}

fn format_of(name: &str) -> Option<DatasetFormat> {
    let name = driftgauge_spec::unpacked_name(name);
    match Path::new(name).extension()?.to_str()? {
        "parquet" => Some(DatasetFormat::Parquet),
        "jsonl" => Some(DatasetFormat::Jsonl),
        "json" => Some(DatasetFormat::Json),
        "csv" => Some(DatasetFormat::Csv),
        "tsv" => Some(DatasetFormat::Tsv),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
