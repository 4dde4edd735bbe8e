//! Whether surer answers are the right ones: AUROC, AURC and PRR of one chosen measure, with their intervals.

use driftgauge_plugin_sdk::prelude::*;
use driftgauge_stats::calibration::{Predictions, Prompted, RankStatistic};

use super::Uncertainty;
use crate::estimate::Estimate;

/// How many times as often the order is drawn: the prediction rejection ratio has a standard deviation of about 1.4 / sqrt(n), three
/// times that of a share, so that 10,000 replicates of 1,000 answers would leave its bounds an error of 0.12 percentage points.
const RANKS_TIMES: usize = 4;

/// Statistics of the order of the answers, and their ids.
const RANKS: [RankStatistic; 3] = [
    RankStatistic::Auroc,
    RankStatistic::Aurc,
    RankStatistic::Prr,
];
pub(super) const RANK_IDS: [&str; 3] = ["auroc", "aurc", "prr"];

impl Uncertainty {
    /// AUROC, AURC and PRR.
    pub(super) fn ranks(
        &self,
        (condition, basis): (&str, &str),
        predictions: &Predictions,
        prompted: Option<&Prompted>,
        output: &mut MetricOutput,
    ) {
        let name = self.confidence.title();
        let drawn = self.drawn_ranks(predictions, prompted);
        let listed = [
            (
                RANK_IDS[0],
                format!("AUROC of {name} as a predictor of correctness"),
                "P(a correct answer is surer than an incorrect one), ties count half",
                false,
            ),
            (
                RANK_IDS[1],
                format!("Area under the risk-coverage curve of {name}"),
                "mean over k of the share of errors among the k surest answers, ties by expectation",
                true,
            ),
            (
                RANK_IDS[2],
                format!("Prediction rejection ratio of {name}"),
                "(A - A_random) / (A_oracle - A_random), A the mean over k of the accuracy of the k surest answers",
                false,
            ),
        ];
        let described = RANKS.into_iter().zip(listed);
        for ((statistic, (id, title, formula, lower)), drawn) in described.zip(drawn) {
            if !self.asked.has(id) {
                continue;
            }
            // DeLong's interval of the AUROC has the bootstrap's beside it.
            let delong = (statistic == RankStatistic::Auroc && prompted.is_none())
                .then(|| predictions.auroc_interval(self.estimator.level()))
                .flatten();
            let (ci, beside) = match delong {
                Some(delong) => (Some(delong), drawn),
                None => (drawn, None),
            };
            let scalar = Scalar::new(id, &title, condition)
                .unit("ratio")
                .formula(&format!("{formula}; {basis}"));
            let scalar = if lower {
                scalar.lower_is_better()
            } else {
                scalar.higher_is_better()
            };
            let value = predictions.rank(statistic);
            let beside = beside.filter(|_| value.is_some());
            let scalar = scalar.intervals(beside);
            // Without a value there is nothing for an interval to hold.
            let ci = ci.filter(|_| value.is_some());
            self.push(estimate(value, predictions.n(), ci).fill(scalar), output);
        }
    }

    /// Intervals of [`RANKS`], of those that are asked for, where they are drawn.
    fn drawn_ranks(
        &self,
        predictions: &Predictions,
        prompted: Option<&Prompted>,
    ) -> [Option<driftgauge_stats::Interval>; 3] {
        if !self.estimator.draws() {
            return [const { None }; 3];
        }
        let answers = usize::try_from(predictions.n()).unwrap_or(usize::MAX);
        let options = self.estimator.bootstrap_often(answers, RANKS_TIMES);
        let asked = RANK_IDS.map(|id| self.asked.has(id));
        if asked == [true; 3] {
            // The same draws serve them all.
            return match prompted {
                Some(prompted) => prompted.rank_intervals(RANKS, options),
                None => predictions.rank_intervals(RANKS, options),
            };
        }
        let one = |statistic| match prompted {
            Some(prompted) => prompted.rank_interval(statistic, options),
            None => predictions.rank_interval(statistic, options),
        };
        std::array::from_fn(|place| asked[place].then(|| one(RANKS[place])).flatten())
    }
}

/// A number without a spread.
pub(super) fn estimate(
    value: Option<f64>,
    n: u64,
    ci: Option<driftgauge_stats::Interval>,
) -> Estimate {
    Estimate {
        value,
        n,
        ci,
        ..Estimate::default()
    }
}
