//! Whether a file of a run folder is as its run left it: numbers that were changed by hand are not shown as measured.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::files::digests::DigestsRecord;
use crate::folder::FolderError;
use crate::run_dir::RunDir;

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

impl RunDir {
    /// Holds the bytes of a file against what its run wrote down when it ended. A folder whose run did not end has nothing to hold
    /// against, and a file that was added since is nobody's.
    ///
    /// # Errors
    /// When the bytes are others, or cannot be read.
    pub fn check_sealed(&self, path: &Path) -> Result<(), FolderError> {
        let of_digests = self.file::<DigestsRecord>();
        // That a file is missing is told by whoever needs it.
        let is_listed = path != of_digests && of_digests.is_file() && path.is_file();
        let Ok(name) = path.strip_prefix(self.path()) else {
            return Ok(());
        };
        let name = name.to_string_lossy().replace('\\', "/");
        let record = match is_listed {
            true => self.read_if_there::<DigestsRecord>()?,
            false => None,
        };
        let Some(written) = record.as_ref().and_then(|record| record.files.get(&name)) else {
            return Ok(());
        };
        let found = digest(path).map_err(|source| FolderError::Read {
            path: path.to_owned(),
            source,
        })?;
        if found == written.blake3 {
            return Ok(());
        }
        let run = self.path().display();
        Err(FolderError::damaged(
            path,
            format!(
                "it has other bytes than its run wrote (`driftgauge verify {run}` names every such file)"
            ),
        ))
    }
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            n => _ = hasher.update(&piece[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Results;
    use crate::files::digests::DigestRecord;

    #[test]
    fn what_was_edited_since_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::new(folder.path());
        let results = Results {
            notes: vec!["theirs".to_owned()],
            ..Results::default()
        };
        run.write(&results).unwrap();
        let path = run.file::<Results>();
        let mut digests = DigestsRecord::default();
        let entry = DigestRecord {
            size: path.metadata().unwrap().len(),
            blake3: digest(&path).unwrap(),
        };
        digests.files.insert("results.json".to_owned(), entry);
        run.write(&digests).unwrap();
        run.read::<Results>().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("theirs", "mine")).unwrap();
        let said = run.read::<Results>().unwrap_err().to_string();
        assert!(
            said.contains("results.json` is damaged: it has other bytes"),
            "{said}"
        );
        // Nobody vouches for the files of a run that did not end.
        std::fs::remove_file(run.file::<DigestsRecord>()).unwrap();
        assert_eq!(run.read::<Results>().unwrap().notes, ["mine"]);
    }
}
