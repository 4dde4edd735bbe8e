//! Runs through a real Slurm with pretended nodes, where its packages are installed.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use driftgauge_tests::skipped;

use crate::support::{Place, files_with, smoke_spec, tests_dir, text};

/// A cluster of three nodes, ended with this.
struct Slurm {
    script: PathBuf,
    folder: PathBuf,
}

impl Slurm {
    /// `None` where it cannot be had.
    fn start(place: &Place, port: &str) -> Option<Self> {
        let slurm = Self {
            script: tests_dir().join("cluster/pretend-slurm"),
            folder: place.path("slurm"),
        };
        if !slurm.does(&["can"]) {
            skipped("no Slurm with munge, or not root");
            return None;
        }
        let started = slurm.does(&["start", "3", port]);
        assert!(started, "the pretended cluster starts");
        Some(slurm)
    }

    fn does(&self, arguments: &[&str]) -> bool {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(&self.script);
        command.arg(&self.folder).args(arguments);
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// The queue's programs, on this cluster.
    fn call(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("SLURM_CONF", self.folder.join("slurm.conf"));
        let output = command.output().expect(program);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A job that runs now: its id and its node.
    fn running(&self) -> Option<(String, String)> {
        let text = self.call("squeue", &["-h", "-t", "running", "-o", "%i %N"]);
        let (id, node) = text.lines().next()?.split_once(' ')?;
        Some((id.to_owned(), node.to_owned()))
    }

    fn wait_for_running(&self) -> (String, String) {
        let began = Instant::now();
        loop {
            if let Some(found) = self.running() {
                return found;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "no job runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        self.does(&["resume"]);
        self.does(&["stop"]);
    }
}

fn start(place: &Place, slurm: &Slurm, out: &str) -> Child {
    let spec = smoke_spec();
    let arguments = [
        "run",
        text(&spec),
        "--out",
        out,
        "--executor",
        "profile.yaml",
    ];
    let mut command = place.command(&arguments);
    command
        .env("SLURM_CONF", slurm.folder.join("slurm.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

#[test]
fn through_killed_drivers_lost_nodes_and_a_silent_controller_the_bytes_are_those_of_one_machine() {
    let place = Place::new();
    let Some(slurm) = Slurm::start(&place, "18800") else {
        return;
    };
    let local = Place::new();
    local.run(&smoke_spec(), "run");
    place.write(
        "profile.yaml",
        "executor: slurm\npartition: main\ncpus: 1\nmemory: 1G\ntime: 5m\npoll: 1s\ngrace: 3s\n",
    );
    // The driver dies while a job runs.
    let mut driver = start(&place, &slurm, "run");
    slurm.wait_for_running();
    driver.kill().expect("it can be killed");
    driver.wait().expect("a status");
    // The next one sees a job cancelled by hand, a node lost, and a controller that does not answer.
    let driver = start(&place, &slurm, "run");
    let (id, _) = slurm.wait_for_running();
    slurm.call("scancel", &[&id]);
    std::thread::sleep(Duration::from_secs(3));
    let (_, node) = slurm.wait_for_running();
    assert!(slurm.does(&["kill-node", &node]));
    std::thread::sleep(Duration::from_secs(1));
    assert!(slurm.does(&["pause"]));
    std::thread::sleep(Duration::from_secs(3));
    assert!(slurm.does(&["resume"]));
    std::thread::sleep(Duration::from_secs(7));
    assert!(slurm.does(&["start-node", &node]));
    // A lost job that the queue makes again waits two minutes; an administrator lets it go at once.
    let mut driver = driver;
    let began = Instant::now();
    while driver.try_wait().expect("a status").is_none() {
        let waiting = slurm.call("squeue", &["-h", "-t", "pending", "-o", "%i"]);
        for id in waiting.lines() {
            slurm.call(
                "scontrol",
                &["update", &format!("jobid={id}"), "StartTime=now"],
            );
        }
        if began.elapsed() > Duration::from_secs(240) {
            driver.kill().expect("it can be killed");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let output = driver.wait_with_output().expect("a status");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{said}\n{}",
        slurm.call("squeue", &["-t", "all"])
    );
    for file in [
        "results.json",
        "samples/harmfulness.parquet",
        "models/tuned/adapter_model.safetensors",
    ] {
        let name = format!("run/{file}");
        assert!(place.read(&name) == local.read(&name), "{file} differs");
    }
}

#[test]
fn an_array_in_a_folder_with_an_odd_name_loses_a_task_and_the_bytes_are_the_same() {
    let place = Place::new();
    let Some(slurm) = Slurm::start(&place, "18900") else {
        return;
    };
    let local = Place::new();
    local.run(&smoke_spec(), "run");
    place.write(
        "profile.yaml",
        "executor: slurm\npartition: main\ncpus: 1\nmemory: 1G\ntime: 5m\npoll: 1s\ngrace: 3s\nshard: 1s\n",
    );
    let out = "it's 50% \"\u{fc}\" #1";
    let mut run = start(&place, &slurm, out);
    let began = Instant::now();
    let mut cancelled = false;
    while run.try_wait().expect("a status").is_none() {
        if let Some((id, _)) = slurm.running()
            && id.ends_with("_1")
            && !cancelled
        {
            slurm.call("scancel", &[&id]);
            cancelled = true;
        }
        if began.elapsed() > Duration::from_secs(240) {
            run.kill().expect("it can be killed");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = run.wait_with_output().expect("a status");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    for file in ["results.json", "samples/harmfulness.parquet"] {
        let (here, there) = (format!("{out}/{file}"), format!("run/{file}"));
        assert!(place.read(&here) == local.read(&there), "{file} differs");
    }
    let jobs = place.path(&format!("{out}/jobs"));
    let logs = files_with(&jobs, "a job of");
    let of_tasks = logs.iter().filter(|path| text(path).contains("/log-"));
    assert!(of_tasks.count() > 2, "{logs:?}");
}
