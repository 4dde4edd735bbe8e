//! What a queue says of a job, in types: a word that nobody knows is neither success nor failure.

use serde::{Deserialize, Serialize};

/// Where a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It waits, also for another try that the queue itself makes of it.
    Waiting,
    /// It runs, or is about to, or stands still for a while.
    Running,
    /// It is over.
    Over(End),
    /// A word that is not known: waited for, and told.
    Unknown(String),
}

/// How a queue says that a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its script ended well.
    Completed,
    /// Its script ended with an error.
    Failed,
    /// Someone cancelled it.
    Cancelled,
    /// It ran into its time limit.
    TimedOut,
    /// It wanted more memory than it had asked for.
    OutOfMemory,
    /// It had to make room for another.
    Preempted,
    /// Its node was lost, or never came up.
    NodeLost,
    /// It is over, and the queue no longer knows how it ended.
    Forgotten,
}

impl End {
    /// What decides of several ends: what the next try has to be given more of comes first.
    fn weight(self) -> u8 {
        match self {
            Self::OutOfMemory => 7,
            Self::TimedOut => 6,
            Self::Cancelled => 5,
            Self::Failed => 4,
            Self::NodeLost => 3,
            Self::Preempted => 2,
            Self::Forgotten => 1,
            Self::Completed => 0,
        }
    }
}

impl State {
    /// The state that Slurm means by a word, as `squeue` and `sacct` write it.
    #[must_use]
    pub fn of_slurm(word: &str) -> Self {
        // `CANCELLED by 1000`, and a `+` where a column was too narrow.
        let known = word.split(' ').next().unwrap_or("").trim_end_matches('+');
        match known {
            "PENDING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "RESV_DEL_HOLD"
            | "SPECIAL_EXIT" => Self::Waiting,
            "RUNNING" | "CONFIGURING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "RESIZING"
            | "SIGNALING" | "STAGE_OUT" => Self::Running,
            "COMPLETED" => Self::Over(End::Completed),
            "FAILED" => Self::Over(End::Failed),
            "CANCELLED" | "REVOKED" => Self::Over(End::Cancelled),
            "TIMEOUT" | "DEADLINE" => Self::Over(End::TimedOut),
            "OUT_OF_MEMORY" => Self::Over(End::OutOfMemory),
            "PREEMPTED" => Self::Over(End::Preempted),
            "NODE_FAIL" | "BOOT_FAIL" => Self::Over(End::NodeLost),
            _ => Self::Unknown(word.to_owned()),
        }
    }

    /// The state that a word of this project means, which the commands of a profile write.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "waiting" => Self::Waiting,
            "running" => Self::Running,
            "completed" => Self::Over(End::Completed),
            "failed" => Self::Over(End::Failed),
            "cancelled" => Self::Over(End::Cancelled),
            "timed_out" => Self::Over(End::TimedOut),
            "out_of_memory" => Self::Over(End::OutOfMemory),
            "preempted" => Self::Over(End::Preempted),
            "node_lost" => Self::Over(End::NodeLost),
            _ => return None,
        })
    }

    /// Where two tasks of an array are together: as long as one is not over, neither is the array; then it ended as its worst did.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Over(a), Self::Over(b)) => {
                Self::Over(if a.weight() >= b.weight() { a } else { b })
            }
            (Self::Running, _) | (_, Self::Running) => Self::Running,
            (Self::Waiting, _) | (_, Self::Waiting) => Self::Waiting,
            (Self::Unknown(word), _) | (_, Self::Unknown(word)) => Self::Unknown(word),
        }
    }

    /// The words that [`Self::named`] knows.
    pub const NAMES: &str = "waiting, running, completed, failed, cancelled, timed_out, out_of_memory, preempted, node_lost";
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Waiting => f.write_str("waiting"),
            Self::Running => f.write_str("running"),
            Self::Over(end) => write!(f, "{end}"),
            Self::Unknown(word) => write!(f, "unknown (`{word}`)"),
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "over its time limit",
            Self::OutOfMemory => "out of memory",
            Self::Preempted => "preempted",
            Self::NodeLost => "its node was lost",
            Self::Forgotten => "gone from the queue",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_slurm_are_states_and_others_are_unknown() {
        assert_eq!(State::of_slurm("PENDING"), State::Waiting);
        assert_eq!(State::of_slurm("COMPLETING"), State::Running);
        assert_eq!(
            State::of_slurm("CANCELLED by 1000"),
            State::Over(End::Cancelled)
        );
        assert_eq!(State::of_slurm("CANCELLED+"), State::Over(End::Cancelled));
        assert_eq!(State::of_slurm("NODE_FAIL"), State::Over(End::NodeLost));
        assert_eq!(
            State::of_slurm("EXPEDITING"),
            State::Unknown("EXPEDITING".to_owned())
        );
        assert_eq!(State::of_slurm(""), State::Unknown(String::new()));
    }

    #[test]
    fn every_name_is_known() {
        for name in State::NAMES.split(", ") {
            assert!(State::named(name).is_some(), "{name}");
        }
        assert_eq!(State::named("R"), None);
    }
}
