//! One finished artifact: files, and a manifest with their digests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{FileDigests, StoreError, io_error};
use crate::Digest;

/// File name of the manifest.
pub(super) const MANIFEST: &str = "artifact.json";

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFile {
    /// Path inside the artifact, with `/`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the bytes.
    pub blake3: Digest,
}

/// What an artifact holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Files in the order of their paths.
    pub files: Vec<ArtifactFile>,
    /// Digest of what is said of them; none in a manifest of an older build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<Digest>,
}

/// A finished artifact whose files were found to be what was written.
#[derive(Debug, Clone)]
pub struct Artifact {
    folder: PathBuf,
    manifest: Manifest,
}

impl Artifact {
    pub(super) fn open(
        key: &Digest,
        folder: PathBuf,
        digests: &FileDigests,
    ) -> Result<Self, StoreError> {
        let (manifest, wrong) = read(&folder, &|path| digests.of(path))?;
        match (manifest, wrong.into_iter().next()) {
            (Some(manifest), None) => Ok(Self { folder, manifest }),
            (_, wrong) => {
                let (file, problem) = wrong.unwrap_or_default();
                Err(StoreError::Damaged {
                    key: key.short().to_owned(),
                    file,
                    problem,
                    folder,
                })
            }
        }
    }

    /// The artifact's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file or folder inside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The files with their digests.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// What a file of a sealed folder is, and what is wrong with it.
pub(super) type Wrong = (String, String);

/// Reads the manifest of a folder and every file in it. Says of each file that is not what was written what is wrong with it.
pub(super) fn read(
    folder: &Path,
    digest: &dyn Fn(&Path) -> std::io::Result<Digest>,
) -> Result<(Option<Manifest>, Vec<Wrong>), StoreError> {
    let path = folder.join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let wrong = (MANIFEST.to_owned(), "is missing".to_owned());
            return Ok((None, vec![wrong]));
        }
        Err(error) => return Err(io_error("read", &path)(error)),
    };
    let manifest: Manifest = match serde_json::from_slice(&text) {
        Ok(manifest) => manifest,
        Err(error) => {
            let wrong = (MANIFEST.to_owned(), format!("is not readable: {error}"));
            return Ok((None, vec![wrong]));
        }
    };
    // Of a manifest that changed nothing can be told of the files.
    if manifest.text().as_bytes() != text || !manifest.is_whole() {
        let wrong = (MANIFEST.to_owned(), OTHER_BYTES.to_owned());
        return Ok((None, vec![wrong]));
    }
    let mut wrong = Vec::new();
    for file in &manifest.files {
        let path = folder.join(&file.path);
        let size = fs::metadata(&path).map(|found| found.len());
        let problem = match (digest(&path), size) {
            (Err(_), _) | (_, Err(_)) => "is missing",
            (Ok(found), Ok(size)) if found != file.blake3 || size != file.size => OTHER_BYTES,
            _ => continue,
        };
        wrong.push((file.path.clone(), problem.to_owned()));
    }
    Ok((Some(manifest), wrong))
}

/// What is said of a file that changed.
pub(super) const OTHER_BYTES: &str = "has other bytes than were written";

impl Manifest {
    fn new(files: Vec<ArtifactFile>) -> Self {
        let blake3 = Some(digest_of(&files));
        Self { files, blake3 }
    }

    fn is_whole(&self) -> bool {
        let digest = self.blake3.as_ref();
        digest.is_none_or(|digest| *digest == digest_of(&self.files))
    }

    fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Name of the file in a sealed folder.
    pub const FILE: &str = MANIFEST;
}

fn digest_of(files: &[ArtifactFile]) -> Digest {
    Digest::of(&serde_json::to_vec(files).unwrap_or_default())
}

/// Writes the manifest of `folder` and brings everything to disk.
///
/// # Errors
/// When a file cannot be read, written or synced.
pub fn seal_folder(folder: &Path) -> Result<(), StoreError> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let path = folder.join(MANIFEST);
    fs::write(&path, Manifest::new(files).text()).map_err(io_error("write", &path))?;
    sync_file(&path)?;
    sync_dir(folder)
}

/// What of a folder that was sealed is not what was written; `None` when all of it is.
///
/// # Errors
/// When a file cannot be read.
pub fn damage_of_folder(folder: &Path) -> Result<Option<String>, StoreError> {
    let (_, wrong) = read(folder, &|path| Digest::of_file(path))?;
    let first = wrong.into_iter().next();
    Ok(first.map(|(file, problem)| format!("`{file}` {problem}")))
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<ArtifactFile>) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let path = entry.map_err(io_error("list", folder))?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
            sync_dir(&path)?;
            continue;
        }
        sync_file(&path)?;
        let relative = path.strip_prefix(root).unwrap_or(&path);
        files.push(ArtifactFile {
            path: relative.to_string_lossy().replace('\\', "/"),
            size: fs::metadata(&path).map_err(io_error("read", &path))?.len(),
            blake3: Digest::of_file(&path).map_err(io_error("read", &path))?,
        });
    }
    Ok(())
}

fn sync_file(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(io_error("sync", path))
}

pub(super) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    sync_file(path)?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
