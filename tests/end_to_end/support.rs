//! Runs the binary in folders of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The repository's `tests` folder.
pub(crate) fn tests_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

/// `PATH` with the program before all else.
pub(crate) fn path_with_program() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_driftgauge"));
    let folder = program.parent().expect("a folder");
    let path = std::env::var("PATH").expect("a path");
    format!("{}:{path}", folder.display())
}

/// The smoke spec.
pub(crate) fn smoke_spec() -> PathBuf {
    tests_dir().join("fixtures/smoke/smoke.yaml")
}

/// All lines of the journals in a folder of unfinished work: every process writes one of its own.
pub(crate) fn journal_lines(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let journals = files.filter(|file| file.file_name().to_string_lossy().starts_with("journal"));
    journals
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// A place for one test: a store and run folders.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Copies data of the specs in `tests/fixtures` into the folder `data`.
    pub(crate) fn write_data(&self, names: &[&str]) {
        let data = tests_dir().join("fixtures/specs/files/data");
        for name in names {
            let rows = std::fs::read_to_string(data.join(name)).expect("rows");
            self.write(&format!("data/{name}"), &rows);
        }
    }

    /// `driftgauge` with this place's store.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftgauge"));
        command
            .args(arguments)
            .env("DRIFTGAUGE_STORE", self.path("store"))
            .env_remove("HF_HOME")
            .current_dir(self.dir.path());
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Runs a spec into `out` and expects success.
    pub(crate) fn run(&self, spec: &Path, out: &str) -> Value {
        let output = self.output(&["run", text(spec), "--out", out, "--format", "json"]);
        assert!(
            output.status.success(),
            "exit {:?}\n{}{}",
            output.status.code(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("a JSON summary")
    }

    /// The samples of a run.
    pub(crate) fn samples(&self, out: &str) -> Vec<Value> {
        let output = self.output(&["export", out]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect()
    }

    /// Starts the binary; what it says on standard error can be read at its end.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts")
    }

    /// Holds files of the folder `run` against those of another place, byte by byte.
    #[track_caller]
    pub(crate) fn assert_same(&self, other: &Self, files: &[&str]) {
        for file in files {
            let name = format!("run/{file}");
            assert!(self.read(&name) == other.read(&name), "{file} differs");
        }
    }

    /// The `results.json` of a run.
    pub(crate) fn results(&self, out: &str) -> Value {
        serde_json::from_slice(&self.read(&format!("{out}/results.json"))).expect("JSON")
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Copies a folder with its subfolders.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

/// Waits until something has happened, which has to be while the process runs.
#[track_caller]
pub(crate) fn wait_until(child: &mut Child, what: &str, happened: impl Fn() -> bool) {
    while !happened() {
        let ended = child.try_wait().expect("a process");
        assert!(ended.is_none(), "it ended before {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every file below a folder that holds the text. A run may be writing there:
/// what is gone between the listing and the reading holds nothing.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in unless_gone(std::fs::read_dir(folder))
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").path())
    {
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if unless_gone(std::fs::read(&path)).is_some_and(|bytes| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        }) {
            found.push(path);
        }
    }
    found
}

/// What was read, or nothing where the file or folder is no longer there.
pub(crate) fn unless_gone<T>(read: std::io::Result<T>) -> Option<T> {
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        read => Some(read.expect("something to read")),
    }
}
