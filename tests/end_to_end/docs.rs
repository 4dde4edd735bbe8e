//! The commands of the book, as a reader types them: files and commands under a mark, in order, in an empty folder.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Place, path_with_program, tests_dir};

/// A block of a page under a mark.
enum Block {
    /// `<!-- file: NAME -->`: what stands in it.
    File(String, String),
    /// `<!-- run -->`, or `<!-- run: NEEDS -->` where a folder of that name has to be there.
    Run(Option<String>, String),
}

fn blocks(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).expect("a page");
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(mark) = line
            .strip_prefix("<!-- ")
            .and_then(|line| line.strip_suffix(" -->"))
        else {
            continue;
        };
        let place = format!("{}:{}", page.display(), at + 1);
        let body = || -> String {
            let opened = lines
                .get(at + 1)
                .is_some_and(|line| line.starts_with("```"));
            assert!(opened, "{place}: a mark without a block");
            let body = lines[at + 2..].iter().take_while(|line| **line != "```");
            body.map(|line| format!("{line}\n")).collect()
        };
        match mark.split_once(": ").unwrap_or((mark, "")) {
            ("file", name) => blocks.push(Block::File(name.to_owned(), body())),
            ("run", "") => blocks.push(Block::Run(None, body())),
            ("run", needs) => blocks.push(Block::Run(Some(needs.to_owned()), body())),
            ("measured" | "end", _) => {}
            (other, _) => panic!("{place}: a mark `{other}` that is not known"),
        }
    }
    blocks
}

/// A model that a page needs, which the environment names: `DRIFTGAUGE_DOCS_SMOLLM2`.
fn needed(name: &str) -> Option<PathBuf> {
    std::env::var_os(format!("DRIFTGAUGE_DOCS_{}", name.to_uppercase())).map(PathBuf::from)
}

fn type_in(place: &Place, page: &Path, commands: &str) {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(place.dir.path())
        .env("PATH", path_with_program())
        .env("DRIFTGAUGE_STORE", place.path("store"))
        .output()
        .expect("bash");
    assert!(
        output.status.success(),
        "{}:\n{commands}\n{}{}",
        page.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_commands_of_the_book_run() {
    let folder = tests_dir().join("../docs");
    let pages = folder.read_dir().expect("docs").flatten();
    let mut pages: Vec<PathBuf> = pages
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    pages.sort();
    let mut ran = 0;
    for page in &pages {
        let place = Place::new();
        for block in blocks(page) {
            match block {
                Block::File(name, text) => {
                    place.write(&name, &text);
                }
                Block::Run(None, commands) => {
                    type_in(&place, page, &commands);
                    ran += 1;
                }
                Block::Run(Some(name), commands) => match needed(&name) {
                    Some(folder) => {
                        std::os::unix::fs::symlink(folder, place.path(&name)).expect("a link");
                        type_in(&place, page, &commands);
                    }
                    None => driftgauge_tests::skipped(&format!("docs with {name} (no folder)")),
                },
            }
        }
    }
    assert!(ran >= 2, "the first spec is run");
}

#[test]
fn the_book_names_every_page_and_no_other() {
    let folder = tests_dir().join("../docs");
    let book = std::fs::read_to_string(folder.join("README.md")).expect("the book");
    for entry in folder.read_dir().expect("docs").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        let is_page = name.ends_with(".md") && name != "README.md";
        assert!(
            !is_page || book.contains(&format!("({name})")),
            "{name} is not in the book"
        );
    }
    for link in book.split("](").skip(1) {
        let target = link.split(')').next().expect("a link");
        assert!(folder.join(target).exists(), "{target} is not there");
    }
}

#[test]
fn the_formulas_of_the_book_are_those_of_the_plugins() {
    let book = std::fs::read_to_string(tests_dir().join("../docs/numbers.md")).expect("a page");
    let results = tests_dir().join("fixtures/runs/smoke/results.json");
    let results = std::fs::read_to_string(results).expect("results");
    let results: serde_json::Value = serde_json::from_str(&results).expect("JSON");
    for metric in results["metrics"].as_array().expect("metrics") {
        let (Some(id), Some(formula)) = (metric["metric"].as_str(), metric["formula"].as_str())
        else {
            continue;
        };
        // What is counted stands behind the formula itself.
        let formula = formula.split(';').next().unwrap_or_default();
        let formula = formula
            .replace("`guard`", "the judge")
            .replace("`refusal`", "the judge");
        let formula = formula.replace('|', "\\|");
        assert!(
            id.contains(".category.") || book.contains(&formula),
            "{id}: {formula}"
        );
    }
}
