//! Whether an answer is correct, by whom that is known, and what a report has to say of it.

use driftgauge_plugin_sdk::{Batch, MetricError, Sample, StrLists};

use crate::answers::Match;

/// Who decides whether an answer is correct: the rule, where the configuration names one and there are references to hold the
/// answer against; else the recording, where it tells; else the usual rule.
#[derive(Debug, Clone, Copy)]
pub struct Marker {
    rule: Match,
    given: bool,
    f1_threshold: f64,
}

/// What is known of one answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// What the recording says.
    recorded: Option<bool>,
    /// Score by the rule in [0, 1], where there are references.
    ruled: Option<f64>,
    /// There is no text: it is empty, or the recording has none.
    silent: bool,
}

/// By whom the answers of a condition were found correct or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Basis {
    recorded: u64,
    ruled: u64,
    /// Answers with a text, or some of them.
    texts: u64,
    /// Answers of which recording and rule say different things.
    differ: u64,
    both: u64,
}

impl Marker {
    /// With the rule of the configuration. From `f1_threshold` on, token F1 counts as correct.
    #[must_use]
    pub fn new(rule: Option<Match>, f1_threshold: f64) -> Self {
        Self {
            given: rule.is_some(),
            rule: rule.unwrap_or_default(),
            f1_threshold,
        }
    }

    /// The rule: the one that the configuration names, or the usual one.
    #[must_use]
    pub fn rule(self) -> Match {
        self.rule
    }

    /// Whether a score counts as correct.
    #[must_use]
    pub fn is_correct(self, score: f64) -> bool {
        match self.rule {
            Match::F1 => score >= self.f1_threshold,
            _ => score > 0.5,
        }
    }

    /// What is known of a sample; `None` when no completion was made.
    ///
    /// # Errors
    /// When the sample cannot be read, or its recorded `correct` is neither 0 nor 1.
    pub fn known(self, sample: &Sample<'_>) -> Result<Option<Known>, MetricError> {
        if sample.opt_str("finish_reason")? == Some("error") {
            return Ok(None);
        }
        let recorded = recorded(sample.opt_f64("value.correct")?, sample)?;
        let references = sample.strs("references")?;
        let answer = sample.opt_str("completion")?.unwrap_or_default();
        Ok(Some(self.held(recorded, answer, &references)))
    }

    /// What is known of an answer that was made.
    fn held(self, recorded: Option<bool>, answer: &str, references: &[&str]) -> Known {
        Known {
            recorded,
            ruled: (!references.is_empty()).then(|| self.rule.score(answer, references)),
            silent: answer.trim().is_empty(),
        }
    }

    /// The score of an answer in [0, 1], counted in `basis`; `None` where nobody tells. Answers that are open
    /// ([`Known::is_open`]) come after all others.
    pub fn score(self, known: Known, basis: &mut Basis) -> Option<f64> {
        basis.texts += u64::from(!known.silent);
        // Where no answer has a text, they were marked elsewhere; one that has no mark there has none here.
        let unmarked = known.recorded.is_none() && basis.recorded == 0;
        let readable = !known.silent || basis.texts > 0 || unmarked;
        let ruled = known.ruled.filter(|_| readable);
        let recorded = known.recorded.map(|flag| f64::from(u8::from(flag)));
        if let (Some(recorded), Some(ruled)) = (known.recorded, ruled) {
            basis.both += 1;
            basis.differ += u64::from(recorded != self.is_correct(ruled));
        }
        let by_rule = if self.given {
            ruled.is_some()
        } else {
            recorded.is_none()
        };
        if by_rule && ruled.is_some() {
            basis.ruled += 1;
            return ruled;
        }
        basis.recorded += u64::from(recorded.is_some());
        recorded
    }
}

/// What the recording says of an answer, of its `correct`.
fn recorded(correct: Option<f64>, sample: &Sample<'_>) -> Result<Option<bool>, MetricError> {
    match correct {
        None => Ok(None),
        Some(flag) if flag == 0.0 || flag == 1.0 => Ok(Some(flag == 1.0)),
        Some(other) => Err(MetricError::data(format!("recorded value `correct` is {other}"))
            .help(
                "it is 0 for a wrong answer and 1 for a correct one; give a graded score another name among `values`",
            )
            .code("bad-correct")
            .sample(sample.str("sample_id")?)),
    }
}

/// What tells of each sample of a batch whether its answer is correct. Texts are read where they have a say.
pub struct Marks<'a> {
    correct: Vec<Option<f64>>,
    references: StrLists<'a>,
}

impl<'a> Marks<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// When the samples cannot be read.
    pub fn of(batch: Batch<'a>) -> Result<Self, MetricError> {
        Ok(Self {
            correct: batch.column_f64("value.correct")?,
            references: batch.column_strs("references")?,
        })
    }

    /// As [`Marker::known`] of the sample at a place, which was made. Where there are no references, and other answers of the condition
    /// are known to have texts (`basis`), what it says changes nothing: then it counts as silent.
    ///
    /// # Errors
    /// As there.
    pub fn known(
        &self,
        marker: Marker,
        (place, sample): (usize, &Sample<'_>),
        basis: &Basis,
    ) -> Result<Known, MetricError> {
        let recorded = recorded(self.correct[place], sample)?;
        let unruled = self.references.is_empty(place);
        if unruled && basis.texts > 0 {
            return Ok(Known {
                recorded,
                ruled: None,
                silent: true,
            });
        }
        let answer = sample.opt_str("completion")?.unwrap_or_default();
        Ok(marker.held(recorded, answer, &self.references.get(place)?))
    }
}

