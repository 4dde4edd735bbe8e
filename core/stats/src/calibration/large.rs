//! Intervals over very many answers, where drawing them one by one would cost seconds and change nothing.

use rayon::prelude::*;

use super::bins::{Ascending, Closed, ece_of};
use super::curves::risks;
use super::groups::Group;
use super::predictions::Predictions;
use super::ranking::RankStatistic;
use crate::bootstrap::Options;
use crate::bootstrap::draw::{below, multinomial, normal, stream};
use crate::bootstrap::replicates::{Drawn, Replicates};
use crate::special::normal_quantile;
use crate::{Interval, is_open_probability};

/// From this many answers on, intervals come from here.
pub(super) const MANY: u64 = 20_000;
/// Bins with fewer answers are drawn answer by answer.
const FEW: u64 = 1_000;

/// Normal interval of a statistic of the order, its standard error from the influence of each answer (the infinitesimal
/// jackknife, Efron 1982): n⁻² Σ IF². With k the place of an answer, surest first, r the risks and e its error, the influence
/// on AURC is `mean over its ties of (r_k + e Σ_{j>=k} 1/j - Σ_{j>=k} r_j/j) - AURC`; the others follow by the chain rule.
/// DeLong's interval is the same for the AUROC.
pub(super) fn rank_interval(
    predictions: &Predictions,
    statistic: RankStatistic,
    level: f64,
) -> Option<Interval> {
    if statistic == RankStatistic::Auroc {
        return predictions.auroc_interval(level);
    }
    let estimate = predictions.rank(statistic)?;
    if !is_open_probability(level) {
        return None;
    }
    let groups = predictions.groups();
    let n = predictions.n() as f64;
    let risks = risks(groups);
    let error_rate = 1.0 - predictions.accuracy();
    let aurc = predictions.rank(RankStatistic::Aurc)?;
    let augrc = predictions.rank(RankStatistic::Augrc)?;
    let oracle = aurc - predictions.rank(RankStatistic::EAurc)?;
    // The oracle's AURC is about ρ + (1 - ρ) ln(1 - ρ), whose slope this is.
    let ln_correct = if error_rate < 1.0 {
        (1.0 - error_rate).ln()
    } else {
        0.0
    };
    let (gain, best) = (error_rate - aurc, error_rate - oracle);

    let (mut place, mut inverses, mut risks_over) =
        (groups.iter().map(|g| g.n).sum::<u64>(), 0.0, 0.0);
    let mut squares = 0.0;
    for group in groups {
        let (mut of_correct, mut per_error) = (0.0, 0.0);
        let (mut generalised, mut later) = (0.0, 0.0);
        for _ in 0..group.n {
            let k = place as f64;
            let risk = risks[place as usize - 1];
            inverses += 1.0 / k;
            risks_over += risk / k;
            of_correct += risk - risks_over;
            per_error += inverses;
            generalised += risk * k / n;
            later += (n - k + 1.0) / n;
            place -= 1;
        }
        let here = group.n as f64;
        let influence = |error: f64| {
            let on_aurc = (of_correct + error * per_error) / here - aurc;
            let on_rate = error - error_rate;
            match statistic {
                RankStatistic::Aurc | RankStatistic::Auroc => on_aurc,
                RankStatistic::EAurc => on_aurc + ln_correct * on_rate,
                RankStatistic::Augrc => (generalised + error * later) / here - 2.0 * augrc,
                RankStatistic::Prr => {
                    let on_gain = on_rate - on_aurc;
                    let on_best = on_rate * (1.0 + ln_correct);
                    on_gain / best - gain * on_best / (best * best)
                }
            }
        };
        let wrong = (group.n - group.correct) as f64;
        squares += group.correct as f64 * influence(0.0).powi(2) + wrong * influence(1.0).powi(2);
    }
    let half = normal_quantile(0.5 + level / 2.0) * squares.sqrt() / n;
    // Without spread there is nothing to tell.
    (half.is_finite() && half > 1e-9).then(|| {
        let (low, high) = (estimate - half, estimate + half);
        Interval::new(level, low, high, "infinitesimal-jackknife")
    })
}

/// Normal interval of the Brier score from the spread of the answers' squared errors.
pub(super) fn brier_interval(predictions: &Predictions, level: f64) -> Option<Interval> {
    let score = predictions.brier()?.score;
    let n = predictions.n() as f64;
    let spread = |group: &Group| {
        let (right, wrong) = ((1.0 - group.confidence).powi(2), group.confidence.powi(2));
        let correct = group.correct as f64;
        let off = |error: f64| (error - score).powi(2);
        (correct * off(right) + (group.n as f64 - correct) * off(wrong)) / group.n as f64
    };
    let se = (predictions.total(spread) / (n - 1.0) / n).sqrt();
    let half = normal_quantile(0.5 + level / 2.0) * se;
    (half > 0.0 && half.is_finite() && is_open_probability(level)).then(|| {
        let (low, high) = ((score - half).max(0.0), (score + half).min(1.0));
        Interval::new(level, low, high, "normal")
    })
}

