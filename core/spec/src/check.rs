//! What the parts of a spec mean together: everything wrong is reported at once, each with its place.
//!
//! Nothing is read but the spec itself; whether files are there is found out when it is resolved. Ranges of single numbers are
//! the types' business (`numbers`).

mod charts;
mod constants;
mod effect;
mod evaluations;
mod examples;
mod fields;
mod judges;
mod models;
mod names;
mod plugins;
mod remote;
mod replicates;
mod reporting;
mod search;
mod templates;
mod training;
mod unused;

use crate::diagnostic::{Diagnostic, WARNINGS, nearest};
use crate::located::{Located, Text};
use crate::spec::{ExperimentSpec, Named};

pub use reporting::least_resamples;
pub use unused::Used;

/// Checks a spec. Without an error among the diagnostics it can be resolved.
#[must_use]
pub fn check(spec: &ExperimentSpec) -> Vec<Diagnostic> {
    let mut checker = Checker {
        spec,
        found: Vec::new(),
    };
    checker.header();
    checker.datasets();
    checker.models();
    checker.weights_at_hand();
    checker.cycles();
    checker.replicates();
    checker.trainings();
    checker.evaluations();
    checker.names();
    checker.plugins();
    checker.compare();
    checker.gates();
    checker.searches();
    checker.expected();
    checker.charts();
    checker.fields();
    checker.constants();
    checker.effects();
    checker.unused();
    checker.found
}

struct Checker<'a> {
    spec: &'a ExperimentSpec,
    found: Vec<Diagnostic>,
}

/// Complains that `written` is not among the ids of a section.
fn unknown<T>(what: &str, written: &Text, section: &Named<T>) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        unknown_code(what),
        format!("{what} `{written}` is not defined"),
    )
    .at(written.span(), format!("no {what} with this id"));
    match nearest(written, section.keys().map(|id| id.get().as_str())) {
        Some(id) => {
            let defined = section
                .keys()
                .find(|key| key.get() == id)
                .map(Located::span)
                .unwrap_or_default();
            diagnostic
                .at(defined, "this one is")
                .help(format!("did you mean `{id}`?"))
        }
        None => {
            let mut ids: Vec<_> = section.keys().map(|id| format!("`{id}`")).collect();
            if ids.len() > 20 {
                ids.truncate(20);
                ids.push("...".to_owned());
            }
            diagnostic.help(if ids.is_empty() {
                format!("the spec defines no {what}")
            } else {
                format!("defined: {}", ids.join(", "))
            })
        }
    }
}

fn unknown_code(what: &str) -> &'static str {
    match what {
        "model" => "unknown-model",
        "dataset" => "unknown-dataset",
        "metric" => "unknown-metric",
        "evaluation" => "unknown-evaluation",
        "condition" => "unknown-condition",
        _ => "unknown-settings",
    }
}

impl Checker<'_> {
    fn error(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    fn header(&mut self) {
        if *self.spec.version != 1 {
            self.error(
                Diagnostic::error(
                    "unknown-version",
                    format!("version {} of the language is not known", self.spec.version),
                )
                .at(self.spec.version.span(), "")
                .help("this driftgauge reads version 1"),
            );
        }
        let name = self.spec.name.get();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(fits) {
            self.error(
                Diagnostic::error("bad-name", format!("`{name}` is no name for an experiment")).at(
                    self.spec.name.span(),
                    "letters, digits, `-`, `_` and `.` only",
                ),
            );
        }
        let spec = self.spec;
        for code in &spec.allow {
            if !WARNINGS.contains(&code.as_str()) {
                let known: Vec<String> = WARNINGS.iter().map(|code| format!("`{code}`")).collect();
                let known = format!("warnings are {}", known.join(", "));
                self.error(
                    Diagnostic::error("unknown-value", format!("there is no warning `{code}`"))
                        .at(code.span(), "not known here")
                        .help(match nearest(code, WARNINGS) {
                            Some(near) => format!("did you mean `{near}`? {known}"),
                            None => known,
                        }),
                );
            }
        }
        let ids = spec
            .models
            .keys()
            .chain(spec.evaluations.keys())
            .chain(spec.metrics.keys())
            .chain(spec.evaluations.values().flat_map(|evaluation| {
                evaluation.conditions.keys().chain(evaluation.judges.keys())
            }));
        let bad: Vec<&Text> = ids
            // Behind its id, a cell has its coordinates.
            .filter(|id| {
                let cell = spec.models.contains_key(id.as_str())
                    || spec.evaluations.contains_key(id.as_str());
                let own = if cell {
                    driftgauge_cell::family(id)
                } else {
                    id.as_str()
                };
                own.is_empty() || !own.chars().all(|c| fits(c) && c != '.')
            })
            .collect();
        for id in bad {
            self.error(
                Diagnostic::error("bad-id", format!("`{id}` is no id"))
                    .at(id.span(), "letters, digits, `-` and `_` only")
                    .help("ids become file names and parts of metric names"),
            );
        }
    }

    fn datasets(&mut self) {
        for (id, dataset) in &self.spec.datasets {
            if dataset.sources().len() != 1 {
                self.error(
                    Diagnostic::error(
                        "one-source",
                        format!("dataset `{id}` needs exactly one source"),
                    )
                    .at(id.span(), format!("has {}", dataset.sources().len()))
                    .help("one of `jsonl`, `json`, `csv`, `tsv`, `parquet` and `hub`"),
                );
            }
            if let Some(join) = &dataset.join
                && join.files().len() != 1
            {
                self.error(
                    Diagnostic::error("one-source", "what is joined needs exactly one file")
                        .at(join.on.span(), format!("has {}", join.files().len()))
                        .help("one of `jsonl`, `json`, `csv`, `tsv` and `parquet`"),
                );
            }
            if dataset.hub.is_none() {
                for key in [&dataset.revision, &dataset.split, &dataset.file]
                    .into_iter()
                    .flatten()
                {
                    self.error(
                        Diagnostic::error("not-together", "this key goes with `hub` only")
                            .at(key.span(), "no repository to read it from"),
                    );
                }
            }
            if let Some(filter) = &dataset.filter {
                self.expression(filter);
            }
        }
    }
}
