//! Digests of a run folder: written when a run has ended, and held against its files by `driftgauge verify`.

use std::fs;
use std::path::{Path, PathBuf};

use driftgauge_problem::Problem;
use driftgauge_record::files::digests::{DigestRecord, DigestsRecord};
use driftgauge_record::{FolderError, RunDir};
use driftgauge_store::{Damage, Digest, FileDigests, Verified};

/// What helps a run folder, whose files all come from the store.
const RERUN: &str = "run its spec again into this folder: finished nodes are reused, and the folder is written anew";

/// Says that the folder is being written: nothing vouches for its files until [`seal`].
///
/// # Errors
/// When the digests cannot be removed.
pub fn open(out: &RunDir) -> Result<(), FolderError> {
    let path = out.file::<DigestsRecord>();
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(FolderError::Write { path, source })
        }
        _ => Ok(()),
    }
}

/// Whether a run of that fingerprint ended here, and every file is as it left it.
#[must_use]
pub fn is_of(out: &RunDir, fingerprint: &Digest, digests: &FileDigests) -> bool {
    let Ok(Some(record)) = out.read_if_there::<DigestsRecord>() else {
        return false;
    };
    let is_listed = |name: &String| {
        let written = record.files.get(name);
        written.is_some_and(|written| {
            entry(&out.path().join(name), digests).is_ok_and(|found| found == *written)
        })
    };
    is_whole(&record)
        && record.run.as_ref() == Some(&fingerprint.to_string())
        && names(out)
            .is_ok_and(|names| names.len() == record.files.len() && names.iter().all(is_listed))
}

/// Writes the digests of all files of the folder. `run` is the fingerprint of a run that made everything.
///
/// # Errors
/// When a file cannot be read, or the digests not be written.
pub fn seal(out: &RunDir, digests: &FileDigests, run: Option<&Digest>) -> Result<(), FolderError> {
    let mut record = DigestsRecord {
        run: run.map(Digest::to_string),
        ..DigestsRecord::default()
    };
    for name in names(out)? {
        let entry = entry(&out.path().join(&name), digests)?;
        record.files.insert(name, entry);
    }
    write(out, record)
}

/// Writes the digests of the report's files anew, which alone were. A folder whose run did not end stays as it is.
///
/// # Errors
/// When the digests cannot be read or written.
pub fn seal_report(out: &RunDir) -> Result<(), FolderError> {
    let Some(mut record) = out.read_if_there::<DigestsRecord>()? else {
        return Ok(());
    };
    if !is_whole(&record) {
        return Ok(());
    }
    // The report may show more or less than the spec says, so the next run writes it anew.
    record.run = None;
    record.files.retain(|name, _| !is_of_report(out, name));
    for name in names(out)? {
        if is_of_report(out, &name) {
            let entry = entry(&out.path().join(&name), &FileDigests::forgetful())?;
            record.files.insert(name, entry);
        }
    }
    record.files.sort_unstable_keys();
    write(out, record)
}

/// Reads every byte of a run folder and holds it against the digests written when its run ended.
///
/// # Errors
/// When a file that is there cannot be read.
pub fn verify(out: &RunDir) -> Result<Verified, Problem> {
    let mut found = Verified::default();
    let damage = |file: PathBuf, problem: &str| Damage {
        file,
        problem: problem.to_owned(),
        help: RERUN.to_owned(),
        key: None,
    };
    let path = out.file::<DigestsRecord>();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let problem =
                "is missing: the run did not end, or an older driftgauge wrote the folder";
            found.damaged.push(damage(path, problem));
            return Ok(found);
        }
        // One byte more or less, and it is no text.
        Err(_) => String::new(),
    };
    found.files = 1;
    let record = serde_json::from_str::<DigestsRecord>(&text).ok();
    let record = record.filter(|record| is_whole(record) && as_text(record) == text);
    let Some(record) = record else {
        found
            .damaged
            .push(damage(path, "has other bytes than were written"));
        return Ok(found);
    };
    for (name, written) in &record.files {
        let path = out.path().join(name);
        found.files += 1;
        if !path.is_file() {
            found.damaged.push(damage(path, "is missing"));
        } else if entry(&path, &FileDigests::forgetful())? != *written {
            found
                .damaged
                .push(damage(path, "has other bytes than were written"));
        }
    }
    let unlisted = names(out)?.into_iter();
    let unlisted = unlisted.filter(|name| !record.files.contains_key(name));
    found.unsealed = unlisted.map(|name| out.path().join(name)).collect();
    Ok(found)
}

