//! Fetches sources of the Hugging Face hub into its local cache, where `driftgauge-graph` finds them.
//!
//! A branch or tag is pinned to a commit first, and every file is taken from that commit; the cache's name for the branch
//! is written last, so that an interrupted download is never taken for a whole one. A second try goes on where the first
//! stopped.

mod error;
mod token;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use driftgauge_data::hub::{
    HubSource, RepositoryKind, Snapshot, adapter_files, cache, model_files, needs_index,
};
use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use sha2::{Digest, Sha256};

pub use error::HubError;

/// Tries after the first for a download that breaks off.
const RETRIES: usize = 5;

/// Where the hub is unless `HF_ENDPOINT` says otherwise.
const HUGGING_FACE: &str = "https://huggingface.co";

/// The hub, as the environment describes it: `HF_ENDPOINT`, `HF_HUB_CACHE` or `HF_HOME`, and a token from `HF_TOKEN`,
/// `HUGGING_FACE_HUB_TOKEN` or the file that `hf auth login` writes.
pub struct Hub {
    api: Api,
    cache: PathBuf,
    endpoint: String,
    has_token: bool,
}

/// Whether the environment has a token for the hub, which private and gated repositories ask for.
#[must_use]
pub fn has_token() -> bool {
    token::from_env().is_some()
}

/// How far the download of one file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetching {
    /// The file.
    pub file: String,
    /// Bytes that are here.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

impl Hub {
    /// Reads the environment; nothing is asked yet.
    ///
    /// # Errors
    /// When there is no place for the cache.
    pub fn from_env() -> Result<Self, HubError> {
        let cache = cache().ok_or(HubError::NoCache)?;
        // Links in the cache are relative to one another, which takes paths from the root.
        let cache = std::path::absolute(&cache).unwrap_or(cache);
        let endpoint = std::env::var("HF_ENDPOINT")
            .ok()
            .map(|url| url.trim_end_matches('/').to_owned())
            .filter(|url| !url.is_empty())
            .unwrap_or_else(|| HUGGING_FACE.to_owned());
        let token = token::from_env();
        let has_token = token.is_some();
        let api = ApiBuilder::new()
            .with_endpoint(endpoint.clone())
            .with_cache_dir(cache.clone())
            .with_token(token)
            .with_progress(false)
            .with_retries(RETRIES)
            .build()
            .map_err(|error| HubError::Client(error.to_string()))?;
        Ok(Self {
            api,
            cache,
            endpoint,
            has_token,
        })
    }

    /// Pins the source's revision to a commit and fetches what is wanted of it. `report` hears of every file as it comes.
    ///
    /// # Errors
    /// When the hub cannot be reached, does not know the source or does not give it, or when what came is not what the
    /// hub announced.
    pub fn fetch(
        &self,
        source: &HubSource,
        report: &mut dyn FnMut(Fetching),
    ) -> Result<Snapshot, HubError> {
        let error = |error| self.error(source, error);
        let info = self
            .repository(source, &source.revision)
            .info()
            .map_err(error)?;
        let names: Vec<String> = info
            .siblings
            .into_iter()
            .map(|file| file.rfilename)
            .collect();
        let pinned = self.repository(source, &info.sha);
        let index = match needs_index(&names).filter(|_| source.kind == RepositoryKind::Model) {
            Some(index) => {
                let path = pinned.get(index).map_err(error)?;
                let text = fs::read(path).unwrap_or_default();
                serde_json::from_slice(&text).ok()
            }
            None => None,
        };
        let wanted = match source.kind {
            RepositoryKind::Model => model_files(&names, index.as_ref()),
            RepositoryKind::Adapter => adapter_files(&names),
            RepositoryKind::Dataset => source.dataset_file(&names).map(|file| vec![file]),
        };
        let wanted = wanted.map_err(|problem| HubError::Unfit {
            source_name: name(source),
            problem,
        })?;
        let folder = self
            .cache
            .join(repo(source, &info.sha).folder_name())
            .join("snapshots")
            .join(&info.sha);
        for file in &wanted {
            if folder.join(file).is_file() {
                continue;
            }
            let progress = Reporter::new(file, &mut *report);
            let path = pinned
                .download_with_progress(file, progress)
                .map_err(error)?;
            verify(&path).map_err(|problem| HubError::Damaged {
                source_name: name(source),
                file: file.clone(),
                problem,
            })?;
        }
        Cache::new(self.cache.clone())
            .repo(repo(source, &source.revision))
            .create_ref(&info.sha)
            .map_err(|problem| HubError::Cache {
                path: self.cache.clone(),
                problem,
            })?;
        Ok(Snapshot {
            folder,
            commit: info.sha,
        })
    }