/// The gaps between correctness and confidence of one bin's answers.
struct Gaps {
    n: u64,
    mean: f64,
    sd: f64,
    /// Each answer's, for bins that are drawn answer by answer.
    each: Vec<f64>,
}

/// Bootstrap interval of the calibration error over bins of equal width: how many answers each bin gets is drawn exactly
/// (multinomially); the sum of a bin's gaps is drawn from the normal distribution that the central limit theorem gives it, or
/// answer by answer in small bins.
pub(super) fn equal_width_interval(
    predictions: &Predictions,
    bins: usize,
    options: Options,
) -> Option<Interval> {
    let n = predictions.n();
    let estimate = ece_of(predictions.groups(), bins)?;
    let gaps = gaps(predictions.groups(), bins);
    let values = (0..options.resamples.max(1) as u64)
        .into_par_iter()
        .map(|replicate| {
            let mut shares = Vec::with_capacity(bins);
            let counts = gaps.iter().map(|bin| bin.n);
            let mut generator = stream(options.seed, replicate, 0);
            multinomial(&mut generator, n, counts, n, |_, drawn| shares.push(drawn));
            let mut generator = stream(options.seed, replicate, 1);
            let mut total = 0.0;
            for (bin, &drawn) in gaps.iter().zip(&shares) {
                let sum: f64 = if bin.n < FEW {
                    let draw = |_| bin.each[below(&mut generator, bin.each.len())];
                    (0..drawn).map(draw).sum()
                } else {
                    let spread = bin.sd * (drawn as f64).sqrt();
                    drawn as f64 * bin.mean + spread * normal(&mut generator)
                };
                total += sum.abs();
            }
            Some(total / n as f64)
        })
        .collect();
    let mut interval = Replicates::new(Some(estimate), values, Drawn::Items, options.seed)?
        .percentile(options.level)?;
    interval.method.push_str("-by-bin");
    Some(interval)
}

