//! `driftgauge plugin`: which plugins are found, what they say of themselves, and whether they keep to the rules. Libraries are
//! loaded in a process of their own, so that a broken one is a line of output.

use std::path::{Path, PathBuf};

use driftgauge_plugin_host::{
    Locator, PluginDescription, PluginError, Program, Source, WorkerOptions, default_memory,
    describe_in_worker, examine, run_metric_in_worker,
};
use driftgauge_plugin_protocol::wire::Manifest;
use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::{Sample, SampleBatches};
use serde_json::{Value, json};

use crate::args::{CheckedPlugin, Format, OnePlugin, PluginCommand, PluginDirs};
use crate::exit::Exit;

pub(crate) fn run(command: &PluginCommand) -> Result<Exit> {
    match command {
        PluginCommand::List(args) => list(args),
        PluginCommand::Show(args) => show(args),
        PluginCommand::Check(args) => check(args),
        PluginCommand::New(args) => super::plugin_new::run(args),
    }
}

fn list(args: &PluginDirs) -> Result<Exit> {
    let locator = crate::places::locator(&args.plugin_dirs);
    let mut found = Vec::new();
    for path in locator.libraries() {
        // What is no plugin, or one that does not load, is told when it is asked for by name.
        if let Ok(described) = describe(&Source::Library(path.clone()), &options()) {
            found.push((path, described));
        }
    }
    match args.format {
        Format::Json => {
            let plugins: Vec<Value> = found.iter().map(|(path, of)| as_json(path, of)).collect();
            println!("{}", json!(plugins));
        }
        Format::Text => {
            for (path, described) in &found {
                for manifest in &described.manifests {
                    println!(
                        "{} {}  {}",
                        manifest.id, manifest.version, manifest.description
                    );
                    println!("    {}", path.display());
                }
            }
            if found.is_empty() {
                eprintln!("no plugin was found in {}", folders(&locator));
            }
        }
    }
    Ok(Exit::Done)
}

fn show(args: &OnePlugin) -> Result<Exit> {
    let (source, described) = find(args, &options())?;
    let path = source.path();
    if args.place.format == Format::Json {
        println!("{}", as_json(&path, &described));
        return Ok(Exit::Done);
    }
    for manifest in &described.manifests {
        println!("{} {}: {}", manifest.id, manifest.version, manifest.title);
        println!("{}\n", manifest.description);
        println!(
            "library   {}\nblake3    {}",
            path.display(),
            described.digest
        );
        let list = |what: &str, items: &[String]| {
            if !items.is_empty() {
                println!("{what:<9} {}", items.join(", "));
            }
        };
        list("needs", &manifest.required_fields);
        list("returns", &manifest.numbers);
        if manifest.judges {
            println!("judges    it can stand among an evaluation's judges");
        }
        println!("\nconfiguration:");
        configuration(manifest);
    }
    Ok(Exit::Done)
}

/// The keys of a configuration with what they mean.
fn configuration(manifest: &Manifest) {
    let keys = manifest.config_schema["properties"].as_object();
    let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
        println!("  none");
        return;
    };
    for (key, schema) in keys {
        let default = match &schema["default"] {
            Value::Null => String::new(),
            default => format!(" (default {default})"),
        };
        let mut words = Vec::new();
        collect_words(schema, &manifest.config_schema["$defs"], &mut words);
        let words = match words.as_slice() {
            [] => String::new(),
            words => format!(": {}", words.join(" | ")),
        };
        let text = schema["description"].as_str().unwrap_or_default();
        println!("  {key}{words}{default}\n      {}", text.replace('\n', " "));
    }
}

/// The words that a value may be, where the schema lists them; `definitions` are what it refers to.
fn collect_words(schema: &Value, definitions: &Value, words: &mut Vec<String>) {
    let lists = [&schema["enum"], &schema["anyOf"], &schema["oneOf"]];
    let parts = lists.into_iter().filter_map(Value::as_array).flatten();
    for part in parts.chain([&schema["const"]]) {
        match part {
            Value::String(word) => words.push(word.clone()),
            Value::Object(_) => collect_words(part, definitions, words),
            _ => {}
        }
    }
    if schema["items"].is_object() {
        collect_words(&schema["items"], definitions, words);
    }
    let referred = schema["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix("#/$defs/"));
    if let Some(name) = referred {
        collect_words(&definitions[name], definitions, words);
    }
}

/// Feeds a plugin samples of every kind and looks at what comes back.
fn check(args: &CheckedPlugin) -> Result<Exit> {
    let config: Value = match serde_json::from_str(&args.config) {
        Ok(config @ Value::Object(_)) => config,
        Ok(_) | Err(_) => {
            return Err(Problem::new("bad-config", "`--config` is no JSON object")
                .help("for example --config '{\"match\": \"exact\"}'")
                .of_input());
        }
    };
    let options = WorkerOptions {
        memory: Some(default_memory()).filter(|_| !args.no_memory_limit),
        ..options()
    };
    let (source, described) = find(&args.one, &options)?;
    let path = source.path();
    let executable = own_file()?;
    let mut findings = Vec::new();
    for manifest in &described.manifests {
        let run = |samples: &[Sample], size: usize| {
            let samples = samples.iter().cloned().map(Ok::<_, String>);
            let mut batches = SampleBatches::new(samples, size);
            run_metric_in_worker(
                &executable,
                &source,
                &manifest.id,
                &config,
                &mut batches,
                &options,
            )
        };
        findings.extend(examine(manifest, &run));
    }
    match args.one.place.format {
        Format::Json => {
            let list: Vec<Value> = findings
                .iter()
                .map(|finding| json!({ "metric": finding.metric, "check": finding.check, "problem": finding.problem }))
                .collect();
            println!("{}", json!({ "library": path, "checks": list }));
        }
        Format::Text => findings.iter().for_each(|finding| match &finding.problem {
            None => println!("passed  {}: {}", finding.metric, finding.check),
            Some(problem) => println!("FAILED  {}: {}: {problem}", finding.metric, finding.check),
        }),
    }
    let sound = findings.iter().all(|finding| finding.problem.is_none());
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

/// The plugin that is meant, and what it says of itself.
fn find(args: &OnePlugin, options: &WorkerOptions) -> Result<(Source, PluginDescription)> {
    let of_input = |error: PluginError| Problem::from(error).of_input();
    let source = if Path::new(&args.plugin)
        .extension()
        .is_some_and(|ending| ending == "py")
    {
        let words = ["python3".to_owned(), args.plugin.clone()];
        let program = Program::new(&words, &[], Path::new("."));
        Source::Program(program.map_err(of_input)?)
    } else {
        let locator = crate::places::locator(&args.place.plugin_dirs);
        let path = locator.locate(&args.plugin, Path::new(""));
        Source::Library(path.map_err(of_input)?)
    };
    let described = describe(&source, options).map_err(Problem::of_input)?;
    Ok((source, described))
}

fn describe(source: &Source, options: &WorkerOptions) -> Result<PluginDescription> {
    Ok(describe_in_worker(&own_file()?, source, options)?)
}

fn options() -> WorkerOptions {
    WorkerOptions {
        memory: Some(default_memory()),
        ..WorkerOptions::default()
    }
}

fn own_file() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}

fn folders(locator: &Locator) -> String {
    let folders: Vec<String> = locator
        .folders()
        .iter()
        .map(|folder| format!("`{}`", folder.display()))
        .collect();
    folders.join(", ")
}

fn as_json(path: &Path, described: &PluginDescription) -> Value {
    json!({ "library": path, "blake3": described.digest, "metrics": described.manifests })
}
