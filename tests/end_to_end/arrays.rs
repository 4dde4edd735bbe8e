//! Slurm as a script plays it: answers divided among the tasks of an array, a profile that is tried, and where amounts come from.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Place, smoke_spec, tests_dir, text};

struct Cluster {
    place: Place,
}

impl Cluster {
    fn new(profile: &str) -> Self {
        let place = Place::new();
        place.write("profile.yaml", profile);
        Self { place }
    }

    fn queue(&self) -> PathBuf {
        self.place.path("queue")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let programs = tests_dir().join("fixtures/cluster/slurm");
        let programs = programs.canonicalize().expect("the programs");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = self.place.command(arguments);
        command
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("PRETENDED_QUEUE", self.queue());
        command
    }

    fn run(&self, spec: &str) -> Output {
        let arguments = ["run", spec, "--out", "run", "--executor", "profile.yaml"];
        self.command(&arguments).output().expect("the binary runs")
    }

    /// The scripts that were submitted.
    fn scripts(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.queue()).expect("a queue").flatten();
        let scripts = files
            .map(|file| file.path())
            .filter(|path| text(path).ends_with(".script"));
        scripts
            .map(|path| std::fs::read_to_string(path).expect("a script"))
            .collect()
    }
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

const FAST: &str = "executor: slurm\ncpus: 1\nmemory: 1G\npoll: 1s\ngrace: 3s\n";

#[test]
fn answers_divided_among_tasks_of_which_one_is_lost_are_the_same_bytes() {
    let spec = smoke_spec();
    let local = Place::new();
    local.run(&spec, "run");
    let cluster = Cluster::new(&format!("{FAST}shard: 1s\n"));
    std::fs::create_dir_all(cluster.queue()).expect("a folder");
    std::fs::write(cluster.queue().join("lose"), "").expect("a file");
    let output = cluster.run(text(&spec));
    assert!(output.status.success(), "{}", said(&output));
    for file in [
        "results.json",
        "samples/harmfulness.parquet",
        "samples/drift.parquet",
    ] {
        let name = format!("run/{file}");
        assert!(
            cluster.place.read(&name) == local.read(&name),
            "{file} differs"
        );
    }
    let scripts = cluster.scripts();
    let divided = scripts
        .iter()
        .filter(|script| script.contains("#SBATCH --array=0-2\n"));
    assert_eq!(divided.count(), 2, "one array for each model: {scripts:?}");
    assert!(!cluster.queue().join("lose").exists());
    let events = cluster.place.read("run/events.jsonl");
    let events = String::from_utf8_lossy(&events).into_owned();
    assert!(
        events.contains("ended (its node was lost): another try, from what it saved"),
        "{events}"
    );
    // Each task answered its own part: none of the others began with it.
    let answered = |task: u32| {
        let name = format!("events-{task}.jsonl");
        let mut found = 0;
        for job in std::fs::read_dir(cluster.place.path("run/jobs"))
            .expect("jobs")
            .flatten()
        {
            found += usize::from(job.path().join("try-1").join(&name).exists());
        }
        found
    };
    assert_eq!((answered(0), answered(1), answered(2)), (2, 1, 2));
    let again = cluster.run(text(&spec));
    assert!(said(&again).contains("0 nodes ran"), "{}", said(&again));
}

#[test]
fn jobs_in_the_queue_are_never_more_than_allowed_when_answers_are_divided() {
    let cluster = Cluster::new(&format!("{FAST}shard: 1s\nmax_jobs: 2\n"));
    let spec = smoke_spec();
    let output = cluster
        .command(&["plan", text(&spec), "--executor", "profile.yaml"])
        .output();
    let output = output.expect("the binary runs");
    let said = said(&output);
    assert!(said.contains("divided into 2 tasks"), "{said}");
    assert!(!said.contains("divided into 3 tasks"), "{said}");
}

