//! `driftgauge cache`: what the store holds, whether it is sound, and how it gets smaller.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use driftgauge_problem::Result;
use driftgauge_record::RunDir;
use driftgauge_record::files::plan::PlanRecord;
use driftgauge_store::{Entry, Store};
use indicatif::HumanBytes;
use serde_json::json;

use crate::args::{CacheCommand, Format, PruneArgs, StoreDir};
use crate::exit::Exit;

pub(crate) fn run(command: &CacheCommand) -> Result<Exit> {
    match command {
        CacheCommand::List(args) => list(args),
        CacheCommand::Verify(args) => match open(args)? {
            Some(store) => super::verify::tell(&store.verify_all(None)?, args.format),
            None => Ok(Exit::Usage),
        },
        CacheCommand::Prune(args) => prune(args),
    }
}

/// The store, which has to be there: a mistyped folder is not made.
fn open(args: &StoreDir) -> Result<Option<Store>> {
    if !args.store.is_dir() {
        eprintln!(
            "error: there is no store at `{}`\nhint: `driftgauge run` keeps it below the folder it is started in; name another one with `--store DIR`",
            args.store.display()
        );
        return Ok(None);
    }
    Ok(Some(Store::open(&args.store)?))
}

fn list(args: &StoreDir) -> Result<Exit> {
    let Some(store) = open(args)? else {
        return Ok(Exit::Usage);
    };
    let entries = store.entries()?;
    match args.format {
        Format::Json => println!("{}", json!({ "store": store.root(), "entries": entries })),
        Format::Text => {
            entries.iter().for_each(print);
            println!("{}", total("in", &entries, store.root()));
        }
    }
    Ok(Exit::Done)
}

fn prune(args: &PruneArgs) -> Result<Exit> {
    if args.keep.is_empty() && args.older_than.is_none() {
        eprintln!(
            "error: nothing says what may go\nhint: `--keep DIR` names a run folder whose artifacts stay (several times for several), `--older-than DAYS` spares what is newer; `--dry-run` shows what would go"
        );
        return Ok(Exit::Usage);
    }
    let Some(store) = open(&args.store)? else {
        return Ok(Exit::Usage);
    };
    let mut kept = HashSet::new();
    for folder in &args.keep {
        kept.extend(keys(folder)?);
    }
    let youngest = args
        .older_than
        .and_then(|days| SystemTime::now().checked_sub(Duration::from_secs(days * 24 * 60 * 60)));
    // Taken before looking, so that no run adds or finishes anything meanwhile.
    let alone = store.alone()?;
    let mut entries = store.entries()?;
    entries.retain(|entry| {
        !kept.contains(entry.key.as_str())
            && (args.older_than.is_none()
                || youngest.is_some_and(|youngest| entry.modified < youngest))
    });
    if !args.dry_run {
        for entry in &entries {
            store.remove(&alone, entry)?;
        }
    }
    match args.store.format {
        Format::Json => println!(
            "{}",
            json!({ "store": store.root(), "removed": !args.dry_run, "entries": entries })
        ),
        Format::Text => {
            entries.iter().for_each(print);
            let word = if args.dry_run {
                "would be removed from"
            } else {
                "removed from"
            };
            println!("{}", total(word, &entries, store.root()));
        }
    }
    Ok(Exit::Done)
}

/// Keys of the nodes that a run folder rests on.
fn keys(folder: &Path) -> Result<Vec<String>> {
    let plan: PlanRecord = RunDir::new(folder).read()?;
    Ok(plan.nodes.into_iter().filter_map(|node| node.key).collect())
}

fn print(entry: &Entry) {
    let nodes: Vec<&str> = entry.nodes.iter().map(String::as_str).collect();
    let nodes = match nodes.as_slice() {
        [] => "of no plan that is remembered".to_owned(),
        nodes => nodes.join(", "),
    };
    let state = match entry.state {
        "finished" => String::new(),
        other => format!(" ({other})"),
    };
    println!(
        "{:>11}  {}  {nodes}{state}",
        HumanBytes(entry.bytes).to_string(),
        entry.key.short()
    );
}

fn total(word: &str, entries: &[Entry], root: &Path) -> String {
    let bytes = entries.iter().map(|entry| entry.bytes).sum();
    format!(
        "{} in {} entries {word} `{}`",
        HumanBytes(bytes),
        entries.len(),
        root.display()
    )
}
