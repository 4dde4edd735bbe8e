//! `driftgauge report`: draws the report of a run folder anew, without any engine, or writes it in another form.

use std::io::Write as _;

use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::RunDir;
use driftgauge_record::files::resolved::SampleMode;
use driftgauge_report::{Report, render_html};

use crate::args::{ReportArgs, ReportFormat, Samples};
use crate::exit::Exit;

pub(crate) fn run(args: &ReportArgs) -> Result<Exit> {
    let dir = RunDir::new(&args.dir);
    let samples = args.samples.map(|samples| match samples {
        Samples::Hidden => SampleMode::Hidden,
        Samples::Redacted => SampleMode::Redacted,
        Samples::Full => SampleMode::Full,
    });
    let mut report = Report::build_showing(&dir, samples)?;
    if args.stable {
        report = report.stable();
    }
    if args.format == ReportFormat::Html && args.to.is_none() {
        println!("{}", report.write(&dir)?.display());
        return Ok(Exit::Done);
    }
    let text = match args.format {
        ReportFormat::Html => render_html(&report)?,
        ReportFormat::Md => report.to_markdown(),
        ReportFormat::Json => report.to_json(),
        ReportFormat::Csv => report.to_csv(args.spreadsheet_safe),
        ReportFormat::Junit => report.to_junit(),
        ReportFormat::Card => of_model(&report, args, Report::to_card)?,
        ReportFormat::EveryEvalEver => of_model(&report, args, Report::to_every_eval_ever)?,
        ReportFormat::EvalResults => of_model(&report, args, Report::to_eval_results)?,
    };
    match &args.to {
        Some(path) => {
            std::fs::write(path, text)
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            println!("{}", path.display());
        }
        None => match std::io::stdout().write_all(text.as_bytes()) {
            // The reader of a pipe may have seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            other => other.context("cannot write")?,
        },
    }
    Ok(Exit::Done)
}

/// What is written about one model: that of `--model`, or the only one that was compared.
fn of_model(
    report: &Report,
    args: &ReportArgs,
    written: impl Fn(&Report, &str) -> Option<String>,
) -> Result<String> {
    let headline = &report.headline;
    let model = match (args.model.as_deref(), headline.compared.as_slice()) {
        (Some(model), _) => model,
        (None, [one]) => one,
        (None, _) => {
            let help = format!("name one with `--model`: {}", headline.models.join(", "));
            return Err(Problem::new("no-model", "this form is about one model")
                .help(help)
                .of_input());
        }
    };
    written(report, model).ok_or_else(|| {
        let known = headline.models.iter().any(|entry| entry == model);
        let problem = match (known, args.format) {
            (true, ReportFormat::EvalResults) => Problem::new(
                "no-hub-dataset",
                format!("no number of `{model}` is over a data set of the hub"),
            )
            .help("the hub keeps results by data set: name it in the spec with `hub:`"),
            _ => Problem::new(
                "no-model",
                format!("the run has no number of model `{model}`"),
            )
            .help(format!("it measured {}", headline.models.join(", "))),
        };
        problem.of_input()
    })
}
