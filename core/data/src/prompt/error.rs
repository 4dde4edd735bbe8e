//! Why a template could not be filled, in words for the author of a spec.

use std::collections::HashSet;

use driftgauge_problem::{Explained, Problem};

use super::{environment, typed};
use crate::dataset::Row;

/// Why a template could not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// The template names something the row does not have, or what it has does not fit.
    #[error("template `{template}` cannot be filled for row `{row}`: {problem}")]
    Fill {
        /// The template text.
        template: String,
        /// The row id.
        row: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The template itself is wrong.
    #[error("template `{template}` is not valid: {problem}")]
    Syntax {
        /// The template text.
        template: String,
        /// What minijinja says.
        problem: String,
    },
}

impl PromptError {
    /// What is told of a filter: it is asked of rows before they have ids, so that they are known by their numbers, from 1.
    #[must_use]
    pub fn of_filter(self, row: &Row) -> Problem {
        match self {
            Self::Fill {
                template,
                problem,
                hint,
                ..
            } => Problem::new(
                "bad-row",
                format!(
                    "the filter `{template}` cannot be asked of row {}: {problem}",
                    row.number()
                ),
            )
            .help(hint),
            syntax @ Self::Syntax { .. } => syntax.into(),
        }
    }
}

impl Explained for PromptError {
    fn code(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "bad-row",
            Self::Syntax { .. } => "bad-template",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Fill { hint, .. } => Some(hint.clone()),
            Self::Syntax { .. } => None,
        }
    }
}

/// What minijinja could not do with a row.
pub(super) fn unfit(
    error: &minijinja::Error,
    names: &HashSet<String>,
    template: &str,
    row: &Row,
) -> PromptError {
    let (problem, hint) = explain(error, names, template, row);
    PromptError::Fill {
        template: template.to_owned(),
        row: row.id.clone(),
        problem,
        hint,
    }
}

/// What is wrong, and what to do. Names the missing columns where that is the trouble; minijinja only says that something is
/// undefined.
fn explain(
    error: &minijinja::Error,
    names: &HashSet<String>,
    template: &str,
    row: &Row,
) -> (String, String) {
    let columns = format!("columns are {}", crate::dataset::names(&row.columns));
    if error.kind() == minijinja::ErrorKind::UndefinedError {
        let known = |name: &&String| {
            let own = ["row", "shuffled", typed::COMPARE, typed::CONDITION];
            row.columns.contains_key(*name) || own.contains(&name.as_str())
        };
        let mut missing: Vec<_> = names.iter().filter(|name| !known(name)).collect();
        missing.sort_unstable();
        if !missing.is_empty() {
            let missing: Vec<_> = missing.iter().map(|name| format!("`{name}`")).collect();
            return (
                format!("there is no column {}", missing.join(", ")),
                columns,
            );
        }
    }
    let advice = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<environment::Advice>());
    let hint = advice.map_or(columns, |advice| advice.0.clone());
    (told(error, template), hint)
}

/// What minijinja says, without the name of the template, which is its text.
pub(super) fn told(error: &minijinja::Error, template: &str) -> String {
    let detail = error.detail().map(str::to_owned);
    let text = match (detail, error.kind()) {
        (Some(detail), minijinja::ErrorKind::InvalidOperation) => detail,
        (_, minijinja::ErrorKind::WriteFailure) => "the text is longer than 16 MiB".to_owned(),
        _ => error.to_string(),
    };
    text.replace(&format!(" (in {template}:"), " (in line ")
}
