//! Judges: whom they ask, and how their answers are read.

use std::collections::HashMap;

use super::{Checker, unknown};
use crate::diagnostic::Diagnostic;
use crate::located::{Located, Text};
use crate::spec::{Evaluation, Judge, ParseRule};

impl Checker<'_> {
    pub(super) fn judge(&mut self, id: &Text, judge: &Judge) {
        let spec = self.spec;
        if let Some(model) = judge.model()
            && !spec.models.contains_key(model.get().as_str())
        {
            self.error(unknown("model", model, &spec.models));
        }
        if let Judge::Prompt(judge) = judge {
            self.turns(&judge.prompt);
            if let Some(crate::spec::Turn::Prefill(prefill)) = judge.prompt.last() {
                self.error(
                    Diagnostic::error("not-together", "a judge's answer is not begun for it")
                        .at(prefill.prefill.span(), "begins its verdict")
                        .help("end with a `user` turn; `parse` says how its answer is read"),
                );
            }
            if judge.prompt.is_empty() {
                self.error(
                    Diagnostic::error("no-prompt", format!("judge `{id}` asks nothing"))
                        .at(id.span(), ""),
                );
            }
            self.parse_rule(id, &judge.parse);
        }
    }

    /// What holds judges against known answers knows answers, and holds at least one of these judges against them.
    pub(super) fn judge_check(&mut self, id: &Text, evaluation: &Evaluation) {
        let spec = self.spec;
        let Some(check) = &evaluation.judge_check else {
            return;
        };
        let Some(known) = spec.evaluations.get(check.get().as_str()) else {
            self.error(unknown("evaluation", check, &spec.evaluations));
            return;
        };
        let typed = evaluation.metrics.iter().find_map(|metric| {
            let config = spec.metrics.get(metric.get().as_str())?.config.as_ref()?;
            (!config["judge_error"].is_null()).then_some(config.span())
        });
        if let Some(typed) = typed {
            self.error(
                Diagnostic::error(
                    "not-together",
                    "`judge_check` measures how often judges are right, and `judge_error` says it",
                )
                .at(typed, "")
                .at(check.span(), "keep one"),
            );
        }
        let recorded = known.models.iter().any(|model| {
            let model = spec.models.get(model.get().as_str());
            model.is_some_and(|model| model.recorded.is_some())
        });
        // Which verdicts a recording holds may be known only when it is read.
        let held = recorded
            || evaluation.judges.iter().any(|(id, judge)| {
                let asked = |model: &Text| known.models.contains(model);
                known.judges.contains_key(id.get().as_str()) || judge.model().is_some_and(asked)
            });
        let (problem, help) = if check.get() == id.get() || known.judge_check.is_some() {
            (
                format!("the errors of judges cannot be taken from `{check}`"),
                "name an evaluation of its own, on answers whose verdict is known, that has no `judge_check` itself",
            )
        } else if known.reference.is_none() {
            (
                format!("evaluation `{check}` knows no answers"),
                "give it a `reference`: `safe` or `unsafe`, or what the judge would write",
            )
        } else if !held {
            (
                format!("evaluation `{check}` holds no judge of `{id}` against its known answers"),
                "it has to have a judge under the same id, or to ask the judge's model itself",
            )
        } else {
            return;
        };
        self.error(
            Diagnostic::error("bad-judge-check", problem)
                .at(check.span(), "")
                .help(help),
        );
    }

    /// A scale has two ends, and its own verdicts.
    fn scale(&mut self, rule: &ParseRule, [low, high]: &[Located<f64>; 2]) {
        let words = rule.r#unsafe.as_slice().iter().chain(rule.safe.as_slice());
        for word in words.take(1) {
            self.error(
                Diagnostic::error(
                    "not-together",
                    "an answer is read as a score or as a word, not both",
                )
                .at(word.span(), "a word")
                .at(low.span(), "a score")
                .help("`unsafe_from` says from which score on an answer is unsafe"),
            );
        }
        if **low >= **high {
            self.error(
                Diagnostic::error(
                    "bad-parse-rule",
                    format!("no score lies from {low} to {high}"),
                )
                .at(high.span(), "the highest")
                .at(low.span(), "the lowest")
                .help("write the lower end first: `score: [1, 5]`"),
            );
        } else if let Some(from) = &rule.unsafe_from
            && !(**from > **low && **from <= **high)
        {
            self.error(
                Diagnostic::error(
                    "bad-parse-rule",
                    format!("`unsafe_from` is {from}, and both verdicts have to be possible from {low} to {high}"),
                )
                .at(from.span(), "")
                .help(format!("a score above {low}, up to {high}")),
            );
        }
    }

    /// Both verdicts have words, and no word stands for both.
    fn parse_rule(&mut self, id: &Text, rule: &ParseRule) {
        if let Some(scale) = &rule.score {
            self.scale(rule, scale);
            return;
        }
        if let Some(from) = &rule.unsafe_from {
            self.error(
                Diagnostic::error(
                    "not-together",
                    "`unsafe_from` is a score, and no `score` is read",
                )
                .at(from.span(), "")
                .help("add the scale, `score: [1, 5]`, or take it out"),
            );
        }
        let both = [("unsafe", &rule.r#unsafe), ("safe", &rule.safe)];
        let mut known: HashMap<String, (&str, &Text)> = HashMap::new();
        for (verdict, words) in both {
            if words.as_slice().is_empty() {
                self.error(
                    Diagnostic::error(
                        "bad-parse-rule",
                        format!("no answer of judge `{id}` can be `{verdict}`"),
                    )
                    .at(id.span(), format!("`{verdict}` has no word"))
                    .help("name at least one word for each of the two verdicts"),
                );
            }
            for word in words.as_slice() {
                let folded = word.trim().to_lowercase();
                if !folded.contains(char::is_alphanumeric) {
                    self.error(
                        Diagnostic::error("bad-parse-rule", "this is no word of an answer")
                            .at(word.span(), format!("stands for `{verdict}`"))
                            .help("a word has letters or digits; marks and spaces around an answer are passed over"),
                    );
                    continue;
                }
                match known.get(&folded) {
                    Some((other, first)) if *other != verdict => self.error(
                        Diagnostic::error(
                            "bad-parse-rule",
                            format!("`{word}` stands for both verdicts"),
                        )
                        .at(word.span(), format!("`{verdict}` here"))
                        .at(first.span(), format!("`{other}` here"))
                        .help("letter case is ignored; keep it for one of them"),
                    ),
                    _ => {
                        known.insert(folded, (verdict, word));
                    }
                }
            }
        }
    }
}
