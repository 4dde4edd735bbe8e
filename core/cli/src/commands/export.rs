//! `driftgauge export`: the samples of a run, for other programs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use driftgauge_problem::{Context as _, Problem, Result};
use driftgauge_record::{RunDir, Sample, SampleReader, SampleWriter};
use serde_json::{Value, json};

use crate::args::{ExportArgs, ExportFormat};
use crate::exit::Exit;

pub(crate) fn run(args: &ExportArgs) -> Result<Exit> {
    let tables = tables(args)?;
    let samples = tables
        .iter()
        .map(|path| SampleReader::open(path))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten();
    match (args.format, &args.to) {
        (ExportFormat::Parquet, None) => {
            eprintln!("error: Parquet goes to a file\nhint: add `--to FILE`");
            return Ok(Exit::Usage);
        }
        (ExportFormat::Parquet, Some(path)) => {
            let file =
                File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
            let mut writer = SampleWriter::new(file).map_err(unwritable)?;
            for sample in samples {
                writer.push(sample?).map_err(unwritable)?;
            }
            writer.finish().map_err(unwritable)?;
        }
        (format, to) => {
            let mut sink: Box<dyn Write> = match to {
                Some(path) => Box::new(
                    File::create(path)
                        .with_context(|| format!("cannot write `{}`", path.display()))?,
                ),
                None => Box::new(std::io::stdout().lock()),
            };
            let mut buffer = BufWriter::new(&mut sink);
            let mut header = format == ExportFormat::Csv;
            for sample in samples {
                let line = line(&sample?);
                let text = if format == ExportFormat::Csv {
                    csv_line(&line, &mut header)
                } else {
                    format!("{line}\n")
                };
                match buffer.write_all(text.as_bytes()) {
                    // The reader of a pipe may have seen enough.
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                        return Ok(Exit::Done);
                    }
                    other => other.context("cannot write")?,
                }
            }
            buffer.flush().context("cannot write")?;
        }
    }
    Ok(Exit::Done)
}

fn unwritable(error: impl std::fmt::Display) -> Problem {
    Problem::new("io", format!("cannot write the table: {error}"))
}

/// The sample tables asked for, in the order of the experiment.
fn tables(args: &ExportArgs) -> Result<Vec<PathBuf>> {
    let dir = RunDir::new(&args.dir);
    let resolved = std::fs::read_to_string(dir.resolved()).with_context(|| {
        format!(
            "`{}` is not a run folder\nhint: name the folder given to `driftgauge run --out`",
            args.dir.display()
        )
    })?;
    let resolved: Value = serde_json::from_str(&resolved).context("resolved.json is damaged")?;
    let ids: Vec<String> = resolved["evaluations"]
        .as_object()
        .map(|evaluations| evaluations.keys().cloned().collect())
        .unwrap_or_default();
    if let Some(wanted) = &args.evaluation
        && !ids.contains(wanted)
    {
        let message = format!("the run has no evaluation `{wanted}`");
        return Err(Problem::new("unknown-evaluation", message)
            .help(format!("it has {}", ids.join(", ")))
            .of_input());
    }
    Ok(ids
        .iter()
        .filter(|id| args.evaluation.as_ref().is_none_or(|wanted| wanted == *id))
        .map(|id| dir.samples_of(id))
        .collect())
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

fn csv_line(line: &Value, header: &mut bool) -> String {
    let Some(fields) = line.as_object() else {
        return String::new();
    };
    let mut out = String::new();
    if std::mem::take(header) {
        let names: Vec<&str> = fields.keys().map(String::as_str).collect();
        out.push_str(&names.join(","));
        out.push('\n');
    }
    let cells: Vec<String> = fields.values().map(csv_cell).collect();
    out.push_str(&cells.join(","));
    out.push('\n');
    out
}

fn csv_cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}
