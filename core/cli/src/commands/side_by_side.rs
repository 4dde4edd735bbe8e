//! What commands over several runs have in common.

use std::io::Write as _;
use std::path::Path;

use driftgauge_graph::across::Across;
use driftgauge_problem::{Context as _, Result};
use driftgauge_report::{AcrossRuns, Step};

use crate::exit::Exit;

/// What a run or a file is called: its own name, without the folders around it.
pub(super) fn label(path: &Path) -> String {
    let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = absolute.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A comparison as a page shows it.
pub(super) fn step(across: &Across) -> Step {
    let refused = || across.refused.iter();
    Step {
        comparisons: across.comparisons.clone(),
        refused: refused()
            .map(|refusal| format!("{}: {}", refusal.what, refusal.reason))
            .collect(),
        lost: refused().filter(|refusal| refusal.in_a).count(),
        notes: across.notes.clone(),
    }
}

/// How a command ends that was told whether anything may have become worse: as with gates, what nobody knows does not pass.
pub(super) fn outcome(page: &AcrossRuns, deny_worse: bool) -> Exit {
    if !deny_worse {
        return Exit::Done;
    }
    let (worse, lost) = (page.worse(), page.lost());
    if worse > 0 {
        let numbers = if worse == 1 {
            "number is"
        } else {
            "numbers are"
        };
        eprintln!("error: {worse} primary {numbers} clearly worse than before");
    }
    if lost > 0 {
        eprintln!(
            "error: of what was measured before, {lost} could not be held against this run, so nobody knows whether it is worse\n\
             hint: `driftgauge compare` of the two says why, line by line"
        );
    }
    match worse + lost {
        0 => Exit::Done,
        _ => Exit::GateFailed,
    }
}

/// Writes to a file and says where, or to standard output.
pub(super) fn write(text: &str, to: Option<&Path>) -> Result<()> {
    match to {
        Some(path) => {
            std::fs::write(path, text)
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            println!("{}", path.display());
            Ok(())
        }
        None => match std::io::stdout().write_all(text.as_bytes()) {
            // The reader of a pipe may have seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("cannot write"),
        },
    }
}
