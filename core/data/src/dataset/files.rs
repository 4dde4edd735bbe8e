//! Rows of files, as objects of columns: JSON Lines, JSON and tables of text.

use std::collections::HashSet;
use std::io::{BufRead, Read as _};
use std::path::Path;

use driftgauge_problem::Problem;
use driftgauge_spec::spec::DatasetFormat;
use serde_json::Value;

use super::access::{Read, line_error, row_error};
use super::json::{self, Parsed};
use super::quotes::{self, Quotes};
use super::text::{self, text_of};
use super::{DatasetError, parquet};

/// Reads one file.
pub(super) fn read(path: &Path, format: DatasetFormat) -> Result<Read, DatasetError> {
    match format {
        DatasetFormat::Jsonl => read_jsonl(path),
        DatasetFormat::Json => read_json(path),
        DatasetFormat::Csv if text::is_tsv(path) => read_table(path, b'\t'),
        DatasetFormat::Csv => read_table(path, b','),
        DatasetFormat::Tsv => read_table(path, b'\t'),
        DatasetFormat::Parquet => parquet::read(path),
    }
}

fn read_jsonl(path: &Path) -> Result<Read, DatasetError> {
    let mut found = Read::default();
    let mut lines = text_of(path)?.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.map_err(|error| line_error(path, index + 1, unreadable(&error)))?;
        if line.trim().is_empty() {
            continue;
        }
        // Some programs write one list under this name.
        if found.rows.is_empty() && line.trim_start().starts_with('[') {
            let mut text = "\n".repeat(index) + &line;
            for (index, line) in lines {
                let line = line.map_err(|error| line_error(path, index + 1, unreadable(&error)))?;
                text.push('\n');
                text.push_str(&line);
            }
            return list(path, &text);
        }
        push_line(path, index, &line, &mut found)?;
    }
    Ok(found)
}

/// Adds the object of a line.
fn push_line(path: &Path, index: usize, line: &str, found: &mut Read) -> Result<(), DatasetError> {
    let wrong = |problem: String| {
        let problem = Problem::failed(format!("not a JSON object: {problem}"))
            .help("JSON Lines has one complete object on each line");
        line_error(path, index + 1, problem)
    };
    let Parsed { value, nulls } = json::parse(line).map_err(|error| wrong(error.to_string()))?;
    found.nulls += nulls;
    match value {
        Value::Object(fields) => found.rows.push(fields.into_iter().collect()),
        other => {
            let kind = driftgauge_record::value::kind(&other);
            return Err(wrong(format!("it is {kind}")));
        }
    }
    Ok(())
}

fn read_json(path: &Path) -> Result<Read, DatasetError> {
    let mut text = String::new();
    text_of(path)?
        .read_to_string(&mut text)
        .map_err(|error| line_error(path, 1, unreadable(&error)))?;
    // Some programs write JSON Lines under this name.
    if text.trim_start().starts_with('{') {
        let lines = text.lines().enumerate();
        let lines: Vec<_> = lines.filter(|(_, line)| !line.trim().is_empty()).collect();
        if lines.len() > 1 && lines.iter().all(|(_, line)| json::parse(line).is_ok()) {
            let mut found = Read::default();
            for (index, line) in lines {
                push_line(path, index, line, &mut found)?;
            }
            return Ok(found);
        }
    }
    list(path, &text)
}

/// The objects of one JSON list.
fn list(path: &Path, text: &str) -> Result<Read, DatasetError> {
    let wrong = |problem: &str| {
        Problem::failed(format!("not a JSON list of objects: {problem}"))
            .help("the file is one list, with an object for each row")
    };
    let Parsed { value, nulls } = json::parse(text)
        .map_err(|error| line_error(path, error.line(), wrong(&error.to_string())))?;
    let Value::Array(items) = value else {
        let kind = driftgauge_record::value::kind(&value);
        return Err(line_error(path, 1, wrong(&format!("it is {kind}"))));
    };
    let mut found = Read {
        rows: Vec::with_capacity(items.len()),
        nulls,
        notes: Vec::new(),
    };
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Value::Object(fields) => found.rows.push(fields.into_iter().collect()),
            other => {
                let kind = driftgauge_record::value::kind(&other);
                return Err(row_error(path, index + 1, wrong(&format!("it is {kind}"))));
            }
        }
    }
    Ok(found)
}

