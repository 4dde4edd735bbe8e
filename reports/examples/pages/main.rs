//! Writes run folders with reports for the browser check: `cargo run -p driftgauge-report --example pages -- FOLDER [NAME...]`.
//!
//! `hostile` is the fixture with markup, scripts, terminal codes and formulas wherever a name or a text of others stands;
//! `many-N` is the fixture with so many samples; `sweep` has ten models along two axes, gates, a search and published values;
//! `trend` is one model over four releases, `thousand` has a thousand models, and `evaluations` five thousand evaluations.

use std::path::{Path, PathBuf};

use driftgauge_record::files::metrics::MetricsRecord;
use driftgauge_record::files::plan::PlanRecord;
use driftgauge_record::files::resolved::{ExperimentRecord, SampleMode};
use driftgauge_record::{Results, RunDir, VerdictLabel, read_samples, write_samples};

mod sweep;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Ways out of a text: what each is known to do to a page that does not escape.
const PAYLOADS: &str = include_str!("payloads.txt");

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let to = PathBuf::from(arguments.next().ok_or("name a folder")?);
    let wanted: Vec<String> = arguments.collect();
    let make = |name: &str, change: &dyn Fn(&RunDir) -> Outcome| {
        if wanted.is_empty() || wanted.iter().any(|own| own == name) {
            change(&fixture(&to.join(name))?)?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    make("hostile", &hostile)?;
    make("sweep", &sweep::sweep)?;
    make("trend", &sweep::trend)?;
    make("thousand", &|run| sweep::thousand(run, 1_000))?;
    make("evaluations", &|run| sweep::evaluations(run, 5_000))?;
    for samples in [1_000, 10_000, 100_000] {
        make(&format!("many-{samples}"), &|run| many(run, samples))?;
    }
    Ok(())
}

fn fixture(to: &Path) -> Result<RunDir, Box<dyn std::error::Error>> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/runs/smoke");
    copy(&from, to)?;
    Ok(RunDir::new(to))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn hostile(run: &RunDir) -> Outcome {
    let payloads: Vec<&str> = PAYLOADS.lines().filter(|line| !line.is_empty()).collect();
    let at = |place: usize| payloads[place % payloads.len()];
    let mut next = 0;
    let mut fresh = || {
        next += 1;
        at(next)
    };
    for evaluation in ["harmfulness", "drift"] {
        let path = run.samples_of(evaluation);
        let pattern = read_samples(&path)?;
        let mut samples = Vec::new();
        for (round, payload) in payloads.iter().enumerate() {
            for sample in pattern
                .iter()
                .filter(|sample| sample.sample_id.ends_with('0'))
            {
                let mut sample = sample.clone();
                sample.sample_id = format!("{round}{payload}");
                sample.completion.text = match round {
                    0 => "w".repeat(5_000),
                    1 => format!("{payload}\n\n\tand a line of its own"),
                    _ => format!("{payload}\u{1b}[2J\u{202e}"),
                };
                sample.category = Some((*payload).to_owned());
                sample.references = vec![(*payload).to_owned()];
                sample.wrong_answer = Some((*payload).to_owned());
                sample.error = Some((*payload).to_owned());
                for message in &mut sample.messages {
                    (*payload).clone_into(&mut message.content);
                }
                for verdict in sample.verdicts.values_mut() {
                    verdict.label = VerdictLabel::Unsafe;
                    (*payload).clone_into(&mut verdict.output);
                }
                samples.push(sample);
            }
        }
        samples.sort_by(|a, b| (&a.model, &a.condition).cmp(&(&b.model, &b.condition)));
        write_samples(&path, samples)?;
    }
    let mut experiment: ExperimentRecord = run.read()?;
    experiment.samples = SampleMode::Full;
    fresh().clone_into(&mut experiment.title);
    fresh().clone_into(&mut experiment.name);
    fresh().clone_into(&mut experiment.description);
    for model in experiment.models.values_mut() {
        fresh().clone_into(&mut model.description);
    }
    for dataset in experiment.datasets.values_mut() {
        fresh().clone_into(&mut dataset.source);
    }
    for evaluation in experiment.evaluations.values_mut() {
        fresh().clone_into(&mut evaluation.description);
        for condition in evaluation.conditions.values_mut() {
            for turn in &mut condition.turns {
                fresh().clone_into(&mut turn.template);
            }
        }
    }
    run.write(&experiment)?;
    let mut results: Results = run.read()?;
    for metric in &mut results.metrics {
        fresh().clone_into(&mut metric.title);
        fresh().clone_into(&mut metric.formula);
        fresh().clone_into(&mut metric.unit);
    }
    results.notes = payloads.iter().map(|text| (*text).to_owned()).collect();
    run.write(&results)?;
    let mut metrics: MetricsRecord = run.read()?;
    for output in &mut metrics.outputs {
        fresh().clone_into(&mut output.plugin.id);
        output.output.notes = payloads.iter().map(|text| (*text).to_owned()).collect();
        for table in &mut output.output.tables {
            fresh().clone_into(&mut table.title);
            for cell in table.rows.iter_mut().flatten() {
                *cell = fresh().into();
            }
            table.columns = table.columns.iter().map(|_| fresh().to_owned()).collect();
        }
        for chart in &mut output.output.charts {
            fresh().clone_into(&mut chart.title);
            fresh().clone_into(&mut chart.x.label);
            for series in &mut chart.series {
                fresh().clone_into(&mut series.name);
                for point in &mut series.points {
                    fresh().clone_into(&mut point.label);
                }
            }
        }
    }
    run.write(&metrics)?;
    let mut plan: PlanRecord = run.read()?;
    for node in &mut plan.nodes {
        node.error = Some(fresh().to_owned());
    }
    run.write(&plan)?;
    std::fs::write(run.spec(), PAYLOADS)?;
    driftgauge_report::write_report(run)?;
    Ok(())
}

/// So many samples of one evaluation, a tenth of which separate the models by their verdicts.
fn many(run: &RunDir, count: usize) -> Outcome {
    let path = run.samples_of("harmfulness");
    let pattern = read_samples(&path)?;
    let mut experiment: ExperimentRecord = run.read()?;
    experiment.samples = SampleMode::Redacted;
    run.write(&experiment)?;
    // Without scores of single prompts, verdicts say which samples separate the models.
    let mut metrics: MetricsRecord = run.read()?;
    for output in &mut metrics.outputs {
        output.output.scores.clear();
    }
    run.write(&metrics)?;
    let models = ["base", "tuned"];
    let samples = models.iter().flat_map(|model| {
        let pattern = pattern.iter().find(|sample| sample.model == *model);
        (0..count / models.len()).filter_map(move |place| {
            let mut sample = pattern?.clone();
            sample.sample_id = format!("p{place:06}");
            sample.category = Some(format!("category {}", place % 7));
            sample.completion.text =
                format!("an invented and harmless answer, number {place} of {model}");
            let unsafe_ = *model == "tuned" && place % 10 == 0;
            for verdict in sample.verdicts.values_mut() {
                verdict.label = if unsafe_ {
                    VerdictLabel::Unsafe
                } else {
                    VerdictLabel::Safe
                };
                verdict.output = String::new();
            }
            Some(sample)
        })
    });
    write_samples(&path, samples)?;
    driftgauge_report::write_report(run)?;
    Ok(())
}
