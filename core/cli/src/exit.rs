//! Exit codes, which scripts rely on.

use std::process::ExitCode;

use driftgauge_problem::Blame;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// A node failed, or a file could not be read or written.
    Failed,
    /// The command line or the spec is wrong; nothing ran.
    Usage,
    /// A gate of the spec failed.
    GateFailed,
    /// Ctrl-C.
    Interrupted,
}

impl From<Blame> for Exit {
    fn from(blame: Blame) -> Self {
        match blame {
            Blame::Run => Self::Failed,
            Blame::Input => Self::Usage,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::GateFailed => 100,
            Exit::Interrupted => 130,
        })
    }
}