    fn repository(&self, source: &HubSource, revision: &str) -> ApiRepo {
        self.api.repo(repo(source, revision))
    }

    fn error(&self, source: &HubSource, error: hf_hub::api::sync::ApiError) -> HubError {
        HubError::of(error, source, &name(source), &self.endpoint, self.has_token)
    }
}

fn repo(source: &HubSource, revision: &str) -> Repo {
    let kind = match source.kind {
        RepositoryKind::Model | RepositoryKind::Adapter => RepoType::Model,
        RepositoryKind::Dataset => RepoType::Dataset,
    };
    Repo::with_revision(source.repository.clone(), kind, revision.to_owned())
}

fn name(source: &HubSource) -> String {
    let kind = match source.kind {
        RepositoryKind::Model => "model",
        RepositoryKind::Adapter => "adapter",
        RepositoryKind::Dataset => "dataset",
    };
    format!("{kind} `{}` at `{}`", source.repository, source.revision)
}

/// Large files are kept under the SHA-256 of their bytes; one that is not what its name says is removed.
fn verify(link: &Path) -> Result<(), String> {
    let blob = fs::canonicalize(link).map_err(|error| error.to_string())?;
    let announced = blob.file_name().unwrap_or_default().to_string_lossy();
    let is_sha256 = announced.len() == 64 && announced.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_sha256 {
        return Ok(());
    }
    let mut file = fs::File::open(&blob).map_err(|error| error.to_string())?;
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher).map_err(|error| error.to_string())?;
    let found: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if found == announced.to_ascii_lowercase() {
        return Ok(());
    }
    // Whatever cannot be removed is found wrong again.
    let _ = fs::remove_file(link);
    let _ = fs::remove_file(&blob);
    Err(format!("its SHA-256 is {found} and not {announced}"))
}

/// Tells one file's progress.
struct Reporter<'a> {
    state: Fetching,
    report: &'a mut dyn FnMut(Fetching),
}

impl<'a> Reporter<'a> {
    fn new(file: &str, report: &'a mut dyn FnMut(Fetching)) -> Self {
        let state = Fetching {
            file: file.to_owned(),
            done: 0,
            total: 0,
        };
        Self { state, report }
    }

    fn tell(&mut self) {
        (self.report)(self.state.clone());
    }
}

impl Progress for Reporter<'_> {
    fn init(&mut self, size: usize, _: &str) {
        // A download that starts again counts anew.
        self.state.done = 0;
        self.state.total = size as u64;
        self.tell();
    }

    fn update(&mut self, size: usize) {
        self.state.done += size as u64;
        self.tell();
    }

    fn finish(&mut self) {
        self.state.done = self.state.total;
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_to_the_name_of_its_bytes() {
        let name = "a_file_is_held_to_the_name_of_its_bytes";
        let dir = std::env::temp_dir().join(format!("driftgauge-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        // SHA-256 of "abc", from FIPS 180-4.
        let blob = dir.join("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        fs::write(&blob, "abc").expect("a file");
        assert_eq!(verify(&blob), Ok(()));
        fs::write(&blob, "abd").expect("a file");
        assert!(verify(&blob).expect_err("it differs").contains("SHA-256"));
        assert!(!blob.exists());
        let small = dir.join("0123456789abcdef");
        fs::write(&small, "anything").expect("a file");
        assert_eq!(verify(&small), Ok(()));
        fs::remove_dir_all(&dir).expect("removed");
    }
}