fn write(out: &RunDir, mut record: DigestsRecord) -> Result<(), FolderError> {
    record.blake3 = digest_of(&record);
    out.write(&record)
}

fn is_whole(record: &DigestsRecord) -> bool {
    record.blake3 == digest_of(record)
}

fn digest_of(record: &DigestsRecord) -> String {
    let parts = serde_json::to_vec(&(&record.run, &record.files)).unwrap_or_default();
    Digest::of(&parts).to_string()
}

/// The file as [`RunDir::write`] writes it.
fn as_text(record: &DigestsRecord) -> String {
    let mut text = serde_json::to_string_pretty(record).unwrap_or_default();
    text.push('\n');
    text
}

fn is_of_report(out: &RunDir, name: &str) -> bool {
    let path = out.path().join(name);
    path == out.report_json() || path == out.report_html() || path.starts_with(out.charts())
}

fn entry(path: &Path, digests: &FileDigests) -> Result<DigestRecord, FolderError> {
    let read = || {
        let size = fs::metadata(path)?.len();
        let blake3 = digests.of(path)?.to_string();
        Ok(DigestRecord { size, blake3 })
    };
    read().map_err(|source| FolderError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Paths of all files inside, but that of the digests and those of jobs, which may write on when the run has ended; in their order.
fn names(out: &RunDir) -> Result<Vec<String>, FolderError> {
    let mut found = Vec::new();
    let mut folders = vec![out.path().to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |source| FolderError::Read {
            path: folder.clone(),
            source,
        };
        for item in fs::read_dir(&folder).map_err(failed)? {
            let path = item.map_err(failed)?.path();
            if path == out.jobs() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path != out.file::<DigestsRecord>() {
                let name = path.strip_prefix(out.path()).unwrap_or(&path);
                found.push(name.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(at: &Path) -> RunDir {
        let out = RunDir::new(at);
        fs::create_dir_all(out.charts()).unwrap();
        fs::write(out.report_html(), "<html>").unwrap();
        fs::write(out.charts().join("a.svg"), "<svg>").unwrap();
        fs::write(out.spec(), "name: a").unwrap();
        seal(&out, &FileDigests::forgetful(), None).unwrap();
        out
    }

    #[test]
    fn a_flip_of_any_bit_of_any_file_is_found_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let out = folder(dir.path());
        let whole = verify(&out).unwrap();
        assert_eq!((whole.files, whole.damaged.len()), (4, 0));
        let mut files: Vec<PathBuf> = names(&out).unwrap().iter().map(PathBuf::from).collect();
        files.push(PathBuf::from("digests.json"));
        assert_eq!(files.len(), 4);
        for file in files {
            let path = out.path().join(file);
            let bytes = fs::read(&path).unwrap();
            for place in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << (place % 8);
                fs::write(&path, changed).unwrap();
                let found = verify(&out).unwrap().damaged;
                assert_eq!(found.len(), 1, "byte {place} of {}", path.display());
                assert_eq!(found[0].file, path);
            }
            fs::write(&path, bytes).unwrap();
        }
    }

    #[test]
    fn a_report_drawn_again_vouches_for_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let out = folder(dir.path());
        fs::write(out.report_html(), "<html lang=en>").unwrap();
        fs::remove_file(out.charts().join("a.svg")).unwrap();
        fs::write(out.charts().join("b.svg"), "<svg>").unwrap();
        fs::write(out.spec(), "name: b").unwrap();
        seal_report(&out).unwrap();
        let found = verify(&out).unwrap();
        let damaged: Vec<&PathBuf> = found.damaged.iter().map(|damage| &damage.file).collect();
        assert_eq!(damaged, [&out.spec()]);
        open(&out).unwrap();
        seal_report(&out).unwrap();
        let missing = verify(&out).unwrap().damaged;
        assert!(missing[0].problem.starts_with("is missing"));
    }
}
