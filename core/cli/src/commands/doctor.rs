//! `driftgauge doctor`: what a run would need of this machine, looked at before one is started.

mod needs;

use std::path::Path;

use driftgauge_plugin_host::PluginLibrary;
use driftgauge_problem::{Problem, Result};
use driftgauge_store::Store;
use indicatif::HumanBytes;
use serde::Serialize;
use serde_json::json;

use crate::args::{DoctorArgs, Format};
use crate::exit::Exit;
use crate::generation;
use crate::places;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What.
    what: &'static str,
    /// Whether a run can work with it.
    sound: bool,
    /// What was found.
    found: String,
    /// What to do where it is not sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    fn sound(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            sound: true,
            found: found.into(),
            hint: None,
        }
    }

    fn unsound(what: &'static str, problem: impl Into<Problem>) -> Self {
        let problem = problem.into();
        Self {
            what,
            sound: false,
            found: problem.message,
            hint: problem.help,
        }
    }
}

pub(crate) fn run(args: &DoctorArgs) -> Result<Exit> {
    let mut findings = vec![
        Finding::sound(
            "version",
            format!(
                "driftgauge {}, {}",
                env!("CARGO_PKG_VERSION"),
                generation::ENGINE
            ),
        ),
        processor(),
        memory(),
        device(&args.store.device),
        store(&args.store.store),
        plugins(args),
        hub(),
    ];
    if let Some(spec) = &args.spec {
        findings.extend(needs::of_spec(spec.clone(), args)?);
    }
    match args.format {
        Format::Json => println!("{}", json!(findings)),
        Format::Text => {
            for finding in &findings {
                let mark = if finding.sound { "ok  " } else { "FAIL" };
                println!("{mark}  {:<12} {}", finding.what, finding.found);
                if let Some(hint) = &finding.hint {
                    println!("{:18} hint: {hint}", "");
                }
            }
        }
    }
    let sound = findings.iter().all(|finding| finding.sound);
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

fn processor() -> Finding {
    match std::thread::available_parallelism() {
        Ok(threads) => Finding::sound(
            "processor",
            format!("{threads} threads, {}", std::env::consts::ARCH),
        ),
        Err(error) => Finding::unsound(
            "processor",
            Problem::failed(format!("its threads cannot be counted: {error}"))
                .help("name a number with `--jobs`"),
        ),
    }
}

fn memory() -> Finding {
    /// The demo's largest process takes less than 200 MiB.
    const LEAST: u64 = 1 << 30;
    match driftgauge_graph::exec::available_memory() {
        Some(bytes) if bytes < LEAST => Finding::unsound(
            "memory",
            Problem::failed(format!("{} can be had", HumanBytes(bytes)))
                .help("end other programs, or evaluate a smaller model"),
        ),
        Some(bytes) => Finding::sound("memory", format!("{} can be had", HumanBytes(bytes))),
        None => Finding::sound("memory", "this system does not tell"),
    }
}

fn device(name: &str) -> Finding {
    let compute = driftgauge_lm::Compute {
        device: Some(name.to_owned()),
        dtype: None,
    };
    let class = compute
        .device_class()
        .and_then(|class| compute.open_device().map(|_| class));
    match class {
        Ok("cpu") if !driftgauge_lm::built_for_gpu() => Finding::sound(
            "device",
            "cpu (this build has no support for GPUs; docs/cuda.md says how to make one that has)",
        ),
        Ok(class) => Finding::sound("device", class),
        Err(error) => Finding::unsound("device", error),
    }
}

fn store(root: &Path) -> Finding {
    // Looking must not make one.
    if !root.exists() {
        return Finding::sound(
            "store",
            format!("`{}`, which the first run will make", root.display()),
        );
    }
    let opened = Store::open(root).and_then(|store| {
        let entries = store.entries()?;
        // Joined only to see whether it can be written, and who else does.
        let others = store.writer()?.others()?;
        Ok((store, entries, others))
    });
    match opened {
        Ok((store, entries, others)) => {
            let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
            let found = format!(
                "`{}`, {} entries, {}",
                store.root().display(),
                entries.len(),
                HumanBytes(bytes)
            );
            let found = others
                .iter()
                .fold(found, |found, other| format!("{found}, in use by {other}"));
            Finding::sound("store", found)
        }
        Err(error) => Finding::unsound("store", error),
    }
}

/// The plugins that come with the binary, which the paper's experiment needs.
fn plugins(args: &DoctorArgs) -> Finding {
    let locator = places::locator(&args.store.plugin_dirs);
    let mut folders: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for name in places::BUILT_IN {
        let loaded = locator
            .locate(name, Path::new(""))
            .and_then(|path| PluginLibrary::load(&path));
        match loaded {
            Ok(library) => {
                let of = library.manifests().iter();
                found.extend(of.map(|of| format!("{} {}", of.id, of.version)));
                let folder = library.path().parent().unwrap_or(Path::new(""));
                let folder = format!("`{}`", folder.display());
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
            Err(error) => return Finding::unsound("plugins", error),
        }
    }
    let found = format!("{}, of {}", found.join(", "), folders.join(", "));
    Finding::sound("plugins", found)
}

fn hub() -> Finding {
    match driftgauge_data::hub::cache() {
        Some(folder) => Finding::sound(
            "hub",
            format!("models and datasets are kept in `{}`", folder.display()),
        ),
        None => Finding::unsound(
            "hub",
            Problem::failed("there is no place for the hub's cache")
                .help("set `HF_HOME` to a folder"),
        ),
    }
}