fn gaps(groups: &[Group], bins: usize) -> Vec<Gaps> {
    let mut of_bin: Vec<Vec<&Group>> = vec![Vec::new(); bins];
    let mut ascending = Ascending::new(bins, Closed::Upper);
    for group in groups {
        of_bin[ascending.bin_of(group.confidence)].push(group);
    }
    of_bin
        .into_iter()
        .map(|groups| {
            let n: u64 = groups.iter().map(|group| group.n).sum();
            let total = |value: &dyn Fn(f64) -> f64| -> f64 {
                let of = |group: &&Group| {
                    let (right, wrong) = (group.correct as f64, (group.n - group.correct) as f64);
                    right * value(1.0 - group.confidence) + wrong * value(-group.confidence)
                };
                groups.iter().map(of).sum()
            };
            let mean = total(&|gap| gap) / n.max(1) as f64;
            let mut each = Vec::new();
            if n < FEW {
                for group in &groups {
                    each.extend((0..group.correct).map(|_| 1.0 - group.confidence));
                    each.extend((group.correct..group.n).map(|_| -group.confidence));
                }
            }
            Gaps {
                n,
                mean,
                sd: (total(&|gap| (gap - mean).powi(2)) / n.max(1) as f64).sqrt(),
                each,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::bins::bin_of;
    use super::*;
    use crate::bootstrap::Resampler;
    use RankStatistic::{Augrc, Aurc, EAurc, Prr};

    const OPTIONS: Options = Options {
        level: 0.95,
        resamples: 4000,
        seed: 5,
    };

    /// Correct answers are likelier where the confidence is high; `levels` of them make ties.
    fn answers(n: usize, levels: usize) -> Predictions {
        let mut generator = stream(9, 0, 0);
        let mut draw = || below(&mut generator, 1_000_000) as f64 / 1e6;
        let (mut confidence, mut correct) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let c = (draw() * levels as f64).floor() / levels as f64;
            confidence.push(c);
            correct.push(draw() < 0.2 + 0.6 * c);
        }
        Predictions::new(&confidence, &correct).unwrap()
    }

    fn width(interval: &Interval) -> f64 {
        interval.high - interval.low
    }

    #[test]
    fn influence_and_bootstrap_agree() {
        for levels in [1_000_000, 40] {
            let predictions = answers(2_000, levels);
            for statistic in [Aurc, EAurc, Augrc, Prr] {
                let normal = rank_interval(&predictions, statistic, 0.95).unwrap();
                let drawn = predictions.rank_interval(statistic, OPTIONS).unwrap();
                let what = format!("{statistic:?} {levels}: {normal:?} {drawn:?}");
                assert!(
                    (width(&normal) / width(&drawn) - 1.0).abs() < 0.06,
                    "{what}"
                );
                assert!(
                    (normal.low - drawn.low).abs() < 0.1 * width(&drawn),
                    "{what}"
                );
            }
        }
    }

    /// The same sums over the places, written with numpy (tests/fixtures/draws.py).
    #[test]
    fn influences_are_those_of_another_hand() {
        let text = include_str!("../../tests/fixtures/draws.json");
        let theirs: serde_json::Value = serde_json::from_str(text).unwrap();
        let column = |name: &str| theirs["prompted"][name].as_array().unwrap();
        let values: Vec<f64> = column("values").iter().filter_map(|v| v.as_f64()).collect();
        let truths: Vec<bool> = column("truths")
            .iter()
            .filter_map(|v| v.as_bool())
            .collect();
        let predictions = Predictions::new(&values, &truths).unwrap();
        for case in theirs["influence"].as_array().unwrap() {
            let level = case["level"].as_f64().unwrap();
            for (name, statistic) in [
                ("aurc", Aurc),
                ("e_aurc", EAurc),
                ("augrc", Augrc),
                ("prr", Prr),
            ] {
                let ours = rank_interval(&predictions, statistic, level).unwrap();
                for (ours, place) in [(ours.low, 0), (ours.high, 1)] {
                    let theirs = case["ci"][name][place].as_f64().unwrap();
                    assert!((ours - theirs).abs() < 1e-9, "{name}: {ours} for {theirs}");
                }
            }
        }
        assert_eq!(rank_interval(&predictions, Aurc, 1.0), None);
        assert_eq!(brier_interval(&predictions, 1.0), None);
    }

    #[test]
    fn the_spread_of_squared_errors_is_the_bootstraps() {
        let predictions = answers(5_000, 200);
        let normal = brier_interval(&predictions, 0.95).unwrap();
        let drawn = predictions.brier_interval(OPTIONS).unwrap();
        for (one, other) in [(normal.low, drawn.low), (normal.high, drawn.high)] {
            assert!(
                (one - other).abs() < 0.05 * width(&drawn),
                "{normal:?} {drawn:?}"
            );
        }
        let many = answers(MANY as usize, 200);
        assert_eq!(many.brier_interval(OPTIONS).unwrap().method, "normal");
    }

    #[test]
    fn bins_drawn_at_once_are_answers_drawn_one_by_one() {
        let predictions = answers(6_000, 1_000_000);
        let at_once = equal_width_interval(&predictions, 4, OPTIONS).unwrap();
        let gaps: Vec<(usize, f64)> = predictions
            .groups()
            .iter()
            .flat_map(|group| {
                let gap = |right: f64| {
                    (
                        bin_of(group.confidence, 4, Closed::Upper),
                        right - group.confidence,
                    )
                };
                let correct = (0..group.correct).map(move |_| gap(1.0));
                correct.chain((group.correct..group.n).map(move |_| gap(0.0)))
            })
            .collect();
        let one_by_one = Resampler::new(6_000, OPTIONS)
            .unwrap()
            .replicates(|weights| {
                let mut sums = [0.0_f64; 4];
                for (&(bin, gap), &weight) in gaps.iter().zip(weights) {
                    sums[bin] += f64::from(weight) * gap;
                }
                Some(sums.iter().map(|sum| sum.abs()).sum::<f64>() / 6_000.0)
            })
            .unwrap()
            .percentile(0.95)
            .unwrap();
        assert!(
            (at_once.low - one_by_one.low).abs() < 1e-3,
            "{at_once:?} {one_by_one:?}"
        );
        assert!((at_once.high - one_by_one.high).abs() < 1e-3);
    }

    #[test]
    fn one_class_is_defined() {
        let right = Predictions::new(&[0.1, 0.4, 0.9], &[true; 3]).unwrap();
        assert_eq!(rank_interval(&right, Prr, 0.95), None);
        assert_eq!(rank_interval(&right, Aurc, 0.95), None);
        let wrong = Predictions::new(&[0.1, 0.4, 0.9], &[false; 3]).unwrap();
        assert_eq!(rank_interval(&wrong, Prr, 0.95), None);
        assert_eq!(rank_interval(&wrong, Aurc, 0.95), None);
    }
}
