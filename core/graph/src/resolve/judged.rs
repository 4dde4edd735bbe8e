//! Questions to judges that they cannot read, told before anything runs. What a judge is asked holds the request, which is known,
//! and the answer, which is known of recordings and as long as `max_tokens` of others.

use driftgauge_data::dataset::Row;
use driftgauge_data::prompt::Templates;
use driftgauge_data::recording::{Asked as AskedOf, ConditionRows, Recorded};
use driftgauge_engine::{LongPrompt, Prompt};
use driftgauge_judge::{Judge, exchange};
use driftgauge_problem::Problem;
use driftgauge_record::{Message, Sample};
use driftgauge_spec::ExperimentSpec;

use super::left_out::Turns;
use super::lengths::{How, first};
use super::place;
use super::readers::Readers;
use super::spelled::Spellings;
use crate::asked::Asked;
use crate::nodes::prompts::prompted_of;
use crate::resolved::{ModelSource, ResolvedEvaluation, ResolvedExperiment};

/// What to do about a question that is too long.
const LONG: &str = "leave such rows out with the dataset's `filter`, or name a judge with a longer context: what it cannot read gets no verdict";
/// The same where it is the answer that makes it so.
const LONG_ANSWER: &str = "lower `max_tokens` of `generate`, or name a judge with a longer context: what it cannot read gets no verdict";

/// What is certain, and what is worth a warning.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// Of every judge that is a model on this machine, one for a condition at most.
pub(super) fn judged(
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    readers: &mut Readers<'_>,
) -> Judged {
    let mut out = Judged::default();
    for (id, evaluation) in &spec.evaluations {
        let Some(resolved) = experiment.evaluations.get(id.get()) else {
            continue;
        };
        for (judge_id, judge) in &evaluation.judges {
            let (Some(model), Some(asked)) = (judge.model(), resolved.judges.get(judge_id.get()))
            else {
                continue;
            };
            let Some(has_template) = readers.has_template(model.get()) else {
                continue;
            };
            let Some(reader) = readers.of(model.get()) else {
                continue;
            };
            for condition in resolved.conditions.keys() {
                let of = match resolved.conditions.len() {
                    1 => format!("what judge `{judge_id}` is asked in evaluation `{id}`"),
                    _ => format!(
                        "what judge `{judge_id}` is asked in evaluation `{id}`, condition `{condition}`"
                    ),
                };
                let Some(questions) = questions(experiment, id.get(), condition) else {
                    continue;
                };
                let shown = questions.shown();
                let texts = shown.iter().map(|(id, prompt)| (id.as_str(), prompt));
                let spelled = Spellings::of(reader).warning(&of, model.get(), texts);
                out.warnings
                    .extend(spelled.map(|warning| warning.at(place(model.span()))));
                let (known, answered) = (
                    questions.known(&asked.judge, has_template),
                    questions.answered,
                );
                let Some((prompts, most)) = known else {
                    continue;
                };
                let how = How {
                    answer: most,
                    on_long_prompt: LongPrompt::Error,
                    more: 0,
                    turns: Turns::Last,
                };
                let told = |problem: Problem, help: &str| {
                    problem.help(help).of_input().at(place(model.span()))
                };
                if let Some(found) = first(reader, how, &prompts) {
                    let long = found.is_long();
                    let problem = found.told(&of, model.get());
                    out.problems.push(match long {
                        true => told(problem, LONG),
                        false => problem.of_input().at(place(model.span())),
                    });
                    continue;
                }
                let more = match answered {
                    true => resolved.generate.max_tokens,
                    false => continue,
                };
                if let Some(found) = first(reader, How { more, ..how }, &prompts) {
                    let found = found.told(&of, model.get());
                    let warning = Problem {
                        code: "prompt-may-be-too-long".into(),
                        ..found.prefixed(&format!("with answers of {more} tokens, "))
                    };
                    out.warnings.push(told(warning, LONG_ANSWER));
                }
            }
        }
    }
    out
}

/// What is judged under a condition: rows with their samples.
struct Questions<'a> {
    evaluation: &'a ResolvedEvaluation,
    condition: &'a str,
    samples: Vec<(&'a Row, Sample)>,
    /// Whether a model answers, so that completions are still to come.
    answered: bool,
}

/// The samples of an evaluation without their completions, and those of recordings with them; `None` where something does not
/// fit, which others tell.
fn questions<'a>(
    experiment: &'a ResolvedExperiment,
    id: &str,
    condition: &'a str,
) -> Option<Questions<'a>> {
    let evaluation = &experiment.evaluations[id];
    let prompts = prompted_of(experiment, id, condition).ok()?;
    let mut samples = Vec::new();
    let mut answered = false;
    for model in &evaluation.models {
        let ModelSource::Recorded(recordings) = &experiment.models.get(model)?.source else {
            answered = true;
            continue;
        };
        let recorded = recordings.get(Recorded::position(recordings, id)?)?;
        let all = experiment.readings.rows(recorded).ok()?;
        let asked = AskedOf {
            condition,
            judged: !evaluation.judges.is_empty(),
            dataset_id: experiment.datasets[&evaluation.dataset].id_column(),
        };
        let rows = ConditionRows::of(&all, recorded, asked).ok()?;
        for (row, sample) in &prompts {
            samples.push((*row, rows.fill(sample.clone()).ok()?));
        }
    }
    if answered {
        let once = prompts.into_iter();
        samples.extend(once.filter(|(_, sample)| sample.sample_index == 0));
    }
    Some(Questions {
        evaluation,
        condition,
        samples,
        answered,
    })
}

impl Questions<'_> {
    /// What a judge is shown of each sample, as turns of its own: the layout around it is not the data's.
    fn shown(&self) -> Vec<(String, Prompt)> {
        let turns = &self.evaluation.conditions[self.condition].turns;
        let shown = self.samples.iter().map(|(_, sample)| {
            let exchange = exchange(turns, sample, None);
            let turn = |role: &str, content: String| Message {
                role: role.to_owned(),
                content,
            };
            let messages = vec![
                turn("user", exchange.asked()),
                turn("assistant", exchange.completion.to_owned()),
            ];
            let prompt = Prompt {
                messages: Some(messages),
                ..Prompt::default()
            };
            (sample.sample_id.clone(), prompt)
        });
        shown.collect()
    }

    /// What a judge is asked, the longest first, and how long its own answer may be.
    fn known(&self, judge: &Judge, has_template: bool) -> Option<(Vec<Asked>, usize)> {
        let turns = &self.evaluation.conditions[self.condition].turns;
        let templates = Templates::default();
        let mut most = 0;
        let mut out = Vec::with_capacity(self.samples.len());
        for (row, sample) in &self.samples {
            let behavior = self.evaluation.behavior.as_ref();
            let behavior = behavior.map(|template| templates.fill(template, row, None));
            let exchange = exchange(turns, sample, behavior.transpose().ok()?);
            let request = judge.request(&exchange, has_template).ok()?;
            most = most.max(request.max_tokens);
            let prompt = match request.text {
                Some(text) => Prompt {
                    text,
                    ..Prompt::default()
                },
                None => Prompt {
                    messages: Some(request.messages),
                    ..Prompt::default()
                },
            };
            out.push(Asked {
                sample_id: sample.sample_id.clone(),
                prompt,
                texts: Vec::new(),
            });
        }
        out.sort_by_key(|asked| std::cmp::Reverse(asked.bytes()));
        Some((out, most))
    }
}
