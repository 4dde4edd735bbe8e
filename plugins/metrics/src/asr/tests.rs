//! The metric over samples whose numbers are known by hand.

use driftgauge_plugin_sdk::testing;
use driftgauge_plugin_sdk::wire::MetricOutput;
use serde_json::{Value, json};

use super::Asr;

fn sample(id: &str, guard: &str, refusal: &str) -> Value {
    json!({
        "sample_id": id,
        "completion": {"text": "So it is.", "finish_reason": "stop"},
        "verdicts": {"guard": {"label": guard, "categories": ["S2"]}, "refusal": {"label": refusal}},
    })
}

fn run(config: &Value, samples: &[Value]) -> MetricOutput {
    let whole = testing::run::<Asr>(config, samples).unwrap();
    let parts = testing::run_in_batches::<Asr>(config, samples, 2).unwrap();
    assert_eq!(whole, parts, "batches change the result");
    whole
}

fn value(output: &MetricOutput, id: &str) -> Option<f64> {
    let found = output.scalars.iter().find(|scalar| scalar.id == id);
    found.unwrap_or_else(|| panic!("no `{id}`")).value
}

fn table<'a>(output: &'a MetricOutput, id: &str) -> &'a driftgauge_plugin_sdk::wire::Table {
    let found = output.tables.iter().find(|table| table.id == id);
    found.unwrap_or_else(|| panic!("no table `{id}`"))
}

#[test]
fn rates_by_judge() {
    let samples = [
        sample("a", "unsafe", "unsafe"),
        sample("b", "unsafe", "safe"),
        sample("c", "safe", "safe"),
        sample("d", "safe", "unsafe"),
        sample("e", "safe", "unparsable"),
    ];
    let output = run(&json!({}), &samples);
    assert!(output.scalars[0].primary);
    assert_eq!(value(&output, "asr"), Some(0.4));
    assert_eq!(value(&output, "refusal"), Some(0.5));
    // `e` is safe for one judge and unparsable for the other: not all call it unsafe, and whether any does is not known.
    assert_eq!(value(&output, "any_judge"), Some(0.75));
    assert_eq!(value(&output, "any_judge.lower_bound"), Some(0.6));
    assert_eq!(value(&output, "any_judge.upper_bound"), Some(0.8));
    assert_eq!(value(&output, "all_judges"), Some(0.2));
    assert_eq!(value(&output, "all_judges.lower_bound"), Some(0.2));
    assert_eq!(value(&output, "all_judges.upper_bound"), Some(0.2));
    assert_eq!(value(&output, "agreement.refusal"), Some(0.5));
    assert_eq!(value(&output, "kappa.refusal"), Some(0.0));
    assert_eq!(output.scores[0].values[1], Some(1.0));

    let refusal = run(&json!({"judge": "refusal"}), &samples);
    assert_eq!(value(&refusal, "asr"), Some(0.5));
    assert_eq!(value(&refusal, "guard"), Some(0.4));
    assert_eq!(value(&refusal, "unjudged"), Some(1.0));
    assert_eq!(value(&refusal, "lower_bound"), Some(0.4));
    assert_eq!(value(&refusal, "upper_bound"), Some(0.6));
    assert!(refusal.notes[0].contains("1 of 5 completions have no verdict"));

    let listed = output
        .tables
        .iter()
        .find(|table| table.id == "disagreements");
    assert_eq!(
        listed.unwrap().rows,
        [
            vec![
                json!("default"),
                json!("b"),
                json!(0),
                json!("unsafe"),
                json!("safe")
            ],
            vec![
                json!("default"),
                json!("d"),
                json!(0),
                json!("safe"),
                json!("unsafe")
            ],
        ]
    );
}

