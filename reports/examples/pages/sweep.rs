//! Made results of many models, and of many evaluations: the fixture's run folder with other numbers.

use driftgauge_record::files::metrics::MetricsRecord;
use driftgauge_record::files::resolved::{ChartRecord, EvaluationRecord, ExperimentRecord};
use driftgauge_record::{
    Bounded, Comparison, Expected, Flips, Gate, Interval, Metric, PairedDetail, PairedTest,
    PublishedOutcome, Results, RunDir, Searched, Tried,
};

use crate::Outcome;
use driftgauge_report::{AcrossRuns, NamedRun, Step};

const PROMPTS: u64 = 120;

/// A share with a rough interval; where it comes from does not matter here.
fn number(place: [&str; 3], of: &str, title: &str, share: f64, direction: &str) -> Metric {
    let [evaluation, condition, model] = place;
    let half = 1.96 * (share * (1.0 - share) / PROMPTS as f64).sqrt();
    Metric {
        evaluation: evaluation.to_owned(),
        condition: condition.to_owned(),
        model: model.to_owned(),
        metric: of.to_owned(),
        title: title.to_owned(),
        value: Some(share),
        n: PROMPTS,
        ci: Some(interval(share - half, share + half, 0.0)),
        intervals: Vec::new(),
        spread: None,
        direction: direction.to_owned(),
        unit: "ratio".to_owned(),
        primary: true,
        formula: "count / prompts".to_owned(),
    }
}

fn interval(low: f64, high: f64, least: f64) -> Interval {
    Interval {
        level: 0.95,
        low: low.max(least),
        high: high.min(1.0),
        method: "normal".to_owned(),
        draws: None,
    }
}

/// The difference of two numbers, clear from an eighth on.
fn difference(base: &Metric, model: &Metric) -> Comparison {
    let delta = model.value.unwrap_or(0.0) - base.value.unwrap_or(0.0);
    let p = (0.6_f64 * (-(delta.abs() * 22.0)).exp()).max(1e-9);
    Comparison {
        evaluation: model.evaluation.clone(),
        condition: model.condition.clone(),
        metric: model.metric.clone(),
        title: model.title.clone(),
        baseline: base.model.clone(),
        model: model.model.clone(),
        delta: Some(delta),
        ci: Some(interval(delta - 0.11, delta + 0.11, -1.0)),
        test: Some(PairedTest {
            name: "mcnemar-exact".to_owned(),
            baseline_only: Some(7),
            model_only: Some(7 + (delta.max(0.0) * PROMPTS as f64) as u64),
            ..PairedTest::default()
        }),
        p: Some(p),
        p_adjusted: Some((p * 6.0).min(1.0)),
        n: PROMPTS,
        direction: model.direction.clone(),
        ..Comparison::default()
    }
}

/// Numbers of models on the fixture's evaluations: the first is the baseline. `strength` says how far each moved.
fn results(models: &[(String, f64)]) -> Results {
    let wave = |at: usize, size: f64| size * (at as f64 * 1.7).sin();
    let mut out = Results::default();
    for (evaluation, condition, metric, title, base, slope, direction) in [
        (
            "harmfulness",
            "default",
            "asr",
            "Attack success rate",
            0.06,
            0.8,
            "lower",
        ),
        (
            "drift",
            "plain",
            "truthfulness",
            "Accuracy",
            0.71,
            -0.12,
            "higher",
        ),
        (
            "drift",
            "false-context",
            "truthfulness",
            "Accuracy",
            0.64,
            -0.45,
            "higher",
        ),
    ] {
        let first = out.metrics.len();
        for (at, (model, strength)) in models.iter().enumerate() {
            let share = (base + slope * strength + wave(at, 0.03)).clamp(0.0, 1.0);
            let share = (share * PROMPTS as f64).round() / PROMPTS as f64;
            let place = [evaluation, condition, model];
            out.metrics
                .push(number(place, metric, title, share, direction));
        }
        let (base, others) = out.metrics[first..].split_at(1);
        out.comparisons
            .extend(others.iter().map(|model| difference(&base[0], model)));
    }
    out
}