/// A table of text with a header line. Its cells are text, whatever stands in them.
fn read_table(path: &Path, delimiter: u8) -> Result<Read, DatasetError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(Quotes::new(text_of(path)?, delimiter));
    let header = reader
        .headers()
        .map_err(|error| in_csv(path, &error))?
        .clone();
    let mut names = HashSet::new();
    if let Some(twice) = header.iter().find(|name| !names.insert(*name)) {
        return Err(line_error(
            path,
            1,
            Problem::failed(format!("two columns are called `{twice}`"))
                .help("give each column a name of its own"),
        ));
    }
    let other = ['\t', ';', ','].into_iter();
    let mut other = other.filter(|&c| u32::from(c) != u32::from(delimiter));
    if header.len() == 1
        && let Some(c) = other.find(|&c| header[0].contains(c))
    {
        let (what, hint) = match c {
            '\t' => ("a tab", "say `tsv` instead of `csv`"),
            ',' => ("a comma", "say `csv` instead of `tsv`"),
            _ => ("`;`", "save it with commas, or with tabs and `tsv`"),
        };
        return Err(line_error(
            path,
            1,
            Problem::failed(format!("its cells seem to be separated by {what}"))
                .help(hint.to_string()),
        ));
    }
    let mut found = Read::default();
    for record in reader.records() {
        let record = record.map_err(|error| in_csv(path, &error))?;
        let cells = header.iter().zip(&record);
        let cells = cells.map(|(name, cell)| (name.to_owned(), Value::from(cell)));
        found.rows.push(cells.collect());
    }
    Ok(found)
}

const NOT_UTF8: &str = "save the file as UTF-8";

fn unreadable(error: &std::io::Error) -> Problem {
    let hint = (error.kind() == std::io::ErrorKind::InvalidData).then_some(NOT_UTF8);
    Problem::failed(error.to_string()).maybe_help(hint)
}

