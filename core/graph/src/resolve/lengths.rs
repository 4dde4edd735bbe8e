//! Prompts that a model cannot read, told before anything runs: too long for its context, beyond what the engine computes of it,
//! refused by its chat template or left out by it. And rows that a model could not be trained on.

use std::collections::HashSet;

use driftgauge_engine::{LongPrompt, Prompt, PromptReader, Reach};
use driftgauge_problem::Problem;
use driftgauge_record::Message;
use driftgauge_spec::spec::TrainOn;
use driftgauge_spec::{ExperimentSpec, Text};

use super::left_out::{Turns, first_left_out};
use super::place;
use super::readers::Readers;
use super::spelled::Spellings;
use crate::asked::{Asked, asked};
use crate::resolved::{ModelSource, ResolvedExperiment};
use crate::training_data::examples;

/// Problems of the prompts of every evaluation, one for a model and a condition at most.
pub(super) fn unreadable(
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    readers: &mut Readers<'_>,
    warnings: &mut Vec<Problem>,
) -> Vec<Problem> {
    let mut out = Vec::new();
    for (id, evaluation) in &spec.evaluations {
        let Some(resolved) = experiment.evaluations.get(id.get()) else {
            continue;
        };
        let read = |model: &&Text| readers.reads(model.get()).is_some();
        let models: Vec<&Text> = evaluation.models.iter().filter(read).collect();
        if models.is_empty() {
            continue;
        }
        for condition in resolved.conditions.keys() {
            // What cannot be filled was told by whoever tried the templates.
            let Ok(mut prompts) = asked(experiment, id.get(), condition) else {
                continue;
            };
            prompts.sort_by_key(|prompt| std::cmp::Reverse(prompt.bytes()));
            for model in &models {
                let how = How {
                    answer: resolved.generate.max_tokens,
                    on_long_prompt: resolved.generate.on_long_prompt,
                    more: 0,
                    turns: Turns::All,
                };
                let Some(reader) = readers.of(model.get()) else {
                    continue;
                };
                let of = match resolved.conditions.len() {
                    1 => format!("evaluation `{id}`"),
                    _ => format!("evaluation `{id}`, condition `{condition}`"),
                };
                let texts = prompts.iter();
                let texts = texts.map(|asked| (asked.sample_id.as_str(), &asked.prompt));
                let spelled = Spellings::of(reader).warning(&of, model.get(), texts);
                warnings.extend(spelled.map(|warning| warning.at(place(model.span()))));
                let apart = apart(reader, &of, model.get(), &prompts);
                warnings.extend(apart.map(|warning| warning.at(place(model.span()))));
                let Some(found) = first(reader, how, &prompts) else {
                    continue;
                };
                let told = found.told(&of, model.get());
                out.push(told.of_input().at(place(model.span())));
            }
        }
    }
    out
}

/// Letters of a rendered answer that a message shows.
const SHOWN: usize = 40;

/// A warning of a prefill that stands where the model's chat template begins no answer.
fn apart(reader: &dyn PromptReader, of: &str, model: &str, prompts: &[Asked]) -> Option<Problem> {
    let messages = prompts.first()?.prompt.messages.as_deref()?;
    let written = reader.prefilled_otherwise(messages).ok()??;
    let shown: String = written.chars().take(SHOWN).collect();
    let message = format!(
        "{of}: the prefill stands where the chat template of model `{model}` begins no answer: from there on it would write {shown:?}"
    );
    let warning = Problem::new("prefill", message).help(
        "put what the template writes before an answer in front of the prefill (white space, the end of reasoning), or say that it is meant with `allow: [prefill]`",
    );
    Some(warning.of_input())
}

/// Problems of trainings whose rows may be longer than their model reads, one for each of the settings at most; and of rows that teach
/// nothing, or something else.
pub(super) fn trainings(
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    readers: &mut Readers<'_>,
    warnings: &mut Vec<Problem>,
) -> Vec<Problem> {
    let mut out = Vec::new();
    let mut told = HashSet::new();
    out.extend(untaught(spec, experiment, readers, warnings));
    for (id, model) in &spec.models {
        let settings = match (&model.finetune, &model.pretrain) {
            (Some(finetune), _) => spec.finetune.get(finetune.settings.get().as_str()),
            (None, Some(pretrain)) => spec.pretrain.get(pretrain.settings.get().as_str()),
            (None, None) => None,
        };
        let Some(asked) = settings.and_then(|settings| settings.max_seq_length.as_ref()) else {
            continue;
        };
        let resolved = experiment.models.get(id.get());
        let reads = match resolved.map(|model| &model.source) {
            Some(ModelSource::Pretrain(training)) => {
                let shape = training.architecture.as_ref();
                shape.map(|shape| shape.max_position_embeddings)
            }
            Some(_) => readers.of(id.get()).map(|reader| reader.limits().scored),
            None => None,
        };
        if let Some(reads) = reads.filter(|&reads| **asked > reads)
            && told.insert(asked.span())
        {
            let message = format!(
                "`max_seq_length: {asked}` is longer than the {reads} tokens that model `{id}` reads"
            );
            let problem = Problem::new("out-of-range", message)
                .help("lower it, or leave it out: rows are then cut where the model ends");
            out.push(problem.of_input().at(place(asked.span())));
        }
    }
    out
}

