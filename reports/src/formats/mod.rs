//! The report in other forms than a page, from the same data: for terminals, pull requests, test runners, spreadsheets, and the
//! card of a model.

mod card;
mod exchange;
mod headline;
mod junit;
mod markdown;
mod table;
mod terminal;

use driftgauge_record::Searched;

use crate::Report;
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