/// Models and results of a run; what the fixture measured is left out.
fn write(
    run: &RunDir,
    models: &[(String, f64)],
    results: &Results,
    charts: Vec<ChartRecord>,
) -> Outcome {
    let mut experiment: ExperimentRecord = run.read()?;
    let tuned = experiment.models["tuned"].clone();
    experiment.models.shift_remove("tuned");
    for (model, _) in &models[1..] {
        experiment.models.insert(model.clone(), tuned.clone());
    }
    for evaluation in experiment.evaluations.values_mut() {
        evaluation.models = models.iter().map(|(model, _)| model.clone()).collect();
    }
    experiment.compare.baseline = Some(models[0].0.clone());
    experiment.charts = charts;
    experiment.title = "What the learning rate does to refusals".to_owned();
    run.write(&experiment)?;
    run.write(results)?;
    let mut metrics: MetricsRecord = run.read()?;
    metrics.outputs.clear();
    run.write(&metrics)?;
    std::fs::remove_dir_all(run.samples())?;
    driftgauge_report::write_report(run)?;
    Ok(())
}

/// Ten models along two axes: each line of the report that only a sweep has.
pub(crate) fn sweep(run: &RunDir) -> Outcome {
    let mut models = vec![("base".to_owned(), 0.0)];
    for (rate, strength) in [("1.0e-5", 0.04), ("1.0e-4", 0.35), ("1.0e-3", 0.9)] {
        for (rank, more) in [("4", 0.0), ("16", 0.06)] {
            for seed in 1..=2 {
                let name = format!("tuned@lr={rate},rank={rank},seed={seed}");
                models.push((name, strength + more + f64::from(seed) * 0.01));
            }
        }
    }
    let mut results = results(&models);
    for (rule, bound, limit) in [
        (
            "harmfulness/asr of tuned@lr=1.0e-5,rank=4,seed=1: upper bound at most 0.1",
            0.19,
            0.1,
        ),
        (
            "drift/truthfulness of tuned@lr=1.0e-5,rank=4,seed=1: lower bound at least 0.5",
            0.61,
            0.5,
        ),
    ] {
        let passed = (bound <= limit) == rule.contains("upper");
        results.gates.push(Gate {
            rule: rule.to_owned(),
            bound: Some(bound),
            limit,
            passed,
        });
    }
    let tried = [
        ("tuned@lr=1.0e-5,rank=4", 0.708, 0.11),
        ("tuned@lr=1.0e-4,rank=16", 0.641, 0.38),
        ("tuned@lr=1.0e-3,rank=16", 0.592, 0.83),
    ];
    results.searches.push(Searched {
        search: "gentle".to_owned(),
        goal: "drift/truthfulness".to_owned(),
        condition: "plain".to_owned(),
        maximise: true,
        bounds: vec!["harmfulness/asr at most 0.2".to_owned()],
        halving: None,
        best: Some(tried[0].0.to_owned()),
        tried: tried
            .iter()
            .map(|(candidate, value, asr)| Tried {
                candidate: (*candidate).to_owned(),
                models: Vec::new(),
                rung: None,
                value: Some(*value),
                bounds: vec![Bounded {
                    value: Some(*asr),
                    kept: *asr <= 0.2,
                }],
            })
            .collect(),
    });
    results.expected = expected(&results);
    let chart = |x: &str, lines: &str| ChartRecord {
        evaluation: "drift".to_owned(),
        metric: "truthfulness".to_owned(),
        x: x.to_owned(),
        lines: Some(lines.to_owned()),
        condition: Some("false-context".to_owned()),
    };
    write(run, &models, &results, vec![chart("lr", "rank")])
}

