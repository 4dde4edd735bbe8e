//! Opens plugin libraries and reads what they export.
#![expect(unsafe_code, reason = "loading native code and reading its structures")]

use std::path::{Path, PathBuf};

use driftgauge_plugin_protocol::ffi::{
    ABI_MINOR, DG_OK, DgBuf, DgEntry, DgMetricVtable, ENTRY_SYMBOL, SizePrefixed, read_prefixed,
    stated_size,
};
use driftgauge_plugin_protocol::wire::Manifest;
use libloading::Library;

use crate::guard::Inside;
use crate::manifest::parse_manifest;
use crate::maps::Maps;
use crate::{PluginError, PluginFile, limits};

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
    /// Reads and loads the library at `path`: see [`Self::load_file`].
    ///
    /// # Errors
    /// As there, and when it cannot be read.
    pub fn load(path: &Path) -> Result<Self, PluginError> {
        Self::load_file(&PluginFile::read(path)?)
    }

    /// Loads the bytes that were read: nobody can swap the file in between. Its constructors run now: load only what you
    /// trust, or use a worker. Libraries that such a plugin looks for beside itself are not found.
    ///
    /// # Errors
    /// When it cannot be loaded, speaks another ABI, or breaks its rules.
    pub fn load_file(file: &PluginFile) -> Result<Self, PluginError> {
        let _inside = Inside::enter();
        let library = open(file)?;
        Self::read(file.path().to_owned(), file.digest().to_owned(), library)
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
        let malformed = |detail: String| PluginError::Malformed {
            path: path.clone(),
            detail,
        };
        let entry = entry(&path, library)?;
        // SAFETY: the function takes the host's minor version and returns null or a size-prefixed static.
        let plugin = unsafe { entry(ABI_MINOR) };
        let maps = Maps::now();
        let plugin = structure(plugin, "what `dg_plugin_v1` returned", &maps).map_err(malformed)?;
        let n = plugin.n_metrics as usize;
        if n == 0 || plugin.n_metrics > limits::METRICS || plugin.metrics.is_null() {
            return Err(malformed(format!(
                "its `dg_plugin` (struct_size {}) names {n} metrics",
                plugin.struct_size
            )));
        }
        if !maps.readable(plugin.metrics as usize, n * size_of::<usize>()) {
            return Err(malformed(format!("its list of {n} metrics is no memory")));
        }
        let mut tables = Vec::new();
        let mut manifests: Vec<Manifest> = Vec::new();
        for index in 0..n {
            // SAFETY: the plugin states that `n_metrics` pointers to its function tables lie here, and they are memory.
            let table = unsafe { *plugin.metrics.add(index) };
            let what = format!("the table of metric {index} of {n}");
            let table = structure(table, &what, &maps).map_err(malformed)?;
            if let Some(problem) = function_problem(&table, &maps) {
                return Err(malformed(format!(
                    "{what} (struct_size {}) {problem}",
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

/// A structure of the plugin, if it can be one: memory, aligned, with a size at the end of a field.
fn structure<T: SizePrefixed>(at: *const T, what: &str, maps: &Maps) -> Result<T, String> {
    if at.is_null() {
        return Err(format!("{what} is null"));
    }
    if !at.is_aligned() || !maps.readable(at as usize, size_of::<u32>()) {
        return Err(format!("{what} is no structure: its address is {at:p}"));
    }
    // SAFETY: the address is readable, or the system does not tell.
    let size = unsafe { stated_size(at) }.map_err(|size| {
        format!("{what} states a `struct_size` of {size}, at which no field of it ends")
    })?;
    if !maps.readable(at as usize, size) {
        return Err(format!(
            "{what} states a `struct_size` of {size}, which is more than there is"
        ));
    }
    // SAFETY: as many bytes are readable as it states.
    unsafe { read_prefixed(at) }.ok_or_else(|| format!("{what} is null"))
}

/// Loads the bytes of `file`; errors speak of its path.
fn open(file: &PluginFile) -> Result<Library, PluginError> {
    #[cfg(target_os = "linux")]
    if let Some(place) = in_memory(file) {
        return open_at(&place, file.path());
    }
    // Mapped by the loader, so that it may be removed afterwards.
    let (_folder, copy) = file.copy()?;
    open_at(&copy, file.path())
}

/// A file in memory with the bytes, and its name. It stays open as long as the process: the loader takes names for files.
#[cfg(target_os = "linux")]
fn in_memory(file: &PluginFile) -> Option<PathBuf> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use std::io::Write;
    use std::os::fd::{AsRawFd, IntoRawFd};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let name = file.path().file_name().unwrap_or_default();
    let mut copy = std::fs::File::from(memfd_create(name, flags).ok()?);
    copy.write_all(file.bytes()).ok()?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&copy, seals).ok()?;
    let place = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
    place.exists().then(|| {
        let _kept = copy.into_raw_fd();
        place
    })
}

fn open_at(file: &Path, shown: &Path) -> Result<Library, PluginError> {
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

/// The library's one exported function.
fn entry(path: &Path, library: &'static Library) -> Result<DgEntry, PluginError> {
    // SAFETY: a function of this name has this type, by the ABI.
    match unsafe { library.get::<DgEntry>(ENTRY_SYMBOL) } {
        Ok(entry) => Ok(*entry),
        Err(_) => Err(PluginError::Abi {
            path: path.to_owned(),
            speaks: (2..=9).find(|version| {
                // SAFETY: the symbol is looked for, never used.
                unsafe { library.get::<DgEntry>(format!("dg_plugin_v{version}")) }.is_ok()
            }),
        }),
    }
}

/// What is wrong with the functions of a table: one lacks, or is no code.
fn function_problem(table: &DgMetricVtable, maps: &Maps) -> Option<String> {
    let functions = [
        ("manifest", table.manifest.map(|call| call as usize)),
        ("create", table.create.map(|call| call as usize)),
        ("update", table.update.map(|call| call as usize)),
        ("finish", table.finish.map(|call| call as usize)),
        ("destroy", table.destroy.map(|call| call as usize)),
    ];
    functions.into_iter().find_map(|(name, at)| match at {
        None => Some(format!("lacks `{name}`")),
        Some(at) if !maps.executable(at) => Some(format!("has a `{name}` that is no code")),
        Some(_) => None,
    })
}

fn read_manifest(table: &DgMetricVtable) -> Result<Manifest, String> {
    let mut json = DgBuf::EMPTY;
    let status = match table.manifest {
        // SAFETY: the plugin fills the buffer according to the ABI.
        Some(manifest) => unsafe { manifest(&raw mut json) },
        None => return Err("is missing".to_owned()),
    };
    if let Some(fault) = buffer_fault(&json, limits::MANIFEST) {
        return Err(format!("cannot be read: {fault}"));
    }
    // SAFETY: filled by the plugin, or still empty; what it names is memory.
    let bytes = unsafe { json.take() };
    if status != DG_OK {
        return Err(format!("could not be made (status {status})"));
    }
    parse_manifest(&bytes)
}

/// What is wrong with a buffer that a plugin filled.
pub(crate) fn buffer_fault(buf: &DgBuf, longest: usize) -> Option<String> {
    if let Some(fault) = buf.fault(longest) {
        return Some(fault);
    }
    if buf.len == 0 && buf.release.is_none() {
        return None;
    }
    let maps = Maps::now();
    if buf.len > 0 && !maps.readable(buf.ptr as usize, buf.len) {
        return Some(format!("a buffer of {} bytes is no memory", buf.len));
    }
    let release = buf.release.map(|call| call as usize);
    release
        .filter(|&at| !maps.executable(at))
        .map(|_| "the `release` of a buffer is no code".to_owned())
}