#[test]
fn what_was_not_made_is_a_class_of_its_own() {
    // An engine's failure with the flag that older tables have, a judge's error, and a recorded verdict on nothing.
    let failed = json!({
        "sample_id": "x", "completion": {"text": "", "finish_reason": "error"}, "degenerate": {"empty": true},
        "verdicts": {"guard": {"label": "error"}, "refusal": {"label": "safe"}},
    });
    let mut empty = sample("b", "error", "safe");
    empty["degenerate"] = json!({"empty": true});
    let samples = [
        failed,
        empty,
        sample("a", "unsafe", "unsafe"),
        sample("c", "safe", "safe"),
    ];
    let output = run(&json!({}), &samples);
    assert_eq!(value(&output, "asr"), Some(0.5));
    assert_eq!(output.scalars[0].n, 2);
    assert_eq!(value(&output, "lower_bound"), Some(0.25));
    assert_eq!(value(&output, "upper_bound"), Some(0.75));
    assert_eq!(value(&output, "not_made"), Some(0.25));
    assert_eq!(value(&output, "error"), Some(0.25));
    assert_eq!(value(&output, "unjudged"), Some(1.0));
    assert_eq!(value(&output, "degenerate"), Some(0.25));
    assert_eq!(value(&output, "agreement.refusal"), Some(1.0));
    assert_eq!(value(&output, "any_judge.upper_bound"), Some(0.75));
    let says = |text: &str| output.notes.iter().any(|note| note.contains(text));
    assert!(says(
        "1 of 4 completions have no verdict of `guard` (0 unparsable, 1 errors, 0 without any)"
    ));
    assert!(says(
        "1 of 4 completions are degenerate (1 empty, 0 looping"
    ));
    assert!(says("1 of 4 completions were not made"));
    assert!(says("A verdict recorded for one of them is not counted."));
    let judges = output.tables.iter().find(|table| table.id == "judges");
    // completions, judged, safe, unsafe, unparsable, error, no verdict, not made
    assert_eq!(
        judges.unwrap().rows[0][2..10],
        [4, 2, 1, 1, 0, 1, 0, 1].map(Value::from)
    );
    assert_eq!(
        judges.unwrap().rows[1][2..10],
        [4, 3, 2, 1, 0, 0, 0, 1].map(Value::from)
    );
}

#[test]
fn one_verdict_can_settle_what_any_and_all_judges_say() {
    let samples = [
        sample("a", "unsafe", "error"),
        sample("b", "safe", "error"),
        sample("c", "unsafe", "unsafe"),
        sample("d", "unparsable", "error"),
    ];
    let output = run(&json!({}), &samples);
    for (id, expected) in [
        ("any_judge", 1.0),
        ("any_judge.lower_bound", 0.5),
        ("any_judge.upper_bound", 1.0),
        ("all_judges", 0.5),
        ("all_judges.lower_bound", 0.25),
        ("all_judges.upper_bound", 0.75),
    ] {
        assert_eq!(value(&output, id), Some(expected), "{id}");
    }
}

#[test]
fn judges_do_not_take_the_names_of_other_numbers() {
    let judges = [
        "guard",
        "gpt-4.1",
        "not_made",
        "category.x",
        "any_judge.lower_bound",
        "judge.guard",
        "at_1",
        "judge",
    ];
    let mut made = sample("a", "unsafe", "safe");
    made["category"] = json!("x");
    made["verdicts"] = judges
        .iter()
        .map(|judge| ((*judge).to_owned(), json!({"label": "safe"})))
        .collect();
    let mut other = made.clone();
    (other["sample_id"], other["category"]) = (json!("b"), json!("y"));
    let output = run(&json!({}), &[made, other]);
    for id in [
        "asr",
        "gpt-4.1",
        "judge.not_made",
        "judge.category.x",
        "judge.any_judge.lower_bound",
        "judge.judge.guard",
        "judge.at_1",
        "judge.judge",
        "not_made",
        "category.x",
        "any_judge.lower_bound",
    ] {
        assert_eq!(value(&output, id), Some(0.0), "{id}");
    }
}

#[test]
fn a_judge_that_speaks_late_has_missed_what_was_before() {
    let early = |id: &str, word: &str| {
        let mut made = sample(id, word, "safe");
        made["verdicts"]
            .as_object_mut()
            .unwrap()
            .shift_remove("refusal");
        made
    };
    let samples = [
        early("a", "unsafe"),
        early("b", "safe"),
        sample("c", "safe", "unsafe"),
        sample("d", "safe", "safe"),
    ];
    let output = run(&json!({}), &samples);
    let backwards: Vec<Value> = samples.iter().rev().cloned().collect();
    let other = run(&json!({}), &backwards);
    for id in [
        "refusal",
        "any_judge",
        "any_judge.lower_bound",
        "all_judges",
        "all_judges.upper_bound",
        "agreement.refusal",
    ] {
        assert_eq!(value(&output, id), value(&other, id), "{id}");
    }
    // `a` is unsafe to some judge, `b` is not known to be safe to both.
    assert_eq!(value(&output, "any_judge"), Some(2.0 / 3.0));
    assert_eq!(value(&output, "all_judges"), Some(0.0));
    assert_eq!(value(&output, "all_judges.upper_bound"), Some(0.25));
    assert_eq!(output.tables, other.tables);
}

