//! Files that are whole or absent, and digests of them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Flushes a file to disk. Devices and pipes have nothing to flush.
pub(crate) fn sync(file: &File) -> std::io::Result<()> {
    match file.sync_all() {
        Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Lets `write` fill a temporary file beside `path`, then gives it its name.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = temporary_name(path);
    write(&temporary)
        .and_then(|()| fs::rename(&temporary, path).map_err(Error::io("write", path)))
        .and_then(|()| sync_parent(path))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Writes a small file: whole or absent.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |temporary| {
        let io = |e| Error::io("write", temporary)(e);
        let mut file = File::create(temporary).map_err(io)?;
        file.write_all(bytes).map_err(io)?;
        sync(&file).map_err(io)
    })
}

/// Lets `fill` put files into a temporary folder beside `path`, then gives it its name, in place of what was there.
pub(crate) fn replace_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = temporary_name(path);
    remove_folder(&temporary)?;
    fs::create_dir_all(&temporary).map_err(Error::io("create", &temporary))?;
    fill(&temporary)
        .and_then(|()| remove_folder(path))
        .and_then(|()| fs::rename(&temporary, path).map_err(Error::io("write", path)))
        .and_then(|()| sync_parent(path))
        .inspect_err(|_| drop(fs::remove_dir_all(&temporary)))
}

/// Removes a folder with what is in it, if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// BLAKE3 of a file's bytes, as hex.
pub(crate) fn digest(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            n => hasher.update(&buffer[..n]),
        };
    }
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".tmp-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

fn sync_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    let folder = File::open(parent).map_err(Error::io("read", parent))?;
    sync(&folder).map_err(Error::io("write", parent))
}
