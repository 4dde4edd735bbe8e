//! `driftgauge init`: a spec to start from, with small data in the right shape and the schema that editors check it against.

use std::fs;

use driftgauge_problem::{Context as _, Result};

use crate::args::InitArgs;
use crate::exit::Exit;

/// The files, and where they go. The schema is added to them.
const FILES: [(&str, &str); 4] = [
    ("spec.yaml", include_str!("../starter/spec.yaml")),
    (
        "data/examples.jsonl",
        include_str!("../starter/examples.jsonl"),
    ),
    (
        "data/requests.jsonl",
        include_str!("../starter/requests.jsonl"),
    ),
    (
        "data/questions.jsonl",
        include_str!("../starter/questions.jsonl"),
    ),
];

pub(crate) fn run(args: &InitArgs) -> Result<Exit> {
    let schema = driftgauge_spec::schema_json();
    let files: Vec<(&str, &str)> = FILES
        .into_iter()
        .chain([("experiment.schema.json", schema.as_str())])
        .collect();
    let there = files.iter().find(|(name, _)| args.dir.join(name).exists());
    if let Some((name, _)) = there {
        eprintln!(
            "error: `{}` is there already\nhint: name a folder without an experiment; nothing was written",
            args.dir.join(name).display()
        );
        return Ok(Exit::Usage);
    }
    for (name, text) in files {
        let path = args.dir.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        println!("{}", path.display());
    }
    let spec = args.dir.join("spec.yaml");
    eprintln!(
        "next: `driftgauge run {} --set base=MODEL --out {}`, with the folder of a model",
        spec.display(),
        args.dir.join("runs/first").display()
    );
    Ok(Exit::Done)
}
