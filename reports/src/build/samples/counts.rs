//! What became of the completions.

use std::collections::HashSet;

use driftgauge_record::{FinishReason, Sample, VerdictLabel};
use indexmap::IndexMap;

use super::super::context::Context;
use crate::model::{CompletionCount, JudgePair, Judging, VerdictCount};

/// Counts by condition and model.
pub(super) struct Counts<'a> {
    context: &'a Context<'a>,
    evaluation: &'a str,
    counts: IndexMap<(String, String), CompletionCount>,
    /// Completions by what two judges said of them.
    pairs: IndexMap<(String, String), JudgePair>,
}

impl<'a> Counts<'a> {
    pub(super) fn new(context: &'a Context<'a>, evaluation: &'a str) -> Self {
        Self {
            context,
            evaluation,
            counts: IndexMap::new(),
            pairs: IndexMap::new(),
        }
    }

    pub(super) fn take(&mut self, sample: &Sample) {
        let key = (sample.condition.clone(), sample.model.clone());
        let count = self.counts.entry(key).or_insert_with(|| CompletionCount {
            evaluation: self.evaluation.to_owned(),
            condition: self
                .context
                .condition_label(self.evaluation, &sample.condition),
            model: sample.model.clone(),
            ..CompletionCount::default()
        });
        count.total += 1;
        if sample.completion.finish_reason == FinishReason::Error {
            count.errors += 1;
            return;
        }
        let flags = sample.degenerate;
        count.empty += u64::from(flags.empty);
        count.looping += u64::from(flags.looping);
        count.truncated += u64::from(flags.truncated);
        count.degenerate += u64::from(flags.any());
        // A score that is no verdict is counted by the metrics.
        let judged = sample
            .verdicts
            .iter()
            .filter(|(_, verdict)| verdict.label != VerdictLabel::Scored);
        for (judge, verdict) in judged {
            let verdicts = of_judge(count, judge);
            match verdict.label {
                VerdictLabel::Safe => verdicts.safe += 1,
                VerdictLabel::Unsafe => verdicts.unsafe_ += 1,
                VerdictLabel::Unparsable => verdicts.unparsable += 1,
                VerdictLabel::Error => verdicts.errors += 1,
                VerdictLabel::Scored => {}
            }
        }
        self.pair(sample);
    }

    /// Counts every two judges that gave a verdict.
    fn pair(&mut self, sample: &Sample) {
        let said: Vec<(&String, bool)> = sample
            .verdicts
            .iter()
            .filter_map(|(judge, verdict)| match verdict.label {
                VerdictLabel::Safe => Some((judge, false)),
                VerdictLabel::Unsafe => Some((judge, true)),
                VerdictLabel::Unparsable | VerdictLabel::Error | VerdictLabel::Scored => None,
            })
            .collect();
        for (place, (a, a_unsafe)) in said.iter().enumerate() {
            for (b, b_unsafe) in &said[place + 1..] {
                let key = ((*a).clone(), (*b).clone());
                let pair = self.pairs.entry(key).or_insert_with(|| JudgePair {
                    a: (*a).clone(),
                    b: (*b).clone(),
                    ..JudgePair::default()
                });
                match (a_unsafe, b_unsafe) {
                    (true, true) => pair.both_unsafe += 1,
                    (true, false) => pair.a_only += 1,
                    (false, true) => pair.b_only += 1,
                    (false, false) => pair.both_safe += 1,
                }
            }
        }
    }

    /// The counts in the order of the spec. A judge of a model under some condition is one under every condition, also where it
    /// said nothing.
    pub(super) fn finish(mut self, judges: &[String]) -> (Vec<CompletionCount>, Judging) {
        let said = self.counts.iter().flat_map(|((_, model), count)| {
            let judges = count.verdicts.iter();
            judges.map(move |verdicts| (model.clone(), verdicts.judge.clone()))
        });
        let heard: HashSet<(String, String)> = said.collect();
        for ((_, model), count) in &mut self.counts {
            for judge in judges {
                if heard.contains(&(model.clone(), judge.clone())) {
                    of_judge(count, judge);
                }
            }
        }
        let conditions = self.context.index.conditions(self.evaluation);
        let models = self.context.models_of(self.evaluation);
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        counts.sort_by_key(|((condition, model), _)| {
            let place = |names: &[String], name: &String| names.iter().position(|n| n == name);
            (place(conditions, condition), place(&models, model))
        });
        let judging = Judging {
            evaluation: self.evaluation.to_owned(),
            judges: judges.to_vec(),
            pairs: self.pairs.into_values().collect(),
        };
        let counts = counts.into_iter().map(|(_, count)| count).collect();
        (counts, judging)
    }
}

fn of_judge<'c>(count: &'c mut CompletionCount, judge: &str) -> &'c mut VerdictCount {
    let known = count.verdicts.iter().position(|entry| entry.judge == judge);
    let index = known.unwrap_or_else(|| {
        count.verdicts.push(VerdictCount {
            judge: judge.to_owned(),
            ..VerdictCount::default()
        });
        count.verdicts.len() - 1
    });
    &mut count.verdicts[index]
}
