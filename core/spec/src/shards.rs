//! The files behind one path of a spec: one file, the files of a folder, or those that a pattern matches.

use std::collections::{BTreeMap, BTreeSet};
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

/// The files of one dataset, in the order of their names. Of a folder those whose names end as files of the format do.
///
/// # Errors
/// When there is none, files that are counted (`part-00000-of-00003`) lack one, or a folder holds more than one dataset; the message
/// says what was looked for.
pub fn files_of(path: &Path, format: DatasetFormat) -> std::io::Result<Vec<PathBuf>> {
    let files = files_behind(path, format)?;
    if path.is_dir() {
        of_one_split(path, &files)?;
    }
    Ok(files)
}

/// The files behind a path, whatever datasets they are of.
pub(crate) fn files_behind(path: &Path, format: DatasetFormat) -> std::io::Result<Vec<PathBuf>> {
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
        all_there(&files, |_| true)?;
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
        // A pattern may choose some of the shards; those that it would have matched are there.
        let names = path.file_name().unwrap_or_default().to_string_lossy();
        let names = glob::Pattern::new(&names).map_err(|error| none(error.to_string()))?;
        all_there(&files, |name| names.matches(name))?;
        return Ok(files);
    }
    Ok(vec![path.to_owned()])
}

/// Refuses the files of a folder that are not one dataset: what is to be learnt from would stand beside what is to be asked.
fn of_one_split(folder: &Path, files: &[PathBuf]) -> std::io::Result<()> {
    let wrong = |what: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
    let example = |split: &str| folder.join(format!("{split}*")).display().to_string();
    let splits: BTreeSet<&str> = files.iter().filter_map(|file| split_of(file)).collect();
    let mut splits = splits.into_iter();
    if let (Some(one), Some(other)) = (splits.next(), splits.next()) {
        return Err(wrong(format!(
            "the folder has files of several splits, `{one}` and `{other}`; name those of one, as `{}`",
            example(one)
        )));
    }
    if files.len() > 1 && has_configs(&folder.join("README.md")) {
        return Err(wrong(format!(
            "the folder is a dataset of the hub, whose README.md says by `configs` which files belong together; name those that are meant by a pattern, as `{}`",
            example("train")
        )));
    }
    Ok(())
}

/// The split that a file's name begins with.
fn split_of(file: &Path) -> Option<&'static str> {
    const SPLITS: [&str; 6] = ["train", "test", "validation", "valid", "dev", "eval"];
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    let word = name.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    SPLITS.into_iter().find(|split| *split == word)
}

/// Whether the settings at the head of a dataset's card name files.
fn has_configs(card: &Path) -> bool {
    let text = std::fs::read_to_string(card).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some("---")
        && lines
            .take_while(|line| *line != "---")
            .any(|line| line.starts_with("configs:"))
}

/// One of the files that a writer counts in their names, as `train-00000-of-00003.parquet`.
struct Shard<'a> {
    file: &'a Path,
    /// Name up to the number.
    start: &'a str,
    number: usize,
    width: usize,
    of: usize,
    /// Name from behind the number on.
    rest: &'a str,
}

impl<'a> Shard<'a> {
    fn of(file: &'a Path) -> Option<Self> {
        let name = file.file_name()?.to_str()?;
        let (before, after) = name.rsplit_once("-of-")?;
        let start = before.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = after.find(|c: char| !c.is_ascii_digit());
        let number = &before[start.len()..];
        let of: usize = after[..digits.unwrap_or(after.len())].parse().ok()?;
        // Nobody writes more; a larger number is no count of files.
        (of <= 1_000_000).then_some(())?;
        Some(Self {
            file,
            start,
            number: number.parse().ok()?,
            width: number.len(),
            of,
            rest: &name[before.len()..],
        })
    }

    /// Shards that belong together: some writers end each name in a word of its own.
    fn set(&self) -> (Option<&'a Path>, &'a str, usize, String) {
        let ending = unpacked_name(self.rest).rsplit_once('.');
        let ending = ending.map_or("", |(_, ending)| ending);
        let folder = self.file.parent();
        (folder, self.start, self.of, ending.to_ascii_lowercase())
    }
}

