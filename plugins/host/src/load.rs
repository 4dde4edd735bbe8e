//! Opens plugin libraries and reads what they export.
#![expect(unsafe_code, reason = "loading native code and reading its structures")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use driftgauge_plugin_protocol::ffi::{
    ABI_MINOR, DG_OK, DgBuf, DgEntry, DgMetricVtable, DgPlugin, ENTRY_SYMBOL, read_prefixed,
};
use driftgauge_plugin_protocol::field::Field;
use driftgauge_plugin_protocol::wire::Manifest;
use libloading::Library;

use crate::PluginError;

/// More metrics than any library has: a larger number is garbage.
const MOST_METRICS: u32 = 256;

/// A loaded plugin library. It stays loaded until the process ends, whatever becomes of this value: code that was handed
/// out (thread-local destructors, function tables) may run at any later time.
#[derive(Debug, Clone)]
pub struct PluginLibrary {
    path: PathBuf,
    digest: String,
    manifests: Vec<Manifest>,
    tables: Vec<DgMetricVtable>,
}

impl PluginLibrary {
    /// Loads the library at `path`. Its constructors run now: load only what you trust, or use a worker.
    ///
    /// # Errors
    /// When it cannot be read or loaded, speaks another ABI, or breaks its rules.
    pub fn load(path: &Path) -> Result<Self, PluginError> {
        let (path, digest) = digest(path)?;
        let library = open(&path, &path)?;
        Self::read(path, digest, library)
    }

    /// Loads the library at `path` if the BLAKE3 digest of its bytes is `pin` (hexadecimal, with or without `blake3:`).
    /// A private copy of the very bytes that were hashed is loaded, so that nobody can swap them in between; libraries
    /// that such a plugin looks for beside itself are not found.
    ///
    /// # Errors
    /// As [`Self::load`], and when the digest is another.
    pub fn load_pinned(path: &Path, pin: &str) -> Result<Self, PluginError> {
        let (path, digest, bytes) = read(path)?;
        let expected = pin.trim_start_matches("blake3:");
        if !digest.eq_ignore_ascii_case(expected) {
            return Err(PluginError::Digest {
                path,
                expected: expected.to_owned(),
                found: digest,
            });
        }
        let cannot_copy = |source| PluginError::Read {
            path: path.clone(),
            source,
        };
        let folder = tempfile::tempdir().map_err(cannot_copy)?;
        let copy = folder.path().join(path.file_name().unwrap_or_default());
        std::fs::write(&copy, bytes).map_err(cannot_copy)?;
        let library = open(&copy, &path)?;
        Self::read(path, digest, library)
    }

    /// The file it was loaded from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// BLAKE3 of the file's bytes, hexadecimal: part of the identity of every result.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What its metrics say of themselves, in the library's order.
    #[must_use]
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// The manifest of a metric.
    ///
    /// # Errors
    /// [`PluginError::NoMetric`] with those it has.
    pub fn manifest(&self, metric_id: &str) -> Result<&Manifest, PluginError> {
        self.find(metric_id).map(|(manifest, _)| manifest)
    }

    pub(crate) fn find(&self, id: &str) -> Result<(&Manifest, &DgMetricVtable), PluginError> {
        self.manifests
            .iter()
            .zip(&self.tables)
            .find(|(manifest, _)| manifest.id == id)
            .ok_or_else(|| PluginError::NoMetric {
                path: self.path.clone(),
                metric: id.to_owned(),
                known: self.manifests.iter().map(|m| m.id.clone()).collect(),
            })
    }

    fn read(path: PathBuf, digest: String, library: Library) -> Result<Self, PluginError> {
        // Never unloaded: see the type's documentation.
        let library: &'static Library = Box::leak(Box::new(library));
        let plugin = entry(&path, library)?;
        let malformed = |detail: String| PluginError::Malformed {
            path: path.clone(),
            detail,
        };
        if plugin.n_metrics == 0 || plugin.n_metrics > MOST_METRICS || plugin.metrics.is_null() {
            return Err(malformed(format!(
                "its `dg_plugin` (struct_size {}) names {} metrics",
                plugin.struct_size, plugin.n_metrics
            )));
        }
        let mut tables = Vec::new();
        let mut manifests: Vec<Manifest> = Vec::new();
        for index in 0..plugin.n_metrics as usize {
            // SAFETY: the plugin states that `n_metrics` pointers to its function tables lie here.
            let table = unsafe { read_prefixed(*plugin.metrics.add(index)) }
                .ok_or_else(|| malformed(format!("the table of metric {index} is null")))?;
            if let Some(function) = missing_function(&table) {
                return Err(malformed(format!(
                    "the table of metric {index} (struct_size {}) lacks `{function}`",
                    table.struct_size
                )));
            }
            let manifest = read_manifest(&table)
                .map_err(|detail| malformed(format!("the manifest of metric {index} {detail}")))?;
            if manifests.iter().any(|known| known.id == manifest.id) {
                return Err(malformed(format!("metric `{}` appears twice", manifest.id)));
            }
            tables.push(table);
            manifests.push(manifest);
        }
        Ok(Self {
            path,
            digest,
            manifests,
            tables,
        })
    }
}

