//! `driftgauge export`: the samples of a run, for other programs.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::files::resolved::ExperimentRecord;
use driftgauge_record::{
    RunDir, Sample, SampleReader, SampleTableError, SampleWriter, spreadsheet_cell, visible_json,
};
use serde_json::{Value, json};

use super::{export_events, export_hub, export_layouts};
use crate::args::{ExportArgs, ExportFormat};
use crate::exit::Exit;

pub(crate) fn run(args: &ExportArgs) -> Result<Exit> {
    let to_folder = match args.format {
        ExportFormat::Hub => Some(export_hub::lay_out as fn(&Path, &Path, Option<&str>) -> _),
        ExportFormat::Tensorboard => Some(export_events::write as _),
        _ => None,
    };
    if let Some(write) = to_folder {
        let Some(to) = &args.to else {
            eprintln!("error: this form is a folder\nhint: add `--to DIR`");
            return Ok(Exit::Usage);
        };
        let written: Result<Vec<String>> = write(&args.dir, to, args.model.as_deref());
        written?.iter().for_each(|line| println!("{line}"));
        return Ok(Exit::Done);
    }
    let tables = tables(args)?;
    let samples = tables
        .iter()
        .map(|path| SampleReader::open(path))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .filter(|sample| {
            sample
                .as_ref()
                .map_or(true, |sample| is_wanted(args, sample))
        });
    match (args.format, &args.to) {
        (ExportFormat::Parquet, None) => {
            eprintln!("error: Parquet goes to a file\nhint: add `--to FILE`");
            return Ok(Exit::Usage);
        }
        (ExportFormat::Parquet, Some(path)) => {
            let file =
                File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
            let mut writer = SampleWriter::new(file);
            for sample in samples {
                writer = writer.push(sample?).map_err(unwritable)?;
            }
            writer.finish().map_err(unwritable)?;
        }
        (ExportFormat::Harmbench | ExportFormat::LmEval, to) => {
            let samples = samples.collect::<Result<Vec<_>, _>>()?;
            let text = match args.format {
                ExportFormat::Harmbench => export_layouts::harmbench(&samples)?,
                _ => export_layouts::lm_eval(&samples, &scored(args, &samples)?)?,
            };
            match sink(to.as_deref())?.write_all(text.as_bytes()) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                other => other.context("cannot write")?,
            }
        }
        (format, to) => {
            let sink = sink(to.as_deref())?;
            let written = if format == ExportFormat::Csv {
                csv_lines(samples, sink, args.spreadsheet_safe)?
            } else {
                json_lines(samples, sink)?
            };
            match written {
                // The reader of a pipe may have seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                other => other.context("cannot write")?,
            }
        }
    }
    Ok(Exit::Done)
}

/// A file, or standard output.
fn sink(to: Option<&Path>) -> Result<Box<dyn Write>> {
    Ok(match to {
        Some(path) => Box::new(
            File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?,
        ),
        None => Box::new(std::io::stdout().lock()),
    })
}

/// Whether a sample is of the model and the condition that are asked for.
fn is_wanted(args: &ExportArgs, sample: &Sample) -> bool {
    let is = |wanted: &Option<String>, of: &str| wanted.as_ref().is_none_or(|id| id == of);
    is(&args.model, &sample.model) && is(&args.condition, &sample.condition)
}

fn unwritable(error: impl std::fmt::Display) -> Problem {
    Problem::new("io", format!("cannot write the table: {error}"))
}

/// An error of the table, and within it what became of writing.
type Written = Result<std::io::Result<()>, SampleTableError>;

fn json_lines(
    samples: impl Iterator<Item = Result<Sample, SampleTableError>>,
    sink: impl Write,
) -> Written {
    let mut buffer = BufWriter::new(sink);
    for sample in samples {
        let line = line(&sample?).to_string();
        if let Err(error) = writeln!(buffer, "{}", visible_json(&line)) {
            return Ok(Err(error));
        }
    }
    Ok(buffer.flush())
}

