use driftgauge_spec::spec::DatasetFormat;

use super::*;

pub(super) fn table() -> RecordedMapping {
    RecordedMapping::of(RecordedFormat::Rows(DatasetFormat::Jsonl))
}

/// As where documents were asked for out of order, and logged under each other's numbers.
#[test]
fn a_count_that_names_another_row_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("samples.jsonl");
    let line = |id: u8, question: &str| {
        format!(
            r#"{{"doc_id": {id}, "doc": {{"question": "{question}", "answer": "yes"}}, "filtered_resps": ["x"]}}"#
        )
    };
    let read = |lines: [String; 2], dataset_id: Option<&str>| {
        std::fs::write(&path, lines.join("\n")).unwrap();
        let mapping = RecordedMapping {
            format: RecordedFormat::LmEval,
            ..table()
        };
        let all = layouts::read(&path, &mapping).unwrap().rows;
        let recorded = Recorded {
            evaluations: Vec::new(),
            file: PinnedFile {
                path: path.clone(),
                digest: driftgauge_store::Digest::of(b""),
            },
            mapping,
        };
        let row = |id: &str, question: &str| Row {
            id: id.to_owned(),
            columns: [("question", question), ("answer", "yes")]
                .map(|(name, text)| (name.to_owned(), text.into()))
                .into_iter()
                .collect(),
        };
        let rows = [row("0", "which lake?"), row("1", "which river?")];
        let asked = Asked {
            condition: "default",
            judged: false,
            dataset_id,
        };
        check_rows(&all, &recorded, asked, &rows)
    };
    let ordered = || [line(1, "which river?"), line(0, " which lake?")];
    assert_eq!(read(ordered(), None), Ok(()));
    let swapped = || [line(0, "which river?"), line(1, "which lake?")];
    let said = read(swapped(), None).unwrap_err().to_string();
    for part in [
        "under `0`",
        "`doc.question` is `which river?` there",
        "`which lake?` here",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(read(swapped(), Some("doc_id")).is_err());
    // What pairs by a column of the documents needs no count.
    assert_eq!(read(swapped(), Some("question")), Ok(()));
}

#[test]
fn what_is_wrong_is_found_before_a_run() {
    let rows = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        std::fs::write(&path, text).unwrap();
        layouts::read(&path, &table()).unwrap().rows
    };
    let problem = |mapping: &RecordedMapping, text: &str| {
        let rows = rows(text);
        let rows: Vec<&Row> = rows.iter().collect();
        check(Path::new("r.jsonl"), mapping, &rows)
            .unwrap_err()
            .to_string()
    };
    let id = RecordedMapping {
        id: Some("key".to_owned()),
        ..table()
    };
    let missing = problem(&id, "{\"id\": 1, \"text\": \"a\"}\n");
    assert!(
        missing.contains("no column `key`") && missing.contains("text"),
        "{missing}"
    );
    let judged = RecordedMapping {
        verdicts: [("j".to_owned(), "v".to_owned())].into_iter().collect(),
        ..table()
    };
    let word = problem(&judged, "{\"v\": \"safe\"}\n{\"v\": \"harmless\"}\n");
    assert!(
        word.contains("row 2") && word.contains("`harmless`"),
        "{word}"
    );
    let sampled = RecordedMapping {
        sample: Some("n".to_owned()),
        ..table()
    };
    let index = problem(&sampled, "{\"n\": \"first\"}\n");
    assert!(
        index.contains("`first`") && index.contains("row 1"),
        "{index}"
    );
    assert!(
        check(Path::new("r.jsonl"), &table(), &[])
            .unwrap_err()
            .to_string()
            .contains("no row")
    );
}
