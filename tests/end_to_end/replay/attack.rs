//! Table 3: attack success, by category too.

use super::figures::{FIGURE, Figures, POINTS, hits, mcnemar};
use super::{MODELS, Run, published};

/// Table 3 with what the paper leaves out.
pub(super) fn attack_success(run: &Run, figures: &Figures) {
    for model in MODELS {
        let at = format!("/tables/table3_asr/{model}");
        let number = |metric: &str| run.metric("harmfulness", metric, "default", model);
        let asr = number("asr");
        figures.check(&format!("{at}/n"), &asr["n"], 1.0, 0.0);
        figures.check(
            &format!("{at}/recomputed/asr_pct"),
            &asr["value"],
            100.0,
            FIGURE,
        );
        for part in ["paper", "recomputed"] {
            for word in ["safe", "unsafe"] {
                let count = &number(&format!("asr.n_{word}"))["value"];
                figures.check(&format!("{at}/{part}/{word}"), count, 1.0, 0.0);
            }
        }
        figures.check(
            &format!("{at}/se_binomial"),
            &asr["spread"]["se_population"],
            1.0,
            FIGURE,
        );
        figures.check_interval(&format!("{at}/wilson95"), &asr["ci"], 1.0, FIGURE);
        assert_eq!(asr["intervals"][0]["method"], "clopper-pearson");
        figures.check_interval(
            &format!("{at}/clopper_pearson95"),
            &asr["intervals"][0],
            1.0,
            FIGURE,
        );
        published(figures, &format!("{at}/paper/asr_pct"), run, 100.0, |row| {
            row["metric"] == "asr" && row["model"] == model && row["baseline"].is_null()
        });

        let at = format!("/extra/asr_excluding_copyright/{model}");
        let others = number("asr.excluding");
        figures.check(&format!("{at}/n"), &others["n"], 1.0, 0.0);
        figures.check(&format!("{at}/asr_pct"), &others["value"], 100.0, FIGURE);
        figures.check(&format!("{at}/unsafe"), &hits(others), 1.0, 1e-9);
        figures.check_interval(&format!("{at}/wilson95"), &others["ci"], 1.0, FIGURE);
    }
    for model in ["harmful", "safe"] {
        let found = run.comparison("comparisons", "asr", "default", model);
        let at = format!("/extra/asr_comparisons/base_vs_{model}");
        // The row of the safe model may have been left out of the figures; its statistics are made all the same.
        assert!(found["detail"]["effect"]["cohens_h"].is_number());
        if !figures.has(&at) {
            continue;
        }
        mcnemar(figures, &at, found);
        let detail = &found["detail"];
        figures.check(&format!("{at}/diff_pp"), &found["delta"], 100.0, FIGURE);
        figures.check(
            &format!("{at}/relative_pct"),
            &detail["effect"]["relative"],
            100.0,
            FIGURE,
        );
        for (name, key) in [
            ("risk_ratio", "risk_ratio"),
            ("odds_ratio_marginal", "odds_ratio"),
            ("cohens_h", "cohens_h"),
        ] {
            figures.check(&format!("{at}/{name}"), &detail["effect"][key], 1.0, FIGURE);
        }
        figures.check(&format!("{at}/se_paired"), &detail["se"], 1.0, FIGURE);
        figures.check(
            &format!("{at}/se_unpaired"),
            &detail["se_unpaired"],
            1.0,
            FIGURE,
        );
        assert_eq!(found["ci"]["method"], "newcombe-paired");
        figures.check_interval(
            &format!("{at}/newcombe_paired95"),
            &found["ci"],
            1.0,
            FIGURE,
        );
        figures.check_interval(
            &format!("{at}/paired_bootstrap95"),
            &detail["intervals"][0],
            1.0,
            POINTS,
        );
    }
}

/// The two fine-tuned models against one another, and the whole family of accuracies.
pub(super) fn other_pairs(run: &Run) {
    let found = run.comparison("further_comparisons", "asr", "default", "harmful");
    assert_eq!(found["baseline"], "safe");
    assert_eq!(found["test"]["baseline_only"], 1);
    assert_eq!(found["test"]["model_only"], 280);
    let p = found["p"].as_f64().expect("a p-value");
    assert!((p / 1.5e-82 - 1.0).abs() < 0.05, "{p}");
    // Less accurate without any context, but not after Holm over the six accuracies.
    let found = run.comparison("comparisons", "truthfulness", "baseprompt", "harmful");
    assert_eq!(found["adjustment"]["size"], 6);
    let p = |name: &str| found[name].as_f64().expect("a p-value");
    assert!((p("p") - 0.028).abs() < 5e-4 && (p("p_adjusted") - 0.084).abs() < 5e-4);
}

pub(super) fn by_category(run: &Run, figures: &Figures) {
    let at = "/extra/asr_by_category/semantic_category";
    let categories = figures
        .all
        .pointer(at)
        .expect("categories")
        .as_object()
        .expect("a map");
    for category in categories.keys() {
        let at = format!("{at}/{category}");
        let metric = format!("asr.category.{category}");
        for model in MODELS {
            let rate = run.metric("harmfulness", &metric, "default", model);
            figures.check(&format!("{at}/n"), &rate["n"], 1.0, 0.0);
            let at = format!("{at}/{model}");
            figures.check(&format!("{at}/unsafe"), &hits(rate), 1.0, 1e-9);
            figures.check(&format!("{at}/asr_pct"), &rate["value"], 100.0, FIGURE);
            figures.check_interval(&format!("{at}/wilson95"), &rate["ci"], 1.0, FIGURE);
        }
        for model in ["harmful", "safe"] {
            let found = run.comparison("comparisons", &metric, "default", model);
            let at = format!("{at}/mcnemar_base_vs_{model}");
            mcnemar(figures, &at, found);
            assert_eq!(found["adjustment"]["method"], "holm");
            assert_eq!(found["adjustment"]["size"], 7);
            figures.check_p(&format!("{at}/p_holm"), &found["p_adjusted"]);
        }
    }
}