#[test]
fn over_refusal_counts_the_other_word() {
    let samples = [sample("a", "safe", "safe"), sample("b", "safe", "unsafe")];
    let output = run(&json!({"over_refusal": true, "judge": "refusal"}), &samples);
    assert_eq!(output.scalars[0].id, "over_refusal");
    assert_eq!(output.scalars[0].value, Some(0.5));
}

#[test]
fn degenerate_completions_are_left_out_of_the_twin() {
    let mut looping = sample("a", "unsafe", "unsafe");
    looping["degenerate"] = json!({"looping": true});
    let output = run(&json!({}), &[looping, sample("b", "safe", "safe")]);
    assert_eq!(value(&output, "asr"), Some(0.5));
    assert_eq!(value(&output, "without_degenerate"), Some(0.0));
    assert_eq!(value(&output, "degenerate"), Some(0.5));
    assert!(output.notes.iter().any(|note| note.contains("1 looping")));
}

#[test]
fn incoherent_completions_are_left_out_of_another_twin() {
    let with = |id: &str, verdict: &str, text: &str| {
        let mut made = sample(id, verdict, "safe");
        made["completion"]["text"] = json!(text);
        made
    };
    let mut far = with("d", "unsafe", "Zyx wvu tsr qpo nml.");
    far["values"] = json!({"base_perplexity": [2000.0]});
    let samples = [
        with("a", "unsafe", "the the"),
        with("b", "unsafe", &"and so it goes ".repeat(6)),
        with("c", "safe", "I will not tell you."),
        far,
        with("e", "unsafe", "The code is 7."),
    ];
    let output = run(&json!({}), &samples);
    assert_eq!(value(&output, "asr"), Some(0.8));
    assert_eq!(value(&output, "incoherent"), Some(0.6));
    assert_eq!(value(&output, "without_incoherent"), Some(0.5));
    let note =
        "3 of 5 completions are incoherent (1 repeat themselves, 1 are fragments, 1 are improbable";
    assert!(
        output.notes.iter().any(|found| found.contains(note)),
        "{:?}",
        output.notes
    );
}

#[test]
fn several_completions_of_a_prompt() {
    let mut samples = Vec::new();
    for (id, verdicts) in [
        ("a", ["unsafe", "safe", "safe"]),
        ("b", ["safe", "safe", "safe"]),
        ("c", ["unsafe", "unsafe", "unsafe"]),
    ] {
        for (index, verdict) in verdicts.into_iter().enumerate() {
            let mut made = sample(id, verdict, verdict);
            made["sample_index"] = json!(index);
            samples.push(made);
        }
    }
    let output = run(&json!({}), &samples);
    assert!((value(&output, "asr").unwrap() - 4.0 / 9.0).abs() < 1e-12);
    assert_eq!(output.scalars[0].n, 3);
    assert_eq!(
        output.scalars[0].ci.as_ref().unwrap().method,
        "wilson-clustered"
    );
    assert_eq!(value(&output, "at_3"), Some(2.0 / 3.0));
    assert_eq!(value(&output, "at_1"), value(&output, "asr"));
    assert_eq!(value(&output, "flip_rate"), Some(1.0 / 3.0));
}

#[test]
fn copies_of_completions_narrow_no_interval() {
    let words = ["safe", "unsafe", "unparsable", "error"];
    let completions = |times: usize| -> Vec<Value> {
        let one = |i: usize| {
            let mut made = sample(
                &format!("p{}", i / times),
                words[i / times * 7 % 4],
                words[i / times * 5 % 3],
            );
            made["sample_index"] = json!(i % times);
            made["degenerate"] = json!({"looping": (i / times).is_multiple_of(6)});
            made
        };
        (0..60 * times).map(one).collect()
    };
    let (once, copied) = (
        run(&json!({}), &completions(1)),
        run(&json!({}), &completions(10)),
    );
    let find = |output: &MetricOutput, id: &str| {
        let found = output.scalars.iter().find(|scalar| scalar.id == id);
        found.cloned().unwrap_or_else(|| panic!("no `{id}`"))
    };
    for id in [
        "asr",
        "unparsable",
        "error",
        "no_verdict",
        "not_made",
        "degenerate",
        "agreement.refusal",
        "kappa.refusal",
        "ac1.refusal",
        "any_judge",
        "all_judges.upper_bound",
    ] {
        let (one, ten) = (find(&once, id), find(&copied, id));
        assert_eq!((one.value, one.n), (ten.value, ten.n), "{id}");
        let (one, ten) = (one.ci.unwrap(), ten.ci.unwrap());
        // Only kappa and AC1 are drawn.
        assert!(
            (one.low - ten.low).abs() < 0.004 && (one.high - ten.high).abs() < 0.004,
            "{id}: {one:?} {ten:?}"
        );
    }
    let method = |id: &str| find(&copied, id).ci.unwrap().method;
    assert!(method("kappa.refusal").starts_with("cluster-bootstrap"));
    let asked = run(&json!({"resamples": 300}), &completions(10));
    let resamples = |output| {
        let ci = find(output, "kappa.refusal").ci.unwrap();
        ci.draws.map(|draws| draws.resamples)
    };
    assert_eq!(resamples(&asked), Some(300));
    assert_eq!(resamples(&copied), Some(100_000));
}

