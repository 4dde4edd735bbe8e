//! A program that is a metric: what it is called by, and the files that make it what it is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{PluginError, PluginFile};

/// A program with its arguments, and the files that identify it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program {
    words: Vec<String>,
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl Program {
    /// The program of `words`, started in `folder`. Words that are files there, and `further` ones, identify it.
    ///
    /// # Errors
    /// When a further file is none, or nothing identifies the program.
    pub fn new(words: &[String], further: &[String], folder: &Path) -> Result<Self, PluginError> {
        // The folder of a spec that is named without one.
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        let folder = std::path::absolute(folder).map_err(|source| PluginError::Read {
            path: folder.to_owned(),
            source,
        })?;
        let mut files: Vec<PathBuf> = words
            .iter()
            .enumerate()
            // A program without a path is looked for in PATH: an interpreter, which is not what makes the metric.
            .filter(|(place, word)| *place > 0 || word.contains('/'))
            .map(|(_, word)| folder.join(word))
            .filter(|path| path.is_file())
            .collect();
        files.extend(further.iter().map(|file| folder.join(file)));
        if files.is_empty() {
            return Err(PluginError::Unidentified {
                command: words.join(" "),
            });
        }
        let program = Self {
            words: words.to_vec(),
            folder,
            files,
        };
        program.digest().map(|_| program)
    }

    /// BLAKE3 over the words and the bytes of the files, hexadecimal.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String, PluginError> {
        let mut hasher = blake3::Hasher::new_derive_key("driftgauge program 1");
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        add(&self.words.len().to_string());
        self.words.iter().for_each(|word| add(word));
        for file in &self.files {
            add(PluginFile::read(file)?.digest());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Program and arguments.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = self.words.iter().map(Into::into).collect();
        if self.words[0].contains('/') {
            words[0] = self.folder.join(&self.words[0]).into();
        }
        words
    }

    /// Where relative paths start.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The first file that identifies it.
    pub(crate) fn file(&self) -> &Path {
        &self.files[0]
    }

    /// How it is called, for messages.
    pub(crate) fn name(&self) -> String {
        self.words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_words_identify_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("mine.py", "one");
        write("more.py", "two");
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        let new = |called: &[&str], further: &[&str]| {
            Program::new(&words(called), &words(further), folder.path())
        };
        let plain = new(&["python3", "mine.py"], &[]).unwrap();
        let first = plain.digest().unwrap();
        assert_ne!(
            new(&["python3", "mine.py", "-v"], &[])
                .unwrap()
                .digest()
                .unwrap(),
            first
        );
        assert_ne!(
            new(&["python3", "mine.py"], &["more.py"])
                .unwrap()
                .digest()
                .unwrap(),
            first
        );
        write("mine.py", "changed");
        assert_ne!(plain.digest().unwrap(), first);
        let error = new(&["python3", "-m", "mine"], &[]).unwrap_err();
        assert!(error.to_string().contains("names no file"), "{error}");
        assert!(new(&["python3", "mine.py"], &["gone.py"]).is_err());
    }
}