/// Turns of the rows of fine-tunes that the base's chat template leaves out, and rows that are cut before their first answer.
fn untaught(
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
    readers: &mut Readers<'_>,
    warnings: &mut Vec<Problem>,
) -> Vec<Problem> {
    let mut out = Vec::new();
    let mut tried = HashSet::new();
    for (id, model) in &spec.models {
        let resolved = experiment.models.get(id.get());
        let (Some(finetune), Some(ModelSource::Finetune { training, .. })) =
            (&model.finetune, resolved.map(|model| &model.source))
        else {
            continue;
        };
        // Other data, or other turns of it, are another training.
        let Ok(data) = serde_json::to_string(&(&training.data, &training.eval_dataset)) else {
            continue;
        };
        if !tried.insert((finetune.base.get(), finetune.settings.get(), data)) {
            continue;
        }
        let Ok(examples) = examples(training, &experiment.datasets) else {
            continue;
        };
        let Some(reader) = readers.of(id.get()) else {
            continue;
        };
        let prompt = |messages: &[Message]| Prompt {
            messages: Some(messages.to_vec()),
            ..Prompt::default()
        };
        let rows = || examples.train.iter().chain(&examples.eval);
        let prompts: Vec<Prompt> = rows().map(|row| prompt(&row.messages)).collect();
        let texts = rows().map(|row| row.id.as_str()).zip(&prompts);
        let spelled = Spellings::of(reader).warning("its training", id.get(), texts);
        warnings.extend(spelled.map(|warning| warning.at(place(finetune.base.span()))));
        if let Some((at, role)) = first_left_out(reader, prompts.iter(), Turns::All) {
            let row = rows()
                .nth(at)
                .map_or_else(String::new, |row| row.id.clone());
            let problem = left_out("its training", id.get(), &row, &role);
            out.push(problem.of_input().at(place(finetune.base.span())));
            continue;
        }
        let settings = spec.finetune.get(finetune.settings.get().as_str());
        let longest = settings.and_then(|settings| settings.max_seq_length.as_ref());
        let answers = settings.is_some_and(|settings| settings.train_on == TrainOn::Responses);
        let unlearnt = rows()
            .take(1)
            .filter(|_| answers)
            .find_map(|row| reader.learns_answers(&row.messages).err());
        if let Some(problem) = unlearnt {
            let problem = problem.prefixed(&format!("its training, model `{id}`: "));
            let problem = Problem {
                code: "chat-template".into(),
                ..problem
            };
            out.push(problem.of_input().at(place(finetune.base.span())));
            continue;
        }
        let Some(longest) = longest.filter(|_| answers) else {
            continue;
        };
        // What stands before the first answer; no token stands for less than a byte.
        let cut = rows().find(|row| {
            let asked = row
                .messages
                .iter()
                .take_while(|turn| turn.role != "assistant");
            let asked: Vec<Message> = asked.cloned().collect();
            let tokens = reader
                .render(&prompt(&asked))
                .ok()
                .filter(|text| text.len() >= **longest);
            let tokens = tokens.and_then(|_| reader.tokens(&prompt(&asked), "").ok());
            tokens.is_some_and(|tokens| tokens >= **longest)
        });
        if let Some(row) = cut {
            let message = format!(
                "`max_seq_length: {longest}` cuts row `{}` of the training of `{id}` before its answer begins",
                row.id
            );
            let problem =
                Problem::new("out-of-range", message).help("raise it, or filter long rows");
            out.push(problem.of_input().at(place(longest.span())));
        }
    }
    out
}

/// Why a model cannot read the prompts.
pub(super) enum Found {
    Refused {
        sample: String,
        why: Problem,
    },
    /// The chat template leaves a turn of this role out.
    LeftOut {
        sample: String,
        role: String,
    },
    /// Some are longer than what they are held against.
    Long {
        longest: Measured,
        count: usize,
        of: usize,
    },
}

/// A prompt that is too long.
pub(super) struct Measured {
    sample: String,
    tokens: usize,
    bound: Bound,
}

/// What a prompt is too long for.
pub(super) enum Bound {
    /// It is answered, and the context holds so many tokens.
    Context(usize),
    /// It is scored.
    Scored(usize),
    /// With an answer of so many tokens it goes beyond what the engine computes.
    Reach(Reach, usize),
}

/// How prompts are answered.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// Most tokens of an answer.
    pub(super) answer: usize,
    /// What becomes of a prompt that is too long.
    pub(super) on_long_prompt: LongPrompt,
    /// Tokens that each prompt has beside those that are known.
    pub(super) more: usize,
    /// Turns that the model has to be shown.
    pub(super) turns: Turns,
}