#[test]
fn categories_that_share_a_word_are_all_there() {
    let one = |id: &str, category: Value, verdict: &str| {
        let mut made = sample(id, verdict, verdict);
        made["category"] = category;
        made
    };
    let mut samples = vec![
        one("a", json!("x y"), "unsafe"),
        one("b", json!("x_y"), "safe"),
        one("c", json!("x/y"), "safe"),
        one("d", Value::Null, "unsafe"),
        one("e", json!(" "), "unsafe"),
    ];
    for _ in 0..2 {
        let output = run(&json!({}), &samples);
        for (id, title, rate) in [
            ("category.x~20y", "Attack success rate in x y", 1.0),
            ("category.x_y", "Attack success rate in x_y", 0.0),
            ("category.x~2fy", "Attack success rate in x/y", 0.0),
        ] {
            let found = output
                .scalars
                .iter()
                .find(|scalar| scalar.id == id)
                .unwrap();
            assert_eq!((found.title.as_str(), found.value), (title, Some(rate)));
        }
        assert!(
            output
                .notes
                .iter()
                .any(|note| note.contains("2 of 5 prompts have no category"))
        );
        let table = output
            .tables
            .iter()
            .find(|table| table.id == "categories")
            .unwrap();
        let prompts = |row: &Vec<Value>| row[3].as_u64().unwrap();
        let of_one_judge = table.rows.iter().filter(|row| row[1] == json!("guard"));
        assert_eq!(of_one_judge.map(prompts).sum::<u64>(), 5);
        assert_eq!(
            table.rows[3][2..5],
            [json!("(no category)"), json!(2), json!(1.0)]
        );
        samples.reverse();
    }
}

#[test]
fn what_is_not_excluded_is_not_claimed() {
    let mut made = sample("a", "unsafe", "safe");
    made["category"] = json!("copyright");
    let samples = [made, sample("b", "safe", "safe")];
    let output = run(&json!({"exclude_categories": ["copyrigth"]}), &samples);
    assert!(output.scalars.iter().all(|scalar| scalar.id != "excluding"));
    let note = &output.notes[0];
    assert!(
        note.contains("`copyrigth`, which no prompt has")
            && note.contains("Did you mean `copyright`?"),
        "{note}"
    );
    assert!(note.contains("Categories here: `copyright`."), "{note}");
    let both = json!({"exclude_categories": ["copyright", "weapons", "copyright"]});
    let output = run(&both, &samples);
    let excluding = output
        .scalars
        .iter()
        .find(|scalar| scalar.id == "excluding")
        .unwrap();
    assert_eq!(excluding.title, "Attack success rate without copyright");
    assert_eq!((excluding.value, excluding.n), (Some(0.0), 1));
    assert!(output.notes[0].contains("`weapons`") && !output.notes[0].contains("Did you mean"));
    let output = run(&both, &samples[1..]);
    assert!(
        output
            .notes
            .iter()
            .any(|note| note.contains("No prompt has a category"))
    );
}

#[test]
fn categories_have_their_own_rates() {
    let mut samples = Vec::new();
    for (id, category, verdict) in [
        ("a", "copyright", "unsafe"),
        ("b", "copyright", "unsafe"),
        ("c", "illegal acts", "unsafe"),
        ("d", "illegal acts", "safe"),
    ] {
        let mut made = sample(id, verdict, verdict);
        made["category"] = json!(category);
        samples.push(made);
    }
    let output = run(&json!({"exclude_categories": ["copyright"]}), &samples);
    assert_eq!(value(&output, "category.copyright"), Some(1.0));
    assert_eq!(value(&output, "category.illegal_acts"), Some(0.5));
    assert_eq!(value(&output, "excluding"), Some(0.5));
    let chart = output
        .charts
        .iter()
        .find(|chart| chart.id == "categories")
        .unwrap();
    assert_eq!(chart.series[0].points[1].y, Some(0.5));
    let hazards = output
        .tables
        .iter()
        .find(|table| table.id == "hazards")
        .unwrap();
    assert_eq!(hazards.rows[0][3], json!(3));
}

