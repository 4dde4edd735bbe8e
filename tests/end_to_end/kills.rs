//! Killed at random moments, a run goes on to the same bytes.

use std::time::Duration;

use crate::support::{Place, smoke_spec, text};

#[test]
fn random_kills_change_no_byte() {
    let straight = Place::new();
    straight.run(&smoke_spec(), "run");
    let place = Place::new();
    // A fixed walk over the run's length: each start is killed a little later than the one before.
    for step in 0..20_u64 {
        let mut child = place
            .command(&["run", text(&smoke_spec()), "--out", "run"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the binary starts");
        std::thread::sleep(Duration::from_millis(60 + (step * 7919) % 700));
        // SIGKILL: nothing can be tidied up.
        let _ = child.kill();
        let _ = child.wait();
    }
    place.run(&smoke_spec(), "run");
    for file in [
        "results.json",
        "samples/harmfulness.parquet",
        "samples/drift.parquet",
        "models/tuned/adapter_model.safetensors",
    ] {
        let same = place.read(&format!("run/{file}")) == straight.read(&format!("run/{file}"));
        assert!(same, "{file} differs after kills");
    }
}
