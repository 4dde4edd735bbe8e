//! Specs as files: those in `tests/fixtures/specs/ok` and the shipped ones pass, those in `err` give the text beside them.
//! Adding a test is dropping a file.

use std::path::{Path, PathBuf};

use driftgauge_spec::{
    Diagnostic, Source, Variables, WARNINGS, open, read, render_human, schema_json, with_includes,
};

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
    let source = open(path, name).expect("a spec");
    let found = read(&source, &variables).found;
    (source, found)
}

#[test]
fn good_specs_pass() {
    for folder in [
        "tests/fixtures/specs/ok",
        "tests/fixtures/smoke",
        "specs",
        "specs/paper",
        "specs/studies",
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
    // What is found with the files and plugins of a spec is found by other crates.
    let files = repository().join("tests/fixtures/specs/files");
    for entry in std::fs::read_dir(files).expect("fixtures").flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let headings = text.lines().filter_map(|line| {
            let code = line
                .strip_prefix("error[")
                .or(line.strip_prefix("warning["))?;
            code.split(']').next()
        });
        for code in headings {
            let row = format!("`{code}`");
            assert!(readme.contains(&row), "{row} is not in specs/README.md");
        }
    }
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

/// A warning that no spec could allow would leave no way on where warnings are denied.
#[test]
fn every_warning_can_be_allowed() {
    let readme = std::fs::read_to_string(repository().join("specs/README.md"))
        .expect("the language reference");
    let rows = readme.lines().filter_map(|line| {
        let (code, rest) = line.strip_prefix("| `")?.split_once('`')?;
        let is_warning = rest.starts_with(" (warning)") || rest.starts_with(" (also a warning)");
        is_warning.then_some(code)
    });
    let mut documented: Vec<&str> = rows.collect();
    documented.sort_unstable();
    assert_eq!(documented, WARNINGS);
    let folder = repository().join("tests/fixtures/specs");
    for kind in ["files", "err", "warn", "ok"] {
        for entry in std::fs::read_dir(folder.join(kind)).into_iter().flatten() {
            let path = entry.expect("a fixture").path();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let told = text.lines().filter_map(|line| {
                let code = line.strip_prefix("warning[")?;
                code.split(']').next()
            });
            for code in told {
                assert!(WARNINGS.contains(&code), "{}: {code}", path.display());
            }
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

/// The YAML blocks of the language reference.
fn examples() -> Vec<String> {
    let readme = std::fs::read_to_string(repository().join("specs/README.md"))
        .expect("the language reference");
    let blocks = readme.split("```yaml\n").skip(1);
    blocks
        .filter_map(|block| Some(block.split_once("```")?.0.to_owned()))
        .collect()
}

#[test]
fn examples_of_the_reference_are_read() {
    let mut whole = 0;
    for block in examples() {
        let is_whole = block.starts_with("version:");
        whole += usize::from(is_whole);
        let text = match is_whole {
            true => block,
            false => format!("version: 1\nname: x\n{block}"),
        };
        let source = Source::new("specs/README.md", text).within(repository().join("specs"));
        let source = with_includes(source);
        let variables = Variables::from_arguments(&[]).expect("none");
        let set = Variables::from_arguments(&["n=1".to_owned()]).expect("one");
        let variables = if source.text().contains("n: null") {
            set
        } else {
            variables
        };
        let mut found = read(&source, &variables).found;
        found.retain(|diagnostic| {
            let code = diagnostic.code.as_ref();
            // A part of a spec names what is elsewhere.
            let elsewhere =
                code.starts_with("unknown-") && !["unknown-key", "unknown-value"].contains(&code);
            diagnostic.is_error() && (is_whole || !(elsewhere || code.starts_with("no-")))
        });
        assert!(found.is_empty(), "{}", render_human(&source, &found));
    }
    assert_eq!(whole, 3);
}

#[test]
fn every_key_has_an_example() {
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).expect("JSON");
    let mut keys = std::collections::BTreeSet::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.len() > 150, "{}", keys.len());
    let examples = examples().concat();
    let is_there = |key: &str| {
        let needle = format!("{key}:");
        examples.match_indices(&needle).any(|(at, _)| {
            examples[..at]
                .chars()
                .next_back()
                .is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != '-')
        })
    };
    let missing: Vec<_> = keys.iter().filter(|key| !is_there(key)).collect();
    assert!(
        missing.is_empty(),
        "no example in specs/README.md: {missing:?}"
    );
}

fn collect_keys(schema: &serde_json::Value, keys: &mut std::collections::BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(parts) => {
            if let Some(properties) = parts
                .get("properties")
                .and_then(serde_json::Value::as_object)
            {
                keys.extend(properties.keys().cloned());
            }
            parts.values().for_each(|part| collect_keys(part, keys));
        }
        serde_json::Value::Array(parts) => parts.iter().for_each(|part| collect_keys(part, keys)),
        _ => {}
    }
}

/// Words of the program's own types, which mean nothing in a spec.
#[test]
fn no_type_of_the_program_is_named() {
    let types = [
        "usize",
        "u32",
        "u64",
        "i64",
        "f64",
        "struct ",
        "enum ",
        "Option",
        "invalid type",
        "deserial",
    ];
    for path in specs("tests/fixtures/specs/err") {
        let (source, found) = diagnostics(&path);
        for diagnostic in &found {
            let said = format!(
                "{} {}",
                diagnostic.message,
                diagnostic.help.as_deref().unwrap_or_default()
            );
            for word in types {
                assert!(
                    !said.contains(word),
                    "{}: `{word}` in {said}",
                    source.name()
                );
            }
            assert!(
                diagnostic.help.is_some()
                    || diagnostic.labels.iter().any(|(_, text)| !text.is_empty()),
                "{}: no next step for `{}`",
                source.name(),
                diagnostic.message
            );
        }
    }
}

#[test]
fn studies_are_a_page() {
    for path in specs("specs/studies") {
        let text = std::fs::read_to_string(&path).expect("a study");
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        assert!(lines.count() <= 30, "{}", path.display());
    }
}
