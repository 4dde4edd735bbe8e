//! `datasets: {jsonl: "data/*.jsonl", id: id}`: each file of a folder, or that a pattern matches, is a dataset under its own name.

use std::collections::HashMap;
use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::located::Span;
use crate::shards::{dataset_name, files_behind};
use crate::source::Source;
use crate::spec::DatasetFormat;
use crate::tree::{Node, Value};
use crate::variables::Environment;

/// Keys of files of rows.
const FORMATS: [(&str, DatasetFormat); 5] = [
    ("jsonl", DatasetFormat::Jsonl),
    ("json", DatasetFormat::Json),
    ("csv", DatasetFormat::Csv),
    ("tsv", DatasetFormat::Tsv),
    ("parquet", DatasetFormat::Parquet),
];

/// Whether the section says where files are, instead of naming datasets.
pub(crate) fn is_folder(tree: &Node) -> bool {
    let section = tree.get("datasets");
    section.is_some_and(|section| {
        FORMATS.iter().any(|(key, _)| {
            section
                .get(key)
                .is_some_and(|path| path.as_text().is_some())
        })
    })
}

/// Puts a dataset for each file in the place of such a section. Places of the datasets that were made.
pub(crate) fn expand(
    source: &Source,
    tree: &mut Node,
    environment: &Environment,
    found: &mut Vec<Diagnostic>,
) -> Vec<Span> {
    let mut made = Vec::new();
    let Some(section) = tree.get_mut("datasets") else {
        return made;
    };
    let Value::Map(keys) = std::mem::replace(&mut section.value, Value::Map(Vec::new())) else {
        return made;
    };
    let is_path = |key: &Node, value: &Node| {
        let known = FORMATS.iter().find(|(known, _)| key.is(known));
        known
            .filter(|_| value.as_text().is_some())
            .map(|(_, format)| *format)
    };
    let mut known: HashMap<String, (String, Span)> = HashMap::new();
    let mut out = Vec::new();
    for (key, written) in &keys {
        let Some(format) = is_path(key, written) else {
            continue;
        };
        made.push(written.span);
        let mut path = written.clone();
        environment.put(&mut path, &mut Vec::new());
        let Some(path) = path.as_text() else { continue };
        for file in files(source, written.span, path, format, found) {
            let name = dataset_name(Path::new(&file), format);
            if let Some((other, first)) = known.get(&name) {
                found.push(
                    Diagnostic::error(
                        "duplicate-key",
                        format!("`{other}` and `{file}` are both the dataset `{name}`"),
                    )
                    .at(written.span, "")
                    .at(*first, "")
                    .help("rename one of the files, or name the datasets one by one"),
                );
                continue;
            }
            known.insert(name.clone(), (file.clone(), written.span));
            let at = |node: Node| Node {
                span: written.span,
                ..node
            };
            let mut entry = vec![(key.clone(), at(Node::text(file)))];
            let others = keys
                .iter()
                .filter(|(key, value)| is_path(key, value).is_none());
            entry.extend(others.cloned());
            out.push((at(Node::text(name)), at(Node::nowhere(Value::Map(entry)))));
        }
    }
    section.value = Value::Map(out);
    made
}

/// The files behind a path, as the file that says it would name them.
fn files(
    source: &Source,
    span: Span,
    path: &str,
    format: DatasetFormat,
    found: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let Some(folder) = source.folder() else {
        found.push(
            Diagnostic::error(
                "missing-file",
                "a spec that lies in no folder has no files beside it",
            )
            .at(span, "")
            .help("save it to a file first, or name the datasets one by one"),
        );
        return Vec::new();
    };
    let base = folder.join(source.seen_from_spec(span, ""));
    let full = base.join(path);
    let read = files_behind(&full, format).and_then(|files| match files.as_slice() {
        [only] if !only.is_file() => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        _ => Ok(files),
    });
    match read {
        Ok(files) => files
            .iter()
            .map(|file| {
                let own = file.strip_prefix(&base).unwrap_or(file);
                own.to_string_lossy().into_owned()
            })
            .collect(),
        Err(error) => {
            found.push(
                Diagnostic::error("missing-file", format!("cannot read `{path}`: {error}"))
                    .at(span, "")
                    .help("the path starts at the file that says it; it is a folder, a file or a pattern as `data/*.jsonl`"),
            );
            Vec::new()
        }
    }
}
