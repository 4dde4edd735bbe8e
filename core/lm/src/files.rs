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

/// Removes a folder with what is in it, if it is there. It loses its name first: a process killed half-way leaves no
/// folder that looks whole.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{}.removed", name.trim_start_matches('.')));
    remove_all(&aside)?;
    match fs::rename(path, &aside) {
        Ok(()) => remove_all(&aside),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("remove", path)(e)),
    }
}

fn remove_all(path: &Path) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_folder_is_gone_and_what_a_killed_removal_left_does_not_matter() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("checkpoints");
        for _ in 0..2 {
            fs::create_dir_all(folder.join("step-00000004")).unwrap();
            fs::create_dir_all(place.path().join(".checkpoints.removed/step-00000002")).unwrap();
            remove_folder(&folder).unwrap();
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
            remove_folder(&folder).unwrap();
        }
    }
}