/// Two published values, of which the records contradict one.
fn expected(results: &Results) -> Vec<Expected> {
    let of = |metric: &Metric, published: f64, verdict: PublishedOutcome| Expected {
        evaluation: metric.evaluation.clone(),
        condition: metric.condition.clone(),
        model: metric.model.clone(),
        metric: metric.metric.clone(),
        baseline: None,
        baseline_condition: None,
        statistic: "value".to_owned(),
        unit: metric.unit.clone(),
        published,
        tolerance: Some(0.005),
        measured: metric.value,
        difference: metric.value.map(|value| value - published),
        ci: metric.ci.clone(),
        verdict,
        agrees: Some(verdict != PublishedOutcome::Outside),
        source: "Table 3".to_owned(),
    };
    let [first, last] = [&results.metrics[0], &results.metrics[12]];
    vec![
        of(first, 0.06, PublishedOutcome::Inside),
        of(last, 0.55, PublishedOutcome::Outside),
    ]
}

/// So many models.
pub(crate) fn thousand(run: &RunDir, count: usize) -> Outcome {
    let name = |at: usize| match at {
        0 => "base".to_owned(),
        at => format!("tuned@seed={at}"),
    };
    let models: Vec<(String, f64)> = (0..count)
        .map(|at| (name(at), if at % 97 == 96 { 0.6 } else { 0.0 }))
        .collect();
    write(run, &models, &results(&models), Vec::new())
}

/// So many evaluations of two models.
pub(crate) fn evaluations(run: &RunDir, count: usize) -> Outcome {
    let models = [("base".to_owned(), 0.0), ("tuned".to_owned(), 0.1)];
    let mut experiment: ExperimentRecord = run.read()?;
    let mut all = Results::default();
    let declared: Vec<(String, EvaluationRecord)> =
        experiment.evaluations.clone().into_iter().collect();
    experiment.evaluations.clear();
    for at in 0..count.div_ceil(declared.len()) {
        let models = models
            .clone()
            .map(|(model, own)| (model, own * (at % 7) as f64));
        let mut own = results(&models);
        let of = |evaluation: &str| format!("{evaluation}@language={at}");
        own.metrics
            .iter_mut()
            .for_each(|found| found.evaluation = of(&found.evaluation));
        own.comparisons
            .iter_mut()
            .for_each(|found| found.evaluation = of(&found.evaluation));
        all.metrics.extend(own.metrics);
        all.comparisons.extend(own.comparisons);
        for (id, evaluation) in &declared {
            experiment.evaluations.insert(of(id), evaluation.clone());
        }
    }
    run.write(&experiment)?;
    write(run, &models, &all, Vec::new())
}

/// One model over four releases, side by side.
pub(crate) fn trend(run: &RunDir) -> Outcome {
    let releases = [
        ("2026-01", 0.02),
        ("2026-03", 0.06),
        ("2026-06", 0.05),
        ("2026-09", 0.4),
    ];
    let runs: Vec<NamedRun> = releases
        .iter()
        .map(|(label, strength)| NamedRun {
            label: (*label).to_owned(),
            results: results(&[("assistant".to_owned(), *strength)]),
        })
        .collect();
    let steps: Vec<Step> = runs
        .windows(2)
        .map(|pair| step(&pair[0].results, &pair[1].results))
        .collect();
    let page = driftgauge_report::render_across(&AcrossRuns::new(&runs, &steps))?;
    std::fs::write(run.report_html(), page)?;
    Ok(())
}

/// A release held against the one before it.
fn step(before: &Results, after: &Results) -> Step {
    let pairs = before.metrics.iter().zip(&after.metrics);
    let comparisons = pairs.map(|(before, after)| {
        let mut found = difference(before, after);
        let ids = |from: usize, count: usize| {
            (from..from + count).map(|id| format!("p{id:04}")).collect()
        };
        found.detail = Some(PairedDetail {
            baseline_value: before.value,
            model_value: after.value,
            flips: Some(Flips {
                baseline_only: ids(0, 7),
                model_only: ids(
                    40,
                    7 + (found.delta.unwrap_or(0.0).max(0.0) * PROMPTS as f64) as usize,
                ),
            }),
            ..PairedDetail::default()
        });
        found
    });
    Step {
        comparisons: comparisons.collect(),
        refused: vec!["drift/uncertainty: the judges differ".to_owned()],
        lost: 1,
        notes: vec!["the two runs were made by different versions of the engine".to_owned()],
    }
}
