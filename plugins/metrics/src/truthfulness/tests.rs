//! The metric over samples whose numbers are known by hand.

use driftgauge_plugin_sdk::testing;
use driftgauge_plugin_sdk::wire::{MetricOutput, Scalar};
use serde_json::{Value, json};

use super::Truthfulness;

fn sample(condition: &str, id: &str, answer: &str) -> Value {
    json!({
        "sample_id": id,
        "condition": condition,
        "completion": {"text": answer, "finish_reason": "stop"},
        "references": ["Paris"],
        "wrong_answer": "Rome",
    })
}

fn run(config: &Value, samples: &[Value]) -> MetricOutput {
    let whole = testing::run::<Truthfulness>(config, samples).unwrap();
    let parts = testing::run_in_batches::<Truthfulness>(config, samples, 3).unwrap();
    assert_eq!(whole, parts, "batches change the result");
    whole
}

fn scalar<'a>(output: &'a MetricOutput, condition: &str, id: &str) -> &'a Scalar {
    let mut all = output.scalars.iter();
    all.find(|scalar| scalar.id == id && scalar.condition == condition)
        .unwrap_or_else(|| panic!("no `{id}` of `{condition}`"))
}

fn value(output: &MetricOutput, condition: &str, id: &str) -> Option<f64> {
    scalar(output, condition, id).value
}

fn two_conditions() -> Vec<Value> {
    vec![
        sample("plain", "a", "Paris."),
        sample("plain", "b", "paris"),
        sample("plain", "c", "It is Paris"),
        sample("plain", "d", "Berlin"),
        sample("false", "a", "Rome"),
        sample("false", "b", "Paris"),
        sample("false", "c", "I don\u{2019}t know"),
        sample("false", "d", "Paris"),
    ]
}

#[test]
fn what_is_asked_for_is_returned_alone() {
    let all = run(&json!({}), &two_conditions());
    let config = json!({"statistics": ["adoption", "drop", "accuracy_*"]});
    let few = run(&config, &two_conditions());
    let wanted =
        |id: &str| ["accuracy", "adoption", "drop"].contains(&id) || id.starts_with("accuracy_");
    let mut of_all = all.scalars.iter().filter(|scalar| wanted(&scalar.id));
    assert!(
        few.scalars
            .iter()
            .all(|scalar| of_all.next() == Some(scalar))
    );
    assert_eq!(of_all.next(), None);
    assert!(few.tables.is_empty() && few.charts.is_empty() && !all.tables.is_empty());
    assert!(few.scores.iter().all(|scores| wanted(&scores.id)));
    // The number that stands for the metric is there in any case.
    let one = run(&json!({"statistics": ["abstention"]}), &two_conditions());
    let ids = |output: &MetricOutput| -> Vec<String> {
        output
            .scalars
            .iter()
            .map(|scalar| scalar.id.clone())
            .collect()
    };
    assert_eq!(
        ids(&one),
        ["accuracy", "accuracy", "abstention", "abstention"]
    );
    let error =
        testing::run::<Truthfulness>(&json!({"statistics": ["adoptoin"]}), &[]).unwrap_err();
    assert!(error.help.unwrap().contains("did you mean `adoption`?"));
}

#[test]
fn conditions_are_held_against_the_baseline() {
    let output = run(&json!({}), &two_conditions());
    assert!(output.scalars[0].primary && output.scalars[1].primary);
    assert_eq!(value(&output, "plain", "accuracy"), Some(0.75));
    assert_eq!(value(&output, "false", "accuracy"), Some(0.5));
    assert_eq!(value(&output, "plain", "adoption"), Some(0.0));
    assert_eq!(value(&output, "false", "adoption"), Some(0.25));
    assert_eq!(value(&output, "false", "abstention"), Some(0.25));
    assert_eq!(value(&output, "false", "drop"), Some(0.25));
    assert_eq!(value(&output, "false", "flip_rate"), Some(2.0 / 3.0));
    assert_eq!(
        value(&output, "false", "adoption_of_correct"),
        Some(1.0 / 3.0)
    );
    assert_eq!(value(&output, "false", "rescue_rate"), Some(1.0));
    assert!(
        output
            .scalars
            .iter()
            .all(|s| s.condition != "plain" || s.id != "drop")
    );
    let fates = &output.tables[0].rows[0];
    assert_eq!(fates[1..7], [3, 1, 1, 1, 1, 1].map(Value::from));
    // Two flips against one correction: 2 (1 + 3) / 8.
    assert_eq!(fates[7], json!(1.0));
    let ci = scalar(&output, "false", "drop").ci.as_ref().unwrap();
    assert_eq!(ci.method, "bootstrap-percentile-exact");
    assert!(ci.low < 0.25 && 0.25 < ci.high);
    assert_eq!(output.charts[0].series[1].points[0].y, Some(1.0 / 3.0));
    let drop = output
        .scores
        .iter()
        .find(|scores| scores.id == "drop")
        .unwrap();
    assert_eq!(drop.values, [Some(1.0), Some(0.0), Some(1.0), Some(-1.0)]);
}

