//! Options of `sbatch` that a profile may not add: those that have a key of their own, and those that something here rests on.

/// Long name, short name, and what to do instead.
const REFUSED: [(&str, &str, &str); 23] = [
    ("--time", "-t", "the profile has the key `time` for it"),
    ("--mem", "", "the profile has the key `memory` for it"),
    (
        "--cpus-per-task",
        "-c",
        "the profile has the key `cpus` for it",
    ),
    (
        "--partition",
        "-p",
        "the profile has the key `partition` for it",
    ),
    (
        "--account",
        "-A",
        "the profile has the key `account` for it",
    ),
    ("--qos", "-q", "the profile has the key `qos` for it"),
    (
        "--constraint",
        "-C",
        "the profile has the key `constraint` for it",
    ),
    (
        "--clusters",
        "-M",
        "all jobs of a run are of one cluster; another than the local one is named by the environment variable `SLURM_CLUSTERS`",
    ),
    ("--array", "-a", "what is divided is decided by `shard`"),
    ("--job-name", "-J", "jobs are found again by their names"),
    ("--output", "-o", "the log stands in the run folder"),
    ("--error", "-e", "the log stands in the run folder"),
    ("--open-mode", "", "a log is added to"),
    ("--chdir", "-D", "a job starts where the run does"),
    (
        "--signal",
        "",
        "a job is told by `USR1` to save what it has",
    ),
    ("--nodes", "-N", "a job has one node"),
    ("--ntasks", "-n", "a job has one task"),
    ("--wait", "-W", "it waits until the job is over"),
    ("--test-only", "", "it submits nothing"),
    ("--wrap", "", "it takes the place of the script"),
    ("--quiet", "-Q", "the job's id would be lost"),
    ("--parsable", "", "it is there already"),
    ("--no-requeue", "", "a job whose node is lost begins again"),
];

/// Why an option may not stand in `extra`.
pub(crate) fn complaint(option: &str) -> Option<String> {
    if !option.starts_with('-') {
        return Some(format!(
            "`{option}` of `extra` is no option: it has no dashes"
        ));
    }
    let (_, _, why) = REFUSED.iter().find(|(long, short, _)| {
        is_long(option, long) || (!short.is_empty() && is_short(option, short))
    })?;
    Some(format!("`{option}` of `extra` cannot be added: {why}"))
}

/// Whether an option limits memory in a way of its own, which `--mem` beside it would contradict.
pub(crate) fn limits_memory(option: &str) -> bool {
    is_long(option, "--mem-per-cpu") || is_long(option, "--mem-per-gpu")
}

fn is_long(option: &str, name: &str) -> bool {
    let rest = option.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ' ']))
}

/// A short option may have its value behind it.
fn is_short(option: &str, name: &str) -> bool {
    !option.starts_with("--") && option.starts_with(name)
}