#[test]
fn a_plan_says_where_each_amount_comes_from() {
    let cluster = Cluster::new("executor: slurm\ncpus: 2\nkinds: {training: {memory: 3G}}\n");
    let spec = smoke_spec();
    let arguments = [
        "plan",
        text(&spec),
        "--executor",
        "profile.yaml",
        "--format",
        "json",
    ];
    let jobs = |cluster: &Cluster| {
        let output = cluster
            .command(&arguments)
            .output()
            .expect("the binary runs");
        let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        plan["jobs"].as_array().expect("jobs").clone()
    };
    let of = |jobs: &[Value], task: &str| {
        let found = jobs.iter().find(|job| job["task"] == task);
        found.expect("a job").clone()
    };
    let before = jobs(&cluster);
    let training = of(&before, "training");
    assert_eq!(training["from"]["cpus"], "profile");
    assert_eq!(training["from"]["memory"], "`training` of the profile");
    assert_eq!(training["from"]["time"], "usual", "nothing was measured");
    assert_eq!(training["resources"]["time"], "12h");
    assert_eq!(
        of(&before, "generation")["from"]["memory"],
        "from the weights"
    );
    // What this machine took is what a job's limit is reckoned from.
    cluster.place.run(&spec, "run");
    let changed = std::fs::read_to_string(&spec)
        .expect("the spec")
        .replace("seed: 7", "seed: 8");
    let folder = spec
        .parent()
        .expect("a folder")
        .canonicalize()
        .expect("a folder");
    crate::support::copy_folder(&folder, &cluster.place.path("smoke"));
    let data = tests_dir()
        .join("../specs/data")
        .canonicalize()
        .expect("data");
    let changed = changed.replace("../../../specs/data", text(&data));
    let changed = cluster.place.write("smoke/changed.yaml", &changed);
    let mut arguments = arguments.to_vec();
    arguments[1] = text(&changed);
    let output = cluster
        .command(&arguments)
        .output()
        .expect("the binary runs");
    let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let after = plan["jobs"].as_array().expect("jobs").clone();
    let training = of(&after, "training");
    assert_eq!(training["resources"]["time"], "10m", "{training}");
    let from = training["from"]["time"].as_str().expect("a text");
    assert!(
        from.starts_with("the least; ") && from.ends_with("s measured"),
        "{from}"
    );
}

#[test]
fn a_profile_is_tried_and_nothing_is_submitted() {
    let cluster = Cluster::new("executor: slurm\nmemory: 8G\nkinds: {training: {time: 1d}}\n");
    let check = |name: &str| {
        let output = cluster.command(&["check", "--executor", name]).output();
        output.expect("the binary runs")
    };
    let output = check("profile.yaml");
    let told = said(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for line in [
        "ok     program",
        "ok     queue         answers in",
        "ok     script",
        "ok     training      4 cpus (usual), 8G (profile), 1d (`training` of the profile): sbatch: Job 1 to start",
        "ok     driver        1 cpu (usual), 4G (usual), 1d (usual)",
        "`profile.yaml` can be used from here; nothing was submitted",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(!cluster.queue().exists(), "nothing was submitted");
    for (profile, found) in [
        ("executor: slurm\nmemori: 8G\n", "memori"),
        ("executor: slurm\nextra: [--mem=8G]\n", "the key `memory`"),
        (
            "executor: slurm\nprologue: \"if true; then\"\n",
            "ERROR  script",
        ),
        (
            "executor: slurm\nprogram: /no/driftgauge\n",
            "cannot start `/no/driftgauge`",
        ),
        ("executor: slurm\nprogram: /bin/true\n", "ERROR  program"),
        (
            "executor: slurm\ncontainer: /no/image.sif\n",
            "cannot find the image `/no/image.sif`",
        ),
        (
            "executor: command\ncommands: {submit: 'q {script}', status: no-such-program, cancel: 'c {id}'}\n",
            "`commands.status` cannot be run",
        ),
    ] {
        cluster.place.write("bad.yaml", profile);
        let output = check("bad.yaml");
        let told = said(&output);
        assert_eq!(output.status.code(), Some(2), "{profile}: {told}");
        assert!(told.contains(found), "{profile}: {told}");
    }
    let mut without = cluster.place.command(&["check", "--executor", "slurm"]);
    let without = without.env("PATH", cluster.place.path("nothing")).output();
    let told = said(&without.expect("the binary runs"));
    assert!(
        told.contains("ERROR  queue") && told.contains("cannot start `sbatch`"),
        "{told}"
    );
    let both = cluster
        .place
        .output(&["check", "x.yaml", "--executor", "slurm"]);
    assert!(
        said(&both).contains("cannot be used with"),
        "{}",
        said(&both)
    );
    let neither = cluster.place.output(&["check"]);
    assert!(said(&neither).contains("required"), "{}", said(&neither));
}

#[test]
fn a_run_folder_that_slurm_cannot_name_is_refused() {
    let cluster = Cluster::new(FAST);
    let spec = smoke_spec();
    let arguments = [
        "run",
        text(&spec),
        "--out",
        "a\\b",
        "--executor",
        "profile.yaml",
    ];
    let output = cluster
        .command(&arguments)
        .output()
        .expect("the binary runs");
    let told = said(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("has a backslash"), "{told}");
}
