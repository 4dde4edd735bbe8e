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
        Self::open_with(key, folder, &|path| digests.of(path))
    }

    /// Opens an artifact whose files have the digests that `digest` gives.
    pub(super) fn open_with(
        key: &Digest,
        folder: PathBuf,
        digest: &dyn Fn(&Path) -> std::io::Result<Digest>,
    ) -> Result<Self, StoreError> {
        let path = folder.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        let damaged = |file: &str, problem: String| StoreError::Damaged {
            key: key.short().to_owned(),
            file: file.to_owned(),
            problem,
            folder: folder.clone(),
        };
        let manifest: Manifest = serde_json::from_str(&text)
            .map_err(|error| damaged(MANIFEST, format!("is not readable: {error}")))?;
        for file in &manifest.files {
            let path = folder.join(&file.path);
            let digest = digest(&path).map_err(|_| damaged(&file.path, "is missing".to_owned()))?;
            if digest != file.blake3 {
                return Err(damaged(
                    &file.path,
                    "has other bytes than were written".to_owned(),
                ));
            }
        }
        Ok(Self { folder, manifest })
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

/// Writes the manifest of `folder` and brings everything to disk.
pub(super) fn seal(folder: &Path) -> Result<(), StoreError> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(&Manifest { files }).unwrap_or_default();
    fs::write(&path, text).map_err(io_error("write", &path))?;
    sync_file(&path)?;
    sync_dir(folder)
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
