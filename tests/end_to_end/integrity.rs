//! One flipped byte, anywhere.

use std::path::{Path, PathBuf};

use crate::support::{Place, smoke_spec, text};

/// All files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Changes one bit in the middle of a file.
fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).expect("written");
}

fn verify(place: &Place, dir: &str) -> (Option<i32>, String) {
    let output = place.output(&["verify", dir]);
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8(said).expect("UTF-8"),
    )
}

#[test]
fn a_flipped_byte_is_found_in_every_file_and_made_good_by_the_next_run() {
    let place = Place::new();
    place.run(&smoke_spec(), "run");
    for dir in ["run", "store"] {
        let (code, said) = verify(&place, dir);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains(" 0 damaged") && !said.contains("note"),
            "{said}"
        );
        let files = files_below(&place.path(dir));
        assert!(files.len() > 20, "{files:?}");
        for file in files {
            let whole = std::fs::read(&file).expect("a file");
            if whole.is_empty() {
                continue;
            }
            flip(&file);
            let name = file.strip_prefix(place.dir.path()).expect("inside");
            // What lies in the store is found from the run folder, too.
            for from in [dir, "run"] {
                let (code, said) = verify(&place, from);
                assert_eq!(code, Some(1), "{name:?} from {from}: {said}");
                assert!(said.contains(text(name)), "{name:?} from {from}: {said}");
                assert!(said.contains("hint: "), "{said}");
            }
            std::fs::write(&file, whole).expect("written");
        }
        assert_eq!(verify(&place, dir).0, Some(0));
    }

    // Everything at once, but facts, which no run makes again: the next run makes all good, and says so.
    let results = place.read("run/results.json");
    let mut damaged = files_below(&place.path("store/artifacts"));
    damaged.extend(files_below(&place.path("run")));
    for file in damaged {
        let bytes = std::fs::metadata(&file).expect("a file").len();
        if bytes > 0 {
            flip(&file);
        }
    }
    let spec = smoke_spec();
    let output = place.output(&["run", text(&spec), "--out", "run"]);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("has other bytes than were written; it is made again"),
        "{said}"
    );
    assert_eq!(place.read("run/results.json"), results);
    for dir in ["run", "store"] {
        let (code, said) = verify(&place, dir);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn what_is_neither_a_run_nor_a_store_is_refused() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).expect("a folder");
    for dir in ["empty", "nowhere"] {
        let (code, said) = verify(&place, dir);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("neither"), "{said}");
    }
    assert!(!place.path("nowhere").exists());
}

/// Valid JSON with another number in it is not what was measured.
#[test]
fn numbers_that_were_edited_since_are_not_shown() {
    let place = Place::new();
    place.run(&smoke_spec(), "run");
    place.run(&smoke_spec(), "whole");
    for (file, commands) in [
        (
            "results.json",
            &[
                &["show", "run"][..],
                &["report", "run"],
                &["report", "whole", "run"],
            ][..],
        ),
        (
            "metrics.json",
            &[&["compare", "whole", "run"], &["report", "run"]],
        ),
        ("resolved.json", &[&["show", "run"], &["export", "run"]]),
    ] {
        let path = place.path("run").join(file);
        let whole = std::fs::read_to_string(&path).expect("a file");
        // One more blank is no other document.
        std::fs::write(&path, whole.replacen(": ", ":  ", 1)).expect("written");
        for command in commands {
            let output = place.output(command);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
            assert!(
                said.contains(&format!("{file}` is damaged: it has other bytes")),
                "{command:?}: {said}"
            );
        }
        std::fs::write(&path, whole).expect("written");
    }
    assert!(place.output(&["show", "run"]).status.success());
}

#[test]
fn a_folder_whose_description_was_cut_is_written_anew() {
    let place = Place::new();
    place.run(&smoke_spec(), "run");
    let path = place.path("run/resolved.json");
    let whole = std::fs::read_to_string(&path).expect("a file");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    place.run(&smoke_spec(), "run");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), whole);
    // What says nothing of its experiment may be another one's.
    std::fs::write(&path, "").expect("written");
    let output = place.output(&["run", text(&smoke_spec()), "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("does not say which experiment"), "{said}");
}
