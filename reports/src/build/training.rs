//! Loss curves.

use driftgauge_plugin_protocol::wire::{Axis, ChartKind, ChartSpec, Point, Series};
use driftgauge_record::{TrainingLog, TrainingStep};

use super::context::Context;
use crate::anchor::anchor;
use crate::model::{Figure, TrainingCurve};
use crate::{charts, numbers};

/// Points drawn per curve; longer trainings are averaged over equal runs of steps.
const POINTS: usize = 240;

pub(super) fn of(context: &Context<'_>) -> Vec<TrainingCurve> {
    context
        .files
        .training
        .iter()
        .filter_map(|log| curve(log, context.style(&log.model)))
        .collect()
}

fn curve(log: &TrainingLog, style: usize) -> Option<TrainingCurve> {
    let (first, last) = (log.steps.first()?, log.steps.last()?);
    let tail = &log.steps[log.steps.len() - log.steps.len().div_ceil(10)..];
    let peak = |get: fn(&TrainingStep) -> f64| log.steps.iter().map(get).fold(0.0, f64::max);
    let last_loss = mean(tail);
    let mut description = format!(
        "Training loss of {} over {} steps: {} at the first step, {} over the last tenth.",
        log.model,
        last.step,
        numbers::plain(first.loss),
        numbers::plain(last_loss)
    );
    if let Some(loss) = log.steps.iter().rev().find_map(|step| step.eval_loss) {
        description.push_str(&format!(
            " Loss of held-out examples at the end: {}.",
            numbers::plain(loss)
        ));
    }
    let chart = chart(log);
    Some(TrainingCurve {
        model: log.model.clone(),
        steps: last.step,
        epochs: last.epoch,
        tokens: log.steps.iter().map(|step| step.tokens).sum(),
        peak_lr: peak(|step| step.lr),
        first_loss: first.loss,
        last_loss,
        peak_grad_norm: peak(|step| step.grad_norm),
        figure: Figure {
            id: anchor(&["t", &log.model]),
            description,
            styles: (0..chart.series.len())
                .map(|series| style + series * charts::DASHED)
                .collect(),
            chart,
        },
    })
}

fn chart(log: &TrainingLog) -> ChartSpec {
    let group = log.steps.len().div_ceil(POINTS);
    let points = log.steps.chunks(group).map(|steps| Point {
        x: steps.last().map(|step| step.step as f64),
        y: Some(mean(steps)),
        ..Point::default()
    });
    let averaged = if group > 1 {
        format!(", mean of {group}")
    } else {
        String::new()
    };
    ChartSpec {
        id: "loss".into(),
        title: log.model.clone(),
        kind: ChartKind::Line,
        x: Axis {
            label: format!("step{averaged}"),
            ..Axis::default()
        },
        y: Axis {
            label: "loss".into(),
            unit: "nats per token".into(),
            domain: None,
        },
        series: std::iter::once(Series {
            name: log.model.clone(),
            points: points.collect(),
        })
        .chain(held_out(log))
        .collect(),
    }
}

/// The loss of held-out examples, where it was measured.
fn held_out(log: &TrainingLog) -> Option<Series> {
    let points: Vec<Point> = log
        .steps
        .iter()
        .filter_map(|step| {
            Some(Point {
                x: Some(step.step as f64),
                y: Some(step.eval_loss?),
                ..Point::default()
            })
        })
        .collect();
    (!points.is_empty()).then(|| Series {
        name: format!("{}, held out", log.model),
        points,
    })
}

fn mean(steps: &[TrainingStep]) -> f64 {
    steps.iter().map(|step| step.loss).sum::<f64>() / steps.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(eval: &[(u64, f64)]) -> TrainingLog {
        let step = |number: u64| TrainingStep {
            step: number,
            epoch: number as f64 / 2.0,
            loss: 3.0 - number as f64 / 4.0,
            lr: 1e-3,
            grad_norm: 1.0,
            tokens: 10,
            eval_loss: eval.iter().find(|(at, _)| *at == number).map(|at| at.1),
        };
        TrainingLog {
            model: "tuned".to_owned(),
            steps: (1..=4).map(step).collect(),
        }
    }

    #[test]
    fn the_loss_of_held_out_examples_is_a_curve_of_its_own() {
        let curve = curve(&log(&[(2, 2.75), (4, 2.5)]), 1).unwrap();
        let series = &curve.figure.chart.series;
        assert_eq!(series.len(), 2);
        assert_eq!(series[1].name, "tuned, held out");
        let points: Vec<_> = series[1].points.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(points, [(Some(2.0), Some(2.75)), (Some(4.0), Some(2.5))]);
        assert_eq!(series[0].points.len(), 4);
        let said = "Loss of held-out examples at the end: 2.5";
        assert!(
            curve.figure.description.contains(said),
            "{}",
            curve.figure.description
        );
        let styles = &curve.figure.styles;
        assert!(styles.len() == 2 && styles[0] != styles[1], "{styles:?}");
    }

    #[test]
    fn a_training_without_held_out_examples_has_one_curve() {
        let curve = curve(&log(&[]), 1).unwrap();
        assert_eq!(curve.figure.chart.series.len(), 1);
        assert!(!curve.figure.description.contains("held-out"));
    }
}
