//! Who writes to a store, and who makes what: many processes on many machines, without a lock of the file system.
//!
//! Every writer has a file that it rewrites every few seconds, with a number that grows: its beat. What it is making it claims by a
//! file that only one process can create. A claim lasts as long as its process: on the same machine that is known, elsewhere a
//! beat that stood still for a while by the clock of the one who waits tells it. No two clocks are ever compared. A claim that
//! is taken from someone who was only slow costs work, never a result: an artifact appears by one rename, and the second of two
//! is dropped.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::process::Process;
use crate::{Digest, Store, StoreError, io_error};

/// Folder of the writers' files.
pub(crate) const WRITERS: &str = "writers";
/// Folder of what is being made.
pub(crate) const CLAIMS: &str = "claims";
/// Name of the claim of the one who wants the store for itself.
const ALONE: &str = "alone";

/// How often a writer says that it lives.
const BEAT: Duration = Duration::from_secs(5);
/// How long a beat has to stand still before its writer counts as gone: network file systems show a file as it was a minute ago.
const GONE: Duration = Duration::from_secs(150);
/// How long what a process of another machine left behind is kept.
const LEFT: Duration = Duration::from_secs(2 * 24 * 60 * 60);

#[derive(Serialize, Deserialize)]
struct Beat {
    process: Process,
    beat: u64,
}

/// A process that writes to a store, for as long as this lives.
#[derive(Debug)]
pub struct Writer {
    root: PathBuf,
    gone: Duration,
    stop: Option<Sender<()>>,
    beats: Option<JoinHandle<()>>,
    /// Beats of others, and since when they stand still.
    watched: Mutex<HashMap<String, (u64, Instant)>>,
}

/// What came of wanting to make something.
#[derive(Debug)]
pub enum Claimed {
    /// It is to be made here.
    Mine(Claim),
    /// This process makes it.
    Theirs(Process),
}

/// The right to make something, given up when dropped.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
}

/// A store that nobody else writes to, for as long as this lives.
#[derive(Debug)]
pub struct Alone {
    // The claim goes first, the writer after it.
    _claim: Claim,
    _writer: Writer,
}

impl Store {
    /// Joins those who write to the store, and clears what processes that have ended left half-written.
    ///
    /// # Errors
    /// When the folder cannot be written, and when someone has the store for itself.
    pub fn writer(&self) -> Result<Writer, StoreError> {
        let writer = Writer::join(self, BEAT, GONE)?;
        match writer.owner(ALONE)? {
            Some(process) if !writer.has_gone(&process) => Err(StoreError::Locked {
                path: self.root.clone(),
                by: process.to_string(),
            }),
            _ => Ok(writer),
        }
    }

    /// Takes the store for this process alone, to remove things from it.
    ///
    /// # Errors
    /// When another process writes to it, or has it.
    pub fn alone(&self) -> Result<Alone, StoreError> {
        let writer = self.writer()?;
        let locked = |process: Process| StoreError::Locked {
            path: self.root.clone(),
            by: process.to_string(),
        };
        let claim = match writer.take(ALONE)? {
            Claimed::Mine(claim) => claim,
            Claimed::Theirs(process) => return Err(locked(process)),
        };
        // A run that joins from now on sees the claim; one that joined before is seen here.
        match writer.others()?.into_iter().next() {
            Some(process) => Err(locked(process)),
            None => Ok(Alone {
                _claim: claim,
                _writer: writer,
            }),
        }
    }
}

