//! Judges in plugins: one verdict per sample, or none at all.

use std::collections::HashMap;

use driftgauge_plugin_protocol::wire::{MetricOutput, SampleVerdict, VerdictWord};
use driftgauge_problem::Problem;
use driftgauge_record::{Sample, Verdict, VerdictLabel};

/// The verdicts of a plugin's output, in the order of the samples.
///
/// # Errors
/// When a sample has no verdict, or a verdict no sample: a verdict that went astray must not be read as another's.
pub fn verdicts(output: MetricOutput, samples: &[Sample]) -> Result<Vec<Verdict>, Problem> {
    let wrong = |message: String| {
        Problem::new("wrong-verdicts", message).help(
            "a plugin that judges returns one entry in `verdicts` for each sample it was shown",
        )
    };
    let given = output.verdicts.len();
    let mut by_sample: HashMap<(String, u32), SampleVerdict> = output
        .verdicts
        .into_iter()
        .map(|verdict| ((verdict.sample_id.clone(), verdict.sample_index), verdict))
        .collect();
    let verdicts = samples
        .iter()
        .map(|sample| {
            by_sample
                .remove(&(sample.sample_id.clone(), sample.sample_index))
                .map(verdict)
                .ok_or_else(|| {
                    wrong(format!(
                        "the plugin gave {given} verdicts on {} samples, and none on sample `{}`",
                        samples.len(),
                        sample.sample_id
                    ))
                })
        })
        .collect::<Result<Vec<_>, _>>()?;
    match by_sample.keys().min() {
        None => Ok(verdicts),
        Some((stray, _)) => Err(wrong(format!(
            "the plugin gave a verdict on `{stray}`, which is no sample that it was shown"
        ))),
    }
}

fn verdict(given: SampleVerdict) -> Verdict {
    Verdict {
        label: match given.verdict {
            VerdictWord::Safe => VerdictLabel::Safe,
            VerdictWord::Unsafe => VerdictLabel::Unsafe,
            VerdictWord::Unparsable => VerdictLabel::Unparsable,
            VerdictWord::Error => VerdictLabel::Error,
        },
        categories: given.categories,
        p_unsafe: given.p_unsafe,
        score: given.score,
        points: None,
        output: given.output,
    }
}
