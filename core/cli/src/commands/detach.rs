//! `run --detach`: the run itself as a small job, which submits itself again when its time runs out.

use std::path::Path;

use driftgauge_cluster::{
    JobId, Reckoned, Resources, State, Submission, Task, read_json, script, write_json,
};
use driftgauge_graph::exec::JobsSettings;
use driftgauge_problem::{Context as _, Problem, Result};
use serde::{Deserialize, Serialize};

/// Folder of the run's own job, among the others.
const FOLDER: &str = "driver";
const SCRIPT: &str = "script.sh";
const LOG: &str = "log.txt";
const DRIVER: &str = "driver.json";

/// The job that a run is in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Driver {
    /// The queue's id of it.
    pub(super) id: JobId,
    /// Its name.
    name: String,
    /// What it asks for.
    resources: Resources,
}

/// The job that the run in a folder was put into last.
pub(super) fn driver(jobs: &Path) -> Result<Option<Driver>> {
    read_json(&jobs.join(FOLDER).join(DRIVER))
}

/// Puts the run of this command line into a job.
pub(super) fn submit(settings: &JobsSettings) -> Result<JobId> {
    let queue = settings.profile.queue()?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    if let Some(driver) = driver(&settings.folder)? {
        let listed = runtime.block_on(queue.list())?;
        let mut same = listed.iter().filter(|job| job.id == driver.id);
        if same.any(|job| !matches!(job.state, State::Over(_))) {
            let message = format!("this run is in the queue already, as job {}", driver.id);
            let help = "`driftgauge status DIR` shows it, `driftgauge cancel DIR` takes it back";
            return Err(Problem::new("detached-already", message)
                .help(help)
                .of_input());
        }
    }
    super::executor::keep_profile(settings)?;
    let folder = settings.folder.join(FOLDER);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make `{}`", folder.display()))?;
    let driver = Driver {
        id: JobId(String::new()),
        name: format!("{}-driver", settings.run),
        resources: settings
            .profile
            .asked(Task::Driver, &Resources::default(), &Reckoned::default())
            .resources,
    };
    let (script_path, log) = (folder.join(SCRIPT), folder.join(LOG));
    let text = script(
        &settings.profile,
        &submission(&driver, &script_path, &log),
        &settings.working_dir,
        &settings.program,
        &arguments(settings, &folder)?,
    );
    std::fs::write(&script_path, text)
        .with_context(|| format!("cannot write `{}`", script_path.display()))?;
    runtime.block_on(hand_over(settings, driver, &folder))
}

/// Submits the run anew from inside its job, whose time is nearly over.
pub(super) fn again(settings: &JobsSettings, folder: &Path) -> Result<JobId> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let driver: Driver = read_json(&folder.join(DRIVER))?
        .ok_or_else(|| format!("`{}` holds no job of a run", folder.display()))?;
    runtime.block_on(hand_over(settings, driver, folder))
}

async fn hand_over(settings: &JobsSettings, driver: Driver, folder: &Path) -> Result<JobId> {
    let queue = settings.profile.queue()?;
    let (script_path, log) = (folder.join(SCRIPT), folder.join(LOG));
    let submitted = queue.submit(submission(&driver, &script_path, &log)).await;
    let id = submitted.map_err(|refusal| refusal.problem())?;
    let driver = Driver {
        id: id.clone(),
        ..driver
    };
    write_json(&folder.join(DRIVER), &driver)?;
    Ok(id)
}

fn submission<'a>(driver: &'a Driver, script: &'a Path, log: &'a Path) -> Submission<'a> {
    Submission {
        name: &driver.name,
        script,
        log,
        resources: &driver.resources,
        array: None,
    }
}

/// This command line, for a job that may have another environment.
fn arguments(settings: &JobsSettings, folder: &Path) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for argument in std::env::args_os().skip(1) {
        let argument = argument.into_string().map_err(|argument| {
            Problem::failed(format!(
                "{} is no text that a script can hold",
                argument.display()
            ))
        })?;
        if argument != "--detach" {
            arguments.push(argument);
        }
    }
    let given = |name: &str, arguments: &[String]| {
        let with_value = format!("{name}=");
        let mut arguments = arguments.iter();
        arguments.any(|argument| argument == name || argument.starts_with(&with_value))
    };
    if !given("--store", &arguments) {
        arguments.extend([
            "--store".to_owned(),
            settings.order.store.display().to_string(),
        ]);
    }
    if !given("--executor", &arguments)
        && let Ok(executor) = std::env::var("DRIFTGAUGE_EXECUTOR")
    {
        arguments.extend(["--executor".to_owned(), executor]);
    }
    if !given("--device", &arguments) {
        arguments.extend(["--device".to_owned(), settings.order.device.clone()]);
    }
    if !given("--on-interrupt", &arguments) {
        arguments.extend(["--on-interrupt".to_owned(), "leave".to_owned()]);
    }
    arguments.extend(["--detached".to_owned(), folder.display().to_string()]);
    Ok(arguments)
}
