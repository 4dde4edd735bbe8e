//! Rates by category, and without some of them.

use serde_json::{Value, json};

use super::{run, sample, table, value};

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
