//! Table 5: certainty, and what it says of correctness.

use serde_json::Value;

use super::figures::{FIGURE, Figures, POINTS};
use super::{CONDITIONS, MODELS, Run, published};

/// Table 5.
pub(super) fn uncertainty(run: &Run, figures: &Figures) {
    let measures = [
        ("avg_perplexity", "perplexity"),
        ("avg_entropy", "top10_entropy"),
        ("avg_probability", "mean_token_probability"),
    ];
    for model in MODELS {
        for condition in CONDITIONS {
            for part in ["correct", "incorrect"] {
                let at = format!("/tables/table5_uncertainty/{model}/{condition}/{part}");
                for (name, measure) in measures {
                    let metric = format!("uncertainty.{measure}_{part}");
                    let number = run.metric("knowledge-drift", &metric, condition, model);
                    figures.check(&format!("{at}/n"), &number["n"], 1.0, 0.0);
                    let at = format!("{at}/{name}");
                    figures.check(&format!("{at}/mean"), &number["value"], 1.0, FIGURE);
                    for (figure, key) in [
                        ("se_pop", "se_population"),
                        ("se_sample", "se"),
                        ("std_pop", "sd_population"),
                        ("median", "median"),
                    ] {
                        figures.check(
                            &format!("{at}/{figure}"),
                            &number["spread"][key],
                            1.0,
                            FIGURE,
                        );
                    }
                    for (figure, statistic) in
                        [("paper_mean", "value"), ("paper_se", "standard-error")]
                    {
                        let at = format!("{at}/{figure}");
                        if !figures.get(&at).is_null() {
                            published(figures, &at, run, 1.0, |row| {
                                row["metric"] == metric.as_str()
                                    && row["model"] == model
                                    && row["condition"] == condition
                                    && row["statistic"] == statistic
                            });
                        }
                    }
                }
            }
        }
    }
}

/// "More confident when wrong": incorrect answers are of other questions for each model, so they are compared without pairs.
/// p-values and bounds from scipy's `ttest_ind(equal_var=False)` over the records.
pub(super) fn incorrect_answers(run: &Run) {
    for (measure, delta, p, low, high) in [
        (
            "perplexity_incorrect",
            -0.132_588_418_150_737_74,
            0.000_333_333_176_670_855_14,
            -0.204_798_222_835_315_26,
            -0.060_378_613_466_160_22,
        ),
        (
            "mean_token_probability_incorrect",
            0.021_855_674_688_020_188,
            0.016_703_504_884_482_162,
            0.003_965_845_999_939_731,
            0.039_745_503_376_100_645,
        ),
    ] {
        let metric = format!("uncertainty.{measure}");
        let found = run.comparison("unpaired_comparisons", &metric, "false_context", "harmful");
        let close = |value: &Value, expected: f64| {
            let value = value.as_f64().expect("a number");
            assert!(
                (value - expected).abs() < 1e-9,
                "{metric}: {value} for {expected}"
            );
        };
        close(&found["delta"], delta);
        close(&found["p"], p);
        close(&found["ci"]["low"], low);
        close(&found["ci"]["high"], high);
        assert_eq!(found["test"]["name"], "welch-t");
        let sides = &found["detail"]["sides"];
        assert_eq!(
            (&sides["baseline"], &sides["model"]),
            (&508.into(), &709.into())
        );
    }
}

pub(super) fn calibration(run: &Run, figures: &Figures) {
    let cells = "/extra/calibration_of_avg_probability/cells";
    for model in MODELS {
        for condition in CONDITIONS {
            let number = |id: &str| {
                run.metric(
                    "knowledge-drift",
                    &format!("uncertainty.{id}"),
                    condition,
                    model,
                )
            };
            let chosen = "Mean token probability";
            let further = |column: &str| run.cell("calibration", model, condition, chosen, column);
            let auroc = |measure: &str| run.cell("predictors", model, condition, measure, "AUROC");
            // Rows of some models are left out of the figures; theirs are made all the same.
            assert!(number("auroc")["ci"].is_object() && further("E-AURC").is_number());
            let at = format!("{cells}/{model}~1{condition}");
            if !figures.has(&at) {
                continue;
            }
            figures.check(&format!("{at}/n"), &number("auroc")["n"], 1.0, 0.0);
            for (figure, ours) in [
                ("accuracy", further("accuracy")),
                ("mean_probability", further("mean confidence")),
                ("overconfidence", &number("overconfidence")["value"]),
                ("ece10", &number("ece10")["value"]),
                ("ece10_right_closed", further("ECE, 10 bins")),
                ("ece15", further("ECE, 15 bins")),
                ("mce10", further("MCE, 10 bins closed below")),
                ("ece10_equal_mass", further("ECE, 10 bins of equal mass")),
                ("brier", &number("brier")["value"]),
                ("brier_skill", further("Brier skill")),
                ("auroc_prob", &number("auroc")["value"]),
                ("auroc_inv_ppl", auroc("Perplexity")),
                ("auroc_neg_entropy", auroc("Top-10 entropy")),
                ("aurc_prob", &number("aurc")["value"]),
                ("eaurc_prob", further("E-AURC")),
                ("prr_prob", &number("prr")["value"]),
                (
                    "spearman_prob_ppl",
                    run.cell(
                        "predictors",
                        model,
                        condition,
                        "Perplexity",
                        "rank correlation",
                    ),
                ),
            ] {
                // The figures' random order of rejection is a mean over shuffles; ours is its expectation.
                let tolerance = if figure == "prr_prob" { 5e-3 } else { FIGURE };
                figures.check(&format!("{at}/{figure}"), ours, 1.0, tolerance);
            }
            figures.check_interval(
                &format!("{at}/ece10_boot95"),
                &number("ece10")["ci"],
                1.0,
                POINTS,
            );
            figures.check_interval(
                &format!("{at}/auroc_prob_boot95"),
                &number("auroc")["ci"],
                1.0,
                POINTS,
            );
        }
    }
}
