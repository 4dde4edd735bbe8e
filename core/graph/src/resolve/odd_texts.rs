//! Texts of rows that are most likely not what somebody wrote: told, since nothing that is compared with them would tell.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_data::recording::RecordedMapping;
use driftgauge_record::value;
use driftgauge_spec::Text;
use driftgauge_spec::spec::{DatasetFormat, RecordedFormat};
use serde_json::Value;

use super::Resolver;

/// Words that programs write where there is no value.
const MISSING: [&str; 7] = ["nan", "none", "null", "<na>", "#n/a", "#ref!", "#value!"];

/// Stands where bytes were no text.
const REPLACED: char = '\u{fffd}';

/// What may be odd about an accepted answer.
struct Oddity {
    is: fn(&str) -> bool,
    code: &'static str,
    what: &'static str,
    help: &'static str,
}

const ODDITIES: [Oddity; 3] = [
    Oddity {
        is: |answer| answer.trim() != answer,
        code: "untrimmed",
        what: "have white space around them",
        help: "`match: substring`, the usual rule, looks for it in the completion as well: write `{{ column | trim }}`, or `{{ columns | map(\"trim\") | list }}` of a list",
    },
    Oddity {
        is: is_missing,
        code: "odd-answer",
        what: "are what programs write for a missing value",
        help: "leave such rows out with the dataset's `filter`, unless the word is the answer",
    },
    Oddity {
        is: is_whole_float,
        code: "odd-answer",
        what: "are whole numbers with `.0`, as pandas makes of a column with gaps",
        help: "write `{{ column | int }}`: a completion that says `5` does not hold `5.0`",
    },
];

fn is_missing(text: &str) -> bool {
    MISSING.contains(&text.trim().to_ascii_lowercase().as_str())
}

pub(super) fn is_whole_float(answer: &str) -> bool {
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
        for oddity in &ODDITIES {
            let odd = answers.iter().filter_map(|(id, answers)| {
                let first = answers.iter().find(|answer| (oddity.is)(answer))?;
                Some((*id, first))
            });
            let odd: Vec<(&str, &String)> = odd.collect();
            let Some((first, answer)) = odd.first() else {
                continue;
            };
            let shown = match oddity.code {
                "untrimmed" => String::new(),
                _ => format!(": `{}`", answer.trim()),
            };
            let message = format!(
                "accepted answers of {} of {} rows {}, the first of them row `{first}`{shown}",
                odd.len(),
                rows.len(),
                oddity.what
            );
            self.warn(oddity.code, template.span(), message, oddity.help);
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

/// What to do about completions that were not made.
pub(super) const ODD_COMPLETIONS: &str = "name the column that says why there is none with `columns: {error: ...}`, or leave such rows out with `filter`";

/// Tells of recorded completions that most likely were not made: in a table of text an empty cell is a gap as well, and anywhere a word
/// for a missing value is.
pub(super) fn odd_completions(mapping: &RecordedMapping, rows: &[&Row]) -> Option<String> {
    let RecordedFormat::Rows(format) = mapping.format else {
        return None;
    };
    let completion = mapping.completion.as_ref()?;
    let of_text = matches!(format, DatasetFormat::Csv | DatasetFormat::Tsv);
    let is_odd = |row: &&&Row| {
        let text = |path: &str| value::column(&row.columns, path).and_then(value::scalar_text);
        let failed = mapping.error.as_deref().and_then(text);
        let text = text(completion).unwrap_or_default();
        let text = text.trim();
        failed.is_none_or(|error| error.trim().is_empty())
            && (of_text && text.is_empty() || is_missing(text))
    };
    let mut odd = rows.iter().filter(is_odd);
    let first = odd.next()?;
    Some(format!(
        "{} of {} completions in `{completion}` are empty cells or words for a missing value, the first of them in row {}: they count as answers",
        1 + odd.count(),
        rows.len(),
        first.number()
    ))
}

fn holds_replaced(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(REPLACED),
        Value::Array(items) => items.iter().any(holds_replaced),
        Value::Object(fields) => fields.values().any(holds_replaced),
        _ => false,
    }
}