/// The absolute path, digest and bytes of a file.
fn read(path: &Path) -> Result<(PathBuf, String, Vec<u8>), PluginError> {
    let cannot_read = |source| PluginError::Read {
        path: path.to_owned(),
        source,
    };
    let path = std::path::absolute(path).map_err(cannot_read)?;
    let bytes = std::fs::read(&path).map_err(cannot_read)?;
    let digest = blake3::hash(&bytes).to_hex().to_string();
    Ok((path, digest, bytes))
}

/// The absolute path and digest of a file.
fn digest(path: &Path) -> Result<(PathBuf, String), PluginError> {
    read(path).map(|(path, digest, _)| (path, digest))
}

/// Loads `file`; errors speak of `shown`.
fn open(file: &Path, shown: &Path) -> Result<Library, PluginError> {
    let failed = |error: libloading::Error| PluginError::Open {
        path: shown.to_owned(),
        detail: describe(&error),
    };
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library as UnixLibrary, RTLD_LOCAL, RTLD_NOW};
        // NOW: a missing symbol is an error here, not a crash in the middle of a run. LOCAL: plugins do not see each
        // other's symbols.
        // SAFETY: the caller decided to trust the library's constructors.
        unsafe { UnixLibrary::open(Some(file), RTLD_NOW | RTLD_LOCAL) }
            .map(Library::from)
            .map_err(failed)
    }
    #[cfg(not(unix))]
    {
        // SAFETY: the caller decided to trust the library's constructors.
        unsafe { Library::new(file) }.map_err(failed)
    }
}

/// libloading puts the system's message into the source of its error.
fn describe(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Calls the library's one exported function.
fn entry(path: &Path, library: &'static Library) -> Result<DgPlugin, PluginError> {
    // SAFETY: a function of this name has this type, by the ABI.
    let Ok(entry) = (unsafe { library.get::<DgEntry>(ENTRY_SYMBOL) }) else {
        let speaks = (2..=9).find(|version| {
            // SAFETY: the symbol is looked for, never used.
            unsafe { library.get::<DgEntry>(format!("dg_plugin_v{version}")) }.is_ok()
        });
        return Err(PluginError::Abi {
            path: path.to_owned(),
            speaks,
        });
    };
    // SAFETY: the function takes the host's minor version and returns null or a size-prefixed static.
    unsafe { read_prefixed(entry(ABI_MINOR)) }.ok_or_else(|| PluginError::Malformed {
        path: path.to_owned(),
        detail: "`dg_plugin_v1` returned null".to_owned(),
    })
}

fn missing_function(table: &DgMetricVtable) -> Option<&'static str> {
    [
        ("manifest", table.manifest.is_none()),
        ("create", table.create.is_none()),
        ("update", table.update.is_none()),
        ("finish", table.finish.is_none()),
        ("destroy", table.destroy.is_none()),
    ]
    .into_iter()
    .find_map(|(name, missing)| missing.then_some(name))
}

fn read_manifest(table: &DgMetricVtable) -> Result<Manifest, String> {
    let mut json = DgBuf::EMPTY;
    let status = match table.manifest {
        // SAFETY: the plugin fills the buffer according to the ABI.
        Some(manifest) => unsafe { manifest(&raw mut json) },
        None => return Err("is missing".to_owned()),
    };
    // SAFETY: filled by the plugin, or still empty.
    let bytes = unsafe { json.take() };
    if status != DG_OK {
        return Err(format!("could not be made (status {status})"));
    }
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| format!("is not as described: {error}"))?;
    let sound = |id: &str| {
        !id.is_empty()
            && id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if !sound(&manifest.id) {
        return Err(format!(
            "has the id `{}`: letters, digits, `-`, `_` and `.` make an id",
            manifest.id
        ));
    }
    let mut seen = HashSet::new();
    for field in &manifest.required_fields {
        if Field::parse(field).is_none() || !seen.insert(field) {
            return Err(format!(
                "requires the field `{field}`, which does not exist or appears twice"
            ));
        }
    }
    if let Some(reads) = &manifest.top_logprobs
        && manifest.config_schema["properties"][&reads.key].is_null()
    {
        return Err(format!(
            "takes the number of likeliest tokens from `{}`, which its configuration does not have",
            reads.key
        ));
    }
    Ok(manifest)
}
