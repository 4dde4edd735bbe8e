//! A second run of the same spec: it leaves its folder as it is, unless something in it is not what the first one wrote.

use std::path::{Path, PathBuf};

use crate::support::{Place, text};

fn spec(place: &Place) -> PathBuf {
    place.write("rows.csv", "id,guard\na,unsafe\nb,safe\nc,safe\n");
    place.write(
        "spec.yaml",
        "version: 1
name: twice
models:
  m: {recorded: {csv: rows.csv, columns: {id: id, verdicts: {guard: guard}}}}
datasets:
  requests: {csv: rows.csv, id: id}
metrics: {asr: {plugin: asr}}
evaluations:
  harm: {models: [m], dataset: requests, metrics: [asr]}
",
    )
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            let time = path.metadata().and_then(|file| file.modified());
            let bytes = std::fs::read(&path).expect("a file");
            out.push((path, bytes, time.expect("a time")));
        }
    }
    out.sort();
    out
}

#[test]
fn a_second_run_leaves_the_folder_as_it_is() {
    let place = Place::new();
    let spec = spec(&place);
    let first = place.output(&["run", text(&spec), "--out", "run"]);
    assert!(first.status.success());
    let before = files(&place.path("run"));
    let second = place.output(&["run", text(&spec), "--out", "run"]);
    assert!(second.status.success());
    assert_eq!(first.stdout, second.stdout);
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("0 nodes ran, 4 were reused"), "{said}");
    assert!(before == files(&place.path("run")));
}

#[test]
fn what_is_not_as_it_was_is_written_anew() {
    let place = Place::new();
    let spec = spec(&place);
    place.run(&spec, "run");
    let page = place.read("run/report.html");
    // A byte of a file, a file too many, a report that shows something else, a byte in the store.
    let mut damaged = page.clone();
    damaged[100] ^= 1;
    place.write("run/report.html", &String::from_utf8_lossy(&damaged));
    place.run(&spec, "run");
    assert!(place.read("run/report.html").len().abs_diff(page.len()) < 100);
    assert!(place.output(&["verify", "run"]).status.success());
    std::fs::remove_file(place.path("run/samples/harm.parquet")).expect("a table");
    place.run(&spec, "run");
    assert!(place.path("run/samples/harm.parquet").exists());
    let shown = place.output(&["report", "run", "--samples", "full"]);
    assert!(shown.status.success());
    let full = place.read("run/report.json");
    place.run(&spec, "run");
    assert!(place.read("run/report.json") != full);
}
