//! Which tool wrote a file of results, by what stands in it. What several layouts could be is none of them.

use std::io::Read as _;
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_spec::spec::{DatasetFormat, RecordedFormat};
use driftgauge_spec::unpacked_name;
use serde_json::{Map, Value};

use crate::dataset::{parse_json, whole_text};

/// The layout of a file.
///
/// # Errors
/// When it cannot be read, or nothing in it tells a known layout.
pub(in crate::recording) fn layout_of(path: &Path) -> Result<RecordedFormat, Problem> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = unpacked_name(&name).to_ascii_lowercase();
    for (ending, format) in [
        (".parquet", DatasetFormat::Parquet),
        (".csv", DatasetFormat::Csv),
        (".tsv", DatasetFormat::Tsv),
    ] {
        if name.ends_with(ending) {
            return Ok(RecordedFormat::Rows(format));
        }
    }
    let mut start = [0; 2];
    let is_archive = std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| &start == b"PK");
    if is_archive {
        return Ok(RecordedFormat::Inspect);
    }
    let text = whole_text(path)?;
    let found = match parse_json(&text) {
        Ok(whole) => of_whole(&whole.value),
        // Lines: the first object tells.
        Err(_) => {
            let mut lines = text.lines().filter(|line| !line.trim().is_empty());
            let first = lines.next().and_then(|line| parse_json(line).ok());
            match first.as_ref().map(|first| &first.value) {
                Some(Value::Object(fields)) => Ok(of_line(fields)),
                _ => Err("it is neither JSON nor lines of JSON objects".to_owned()),
            }
        }
    };
    found.map_err(|reason| {
        let known: Vec<&str> = RecordedFormat::NAMED
            .iter()
            .map(|(name, _)| *name)
            .collect();
        Problem::new(
            "unknown-layout",
            format!(
                "`{}` is in no layout that is known: {reason}",
                path.display()
            ),
        )
        .help(format!("name it with `--layout`: {}", known.join(", ")))
        .of_input()
    })
}

/// The layout of a file that is one JSON value.
fn of_whole(value: &Value) -> Result<RecordedFormat, String> {
    match value {
        Value::Array(items) => match items.first() {
            Some(Value::Object(first)) => Ok(match of_line(first) {
                RecordedFormat::Rows(_) => RecordedFormat::Rows(DatasetFormat::Json),
                known => known,
            }),
            _ => Err("it is a list, and not of objects".to_owned()),
        },
        Value::Object(file) => of_object(file),
        other => Err(format!("it is {}", driftgauge_record::value::kind(other))),
    }
}

fn of_object(file: &Map<String, Value>) -> Result<RecordedFormat, String> {
    let has = |key: &str| file.contains_key(key);
    let is_list = |key: &str| file.get(key).is_some_and(Value::is_array);
    if has("eval") && is_list("samples") {
        return Ok(RecordedFormat::Inspect);
    }
    if has("eval") && has("status") {
        return Err("it is a log of inspect without samples".to_owned());
    }
    if is_list("jailbreaks") {
        return Ok(RecordedFormat::Jailbreakbench);
    }
    if has("results") && (has("configs") || has("n-shot")) {
        return Err(
            "it holds lm-eval's totals, and what pairs is its `samples_*.jsonl` (`--log_samples`)"
                .to_owned(),
        );
    }
    let inside = file.get("results").and_then(|all| all.get("results"));
    let results = inside.or(file.get("results")).and_then(Value::as_array);
    if let Some(results) = results {
        let of_promptfoo = results
            .iter()
            .all(|result| result.get("success").is_some() && result.get("vars").is_some());
        return match of_promptfoo {
            true => Ok(RecordedFormat::Promptfoo),
            false => Err("its `results` are not those of promptfoo".to_owned()),
        };
    }
    let completions = |value: &Value| {
        let list = value.as_array();
        list.is_some_and(|list| list.iter().all(|item| item.get("generation").is_some()))
    };
    if !file.is_empty() && file.values().all(completions) {
        return Ok(RecordedFormat::Harmbench);
    }
    // A file of lines may have only one.
    match of_line(file) {
        RecordedFormat::Rows(_) => {
            let keys: Vec<String> = file.keys().take(8).map(|key| format!("`{key}`")).collect();
            Err(format!("it is one object with {}", keys.join(", ")))
        }
        known => Ok(known),
    }
}

