//! The text of a spec and of what it includes, their lines, and the variables that were set from outside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::located::Span;

/// A spec's text and the name that messages give it, with the files that it includes behind it: one place is one byte of all of them.
#[derive(Debug, Clone)]
pub struct Source {
    /// The texts of all files, one behind the other.
    text: String,
    files: Vec<File>,
    /// Folder of the spec; none for a text that lies nowhere.
    folder: Option<PathBuf>,
    /// Files that were to be included and cannot be.
    refused: Vec<Diagnostic>,
}

/// One file of a spec.
#[derive(Debug, Clone)]
struct File {
    name: String,
    /// Where its text begins and ends.
    span: Span,
    /// Its folder, from that of the spec; none for a file that no path may start at.
    folder: Option<PathBuf>,
    /// Number of the file that includes it; none for the spec.
    includer: Option<usize>,
}

/// A place for people: line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Source {
    /// A text under a name, which lies nowhere.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            files: vec![File {
                name: name.into(),
                span: Span::new(0, text.len()),
                folder: Some(PathBuf::new()),
                includer: None,
            }],
            text,
            folder: None,
            refused: Vec::new(),
        }
    }

    /// The same in a folder, where files that it includes are looked for.
    #[must_use]
    pub fn within(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Adds a file that is included at a place; its own place in the whole text.
    pub(crate) fn add(
        &mut self,
        name: String,
        text: &str,
        folder: Option<PathBuf>,
        at: Span,
    ) -> Span {
        let includer = Some(self.number_at(at.start));
        self.text.push('\n');
        let start = self.text.len();
        self.text.push_str(text);
        let span = Span::new(start, self.text.len());
        self.files.push(File {
            name,
            span,
            folder,
            includer,
        });
        span
    }

    /// Remembers which files cannot be included, and why.
    pub(crate) fn refuse(&mut self, refused: Vec<Diagnostic>) {
        self.refused = refused;
    }

    pub(crate) fn refused(&self) -> &[Diagnostic] {
        &self.refused
    }

    /// Name and place of each file, that of the spec first.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&str, Span)> {
        self.files
            .iter()
            .map(|file| (file.name.as_str(), file.span))
    }

    /// The name of the spec.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.files[0].name
    }

    /// The whole text: that of the spec, and behind it the files that it includes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it includes other files.
    #[must_use]
    pub fn includes(&self) -> bool {
        self.files.len() > 1
    }

    /// Folder of the spec; none for a text that lies nowhere.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Whether a place lies in a file that is included.
    #[must_use]
    pub fn is_included(&self, span: Span) -> bool {
        span.start >= self.files[0].span.end && !span.is_none() && self.includes()
    }

    /// A path as it is written at a place, from the folder of the spec: those of an included file start at that file.
    pub(crate) fn seen_from_spec(&self, span: Span, path: &str) -> PathBuf {
        match &self.file_at(span.start).folder {
            Some(folder) if !span.is_none() => folder.join(path),
            _ => PathBuf::from(path),
        }
    }

    /// The name of the file that a place lies in.
    pub(crate) fn name_at(&self, span: Span) -> &str {
        &self.file_at(span.start).name
    }

    /// Whether the file that `outer` lies in includes the one that `inner` lies in, itself or by others.
    pub(crate) fn is_included_by(&self, inner: Span, outer: Span) -> bool {
        let outer = self.number_at(outer.start);
        let mut file = self.number_at(inner.start);
        while let Some(includer) = self.files[file].includer {
            if includer == outer {
                return true;
            }
            file = includer;
        }
        false
    }

    fn file_at(&self, byte: usize) -> &File {
        &self.files[self.number_at(byte)]
    }

    /// Number of the file that a byte lies in.
    fn number_at(&self, byte: usize) -> usize {
        let before = self.files.iter().rposition(|file| file.span.start <= byte);
        before.unwrap_or(0)
    }

    /// The line of a place in its file, counted from 1; `None` for what is written nowhere.
    #[must_use]
    pub fn line_of(&self, span: Span) -> Option<usize> {
        (!span.is_none()).then(|| self.position(span.start).line)
    }

    pub(crate) fn position(&self, byte: usize) -> Position {
        let first = self.file_at(byte).span.start;
        let before = &self.text.as_bytes()[first..byte.min(self.text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Position { line, column }
    }

    /// The byte of a line and a column of the spec, both counted from 1.
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

    /// The whole line that a place begins in.
    pub(crate) fn line_at(&self, span: Span) -> &str {
        let file = self.file_at(span.start);
        let line = self.position(span.start).line;
        self.written(file.span)
            .lines()
            .nth(line - 1)
            .unwrap_or_default()
    }
}

/// Variables set with `--set name=value`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Reads `name=value` arguments.
    ///
    /// # Errors
    /// When one has no `=`, or a name has another value already.
    pub fn from_arguments(arguments: &[String]) -> Result<Self, String> {
        let mut out = BTreeMap::new();
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or_else(|| {
                format!("`--set {argument}` has no `=`\nhint: write `--set name=value`")
            })?;
            let name = name.trim();
            let before = out.insert(name.to_owned(), value.to_owned());
            if let Some(before) = before.filter(|before| before != value) {
                return Err(format!(
                    "`--set {name}` is given twice, as `{before}` and as `{value}`\nhint: a variable has one value; several stand under `vary`"
                ));
            }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let source = Source::new("s", "a: 1\nü: é x\n");
        let x = source.text().find('x').unwrap();
        assert_eq!(source.position(x), Position { line: 2, column: 6 });
        assert_eq!(source.line_at(Span::new(x, x + 1)), "ü: é x");
    }

    #[test]
    fn a_variable_is_set_once() {
        let read = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
            Variables::from_arguments(&given)
        };
        assert!(read(&["a=1", "b=1", "a=1"]).is_ok());
        let said = read(&["a=1", " a =2"]).unwrap_err();
        assert!(
            said.contains("`--set a` is given twice, as `1` and as `2`"),
            "{said}"
        );
    }

    #[test]
    fn places_of_an_included_file_are_its_own() {
        let mut source = Source::new("a.yaml", "a: 1\n");
        let span = source.add(
            "b/c.yaml".into(),
            "x: 1\ny: z\n",
            Some("b".into()),
            Span::new(0, 1),
        );
        let z = span.start + "x: 1\ny: ".len();
        let place = Span::new(z, z + 1);
        assert_eq!(source.position(z), Position { line: 2, column: 4 });
        assert_eq!(
            (source.name_at(place), source.line_at(place)),
            ("b/c.yaml", "y: z")
        );
        assert!(source.is_included(place) && !source.is_included(Span::new(3, 4)));
        assert_eq!(
            source.seen_from_spec(place, "d.jsonl"),
            PathBuf::from("b/d.jsonl")
        );
        assert_eq!(
            source.seen_from_spec(Span::new(3, 4), "d.jsonl"),
            PathBuf::from("d.jsonl")
        );
    }
}
