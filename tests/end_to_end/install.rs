//! The program as it is installed: its plugins found in every layout, its manual and completions, and what a spec would need.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Place, smoke_spec, text};

const BUILT_IN: [&str; 4] = ["asr", "drift", "truthfulness", "uncertainty"];

/// The program that is tested.
fn built() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_driftgauge"))
}

fn library(name: &str) -> String {
    format!(
        "{}{name}{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    )
}

/// A copy of the program at `path`, alone.
fn copy_program(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::copy(built(), path).expect("a copy");
}

fn output(program: &Path, place: &Place, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .env_remove("DRIFTGAUGE_PLUGIN_PATH")
        .env("DRIFTGAUGE_STORE", place.path("store"))
        .current_dir(place.dir.path())
        .output()
        .expect("the program starts")
}

/// The folder of each built-in plugin that the program lists.
fn plugin_folders(program: &Path, place: &Place) -> Vec<PathBuf> {
    let listed = output(program, place, &["plugin", "list", "--format", "json"]);
    let said = String::from_utf8_lossy(&listed.stderr);
    assert!(listed.status.success(), "{said}");
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let libraries = listed.as_array().expect("a list").iter();
    let libraries: Vec<PathBuf> = libraries
        .filter_map(|of| of["library"].as_str().map(PathBuf::from))
        .collect();
    BUILT_IN
        .map(|name| {
            let own = libraries.iter().find(|path| path.ends_with(library(name)));
            let own = own.unwrap_or_else(|| panic!("{name} is not in {libraries:?}"));
            own.parent().expect("a folder").to_owned()
        })
        .to_vec()
}

#[test]
fn a_prefix_has_the_program_in_bin_and_plugins_in_lib() {
    let place = Place::new();
    let program = place.path("usr/local/bin/driftgauge");
    copy_program(&program);
    let plugins = place.path("usr/local/lib/driftgauge/plugins");
    std::fs::create_dir_all(&plugins).expect("a folder");
    for name in BUILT_IN {
        // Where cargo puts them; beside the program they are only after `cargo build` of the plugins themselves.
        let from = built().with_file_name("deps").join(library(name));
        std::fs::copy(from, plugins.join(library(name))).expect("a copy");
    }
    let plugins = plugins.canonicalize().expect("a folder");
    assert_eq!(
        plugin_folders(&program, &place),
        vec![plugins.clone(); BUILT_IN.len()]
    );
    // They run in the program's own process, as those beside it do.
    let spec = smoke_spec();
    let ran = output(&program, &place, &["run", text(&spec), "--out", "run"]);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let provenance = String::from_utf8(place.read("run/provenance.json")).expect("UTF-8");
    assert!(!provenance.contains("\"in_process\": true"), "{provenance}");
    // Tools that install programs leave links to them.
    #[cfg(unix)]
    {
        let link = place.path("home/bin/driftgauge");
        std::fs::create_dir_all(link.parent().expect("a parent")).expect("a folder");
        std::os::unix::fs::symlink(&program, &link).expect("a link");
        assert_eq!(plugin_folders(&link, &place), vec![plugins; BUILT_IN.len()]);
    }
}

#[test]
fn a_program_that_was_copied_alone_finds_what_it_was_built_with() {
    let place = Place::new();
    let program = place.path("cargo/bin/driftgauge");
    copy_program(&program);
    let built = built().canonicalize().expect("a program");
    let build = built.parent().expect("a folder");
    for folder in plugin_folders(&program, &place) {
        assert!(folder.starts_with(build), "{}", folder.display());
    }
}

#[test]
fn a_plugin_that_is_nowhere_is_told_with_every_folder() {
    let place = Place::new();
    let program = place.path("opt/bin/driftgauge");
    copy_program(&program);
    let said = output(
        &program,
        &place,
        &["plugin", "show", "nothing", "--plugin-dir", "mine"],
    );
    assert_eq!(said.status.code(), Some(2));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let mut after = said.as_str();
    for folder in [
        "mine",
        "opt/bin/deps",
        "opt/bin",
        "opt/lib/driftgauge/plugins",
    ] {
        let file = format!("{folder}/{}", library("nothing"));
        let at = after.find(&file);
        let at = at.unwrap_or_else(|| panic!("{file} is missing, or not in order:\n{said}"));
        after = &after[at + file.len()..];
    }
}

#[test]
fn shells_complete_and_the_manual_has_every_command() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = place.output(&["completions", shell]);
        assert!(script.status.success());
        let script = String::from_utf8(script.stdout).expect("UTF-8");
        assert!(script.contains("plugin-dir"), "{shell}");
        if shell == "bash" {
            let file = place.write("driftgauge.bash", &script);
            // Where there is one: does it read what was written for it, and complete by it?
            let asked = format!(
                "source {}; COMP_WORDS=(driftgauge pl); COMP_CWORD=1; _driftgauge driftgauge pl driftgauge; echo \"${{COMPREPLY[*]}}\"",
                text(&file)
            );
            match Command::new("bash").args(["-c", &asked]).output() {
                Ok(said) => {
                    let said = String::from_utf8_lossy(&said.stdout).into_owned();
                    assert_eq!(said.trim(), "plan plugin");
                }
                Err(_) => driftgauge_tests::skipped("completions in bash (no bash)"),
            }
        }
    }
    assert!(place.output(&["man", "--to", "man1"]).status.success());
    let page =
        |name: &str| String::from_utf8(place.read(&format!("man1/{name}.1"))).expect("UTF-8");
    for name in [
        "driftgauge",
        "driftgauge-run",
        "driftgauge-plugin-show",
        "driftgauge-cache-prune",
    ] {
        let page = page(name);
        assert!(
            page.contains(".SH NAME") && page.contains("EXIT STATUS"),
            "{name}"
        );
    }
    assert!(page("driftgauge-run").contains("driftgauge run spec.yaml \\-\\-out runs/first"));
    assert!(!place.path("man1/driftgauge-worker.1").exists());
    let one = place.output(&["man", "plugin", "show"]);
    assert_eq!(one.stdout, place.read("man1/driftgauge-plugin-show.1"));
    let none = place.output(&["man", "worker"]);
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn the_doctor_says_what_a_spec_lacks() {
    let place = Place::new();
    let doctor = |spec: &Path| {
        let output = place
            .command(&["doctor", text(spec), "--format", "json"])
            .env_remove("NO_SUCH_KEY")
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let findings: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), findings, said)
    };
    let found = |findings: &Value, what: &str| {
        let findings = findings.as_array().expect("a list");
        let found = findings.iter().find(|finding| finding["what"] == what);
        found
            .unwrap_or_else(|| panic!("{what}: {findings:?}"))
            .clone()
    };
    let (code, findings, said) = doctor(&smoke_spec());
    assert_eq!(code, Some(0), "{said}{findings:#}");
    for what in ["spec", "metrics", "needs memory", "needs disk"] {
        assert_eq!(found(&findings, what)["sound"], true, "{what}");
    }
    let memory = found(&findings, "needs memory")["found"].to_string();
    assert!(memory.contains("GiB for `generate "), "{memory}");
    assert!(!place.path("store").exists(), "looking makes no store");

    place.write("questions.jsonl", "{\"id\": \"a\", \"q\": \"hello\"}\n");
    let spec = place.write(
        "served.yaml",
        "version: 1
name: served
models:
  subject: {endpoint: {base_url: \"http://127.0.0.1:1/v1\", model: m, api_key_env: NO_SUCH_KEY}}
datasets:
  questions: {jsonl: questions.jsonl, id: id}
metrics:
  uncertainty: {plugin: uncertainty}
evaluations:
  ask: {models: [subject], dataset: questions, prompt: [{user: \"{{ q }}\"}], generate: {max_tokens: 8}, metrics: [uncertainty]}
",
    );
    let (code, findings, said) = doctor(&spec);
    assert_eq!(code, Some(1), "{said}");
    let key = found(&findings, "needs a key");
    assert_eq!(key["sound"], false);
    assert!(
        key["found"]
            .to_string()
            .contains("`NO_SUCH_KEY` is not set"),
        "{key}"
    );
    assert!(
        key["hint"].to_string().contains("export NO_SUCH_KEY"),
        "{key}"
    );

    let spec = place.write("wrong.yaml", "version: 1\nname: wrong\nmodels: {}\n");
    let (code, findings, said) = doctor(&spec);
    assert_eq!(code, Some(1));
    assert_eq!(found(&findings, "spec")["sound"], false);
    assert!(said.contains("wrong.yaml"), "{said}");
}

#[test]
fn colours_are_left_out_where_nobody_wants_them() {
    let place = Place::new();
    let help = |quiet: bool| {
        let mut command = place.command(&["--help"]);
        command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
        if quiet {
            command.env("NO_COLOR", "1");
        }
        command.output().expect("it starts").stdout
    };
    assert!(help(false).contains(&0x1b));
    assert!(!help(true).contains(&0x1b));
}
