//! Table 4: accuracy under false and unrelated statements.

use serde_json::Value;

use super::figures::{FIGURE, Figures, POINTS, hits, mcnemar};
use super::{CONDITIONS, MODELS, Run, published};

/// Table 4, the drops it shows, and whether one model drops further than another.
pub(super) fn accuracy(run: &Run, figures: &Figures) {
    for model in MODELS {
        for condition in CONDITIONS {
            let at = format!("/tables/table4_accuracy/{model}/{condition}");
            let rate = run.metric("knowledge-drift", "truthfulness", condition, model);
            figures.check(&format!("{at}/n"), &rate["n"], 1.0, 0.0);
            figures.check(&format!("{at}/correct"), &hits(rate), 1.0, 1e-9);
            figures.check(
                &format!("{at}/recomputed_pct"),
                &rate["value"],
                100.0,
                FIGURE,
            );
            figures.check(
                &format!("{at}/se"),
                &rate["spread"]["se_population"],
                1.0,
                FIGURE,
            );
            figures.check_interval(&format!("{at}/wilson95"), &rate["ci"], 1.0, FIGURE);
            published(figures, &format!("{at}/paper_pct"), run, 100.0, |row| {
                row["metric"] == "truthfulness"
                    && row["model"] == model
                    && row["condition"] == condition
                    && row["baseline"].is_null()
                    && row["baseline_condition"].is_null()
            });
        }
        for condition in &CONDITIONS[1..] {
            let found = run.comparison("condition_comparisons", "truthfulness", condition, model);
            assert_eq!(found["baseline_condition"], "baseprompt");
            let (detail, intervals) = (&found["detail"], &found["detail"]["intervals"]);
            assert!(detail["effect"]["relative"].is_number() && intervals[1].is_object());
            let at = format!("/extra/accuracy_drop_vs_baseprompt/{model}/{condition}");
            if !figures.has(&at) {
                continue;
            }
            // A drop is a fall: the sides of its interval change places.
            figures.check(&format!("{at}/drop_pp"), &found["delta"], -100.0, FIGURE);
            figures.check(
                &format!("{at}/relative_drop_pct"),
                &detail["effect"]["relative"],
                -100.0,
                FIGURE,
            );
            figures.check(&format!("{at}/se_paired_pp"), &detail["se"], 100.0, FIGURE);
            fall(
                figures,
                &format!("{at}/paired_bootstrap95_pp"),
                &intervals[0],
            );
            fall(figures, &format!("{at}/bca95_pp"), &intervals[1]);
            mcnemar(figures, &format!("{at}/mcnemar"), found);
        }
    }
    for model in ["harmful", "safe"] {
        for condition in &CONDITIONS[1..] {
            let found = run.comparison(
                "differences_in_differences",
                "truthfulness",
                condition,
                model,
            );
            assert!(found["test"]["statistic"].is_number() && found["p"].is_number());
            let at = format!("/extra/diff_in_diff_accuracy_drop/{model}~1{condition}");
            if !figures.has(&at) {
                continue;
            }
            figures.check(
                &format!("{at}/extra_drop_pp"),
                &found["delta"],
                -100.0,
                FIGURE,
            );
            fall(figures, &format!("{at}/boot95_pp"), &found["ci"]);
            figures.check(
                &format!("{at}/z"),
                &found["test"]["statistic"],
                -1.0,
                5.1e-5,
            );
            figures.check_p(&format!("{at}/p_normal"), &found["p"]);
        }
    }
}

pub(super) fn false_answers(run: &Run, figures: &Figures) {
    let at = "/extra/false_answer_adoption";
    for model in MODELS {
        let rate = run.metric(
            "knowledge-drift",
            "truthfulness.adoption",
            "false_context",
            model,
        );
        let at = format!("{at}/{model}");
        if figures.has(&at) {
            figures.check(&format!("{at}/n"), &rate["n"], 1.0, 0.0);
            figures.check(&format!("{at}/adopted"), &hits(rate), 1.0, 1e-9);
            figures.check(&format!("{at}/pct"), &rate["value"], 100.0, FIGURE);
            figures.check_interval(&format!("{at}/wilson95"), &rate["ci"], 1.0, FIGURE);
        }
    }
    for model in ["harmful", "safe"] {
        let found = run.comparison(
            "comparisons",
            "truthfulness.adoption",
            "false_context",
            model,
        );
        let at = format!("{at}/{model}_vs_base");
        figures.check(&format!("{at}/diff_pp"), &found["delta"], 100.0, FIGURE);
        let drawn = &found["detail"]["intervals"][0];
        figures.check_interval(
            &format!("{at}/paired_bootstrap95_pp"),
            drawn,
            100.0,
            100.0 * POINTS,
        );
        mcnemar(figures, &format!("{at}/mcnemar"), found);
    }
    for model in MODELS {
        for condition in &CONDITIONS[1..] {
            let number = |id: &str| {
                run.metric(
                    "knowledge-drift",
                    &format!("truthfulness.{id}"),
                    condition,
                    model,
                )
            };
            let (flips, adopted, rescued) = (
                number("flip_rate"),
                number("adoption_of_correct"),
                number("rescue_rate"),
            );
            let at = format!("/extra/drift_conditional_on_initially_correct/{model}~1{condition}");
            if !figures.has(&at) {
                continue;
            }
            figures.check(
                &format!("{at}/n_correct_at_baseprompt"),
                &flips["n"],
                1.0,
                0.0,
            );
            figures.check(&format!("{at}/flip_to_incorrect"), &hits(flips), 1.0, 1e-9);
            figures.check(
                &format!("{at}/flip_rate_pct"),
                &flips["value"],
                100.0,
                FIGURE,
            );
            figures.check_interval(&format!("{at}/wilson95"), &flips["ci"], 1.0, FIGURE);
            figures.check(
                &format!("{at}/adopted_wrong_answer"),
                &hits(adopted),
                1.0,
                1e-9,
            );
            figures.check(
                &format!("{at}/adopt_rate_pct"),
                &adopted["value"],
                100.0,
                FIGURE,
            );
            figures.check(
                &format!("{at}/rescued_from_incorrect"),
                &hits(rescued),
                1.0,
                1e-9,
            );
            figures.check(
                &format!("{at}/n_incorrect_at_baseprompt"),
                &rescued["n"],
                1.0,
                0.0,
            );
        }
    }
}

pub(super) fn fall(figures: &Figures, at: &str, interval: &Value) {
    let bound = |side: &str| -interval[side].as_f64().expect("a bound");
    let turned = serde_json::json!({"low": bound("high"), "high": bound("low")});
    figures.check_interval(at, &turned, 100.0, 100.0 * POINTS);
}
