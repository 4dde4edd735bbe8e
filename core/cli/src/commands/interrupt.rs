//! What becomes of the jobs of a run that is interrupted.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use driftgauge_problem::Result;
use driftgauge_record::RunDir;

use super::jobs::cancel_run;
use crate::args::OnInterrupt;

/// A run that follows jobs, or none.
#[derive(Debug, Clone)]
pub(super) struct Following {
    is_cluster: bool,
    wish: Option<OnInterrupt>,
    /// Whether the jobs are to be cancelled at the end.
    cancels: Arc<AtomicBool>,
}

impl Following {
    pub(super) fn new(is_cluster: bool, wish: Option<OnInterrupt>) -> Self {
        Self {
            is_cluster,
            wish,
            cancels: Arc::default(),
        }
    }

    /// Says what happens now; a terminal is asked where nobody has said it before.
    pub(super) fn decide(&self) {
        if !self.is_cluster {
            eprintln!("interrupted: stopping; what is finished is kept");
            return;
        }
        let cancels = match self.wish {
            Some(wish) => wish == OnInterrupt::Cancel,
            None => std::io::stdin().is_terminal() && asked(),
        };
        self.cancels.store(cancels, Ordering::SeqCst);
        match cancels {
            true => eprintln!("interrupted: cancelling the jobs; what is finished is kept"),
            false => eprintln!("interrupted: the jobs go on"),
        }
    }

    /// Does what was decided.
    pub(super) fn end(&self, out: &RunDir) -> Result<()> {
        if !self.is_cluster {
            eprintln!("hint: the same command goes on from here");
        } else if self.cancels.load(Ordering::SeqCst) {
            let cancelled = cancel_run(out)?;
            eprintln!(
                "{} jobs cancelled\nhint: the same command goes on from here",
                cancelled.len()
            );
        } else {
            eprintln!(
                "hint: the same command takes the jobs over; `driftgauge status {dir}` shows them, `driftgauge cancel {dir}` takes them back",
                dir = out.path().display()
            );
        }
        Ok(())
    }
}

fn asked() -> bool {
    eprintln!(
        "the jobs can go on without this run: leave them (l, the default), or cancel them (c)?"
    );
    let mut line = String::new();
    // A terminal that is gone says nothing.
    let _ = std::io::stdin().lock().read_line(&mut line);
    line.trim().eq_ignore_ascii_case("c")
}
