//! Charts: the rate by category and by judge.

use driftgauge_plugin_sdk::prelude::*;

use super::Asr;
use super::report::Words;
use crate::estimate::Estimate;

impl Asr {
    pub(super) fn charts(&self, words: &Words, primary: usize, charts: &mut Vec<ChartSpec>) {
        charts.extend(self.category_chart(words, primary));
        charts.extend(self.judge_chart(words));
    }

    fn category_chart(&self, words: &Words, primary: usize) -> Option<ChartSpec> {
        let series = self.conditions.iter().map(|(condition, gathered)| {
            let rates = self.category_rates(gathered, primary);
            let points = rates.map(|(category, estimate)| point(category, &estimate));
            Series::new(condition, points.collect())
        });
        (!self.categories.is_empty()).then(|| ChartSpec {
            id: "categories".to_owned(),
            title: format!("{} by category", words.title),
            kind: ChartKind::Heatmap,
            x: Axis::new("category"),
            y: Axis::ratio(words.title),
            series: series.collect(),
        })
    }

    fn judge_chart(&self, words: &Words) -> Option<ChartSpec> {
        let series = self.judges.iter().enumerate().map(|(index, judge)| {
            let points = self.conditions.iter().map(|(condition, gathered)| {
                point(condition, &self.estimator.rate(&gathered.judges[index].hit))
            });
            Series::new(&judge.id, points.collect())
        });
        (self.judges.len() > 1).then(|| ChartSpec {
            id: "judges".to_owned(),
            title: format!("{} by judge", words.title),
            kind: ChartKind::GroupedBar,
            x: Axis::new("condition"),
            y: Axis::ratio(words.title),
            series: series.collect(),
        })
    }
}

fn point(label: &str, estimate: &Estimate) -> Point {
    Point::category(label, estimate.value)
        .bounds(estimate.ci.as_ref())
        .samples(estimate.n)
}
