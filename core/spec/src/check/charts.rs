//! Charts along axes: the number, the axes and the condition have to be there.

use driftgauge_cell::{SEED, coordinates, family};
use indexmap::{IndexMap, IndexSet};

use super::Checker;
use crate::diagnostic::{Diagnostic, nearest};
use crate::located::{Located, Text};
use crate::spec::{Chart, Evaluation, MetricPath};

impl Checker<'_> {
    pub(super) fn charts(&mut self) {
        let charts = &self.spec.report.charts;
        for (place, chart) in charts.iter().enumerate() {
            self.chart(chart);
            let same = |other: &&Chart| {
                let named = |chart: &Chart| {
                    let of = |text: &Option<Text>| text.as_ref().map(|text| text.get().clone());
                    let (lines, condition) = (of(&chart.lines), of(&chart.condition));
                    (
                        chart.metric.get().clone(),
                        chart.x.get().clone(),
                        lines,
                        condition,
                    )
                };
                named(other) == named(chart)
            };
            if charts[..place].iter().any(|other| same(&other)) {
                self.error(
                    Diagnostic::error("twice", "this chart is there already")
                        .at(chart.metric.span(), "")
                        .help("remove one of the two"),
                );
            }
        }
    }

    fn chart(&mut self, chart: &Chart) {
        let spec = self.spec;
        let name = chart.metric.get().as_str();
        let Some(parts) = MetricPath::parse(name) else {
            // Says what a path looks like.
            self.path(&chart.metric);
            return;
        };
        let cells: Vec<(&str, &Evaluation)> = spec
            .evaluations
            .iter()
            .map(|(id, evaluation)| (id.get().as_str(), evaluation))
            .filter(|(id, _)| family(id) == parts.evaluation)
            .collect();
        let Some((first, evaluation)) = cells.first() else {
            self.path(&chart.metric);
            return;
        };
        let path = name.replacen(parts.evaluation, first, 1);
        self.path(&Located::new(path, chart.metric.span()));
        if let Some(condition) = &chart.condition {
            self.condition(condition, first);
        }
        let asked = evaluation.models.iter().map(|model| model.get().as_str());
        let ids = cells.iter().map(|(id, _)| *id).chain(asked);
        let axes = axes(ids);
        self.axis(&chart.x, &axes);
        if let Some(values) = axes.get(chart.x.get().as_str())
            && let Some(word) = values.iter().find(|value| value.parse::<f64>().is_err())
        {
            self.error(
                Diagnostic::error(
                    "no-axis",
                    format!("axis `{}` is no axis of numbers", chart.x),
                )
                .at(chart.x.span(), format!("one of its values is `{word}`"))
                .help("a line needs numbers along `x`; words can be `lines`"),
            );
        }
        if let Some(lines) = &chart.lines {
            self.axis(lines, &axes);
            if lines.get() == chart.x.get() || lines.get() == SEED {
                self.error(
                    Diagnostic::error("no-axis", format!("`{lines}` cannot tell lines apart"))
                        .at(lines.span(), "")
                        .help("name another axis than `x`; over seeds everything is pooled"),
                );
            }
        }
    }

    fn axis(&mut self, axis: &Text, axes: &IndexMap<&str, IndexSet<&str>>) {
        if axes.contains_key(axis.get().as_str()) {
            return;
        }
        let problem = Diagnostic::error("no-axis", format!("nothing varies `{axis}` here"))
            .at(axis.span(), "");
        let names: Vec<String> = axes.keys().map(|axis| format!("`{axis}`")).collect();
        let help = match nearest(axis, axes.keys().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "the evaluation and its models have no `vary`".to_owned(),
            None => format!("the evaluation and its models vary {}", names.join(", ")),
        };
        self.error(problem.help(help));
    }
}

/// Axes and their values, read off the names of cells: `tuned@lr=1e-05,n=10`.
fn axes<'a>(ids: impl Iterator<Item = &'a str>) -> IndexMap<&'a str, IndexSet<&'a str>> {
    let mut axes: IndexMap<&str, IndexSet<&str>> = IndexMap::new();
    for (axis, value) in ids.flat_map(coordinates) {
        axes.entry(axis).or_default().insert(value);
    }
    axes
}
