//! Two runs whose samples have the same ids, and were asked something else.

use crate::compare::{json, run};
use crate::support::Place;

/// The same rows, the same templates, and other prompts: a row's stand-in, or an example before it, is another one.
#[test]
fn samples_that_were_asked_something_else_are_not_paired() {
    let place = Place::new();
    let rows = (0..9).map(|index| format!("r{index},ask {index},yes\n"));
    let rows: String = rows.collect();
    place.write("said.csv", &format!("id,q,text\n{rows}"));
    let run_of = |out: &str, shuffle: &str, prompt: &str| {
        let spec = format!(
            "version: 1
name: asked
models: {{m: {{recorded: {{csv: said.csv, columns: {{id: id, completion: text}}}}}}}}
datasets: {{requests: {{csv: said.csv, id: id{shuffle}}}}}
metrics: {{truth: {{plugin: truthfulness}}}}
evaluations:
  ask: {{models: [m], dataset: requests, prompt: [{{user: \"{prompt}\"}}], reference: \"{{{{ text }}}}\", metrics: [truth]}}
"
        );
        let (code, said) = run(&place, &place.write("spec.yaml", &spec), out);
        assert_eq!(code, Some(0), "{said}");
    };
    let compared = |a: &str, b: &str| json(&place, &["compare", a, b, "--format", "json"]);
    for (name, prompt, pairs) in [
        ("plain", "{{ q }}", true),
        ("other", "{{ q }}, not {{ shuffled.q }}", false),
    ] {
        let (one, two) = (format!("{name}-1"), format!("{name}-2"));
        run_of(&one, "", prompt);
        run_of(&two, ", shuffle: {seed: 5}", prompt);
        let (code, found, said) = compared(&one, &two);
        assert_eq!(code, Some(if pairs { 0 } else { 2 }), "{said}");
        if !pairs {
            let reason = found["refused"][0]["reason"].as_str().expect("a reason");
            assert!(
                reason.contains(
                    "of 9 samples with the same ids were asked or marked by something else: of `r"
                ) && reason.contains("the prompt differs"),
                "{reason}"
            );
        }
    }
    // Without its samples a run does not say what it asked.
    std::fs::remove_file(place.path("plain-2/samples/ask.parquet")).expect("it was there");
    let (code, _, said) = compared("plain-1", "plain-2");
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("nobody knows whether its samples were asked the same"),
        "{said}"
    );
}