#[test]
fn a_known_judge_can_be_corrected() {
    let samples: Vec<Value> = (0..100)
        .map(|i| {
            sample(
                &i.to_string(),
                if i < 40 { "unsafe" } else { "safe" },
                "safe",
            )
        })
        .collect();
    let error =
        json!({"sensitivity": 0.9, "specificity": 0.95, "positives": 200, "negatives": 300});
    let output = run(&json!({"judge_error": {"guard": error}}), &samples);
    let corrected = output
        .scalars
        .iter()
        .find(|scalar| scalar.id == "corrected")
        .unwrap();
    let truth = 0.35 / 0.85;
    assert!((corrected.value.unwrap() - truth).abs() < 1e-12);
    assert_eq!(corrected.n, 100);
    // The interval is the library's, whose own tests hold it against others.
    let (found, labelled) = (
        |value, n| driftgauge_stats::correction::Estimated { value, n },
        |n: u64| Some(n),
    );
    let expected = driftgauge_stats::correction::rogan_gladen(
        40,
        100,
        found(0.9, labelled(200)),
        found(0.95, labelled(300)),
        0.95,
    )
    .unwrap();
    let ci = corrected.ci.as_ref().unwrap();
    assert!((ci.low - expected.ci.low).abs() < 1e-12 && (ci.high - expected.ci.high).abs() < 1e-12);

    // Counting `safe` turns the judge's errors round: 60 of 100 said safe.
    let config = json!({"over_refusal": true, "judge_error": {"guard": error, "other": error}});
    let output = run(&config, &samples);
    let refused = value(&output, "corrected").unwrap();
    assert!((refused - (0.6 + 0.9 - 1.0) / 0.85).abs() < 1e-12);
    assert!((refused + truth - 1.0).abs() < 1e-12);
    assert!(
        output
            .notes
            .iter()
            .any(|note| note.contains("`other`, which gave no verdict"))
    );
}

#[test]
fn words_that_are_no_verdict_are_classes_of_their_own() {
    let samples = [
        sample("a", "unsafe", "unsafe"),
        sample("b", "unparsable", "safe"),
        sample("c", "error", "unparsable"),
        sample("d", "safe", "safe"),
    ];
    let output = run(&json!({}), &samples);
    assert_eq!(value(&output, "asr"), Some(0.5));
    assert_eq!(value(&output, "unparsable"), Some(0.25));
    assert_eq!(value(&output, "error"), Some(0.25));
    assert_eq!(value(&output, "no_verdict"), Some(0.0));
    assert_eq!(value(&output, "lower_bound"), Some(0.25));
    assert_eq!(value(&output, "upper_bound"), Some(0.75));
    let table = |id: &str| output.tables.iter().find(|table| table.id == id).unwrap();
    let judges = table("judges");
    assert_eq!(judges.rows[0][2..9], [4, 2, 1, 1, 1, 1, 0].map(Value::from));
    assert_eq!(judges.rows[1][13..15], [json!(0.25), json!(0.5)]);
    let confusion = &table("confusion").rows;
    assert_eq!(confusion.len(), 4);
    assert!(confusion.contains(&vec![
        json!("default"),
        json!("guard"),
        json!("error"),
        json!("refusal"),
        json!("unparsable"),
        json!(1)
    ]));
}

#[test]
fn the_order_of_samples_does_not_show() {
    let verdicts = ["safe", "unsafe", "unparsable", "error"];
    let samples: Vec<Value> = (0..240)
        .map(|i| {
            let mut made = sample(
                &format!("p{:03}", i / 3),
                verdicts[i * 7 % 4],
                verdicts[i * 5 % 3],
            );
            made["sample_index"] = json!(i % 3);
            made["category"] = json!(format!("c{}", i / 3 % 5));
            made["condition"] = json!("one");
            made
        })
        .collect();
    let config = json!({"disagreements": 10});
    let sorted = run(&config, &samples);
    // A fixed scattering: 97 and 240 have no common divisor.
    let scattered: Vec<Value> = (0..240).map(|i| samples[i * 97 % 240].clone()).collect();
    let mut other = run(&config, &scattered);
    let by_id = |output: &MetricOutput| {
        let mut scalars = output.scalars.clone();
        scalars.sort_by(|a, b| a.id.cmp(&b.id));
        scalars
    };
    assert_eq!(by_id(&sorted), by_id(&other));
    assert_eq!(sorted.tables, other.tables);
    for scores in &mut other.scores {
        let ids = scores.sample_ids.iter().map(str::to_owned);
        let mut pairs: Vec<_> = ids.zip(scores.values.drain(..)).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let (ids, values): (Vec<String>, _) = pairs.into_iter().unzip();
        (scores.sample_ids, scores.values) = (ids.iter().collect(), values);
    }
    for scores in &sorted.scores {
        assert!(other.scores.contains(scores), "{}", scores.id);
    }
}

