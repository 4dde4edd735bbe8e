//! `run --locked`: what is read has to be what the run folder's `lock.json` says was read.

use driftgauge_problem::{Problem, Result};
use driftgauge_record::RunDir;
use driftgauge_record::files::lock::LockRecord;
use indexmap::IndexMap;

/// Refuses what moved since the run folder was written.
///
/// # Errors
/// When there is no `lock.json`, or something in it is another one now; the message names everything that is.
pub(super) fn check(out: &RunDir, now: &LockRecord) -> Result<()> {
    let before: Option<LockRecord> = out.read_if_there()?;
    let Some(before) = before else {
        let message = format!(
            "`{}` has no `lock.json` to hold the run to",
            out.path().display()
        );
        let help = "run once without `--locked`, which writes it";
        return Err(Problem::new("no-lock", message).help(help).of_input());
    };
    let moved = moved(&before, now);
    if moved.is_empty() {
        return Ok(());
    }
    let message = format!(
        "what the run reads is not what `{}` was made of:\n  {}",
        out.path().display(),
        moved.join("\n  ")
    );
    let help = "put it back, or run without `--locked` into another folder";
    Err(Problem::new("moved", message).help(help).of_input())
}

fn moved(before: &LockRecord, now: &LockRecord) -> Vec<String> {
    let mut found = Vec::new();
    each(
        "dataset",
        &before.datasets,
        &now.datasets,
        &mut found,
        |dataset| {
            vec![
                ("BLAKE3", dataset.blake3.clone().unwrap_or_default()),
                (
                    "rows",
                    dataset
                        .rows
                        .map(|rows| rows.to_string())
                        .unwrap_or_default(),
                ),
                ("source", format!("{:?}", dataset.hub)),
            ]
        },
    );
    each("model", &before.models, &now.models, &mut found, |model| {
        vec![
            ("BLAKE3", model.blake3.join(" ")),
            ("source", format!("{:?}", model.hub)),
        ]
    });
    each(
        "plugin of",
        &before.plugins,
        &now.plugins,
        &mut found,
        |plugin| {
            vec![
                ("id", plugin.id.clone()),
                ("version", plugin.version.clone()),
                ("digest", plugin.digest.clone()),
            ]
        },
    );
    let engine = |lock: &LockRecord| {
        let engine = &lock.engine;
        [
            ("engine", engine.generation.clone()),
            ("trainer", engine.training.clone()),
            ("device", engine.device.clone()),
        ]
    };
    for ((what, then), (_, is)) in engine(before).into_iter().zip(engine(now)) {
        if then != is {
            found.push(format!("the {what} was `{then}` and is `{is}`"));
        }
    }
    found
}

/// Compares the entries of a section by what is said of each.
fn each<T>(
    what: &str,
    before: &IndexMap<String, T>,
    now: &IndexMap<String, T>,
    found: &mut Vec<String>,
    said: impl Fn(&T) -> Vec<(&'static str, String)>,
) {
    for (id, entry) in now {
        let Some(known) = before.get(id) else {
            found.push(format!("{what} `{id}` was not there"));
            continue;
        };
        let changed = said(known).into_iter().zip(said(entry));
        let changed = changed.filter(|(then, is)| then != is);
        found.extend(changed.map(|((key, then), (_, is))| {
            format!("{what} `{id}`: {key} was `{then}` and is `{is}`")
        }));
    }
    let gone = before.keys().filter(|id| !now.contains_key(*id));
    found.extend(gone.map(|id| format!("{what} `{id}` is gone")));
}
