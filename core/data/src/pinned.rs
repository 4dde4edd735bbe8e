//! A file and the digest of its bytes.

use std::path::PathBuf;

use driftgauge_store::Digest;
use serde::{Deserialize, Serialize};

/// A file and the digest of its bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PinnedFile {
    /// Where it was found.
    pub path: PathBuf,
    /// Digest of its bytes.
    pub digest: Digest,
}