impl Known {
    /// Whether there is no text.
    #[must_use]
    pub fn is_silent(self) -> bool {
        self.silent
    }

    /// Whether only the other answers tell what a missing text means: they have texts, and this one is empty; or none has, and
    /// the recording alone can tell.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.silent && self.ruled.is_some()
    }

    /// Open answers in the order in which they can be scored: those that have a mark tell of the others that they lack one.
    pub fn in_order<T>(open: &mut [(T, Self)]) {
        open.sort_by_key(|(_, known)| known.recorded.is_none());
    }
}

impl Basis {
    /// Whether texts without a word are answers: not so in a recording that has no texts at all.
    #[must_use]
    pub fn has_texts(self) -> bool {
        self.texts > 0 || self.recorded == 0
    }

    /// Whether the recording decided on some answers.
    #[must_use]
    pub fn has_recorded(self) -> bool {
        self.recorded > 0
    }

    /// The formula of the share of correct answers.
    #[must_use]
    pub fn formula(self, rule: Match) -> String {
        match (self.recorded, self.ruled) {
            (0, _) => rule.formula().to_owned(),
            (_, 0) => "mean over prompts of `correct`, as recorded".to_owned(),
            // The same whatever their numbers are: models are compared where their formulas are the same.
            _ => format!(
                "mean over prompts of `correct` as recorded, else {}",
                rule.formula().trim_start_matches("mean over prompts of ")
            ),
        }
    }

    /// What `correct` and `incorrect` rest on, for the formulas of numbers that are split by it.
    #[must_use]
    pub fn words(self, rule: Match) -> String {
        match (self.recorded, self.ruled) {
            (0, _) => format!("correct by {}", rule.title()),
            (_, 0) => "correct as recorded in `correct`".to_owned(),
            _ => format!("correct as recorded in `correct`, else by {}", rule.title()),
        }
    }

    /// What a reader has to know of who decided, and where recording and rule do not agree.
    #[must_use]
    pub fn notes(self, condition: &str, marker: Marker) -> Vec<String> {
        let rule = marker.rule.title();
        let mut notes = Vec::new();
        if self.recorded > 0 && self.ruled > 0 {
            notes.push(format!(
                "Condition `{condition}`: {} of {} completions are correct or not as recorded in `correct`, the others by {rule}.",
                self.recorded,
                self.recorded + self.ruled
            ));
        }
        if self.differ > 0 {
            let used = if marker.given {
                "the rule decides"
            } else {
                "the recording decides; give `match` to let the rule"
            };
            notes.push(format!(
                "Condition `{condition}`: the recorded `correct` and {rule} against the references differ for {} of {} completions; {used}.",
                self.differ, self.both
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Known = Known {
        recorded: Some(true),
        ruled: Some(0.0),
        silent: false,
    };

    #[test]
    fn a_rule_that_is_given_decides() {
        let (given, left_out) = (Marker::new(Some(Match::Exact), 0.5), Marker::new(None, 0.5));
        let mut basis = Basis::default();
        assert_eq!(given.score(TEXT, &mut basis), Some(0.0));
        assert_eq!(basis.formula(Match::Exact), Match::Exact.formula());
        assert!(basis.notes("c", given)[0].contains("differ for 1 of 1"));
        let mut basis = Basis::default();
        assert_eq!(left_out.score(TEXT, &mut basis), Some(1.0));
        assert_eq!(
            basis.words(left_out.rule()),
            "correct as recorded in `correct`"
        );
        let without = Known {
            ruled: None,
            ..TEXT
        };
        assert_eq!(given.score(without, &mut basis), Some(1.0));
        let unrecorded = Known {
            recorded: None,
            ..TEXT
        };
        assert_eq!(left_out.score(unrecorded, &mut basis), Some(0.0));
        assert!(
            basis
                .formula(left_out.rule())
                .contains("`correct` as recorded, else 1[a reference occurs")
        );
    }

    #[test]
    fn a_missing_text_is_an_empty_answer_only_among_texts() {
        let marker = Marker::new(Some(Match::Exact), 0.5);
        let silent = Known {
            silent: true,
            ..TEXT
        };
        assert!(silent.is_open() && !TEXT.is_open());
        let mut alone = Basis::default();
        assert_eq!(marker.score(silent, &mut alone), Some(1.0));
        assert!(!alone.has_texts() && alone.notes("c", marker).is_empty());
        let mut among = Basis::default();
        marker.score(TEXT, &mut among);
        assert_eq!(marker.score(silent, &mut among), Some(0.0));
        assert_eq!(among.differ, 2);
    }

    #[test]
    fn a_missing_mark_among_marks_is_absent_and_no_wrong_answer() {
        let marker = Marker::new(None, 0.5);
        let marked = Known {
            silent: true,
            ..TEXT
        };
        let unmarked = Known {
            recorded: None,
            ..marked
        };
        let scores = |known: [Known; 2]| {
            let mut open: Vec<((), Known)> = known.map(|known| ((), known)).into();
            Known::in_order(&mut open);
            let mut basis = Basis::default();
            let scores = open
                .iter()
                .map(|((), known)| marker.score(*known, &mut basis));
            scores.collect::<Vec<_>>()
        };
        assert_eq!(scores([unmarked, marked]), [Some(1.0), None]);
        // Where nothing was marked elsewhere, a model that says nothing is wrong.
        assert_eq!(scores([unmarked, unmarked]), [Some(0.0), Some(0.0)]);
    }
}
