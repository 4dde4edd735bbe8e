//! Specs as files: those in `tests/fixtures/specs/ok` and the shipped ones pass, those in `err` give the text beside them.
//! Adding a test is dropping a file.

use std::path::{Path, PathBuf};

use driftgauge_spec::{Diagnostic, Source, Variables, check, parse, render_human, schema_json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn specs(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(repository().join(folder))
        .expect("a folder of specs")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} holds no spec");
    paths
}

fn diagnostics(path: &Path) -> (Source, Vec<Diagnostic>) {
    let text = std::fs::read_to_string(path).expect("a spec");
    let name = path
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    // Variables without a default have to be set; what is checked here does not depend on their values.
    let unset: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_suffix(": null"))
        .map(|name| format!("{name}=somewhere"))
        .collect();
    let variables = Variables::from_arguments(&unset).expect("names");
    let source = Source::new(name, text);
    let found = match parse(&source, &variables) {
        Ok(spec) => check(&spec),
        Err(found) => found,
    };
    (source, found)
}

#[test]
fn good_specs_pass() {
    for folder in [
        "tests/fixtures/specs/ok",
        "tests/fixtures/smoke",
        "specs",
        "specs/paper",
    ] {
        for path in specs(folder) {
            let (source, found) = diagnostics(&path);
            assert!(found.is_empty(), "{}", render_human(&source, &found));
        }
    }
}

#[test]
fn bad_specs_say_what_is_wrong() {
    for path in specs("tests/fixtures/specs/err") {
        let (source, found) = diagnostics(&path);
        assert!(!found.is_empty(), "{} passes", path.display());
        let expected = path.with_extension("expected.txt");
        let text = render_human(&source, &found);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &text).expect("written");
        }
        let written = std::fs::read_to_string(&expected).unwrap_or_default();
        assert!(
            text == written,
            "{} gives\n{text}\nwhich is not the text beside it; UPDATE_EXPECTED=1 rewrites it",
            path.display()
        );
    }
}

#[test]
fn every_code_is_documented() {
    let readme = std::fs::read_to_string(repository().join("specs/README.md"))
        .expect("the language reference");
    for path in specs("tests/fixtures/specs/err") {
        for diagnostic in diagnostics(&path).1 {
            assert!(
                readme.contains(&format!("`{}`", diagnostic.code)),
                "`{}` is not in specs/README.md",
                diagnostic.code
            );
        }
    }
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let path = repository().join("specs/schema/experiment.schema.json");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, schema_json()).expect("written");
    }
    let committed = std::fs::read_to_string(path).expect("the schema");
    assert!(
        committed == schema_json(),
        "make it again with `driftgauge schema > specs/schema/experiment.schema.json`"
    );
    let schema: serde_json::Value = serde_json::from_str(&committed).expect("JSON");
    assert_eq!(schema["additionalProperties"], false);
    let sections = schema["properties"].as_object().expect("sections");
    for section in [
        "models",
        "datasets",
        "evaluations",
        "metrics",
        "compare",
        "gates",
        "report",
        "expected",
    ] {
        assert!(sections.contains_key(section), "{section}");
    }
}
