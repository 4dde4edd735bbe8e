//! Where plugins are looked for.
//!
//! A name with a path separator or the suffix of a library is a path, relative to the folder of the spec. Any other name,
//! such as `asr`, is the file `libasr.so` (`asr.dll`, `libasr.dylib`) in, one after the other: the plugin folders given,
//! the folders of `DRIFTGAUGE_PLUGIN_PATH`, the program's own folders. The system's own library folders are never searched: the
//! loader is always given an absolute path.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use crate::PluginError;

/// Environment variable with folders to search, separated as in `PATH`.
pub const PLUGIN_PATH_VARIABLE: &str = "DRIFTGAUGE_PLUGIN_PATH";

/// Folders to look for plugins in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locator {
    folders: Vec<PathBuf>,
}

impl Locator {
    /// Looks in `folders` only.
    #[must_use]
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// Looks in `plugin_dirs`, then where the environment says, then in the program's `own` folders.
    #[must_use]
    pub fn from_environment(plugin_dirs: &[PathBuf], own: Vec<PathBuf>) -> Self {
        let mut folders = plugin_dirs.to_vec();
        if let Some(path) = std::env::var_os(PLUGIN_PATH_VARIABLE) {
            folders.extend(
                std::env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty()),
            );
        }
        folders.extend(own);
        Self { folders }
    }

    /// The folders in the order they are searched.
    #[must_use]
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Every library in the folders that may be a plugin, of each name the first.
    #[must_use]
    pub fn libraries(&self) -> Vec<PathBuf> {
        let folders: Vec<&Path> = self.folders.iter().map(PathBuf::as_path).collect();
        let mut names = names(&folders);
        names.sort_unstable();
        names.dedup();
        let found = names
            .iter()
            .filter_map(|name| self.locate(name, Path::new("")).ok());
        found.collect()
    }

    /// Finds the library of `name`; `base` is the folder that relative paths start from.
    ///
    /// # Errors
    /// [`PluginError::NotFound`] with the places and what lies in them.
    pub fn locate(&self, name: &str, base: &Path) -> Result<PathBuf, PluginError> {
        let is_path = name.contains(['/', '\\']) || name.ends_with(DLL_SUFFIX);
        let candidates: Vec<PathBuf> = if is_path {
            vec![base.join(name)]
        } else {
            let file = format!("{DLL_PREFIX}{name}{DLL_SUFFIX}");
            self.folders
                .iter()
                .map(|folder| folder.join(&file))
                .collect()
        };
        let found = candidates.iter().find(|path| path.is_file());
        if let Some(path) = found.and_then(|path| std::path::absolute(path).ok()) {
            return Ok(path);
        }
        let folders: Vec<&Path> = if is_path {
            candidates.iter().filter_map(|path| path.parent()).collect()
        } else {
            self.folders.iter().map(PathBuf::as_path).collect()
        };
        Err(PluginError::NotFound {
            name: name.to_owned(),
            suggestions: suggest(name, &folders),
            places: candidates,
        })
    }
}

/// Names of the plugins in `folders`, those closest to `name` first.
fn suggest(name: &str, folders: &[&Path]) -> Vec<String> {
    const SHOWN: usize = 5;
    let mut names = names(folders);
    names.sort_by_cached_key(|known| (edit_distance(name, known), known.clone()));
    names.dedup();
    names.truncate(SHOWN);
    names
}

/// Names of the libraries in `folders`.
fn names(folders: &[&Path]) -> Vec<String> {
    folders
        .iter()
        .filter_map(|folder| folder.read_dir().ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| {
            Some(
                file.strip_prefix(DLL_PREFIX)?
                    .strip_suffix(DLL_SUFFIX)?
                    .to_owned(),
            )
        })
        // Cargo's `deps` folder is full of libraries named with a hash: procedural macros, not plugins.
        .filter(|stem| !has_hash(stem))
        .collect()
}

fn has_hash(stem: &str) -> bool {
    stem.rsplit_once('-').is_some_and(|(_, tail)| {
        tail.len() == 16 && tail.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Levenshtein's distance in characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &b) in right.iter().enumerate() {
            let replace = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(stem: &str) -> String {
        format!("{DLL_PREFIX}{stem}{DLL_SUFFIX}")
    }

    #[test]
    fn the_first_folder_wins() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &two] {
            std::fs::write(folder.path().join(library("asr")), "").unwrap();
        }
        let locator = Locator::new(vec![one.path().into(), two.path().into()]);
        let found = locator.locate("asr", Path::new("/")).unwrap();
        assert_eq!(found, one.path().join(library("asr")));
    }

    #[test]
    fn a_path_starts_at_the_spec() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("mine")).unwrap();
        std::fs::write(folder.path().join("mine").join(library("x")), "").unwrap();
        let name = format!("mine/{}", library("x"));
        let found = Locator::default().locate(&name, folder.path()).unwrap();
        assert!(found.is_absolute() && found.ends_with(&name));
    }

    #[test]
    fn a_miss_names_the_places_and_the_closest_plugin() {
        let folder = tempfile::tempdir().unwrap();
        for stem in ["truthfulness", "asr", "serde_derive-0123456789abcdef"] {
            std::fs::write(folder.path().join(library(stem)), "").unwrap();
        }
        let locator = Locator::new(vec![folder.path().into(), folder.path().join("deps")]);
        let error = locator.locate("truthfullness", Path::new("/")).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("plugin `truthfullness` is not found"));
        assert!(message.contains(&library("truthfullness")), "{message}");
        assert!(message.contains("deps"), "{message}");
        let hint = error.hint();
        assert_eq!(
            hint.as_deref(),
            Some("plugins there: `truthfulness`, `asr`")
        );
        assert!(!message.contains("serde_derive"));
    }

    #[test]
    fn distances_count_edits() {
        assert_eq!(edit_distance("asr", "asr"), 0);
        assert_eq!(edit_distance("", "asr"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