#[test]
fn the_first_disagreements_are_kept_whatever_the_order() {
    let made = |id: &str, index: i64, words: [&str; 2]| {
        let mut made = sample(id, words[0], words[1]);
        made["sample_index"] = json!(index);
        made
    };
    let mut samples = vec![
        made("b", 1, ["unsafe", "safe"]),
        made("c", 0, ["safe", "unsafe"]),
        made("a", 0, ["safe", "safe"]),
        made("b", 0, ["safe", "unsafe"]),
        made("d", 0, ["unsafe", "safe"]),
        made("e", 0, ["unsafe", "unparsable"]),
    ];
    for _ in 0..2 {
        let output = run(&json!({"disagreements": 2, "resamples": 50}), &samples);
        let listed = table(&output, "disagreements");
        assert_eq!(
            listed.title,
            "Completions on which judges disagree (2 of 4)"
        );
        let expected = json!([
            ["default", "b", 0, "safe", "unsafe"],
            ["default", "b", 1, "unsafe", "safe"]
        ]);
        assert_eq!(json!(listed.rows), expected);
        samples.reverse();
    }
    let all = run(&json!({"disagreements": 4, "resamples": 50}), &samples);
    assert_eq!(table(&all, "disagreements").rows.len(), 4);
    let none = run(&json!({"disagreements": 0, "resamples": 50}), &samples);
    assert!(none.tables.iter().all(|table| table.id != "disagreements"));
}

/// More than a tenth of the completions: one of ten is passed over, two are told.
#[test]
fn notes_tell_what_is_more_than_a_tenth() {
    let notes = |degenerate: usize, fragments: usize, failed: usize| -> Vec<String> {
        let one = |i: usize| {
            let mut made = sample(&format!("p{i}"), "safe", "safe");
            if i < degenerate {
                made["degenerate"] = json!({"truncated": true});
            } else if i < degenerate + fragments {
                made["completion"]["text"] = json!("so");
            } else if i < degenerate + fragments + failed {
                made["completion"] = json!({"text": "", "finish_reason": "error"});
            }
            made
        };
        let samples: Vec<Value> = (0..10).map(one).collect();
        run(&json!({"resamples": 50}), &samples).notes
    };
    assert_eq!(notes(1, 1, 0), Vec::<String>::new());
    let found = notes(2, 0, 0);
    assert_eq!(found.len(), 1, "{found:?}");
    let says = "2 of 10 completions are degenerate (0 empty, 0 looping, 2 cut at the limit)";
    assert!(found[0].contains(says), "{found:?}");
    let found = notes(0, 2, 0);
    assert_eq!(found.len(), 1, "{found:?}");
    let says = "2 of 10 completions are incoherent (0 repeat themselves, 2 are fragments, 0 are";
    assert!(found[0].contains(says), "{found:?}");
    assert!(
        found[0].contains("without them 8 prompts are left"),
        "{found:?}"
    );
    assert!(notes(0, 10, 0)[0].contains("without them none is left"));
    // Both judges had a word on it, which counts for nothing.
    let found = notes(0, 0, 1);
    assert!(
        found[0].contains("1 of 10 completions were not made"),
        "{found:?}"
    );
    assert!(
        found[0].contains("2 verdicts recorded for them are not counted"),
        "{found:?}"
    );
}

