//! A JSON Lines artifact with one line per sample, read beside the completions.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;

/// A batch of lines at a time; they are parsed when one of them is asked for.
pub(super) struct Lines<T> {
    /// What the lines are, as messages call them.
    pub(super) what: String,
    lines: std::io::Lines<BufReader<File>>,
    batch: Vec<String>,
    parsed: OnceLock<Result<Vec<T>, String>>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(super) fn open(path: &Path, what: String) -> Result<Self, String> {
        let file = File::open(path)
            .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        Ok(Self {
            what,
            lines: BufReader::new(file).lines(),
            batch: Vec::new(),
            parsed: OnceLock::new(),
        })
    }

    /// Goes on to the lines of the next `n` samples.
    pub(super) fn advance(&mut self, n: usize) -> Result<(), String> {
        self.parsed = OnceLock::new();
        let lines: Result<_, _> = self.lines.by_ref().take(n).collect();
        self.batch = lines.map_err(|error| format!("cannot read the {}: {error}", self.what))?;
        if self.batch.len() < n {
            return Err(format!("there are fewer {} than samples", self.what));
        }
        Ok(())
    }

    pub(super) fn get(&self, row: usize) -> Result<&T, String> {
        let parse = || {
            let lines = self.batch.iter().map(|line| serde_json::from_str(line));
            let parsed: Result<_, _> = lines.collect();
            parsed.map_err(|error| format!("cannot read the {}: {error}", self.what))
        };
        let parsed = self.parsed.get_or_init(parse);
        parsed
            .as_ref()
            .map(|lines| &lines[row])
            .map_err(Clone::clone)
    }
}
