//! Answers that come several to a prompt: whole prompts are drawn, because the answers of one are not independent.

use super::bins::ece_of;
use super::brier::brier_of;
use super::groups::Group;
use super::intervals::{intervals_of, or_one_class};
use super::ranking::RankStatistic;
use crate::Interval;
use crate::bootstrap::{Options, Resampler};
use crate::proportion::wilson_bounded;

/// Answers with a confidence each, whether they are correct, and which prompt they answer.
#[derive(Debug, Clone)]
pub struct Prompted {
    /// By ascending confidence: (confidence, correct, prompt).
    answers: Vec<(f64, bool, u32)>,
    prompts: usize,
}

impl Prompted {
    /// Of columns aligned by answer; `prompts` names the prompt of each in any numbering. `None` without answers, for unequal
    /// lengths, or when a confidence is not finite.
    #[must_use]
    pub fn new(confidence: &[f64], correct: &[bool], prompts: &[u32]) -> Option<Self> {
        let n = confidence.len();
        if n == 0 || correct.len() != n || prompts.len() != n || !crate::all_finite(confidence) {
            return None;
        }
        let mut answers: Vec<(f64, bool, u32)> = (0..n)
            .map(|i| (confidence[i] + 0.0, correct[i], prompts[i]))
            .collect();
        answers.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        // Prompts are numbered by what was answered to them, so that neither their order nor their names show.
        let mut of_prompt: std::collections::HashMap<u32, Vec<(u64, bool)>> =
            std::collections::HashMap::new();
        for &(confidence, correct, prompt) in &answers {
            let bits = confidence.to_bits();
            of_prompt.entry(prompt).or_default().push((bits, correct));
        }
        let mut ordered: Vec<(Vec<(u64, bool)>, u32)> = of_prompt
            .into_iter()
            .map(|(prompt, answers)| (answers, prompt))
            .collect();
        ordered.sort();
        let numbers: std::collections::HashMap<u32, u32> = (0..)
            .zip(&ordered)
            .map(|(number, (_, prompt))| (*prompt, number))
            .collect();
        for answer in &mut answers {
            answer.2 = numbers[&answer.2];
        }
        Some(Self {
            answers,
            prompts: ordered.len(),
        })
    }

    /// Bootstrap interval over prompts of a statistic of the order; where the order does not vary, as [`Predictions::rank_interval`]
    /// with prompts for answers.
    ///
    /// [`Predictions::rank_interval`]: super::Predictions::rank_interval
    #[must_use]
    pub fn rank_interval(&self, statistic: RankStatistic, options: Options) -> Option<Interval> {
        self.rank_intervals([statistic], options)[0].take()
    }

    /// [`Self::rank_interval`] of several statistics, which the same draws serve.
    #[must_use]
    pub fn rank_intervals<const S: usize>(
        &self,
        statistics: [RankStatistic; S],
        options: Options,
    ) -> [Option<Interval>; S] {
        let sizes = (self.prompts, self.prompts * self.most_answers());
        let drawn = intervals_of(statistics, sizes, options, |weights| self.groups(weights));
        let drawn = drawn.map(|interval| interval.map(over_prompts));
        let prompts = self.prompts as u64;
        or_one_class(statistics, drawn, self.one_class(), prompts, options.level)
    }

    /// Answers of the prompt that has most.
    fn most_answers(&self) -> usize {
        let mut counts = vec![0; self.prompts];
        for (_, _, prompt) in &self.answers {
            counts[*prompt as usize] += 1;
        }
        counts.into_iter().max().unwrap_or(0)
    }

    /// Whether all answers are correct, or all wrong.
    fn one_class(&self) -> Option<bool> {
        let (_, first, _) = *self.answers.first()?;
        let same = self.answers.iter().all(|(_, correct, _)| *correct == first);
        same.then_some(first)
    }

    /// Bootstrap interval over prompts of the calibration error over bins of equal width.
    #[must_use]
    pub fn equal_width_interval(&self, bins: usize, options: Options) -> Option<Interval> {
        self.bounded(|groups| ece_of(groups, bins), options)
    }

    /// Bootstrap interval over prompts of the Brier score.
    #[must_use]
    pub fn brier_interval(&self, options: Options) -> Option<Interval> {
        self.bounded(brier_of, options)
    }

    /// Of a statistic in [0, 1] that is a mean over answers where they do not vary; [`wilson_bounded`] of prompts then.
    fn bounded(
        &self,
        statistic: impl Fn(&[Group]) -> Option<f64> + Sync,
        options: Options,
    ) -> Option<Interval> {
        let probabilities = self.probabilities()?;
        probabilities.interval(&statistic, options).or_else(|| {
            let value = statistic(&self.groups(&vec![1; self.prompts]))?;
            wilson_bounded(value, self.prompts as u64, options.level)
        })
    }

    fn probabilities(&self) -> Option<&Self> {
        let (first, last) = (self.answers.first()?, self.answers.last()?);
        (first.0 >= 0.0 && last.0 <= 1.0).then_some(self)
    }

    fn interval(
        &self,
        statistic: impl Fn(&[Group]) -> Option<f64> + Sync,
        options: Options,
    ) -> Option<Interval> {
        Resampler::new(self.prompts, options)?
            .replicates(|weights| statistic(&self.groups(weights)))?
            .percentile(options.level)
            .map(over_prompts)
    }

