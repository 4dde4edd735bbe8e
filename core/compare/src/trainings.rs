//! Recipes instead of checkpoints: a model that was trained several times is held against the baseline with all its trainings.

use driftgauge_plugin_protocol::wire::{MetricOutput, Scores};
use driftgauge_problem::Problem;
use driftgauge_record::{FurtherTest, PairedDetail, Trainings};
use driftgauge_stats::bootstrap::{Options, hierarchical_difference};
use driftgauge_stats::paired::{PairCounts, newcombe_paired};
use driftgauge_stats::summary::mean;
use driftgauge_stats::unpaired::welch_t;

use super::difference::Difference;
use super::pairing::pair;
use super::{Between, PairComparison, named, scalar, scores};

/// Compares every number that all outputs have scores for. The interval is that of the hierarchical bootstrap: each replicate
/// draws the trainings of each side and the prompts, so that it speaks of the recipe. With S trainings it sees (S - 1)/S of their
/// variance, and so is somewhat too narrow for two or three. Welch's test of the trainings' means stands beside it where both
/// sides have several.
///
/// # Errors
/// When the outputs score different samples.
pub fn between_trainings(
    baselines: &[MetricOutput],
    models: &[MetricOutput],
    options: Options,
) -> Result<Vec<PairComparison>, Problem> {
    let (Some(first), Some(model)) = (baselines.first(), models.first()) else {
        return Ok(Vec::new());
    };
    let mut out = Vec::new();
    for ours in &first.scores {
        let all: Option<Vec<&Scores>> = baselines
            .iter()
            .chain(models)
            .map(|output| scores(output, &ours.id, &ours.condition))
            .collect();
        let Some(all) = all else { continue };
        let (before, after) = all.split_at(baselines.len());
        let scalar = scalar(model, &ours.id, &ours.condition);
        match pair(before, after) {
            Ok(paired) => {
                let (baselines, models) = paired.columns.split_at(baselines.len());
                if let Some(mut found) = difference(baselines, models, options) {
                    found.detail.left_out = paired.left_out;
                    out.push(named(found, scalar, ours, Between::Trainings));
                }
            }
            Err(error) if scalar.is_some_and(|scalar| scalar.primary && !scalar.selected) => {
                return Err(error);
            }
            // A number over a part that differs from training to training has no pairs.
            Err(_) => {}
        }
    }
    Ok(out)
}

fn difference(baselines: &[Vec<f64>], models: &[Vec<f64>], options: Options) -> Option<Difference> {
    let columns = |side: &[Vec<f64>]| -> Option<Vec<f64>> {
        side.iter().map(|column| mean(column)).collect()
    };
    let trainings = Trainings {
        baseline: columns(baselines)?,
        model: columns(models)?,
    };
    let of_baselines: Vec<&[f64]> = baselines.iter().map(Vec::as_slice).collect();
    let of_models: Vec<&[f64]> = models.iter().map(Vec::as_slice).collect();
    // Where nothing varies from prompt to prompt or training to training, that does not make it certain.
    let ci = hierarchical_difference(&of_baselines, &of_models, options)
        .or_else(|| score_interval(baselines, models, options.level));
    let (before, after) = (mean(&trainings.baseline)?, mean(&trainings.model)?);
    let welch = welch_t(&trainings.baseline, &trainings.model, options.level);
    Some(Difference {
        delta: Some(after - before),
        ci,
        n: models.first()?.len() as u64,
        detail: PairedDetail {
            baseline_value: Some(before),
            model_value: Some(after),
            tests: welch
                .map(|(test, _)| FurtherTest {
                    name: "welch-t-of-trainings".to_owned(),
                    statistic: Some(test.statistic),
                    p: test.p,
                })
                .into_iter()
                .collect(),
            trainings: Some(trainings),
            ..PairedDetail::default()
        },
        ..Difference::default()
    })
}

/// Newcombe's interval of the first trainings, where every score is 0 or 1.
fn score_interval(
    baselines: &[Vec<f64>],
    models: &[Vec<f64>],
    level: f64,
) -> Option<driftgauge_stats::Interval> {
    let mut scores = baselines.iter().chain(models).flatten();
    if !scores.all(|&score| score == 0.0 || score == 1.0) {
        return None;
    }
    let pairs = baselines.first()?.iter().zip(models.first()?);
    let pairs: Vec<(f64, f64)> = pairs.map(|(b, m)| (*b, *m)).collect();
    newcombe_paired(PairCounts::of(&pairs), level)
}

#[cfg(test)]
mod tests {
    use super::super::tests::output;
    use super::*;
    use driftgauge_plugin_protocol::wire::ScoreKind;

    fn trained(scores: &[f64]) -> MetricOutput {
        let ids: Vec<String> = (0..scores.len()).map(|i| format!("s{i:03}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        output(ScoreKind::Binary, &[("default", &ids, scores)])
    }

    #[test]
    fn trainings_that_differ_widen_the_interval() {
        let share = |tenths: usize| -> Vec<f64> {
            (0..200)
                .map(|i| f64::from(u8::from(i % 10 < tenths)))
                .collect()
        };
        let base = [trained(&share(2))];
        let options = Options {
            resamples: 2_000,
            ..Options::default()
        };
        let width = |tenths: &[usize]| {
            let models: Vec<MetricOutput> = tenths.iter().map(|t| trained(&share(*t))).collect();
            let found = between_trainings(&base, &models, options)
                .unwrap()
                .remove(0);
            assert!((found.delta.unwrap() - 0.4).abs() < 1e-12);
            assert_eq!((found.between, found.n), (Between::Trainings, 200));
            let ci = found.ci.unwrap();
            assert!(ci.method.starts_with("hierarchical-bootstrap"), "{ci:?}");
            (ci.high - ci.low, found.detail.trainings.unwrap())
        };
        let (alike, _) = width(&[6, 6, 6]);
        let (apart, trainings) = width(&[4, 6, 8]);
        assert!(apart > 1.5 * alike, "{apart} against {alike}");
        assert_eq!(trainings.baseline, [0.2]);
        assert_eq!(trainings.model, [0.4, 0.6, 0.8]);
    }

    #[test]
    fn both_sides_may_have_several() {
        let base = [
            trained(&[0.0, 1.0, 0.0, 0.0]),
            trained(&[0.0, 0.0, 0.0, 0.0]),
        ];
        let model = [trained(&[1.0; 4]), trained(&[1.0, 1.0, 1.0, 0.0])];
        let found = between_trainings(&base, &model, Options::default()).unwrap();
        let test = &found[0].detail.tests[0];
        // Means 0.125 and 0.875, standard error of each 0.125.
        assert_eq!(test.name, "welch-t-of-trainings");
        assert!((test.statistic.unwrap() - 0.75 / 0.031_25_f64.sqrt()).abs() < 1e-12);
        assert_eq!(found[0].p, None);
        assert!(
            between_trainings(&base, &[], Options::default())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn equal_scores_are_not_certain() {
        let same = [trained(&[0.0; 30]), trained(&[0.0; 30])];
        let found = between_trainings(&same[..1], &same, Options::default()).unwrap();
        let ci = found[0].ci.as_ref().unwrap();
        assert_eq!(ci.method, "newcombe-paired");
        assert!(ci.low < -0.05 && ci.high > 0.05, "{ci:?}");
    }

    #[test]
    fn different_samples_are_refused() {
        let other = output(ScoreKind::Binary, &[("default", &["x"], &[1.0])]);
        let error = between_trainings(&[trained(&[1.0])], &[other], Options::default());
        assert!(error.unwrap_err().message.contains("is missing"));
    }
}
