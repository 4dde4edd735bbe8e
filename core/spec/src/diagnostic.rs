//! What is wrong with a spec, and how it is said: to people in the manner of a compiler, to programs as JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Value, json};
use strsim::osa_distance;

use crate::located::Span;
use crate::source::Source;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable kebab-case code, documented in `specs/README.md`.
    pub code: Cow<'static, str>,
    /// What is wrong, in one phrase.
    pub message: String,
    /// Where, and what to say there. The first place is the main one.
    pub labels: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// Adds a place; values written nowhere add none.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        if !span.is_none() {
            self.labels.push((span, text.into()));
        }
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All diagnostics as a compiler would print them, without colours.
#[must_use]
pub fn render_human(source: &Source, diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        render_one(source, diagnostic, &mut out);
        out.push('\n');
    }
    let count = diagnostics.len();
    let _ = writeln!(
        out,
        "{}: {count} error{}",
        source.name(),
        if count == 1 { "" } else { "s" }
    );
    out
}

fn render_one(source: &Source, diagnostic: &Diagnostic, out: &mut String) {
    let _ = writeln!(out, "error[{}]: {}", diagnostic.code, diagnostic.message);
    let lines: Vec<_> = diagnostic
        .labels
        .iter()
        .map(|(span, text)| (source.position(span.start), span, text))
        .collect();
    let width = lines
        .iter()
        .map(|(place, _, _)| place.line.to_string().len())
        .max()
        .unwrap_or(1);
    for (index, (place, span, text)) in lines.iter().enumerate() {
        let line = source.line(place.line);
        // A place over several lines is shown where it begins.
        let written = source.text().get(span.start..span.end).unwrap_or_default();
        let first = written.lines().next().unwrap_or_default().trim_end();
        let carets = "^".repeat(first.chars().count().max(1));
        let arrow = if index == 0 { "-->" } else { ":::" };
        let _ = writeln!(
            out,
            "{:width$}{arrow} {}:{}:{}",
            "",
            source.name(),
            place.line,
            place.column
        );
        let _ = writeln!(out, "{:width$} |", "");
        let _ = writeln!(out, "{:>width$} | {line}", place.line);
        let mark = format!(
            "{:width$} | {:pad$}{carets} {text}",
            "",
            "",
            pad = place.column - 1
        );
        let _ = writeln!(out, "{}", mark.trim_end());
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "{:width$} = help: {help}", "");
    }
}

/// All diagnostics for programs.
#[must_use]
pub fn render_json(source: &Source, diagnostics: &[Diagnostic]) -> String {
    let list: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| {
            let labels: Vec<Value> = diagnostic
                .labels
                .iter()
                .map(|(span, text)| {
                    let place = source.position(span.start);
                    json!({ "file": source.name(), "line": place.line, "column": place.column, "text": text })
                })
                .collect();
            json!({
                "code": diagnostic.code,
                "severity": "error",
                "message": diagnostic.message,
                "labels": labels,
                "help": diagnostic.help,
            })
        })
        .collect();
    serde_json::to_string_pretty(&list).unwrap_or_default()
}

/// The known word nearest to what was written, when it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (osa_distance(written, word), word))
        .filter(|(distance, word)| {
            let length = word.chars().count();
            // A word of which no letter is left was not meant.
            *distance <= 1 + length / 4 && *distance < length
        })
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_offered_and_far_ones_are_not() {
        let known = ["metrics", "models", "judges"];
        assert_eq!(nearest("metrcs", known), Some("metrics"));
        assert_eq!(nearest("jugdes", known), Some("judges"));
        assert_eq!(nearest("temperature", known), None);
    }

    #[test]
    fn a_diagnostic_points_at_its_place() {
        let source = Source::new("a.yaml", "models:\n  base: {pth: x}\n");
        let start = source.text().find("pth").unwrap();
        let diagnostic = Diagnostic::error("unknown-key", "unknown key `pth`")
            .at(Span::new(start, start + 3), "not a key of a model")
            .help("did you mean `path`?");
        let text = render_human(&source, &[diagnostic]);
        assert_eq!(
            text,
            "error[unknown-key]: unknown key `pth`\n --> a.yaml:2:10\n  |\n2 |   base: {pth: x}\n  |          ^^^ not a key of a model\n  = help: did you mean `path`?\n\na.yaml: 1 error\n"
        );
    }
}