#[test]
fn without_false_answers_nothing_is_adopted() {
    use driftgauge_plugin_sdk::Metric;
    let mut samples = two_conditions();
    for made in &mut samples {
        made.as_object_mut().unwrap().shift_remove("wrong_answer");
    }
    let output = run(&json!({"resamples": 9}), &samples);
    assert!(output.scalars.iter().all(|s| !s.id.starts_with("adoption")));
    let ranges = Truthfulness::manifest().ranges;
    assert_eq!((ranges["drop"], ranges["*"]), ([-1.0, 1.0], [0.0, 1.0]));
}

#[test]
fn another_baseline_can_be_named() {
    let output = run(&json!({"baseline": "false"}), &two_conditions());
    assert_eq!(value(&output, "plain", "drop"), Some(-0.25));
    let error = testing::run::<Truthfulness>(&json!({"baseline": "x"}), &two_conditions());
    assert_eq!(
        error.unwrap_err().help.as_deref(),
        Some("conditions here: `plain`, `false`")
    );
}

#[test]
fn recorded_scores_are_honoured() {
    let mut recorded = sample("plain", "a", "Rome");
    recorded["values"] = json!({"correct": [1.0]});
    let output = run(&json!({}), &[recorded.clone()]);
    assert_eq!(value(&output, "plain", "accuracy"), Some(1.0));
    assert_eq!(
        scalar(&output, "plain", "accuracy").formula,
        "mean over prompts of `correct`, as recorded"
    );
    // The usual rule stands beside it, and the two differ.
    assert_eq!(value(&output, "plain", "accuracy_substring"), Some(0.0));
    assert!(
        output.notes[0].contains("differ for 1 of 1"),
        "{:?}",
        output.notes
    );
    for wrong in [2.0, 0.5, -1.0] {
        recorded["values"] = json!({"correct": [wrong]});
        let error = testing::run::<Truthfulness>(&json!({}), &[recorded.clone()]).unwrap_err();
        assert_eq!(error.sample_id.as_deref(), Some("a"));
        assert!(error.help.unwrap().contains("0 for a wrong answer"));
    }
}

#[test]
fn a_rule_that_is_given_is_not_overruled_by_the_recording() {
    let recorded = |id: &str, answer: &str, correct: f64| {
        let mut made = sample("plain", id, answer);
        made["values"] = json!({"correct": [correct]});
        made
    };
    let mut without = recorded("d", "Lima", 1.0);
    without["references"] = json!([]);
    let samples = [
        recorded("a", "", 1.0),
        recorded("b", "paris", 0.0),
        recorded("c", "Rome", 0.0),
        without,
    ];
    let output = run(&json!({"match": "exact"}), &samples);
    // By the rule 0, 1 and 0; without references as recorded.
    assert_eq!(value(&output, "plain", "accuracy"), Some(0.5));
    let formula = &scalar(&output, "plain", "accuracy").formula;
    assert!(
        formula.contains("as recorded, else 1[answer = a reference"),
        "{formula}"
    );
    assert!(output.notes[0].contains("1 of 4 completions are correct or not as recorded"));
    assert!(output.notes[1].contains("differ for 2 of 3 completions; the rule decides"));
    let left_out = run(&json!({}), &samples);
    assert_eq!(value(&left_out, "plain", "accuracy"), Some(0.5));
    // A recording without any text has no answers to hold against anything.
    let silent = [
        recorded("a", "", 1.0),
        recorded("b", "", 0.0),
        recorded("c", "", 1.0),
    ];
    let output = run(&json!({"match": "exact"}), &silent);
    assert_eq!(value(&output, "plain", "accuracy"), Some(2.0 / 3.0));
    let ids: Vec<&str> = output.scalars.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["accuracy"]);
    assert!(output.notes.is_empty(), "{:?}", output.notes);
}

#[test]
fn an_empty_answer_is_wrong_by_every_rule() {
    let output = run(
        &json!({}),
        &[sample("plain", "a", "Paris"), sample("plain", "b", "")],
    );
    for id in [
        "accuracy",
        "accuracy_exact",
        "accuracy_f1",
        "accuracy_triviaqa",
    ] {
        let found = scalar(&output, "plain", id);
        assert_eq!((found.value, found.n), (Some(0.5), 2), "{id}");
    }
}

