//! `driftgauge plugin new`: a project that builds, tests itself and runs, wherever it lies.

use std::fs;
use std::path::{Path, PathBuf};

use driftgauge_problem::{Context as _, Result};
use include_dir::{Dir, include_dir};

use crate::args::{Language, NewPlugin};
use crate::exit::Exit;

/// A file of the project: its path, and its text before the names are filled in.
type File = (&'static str, &'static str);

/// What a project is about: its spec, and its source in each language.
struct Kind {
    spec: &'static str,
    rust: &'static str,
    c: &'static str,
    python: &'static str,
}

const METRIC: Kind = Kind {
    spec: include_str!("../../templates/plugin/spec.yaml"),
    rust: include_str!("../../templates/plugin/rust/lib.rs"),
    c: include_str!("../../../../plugins/examples/answer_length.c"),
    python: include_str!("../../../../plugins/examples/shouting.py"),
};
const JUDGE: Kind = Kind {
    spec: include_str!("../../templates/plugin/judge/spec.yaml"),
    rust: include_str!("../../templates/plugin/judge/lib.rs"),
    c: include_str!("../../../../plugins/examples/says_no.c"),
    python: include_str!("../../../../plugins/examples/says_no.py"),
};

/// What lies beside the source in each language.
const RUST: File = (
    "Cargo.toml",
    include_str!("../../templates/plugin/rust/Cargo.toml"),
);
const C: [File; 2] = [
    (
        "Makefile",
        include_str!("../../templates/plugin/c/Makefile"),
    ),
    (
        "driftgauge_metric.h",
        include_str!("../../../../plugins/protocol/include/driftgauge_metric.h"),
    ),
];
const PYTHON: File = (
    "driftgauge_metric.py",
    include_str!("../../../../plugins/python/driftgauge_metric.py"),
);

/// The SDK with its protocol: whole folders of sources that a project has beside it, so that it needs neither this
/// repository nor a network.
const SOURCES: [(&str, Dir); 3] = [
    (
        "sdk/sdk/src",
        include_dir!("$CARGO_MANIFEST_DIR/../../plugins/sdk/src"),
    ),
    (
        "sdk/protocol/src",
        include_dir!("$CARGO_MANIFEST_DIR/../../plugins/protocol/src"),
    ),
    (
        "sdk/stats/src",
        include_dir!("$CARGO_MANIFEST_DIR/../stats/src"),
    ),
];
const MANIFESTS: [File; 3] = [
    (
        "sdk/sdk/Cargo.toml",
        include_str!("../../../../plugins/sdk/Cargo.toml"),
    ),
    (
        "sdk/protocol/Cargo.toml",
        include_str!("../../../../plugins/protocol/Cargo.toml"),
    ),
    (
        "sdk/stats/Cargo.toml",
        include_str!("../../../stats/Cargo.toml"),
    ),
];
/// Where the versions are that the manifests of the SDK leave to the workspace.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

pub(crate) fn run(args: &NewPlugin) -> Result<Exit> {
    let name = args.name.as_str();
    let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 40
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !sound {
        eprintln!(
            "error: `{name}` is no name of a plugin\nhint: small letters, digits and `_`, a letter first: it becomes part of \
             names of files and numbers"
        );
        return Ok(Exit::Usage);
    }
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if folder.exists() {
        eprintln!(
            "error: `{}` is there already\nhint: name another plugin, or a folder with `--dir`; nothing was written",
            folder.display()
        );
        return Ok(Exit::Usage);
    }
    for (path, text) in files(args.lang, if args.judge { &JUDGE } else { &METRIC }, name) {
        write(&folder.join(path), &text)?;
    }
    println!("{}", folder.display());
    let (test, build) = match args.lang {
        Language::Rust => ("cargo test".to_owned(), "cargo build"),
        Language::C => ("make test".to_owned(), "make"),
        Language::Python => (format!("python3 {name}.py test"), ""),
    };
    let build = if build.is_empty() {
        String::new()
    } else {
        format!("`{build}`, ")
    };
    eprintln!(
        "next: `cd {}`, `{test}`, {build}`driftgauge run spec.yaml --out run`, and open run/report.html",
        folder.display()
    );
    Ok(Exit::Done)
}