    /// The answers of the drawn prompts, grouped by equal confidence.
    fn groups(&self, weights: &[u32]) -> Vec<Group> {
        self.answers
            .chunk_by(|a, b| a.0 == b.0)
            .map(|tie| {
                let weight = |answer: &(f64, bool, u32)| u64::from(weights[answer.2 as usize]);
                Group {
                    confidence: tie[0].0,
                    n: tie.iter().map(weight).sum(),
                    correct: tie.iter().filter(|answer| answer.1).map(weight).sum(),
                }
            })
            .filter(|group| group.n > 0)
            .collect()
    }
}

/// An interval under the name that says what was drawn.
fn over_prompts(mut interval: Interval) -> Interval {
    interval.method = interval.method.replace("bootstrap-", "cluster-bootstrap-");
    interval
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Predictions;

    const OPTIONS: Options = Options {
        level: 0.95,
        resamples: 2000,
        seed: 3,
    };

    fn answers(n: usize) -> (Vec<f64>, Vec<bool>) {
        let confidence: Vec<f64> = (0..n).map(|i| (i * 37 % 100) as f64 / 100.0).collect();
        let correct = (0..n).map(|i| i * 37 % 100 > i * 61 % 100).collect();
        (confidence, correct)
    }

    #[test]
    fn one_answer_each_is_the_plain_bootstrap() {
        let (confidence, correct) = answers(400);
        let prompts: Vec<u32> = (0..400).collect();
        let prompted = Prompted::new(&confidence, &correct, &prompts).unwrap();
        let plain = Predictions::new(&confidence, &correct).unwrap();
        for statistic in [RankStatistic::Auroc, RankStatistic::Aurc] {
            let a = prompted.rank_interval(statistic, OPTIONS).unwrap();
            let b = plain.rank_interval(statistic, OPTIONS).unwrap();
            assert!((a.low - b.low).abs() < 0.01 && (a.high - b.high).abs() < 0.01);
            assert_eq!(a.method, "cluster-bootstrap-percentile");
        }
        let a = prompted.equal_width_interval(10, OPTIONS).unwrap();
        let b = plain.equal_width_interval(10, OPTIONS).unwrap();
        assert!((a.low - b.low).abs() < 0.01 && (a.high - b.high).abs() < 0.01);
        let a = prompted.brier_interval(OPTIONS).unwrap();
        let b = plain.brier_interval(OPTIONS).unwrap();
        assert!((a.low - b.low).abs() < 0.01 && (a.high - b.high).abs() < 0.01);
    }

    #[test]
    fn copies_of_an_answer_say_nothing_new() {
        let (confidence, correct) = answers(200);
        let repeat = |i: usize| [i; 4];
        let many: Vec<usize> = (0..200).flat_map(repeat).collect();
        let copied = Prompted::new(
            &many.iter().map(|&i| confidence[i]).collect::<Vec<_>>(),
            &many.iter().map(|&i| correct[i]).collect::<Vec<_>>(),
            &many.iter().map(|&i| i as u32).collect::<Vec<_>>(),
        )
        .unwrap();
        let once = Prompted::new(&confidence, &correct, &(0..200).collect::<Vec<_>>()).unwrap();
        let wide = once.rank_interval(RankStatistic::Auroc, OPTIONS).unwrap();
        let same = copied.rank_interval(RankStatistic::Auroc, OPTIONS).unwrap();
        assert!((wide.low - same.low).abs() < 1e-12 && (wide.high - same.high).abs() < 1e-12);
    }

    #[test]
    fn neither_order_nor_numbering_shows() {
        let (confidence, correct) = answers(300);
        let prompts: Vec<u32> = (0..300).map(|i| i / 3).collect();
        let forward = Prompted::new(&confidence, &correct, &prompts).unwrap();
        let reversed = |i: usize| 299 - i;
        let backward = Prompted::new(
            &(0..300)
                .map(|i| confidence[reversed(i)])
                .collect::<Vec<_>>(),
            &(0..300).map(|i| correct[reversed(i)]).collect::<Vec<_>>(),
            &(0..300)
                .map(|i| 7000 - prompts[reversed(i)])
                .collect::<Vec<_>>(),
        )
        .unwrap();
        let statistic = RankStatistic::Prr;
        assert_eq!(
            forward.rank_interval(statistic, OPTIONS),
            backward.rank_interval(statistic, OPTIONS)
        );
    }

    #[test]
    fn nothing_and_one_prompt_are_defined() {
        assert!(Prompted::new(&[], &[], &[]).is_none());
        assert!(Prompted::new(&[0.5], &[true], &[]).is_none());
        assert!(Prompted::new(&[f64::NAN], &[true], &[0]).is_none());
        let one = Prompted::new(&[0.5, 0.7], &[true, false], &[0, 0]).unwrap();
        for statistic in [RankStatistic::Auroc, RankStatistic::Aurc] {
            assert_eq!(one.rank_interval(statistic, OPTIONS), None);
        }
        assert_eq!(one.brier_interval(OPTIONS), None);
        let right = Prompted::new(&[0.5; 4], &[true; 4], &[0, 0, 1, 1]).unwrap();
        let risk = right.rank_interval(RankStatistic::Aurc, OPTIONS).unwrap();
        // Two prompts, not four answers: nothing of two may well be three in five.
        assert!(risk.low == 0.0 && risk.high > 0.6, "{risk:?}");
        assert_eq!(
            right.brier_interval(OPTIONS).unwrap().method,
            "wilson-bounded"
        );
        let score = Prompted::new(&[-3.0, 2.0], &[true, false], &[0, 1]).unwrap();
        assert!(score.equal_width_interval(10, OPTIONS).is_none());
        assert!(score.brier_interval(OPTIONS).is_none());
    }
}