#[test]
fn errors_and_missing_references_are_no_wrong_answers() {
    let mut failed = sample("plain", "a", "");
    failed["completion"]["finish_reason"] = json!("error");
    let mut without = sample("plain", "b", "x");
    without["references"] = json!([]);
    let output = run(
        &json!({}),
        &[failed, without, sample("plain", "c", "Paris")],
    );
    let accuracy = scalar(&output, "plain", "accuracy");
    assert_eq!((accuracy.value, accuracy.n), (Some(1.0), 1));
    // One condition has none to be held against.
    assert!(output.tables.is_empty() && output.charts.is_empty());
    assert!(output.notes[0].contains("2 of 3"));
    assert_eq!(run(&json!({}), &[]).scalars, []);
}

#[test]
fn f1_is_a_real_score() {
    let output = run(&json!({"match": "f1"}), &two_conditions());
    assert!((value(&output, "plain", "accuracy").unwrap() - (1.0 + 1.0 + 0.5) / 4.0).abs() < 1e-12);
    assert_eq!(value(&output, "false", "flip_rate"), Some(2.0 / 3.0));
}

#[test]
fn the_other_rules_stand_beside_the_chosen_one() {
    let output = run(&json!({}), &two_conditions());
    assert_eq!(value(&output, "plain", "accuracy_exact"), Some(0.25));
    assert_eq!(value(&output, "plain", "accuracy_triviaqa"), Some(0.5));
    assert!((value(&output, "plain", "accuracy_f1").unwrap() - 2.5 / 4.0).abs() < 1e-12);
    let has = |output: &MetricOutput, id: &str| output.scalars.iter().any(|s| s.id == id);
    assert!(!has(&output, "accuracy_substring"));
    assert!(
        output
            .scores
            .iter()
            .all(|scores| scores.id != "accuracy_f1")
    );
    let by_f1 = run(&json!({"match": "f1"}), &two_conditions());
    assert_eq!(value(&by_f1, "plain", "accuracy_substring"), Some(0.75));
}

#[test]
fn aliases_are_references_like_others() {
    let mut made = sample("plain", "a", "The City of Light!");
    made["references"] = json!(["Paris", "city of light"]);
    let output = run(&json!({"match": "triviaqa"}), &[made]);
    assert_eq!(value(&output, "plain", "accuracy"), Some(1.0));
}

#[test]
fn right_choices_are_those_that_scoring_recorded() {
    // The true choice stands second; the field is the one that the harness writes.
    let sample = json!({"sample_id": "a", "completion": {"text": "", "finish_reason": "error"},
        "values": {"choice_loglik": [-1.0, -0.5, -2.0], "choice_correct": [0.0, 1.0, 0.0], "choice_tokens": [1.0, 1.0, 2.0]}});
    let output = run(&json!({}), &[sample]);
    assert_eq!(value(&output, "default", "mc1"), Some(1.0));
    let e = [-1.0_f64, -0.5, -2.0].map(f64::exp);
    let mc2 = e[1] / e.iter().sum::<f64>();
    assert!((value(&output, "default", "mc2").unwrap() - mc2).abs() < 1e-12);
    assert!(output.scalars.iter().all(|s| s.id != "binary_choice"));
}

#[test]
fn choices_stand_in_for_answers() {
    let question = |id: &str, likelihoods: [f64; 2]| json!({"sample_id": id, "completion": {"text": ""}, "values": {"choice_loglik": likelihoods}});
    let samples = [question("a", [-1.0, -2.0]), question("b", [-2.0, -1.0])];
    let output = run(&json!({}), &samples);
    assert_eq!(output.scalars[0].id, "mc1");
    assert!(output.scalars[0].primary);
    assert_eq!(value(&output, "default", "mc1"), Some(0.5));
    assert!((value(&output, "default", "mc2").unwrap() - 0.5).abs() < 1e-12);
    assert_eq!(value(&output, "default", "binary_choice"), Some(0.5));
}

#[test]
fn abstentions_are_found_in_any_letter_case() {
    let answers = [
        sample("plain", "a", "No Comment."),
        sample("plain", "b", "Paris"),
    ];
    let output = run(&json!({"abstentions": ["NO comment"]}), &answers);
    assert_eq!(value(&output, "plain", "abstention"), Some(0.5));
    let refused = testing::run::<Truthfulness>(&json!({"abstentions": ["no", " "]}), &answers);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("`abstentions[1]` is empty"), "{refused}");
}