fn csv_lines(
    samples: impl Iterator<Item = Result<Sample, SampleTableError>>,
    sink: impl Write,
    spreadsheet_safe: bool,
) -> Written {
    let mut csv = Csv::new(sink, spreadsheet_safe);
    for sample in samples {
        if let Err(error) = csv.push(&line(&sample?)) {
            return Ok(Err(error.into()));
        }
    }
    Ok(csv.writer.flush())
}

/// The sample tables asked for, in the order of the experiment.
fn tables(args: &ExportArgs) -> Result<Vec<PathBuf>> {
    let dir = RunDir::new(&args.dir);
    let resolved: ExperimentRecord = dir.read()?;
    let ids: Vec<String> = resolved.evaluations.into_keys().collect();
    if let Some(wanted) = &args.evaluation
        && !ids.contains(wanted)
    {
        let message = format!("the run has no evaluation `{wanted}`");
        return Err(Problem::new("unknown-evaluation", message)
            .help(format!("it has {}", ids.join(", ")))
            .of_input());
    }
    let wanted = ids
        .iter()
        .filter(|id| args.evaluation.as_ref().is_none_or(|wanted| wanted == *id));
    wanted
        .map(|id| {
            let table = dir.samples_of(id);
            dir.check_sealed(&table)?;
            Ok(table)
        })
        .collect()
}

/// What the evaluation of samples scores instead of answers; null where it asks.
fn scored(args: &ExportArgs, samples: &[Sample]) -> Result<Value> {
    let mut resolved: ExperimentRecord = RunDir::new(&args.dir).read()?;
    let evaluation = samples.first();
    let evaluation = evaluation.and_then(|of| resolved.evaluations.swap_remove(&of.evaluation));
    Ok(evaluation.map_or(Value::Null, |evaluation| evaluation.score))
}

/// One sample as other programs read it: flat, with the token lists at the top level.
fn line(sample: &Sample) -> Value {
    let completion = &sample.completion;
    json!({
        "evaluation": sample.evaluation,
        "condition": sample.condition,
        "model": sample.model,
        "sample_id": sample.sample_id,
        "sample_index": sample.sample_index,
        "messages": sample.messages,
        "prompt_token_ids": completion.prompt_token_ids,
        "completion_token_ids": completion.completion_token_ids,
        "completion": completion.text,
        "thinking": completion.thinking,
        "finish_reason": completion.finish_reason,
        "ends_with_eos": completion.ends_with_eos,
        "token_logprob": completion.token_logprob,
        "token_top1_logprob": completion.token_top1_logprob,
        "token_margin": completion.token_margin,
        "token_top10_entropy": completion.token_top10_entropy,
        "token_top10_mass": completion.token_top10_mass,
        "token_entropy": completion.token_entropy,
        "token_top_logprobs": completion.token_top_logprobs,
        "error": sample.error,
        "degenerate": sample.degenerate,
        "references": sample.references,
        "wrong_answer": sample.wrong_answer,
        "category": sample.category,
        "verdicts": sample.verdicts,
        "values": sample.values,
        "row": sample.row,
    })
}

/// Writes samples as CSV: lists and objects as JSON text, names of the fields first.
struct Csv<W: Write> {
    writer: csv::Writer<W>,
    spreadsheet_safe: bool,
    begun: bool,
}

impl<W: Write> Csv<W> {
    fn new(sink: W, spreadsheet_safe: bool) -> Self {
        // Quotes everywhere: some spreadsheets take `;` or a tab for the end of a cell.
        let quoted = csv::QuoteStyle::Always;
        Self {
            writer: csv::WriterBuilder::new()
                .quote_style(quoted)
                .from_writer(sink),
            spreadsheet_safe,
            begun: false,
        }
    }

    fn push(&mut self, line: &Value) -> csv::Result<()> {
        let Some(fields) = line.as_object() else {
            return Ok(());
        };
        if !std::mem::replace(&mut self.begun, true) {
            self.writer.write_record(fields.keys())?;
        }
        for value in fields.values() {
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if self.spreadsheet_safe {
                self.writer
                    .write_field(spreadsheet_cell(&text).as_bytes())?;
            } else {
                self.writer.write_field(&text)?;
            }
        }
        self.writer.write_record(None::<&[u8]>)
    }
}
