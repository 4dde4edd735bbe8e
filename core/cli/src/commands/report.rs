//! `driftgauge report`: draws the report of a run folder anew, without any engine, or writes it in another form; or puts several
//! runs side by side.

use driftgauge_graph::across::{FinishedRun, compare_runs};
use driftgauge_graph::sealing;
use driftgauge_problem::{Problem, Result};
use driftgauge_record::files::resolved::SampleMode;
use driftgauge_record::{RunDir, visible_line};
use driftgauge_report::{AcrossRuns, NamedRun, Picture, Report, Step, render_across, render_html};

use super::side_by_side::{self, label, outcome, write};
use crate::args::{DenyChange, ReportArgs, ReportFormat, Samples};
use crate::exit::Exit;

/// Letters that a picture cannot show, named one by one.
const LETTERS_NAMED: usize = 6;

pub(crate) fn run(args: &ReportArgs) -> Result<Exit> {
    let [dir] = args.dirs.as_slice() else {
        return several(args);
    };
    if args.deny.is_some() {
        let help = "name several run folders, the oldest first; `gates` of a spec judge one run";
        return Err(
            Problem::new("one-run", "`--deny worse` needs a run before this one")
                .help(help)
                .of_input(),
        );
    }
    let dir = RunDir::new(dir);
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
        let page = report.write(&dir)?;
        sealing::seal_report(&dir)?;
        println!("{}", page.display());
        return Ok(Exit::Done);
    }
    let text = match args.format {
        ReportFormat::Svg => return charts(&report, &dir, args, Picture::Svg),
        ReportFormat::Png => return charts(&report, &dir, args, Picture::Png),
        ReportFormat::Html => render_html(&report)?,
        ReportFormat::Md => report.to_markdown(),
        ReportFormat::Json => report.to_json(),
        ReportFormat::Csv => report.to_csv(args.spreadsheet_safe),
        ReportFormat::Junit => report.to_junit(),
        ReportFormat::Card => of_model(&report, args, Report::to_card)?,
        ReportFormat::EveryEvalEver => of_model(&report, args, Report::to_every_eval_ever)?,
        ReportFormat::EvalResults => of_model(&report, args, Report::to_eval_results)?,
    };
    write(&text, args.to.as_deref())?;
    Ok(Exit::Done)
}

/// Every chart as a file, for papers: beside those of the run folder, or in a folder of its own.
fn charts(report: &Report, dir: &RunDir, args: &ReportArgs, picture: Picture) -> Result<Exit> {
    let folder = args.to.clone().unwrap_or_else(|| dir.charts());
    let written = report.write_charts(&folder, picture)?;
    if args.to.is_none() {
        sealing::seal_report(dir)?;
    }
    println!("{} charts in {}", written.charts, folder.display());
    for reason in &written.not_drawn {
        eprintln!("warning: {}", visible_line(reason));
    }
    tell_boxed(&written.boxed);
    Ok(Exit::Done)
}

/// Names the letters that pictures show as boxes.
fn tell_boxed(boxed: &[(String, Vec<char>)]) {
    let Some((first, _)) = boxed.first() else {
        return;
    };
    let mut letters: Vec<char> = boxed.iter().flat_map(|(_, chars)| chars).copied().collect();
    letters.sort_unstable();
    letters.dedup();
    let named = letters.iter().take(LETTERS_NAMED);
    let named: Vec<String> = named
        .map(|c| format!("{} (U+{:04X})", visible_line(&c.to_string()), u32::from(*c)))
        .collect();
    let more = match letters.len().saturating_sub(LETTERS_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    eprintln!(
        "warning: the font of pictures lacks {}{more}, which stand as boxes with their codes in {} of them, such as `{first}`\n\
         hint: `--format svg` keeps them as text, for a program that has such a font",
        named.join(", "),
        boxed.len(),
    );
}

/// Several runs, each held against the one before it.
fn several(args: &ReportArgs) -> Result<Exit> {
    let mut runs = Vec::new();
    let mut finished = Vec::new();
    for path in &args.dirs {
        let dir = RunDir::new(path);
        runs.push(NamedRun {
            label: label(path),
            results: dir.read()?,
        });
        finished.push(FinishedRun::read(&dir)?);
    }
    let pairs = finished.windows(2);
    let steps: Vec<Step> = pairs
        .map(|pair| side_by_side::step(&compare_runs(&pair[0], &pair[1], &[])))
        .collect();
    let page = AcrossRuns::new(&runs, &steps);
    let text = match args.format {
        ReportFormat::Html => render_across(&page)?,
        ReportFormat::Json => page.to_json(),
        _ => {
            let help = "`--format html` or `json`, or name one run";
            return Err(Problem::new("several-runs", "this form is about one run")
                .help(help)
                .of_input());
        }
    };
    write(&text, args.to.as_deref())?;
    Ok(outcome(&page, args.deny == Some(DenyChange::Worse)))
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
