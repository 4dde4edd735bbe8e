//! False answers that are accepted ones as well: one completion would count as correct and as taken in by the false context.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_spec::spec::Evaluation;
use driftgauge_spelling::alike;

use super::Resolver;

/// How a false answer and an accepted one meet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// They are the same.
    Same,
    /// One stands within the other, so that a completion with the longer one states both.
    Within,
}

impl Resolver<'_> {
    /// Refuses false answers that are accepted, and warns of those that contain an accepted one, or stand within one.
    pub(super) fn false_answers(&mut self, evaluation: &Evaluation, rows: &[Row]) {
        let (Some(written), Some(accepted)) = (&evaluation.wrong_answer, &evaluation.reference)
        else {
            return;
        };
        let templates = Templates::default();
        // What cannot be filled was told by whoever tried the templates.
        let meeting = |row: &Row| {
            let wrong = templates.fill_present(written, row, None).ok()??;
            let references = accepted.as_slice().iter();
            let references = references.filter_map(|of| templates.references(of, row).ok());
            let met = references
                .flatten()
                .filter_map(|reference| met(&folded(&wrong), &folded(&reference)));
            met.min_by_key(|meeting| *meeting != Meeting::Same)
        };
        let met: Vec<(&str, Meeting)> = rows
            .iter()
            .filter_map(|row| Some((row.id.as_str(), meeting(row)?)))
            .collect();
        let of = |wanted: Meeting| {
            let mut ids = met.iter().filter(move |(_, meeting)| *meeting == wanted);
            let first = ids.next().map(|(id, _)| *id)?;
            Some((first, 1 + ids.count()))
        };
        let all = rows.len();
        if let Some((first, count)) = of(Meeting::Same) {
            self.problem(
                "wrong-accepted",
                written.span(),
                format!(
                    "the false answer of {count} of {all} rows is one of the accepted ones, the first of them row `{first}`: a completion would \
                     be right and wrong at once"
                ),
                Some("correct such rows, or leave them out with the dataset's `filter`".to_owned()),
            );
        }
        if let Some((first, count)) = of(Meeting::Within) {
            self.warn(
                "wrong-accepted",
                written.span(),
                format!(
                    "the false answer of {count} of {all} rows holds an accepted one or stands within one, the first of them row `{first}`"
                ),
                "`match: substring`, the usual rule, finds both in one completion: write answers that differ as a whole, or filter such rows out",
            );
        }
    }
}

fn met(wrong: &str, accepted: &str) -> Option<Meeting> {
    if wrong.is_empty() || accepted.is_empty() {
        return None;
    }
    if wrong == accepted {
        return Some(Meeting::Same);
    }
    (wrong.contains(accepted) || accepted.contains(wrong)).then_some(Meeting::Within)
}

fn folded(text: &str) -> String {
    alike(text).trim().to_owned()
}
