//! `driftgauge check --executor`: whether the profile of a cluster can be used from here. Nothing is submitted; Slurm is asked by
//! `sbatch --test-only` whether it would take a job of each kind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use driftgauge_cluster::{Profile, Queue, Reckoned, Resources, Submission, Task, script};
use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::visible;
use serde::Serialize;
use serde_json::json;

use super::executor;
use crate::args::SpecFormat;
use crate::exit::Exit;

/// One thing that was tried.
#[derive(Debug, Serialize)]
struct Tried {
    /// What.
    what: String,
    /// What was found; the reason where it does not work.
    found: String,
    /// What to do where it does not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Whether a run can work with it.
    sound: bool,
}

impl Tried {
    fn of(what: &str, outcome: Result<String>) -> Self {
        let what = what.to_owned();
        match outcome {
            Ok(found) => Self {
                what,
                found,
                hint: None,
                sound: true,
            },
            Err(problem) => Self {
                what,
                found: problem.message,
                hint: problem.help,
                sound: false,
            },
        }
    }
}

pub(crate) fn run(name: &str, format: SpecFormat) -> Result<Exit> {
    let Some(profile) = executor::named(name, Path::new(""))? else {
        println!("`{name}`: this machine; nothing is submitted anywhere");
        return Ok(Exit::Done);
    };
    let all = try_all(&profile)?;
    let sound = all.iter().all(|tried| tried.sound);
    match format {
        SpecFormat::Json => println!(
            "{}",
            serde_json::to_string_pretty(
                &json!({ "executor": name, "sound": sound, "tried": all })
            )?
        ),
        SpecFormat::Text | SpecFormat::Github | SpecFormat::Sarif => {
            let mut text = String::new();
            for Tried {
                what,
                found,
                hint,
                sound,
            } in &all
            {
                let mark = if *sound { "ok   " } else { "ERROR" };
                text.push_str(&format!("  {mark}  {what:<12}  {found}\n"));
                if let Some(hint) = hint {
                    text.push_str(&format!("                       {hint}\n"));
                }
            }
            let last = match sound {
                true => format!("`{name}` can be used from here; nothing was submitted\n"),
                false => format!("`{name}` cannot be used as it is; nothing was submitted\n"),
            };
            print!("{}", visible(&(text + &last)));
        }
    }
    Ok(if sound { Exit::Done } else { Exit::Usage })
}

fn try_all(profile: &Profile) -> Result<Vec<Tried>> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let mut all = vec![Tried::of("program", program(profile, &own))];
    if let Some(container) = &profile.container {
        all.push(Tried::of("container", image(container)));
    }
    let queue = profile.queue()?;
    let reached = runtime.block_on(reached(queue.as_ref()));
    let is_reached = reached.is_ok();
    all.push(Tried::of("queue", reached));
    let folder = std::env::temp_dir().join(format!("driftgauge-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make `{}`", folder.display()))?;
    let mut scripts = Vec::new();
    for task in Task::ALL {
        let asked = profile.asked(task, &Resources::default(), &Reckoned::default());
        scripts.push((
            task,
            write_script(profile, &asked.resources, &own, &folder)?,
            asked,
        ));
    }
    if let Some((_, script, _)) = scripts.first() {
        all.push(Tried::of("script", shell_reads(script)));
    }
    for (task, script, asked) in &scripts {
        if is_reached {
            let job = submission(script, &asked.resources);
            let said = runtime.block_on(queue.test(job));
            let said = said.map(|said| format!("{asked}: {said}"));
            all.push(Tried::of(task.as_str(), said));
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    Ok(all)
}

/// Whether the program of the nodes is this one, as far as that can be seen from here.
fn program(profile: &Profile, own: &Path) -> Result<String> {
    let version = env!("CARGO_PKG_VERSION");
    let path = match &profile.program {
        None => return Ok(format!("`{}`, {version}, as here", own.display())),
        Some(path) if profile.container.is_some() => {
            return Ok(format!(
                "`{}` in the image, which is not looked into",
                path.display()
            ));
        }
        Some(path) => path,
    };
    let output = Command::new(path)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot start `{}`", path.display()))
        .map_err(|problem| {
            problem.help("`program` of the profile is the path that the nodes see")
        })?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if said.split_whitespace().last() == Some(version) {
        return Ok(format!("`{}`, {version}", path.display()));
    }
    let message = format!(
        "`{}` is `{said}`, and this is driftgauge {version}",
        path.display()
    );
    Err(Problem::new("other-version", message)
        .help("name the same program, or leave `program` out where the nodes see this one"))
}

fn image(path: &Path) -> Result<String> {
    std::fs::metadata(path)
        .with_context(|| format!("cannot find the image `{}`", path.display()))
        .map(|_| format!("`{}`", path.display()))
}

/// Whether the queue answers.
async fn reached(queue: &dyn Queue) -> Result<String> {
    queue.check().await?;
    let began = Instant::now();
    let listed = queue.list().await?;
    Ok(format!(
        "answers in {:.1} s; {} jobs of yours",
        began.elapsed().as_secs_f64(),
        listed.len()
    ))
}

fn write_script(
    profile: &Profile,
    resources: &Resources,
    own: &Path,
    folder: &Path,
) -> Result<PathBuf> {
    let path = folder.join("script.sh");
    let text = script(
        profile,
        &submission(&path, resources),
        &std::env::current_dir().context("cannot find the working folder")?,
        own,
        &[
            "job".to_owned(),
            folder.join("work.json").display().to_string(),
        ],
    );
    let count = std::fs::read_dir(folder).map_or(0, Iterator::count);
    let path = folder.join(format!("script-{count}.sh"));
    std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

fn submission<'a>(script: &'a Path, resources: &'a Resources) -> Submission<'a> {
    Submission {
        name: "dg-check",
        script,
        log: Path::new("/dev/null"),
        resources,
        array: None,
    }
}

/// Whether the shell can read the script, with the prologue in it; nothing of it is run.
fn shell_reads(script: &Path) -> Result<String> {
    let output = Command::new("bash")
        .arg("-n")
        .arg(script)
        .output()
        .context("cannot start `bash`")?;
    if output.status.success() {
        return Ok("the shell can read it; what the prologue does is not tried".to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = said.lines().next().unwrap_or_default().to_owned();
    Err(
        Problem::new("bad-prologue", format!("the shell cannot read it: {said}"))
            .help("`prologue` of the profile is not closed somewhere"),
    )
}
