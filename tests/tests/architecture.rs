//! `ARCHITECTURE.md` shows the crates and their arrows; they are held against what cargo knows.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The fence of the picture in `ARCHITECTURE.md`.
const FENCE: &str = "```crates\n";

/// Each crate's folder, with the names of the crates of ours that it uses.
fn crates(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let folder = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap().strip_prefix(root).unwrap();
        folder.to_str().unwrap().replace('\\', "/")
    };
    let folders: BTreeMap<&str, String> = packages
        .iter()
        .map(|package| (package["name"].as_str().unwrap(), folder(package)))
        .collect();
    packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().unwrap().iter();
            let uses = uses
                .filter(|dependency| dependency["kind"].is_null())
                .filter_map(|dependency| folders.get(dependency["name"].as_str()?))
                .map(|folder| folder.rsplit('/').next().unwrap().to_owned());
            (folder(package), uses.collect())
        })
        .collect()
}

/// How many arrows lead down from a crate at most.
fn height(crates: &BTreeMap<String, BTreeSet<String>>, name: &str) -> usize {
    let uses = crates
        .iter()
        .find(|(folder, _)| folder.rsplit('/').next() == Some(name));
    uses.map_or(0, |(_, uses)| {
        uses.iter()
            .map(|used| 1 + height(crates, used))
            .max()
            .unwrap_or(0)
    })
}

#[test]
fn the_picture_shows_every_crate_and_every_arrow() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let crates = crates(root);
    let mut rows: Vec<(usize, &String, String)> = crates
        .iter()
        .map(|(folder, uses)| {
            let uses: Vec<&str> = uses.iter().map(String::as_str).collect();
            let name = folder.rsplit('/').next().unwrap();
            (height(&crates, name), folder, uses.join(" "))
        })
        .collect();
    rows.sort();
    let width = rows
        .iter()
        .map(|(_, folder, _)| folder.len())
        .max()
        .unwrap();
    let picture: String = rows
        .iter()
        .map(|(height, folder, uses)| match uses.is_empty() {
            true => format!("{height}  {folder}\n"),
            false => format!("{height}  {folder:width$}  <- {uses}\n"),
        })
        .collect();
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = text.split_once(FENCE).expect("a picture of the crates");
    let (shown, _) = rest.split_once("```").unwrap();
    assert_eq!(
        shown, picture,
        "the picture has to be:\n{FENCE}{picture}```"
    );
}
