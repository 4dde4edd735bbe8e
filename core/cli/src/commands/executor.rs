//! Which executor a command means: its option, the environment, or the user's configuration file.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use driftgauge_cluster::{ExecutorKind, Profile, SCHEMA, WorkOrder, read_json, write_json};
use driftgauge_graph::exec::{Jobs, JobsSettings};
use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::RunDir;
use driftgauge_store::{Digest, Store};
use serde::Deserialize;

use crate::args::{ExecutorArgs, StoreArgs};

/// File in the folder of jobs with the profile that they were submitted by.
const PROFILE: &str = "profile.json";

/// The user's configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    executor: Option<String>,
}

/// The profile of the cluster that is meant; `None` for this machine.
pub(super) fn profile(args: &ExecutorArgs) -> Result<Option<Profile>> {
    match &args.executor {
        Some(name) => named(name, Path::new("")),
        None => match config_file().filter(|path| path.exists()) {
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read `{}`", path.display()))?;
                let config: Config = serde_yaml::from_str(&text).map_err(|error| {
                    let message = format!("`{}`: {}", path.display(), error.to_string().trim_end());
                    Problem::new("bad-config", message).of_input()
                })?;
                let base = path.parent().unwrap_or(Path::new(""));
                match config.executor {
                    Some(name) => named(&name, base)
                        .with_context(|| format!("`executor` of `{}`", path.display()))
                        .map_err(Problem::of_input),
                    None => Ok(None),
                }
            }
            None => Ok(None),
        },
    }
}

/// Refuses a queue that cannot be asked from here, before anything else is done.
pub(super) fn check(profile: &Profile) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let queue = profile.queue()?;
    runtime.block_on(queue.check()).map_err(Problem::of_input)
}

/// The profile that a word of the command line or of the configuration names; `None` for this machine.
pub(super) fn named(name: &str, base: &Path) -> Result<Option<Profile>> {
    match name {
        "local" => Ok(None),
        "slurm" => Ok(Some(Profile::slurm())),
        file => {
            let path = base.join(file);
            if !path.exists() && !file.contains(['.', '/']) {
                let message = format!("there is no executor `{file}`");
                let help = "write `local`, `slurm`, or the file of a profile (docs/cluster.md)";
                return Err(Problem::new("no-such-executor", message)
                    .help(help)
                    .of_input());
            }
            Profile::open(&path).map(Some)
        }
    }
}

fn config_file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("DRIFTGAUGE_CONFIG") {
        return Some(path.into());
    }
    let folder = match std::env::var_os("XDG_CONFIG_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".config"),
    };
    Some(folder.join("driftgauge/config.yaml"))
}

/// What the names of a run's jobs begin with: the same for whoever runs into its folder.
pub(super) fn run_name(out: &Path) -> String {
    let digest = Digest::of(format!("run folder {}", out.display()).as_bytes());
    format!("dg-{}", &digest.as_str()[..8])
}

/// What every job of a run is told.
pub(super) fn settings(
    profile: Profile,
    out: &RunDir,
    store: &Store,
    args: &StoreArgs,
    (offline, strict): (bool, bool),
) -> Result<JobsSettings> {
    let absolute = |path: &Path| {
        std::path::absolute(path).with_context(|| format!("cannot find `{}`", path.display()))
    };
    let out_path = absolute(out.path())?;
    let folder = out_path.to_string_lossy();
    if profile.executor == ExecutorKind::Slurm && folder.contains(['\\', '\n', '\r']) {
        let message = format!(
            "`{}` cannot hold the logs of Slurm's jobs: its path has a backslash or an end of line in it",
            folder.escape_debug()
        );
        let help = "name another folder with `--out DIR`";
        return Err(Problem::new("bad-folder", message).help(help).of_input());
    }
    let plugin_dirs = args.plugin_dirs.iter().map(|dir| absolute(dir));
    Ok(JobsSettings {
        order: WorkOrder {
            schema: SCHEMA,
            driftgauge: env!("CARGO_PKG_VERSION").to_owned(),
            spec: absolute(&out.spec())?,
            store: store.root().to_owned(),
            plugin_dirs: plugin_dirs.collect::<Result<_>>()?,
            limit: args.limit.map(NonZeroUsize::get),
            device: args.device.clone(),
            offline,
            strict,
            cpus: None,
            keys: Vec::new(),
            nodes: Vec::new(),
            shards: None,
        },
        profile,
        run: run_name(&out_path),
        folder: RunDir::new(&out_path).jobs(),
        working_dir: std::env::current_dir().context("cannot find the working folder")?,
        program: std::env::current_exe().context("cannot find this program's own file")?,
    })
}

/// The run's jobs, with the profile kept for `status` and `cancel`.
pub(super) fn open(settings: JobsSettings) -> Result<Jobs> {
    keep_profile(&settings)?;
    Jobs::open(settings)
}

/// Keeps the profile where `status` and `cancel` find it.
pub(super) fn keep_profile(settings: &JobsSettings) -> Result<()> {
    std::fs::create_dir_all(&settings.folder)
        .with_context(|| format!("cannot make `{}`", settings.folder.display()))?;
    write_json(&settings.folder.join(PROFILE), &settings.profile)
}

/// The profile by which the jobs of a run were submitted.
pub(super) fn kept_profile(folder: &Path) -> Result<Option<Profile>> {
    read_json(&folder.join(PROFILE))
}