/// The layout of a file whose rows are such objects.
fn of_line(fields: &Map<String, Value>) -> RecordedFormat {
    let has = |key: &str| fields.contains_key(key);
    if has("entry_type") {
        RecordedFormat::Garak
    } else if has("doc_id") && (has("resps") || has("filtered_resps")) {
        RecordedFormat::LmEval
    } else if has("testIdx") && has("success") && has("vars") {
        RecordedFormat::Promptfoo
    } else {
        RecordedFormat::Rows(DatasetFormat::Jsonl)
    }
}

#[cfg(test)]
mod tests {
    use super::super::zip::tests::archive;
    use super::*;

    fn layout(name: &str, bytes: &[u8]) -> Result<&'static str, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        layout_of(&path)
            .map(RecordedFormat::name)
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_file_says_what_wrote_it() {
        for (name, text, expected) in [
            (
                "a.json",
                r#"{"b1": [{"generation": "x"}], "b2": []}"#,
                "harmbench",
            ),
            (
                "a.json",
                r#"{"status": "success", "eval": {}, "samples": [{}]}"#,
                "inspect",
            ),
            (
                "a.json",
                r#"{"results": {"version": 3, "results": [{"success": true, "vars": {}}]}}"#,
                "promptfoo",
            ),
            (
                "a.json",
                r#"{"parameters": {}, "jailbreaks": []}"#,
                "jailbreakbench",
            ),
            ("a.jsonl", r#"[{"doc_id": 0, "resps": []}]"#, "lm_eval"),
            (
                "a.jsonl",
                "\u{feff}{\"doc_id\": 0, \"resps\": []}\n{\"doc_id\": 1, \"resps\": []}\n",
                "lm_eval",
            ),
            (
                "a.jsonl",
                r#"{"doc_id": 0, "filtered_resps": []}"#,
                "lm_eval",
            ),
            (
                "a.jsonl",
                "{\"entry_type\": \"init\"}\n{\"entry_type\": \"attempt\"}\n",
                "garak",
            ),
            (
                "a.jsonl",
                "{\"testIdx\": 0, \"success\": true, \"vars\": {}}\n{}\n",
                "promptfoo",
            ),
            ("a.jsonl", "{\"id\": 1}\n{\"id\": 2}\n", "jsonl"),
            ("a.jsonl", "{\"doc_id\": 1}\n{\"doc_id\": 2}\n", "jsonl"),
            ("a.jsonl", "{\"resps\": []}\n{\"resps\": []}\n", "jsonl"),
            (
                "a.jsonl",
                "{\"testIdx\": 0, \"success\": true}\n{}\n",
                "jsonl",
            ),
            ("a.json", r#"[{"id": 1}, {"id": 2}]"#, "json"),
            ("a.CSV.gz", "id\n1\n", "csv"),
            ("a.tsv", "id\n1\n", "tsv"),
        ] {
            assert_eq!(
                layout(name, text.as_bytes()).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        let packed = archive(&[("header.json", 8, b"{}")]);
        assert_eq!(layout("a.eval", &packed).as_deref(), Ok("inspect"));
    }

    #[test]
    fn what_nothing_tells_is_refused() {
        for (text, part) in [
            (
                r#"{"results": {"hellaswag": {"acc": 0.4}}, "configs": {}}"#,
                "lm-eval's totals",
            ),
            (r#"{"eval": {}, "status": "started"}"#, "without samples"),
            (r#"{"results": [{"score": 1}]}"#, "not those of promptfoo"),
            (r#"{"accuracy": 0.5}"#, "one object with `accuracy`"),
            (r"[1, 2]", "not of objects"),
            ("nothing", "neither JSON"),
            ("3", "it is a number"),
        ] {
            let said = layout("a.json", text.as_bytes()).unwrap_err();
            assert!(
                said.contains(part) && said.contains("`--layout`: jsonl"),
                "{said}"
            );
        }
    }
}