/// What is wrong with a table of text, and what to do.
fn in_csv(path: &Path, error: &csv::Error) -> DatasetError {
    if let Some(wrong) = quotes::Wrong::of(error) {
        return line_error(path, wrong.line, wrong.problem());
    }
    let line = error.position();
    let line = line.and_then(|place| usize::try_from(place.line()).ok());
    let hint = match error.kind() {
        csv::ErrorKind::UnequalLengths { .. } => {
            "every row has one cell for each column; put cells with commas or line breaks in double quotes"
        }
        csv::ErrorKind::Utf8 { .. } => NOT_UTF8,
        _ => "look at the file around this line",
    };
    let problem = Problem::failed(error.to_string()).help(hint);
    line_error(path, line.unwrap_or(1), problem)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn reading(name: &str, bytes: &[u8], format: DatasetFormat) -> Result<Read, DatasetError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        read(&path, format)
    }

    #[test]
    fn what_is_ambiguous_or_torn_is_refused_with_a_next_step() {
        use DatasetFormat::{Csv, Json, Jsonl, Tsv};
        for (format, bytes, words) in [
            (
                Csv,
                &b"id,v,v\n1,2,3\n"[..],
                ["a:1", "two columns are called `v`", "hint: "],
            ),
            (
                Csv,
                b"id,v\n1,2\n3\n",
                ["a:3", "", "every row has one cell"],
            ),
            (
                Csv,
                b"id,v\n1,\xff\n",
                ["a:2", "", "save the file as UTF-8"],
            ),
            (
                Csv,
                b"id\tv\n1\t2\n",
                ["a:1", "separated by a tab", "`tsv`"],
            ),
            (Csv, b"id;v\n1;2\n", ["a:1", "separated by `;`", "commas"]),
            (
                Tsv,
                b"id,v\n1,2\n",
                ["a:1", "separated by a comma", "`csv`"],
            ),
            (
                Jsonl,
                b"{\"k\": 1}\n{\"v\": 1, \"v\": 2}\n",
                ["a:2", "`v` occurs twice", "hint: "],
            ),
            (
                Jsonl,
                b"{\"k\": \"\xff\"}\n",
                ["a:1", "", "save the file as UTF-8"],
            ),
            (
                Jsonl,
                b"{\"k\": 1}\n[2]\n",
                ["a:2", "it is a list", "hint: "],
            ),
            (
                Json,
                b"[{\"k\": 1},\n{\"k\": 1, \"k\": 2}]",
                ["a:2", "`k` occurs twice", "hint: "],
            ),
            (
                Json,
                b"{\"data\": []}",
                ["a:1", "it is an object", "one list"],
            ),
            (
                Json,
                b"[{},\n\n3]",
                ["a`, row 2: ", "it is a number", "hint: "],
            ),
        ] {
            let error = reading("a", bytes, format).map(|_| ()).unwrap_err();
            let error = Problem::from(error).to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn quotes_of_a_table_are_what_the_format_has_or_are_refused() {
        use DatasetFormat::{Csv, Tsv};
        let read = |format, text: &str| reading("a", text.as_bytes(), format);
        let open = "nothing closes it";
        let behind = "text behind its closing quote";
        let within = "a quote in it, and is not quoted itself";
        let over = "goes on over a tab and the end of a line";
        for (format, text, line, said) in [
            (Csv, "id,v\n1,a\n2,\"b\n3,c\n", 3, open),
            (Csv, "id,v\r\n1,a\r\n2,\"b\r\n3,c", 3, open),
            (Csv, "id,v\n1,\"a\nb\"\n2,\"", 4, open),
            (Tsv, "id\tv\n1\ta\n2\t\"b\n", 3, open),
            (Csv, "id,v\n1,\"a\"b c\n", 2, behind),
            (Csv, "id,v\n1,\"a\nb\" \n", 2, behind),
            (
                Csv,
                r#"id,v
1,"say \"hi\""
"#,
                2,
                behind,
            ),
            (Csv, "\"id\"x,v\n1,2\n", 1, behind),
            (Tsv, "id\tv\n1\t\"a\" she said\n", 2, behind),
            (Tsv, "id\tv\tw\n1\t\"a\tyes\n2\tb\"\tno\n", 2, over),
            (Csv, "id,v\n1,a \"b\"\n", 2, within),
            (Csv, "id,v\n1, \"b\"\n", 2, within),
        ] {
            let error = read(format, text).map(|_| ()).unwrap_err();
            let error = Problem::from(error).to_string();
            let place = format!("a:{line}: ");
            assert!(error.contains(&place) && error.contains(said), "{error}");
            assert!(error.contains("hint: "), "{error}");
        }
        // What is wrong further up is told first.
        let error = read(Csv, "id,v\n1\n2,\"a\n").map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("a:2: "), "{error}");
        let whole = "id,v,\"w\"\n1,\"a, \"\"b\"\"\r\nc\",\n2,\"\",\"\"\"\"\n";
        let rows = read(Csv, whole).unwrap().rows;
        assert_eq!(
            (&rows[0]["v"], &rows[0]["w"]),
            (&"a, \"b\"\r\nc".into(), &"".into())
        );
        assert_eq!((&rows[1]["v"], &rows[1]["w"]), (&"".into(), &"\"".into()));
        // Longer than what is read at once.
        let long = format!("v\n\"{}\"\n", "x\"\"\n".repeat(9000));
        assert_eq!(read(Csv, &long).unwrap().rows[0]["v"], "x\"\n".repeat(9000));
        // Between tabs a quote that opens nothing is a character.
        let rows = read(Tsv, "id\tv\n1\tnot \"to be\"\n").unwrap().rows;
        assert_eq!(rows[0]["v"], "not \"to be\"");
        let rows = read(Tsv, "id\tv\n1\t\"a\nb\"\n2\t\"c\td\"\n").unwrap().rows;
        assert_eq!(
            (&rows[0]["v"], &rows[1]["v"]),
            (&"a\nb".into(), &"c\td".into())
        );
    }

    #[test]
    fn lists_and_lines_are_told_apart_by_what_stands_there() {
        let list = b"\n[\n {\"k\": 1},\n {\"k\": NaN}\n]\n";
        let lines = b"{\"k\": 1}\n\n{\"k\": NaN}\n";
        for format in [DatasetFormat::Jsonl, DatasetFormat::Json] {
            for bytes in [&list[..], lines] {
                let read = reading("a", bytes, format).unwrap();
                assert_eq!(read.rows[0]["k"], 1);
                assert_eq!(read.rows[1]["k"], Value::Null);
                assert_eq!((read.rows.len(), read.nulls), (2, 1));
            }
        }
        // The line of an error counts from the top of the file.
        let error = reading("a", b"\n[{}\n,x]", DatasetFormat::Jsonl);
        let error = error.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("a:3"), "{error}");
    }

    #[test]
    fn tabs_separate_by_key_or_by_ending() {
        for (name, format) in [
            ("a.tsv", DatasetFormat::Csv),
            ("a.TSV.gz", DatasetFormat::Csv),
            ("a.txt", DatasetFormat::Tsv),
        ] {
            let read = reading(name, b"k\tv\n1\ta, b\n", format).unwrap();
            assert_eq!(read.rows[0]["v"], "a, b", "{name}");
        }
    }
}
