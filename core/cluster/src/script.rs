//! The script of a job: what `--print-jobs` shows and a queue is handed.

use std::fmt::Write as _;
use std::path::Path;

use driftgauge_ranges::Span;

use crate::call::quoted;
use crate::extra;
use crate::profile::{ExecutorKind, Profile};
use crate::queue::Submission;

/// How long before its time limit a job is told to save what it has: Slurm looks once a minute.
fn warning(time: Option<Span>) -> u64 {
    time.map_or(120, |time| (time.duration().as_secs() / 4).clamp(1, 120))
}

/// The script that runs `arguments` of the program.
#[must_use]
pub fn script(
    profile: &Profile,
    job: &Submission<'_>,
    folder: &Path,
    program: &Path,
    arguments: &[String],
) -> String {
    let mut text = String::from("#!/bin/bash\n");
    if profile.executor == ExecutorKind::Slurm {
        for option in options(profile, job, folder) {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "#SBATCH {option}");
        }
    }
    let _ = writeln!(
        text,
        "cd {} || exit 1",
        quoted(&folder.display().to_string())
    );
    // Being told of the end of its time ends a shell: nobody listens before the program does.
    text.push_str("trap '' USR1\n");
    if let Some(prologue) = &profile.prologue {
        text.push_str(prologue.trim_end());
        text.push('\n');
    }
    let program = profile.program.as_deref().unwrap_or(program);
    let mut words = Vec::new();
    if let Some(container) = &profile.container {
        words.extend(["apptainer".to_owned(), "exec".to_owned()]);
        if job.resources.gpus.is_some_and(|gpus| gpus > 0) {
            words.push("--nv".to_owned());
        }
        words.push(quoted(&container.display().to_string()));
    }
    words.push(quoted(&program.display().to_string()));
    words.extend(arguments.iter().map(|argument| quoted(argument)));
    if job.array.is_some() {
        words.push("--shard \"$SLURM_ARRAY_TASK_ID\"".to_owned());
    }
    // Signals reach the program itself.
    let _ = writeln!(text, "exec {}", words.join(" "));
    text
}

fn options(profile: &Profile, job: &Submission<'_>, folder: &Path) -> Vec<String> {
    let resources = job.resources;
    // Where the log goes; `%` begins a pattern of Slurm.
    let mut log = job.log.display().to_string().replace('%', "%%");
    if job.array.is_some() {
        let beside = job.log.with_file_name("");
        log = format!(
            "{}log-%a.txt",
            beside.display().to_string().replace('%', "%%")
        );
    }
    let mut options = vec![
        format!("--job-name={}", job.name),
        format!("--output={}", word(&log)),
        format!("--chdir={}", word(&folder.display().to_string())),
        "--open-mode=append".to_owned(),
        "--requeue".to_owned(),
        format!("--signal=B:USR1@{}", warning(resources.time)),
        "--nodes=1".to_owned(),
        "--ntasks=1".to_owned(),
    ];
    let named = [
        ("partition", &profile.partition),
        ("account", &profile.account),
        ("qos", &profile.qos),
        ("constraint", &resources.constraint),
    ];
    for (name, value) in named {
        options.extend(value.iter().map(|value| format!("--{name}={value}")));
    }
    options.extend(resources.cpus.map(|cpus| format!("--cpus-per-task={cpus}")));
    if !profile
        .extra
        .iter()
        .any(|option| extra::limits_memory(option))
    {
        let memory = resources.memory;
        options.extend(memory.map(|memory| format!("--mem={}M", memory.mebibytes())));
    }
    options.extend(
        resources
            .time
            .map(|time| format!("--time={}", time.minutes())),
    );
    let gpus = resources.gpus.filter(|&gpus| gpus > 0);
    options.extend(gpus.map(|gpus| format!("--gres=gpu:{gpus}")));
    options.extend(profile.extra.iter().cloned());
    options.extend(job.array.map(|array| format!("--array={}", array.ranges())));
    options
}