fn files(language: Language, kind: &Kind, name: &str) -> Vec<(PathBuf, String)> {
    let (own, source): (Vec<File>, String) = match language {
        Language::Rust => (
            vec![RUST, ("src/lib.rs", kind.rust)],
            format!("plugin: ./target/debug/lib{name}.so"),
        ),
        Language::C => (
            [C.as_slice(), &[("NAME.c", kind.c)]].concat(),
            format!("plugin: ./lib{name}.so"),
        ),
        Language::Python => (
            vec![PYTHON, ("NAME.py", kind.python)],
            format!("command: [python3, {name}.py], files: [driftgauge_metric.py]"),
        ),
    };
    let mut files: Vec<(PathBuf, String)> = own
        .iter()
        .map(|(path, text)| {
            let text = match *path {
                // These are the same everywhere.
                "driftgauge_metric.h" | "driftgauge_metric.py" => (*text).to_owned(),
                _ => named(text, name),
            };
            (PathBuf::from(path.replace("NAME", name)), text)
        })
        .collect();
    if language == Language::Rust {
        for (folder, sources) in &SOURCES {
            add_sources(&mut files, Path::new(folder), sources);
        }
        let manifests = MANIFESTS.iter();
        files.extend(manifests.map(|(path, text)| (PathBuf::from(path), alone(text))));
    }
    let spec = kind.spec.replace("SOURCE", &source).replace("NAME", name);
    files.push((PathBuf::from("spec.yaml"), spec));
    files.extend(data());
    files
}

fn add_sources(files: &mut Vec<(PathBuf, String)>, folder: &Path, sources: &Dir) {
    for file in sources.files() {
        let text = file.contents_utf8().unwrap_or_default();
        files.push((folder.join(file.path()), text.to_owned()));
    }
    for part in sources.dirs() {
        add_sources(files, folder, part);
    }
}

/// A text of the examples with the plugin's own name in it.
fn named(text: &str, name: &str) -> String {
    let class: String = name
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect();
    let beside = "sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), \"..\", \"python\"))\n\n";
    text.replace(beside, "")
        .replace("import os\nimport sys\n\n", "import sys\n\n")
        .replace("import os\nimport re\n", "import re\n")
        .replace("plugins/examples/shouting.py", &format!("{name}.py"))
        .replace("plugins/examples/says_no.py", &format!("{name}.py"))
        .replace(
            "plugins/python/driftgauge_metric.py",
            "driftgauge_metric.py",
        )
        .replace(" -I plugins/protocol/include", "")
        .replace("plugins/examples/answer_length.c", &format!("{name}.c"))
        .replace("plugins/examples/says_no.c", &format!("{name}.c"))
        .replace("Shouting", &class)
        .replace("SaysNo", &class)
        .replace("shouting", name)
        .replace("says_no", name)
        .replace("answer_length", name)
        .replace("CLASS", &class)
        .replace("NAME", name)
}

/// A manifest of the workspace as that of a package on its own: the versions written out.
fn alone(manifest: &str) -> String {
    let mut out = String::new();
    for line in manifest.lines() {
        if line == "[dev-dependencies]" {
            break;
        }
        if line == "[lints]" || line == "workspace = true" {
            continue;
        }
        let written = line
            .split_once(".workspace = true")
            .map(|(key, _)| match key {
                "driftgauge-plugin-protocol" => format!("{key} = {{ path = \"../protocol\" }}"),
                "driftgauge-stats" => format!("{key} = {{ path = \"../stats\" }}"),
                key => format!("{key} = {}", version(key)),
            });
        out.push_str(&written.unwrap_or_else(|| line.to_owned()));
        out.push('\n');
    }
    out
}

/// What the workspace says of a key: the package's or a dependency's.
fn version(key: &str) -> &'static str {
    let lines = || WORKSPACE.lines();
    let package = lines().skip_while(|line| *line != "[workspace.package]");
    let dependencies = lines().skip_while(|line| *line != "[workspace.dependencies]");
    let find = |mut lines: Box<dyn Iterator<Item = &'static str>>| {
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
    };
    find(Box::new(package.take_while(|line| !line.is_empty())))
        .or_else(|| find(Box::new(dependencies)))
        .unwrap_or("\"*\"")
}

/// Twenty questions and the answers of two models, one of which shouts.
fn data() -> Vec<(PathBuf, String)> {
    let lines = |line: &dyn Fn(usize) -> String| (0..20).map(line).collect::<String>();
    let answers = |loud: usize| {
        lines(&|i| {
            let answer = if i % loud == 0 {
                "NO, NEVER!"
            } else {
                "That is fine."
            };
            format!("{{\"id\": \"q{i}\", \"answer\": \"{answer}\"}}\n")
        })
    };
    vec![
        (
            PathBuf::from("questions.jsonl"),
            lines(&|i| format!("{{\"id\": \"q{i}\", \"question\": \"Question {i}?\"}}\n")),
        ),
        (PathBuf::from("before.jsonl"), answers(10)),
        (PathBuf::from("after.jsonl"), answers(2)),
    ]
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}
