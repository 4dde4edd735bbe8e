//! How diagnostics are said: to people in the manner of a compiler, to programs as JSON, SARIF or commands of a GitHub workflow.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity};
use crate::located::Span;
use crate::source::Source;

/// Forms of diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// A list of objects.
    Json,
    /// Workflow commands, which mark the lines of a pull request.
    Github,
    /// SARIF 2.1.0, which code hosts and editors read.
    Sarif,
}

/// All diagnostics in a form, ending in a line break where there is anything to say.
#[must_use]
pub fn render(form: Form, source: &Source, diagnostics: &[Diagnostic]) -> String {
    match form {
        Form::Text if diagnostics.is_empty() => String::new(),
        Form::Text => render_human(source, diagnostics),
        Form::Json => pretty(&as_json(source, diagnostics)),
        Form::Github => diagnostics
            .iter()
            .map(|diagnostic| as_command(source, diagnostic))
            .collect(),
        Form::Sarif => pretty(&as_sarif(source, diagnostics)),
    }
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// All diagnostics as a compiler would print them, without colours.
#[must_use]
pub fn render_human(source: &Source, diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        render_one(source, diagnostic, &mut out);
        out.push('\n');
    }
    let of = |severity: Severity| {
        let count = diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {}{plural}", severity.as_str()))
    };
    let counts = [of(Severity::Error), of(Severity::Warning)];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    if !counts.is_empty() {
        let _ = writeln!(out, "{}: {}", source.name(), counts.join(", "));
    }
    out
}

