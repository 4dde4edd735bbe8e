//! The bytes of a plugin: read once, hashed, held against pins, and loaded from a copy that nobody else can change.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::PluginError;
use crate::limits;

/// Digests that a file must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// BLAKE3, hexadecimal, with or without `blake3:`.
    pub blake3: Option<String>,
    /// SHA-256, hexadecimal, with or without `sha256:`.
    pub sha256: Option<String>,
}

/// A plugin's file as it was when it was read. What is loaded is these bytes, whatever becomes of the file.
#[derive(Debug, Clone)]
pub struct PluginFile {
    path: PathBuf,
    digest: String,
    bytes: Arc<Vec<u8>>,
}

impl PluginFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is too long to be a library.
    pub fn read(path: &Path) -> Result<Self, PluginError> {
        let cannot_read = |source| PluginError::Read {
            path: path.to_owned(),
            source,
        };
        let path = std::path::absolute(path).map_err(cannot_read)?;
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(limits::LIBRARY + 1).read_to_end(&mut bytes))
            .map_err(cannot_read)?;
        if bytes.len() as u64 > limits::LIBRARY {
            let text = format!("it has more than {} bytes", limits::LIBRARY);
            return Err(cannot_read(std::io::Error::other(text)));
        }
        Ok(Self {
            path,
            digest: blake3::hash(&bytes).to_hex().to_string(),
            bytes: Arc::new(bytes),
        })
    }

    /// Where it was read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// BLAKE3 of the bytes, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Holds the bytes against what a spec pins.
    ///
    /// # Errors
    /// [`PluginError::Digest`] with the one that differs.
    pub fn check(&self, pins: &Pins) -> Result<(), PluginError> {
        let sha256 = || {
            let digest = Sha256::digest(self.bytes.as_slice());
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let differs = |algorithm, pin: &Option<String>, found: &dyn Fn() -> String| {
            let pin = pin.as_deref()?.trim();
            let expected = pin.split_once(':').map_or(pin, |(_, digest)| digest);
            let found = found();
            (!found.eq_ignore_ascii_case(expected)).then(|| PluginError::Digest {
                path: self.path.clone(),
                algorithm,
                expected: expected.to_owned(),
                found,
            })
        };
        let wrong = differs("blake3", &pins.blake3, &|| self.digest.clone())
            .or_else(|| differs("sha256", &pins.sha256, &sha256));
        wrong.map_or(Ok(()), Err)
    }

    /// Whether these are the bytes that a run was planned with.
    ///
    /// # Errors
    /// [`PluginError::Replaced`] when they are not.
    pub fn is_planned(&self, digest: &str) -> Result<(), PluginError> {
        if self.digest == digest {
            return Ok(());
        }
        Err(PluginError::Replaced {
            path: self.path.clone(),
            planned: digest.to_owned(),
            found: self.digest.clone(),
        })
    }

    /// Writes the bytes to a folder of ours; the loader maps that file.
    pub(crate) fn copy(&self) -> Result<(tempfile::TempDir, PathBuf), PluginError> {
        let cannot_copy = |source| PluginError::Read {
            path: self.path.clone(),
            source,
        };
        let folder = tempfile::tempdir().map_err(cannot_copy)?;
        let copy = folder
            .path()
            .join(self.path.file_name().unwrap_or_default());
        std::fs::write(&copy, self.bytes.as_slice()).map_err(cannot_copy)?;
        Ok((folder, copy))
    }
}
