//! Texts of rows that are most likely not what somebody wrote: told, since nothing that is compared with them would tell.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_spec::Text;
use serde_json::Value;

use super::Resolver;

/// Words that programs write where there is no value.
const MISSING: [&str; 7] = ["nan", "none", "null", "<na>", "#n/a", "#ref!", "#value!"];

/// Stands where bytes were no text.
const REPLACED: char = '\u{fffd}';

/// What is odd about an accepted answer, and what to do.
const ODDITIES: [(fn(&str) -> bool, &str, &str, &str); 3] = [
    (
        |answer| answer.trim() != answer,
        "untrimmed",
        "have white space around them",
        "`match: substring`, the usual rule, looks for it in the completion as well: write `{{ column | trim }}`, or `{{ columns | map(\"trim\") | list }}` of a list",
    ),
    (
        |answer| MISSING.contains(&answer.trim().to_ascii_lowercase().as_str()),
        "odd-answer",
        "are what programs write for a missing value",
        "leave such rows out with the dataset's `filter`, unless the word is the answer",
    ),
    (
        is_whole_float,
        "odd-answer",
        "are whole numbers with `.0`, as pandas makes of a column with gaps",
        "write `{{ column | int }}`: a completion that says `5` does not hold `5.0`",
    ),
];

fn is_whole_float(answer: &str) -> bool {
    let digits = answer.trim().trim_start_matches('-').strip_suffix(".0");
    digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
}

impl Resolver<'_> {
    /// Warns of accepted answers that nobody may have meant, once for each kind.
    pub(super) fn odd_answers(&mut self, template: &Text, rows: &[Row], templates: &Templates) {
        let answers: Vec<(&str, Vec<String>)> = rows
            .iter()
            .filter_map(|row| Some((row.id.as_str(), templates.references(template, row).ok()?)))
            .collect();
        for (is_odd, code, what, help) in ODDITIES {
            let odd = answers.iter().filter_map(|(id, answers)| {
                let first = answers.iter().find(|answer| is_odd(answer))?;
                Some((*id, first))
            });
            let odd: Vec<(&str, &String)> = odd.collect();
            let Some((first, answer)) = odd.first() else {
                continue;
            };
            let shown = match code {
                "untrimmed" => String::new(),
                _ => format!(": `{}`", answer.trim()),
            };
            let message = format!(
                "accepted answers of {} of {} rows {what}, the first of them row `{first}`{shown}",
                odd.len(),
                rows.len()
            );
            self.warn(code, template.span(), message, help);
        }
    }

    /// Warns of rows that hold the character which stands for bytes that were no text.
    pub(super) fn replaced(&mut self, path: &Text, rows: &[Row]) {
        let column = |row: &Row| {
            let mut cells = row.columns.iter();
            let found = cells.find(|(_, value)| holds_replaced(value));
            found.map(|(name, _)| name.clone())
        };
        let mut found = rows.iter().filter_map(|row| Some((&row.id, column(row)?)));
        let Some((id, column)) = found.next() else {
            return;
        };
        let count = 1 + found.count();
        let message = format!(
            "{count} of {} rows hold U+FFFD, which stands for bytes that were no text: the first of them is row `{id}`, in `{column}`",
            rows.len()
        );
        let help = "the file was decoded wrongly before it came here: write it anew as UTF-8 from its source";
        self.warn("replaced", path.span(), message, help);
    }
}

fn holds_replaced(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(REPLACED),
        Value::Array(items) => items.iter().any(holds_replaced),
        Value::Object(fields) => fields.values().any(holds_replaced),
        _ => false,
    }
}
