//! Runs on a cluster, which a script plays: jobs are submitted, followed, lost, taken over and cancelled.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use driftgauge_store::{Digest, Store};
use serde_json::Value;

use crate::support::{Place, copy_folder, files_with, smoke_spec, tests_dir, text};

/// What a run on a cluster has to agree on with one on this machine.
const SAME: [&str; 3] = [
    "results.json",
    "samples/harmfulness.parquet",
    "models/tuned/adapter_model.safetensors",
];

/// A place with a queue.
struct Cluster {
    place: Place,
    queue: PathBuf,
}

impl Cluster {
    /// `more` are further lines of the profile.
    fn new(more: &str) -> Self {
        let place = Place::new();
        let queue = place.path("queue");
        let script = tests_dir().join("fixtures/cluster/queue");
        let script = script.canonicalize().expect("the script");
        let call = format!("{} {}", text(&script), text(&queue));
        place.write(
            "profile.yaml",
            &format!(
                "executor: command\npoll: 200ms\ngrace: 2s\n{more}commands:\n  submit: {call} submit {{name}} {{script}} {{log}}\n  status: {call} status\n  cancel: {call} cancel {{id}}\n"
            ),
        );
        Self { place, queue }
    }

    fn command(&self, more: &[&str]) -> Command {
        let spec = smoke_spec();
        let mut arguments = vec!["run", text(&spec), "--out", "run", "--format", "json"];
        arguments.extend(["--executor", "profile.yaml"]);
        arguments.extend(more);
        let mut command = self.place.command(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Child {
        self.command(&[]).spawn().expect("the binary starts")
    }

    /// Runs to the end and expects success.
    #[track_caller]
    fn run(&self) -> (Value, String) {
        ended(self.start())
    }

    /// Files of the queue whose names end so.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.queue)
            .into_iter()
            .flatten()
            .flatten();
        let files = files.map(|file| file.path());
        files.filter(|path| text(path).ends_with(ending)).collect()
    }

    fn submitted(&self) -> usize {
        self.files(".name").len()
    }

    fn wait_for(&self, what: &str, happened: impl Fn() -> bool) {
        let began = Instant::now();
        while !happened() {
            assert!(began.elapsed() < Duration::from_secs(180), "no {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn assert_same(&self, local: &Place) {
        for file in SAME {
            let name = format!("run/{file}");
            assert!(
                self.place.read(&name) == local.read(&name),
                "{file} differs"
            );
        }
    }
}

#[track_caller]
fn ended(run: Child) -> (Value, String) {
    let output = run.wait_with_output().expect("a status");
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    (
        serde_json::from_slice(&output.stdout).expect("a JSON summary"),
        said,
    )
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn local() -> Place {
    let place = Place::new();
    place.run(&smoke_spec(), "run");
    place
}

#[test]
fn jobs_make_the_same_bytes_as_this_machine() {
    let local = local();
    let cluster = Cluster::new("");
    let (summary, said) = cluster.run();
    assert_eq!(summary["failed"], 0, "{said}");
    assert!(cluster.submitted() > 2, "{said}");
    cluster.assert_same(&local);
    let provenance: Value =
        serde_json::from_slice(&cluster.place.read("run/provenance.json")).expect("JSON");
    let machines = provenance["machines"].as_array().expect("machines");
    assert_eq!(machines.len(), 1, "{provenance}");
    let nodes = machines[0]["nodes"].as_array().expect("nodes");
    assert!(nodes.contains(&"finetune tuned".into()), "{provenance}");
    let again = cluster.submitted();
    let (summary, said) = cluster.run();
    assert_eq!(summary["ran"], 0, "{said}");
    assert_eq!(cluster.submitted(), again, "nothing is submitted twice");
}

#[test]
fn parts_made_on_other_kinds_of_machines_are_warned_of() {
    let cluster = Cluster::new("");
    cluster.run();
    // As if a job had run on another processor.
    let store = Store::open(cluster.place.path("store")).expect("a store");
    let facts = std::fs::read_dir(cluster.place.path("store/facts")).expect("facts");
    let (key, mut fact) = facts
        .flatten()
        .find_map(|file| {
            let name = file.path().file_stem()?.to_str()?.to_owned();
            let key: Digest = serde_json::from_value(name.into()).ok()?;
            let fact = store.recall(&key)?;
            fact["training"].is_object().then_some((key, fact))
        })
        .expect("a training");
    fact["machines"][0]["processor"] = "Abacus 2".into();
    store.remember(&key, &fact);
    let (_, said) = cluster.run();
    assert!(
        said.contains("were made on different kinds of machines") && said.contains("Abacus 2"),
        "{said}"
    );
    let report = String::from_utf8(cluster.place.read("run/report.html")).expect("UTF-8");
    assert!(report.contains("were made on different kinds of machines"));
    let stable = cluster
        .place
        .output(&["report", "run", "--format", "md", "--stable"]);
    let stable = String::from_utf8_lossy(&stable.stdout).into_owned();
    assert!(!stable.contains("kinds of machines"), "{stable}");
}

#[test]
fn a_driver_that_was_killed_leaves_its_jobs_to_the_next() {
    let local = local();
    let cluster = Cluster::new("");
    std::fs::create_dir_all(&cluster.queue).expect("a folder");
    // Jobs that are submitted wait, so that the driver dies before any of them begins.
    std::fs::write(cluster.queue.join("hold"), "").expect("a file");
    let mut first = cluster.start();
    cluster.wait_for("job", || cluster.submitted() == 2);
    std::thread::sleep(Duration::from_millis(300));
    first.kill().expect("it can be killed");
    first.wait().expect("a status");
    let status = cluster.place.output(&["status", "run", "--format", "json"]);
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let jobs = status["jobs"].as_array().expect("jobs");
    assert_eq!(jobs.len(), 2, "{status}");
    assert!(jobs.iter().all(|job| job["state"] == "waiting"), "{status}");
    let second = cluster.start();
    cluster.wait_for("take-over", || {
        let events = std::fs::read_to_string(cluster.place.path("run/events.jsonl"));
        events.is_ok_and(|text| text.matches("of an earlier run is taken over").count() == 2)
    });
    assert_eq!(cluster.submitted(), 2, "nothing is submitted twice");
    std::fs::remove_file(cluster.queue.join("hold")).expect("a file");
    let (summary, said) = ended(second);
    assert_eq!(summary["failed"], 0, "{said}");
    assert!(
        said.contains("2 of an earlier run are taken over"),
        "{said}"
    );
    cluster.assert_same(&local);
}

#[test]
fn drivers_are_killed_again_and_again_and_the_last_has_the_same_bytes() {
    let local = local();
    let cluster = Cluster::new("");
    for step in 0..6_u64 {
        let mut driver = cluster.start();
        std::thread::sleep(Duration::from_millis(300 + (step * 7919) % 900));
        driver.kill().expect("it can be killed");
        driver.wait().expect("a status");
    }
    let (summary, said) = cluster.run();
    assert_eq!(summary["failed"], 0, "{said}");
    cluster.assert_same(&local);
    // Each session had one job, whoever followed it.
    let names: Vec<String> = cluster
        .files(".name")
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("a name"))
        .collect();
    // The number behind the session is 2 where a driver died between writing down a try and handing it over.
    let sessions: HashSet<&str> = names
        .iter()
        .filter_map(|name| Some(name.trim().rsplit_once('.')?.0))
        .collect();
    assert_eq!(sessions.len(), names.len(), "{names:?}");
}

#[test]
fn a_job_that_is_killed_or_runs_out_of_time_gets_another_try() {
    let local = local();
    let cluster = Cluster::new("");
    std::fs::create_dir_all(&cluster.queue).expect("a folder");
    std::fs::write(cluster.queue.join("hold"), "").expect("a file");
    let run = cluster.start();
    cluster.wait_for("job", || cluster.submitted() == 2);
    // Neither ever begins: one lost its node, the other its time.
    for (id, end) in [("1", "node_lost"), ("2", "timed_out")] {
        let group =
            std::fs::read_to_string(cluster.queue.join(format!("{id}.group"))).expect("a group");
        let killed = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", group.trim())])
            .status();
        assert!(killed.is_ok_and(|status| status.success()));
        std::fs::write(cluster.queue.join(format!("{id}.state")), end).expect("a file");
    }
    std::fs::remove_file(cluster.queue.join("hold")).expect("a file");
    let (summary, said) = ended(run);
    assert_eq!(summary["failed"], 0, "{said}");
    assert!(
        said.contains("ended (its node was lost): another try"),
        "{said}"
    );
    assert!(
        said.contains("ended (over its time limit): another try"),
        "{said}"
    );
    cluster.assert_same(&local);
}

#[test]
fn what_a_job_says_of_its_own_failure_is_told_with_its_log_and_not_tried_again() {
    // The program on the nodes is no driftgauge, and says so.
    let cluster = Cluster::new("prologue: echo no such module; exit 3\n");
    let output = cluster.start().wait_with_output().expect("a status");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it ended twice without saying why"), "{said}");
    assert!(
        said.contains("log.txt`, which ends:\n  no such module"),
        "{said}"
    );
    assert_eq!(cluster.submitted(), 4, "two jobs, two tries each");
}

#[test]
fn an_interrupted_run_leaves_its_jobs_or_cancels_them() {
    let cluster = Cluster::new("");
    std::fs::create_dir_all(&cluster.queue).expect("a folder");
    std::fs::write(cluster.queue.join("hold"), "").expect("a file");
    let interrupt = |more: &[&str], heard: &str| {
        let run = cluster.command(more).spawn().expect("the binary starts");
        cluster.wait_for("job", || {
            let events = std::fs::read_to_string(cluster.place.path("run/events.jsonl"));
            events.is_ok_and(|text| text.matches(heard).count() == 2)
        });
        std::thread::sleep(Duration::from_millis(500));
        let told = Command::new("kill")
            .args(["-INT", &run.id().to_string()])
            .status();
        assert!(told.is_ok_and(|status| status.success()));
        let output = run.wait_with_output().expect("a status");
        assert_eq!(output.status.code(), Some(130), "{}", said(&output));
        said(&output)
    };
    let left = interrupt(&[], "was submitted");
    assert!(
        left.contains("the jobs go on") && left.contains("takes the jobs over"),
        "{left}"
    );
    assert!(cluster.files(".end").is_empty());
    let cancelled = interrupt(&["--on-interrupt", "cancel"], "is taken over");
    assert!(cancelled.contains("2 jobs cancelled"), "{cancelled}");
    assert_eq!(cluster.files(".end").len(), 2);
    let output = cluster.place.output(&["cancel", "run"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("0 jobs cancelled"), "{text}");
}

/// The smoke spec with a fine-tune of many steps, of which only the last is saved.
fn long_spec(place: &Place) -> PathBuf {
    copy_folder(&tests_dir().join("fixtures/smoke"), &place.path("smoke"));
    let data = tests_dir()
        .join("../specs/data")
        .canonicalize()
        .expect("the data");
    let spec = std::fs::read_to_string(smoke_spec()).expect("the spec");
    let spec = spec
        .replace("../../../specs/data", text(&data))
        .replace("max_steps: 6", "max_steps: 2500")
        .replace("save_steps: 2", "save_steps: 2500");
    place.write("smoke/long.yaml", &spec)
}

#[test]
fn a_job_whose_time_is_over_saves_what_it_has_and_the_next_goes_on() {
    let local = Place::new();
    local.run(&long_spec(&local), "run");
    let cluster = Cluster::new("");
    let spec = long_spec(&cluster.place);
    let run = cluster
        .place
        .command(&[
            "run",
            text(&spec),
            "--out",
            "run",
            "--format",
            "json",
            "--executor",
            "profile.yaml",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // Which job the fine-tune is depends on what is ready beside it; its base has fewer steps. It has made some, however fast the
    // machine is.
    let unfinished = cluster.place.path("store/partial");
    let pid = || {
        let log = files_with(&cluster.place.path("run/jobs"), "start   finetune tuned").pop()?;
        let folder = text(log.parent()?).to_owned();
        let pids = (1..10)
            .filter_map(|id| std::fs::read_to_string(cluster.queue.join(format!("{id}.pid"))).ok());
        let mut pids = pids.map(|pid| pid.trim().to_owned());
        pids.find(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(&folder)
        })
    };
    cluster.wait_for("fine-tune amid its steps", || {
        pid().is_some() && !files_with(&unfinished, "\"step\":20,").is_empty()
    });
    let pid = pid().expect("a number");
    let told = Command::new("kill").args(["-USR1", &pid]).status();
    assert!(told.is_ok_and(|status| status.success()));
    let (summary, said) = ended(run);
    assert_eq!(summary["failed"], 0, "{said}");
    assert!(
        said.contains("ended (over its time limit): another try, from what it saved"),
        "{said}"
    );
    assert!(said.contains("goes on after step"), "{said}");
    cluster.assert_same(&local);
}

#[test]
fn a_run_that_is_a_job_itself_goes_on_when_its_time_is_over() {
    let local = local();
    let cluster = Cluster::new("");
    std::fs::create_dir_all(&cluster.queue).expect("a folder");
    let detached = cluster
        .command(&["--detach"])
        .output()
        .expect("the binary starts");
    let words = String::from_utf8_lossy(&detached.stdout).into_owned();
    assert!(
        words.starts_with("the run is job 1;"),
        "{words}{}",
        said(&detached)
    );
    let driver = || std::fs::read_to_string(cluster.queue.join("1.pid")).unwrap_or_default();
    cluster.wait_for("submission", || cluster.submitted() > 1);
    let twice = cluster
        .command(&["--detach"])
        .output()
        .expect("the binary starts");
    assert!(
        said(&twice).contains("this run is in the queue already, as job 1"),
        "{}",
        said(&twice)
    );
    let told = Command::new("kill")
        .args(["-USR1", driver().trim()])
        .status();
    assert!(told.is_ok_and(|status| status.success()));
    let log = cluster.place.path("run/jobs/driver/log.txt");
    let text_of_log = || std::fs::read_to_string(&log).unwrap_or_default();
    cluster.wait_for("successor", || {
        text_of_log().contains("the run goes on as job")
    });
    let results = cluster.place.path("run/report.html");
    cluster.wait_for("report", || results.exists());
    cluster.assert_same(&local);
}

#[test]
fn jobs_are_shown_and_nothing_is_submitted() {
    let cluster =
        Cluster::new("cpus: 2\nkinds: {training: {time: 30m}}\nprologue: module load tools\n");
    let output = cluster
        .command(&["--print-jobs"])
        .output()
        .expect("the binary starts");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        shown.contains(
            "# training: pretrain base\n# 2 cpus (profile), 4G (from the weights), 30m (`training` of the profile)\n"
        ),
        "{shown}"
    );
    assert!(shown.contains("\nmodule load tools\nexec "), "{shown}");
    let spec = smoke_spec();
    let plan = [
        "plan",
        text(&spec),
        "--executor",
        "profile.yaml",
        "--format",
        "json",
    ];
    let output = cluster.place.output(&plan);
    let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let jobs = plan["jobs"].as_array().expect("jobs");
    assert!(jobs.iter().any(|job| job["task"] == "judging"), "{plan}");
    assert_eq!(cluster.submitted(), 0);
}

#[test]
fn what_is_not_known_is_refused_by_name_before_anything_is_done() {
    let place = Place::new();
    let spec = smoke_spec();
    let refused = |more: &[&str], said_so: &str| {
        let mut arguments = vec!["run", text(&spec), "--out", "run"];
        arguments.extend(more);
        let mut command = place.command(&arguments);
        // Nothing of Slurm is found.
        let output = command
            .env("PATH", place.dir.path())
            .output()
            .expect("the binary starts");
        let words = said(&output);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {words}");
        assert!(words.contains(said_so), "{more:?}: {words}");
        assert!(!place.path("run").exists(), "{more:?}");
    };
    refused(&["--executor", "slurm"], "cannot start `sbatch`");
    refused(&["--executor", "slrm"], "there is no executor `slrm`");
    refused(
        &["--executor", "no.yaml"],
        "cannot read the profile `no.yaml`",
    );
    refused(&["--detach"], "`--detach` needs a cluster");
    place.write("typo.yaml", "executor: slurm\npartitoin: gpu\n");
    refused(&["--executor", "typo.yaml"], "partitoin");
    place.write(
        "place.yaml",
        "executor: command\ncommands: {submit: 'q {scirpt}', status: s, cancel: 'c {id}'}\n",
    );
    refused(
        &["--executor", "place.yaml"],
        "`commands.submit` has no place `{scirpt}`",
    );
    let config = place.write("config.yaml", "executor: typo.yaml\n");
    let mut command = place.command(&["run", text(&spec), "--out", "run"]);
    let output = command
        .env("DRIFTGAUGE_CONFIG", config)
        .output()
        .expect("the binary starts");
    assert!(said(&output).contains("partitoin"), "{}", said(&output));
}
