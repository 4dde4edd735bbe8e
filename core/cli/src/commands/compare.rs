//! `driftgauge compare`: holds one finished run against another, or one file of results against another, sample by sample.

use driftgauge_data::recording::{Wanted, marks_of};
use driftgauge_graph::across::{Across, FinishedRun, compare_runs};
use driftgauge_graph::across_files::compare_files;
use driftgauge_problem::{Problem, Result};
use driftgauge_record::{Comparison, Results, RunDir, visible, visible_json};
use driftgauge_report::{AcrossRuns, NamedRun, render_across};
use serde_json::json;

use super::side_by_side::{self, label};
use crate::args::{CompareArgs, CompareFormat, DenyChange};
use crate::exit::Exit;

/// Most ids of changed samples on one line.
const IDS_SHOWN: usize = 12;

pub(crate) fn run(args: &CompareArgs) -> Result<Exit> {
    let sides = [&args.run_a, &args.run_b];
    let is_file = sides.map(|path| path.is_file());
    if is_file.contains(&true) && sides.iter().any(|path| path.is_dir()) {
        return Ok(misused(
            "one side is a run folder, and the other is a file",
            "`driftgauge export DIR --to FILE` writes a run's samples as a file",
        ));
    }
    // What is not there is told by whoever reads it.
    match is_file.contains(&true) {
        true => files(args),
        false => runs(args),
    }
}

fn misused(problem: &str, hint: &str) -> Exit {
    eprintln!("error: {problem}\nhint: {hint}");
    Exit::Usage
}

fn runs(args: &CompareArgs) -> Result<Exit> {
    if !args.layout.is_empty() || !args.id.is_empty() || !args.filter.is_empty() || args.shared {
        return Ok(misused(
            "`--layout`, `--id`, `--filter` and `--shared` are of files, and these are run folders",
            "the samples of two runs pair by the ids of their dataset",
        ));
    }
    let mut pairs = Vec::new();
    for pair in &args.pairs {
        match pair.split_once('=') {
            Some((a, b)) if !a.is_empty() && !b.is_empty() => {
                pairs.push((a.to_owned(), b.to_owned()));
            }
            _ => {
                let problem = format!("`--pair {pair}` names no pair");
                return Ok(misused(&problem, "write `--pair A=B`, run A's model first"));
            }
        }
    }
    let dirs = [&args.run_a, &args.run_b].map(RunDir::new);
    let results = [dirs[0].read()?, dirs[1].read()?];
    let [a, b] = dirs;
    let (a, b) = (FinishedRun::read(&a)?, FinishedRun::read(&b)?);
    let across = compare_runs(&a, &b, &pairs);
    let page = page(&across, results, args);
    tell(&across, &page, "paired by sample", args, args.all)?;
    if across.refused.is_empty() && !across.comparisons.is_empty() {
        return Ok(outcome(&page, args));
    }
    if across.refused.is_empty() {
        eprintln!("error: the two runs have nothing to compare");
    } else {
        eprintln!(
            "hint: samples are paired when data, prompts, judges and metric are the same in both runs"
        );
    }
    Ok(Exit::Usage)
}

fn files(args: &CompareArgs) -> Result<Exit> {
    if !args.pairs.is_empty() {
        return Ok(misused(
            "`--pair` is of run folders, and these are files",
            "a file holds one model; `--filter` narrows its rows",
        ));
    }
    let most = [args.layout.len(), args.id.len(), args.filter.len()];
    if most.into_iter().any(|given| given > 2) {
        return Ok(misused(
            "there are two files, and more values of an option",
            "one value serves both files, two are A's and B's",
        ));
    }
    // One value serves both.
    let wanted = |side: usize| Wanted {
        layout: args.layout.get(side).or(args.layout.first()).copied(),
        id: args.id.get(side).or(args.id.first()).cloned(),
        filter: args.filter.get(side).or(args.filter.first()).cloned(),
    };
    let read = |path, side| marks_of(path, &wanted(side)).map_err(Problem::of_input);
    let (a, b) = (read(&args.run_a, 0)?, read(&args.run_b, 1)?);
    let across = compare_files(&a, &b, args.shared)?;
    let layouts = [a.layout.name(), b.layout.name()];
    let paired = format!("paired by id ({})", layouts.join(" and "));
    let page = page(&across, [Results::default(), Results::default()], args);
    tell(&across, &page, &paired, args, true)?;
    Ok(outcome(&page, args))
}

fn page(across: &Across, results: [Results; 2], args: &CompareArgs) -> AcrossRuns {
    let [a, b] = results;
    let named = |path, results| NamedRun {
        label: label(path),
        results,
    };
    let runs = [named(&args.run_a, a), named(&args.run_b, b)];
    AcrossRuns::new(&runs, &[side_by_side::step(across)])
}

