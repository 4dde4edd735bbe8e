//! `driftgauge verify`: reads every byte of a run folder and of what it rests on in the store, or of a whole store.

use std::collections::BTreeSet;
use std::path::Path;

use driftgauge_graph::sealing;
use driftgauge_problem::{Problem, Result};
use driftgauge_record::files::digests::DigestsRecord;
use driftgauge_record::files::plan::PlanRecord;
use driftgauge_record::files::resolved::ExperimentRecord;
use driftgauge_record::{RunDir, visible};
use driftgauge_store::{Store, Verified};
use serde_json::json;

use crate::args::{Format, VerifyArgs};
use crate::exit::Exit;

pub(crate) fn run(args: &VerifyArgs) -> Result<Exit> {
    let found = if is_store(&args.dir) {
        Store::look(&args.dir).verify_all(None)?
    } else if is_run(&args.dir) {
        of_run(&RunDir::new(&args.dir), &args.store.store)?
    } else {
        let message = format!(
            "`{}` is neither the folder of a run nor a store",
            args.dir.display()
        );
        let help = "name what `driftgauge run --out` or `--store` was given";
        return Err(Problem::new("not-a-run", message).help(help).of_input());
    };
    tell(&found, args.store.format)
}

fn is_store(dir: &Path) -> bool {
    dir.join("artifacts").is_dir() && dir.join("facts").is_dir()
}

/// Whether a run wrote the folder, also where one of its files is lost.
fn is_run(dir: &Path) -> bool {
    let run = RunDir::new(dir);
    let files = [
        run.file::<ExperimentRecord>(),
        run.file::<PlanRecord>(),
        run.file::<DigestsRecord>(),
    ];
    files.iter().any(|file| file.is_file())
}

/// A run folder, and of the store, where there is one, the nodes that it rests on.
fn of_run(run: &RunDir, store: &Path) -> Result<Verified> {
    let mut found = sealing::verify(run)?;
    // A plan that cannot be read is among the damaged files.
    let plan: Option<PlanRecord> = run.read_if_there().ok().flatten();
    if let Some(plan) = plan
        && is_store(store)
    {
        let keys: BTreeSet<String> = plan.nodes.into_iter().filter_map(|node| node.key).collect();
        let stored = Store::look(store).verify_all(Some(&keys))?;
        found.files += stored.files;
        found.damaged.extend(stored.damaged);
        found.unsealed.extend(stored.unsealed);
    }
    Ok(found)
}

/// Says what was found: exit code 1 where something is damaged.
pub(super) fn tell(found: &Verified, format: Format) -> Result<Exit> {
    match format {
        Format::Json => println!(
            "{}",
            json!({ "checked": found.files, "damaged": found.damaged, "without_digest": found.unsealed })
        ),
        Format::Text => {
            for damage in &found.damaged {
                let said = format!(
                    "error: `{}` is damaged: it {}\nhint: {}",
                    damage.file.display(),
                    damage.problem,
                    damage.help
                );
                eprintln!("{}", visible(&said));
            }
            for file in &found.unsealed {
                let said = format!("note: `{}` has no digest", file.display());
                eprintln!("{}", visible(&said));
            }
            println!(
                "{} files read, {} damaged",
                found.files,
                found.damaged.len()
            );
        }
    }
    Ok(if found.damaged.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}
