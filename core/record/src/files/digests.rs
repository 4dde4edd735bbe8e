//! `digests.json`: every file of a run folder with its digest, written when the run has ended.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::folder::{RunFile, Schema};

/// The whole of `digests.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestsRecord {
    /// Number of the format.
    pub schema: Schema<1>,
    /// Fingerprint of the run that wrote the folder, if it made everything: a run with the same one would write the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The files by their paths inside the folder, with `/`, in the order of the paths.
    pub files: IndexMap<String, DigestRecord>,
    /// BLAKE3 of `run` and `files` as JSON without white space: this file has no other to tell its digest.
    pub blake3: String,
}

impl RunFile for DigestsRecord {
    const NAME: &'static str = "digests.json";
    const SCHEMA: u32 = 1;
}

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestRecord {
    /// How many there are.
    pub size: u64,
    /// Their BLAKE3.
    pub blake3: String,
}
