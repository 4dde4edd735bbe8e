//! The choices of an evaluation that scores them, tried on every row before anything is loaded.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_problem::Problem;
use driftgauge_spec::spec::ScoreChoices;

use super::Resolver;
use crate::nodes::choices::labels;

impl Resolver<'_> {
    /// The choices of every row, and which of them is right; the first row that does not fit is told.
    pub(super) fn try_choices(&mut self, score: &ScoreChoices, rows: &[Row]) {
        let templates = Templates::default();
        for template in score.choices.as_slice() {
            if let Err(error) = templates.knows(template, rows) {
                return self.refuse("bad-template", template.span(), error);
            }
        }
        let mut same: Vec<&str> = Vec::new();
        for row in rows {
            let mut choices: Vec<String> = Vec::new();
            for template in score.choices.as_slice() {
                match templates.texts(template, row) {
                    Ok(texts) if texts.iter().any(|text| text.trim().is_empty()) => {
                        let error = Problem::failed(format!(
                            "a choice of row `{}` is empty, and there is nothing to score",
                            row.id
                        ))
                        .help("filter such rows out, or drop what is empty of a list, as with `{{ choices | select | list }}`");
                        return self.refuse("bad-choices", template.span(), error);
                    }
                    Ok(texts) => choices.extend(texts),
                    Err(error) => return self.refuse("bad-template", template.span(), error),
                }
            }
            let count = choices.len();
            if let (0 | 1, Some(template)) = (count, score.choices.as_slice().first()) {
                let error = Problem::failed(format!(
                    "`{template}` gives {count} choices for row `{}`, and something is chosen from two on",
                    row.id
                ))
                .help("name the column that holds the list, as `choices: \"{{ choices }}\"`, or write a template for each choice");
                return self.refuse("bad-choices", template.span(), error);
            }
            let labels = match labels(&score.correct, row, count, &templates) {
                Ok(labels) => labels,
                Err(error) => return self.bad_labels(score, error),
            };
            let of = |wanted: f64| {
                let both = choices.iter().zip(&labels);
                both.filter(move |(_, label)| **label == wanted)
                    .map(|(text, _)| text)
            };
            if of(1.0).any(|right| of(0.0).any(|wrong| wrong == right)) {
                same.push(&row.id);
            }
        }
        if let (Some(first), Some(template)) = (same.first(), score.choices.as_slice().first()) {
            self.warn(
                "same-choices",
                template.span(),
                format!(
                    "a right and a wrong choice of {} of {} rows are the same text, the first of them row `{first}`: no model can tell them apart",
                    same.len(),
                    rows.len()
                ),
                "correct such rows, or leave them out with the dataset's `filter`",
            );
        }
    }

    fn bad_labels(&mut self, score: &ScoreChoices, error: Problem) {
        let code = match &*error.code {
            "no-right-choice" => "no-right-choice",
            _ => "bad-template",
        };
        self.refuse(code, score.correct.span(), error);
    }
}
