//! The text of a spec, its lines, and the variables that were set from outside.

use std::collections::BTreeMap;

use crate::located::Span;
use crate::spec::ExperimentSpec;

/// A spec's text and the name that messages give it.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
}

/// A place for people: line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Source {
    /// A text under a name.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line of a place in the text, counted from 1; `None` for what is written nowhere.
    #[must_use]
    pub fn line_of(&self, span: Span) -> Option<usize> {
        (!span.is_none()).then(|| self.position(span.start).line)
    }

    pub(crate) fn position(&self, byte: usize) -> Position {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Position { line, column }
    }

    /// The byte of a line and a column, both counted from 1.
    pub(crate) fn byte_at(&self, line: usize, column: usize) -> usize {
        let mut lines = self.text.split_inclusive('\n');
        let before: usize = lines
            .by_ref()
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        let line = lines.next().unwrap_or_default();
        let within: usize = line
            .chars()
            .take(column.saturating_sub(1))
            .map(char::len_utf8)
            .sum();
        before + within
    }

    /// What is written at a place.
    pub(crate) fn written(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    pub(crate) fn line(&self, line: usize) -> &str {
        self.text.lines().nth(line - 1).unwrap_or_default()
    }
}

/// Variables set with `--set name=value`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Reads `name=value` arguments.
    ///
    /// # Errors
    /// When one has no `=`.
    pub fn from_arguments(arguments: &[String]) -> Result<Self, String> {
        let mut out = BTreeMap::new();
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or_else(|| {
                format!("`--set {argument}` has no `=`\nhint: write `--set name=value`")
            })?;
            out.insert(name.trim().to_owned(), value.to_owned());
        }
        Ok(Self(out))
    }

    /// Value of a variable that was set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Replacements that make the variables that were set the defaults of the text: place and new YAML.
    #[must_use]
    pub fn edits(&self, spec: &ExperimentSpec) -> Vec<(Span, String)> {
        spec.vars
            .iter()
            .filter_map(|(name, default)| {
                let value = self.get(name)?;
                Some((default.0.span(), serde_json::Value::from(value).to_string()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let source = Source::new("s", "a: 1\nü: é x\n");
        let x = source.text().find('x').unwrap();
        assert_eq!(source.position(x), Position { line: 2, column: 6 });
        assert_eq!(source.line(2), "ü: é x");
    }
}