/// Refuses counted files of which one that is wanted is missing, or is there twice. They are counted from 0, or from 1 where the
/// last number is that of all of them.
fn all_there(files: &[PathBuf], is_wanted: impl Fn(&str) -> bool) -> std::io::Result<()> {
    let wrong = |what: String| std::io::Error::new(std::io::ErrorKind::NotFound, what);
    let mut sets: BTreeMap<_, Vec<Shard<'_>>> = BTreeMap::new();
    for shard in files.iter().filter_map(|file| Shard::of(file)) {
        sets.entry(shard.set()).or_default().push(shard);
    }
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    for ((_, start, of, _), shards) in sets {
        let first = usize::from(shards.iter().any(|shard| shard.number == of));
        let mut found: BTreeMap<usize, &Path> = BTreeMap::new();
        for shard in &shards {
            if !(first..first + of).contains(&shard.number) {
                return Err(wrong(format!(
                    "`{}` is none of {of} shards that are counted from {first}; rename it when it is no shard",
                    name(shard.file)
                )));
            }
            if let Some(other) = found.insert(shard.number, shard.file) {
                return Err(wrong(format!(
                    "`{}` and `{}` are the same shard; keep one of them",
                    name(other),
                    name(shard.file)
                )));
            }
        }
        let named = |number: usize, shard: &Shard<'_>| {
            format!("{start}{number:0width$}{}", shard.rest, width = shard.width)
        };
        let missing = (first..first + of).filter(|number| !found.contains_key(number));
        let missing = missing.map(|number| named(number, &shards[0]));
        let missing = missing.filter(|name| is_wanted(name));
        // Of very many the first few tell enough.
        let some: Vec<String> = missing.take(4).map(|name| format!("`{name}`")).collect();
        if !some.is_empty() {
            return Err(wrong(format!(
                "of {of} shards {} are here, and {} {} missing; get the rest, or name the files that are meant by a pattern",
                shards.len(),
                some.join(", "),
                if some.len() == 1 { "is" } else { "are" }
            )));
        }
    }
    Ok(())
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
    fn shards_that_are_counted_are_all_there_or_the_missing_one_is_named() {
        let jsonl = DatasetFormat::Jsonl;
        let of = |names: &[&str], pattern: &str| {
            let dir = tempfile::tempdir().unwrap();
            for name in names {
                std::fs::write(dir.path().join(name), "").unwrap();
            }
            let files = files_of(&dir.path().join(pattern), jsonl);
            files.map(|files| files.len()).map_err(|e| e.to_string())
        };
        let (first, last) = ("part-00000-of-00003.jsonl", "part-00002-of-00003.jsonl");
        let middle = "part-00001-of-00003.jsonl";
        for pattern in ["", "*", "part-*-of-00003.jsonl"] {
            let error = of(&[first, last], pattern).unwrap_err();
            let said = format!("of 3 shards 2 are here, and `{middle}` is missing");
            assert!(error.contains(&said), "{error}");
            assert_eq!(of(&[first, middle, last], pattern), Ok(3));
        }
        // A pattern that does not ask for it, and one file by its name, may do without.
        assert_eq!(of(&[first, last], "part-0000[02]-*.jsonl"), Ok(2));
        assert_eq!(of(&[first, last], first), Ok(1));
        // Counted from 1, in words of their own, beside files that are not counted.
        let from_one = ["x-1-of-2-ab.jsonl", "x-2-of-2-cd.jsonl", "one-of-us.jsonl"];
        assert_eq!(of(&from_one, ""), Ok(3));
        assert!(
            of(&from_one[1..], "")
                .unwrap_err()
                .contains("`x-1-of-2-cd.jsonl` is missing")
        );
        let packed = "part-00000-of-00003.jsonl.gz";
        let twice = of(&[first, packed, middle, last], "").unwrap_err();
        assert!(twice.contains("the same shard"), "{twice}");
        let beyond = of(&["x-0-of-2.jsonl", "x-2-of-2.jsonl"], "").unwrap_err();
        assert!(beyond.contains("`x-0-of-2.jsonl` is none of 2"), "{beyond}");
        let other = of(&["x-7-of-2.jsonl"], "").unwrap_err();
        assert!(other.contains("none of 2 shards"), "{other}");
    }

    #[test]
    fn a_folder_of_several_splits_is_no_dataset() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let read = || {
            let files = files_of(dir.path(), DatasetFormat::Jsonl);
            files
                .map(|files| files.len())
                .map_err(|error| error.to_string())
        };
        write("train-0.jsonl", "");
        write("training_notes.jsonl", "");
        assert_eq!(read(), Ok(2));
        write("README.md", "---\nlicense: mit\n---\nconfigs:\n");
        assert_eq!(read(), Ok(2));
        write(
            "README.md",
            "---\nlicense: mit\nconfigs:\n- config_name: default\n---\n",
        );
        let said = read().unwrap_err();
        assert!(
            said.contains("README.md says by `configs`") && said.contains("train*"),
            "{said}"
        );
        write("test.jsonl", "");
        let said = read().unwrap_err();
        assert!(
            said.contains("several splits, `test` and `train`"),
            "{said}"
        );
        // A pattern says what is meant.
        assert_eq!(
            files_of(&dir.path().join("t*.jsonl"), DatasetFormat::Jsonl)
                .unwrap()
                .len(),
            3
        );
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