impl Writer {
    fn join(store: &Store, every: Duration, gone: Duration) -> Result<Self, StoreError> {
        let root = store.root.clone();
        for folder in [WRITERS, CLAIMS] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(io_error("make", &folder))?;
        }
        let path = root.join(WRITERS).join(Process::this().name());
        beat(&path, 0).map_err(io_error("write", &path))?;
        let (stop, stopped) = channel();
        let own = path.clone();
        let beats = std::thread::spawn(move || {
            for count in 1.. {
                match stopped.recv_timeout(every) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => break,
                }
                // Where it cannot be written, others take over after a while: that costs work, and no result.
                let _ = beat(&own, count);
            }
            let _ = fs::remove_file(&own);
        });
        let writer = Self {
            root,
            gone,
            stop: Some(stop),
            beats: Some(beats),
            watched: Mutex::default(),
        };
        writer.sweep()?;
        Ok(writer)
    }

    /// Claims what the artifact of `key` is made from.
    ///
    /// # Errors
    /// When the folder of claims cannot be written.
    pub fn claim(&self, key: &Digest) -> Result<Claimed, StoreError> {
        self.take(key.as_str())
    }

    /// Others who write to the store now.
    ///
    /// # Errors
    /// When their folder cannot be listed.
    pub fn others(&self) -> Result<Vec<Process>, StoreError> {
        let others = self.writers()?.into_iter();
        Ok(others
            .map(|found| found.process)
            .filter(|process| process != Process::this() && !self.has_gone(process))
            .collect())
    }

    fn take(&self, name: &str) -> Result<Claimed, StoreError> {
        let path = self.root.join(CLAIMS).join(name);
        // More than two turns are needed only while others come and go.
        for _ in 0..8 {
            match create(&path) {
                Ok(()) => return Ok(Claimed::Mine(Claim { path })),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io_error("write", &path)(error)),
            }
            match self.owner(name)? {
                None => {}
                Some(process) if self.has_gone(&process) => self.drop_claim_of(&process, &path)?,
                Some(process) => return Ok(Claimed::Theirs(process)),
            }
        }
        Ok(Claimed::Theirs(Process::this().clone()))
    }

    /// Whose claim it is; `None` where there is none.
    fn owner(&self, name: &str) -> Result<Option<Process>, StoreError> {
        let path = self.root.join(CLAIMS).join(name);
        match fs::read(&path) {
            // What does not say whose it is was being made where there are no links; it ends as a beat does that stands still.
            Ok(bytes) => Ok(Some(
                serde_json::from_slice(&bytes).unwrap_or_else(|_| Process::unknown()),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Removes the claim of a process that is gone, and only that: someone else may have been quicker and claimed anew.
    fn drop_claim_of(&self, gone: &Process, path: &Path) -> Result<(), StoreError> {
        let aside = self.root.join("tmp").join(Process::this().fresh());
        match fs::rename(path, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error("move", path)(error)),
        }
        let taken = fs::read(&aside).ok();
        let taken = taken.and_then(|bytes| serde_json::from_slice::<Process>(&bytes).ok());
        if taken.is_some_and(|taken| taken != *gone) {
            // It goes back to whom it belongs, unless a third has claimed meanwhile.
            let _ = fs::hard_link(&aside, path);
        }
        let _ = fs::remove_file(&aside);
        Ok(())
    }

    /// Whether a process has ended: known on its own machine, and told from elsewhere by a beat that stands still.
    fn has_gone(&self, process: &Process) -> bool {
        if let Some(ended) = process.has_ended() {
            return ended;
        }
        let now = Instant::now();
        let found = self.writers().unwrap_or_default();
        let beat = found.into_iter().find(|found| found.process == *process);
        // No file is a beat, too: a writer that has just begun may not be seen yet.
        let beat = beat.map_or(u64::MAX, |found| found.beat);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, since) = watched.entry(process.name()).or_insert((beat, now));
        if *seen != beat {
            (*seen, *since) = (beat, now);
        }
        now.duration_since(*since) >= self.gone
    }

    fn writers(&self) -> Result<Vec<Beat>, StoreError> {
        let folder = self.root.join(WRITERS);
        let files = fs::read_dir(&folder).map_err(io_error("list", &folder))?;
        // One that ends meanwhile is not there.
        let texts = files
            .flatten()
            .filter_map(|file| fs::read(file.path()).ok());
        Ok(texts
            .filter_map(|text| serde_json::from_slice(&text).ok())
            .collect())
    }

    /// Removes what processes that have ended left behind: of this machine at once, of others after a while.
    fn sweep(&self) -> Result<(), StoreError> {
        let own = fs::metadata(self.root.join(WRITERS).join(Process::this().name()));
        // By the clock of the file system, on both sides.
        let now = own.and_then(|own| own.modified()).ok();
        let age = |path: &Path| {
            let touched = fs::metadata(path).and_then(|file| file.modified()).ok()?;
            now?.duration_since(touched).ok()
        };
        for folder in [WRITERS, "tmp"] {
            let folder = self.root.join(folder);
            for file in fs::read_dir(&folder).map_err(io_error("list", &folder))? {
                let path = file.map_err(io_error("list", &folder))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let left = Process::of_name_has_ended(&name)
                    .unwrap_or_else(|| age(&path).is_some_and(|age| age > LEFT));
                if !left {
                    continue;
                }
                let removed = if path.is_dir() {
                    fs::remove_dir_all(&path)
                } else {
                    fs::remove_file(&path)
                };
                match removed {
                    // Another run sweeps, too.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(io_error("clear", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        let writers = self.writers()?;
        let folder = self.root.join(CLAIMS);
        for file in fs::read_dir(&folder).map_err(io_error("list", &folder))? {
            let file = file.map_err(io_error("list", &folder))?;
            let name = file.file_name().to_string_lossy().into_owned();
            let Some(owner) = self.owner(&name)? else {
                continue;
            };
            // A writer elsewhere whose beat was swept is gone; a claim that is younger may be seen before its beat.
            let lost = || {
                let beats = writers.iter().any(|found| found.process == owner);
                !beats && age(&file.path()).is_some_and(|age| age > self.gone)
            };
            if owner.has_ended().unwrap_or_else(lost) {
                self.drop_claim_of(&owner, &file.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(beats) = self.beats.take() {
            let _ = beats.join();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let own = fs::read(&self.path).ok();
        let own = own.and_then(|bytes| serde_json::from_slice::<Process>(&bytes).ok());
        // It may have been taken from a process that was only slow.
        if own.as_ref() == Some(Process::this()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a claim that has its owner in it from the first moment: a link, which fails where there is one already on every file system.
fn create(path: &Path) -> io::Result<()> {
    let tmp = path
        .parent()
        .and_then(Path::parent)
        .unwrap_or(path)
        .join("tmp");
    let whole = tmp.join(Process::this().fresh());
    fs::write(&whole, serde_json::to_vec(Process::this())?)?;
    let made = match fs::hard_link(&whole, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) => Ok(()),
        // A file system without links: the file is empty for a moment, and then nobody's.
        Err(_) => fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| file.write_all(&serde_json::to_vec(Process::this())?)),
    };
    let _ = fs::remove_file(&whole);
    made
}

fn beat(path: &Path, beat: u64) -> io::Result<()> {
    let beat = Beat {
        process: Process::this().clone(),
        beat,
    };
    let next = path.with_file_name(format!("{}.next", Process::this().name()));
    fs::write(&next, serde_json::to_vec(&beat)?)?;
    fs::rename(&next, path)
}

#[cfg(test)]
mod tests;
