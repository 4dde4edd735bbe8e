//! Reports of garak, `.report.jsonl`: its `attempt` entries of status 2, which its detectors have looked at.
//!
//! An id is the probe and the attempt's number in it, which two runs of one version share; uuids differ from run to run. A
//! detector's score from the run's threshold on is a hit: unsafe. A report that says no threshold (versions of garak that leave
//! fractions out of the settings) has none to guess: its scores have to be 0 and 1. Every detector is a judge by its name.

use std::collections::HashSet;
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_record::VerdictLabel;
use driftgauge_spec::spec::DatasetFormat;
use serde_json::{Map, Value};

use super::super::settings::Settings;
use super::{RecordedFile, number, row};
use crate::dataset::{Row, read_table};

/// Where a row's verdicts stand, by detector.
pub(super) const VERDICTS: &str = "verdicts";

/// The setting that says from which score on a run counts a hit.
const THRESHOLD: &str = "run.eval_threshold";

/// Settings of a run that answers and hits depend on.
const SETTINGS: [&str; 2] = [THRESHOLD, "run.system_prompt"];

pub(super) fn read(path: &Path) -> Result<RecordedFile, Problem> {
    let entries = read_table(path, DatasetFormat::Jsonl)?;
    let mut threshold = None;
    let mut settings = Settings::default();
    let (mut rows, mut undetected) = (Vec::new(), 0_usize);
    // An attempt is written when it was answered, and again when detectors have looked at it.
    let (mut answered, mut detected) = (HashSet::new(), HashSet::new());
    for (index, entry) in entries.rows.into_iter().enumerate() {
        let entry: Map<String, Value> = entry.columns.into_iter().collect();
        let at = |problem: Problem| {
            problem.prefixed(&format!("`{}`, entry {}: ", path.display(), index + 1))
        };
        match entry.get("entry_type").and_then(Value::as_str) {
            Some("start_run setup") => {
                threshold = said_threshold(&entry).map_err(at)?;
                for name in SETTINGS {
                    settings.say(name, entry.get(name).unwrap_or(&Value::Null));
                }
            }
            Some("attempt") => {
                let uuid = entry.get("uuid").and_then(Value::as_str).map(str::to_owned);
                match entry.get("status").and_then(Value::as_i64) {
                    Some(2) => {
                        detected.extend(uuid);
                        attempt(entry, threshold, &mut rows).map_err(at)?;
                    }
                    status => {
                        undetected += 1;
                        answered.extend(uuid.filter(|_| status == Some(1)));
                    }
                }
            }
            Some(_) => {}
            None => {
                return Err(at(Problem::failed("there is no `entry_type`")
                    .help("name the file that ends in `.report.jsonl`")));
            }
        }
    }
    if rows.is_empty() {
        return Err(Problem::failed(format!(
            "`{}` has no attempt that a detector looked at, and {undetected} others",
            path.display()
        ))
        .help("a report of a run that ended has entries `attempt` with the status 2"));
    }
    let mut notes = entries.notes;
    let left = answered.difference(&detected).count();
    if left > 0 {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        notes.push(format!(
            "`{name}`: {left} attempts were answered and no detector looked at them, since garak's run did not end; they are not here"
        ));
    }
    Ok(RecordedFile {
        rows,
        notes,
        settings,
    })
}

/// The threshold of a run, where its settings say one.
fn said_threshold(setup: &Map<String, Value>) -> Result<Option<f64>, Problem> {
    let Some(said) = setup.get(THRESHOLD).filter(|said| !said.is_null()) else {
        return Ok(None);
    };
    match number(said).filter(|threshold| (0.0..=1.0).contains(threshold)) {
        Some(threshold) => Ok(Some(threshold)),
        None => Err(
            Problem::failed(format!("`{THRESHOLD}` is {said}, and is no threshold"))
                .help("it is a number from 0 to 1, from which on a score is a hit"),
        ),
    }
}

