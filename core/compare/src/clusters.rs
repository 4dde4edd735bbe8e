//! Prompts that belong together (one context, paraphrases): they are drawn, and their signs flipped, together (Miller 2024,
//! arXiv 2411.00640).

use std::collections::{BTreeMap, HashMap};

use driftgauge_plugin_protocol::wire::{Interval, MetricOutput, Scores};
use driftgauge_stats::bootstrap::Options;
use driftgauge_stats::calibration::{Answers, contrasts};
use driftgauge_stats::clustered::clustered_mean_interval;
use driftgauge_stats::proportion::wilson_bounded;
use driftgauge_stats::summary::mean;

use super::statistic::number_of;

/// The cluster of each prompt, by sample id. Without any, every prompt stands alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clusters(HashMap<String, String>);

impl Clusters {
    /// Of (sample id, cluster).
    #[must_use]
    pub fn new(clusters: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(clusters.into_iter().collect())
    }

    /// Whether every prompt stands alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cluster of a prompt; the prompt itself when it has none.
    pub(crate) fn of<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.get(id).map_or(id, String::as_str)
    }

    /// A number for the cluster of each of some prompts, in the order of first appearance.
    pub(crate) fn numbers(&self, ids: &[String]) -> Vec<u32> {
        let mut known: HashMap<&str, u32> = HashMap::new();
        ids.iter()
            .map(|id| {
                let next = known.len() as u32;
                *known.entry(self.of(id)).or_insert(next)
            })
            .collect()
    }

    /// Gives every number of an output the interval of its clusters: of the mean of its scores, or drawn by clusters. Numbers that
    /// keep neither scores nor answers lose theirs, which took prompts for independent.
    pub fn widen(&self, output: &mut MetricOutput, options: Options) {
        let MetricOutput {
            scalars,
            scores,
            pooled,
            notes,
            ..
        } = output;
        let mut drawn: BTreeMap<(&str, &str), Option<Interval>> = BTreeMap::new();
        for answers in &*pooled {
            let statistics: Vec<_> = answers
                .numbers
                .iter()
                .map(|number| number_of(number.statistic))
                .collect();
            let items = self.numbers(&answers.sample_ids);
            let count = items.iter().max().map_or(0, |last| *last as usize + 1);
            let side = Answers::new(&answers.values, &answers.truths, &items);
            let found = side.map(|side| contrasts(&statistics, &[(&side, 1.0)], count, options));
            for (number, contrast) in answers.numbers.iter().zip(found.into_iter().flatten()) {
                let ci = contrast.and_then(|contrast| contrast.ci).map(|mut ci| {
                    ci.method = ci.method.replace("bootstrap-", "cluster-bootstrap-");
                    ci
                });
                drawn.insert((&number.id, &answers.condition), ci);
            }
        }
        let mut lost = 0;
        for scalar in scalars.iter_mut().filter(|scalar| scalar.ci.is_some()) {
            let of =
                |scores: &&Scores| scores.id == scalar.id && scores.condition == scalar.condition;
            let found = match scores.iter().find(of) {
                Some(scores) => self.of_mean(scores, scalar.unit == "ratio", options.level),
                None => drawn
                    .remove(&(scalar.id.as_str(), scalar.condition.as_str()))
                    .flatten(),
            };
            lost += u64::from(found.is_none());
            scalar.ci = found;
            scalar.intervals.clear();
        }
        notes.push(
            "Prompts come in clusters: intervals are those of the clusters; tables and charts of the metric itself take prompts for \
             independent."
                .to_owned(),
        );
        if lost > 0 {
            notes.push(format!(
                "{lost} numbers keep no scores of single prompts, and have no interval where prompts come in clusters."
            ));
        }
    }

    fn of_mean(&self, scores: &Scores, share: bool, level: f64) -> Option<Interval> {
        let known: Vec<(String, f64)> = scores
            .sample_ids
            .iter()
            .zip(scores.values.iter())
            .filter_map(|(id, value)| Some((id.to_owned(), value?)))
            .collect();
        let (ids, values): (Vec<String>, Vec<f64>) = known.into_iter().unzip();
        let clusters = self.numbers(&ids);
        let mut ci = clustered_mean_interval(&values, &clusters, level).or_else(|| {
            // Clusters that do not vary say nothing about how much they could.
            let count = clusters.iter().max().map_or(0, |last| u64::from(*last) + 1);
            share.then(|| wilson_bounded(mean(&values)?, count, level))?
        })?;
        if share {
            ci.low = ci.low.clamp(0.0, 1.0);
            ci.high = ci.high.clamp(0.0, 1.0);
        }
        Some(ci)
    }
}