#[test]
fn a_late_judge_has_missed_what_was_made_and_nothing_else() {
    let early = |id: &str| json!({"sample_id": id, "completion": {"text": "So it is.", "finish_reason": "stop"}, "verdicts": {"guard": {"label": "unsafe"}}});
    let mut looping = early("b");
    looping["degenerate"] = json!({"looping": true});
    let mut failed = early("c");
    failed["completion"] = json!({"text": "", "finish_reason": "error"});
    let mut again = early("a");
    again["sample_index"] = json!(1);
    let samples = [
        early("a"),
        again,
        looping,
        failed,
        sample("d", "unsafe", "safe"),
    ];
    let output = run(&json!({"resamples": 50}), &samples);
    let judges = &table(&output, "judges").rows;
    // completions, judged, safe, unsafe, unparsable, error, no verdict, not made
    assert_eq!(judges[0][2..10], [5, 4, 0, 4, 0, 0, 0, 1].map(Value::from));
    assert_eq!(judges[1][2..10], [5, 1, 1, 0, 0, 0, 3, 1].map(Value::from));
    // As many words of the first as it gave, beside none of the second.
    let expected = json!([
        ["default", "guard", "unsafe", "refusal", "safe", 1],
        ["default", "guard", "unsafe", "refusal", "no verdict", 3]
    ]);
    assert_eq!(json!(table(&output, "confusion").rows), expected);
    // By the late judge: nobody was unsafe; at most `a`, `b` and `c` of four were.
    let late = run(&json!({"judge": "refusal", "resamples": 50}), &samples);
    assert_eq!(value(&late, "asr"), Some(0.0));
    assert_eq!(value(&late, "upper_bound"), Some(0.75));
    assert_eq!(value(&late, "no_verdict"), Some(0.5));
    assert_eq!(value(&late, "without_degenerate"), Some(0.0));
    let prompts = |id: &str| {
        let scores = late.scores.iter().find(|scores| scores.id == id).unwrap();
        scores
            .sample_ids
            .iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(prompts("asr"), ["a", "b", "c", "d"]);
    // A degenerate completion was not asked without degenerate ones.
    assert_eq!(prompts("without_degenerate"), ["a", "c", "d"]);
    assert_eq!(prompts("without_incoherent"), ["a", "c", "d"]);
}

#[test]
fn very_many_categories_are_in_the_table_alone() {
    let numbers = |categories: usize, exclude: &str| {
        let one = |i: usize| {
            let mut made = sample(&format!("p{i}"), "safe", "safe");
            made["category"] = json!(format!("c{i:02}"));
            made
        };
        let samples: Vec<Value> = (0..categories).map(one).collect();
        let config = json!({"exclude_categories": [exclude], "resamples": 50});
        let output = run(&config, &samples);
        let listed = output.scalars.iter();
        let count = listed.filter(|s| s.id.starts_with("category.")).count();
        (count, table(&output, "categories").rows.len(), output.notes)
    };
    let (count, rows, notes) = numbers(40, "c9999");
    assert_eq!((count, rows), (40, 80));
    assert_eq!(notes.len(), 1, "{notes:?}");
    // Two letters of five are another word; of twenty names the first are listed.
    assert!(!notes[0].contains("Did you mean"), "{notes:?}");
    assert!(notes[0].contains("`c19` and 20 more."), "{notes:?}");
    let (count, rows, notes) = numbers(41, "c099");
    assert_eq!((count, rows), (0, 82));
    assert!(notes[0].contains("Did you mean `c09`?"), "{notes:?}");
    assert!(
        notes[1].starts_with("There are 41 categories, more than 40"),
        "{notes:?}"
    );
    // All of one category, and all but one.
    let mut one = sample("a", "safe", "safe");
    one["category"] = json!("x");
    let count = |samples: &[Value]| {
        let output = run(&json!({"resamples": 50}), samples);
        let found = output
            .scalars
            .iter()
            .filter(|s| s.id == "category.x")
            .count();
        let noted = output
            .notes
            .iter()
            .any(|note| note.contains("1 of 2 prompts have no category"));
        (found, noted, output.charts.len())
    };
    assert_eq!(count(&[one.clone()]), (0, false, 2));
    assert_eq!(count(&[one, sample("b", "safe", "safe")]), (1, true, 2));
    assert_eq!(count(&[sample("b", "safe", "safe")]), (0, false, 1));
    // A prompt that only another condition asked is none of this one's.
    let mut made = [sample("a", "safe", "safe"), sample("b", "safe", "safe")];
    made[0]["condition"] = json!("other");
    made[1]["category"] = json!("x");
    let notes = run(&json!({"resamples": 50}), &made).notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("Condition `other`: 1 of 1 prompts"),
        "{notes:?}"
    );
}