fn outcome(page: &AcrossRuns, args: &CompareArgs) -> Exit {
    side_by_side::outcome(page, args.deny == Some(DenyChange::Worse))
}

/// Prints a comparison, and what was not compared.
fn tell(
    across: &Across,
    page: &AcrossRuns,
    paired: &str,
    args: &CompareArgs,
    all: bool,
) -> Result<()> {
    let text = match args.format {
        CompareFormat::Json => {
            let text = serde_json::to_string_pretty(&json!(across))?;
            format!("{}\n", visible_json(&text))
        }
        CompareFormat::Text => visible(&table(across, paired, args, all)).into_owned(),
        CompareFormat::Html => render_across(page)?,
    };
    side_by_side::write(&text, args.to.as_deref())?;
    for refusal in &across.refused {
        let text = format!("not compared: {}: {}", refusal.what, refusal.reason);
        eprintln!("{}", visible(&text));
    }
    Ok(())
}

/// One line per number, B less A.
fn table(across: &Across, paired: &str, args: &CompareArgs, all: bool) -> String {
    let mut out = format!(
        "B - A, {paired}\n  A: {}\n  B: {}\n",
        args.run_a.display(),
        args.run_b.display()
    );
    let shown = across
        .comparisons
        .iter()
        .filter(|comparison| all || !comparison.metric.contains('.'));
    let mut rows = vec![
        [
            "number",
            "condition",
            "model",
            "n",
            "A",
            "B",
            "B - A",
            "interval",
            "A only/B only",
            "p",
            "adjusted",
            "detectable",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut flips = String::new();
    for comparison in shown {
        rows.push(row(comparison));
        flips.push_str(&changed(comparison));
    }
    if rows.len() > 1 {
        out.push('\n');
        out.push_str(&aligned(&rows));
        out.push_str(&flips);
    }
    for note in &across.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    out
}

fn row(comparison: &Comparison) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |x| format!("{x:.4}"));
    let p = |value: Option<f64>| {
        value.map_or_else(
            || "-".to_owned(),
            |p| {
                if p < 0.001 {
                    format!("{p:.1e}")
                } else {
                    format!("{p:.3}")
                }
            },
        )
    };
    let detail = comparison.detail.as_ref();
    let ci = comparison.ci.as_ref();
    let test = comparison.test.as_ref();
    let discordant = test.and_then(|test| Some((test.baseline_only?, test.model_only?)));
    let level = ci.map_or(0.95, |ci| ci.level);
    let clear = comparison
        .p_adjusted
        .or(comparison.p)
        .is_some_and(|p| p < 1.0 - level);
    vec![
        format!("{}/{}", comparison.evaluation, comparison.metric),
        comparison.condition.clone(),
        if comparison.baseline == comparison.model {
            comparison.model.clone()
        } else {
            format!("{} -> {}", comparison.baseline, comparison.model)
        },
        match detail.and_then(|detail| detail.sides) {
            // Not paired: each side has prompts of its own.
            Some(sides) => format!("{}/{}", sides.baseline, sides.model),
            None => comparison.n.to_string(),
        },
        number(detail.and_then(|detail| detail.baseline_value)),
        number(detail.and_then(|detail| detail.model_value)),
        comparison
            .delta
            .map_or_else(|| "-".to_owned(), |delta| format!("{delta:+.4}")),
        ci.map_or_else(
            || "-".to_owned(),
            |ci| format!("[{:+.4}, {:+.4}]", ci.low, ci.high),
        ),
        discordant.map_or_else(|| "-".to_owned(), |(a, b)| format!("{a}/{b}")),
        p(comparison.p),
        p(comparison.p_adjusted),
        // What a study of this size could have seen is of interest where it saw nothing.
        match detail.and_then(|detail| detail.detectable) {
            Some(detectable) if !clear => format!("{detectable:.4}"),
            _ => String::new(),
        },
    ]
}

/// Ids of the samples that changed.
fn changed(comparison: &Comparison) -> String {
    let flips = comparison
        .detail
        .as_ref()
        .and_then(|detail| detail.flips.as_ref());
    let Some(flips) = flips else {
        return String::new();
    };
    let mut out = String::new();
    for (side, ids) in [("A", &flips.baseline_only), ("B", &flips.model_only)] {
        if ids.is_empty() {
            continue;
        }
        let shown: Vec<&str> = ids.iter().take(IDS_SHOWN).map(String::as_str).collect();
        let more = if ids.len() > IDS_SHOWN {
            ", ... (`--format json` lists them)"
        } else {
            ""
        };
        out.push_str(&format!(
            "  {}/{} {} {}, 1 in {side} only: {}{more}\n",
            comparison.evaluation,
            comparison.metric,
            comparison.condition,
            comparison.model,
            shown.join(", ")
        ));
    }
    out
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        out.push_str(&format!("  {}\n", cells.join("  ").trim_end()));
    }
    out
}
