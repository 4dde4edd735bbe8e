//! What is said of the numbers: in the manifest and in their formulas.

use serde_json::{Value, json};

use super::{four, run, sample, scalar};
use crate::Uncertainty;

#[test]
fn every_number_is_announced() {
    let listed = crate::uncertainty::report::listed();
    for id in [
        "top{top_k}_entropy",
        "perplexity_correct",
        "margin_incorrect",
        "ece*",
        "corpus_perplexity",
    ] {
        assert!(listed.iter().any(|one| one == id), "{id}");
    }
    // Thirteen measures, each thrice, and nine more.
    assert_eq!(listed.len(), 13 * 3 + 9);
}

#[test]
fn the_formula_says_what_was_configured() {
    let formula = |config: Value, id: &str| scalar(&run(&config, &four()), id).formula.clone();
    assert_eq!(
        formula(json!({}), "perplexity"),
        "exp(-(1/T) sum_t ln p_t); p_t of the emitted token; end token kept; mean over prompts"
    );
    let top1 = formula(json!({"token": "top1", "eos": "drop"}), "perplexity");
    assert!(
        top1.contains("p_t of the likeliest token; end token dropped"),
        "{top1}"
    );
    let paper = formula(json!({"definitions": "paper"}), "top10_entropy_correct");
    assert!(
        paper.ends_with(
            "; last position dropped; mean over prompts, of answers correct by substring"
        ),
        "{paper}"
    );
    let mut again = sample("a", "Paris", [0.9, 0.8, 0.7]);
    again["sample_index"] = json!(1);
    let output = run(&json!({}), &[sample("a", "Paris", [0.9, 0.8, 0.9]), again]);
    assert!(
        scalar(&output, "perplexity")
            .formula
            .ends_with("; mean over prompts of the mean over a prompt's completions")
    );
    let recorded = json!({"sample_id": "a", "completion": {"text": "", "finish_reason": "stop"}, "values": {"p": [0.5], "correct": [1.0]}});
    let config = json!({"recorded": {"mean_token_probability": "p"}});
    let output = run(&config, &[recorded]);
    assert_eq!(
        scalar(&output, "mean_token_probability_correct").formula,
        "(1/T) sum_t p_t; as recorded in `p`; mean over prompts, of answers correct as recorded in `correct`"
    );
    assert!(
        scalar(&output, "ece10")
            .formula
            .ends_with("; correct as recorded in `correct`")
    );
}

/// Logarithms have no lower bound and overconfidence has a sign; a share has neither.
#[test]
fn ranges_are_told_by_the_manifest() {
    use driftgauge_plugin_sdk::Metric;
    let ranges = Uncertainty::manifest().ranges;
    let ends = |id: &str| ranges[id];
    assert_eq!(ends("margin_correct"), [0.0, 1.0]);
    assert_eq!(ends("overconfidence"), [-1.0, 1.0]);
    assert_eq!(ends("brier"), [0.0, 1.0]);
    let [low, high] = ends("sequence_logprob_incorrect");
    assert!(low < -1e300 && high == 0.0);
    let [low, high] = ends("perplexity");
    assert!(low == 1.0 && high > 1e300);
    let [low, high] = ends("prr");
    assert!(low < -1e300 && high == 1.0);
}