/// The first problem among prompts that are sorted by their length, the longest first.
pub(super) fn first(reader: &dyn PromptReader, how: How, prompts: &[Asked]) -> Option<Found> {
    let longest = prompts.first()?;
    let around = match reader.render(&longest.prompt) {
        Ok(text) => text.len().saturating_sub(longest.bytes()),
        Err(why) => {
            return Some(Found::Refused {
                sample: longest.sample_id.clone(),
                why,
            });
        }
    };
    let given = prompts.iter().map(|asked| &asked.prompt);
    if let Some((at, role)) = first_left_out(reader, given, how.turns) {
        let sample = prompts[at].sample_id.clone();
        return Some(Found::LeftOut { sample, role });
    }
    let limits = reader.limits();
    let beyond = limits
        .reach
        .as_ref()
        .map(|reach| reach.tokens.saturating_sub(how.answer));
    let shortest = limits
        .context
        .min(limits.scored)
        .min(beyond.unwrap_or(usize::MAX));
    let mut found: Option<Measured> = None;
    let mut count = 0;
    for prompt in prompts {
        // No token stands for less than a byte.
        if prompt.bytes() + around + how.more + 64 < shortest {
            break;
        }
        if let Some((tokens, bound)) = too_long(reader, how, prompt) {
            count += 1;
            found.get_or_insert(Measured {
                sample: prompt.sample_id.clone(),
                tokens,
                bound,
            });
        }
    }
    Some(Found::Long {
        longest: found?,
        count,
        of: prompts.len(),
    })
}

/// The tokens of a prompt, and what they are too many for.
fn too_long(reader: &dyn PromptReader, how: How, asked: &Asked) -> Option<(usize, Bound)> {
    let limits = reader.limits();
    if !asked.texts.is_empty() {
        // The last token is scored, not read.
        let counts = asked.texts.iter();
        let counts = counts.filter_map(|text| reader.tokens(&asked.prompt, text).ok());
        let read = counts.max()?.saturating_sub(1);
        return (read > limits.scored).then_some((read, Bound::Scored(limits.scored)));
    }
    let tokens = reader.tokens(&asked.prompt, "").ok()? + how.more;
    let read = match (tokens >= limits.context, how.on_long_prompt) {
        (false, _) => tokens,
        (true, LongPrompt::Error) => return Some((tokens, Bound::Context(limits.context))),
        // The sample fails by itself.
        (true, LongPrompt::Skip) => return None,
        (true, LongPrompt::Truncate) => {
            let room = how.answer.min(limits.context / 2).max(1);
            limits.context - room
        }
    };
    let answer = how.answer.min(limits.context - read);
    let reach = limits.reach.as_ref()?;
    (read + answer > reach.tokens).then(|| (tokens, Bound::Reach(reach.clone(), answer)))
}

/// Tells of a turn that a chat template leaves out.
fn left_out(place: &str, model: &str, sample: &str, role: &str) -> Problem {
    Problem::new(
        "chat-template",
        format!(
            "the chat template of model `{model}` leaves the {role} turn of {place} out (sample `{sample}`): the model would not see it"
        ),
    )
    .help(format!(
        "put what the {role} turn says into another turn, or name a template that shows it with the model's `chat_template: FILE`"
    ))
}

impl Found {
    /// Whether the advice about what is too long fits.
    pub(super) fn is_long(&self) -> bool {
        matches!(self, Self::Long { .. })
    }

    pub(super) fn told(self, place: &str, model: &str) -> Problem {
        let (longest, count, of) = match self {
            Self::Refused { sample, why } => {
                let told = Problem::new(
                    "chat-template",
                    format!(
                        "model `{model}` cannot be asked the prompts of {place} (sample `{sample}`): {}",
                        why.message
                    ),
                );
                let help = why.help.unwrap_or_else(|| {
                    "write turns that the template takes, or name another with the model's `chat_template: FILE`".to_owned()
                });
                return told.help(help);
            }
            Self::LeftOut { sample, role } => return left_out(place, model, &sample, &role),
            Self::Long { longest, count, of } => (longest, count, of),
        };
        let Measured {
            sample,
            tokens,
            bound,
        } = longest;
        let (holds, help) = match bound {
            Bound::Context(context) => (
                format!("the model's context holds {context}"),
                "shorten the prompt, leave such rows out with the dataset's `filter`, or set `generate: {on_long_prompt: skip}` (such \
                 samples fail) or `truncate` (their beginning is cut)",
            ),
            Bound::Scored(context) => (
                format!("the model's context holds {context}"),
                "shorten the text, or leave such rows out with the dataset's `filter`; given text is never cut",
            ),
            Bound::Reach(Reach { key, .. }, answer) => (
                format!(
                    "with an answer of up to {answer} they go beyond `{key}`, where the engine does not compute the model as its \
                     configuration says"
                ),
                "shorten prompts or `max_tokens`, or serve the model with another engine and use an `endpoint` source",
            ),
        };
        Problem::new(
            "prompt-too-long",
            format!(
                "in {place}, {count} of {of} prompts are too long for model `{model}`: sample `{sample}` has {tokens} tokens, and {holds}"
            ),
        )
        .help(help)
    }
}