/// A value of an option as `sbatch` takes it off a line of the script: one word, in double quotes where it is not plain.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=,:@%".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Array;
    use crate::resources::Resources;

    fn rendered(profile: &str) -> String {
        rendered_as(profile, "/my run/50%/log.txt", None)
    }

    fn rendered_as(profile: &str, log: &str, array: Option<&Array>) -> String {
        let resources = Resources {
            cpus: Some(8),
            memory: "24G".parse().ok(),
            gpus: Some(1),
            time: "4h".parse().ok(),
            constraint: Some("a100".to_owned()),
        };
        let job = Submission {
            name: "dg-1a-2b.1",
            script: Path::new("/run/jobs/script.sh"),
            log: Path::new(log),
            resources: &resources,
            array,
        };
        script(
            &Profile::read(profile).unwrap(),
            &job,
            Path::new("/home/me"),
            Path::new("/opt/driftgauge"),
            &["job".to_owned(), "/it's/work.json".to_owned()],
        )
    }

    #[test]
    fn slurm_reads_its_options_in_the_script() {
        let text = rendered(
            "executor: slurm\npartition: gpu\naccount: lab\nextra: [--exclusive]\nprologue: |\n  module load cuda\n",
        );
        assert_eq!(
            text,
            r#"#!/bin/bash
#SBATCH --job-name=dg-1a-2b.1
#SBATCH --output="/my run/50%%/log.txt"
#SBATCH --chdir=/home/me
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --constraint=a100
#SBATCH --cpus-per-task=8
#SBATCH --mem=24576M
#SBATCH --time=240
#SBATCH --gres=gpu:1
#SBATCH --exclusive
cd '/home/me' || exit 1
trap '' USR1
module load cuda
exec '/opt/driftgauge' 'job' '/it'\''s/work.json'
"#
        );
    }

    #[test]
    fn in_a_container_the_program_is_that_of_the_image() {
        let text = rendered(
            "executor: command\ncontainer: /images/dg.sif\nprogram: /usr/bin/driftgauge\ncommands: {submit: 'q {script}', status: s, cancel: 'c {id}'}\n",
        );
        assert_eq!(
            text,
            "#!/bin/bash\ncd '/home/me' || exit 1\ntrap '' USR1\nexec apptainer exec --nv '/images/dg.sif' '/usr/bin/driftgauge' 'job' '/it'\\''s/work.json'\n"
        );
    }

    #[test]
    fn a_log_may_lie_in_any_folder() {
        let output = |log: &str| {
            let text = rendered_as("executor: slurm\n", log, None);
            let line = text.lines().find(|line| line.contains("--output"));
            line.unwrap_or_default().to_owned()
        };
        // As Slurm 22.05 took them.
        assert_eq!(
            output("/run/it's/log.txt"),
            r#"#SBATCH --output="/run/it's/log.txt""#
        );
        assert_eq!(
            output("/ü/a \"b\" #1/log.txt"),
            r#"#SBATCH --output="/ü/a \"b\" #1/log.txt""#
        );
        assert_eq!(output("/run/x/log.txt"), "#SBATCH --output=/run/x/log.txt");
    }

    #[test]
    fn the_tasks_of_an_array_have_logs_and_numbers_of_their_own() {
        let array = Array {
            tasks: vec![0, 1, 2, 5, 7, 8],
        };
        let text = rendered_as("executor: slurm\n", "/50%/CATALOG/log.txt", Some(&array));
        for line in [
            "#SBATCH --output=/50%%/CATALOG/log-%a.txt\n",
            "#SBATCH --array=0-2,5,7-8\n",
            "'job' '/it'\\''s/work.json' --shard \"$SLURM_ARRAY_TASK_ID\"\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn memory_by_core_takes_the_place_of_memory_by_node() {
        let text = rendered("executor: slurm\nextra: [--mem-per-cpu=4G]\n");
        assert!(text.contains("--mem-per-cpu=4G") && !text.contains("--mem=24576M"));
    }
}
