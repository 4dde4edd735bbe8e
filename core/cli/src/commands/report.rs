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
        ReportFormat::Card => card(&report, args.model.as_deref())?,
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

fn card(report: &Report, model: Option<&str>) -> Result<String> {
    let compared = &report.headline.compared;
    let model = match (model, compared.as_slice()) {
        (Some(model), _) => model,
        (None, [one]) => one,
        (None, _) => {
            let help = format!(
                "name one with `--model`: {}",
                report.headline.models.join(", ")
            );
            return Err(Problem::new("no-model", "a card is of one model")
                .help(help)
                .of_input());
        }
    };
    report.to_card(model).ok_or_else(|| {
        let message = format!("the run has no number of model `{model}`");
        Problem::new("no-model", message)
            .help(format!("it measured {}", report.headline.models.join(", ")))
            .of_input()
    })
}
