//! mistral.rs in a process of its own, asked by a worker whose engine is held against it: it leaves nothing behind.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use driftgauge_engine::worker::{Job, MARK, Reply, TestifyJob};
use driftgauge_engine::{LoadModel, Probes, Testimony};
use driftgauge_problem::{Context as _, Problem, Result};

/// Asks mistral.rs what it answers to probes.
///
/// # Errors
/// When it cannot load the model or gives no answer.
pub(super) fn ask(model: &LoadModel, probes: &Probes) -> Result<Testimony> {
    let exe = std::env::current_exe().context("cannot find this program's own file")?;
    let mut child = Command::new(exe)
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a witness")?;
    let job = Job::Testify(Box::new(TestifyJob {
        model: model.clone(),
        probes: probes.clone(),
    }));
    // Open until it has answered: a worker ends as soon as its input does.
    let mut input = child.stdin.take().ok_or("the witness has no input")?;
    let told = serde_json::to_string(&job)?;
    let testimony = match writeln!(input, "{told}") {
        Ok(()) => testimony(child.stdout.take().into_iter().map(BufReader::new)),
        Err(error) => Err(Problem::from(format!(
            "the witness did not listen: {error}"
        ))),
    };
    drop(input);
    let status = child.wait().context("the witness was lost")?;
    testimony?.ok_or_else(|| Problem::failed(format!("the witness ended with {status}")))
}

/// What it says at its end; `None` where it ends without a word.
fn testimony(output: impl Iterator<Item = impl BufRead>) -> Result<Option<Testimony>> {
    for line in output.flat_map(BufRead::lines) {
        let line = line.context("the witness cannot be heard")?;
        let Some(text) = line.strip_prefix(MARK) else {
            continue;
        };
        match serde_json::from_str(text).context("the witness said something unreadable")? {
            Reply::Done(said) => return Ok(Some(serde_json::from_value(said)?)),
            Reply::Fatal(error) => return Err(error),
            _ => {}
        }
    }
    Ok(None)
}
