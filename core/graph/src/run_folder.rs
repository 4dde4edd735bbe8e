//! Whether a folder may be written by a run: it is new, or of the same experiment.

use std::fs;
use std::path::Path;

use driftgauge_record::files::resolved::ExperimentRecord;
use driftgauge_record::{FolderError, RunDir};

use crate::run::RunError;

/// Refuses a folder that holds another experiment or something that is no run.
///
/// # Errors
/// With what was found in the folder.
pub fn check_run_folder(out: &RunDir, experiment: &str) -> Result<(), RunError> {
    let other = |what: String| RunError::OtherContents {
        path: out.path().to_owned(),
        what,
    };
    let another = |name: &str| {
        other(format!(
            "a run of another experiment, `{name}`; this one is `{experiment}`"
        ))
    };
    if out.path().is_file() {
        return Err(other("a file, not a folder".to_owned()));
    }
    if !out.file::<ExperimentRecord>().exists() {
        return match out.is_hardly_begun() {
            Ok(false) => Err(other("files that are no run of driftgauge".to_owned())),
            _ => Ok(()),
        };
    }
    match out.read::<ExperimentRecord>() {
        Ok(record) if record.name == experiment => Ok(()),
        Ok(record) => Err(another(&record.name)),
        // A folder of another version, or a damaged one, is written anew, if it is of this experiment.
        Err(FolderError::Version { .. } | FolderError::Damaged { .. }) => {
            match name_in(&out.file::<ExperimentRecord>()) {
                Some(name) if name == experiment => Ok(()),
                Some(name) => Err(another(&name)),
                None => Err(other(
                    "a `resolved.json` that does not say which experiment it is of".to_owned(),
                )),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// The name in a `resolved.json`: the one field that all versions have, and the first one, so that it stands in one that was cut as
/// well.
fn name_in(path: &Path) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
    }
    let text = fs::read_to_string(path).ok()?;
    let of_line = |line: &str| {
        let member = line.trim().trim_end_matches(',');
        serde_json::from_str::<Named>(&format!("{{{member}}}")).ok()
    };
    let whole = serde_json::from_str::<Named>(&text).ok();
    let named = whole.or_else(|| text.lines().find_map(of_line));
    Some(named?.name)
}