fn render_one(source: &Source, diagnostic: &Diagnostic, out: &mut String) {
    let _ = writeln!(
        out,
        "{}[{}]: {}",
        diagnostic.severity.as_str(),
        diagnostic.code,
        diagnostic.message
    );
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
        let line = source.line_at(**span);
        // A place over several lines is shown where it begins.
        let written = source.written(**span);
        let first = written.lines().next().unwrap_or_default().trim_end();
        let carets = "^".repeat(first.chars().count().max(1));
        let arrow = if index == 0 { "-->" } else { ":::" };
        let _ = writeln!(
            out,
            "{:width$}{arrow} {}:{}:{}",
            "",
            source.name_at(**span),
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

/// Both ends of a place, lines and columns from 1; the end is the first column that no longer belongs to it.
struct Ends {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

impl Ends {
    fn of(source: &Source, span: Span) -> Self {
        // Blank lines behind a block are no part of what is meant.
        let length = source.written(span).trim_end().len();
        let (start, end) = (
            source.position(span.start),
            source.position(span.start + length),
        );
        Self {
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
        }
    }
}

fn as_json(source: &Source, diagnostics: &[Diagnostic]) -> Value {
    let one = |diagnostic: &Diagnostic| {
        let labels: Vec<Value> = diagnostic
            .labels
            .iter()
            .map(|(span, text)| {
                let ends = Ends::of(source, *span);
                json!({
                    "file": source.name_at(*span),
                    "line": ends.line,
                    "column": ends.column,
                    "end_line": ends.end_line,
                    "end_column": ends.end_column,
                    "text": text,
                })
            })
            .collect();
        json!({
            "code": diagnostic.code,
            "severity": diagnostic.severity.as_str(),
            "message": diagnostic.message,
            "labels": labels,
            "help": diagnostic.help,
        })
    };
    diagnostics.iter().map(one).collect()
}

fn with_help(diagnostic: &Diagnostic) -> String {
    match &diagnostic.help {
        Some(help) => format!("{}\nhelp: {help}", diagnostic.message),
        None => diagnostic.message.clone(),
    }
}

/// `::error file=...,line=...::message`.
fn as_command(source: &Source, diagnostic: &Diagnostic) -> String {
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let first = diagnostic.labels.first().map(|(span, _)| *span);
    let mut out = format!(
        "::{} file={}",
        diagnostic.severity.as_str(),
        property(source.name_at(first.unwrap_or_default()))
    );
    if let Some((span, _)) = diagnostic.labels.first() {
        let ends = Ends::of(source, *span);
        let _ = write!(out, ",line={},endLine={}", ends.line, ends.end_line);
        // Columns count within one line only.
        if ends.line == ends.end_line {
            let _ = write!(out, ",col={},endColumn={}", ends.column, ends.end_column);
        }
    }
    let _ = writeln!(
        out,
        ",title={}::{}",
        property(&diagnostic.code),
        data(&with_help(diagnostic))
    );
    out
}

fn as_sarif(source: &Source, diagnostics: &[Diagnostic]) -> Value {
    let place = |(span, text): &(Span, String)| {
        let ends = Ends::of(source, *span);
        let mut place = json!({
            "physicalLocation": {
                "artifactLocation": {"uri": source.name_at(*span)},
                "region": {
                    "startLine": ends.line,
                    "startColumn": ends.column,
                    "endLine": ends.end_line,
                    "endColumn": ends.end_column,
                },
            },
        });
        if !text.is_empty() {
            place["message"] = json!({"text": text});
        }
        place
    };
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| {
            let (first, rest) = match diagnostic.labels.split_first() {
                Some((first, rest)) => (place(first), rest),
                // A file is named in any case.
                None => (place(&(Span::NONE, String::new())), [].as_slice()),
            };
            let mut result = json!({
                "ruleId": diagnostic.code,
                "level": diagnostic.severity.as_str(),
                "message": {"text": with_help(diagnostic)},
                "locations": [first],
            });
            if !rest.is_empty() {
                result["relatedLocations"] = rest.iter().map(place).collect();
            }
            result
        })
        .collect();
    let codes: BTreeSet<&str> = diagnostics.iter().map(|d| d.code.as_ref()).collect();
    let rules: Vec<Value> = codes.into_iter().map(|code| json!({"id": code})).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "driftgauge",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Source, Vec<Diagnostic>) {
        let source = Source::new("a.yaml", "models:\n  base: {pth: x}\n");
        let start = source.text().find("pth").unwrap();
        let wrong = Diagnostic::error("unknown-key", "unknown key `pth`")
            .at(Span::new(start, start + 3), "not a key of a model")
            .help("did you mean `path`?");
        let doubtful = Diagnostic::warning("unused", "50%, never used").at(Span::new(0, 24), "");
        (source, vec![wrong, doubtful])
    }

    #[test]
    fn a_diagnostic_points_at_its_place() {
        let (source, diagnostics) = example();
        assert_eq!(
            render(Form::Text, &source, &diagnostics),
            "error[unknown-key]: unknown key `pth`\n --> a.yaml:2:10\n  |\n2 |   base: {pth: x}\n  |          ^^^ not a key of a model\n  = help: did you mean `path`?\n\n\
             warning[unused]: 50%, never used\n --> a.yaml:1:1\n  |\n1 | models:\n  | ^^^^^^^\n\na.yaml: 1 error, 1 warning\n"
        );
        assert_eq!(render(Form::Text, &source, &[]), "");
    }

    #[test]
    fn programs_get_both_ends() {
        let (source, diagnostics) = example();
        let json: Value = serde_json::from_str(&render(Form::Json, &source, &diagnostics)).unwrap();
        assert_eq!(
            json[0]["labels"][0],
            json!({"file": "a.yaml", "line": 2, "column": 10, "end_line": 2, "end_column": 13, "text": "not a key of a model"})
        );
        assert_eq!(json[1]["severity"], "warning");
        assert_eq!(json[1]["labels"][0]["end_line"], 2);
        let sarif: Value =
            serde_json::from_str(&render(Form::Sarif, &source, &diagnostics)).unwrap();
        let result = &sarif["runs"][0]["results"][0];
        assert_eq!(result["level"], "error");
        assert_eq!(
            result["locations"][0]["physicalLocation"]["region"],
            json!({"startLine": 2, "startColumn": 10, "endLine": 2, "endColumn": 13})
        );
        assert_eq!(
            render(Form::Github, &source, &diagnostics),
            "::error file=a.yaml,line=2,endLine=2,col=10,endColumn=13,title=unknown-key::unknown key `pth`%0Ahelp: did you mean `path`?\n\
             ::warning file=a.yaml,line=1,endLine=2,title=unused::50%25, never used\n"
        );
    }
}
