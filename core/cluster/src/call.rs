//! Calls a program of a queue.

use std::process::Stdio;
use std::time::Duration;

use driftgauge_problem::Problem;
use tokio::process::Command;

/// A controller that is away costs up to 18 s; what takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program said, and its exit code.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) error: String,
}

impl Said {
    /// What it complained of, in one line.
    pub(crate) fn complaint(&self) -> String {
        let text = if self.error.trim().is_empty() {
            &self.output
        } else {
            &self.error
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let text = lines.collect::<Vec<_>>().join("; ");
        match (self.code, text.is_empty()) {
            (_, false) => text,
            (Some(code), true) => format!("exit code {code}"),
            (None, true) => "it was ended by a signal".to_owned(),
        }
    }
}

/// Runs a program to its end.
pub(crate) async fn call(program: &str, arguments: &[String]) -> Result<Said, Problem> {
    let mut command = Command::new(program);
    command.args(arguments);
    // What is read has to be in one language. A job gets the environment of its submission, and keeps its own.
    if program != "sbatch" {
        command.env("LC_ALL", "C");
    }
    finish(command, program).await
}

/// Runs a line through the shell.
pub(crate) async fn shell(line: &str) -> Result<Said, Problem> {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    finish(command, line).await
}

async fn finish(mut command: Command, what: &str) -> Result<Said, Problem> {
    for (name, _) in std::env::vars_os() {
        if is_of_a_job(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            let message = format!("cannot start `{what}`: {error}");
            return Err(Problem::new("no-queue", message));
        }
        Err(_) => {
            let message = format!("`{what}` did not answer within {} s", PATIENCE.as_secs());
            return Err(Problem::new("queue-silent", message));
        }
    };
    Ok(Said {
        code: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Variables that change what the programs of Slurm say, or that a job hands down to what it submits: its own two limits of memory
/// refuse each other, and the cores that it was bound to would be those of the new job as well. Where Slurm is, is kept.
fn is_of_a_job(name: &str) -> bool {
    let prefixes = [
        "SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "SRUN_", "PMI_", "PMIX_",
    ];
    let is_place = ["SLURM_CONF", "SLURM_CLUSTERS"].contains(&name);
    !is_place && prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// A word that a shell takes as it is.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_job_is_handed_down_but_where_slurm_is() {
        for name in [
            "SLURM_MEM_PER_CPU",
            "SLURM_CPU_BIND",
            "SBATCH_PARTITION",
            "SQUEUE_FORMAT",
            "SLURM_TIME_FORMAT",
            "PMIX_RANK",
        ] {
            assert!(is_of_a_job(name), "{name}");
        }
        for name in ["SLURM_CONF", "SLURM_CLUSTERS", "PATH", "HF_HOME", "PMIND"] {
            assert!(!is_of_a_job(name), "{name}");
        }
    }
}
