//! Arrows between the files of a crate point one way. A file and the files of its own folder are one room: what a module says to
//! its parts and they to it is no circle.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Edges = BTreeMap<String, BTreeSet<String>>;

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| self::files(folder));
    files.into_iter().chain(below).collect()
}

/// The module that a file is, as `a::b`; nothing for the root of the crate.
fn module(file: &Path, src: &Path) -> String {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let mut parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
    if matches!(parts.last(), Some(&"mod" | &"lib" | &"main")) {
        parts.pop();
    }
    parts.join("::")
}

/// The code of a file without comments and without its tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let end = text.find("#[cfg(test)]\nmod").unwrap_or(text.len());
    let lines = text[..end].lines();
    lines
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The paths behind `start` (`crate::` or `super::`), braces opened.
fn paths(code: &str, start: &str) -> Vec<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for (at, _) in code.match_indices(start) {
        if code[..at].chars().next_back().is_some_and(is_name) {
            continue;
        }
        let rest = &code[at + start.len()..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let head = rest[..end].trim_end_matches(':');
        match rest[end..].strip_prefix('{') {
            None => found.push(head.to_owned()),
            Some(group) => {
                let group = &group[..group.find('}').unwrap_or(group.len())];
                for item in group.split(',') {
                    let item = item.trim();
                    let end = item.find(|c| !is_name(c)).unwrap_or(item.len());
                    found.push([head, &item[..end]].join("::").trim_matches(':').to_owned());
                }
            }
        }
    }
    found
}

/// What each file of a crate takes from the others.
fn edges(src: &Path) -> Edges {
    let sources: Vec<PathBuf> = files(src)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    let modules: BTreeSet<String> = sources.iter().map(|file| module(file, src)).collect();
    // The longest beginning of a path that is a file.
    let known = |path: &str| {
        let mut parts: Vec<&str> = path.split("::").collect();
        while !parts.is_empty() && !modules.contains(&parts.join("::")) {
            parts.pop();
        }
        parts.join("::")
    };
    let mut edges = Edges::new();
    for file in &sources {
        let own = module(file, src);
        let code = code(file);
        let mut used: BTreeSet<String> = paths(&code, "crate::")
            .iter()
            .map(|path| known(path))
            .collect();
        for path in paths(&code, "super::") {
            let mut above: Vec<&str> = own.split("::").collect();
            above.pop();
            let mut rest = path.as_str();
            while let Some(further) = rest.strip_prefix("super::") {
                above.pop();
                rest = further;
            }
            above.push(rest);
            used.insert(known(above.join("::").trim_matches(':')));
        }
        let within = |a: &str, b: &str| a.starts_with(&format!("{b}::"));
        used.retain(|other| {
            !other.is_empty() && *other != own && !within(&own, other) && !within(other, &own)
        });
        edges.insert(own, used);
    }
    edges
}

/// Files that each lead to the other, by way of any others.
fn circles(edges: &Edges) -> Vec<(String, String)> {
    let reach = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.clone()];
        while let Some(file) = next.pop() {
            for other in edges.get(&file).into_iter().flatten() {
                if seen.insert(other.clone()) {
                    next.push(other.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> =
        edges.keys().map(|file| (file, reach(file))).collect();
    let mut found = Vec::new();
    for (file, others) in &reached {
        for other in others {
            if *file < other && reached.get(other).is_some_and(|back| back.contains(*file)) {
                found.push(((*file).clone(), other.clone()));
            }
        }
    }
    found
}

#[test]
fn no_circle_of_files_is_left() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let crates = ["core", "plugins"].iter().flat_map(|folder| {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().join("src"))
    });
    let crates = crates.chain([root.join("reports/src"), root.join("tests/src")]);
    let mut found = Vec::new();
    let mut looked = 0;
    for src in crates.filter(|src| src.is_dir()) {
        looked += 1;
        for (a, b) in circles(&edges(&src)) {
            found.push(format!(
                "{}: `{a}` and `{b}`",
                src.strip_prefix(root).unwrap().display()
            ));
        }
    }
    assert!(looked > 15, "only {looked} crates were looked at");
    assert!(
        found.is_empty(),
        "files that lead to each other:\n{}",
        found.join("\n")
    );
}

#[test]
fn a_circle_is_found() {
    let edge = |from: &str, to: &[&str]| {
        (
            from.to_owned(),
            to.iter().map(|to| (*to).to_owned()).collect(),
        )
    };
    let edges: Edges = [edge("a", &["b"]), edge("b", &["c"]), edge("c", &["b"])]
        .into_iter()
        .collect();
    assert_eq!(circles(&edges), [("b".to_owned(), "c".to_owned())]);
    assert_eq!(
        paths("use crate::{x::Y, z};\nuse crate::q::R;", "crate::"),
        ["x::Y", "z", "q::R"]
    );
}
