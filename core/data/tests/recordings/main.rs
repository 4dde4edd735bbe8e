//! Recordings of one's own, cell by cell, and the marks that comparisons take of files of other tools.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod marks;
mod rows;

use driftgauge_data::PinnedFile;
use driftgauge_data::recording::{Recorded, RecordedMapping};
use driftgauge_spec::spec::{DatasetFormat, RecordedFormat};
use serde_json::{Value, json};

struct File {
    _folder: tempfile::TempDir,
    recorded: Recorded,
}

fn name(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn file(lines: &[Value]) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, text).unwrap();
    let mapping = RecordedMapping {
        id: name("id"),
        completion: name("text"),
        finish_reason: name("why"),
        error: name("error"),
        token_logprob: name("lp"),
        ends_with_eos: name("eos"),
        verdicts: [("guard".to_owned(), "v".to_owned())].into_iter().collect(),
        values: [("kl".to_owned(), "kl".to_owned())].into_iter().collect(),
        ..RecordedMapping::of(RecordedFormat::Rows(DatasetFormat::Jsonl))
    };
    File {
        recorded: Recorded {
            evaluations: Vec::new(),
            file: PinnedFile {
                path,
                digest: driftgauge_store::Digest::of(b""),
            },
            mapping,
        },
        _folder: folder,
    }
}

fn harness(doc: usize, changes: Value) -> Value {
    let mut line = json!({"doc_id": doc, "doc": {"q": format!("question {doc}")}, "target": "yes", "arguments": [["ask", {"until": []}]],
        "resps": [["yes"]], "filtered_resps": ["yes"], "filter": "none", "metrics": ["exact_match"], "exact_match": 1.0});
    for (key, value) in changes.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

fn layout(of: RecordedFormat, lines: &[Value]) -> File {
    let mut file = file(lines);
    file.recorded.mapping = RecordedMapping::of(of);
    file
}
