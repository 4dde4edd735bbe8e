//! The files behind one path of a spec: one file, the files of a folder, or those that a pattern matches.

use std::path::{Path, PathBuf};

use crate::spec::DatasetFormat;

/// Endings of packed files.
const PACKED: [&str; 3] = [".gz", ".zst", ".zstd"];

/// The name of a file without the ending of what it is packed in.
#[must_use]
pub fn unpacked_name(name: &str) -> &str {
    let ending = PACKED.into_iter().find(|ending| {
        let start = name.len().saturating_sub(ending.len());
        name.get(start..)
            .is_some_and(|end| end.eq_ignore_ascii_case(ending))
    });
    ending.map_or(name, |ending| &name[..name.len() - ending.len()])
}

/// What a dataset in a file of its own is called: the file's name without its endings.
pub(crate) fn dataset_name(file: &Path, format: DatasetFormat) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = unpacked_name(&name);
    let lower = name.to_ascii_lowercase();
    let ending = endings(format)
        .iter()
        .find(|ending| lower.ends_with(*ending));
    name[..name.len() - ending.map_or(0, |ending| ending.len())].to_owned()
}

/// The files behind a path, in the order of their names. Of a folder those whose names end as files of the format do.
///
/// # Errors
/// When there is none; the message says what was looked for.
pub fn files_of(path: &Path, format: DatasetFormat) -> std::io::Result<Vec<PathBuf>> {
    let none = |what: String| std::io::Error::new(std::io::ErrorKind::NotFound, what);
    if path.is_dir() {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let file = entry?.path();
            if file.is_file() && is_of(&file, format) {
                files.push(file);
            }
        }
        files.sort_unstable();
        if files.is_empty() {
            return Err(none(format!(
                "the folder has no file that ends in {}",
                endings(format).join(" or ")
            )));
        }
        return Ok(files);
    }
    let text = path.to_string_lossy();
    if !path.exists() && text.contains(['*', '?', '[']) {
        let found = glob::glob(&text).map_err(|error| none(format!("no pattern: {error}")))?;
        let mut files: Vec<PathBuf> = found.flatten().filter(|file| file.is_file()).collect();
        files.sort_unstable();
        if files.is_empty() {
            return Err(none("no file matches this pattern".to_owned()));
        }
        return Ok(files);
    }
    Ok(vec![path.to_owned()])
}

fn endings(format: DatasetFormat) -> &'static [&'static str] {
    match format {
        DatasetFormat::Jsonl => &[".jsonl", ".ndjson"],
        DatasetFormat::Json => &[".json"],
        DatasetFormat::Csv => &[".csv"],
        DatasetFormat::Tsv => &[".tsv", ".tab"],
        DatasetFormat::Parquet => &[".parquet"],
    }
}

fn is_of(file: &Path, format: DatasetFormat) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = unpacked_name(&name).to_ascii_lowercase();
    let hidden = name.starts_with(['.', '_']);
    !hidden && endings(format).iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_or_a_pattern_stands_for_its_files_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.jsonl", "a.jsonl.gz", "c.csv", "_x.jsonl", "README.md"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names = |path: &Path, format| {
            let files = files_of(path, format).map_err(|error| error.to_string())?;
            let names = files
                .iter()
                .map(|file| file.file_name().unwrap_or_default());
            let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
            Ok::<_, String>(names.join(" "))
        };
        let jsonl = DatasetFormat::Jsonl;
        assert_eq!(names(dir.path(), jsonl).unwrap(), "a.jsonl.gz b.jsonl");
        assert_eq!(names(&dir.path().join("*.csv"), jsonl).unwrap(), "c.csv");
        let missing = names(&dir.path().join("*.tsv"), jsonl).unwrap_err();
        assert!(missing.contains("no file matches"), "{missing}");
        let empty = names(dir.path(), DatasetFormat::Parquet).unwrap_err();
        assert!(empty.contains(".parquet"), "{empty}");
        // A file that is not there is told when it is read.
        assert_eq!(names(Path::new("no/file"), jsonl).unwrap(), "file");
    }

    #[test]
    fn endings_of_packed_files_are_no_part_of_a_name() {
        assert_eq!(unpacked_name("a.jsonl.gz"), "a.jsonl");
        assert_eq!(unpacked_name("a.csv.ZST"), "a.csv");
        assert_eq!(unpacked_name("é"), "é");
        assert_eq!(
            dataset_name(Path::new("d/a.b.jsonl.gz"), DatasetFormat::Jsonl),
            "a.b"
        );
    }
}