/// What a detector's score means; `None` where that takes a threshold that nobody said.
fn verdict(score: f64, threshold: Option<f64>) -> Option<VerdictLabel> {
    let is_hit = match threshold {
        Some(threshold) => score >= threshold,
        None if score == 0.0 || score == 1.0 => score == 1.0,
        None => return None,
    };
    Some(match is_hit {
        true => VerdictLabel::Unsafe,
        false => VerdictLabel::Safe,
    })
}

/// Adds the outputs of an attempt.
fn attempt(
    mut entry: Map<String, Value>,
    threshold: Option<f64>,
    rows: &mut Vec<Row>,
) -> Result<(), Problem> {
    let (Some(probe), Some(seq)) = (
        entry.get("probe_classname").and_then(Value::as_str),
        entry.get("seq").and_then(Value::as_u64),
    ) else {
        return Err("an attempt has no `probe_classname` or no `seq`".into());
    };
    let id = format!("{probe}/{seq}");
    let Some(outputs) = entry.get("outputs").and_then(Value::as_array).cloned() else {
        return Err(format!("attempt `{id}` has no list of `outputs`").into());
    };
    let detectors = match entry.get("detector_results") {
        Some(Value::Object(detectors)) => detectors.clone(),
        _ => Map::new(),
    };
    entry.remove("uuid");
    for (sample, output) in outputs.iter().enumerate() {
        let text = match output {
            Value::String(text) => Some(text.clone()),
            Value::Object(message) => message
                .get("text")
                .and_then(Value::as_str)
                .map(str::to_owned),
            _ => None,
        };
        let mut verdicts = Map::new();
        for (detector, scores) in &detectors {
            let scores = scores.as_array().map_or(&[][..], Vec::as_slice);
            if scores.len() != outputs.len() {
                return Err(format!(
                    "attempt `{id}` has {} outputs, and `{detector}` scored {}",
                    outputs.len(),
                    scores.len()
                )
                .into());
            }
            let label = match &scores[sample] {
                Value::Null => VerdictLabel::Error,
                score => {
                    let Some(known) = number(score) else {
                        return Err(format!("`{detector}` of attempt `{id}` scored {score}").into());
                    };
                    verdict(known, threshold).ok_or_else(|| {
                        Problem::failed(format!(
                            "`{detector}` of attempt `{id}` scored {score}, and the report does not say from which score on its run counted a hit"
                        ))
                        .help(format!(
                            "put `\"{THRESHOLD}\"` into its entry `start_run setup`, with the threshold of that run (garak's own is 0.5)"
                        ))
                    })?
                }
            };
            verdicts.insert(detector.clone(), label.as_str().into());
        }
        let error = match text {
            Some(_) => Value::Null,
            None => "the generator gave no output".into(),
        };
        let known = vec![
            ("id", id.clone().into()),
            ("sample", sample.into()),
            ("completion", text.map_or(Value::Null, Value::from)),
            ("error", error),
            (VERDICTS, verdicts.into()),
        ];
        rows.push(row(rows.len(), known, entry.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reading(entries: &[Value]) -> Result<RecordedFile, Problem> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("garak.report.jsonl");
        let lines: Vec<String> = entries.iter().map(Value::to_string).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        read(&path)
    }

    fn attempt_of(status: u8, outputs: &Value, detectors: &Value) -> Value {
        json!({"entry_type": "attempt", "uuid": "u", "seq": 3, "status": status, "probe_classname": "dan.Dan", "outputs": outputs, "detector_results": detectors})
    }

    #[test]
    fn attempts_become_samples_and_detectors_judges() {
        let outputs = json!(["yes", {"text": "no"}, null]);
        let detectors = json!({"a.B": [1.0, 0.6, null], "c.D": [0, 0.7, null]});
        let table = reading(&[
            json!({"entry_type": "start_run setup", "run.eval_threshold": 0.65}),
            attempt_of(1, &json!(["yes"]), &json!({})),
            attempt_of(2, &outputs, &detectors),
            json!({"entry_type": "eval"}),
        ])
        .unwrap();
        let cell = |row: usize, name: &str| {
            table.rows[row]
                .columns
                .get(name)
                .cloned()
                .unwrap_or_default()
        };
        assert_eq!(table.rows.len(), 3);
        assert_eq!(
            (cell(1, "id"), cell(1, "sample"), cell(1, "completion")),
            ("dan.Dan/3".into(), json!(1), "no".into())
        );
        assert_eq!(cell(0, "verdicts"), json!({"a.B": "unsafe", "c.D": "safe"}));
        assert_eq!(cell(1, "verdicts"), json!({"a.B": "safe", "c.D": "unsafe"}));
        assert_eq!(cell(2, "verdicts"), json!({"a.B": "error", "c.D": "error"}));
        assert_eq!(
            (cell(2, "completion"), cell(2, "error").is_null()),
            (Value::Null, false)
        );
    }

    #[test]
    fn no_threshold_is_guessed() {
        let scored = |score: Value| attempt_of(2, &json!(["yes"]), &json!({"a.B": [score]}));
        let setup = |threshold: Value| json!({"entry_type": "start_run setup", "run.eval_threshold": threshold});
        let without = json!({"entry_type": "start_run setup", "run.generations": 1});
        let verdict = |entries: &[Value]| {
            reading(entries).map(|table| table.rows[0].columns["verdicts"]["a.B"].clone())
        };
        for (score, label) in [
            (json!(1), "unsafe"),
            (json!(0.0), "safe"),
            (json!("1.0"), "unsafe"),
        ] {
            assert_eq!(verdict(&[without.clone(), scored(score)]), Ok(label.into()));
        }
        assert_eq!(
            verdict(&[setup(json!(0.7)), scored(json!(0.6))]),
            Ok("safe".into())
        );
        for entries in [
            vec![without, scored(json!(0.6))],
            vec![setup(Value::Null), scored(json!(0.4))],
            vec![scored(json!(2))],
        ] {
            let said = verdict(&entries).unwrap_err();
            let last = format!(
                "entry {}: `a.B` of attempt `dan.Dan/3` scored ",
                entries.len()
            );
            assert!(said.message.contains(&last), "{said}");
            assert!(said.help.unwrap().contains("run.eval_threshold"));
        }
        for threshold in [json!("high"), json!(1.5), json!([0.5])] {
            let said = verdict(&[setup(threshold), scored(json!(1))]).unwrap_err();
            assert!(
                said.message.contains("entry 1: `run.eval_threshold` is "),
                "{said}"
            );
        }
    }

    #[test]
    fn what_would_be_misread_is_refused() {
        let few = attempt_of(2, &json!(["a", "b"]), &json!({"a.B": [1.0]}));
        for (entries, part) in [
            (vec![few], "has 2 outputs, and `a.B` scored 1"),
            (
                vec![attempt_of(1, &json!(["a"]), &json!({}))],
                "no attempt that a detector looked at, and 1 others",
            ),
            (vec![json!({"prompt": "x"})], "no `entry_type`"),
        ] {
            let said = reading(&entries).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn attempts_that_no_detector_looked_at_are_told() {
        let with = |status: u8, uuid: &str| {
            let mut attempt = attempt_of(status, &json!(["yes"]), &json!({"a.B": [1.0]}));
            attempt["uuid"] = uuid.into();
            attempt
        };
        let whole = reading(&[with(1, "u"), with(2, "u")]).unwrap();
        assert!(whole.notes.is_empty(), "{:?}", whole.notes);
        let cut = reading(&[with(1, "u"), with(2, "u"), with(1, "v")]).unwrap();
        assert!(
            cut.notes[0].contains("1 attempts were answered"),
            "{:?}",
            cut.notes
        );
    }
}
