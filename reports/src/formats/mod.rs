//! The report in other forms than a page, from the same data: for terminals, pull requests, test runners, spreadsheets, and the
//! card of a model.

mod card;
mod exchange;
mod junit;
mod markdown;
mod table;
mod terminal;

use driftgauge_record::Searched;

use crate::Report;
use crate::model::{Cell, Delta, HeadlineRow};
use crate::numbers;

impl Report {
    /// The finding, the primary numbers and the gates as plain text, for a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        terminal::of(self)
    }

    /// The same as Markdown, for a pull request.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::of(self)
    }

    /// Gates and published values as test cases in JUnit's XML.
    #[must_use]
    pub fn to_junit(&self) -> String {
        junit::of(self)
    }

    /// Every number and every difference as CSV, one a line. With `spreadsheet_safe` no cell is a formula.
    #[must_use]
    pub fn to_csv(&self, spreadsheet_safe: bool) -> String {
        table::of(self, spreadsheet_safe)
    }

    /// The results of one model as a section of its card, with the front matter (`model-index`) that the hub reads. `None` when the
    /// model has no number.
    #[must_use]
    pub fn to_card(&self, model: &str) -> Option<String> {
        card::of(self, model)
    }

    /// The shares of one model as Every Eval Ever's JSON. `None` when the model has no number.
    #[must_use]
    pub fn to_every_eval_ever(&self, model: &str) -> Option<String> {
        exchange::every_eval_ever(self, model)
    }

    /// The numbers of one model over data sets of the hub, as YAML for `.eval_results` of its repository. `None` when there are none.
    #[must_use]
    pub fn to_eval_results(&self, model: &str) -> Option<String> {
        exchange::eval_results(self, model)
    }
}

/// What a search came to, in a sentence.
fn found(search: &Searched) -> String {
    let name = &search.search;
    if search.tried.is_empty() {
        return format!(
            "search `{name}` has not ended: not everything that it looks at was measured"
        );
    }
    let n = search.tried.len();
    match (&search.best, search.tried.first()) {
        (Some(best), Some(first)) => format!(
            "search `{name}`: the best of {n} candidates is `{best}`, with {} of {}; measure it again on other prompts",
            search.goal,
            numbers::plain(first.value.unwrap_or_default()),
        ),
        _ => format!("search `{name}`: none of {n} candidates keeps every limit"),
    }
}

/// `Accuracy (knowledge-drift, plain)`.
fn measure(row: &HeadlineRow) -> String {
    let place = if row.condition.is_empty() {
        row.evaluation.clone()
    } else {
        format!("{}, {}", row.evaluation, row.condition)
    };
    format!("{} ({place})", row.title)
}

/// `96.7 % [92.4, 98.6]`.
fn value(cell: Option<&Cell>, unit: &str) -> String {
    let Some(value) = cell.and_then(|cell| cell.value) else {
        return "–".to_owned();
    };
    let bounds = cell.and_then(|cell| cell.ci.as_ref());
    let bounds = bounds.map_or_else(String::new, |ci| bracketed(ci.low, ci.high, unit));
    format!("{}{bounds}", numbers::value(value, unit))
}

/// `+96.7 pp [91.8, 98.6]`.
fn difference(delta: Option<&Delta>, unit: &str) -> String {
    let Some((delta, value)) = delta.and_then(|delta| Some((delta, delta.value?))) else {
        return "–".to_owned();
    };
    let bounds = delta.ci.as_ref();
    let bounds = bounds.map_or_else(String::new, |ci| bracketed(ci.low, ci.high, unit));
    format!("{}{bounds}", numbers::difference(value, unit))
}

fn bracketed(low: f64, high: f64, unit: &str) -> String {
    format!(
        " [{}]",
        numbers::bounds(low, high, unit).replace(" to ", ", ")
    )
}

/// Columns of the models that stand beside each other, and the rows that have a number of one of them.
fn beside(report: &Report) -> (Vec<usize>, Vec<&HeadlineRow>) {
    let headline = &report.headline;
    let columns: Vec<usize> = (0..headline.models.len())
        .filter(|column| !headline.alone.contains(&headline.models[*column]))
        .collect();
    let shown = |row: &&HeadlineRow| columns.iter().any(|column| row.cells[*column].is_some());
    let rows = headline.rows.iter().filter(shown).collect();
    (columns, rows)
}

/// `guard: Accuracy (guard-check) 94.4 % [89.7, 97.0]` for each number of a model that stands beside no other.
fn alone(report: &Report) -> Vec<String> {
    let headline = &report.headline;
    let mut lines = Vec::new();
    for row in &headline.rows {
        for cell in row.cells.iter().flatten() {
            if headline.alone.contains(&cell.model) {
                let number = value(Some(cell), &row.unit);
                lines.push(format!("{}: {} {number}", cell.model, measure(row)));
            }
        }
    }
    lines
}

/// Models of the headline that are held against the baseline.
fn compared(report: &Report) -> Vec<(usize, &str)> {
    let models = report.headline.models.iter().enumerate();
    models
        .filter(|(_, model)| report.headline.compared.contains(model))
        .map(|(column, model)| (column, model.as_str()))
        .collect()
}