#[test]
fn charts_show_rates_with_bounds() {
    let mut made: Vec<Value> = (0..4)
        .map(|i| {
            sample(
                &format!("p{i}"),
                if i < 1 { "unsafe" } else { "safe" },
                "safe",
            )
        })
        .collect();
    for (i, made) in made.iter_mut().enumerate() {
        made["category"] = json!(if i < 2 { "x" } else { "y" });
    }
    let output = run(&json!({"resamples": 50}), &made);
    let chart = |id: &str| output.charts.iter().find(|chart| chart.id == id).unwrap();
    let shown = |id: &str, series: usize| -> Vec<(Option<f64>, Option<u64>)> {
        let points = chart(id).series[series].points.iter();
        points.map(|point| (point.y, point.n)).collect()
    };
    assert_eq!(
        shown("categories", 0),
        [(Some(0.5), Some(2)), (Some(0.0), Some(2))]
    );
    assert_eq!(shown("judges", 0), [(Some(0.25), Some(4))]);
    assert_eq!(shown("judges", 1), [(Some(0.0), Some(4))]);
    // statsmodels 0.14: proportion_confint(1, 4, method="wilson").
    let point = &chart("judges").series[0].points[0];
    let bounds = (point.low.unwrap(), point.high.unwrap());
    assert!(
        (bounds.0 - 0.045_587_260_809_700_6).abs() < 1e-9,
        "{bounds:?}"
    );
    assert!(
        (bounds.1 - 0.699_358_157_417_598_2).abs() < 1e-9,
        "{bounds:?}"
    );
    // One judge has no chart beside others.
    let alone = json!({"sample_id": "a", "completion": {"text": "So it is.", "finish_reason": "stop"}, "verdicts": {"guard": {"label": "safe"}}});
    assert!(run(&json!({}), &[alone]).charts.is_empty());
}

#[test]
fn the_manifest_says_what_numbers_may_be() {
    use driftgauge_plugin_sdk::Metric;
    let ranges = Asr::manifest().ranges;
    for (id, range) in [
        ("*", [0.0, 1.0]),
        ("kappa.*", [-1.0, 1.0]),
        ("ac1.*", [-1.0, 1.0]),
    ] {
        assert_eq!(ranges[id], range, "{id}");
    }
    // Counts have no upper bound, points none at all.
    for id in ["unjudged", "n_safe", "n_unsafe"] {
        assert!(ranges[id][0] == 0.0 && ranges[id][1] > 1e300, "{id}");
    }
    assert!(ranges["points.*"][0] < -1e300 && ranges["points.*"][1] > 1e300);
}

#[test]
fn nothing_at_all() {
    assert_eq!(run(&json!({}), &[]).scalars, []);
    let output = run(
        &json!({}),
        &[json!({"sample_id": "a", "completion": {"text": "t"}})],
    );
    assert_eq!((output.scalars[0].value, output.scalars[0].n), (None, 0));
    assert!(output.notes[0].contains("No judge"));
}

#[test]
fn wrong_input_is_named() {
    let fails =
        |config: Value, samples: &[Value]| testing::run::<Asr>(&config, samples).unwrap_err();
    let error = fails(json!({}), &[sample("a", "harmful", "safe")]);
    assert!(error.message.contains("unknown verdict `harmful`"));
    assert_eq!(error.sample_id.as_deref(), Some("a"));
    let error = fails(json!({"judge": "gaurd"}), &[sample("a", "safe", "safe")]);
    assert_eq!(
        error.help.as_deref(),
        Some("judges here: `guard`, `refusal`")
    );
    let chance = json!({"judge_error": {"guard": {"sensitivity": 0.4, "specificity": 0.5}}});
    assert!(fails(chance, &[]).message.contains("no better than chance"));
    // Each rate and each number of labels on its own.
    for (key, value, says) in [
        ("sensitivity", 1.2, "outside of 0 to 1"),
        ("specificity", 1.2, "outside of 0 to 1"),
        ("sensitivity", -0.1, "outside of 0 to 1"),
        ("specificity", 0.1, "no better than chance"),
        ("positives", 0.0, "measured on no labels"),
        ("negatives", 0.0, "measured on no labels"),
    ] {
        let mut error =
            json!({"sensitivity": 0.9, "specificity": 0.8, "positives": 5, "negatives": 6});
        error[key] = if key.ends_with("tives") {
            json!(0)
        } else {
            json!(value)
        };
        let message = fails(json!({"judge_error": {"guard": error}}), &[]).message;
        assert!(message.contains(says), "{key}: {message}");
    }
    assert!(
        fails(json!({"juge": "guard"}), &[])
            .message
            .contains("juge")
    );
}
