//! Inference nodes: which of them share a load, and what becomes of them.

use std::sync::Arc;

use driftgauge_engine::worker::{Ask, Job};
use driftgauge_engine::{Continuation, LoadModel, LoadPair, LocalEngine, Prompt, Rounding};
use driftgauge_problem::Problem;
use driftgauge_record::Message;
use driftgauge_store::{Claimed, Digest};

use super::session::{self, Answers, SessionModel, Task};
use super::size::folder_size;
use super::slots::Share;
use super::unchanged::check_files;
use super::{machines, proofs};
use crate::context::{Context, Finished};
use crate::nodes;
use crate::nodes::artifacts::keep;
use crate::nodes::inference::Failure;
use crate::nodes::models::{load_model, model_folder};
use crate::plan::{Kind, Part};
use crate::resolved::ModelSource;

/// Whether an inference node needs no model process: recorded completions, and judges that only look for strings.
pub(super) fn is_light(context: &Context, node: usize) -> bool {
    match &context.plan.nodes[node].part {
        Part::Completions { model, .. } => {
            matches!(
                context.experiment.models[model].source,
                ModelSource::Recorded(_)
            )
        }
        Part::Verdicts {
            evaluation, judge, ..
        } => context.experiment.evaluations[evaluation].judges[judge]
            .model
            .is_none(),
        _ => false,
    }
}

/// What a model is loaded for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    Generate,
    Score,
    /// To be held against the model of that id.
    Diverge(String),
}

/// The model that a node asks, and for what.
fn asked(context: &Context, node: usize) -> Option<(String, Purpose)> {
    let planned = &context.plan.nodes[node];
    match &planned.part {
        Part::Completions { model, .. } if planned.kind == Kind::Score => {
            Some((model.clone(), Purpose::Score))
        }
        Part::Completions { model, .. } => Some((model.clone(), Purpose::Generate)),
        Part::Divergence {
            evaluation, model, ..
        } => {
            let kl = context.experiment.evaluations[evaluation].kl.as_ref()?;
            Some((model.clone(), Purpose::Diverge(kl.reference.clone())))
        }
        Part::Verdicts {
            evaluation, judge, ..
        } => {
            let judge = &context.experiment.evaluations[evaluation].judges[judge];
            Some((judge.model.clone()?, Purpose::Generate))
        }
        _ => None,
    }
}

/// The model that a node loads or makes, where it does.
pub(super) fn model_of(context: &Context, node: usize) -> Option<String> {
    match &context.plan.nodes[node].part {
        Part::Model(model) => Some(model.clone()),
        _ => Some(asked(context, node)?.0),
    }
}

/// The models that an inference node loads.
pub(super) fn loads_of(context: &Context, node: usize) -> Vec<String> {
    let Some((model, purpose)) = asked(context, node) else {
        return Vec::new();
    };
    let mut loads = vec![model];
    if let Purpose::Diverge(reference) = purpose {
        loads.push(reference);
    }
    loads
}

/// Whether a node asks a server.
pub(super) fn is_remote(context: &Context, node: usize) -> bool {
    let model = asked(context, node).map(|(model, _)| model);
    let source = model.and_then(|model| context.experiment.models.get(&model));
    source.is_some_and(|model| matches!(model.source, ModelSource::Endpoint(_)))
}

/// The ready nodes that `first` shares a model load with.
pub(super) fn group(context: &Context, first: usize, ready: &[usize]) -> Vec<usize> {
    let kind = context.plan.nodes[first].kind;
    if !matches!(kind, Kind::Generate | Kind::Score | Kind::Judge) {
        return vec![first];
    }
    let wanted = asked(context, first);
    ready
        .iter()
        .copied()
        .filter(|&node| {
            matches!(
                context.plan.nodes[node].kind,
                Kind::Generate | Kind::Score | Kind::Judge
            ) && asked(context, node) == wanted
        })
        .collect()
}

/// Runs a group of inference nodes on one model.
pub(super) async fn run(context: &Arc<Context>, nodes: &[usize], share: Share) -> Finished {
    let mut finished = Vec::new();
    let mut tasks = Vec::new();
    let mut carried = Vec::new();
    for &node in nodes {
        match task(context, node) {
            Ok(task) => {
                tasks.push(task);
                carried.push(node);
            }
            Err(error) => finished.push((node, Err(error))),
        }
    }
    let Some((model, purpose)) = carried.first().and_then(|&node| asked(context, node)) else {
        return finished;
    };
    let mut loads = vec![model.clone()];
    if let Purpose::Diverge(reference) = &purpose {
        loads.push(reference.clone());
    }
    let unchanged = || {
        loads
            .iter()
            .try_for_each(|model| check_files(context, model))
    };
    let plain_text = tasks.iter().flat_map(Task::asks).all(is_plain_text);
    let longest = tasks
        .iter()
        .flat_map(Task::asks)
        .filter_map(most_tokens)
        .max();
    let job = match unchanged().and_then(|()| job(context, &model, purpose, (plain_text, longest)))
    {
        Ok(job) => job,
        Err(error) => {
            finished.extend(carried.into_iter().map(|node| (node, Err(error.clone()))));
            return finished;
        }
    };
    // A server is asked by one process, which alone can keep to the rate of the spec.
    let remote = matches!(job, Job::Endpoint(_));
    let mut job = job;
    let proof = proofs::known(context, &loads, &mut job);
    let session = SessionModel {
        bytes: memory_of(context, &loads, &job),
        batched: is_batched(context, &job),
        job,
        divisible: !remote,
        share,
    };
    for task in &tasks {
        machines::mark(context, &task.key);
    }
    let tasks = Arc::new(tasks);
    let mut outcome = session::run(context, session, &tasks).await;
    for (&node, &spent) in carried.iter().zip(&outcome.spent) {
        context.spend(node, spent);
    }
    if let Err(error) = unchanged() {
        // Answers may be of either model, so none of them is kept.
        for key in carried
            .iter()
            .filter_map(|&node| context.plan.nodes[node].key.as_ref())
        {
            discard(context, key);
        }
        finished.extend(carried.into_iter().map(|node| (node, Err(error.clone()))));
        return finished;
    }
    if let Some(loaded) = &mut outcome.loaded {
        proofs::remember(context, proof.as_ref(), loaded);
    }
    for &node in &carried {
        if let (Some(key), Some(loaded)) = (&context.plan.nodes[node].key, &outcome.loaded) {
            let fact = serde_json::json!({
                "model": model, "loaded": loaded, "speed": outcome.speed,
                "machines": machines::of(context, key),
            });
            context.store.remember(key, &fact);
        }
    }
    for (task, (node, answers)) in carried.into_iter().zip(outcome.answers).enumerate() {
        let answers = match answers {
            // Whoever makes the last part puts them together.
            Ok(None) => {
                finished.push((node, Ok(())));
                continue;
            }
            Ok(Some(answers)) => Ok(answers),
            Err(error) => Err(error),
        };
        let result = match answers {
            Ok(answers) if remote && all_failed(&answers) => {
                Err(nothing_came(context, node, &answers))
            }
            Ok(answers) => {
                let (context, tasks) = (Arc::clone(context), Arc::clone(&tasks));
                tokio::task::spawn_blocking(move || commit(&context, node, &tasks[task], answers))
                    .await
                    .unwrap_or_else(|error| Err(format!("internal error: {error}").into()))
            }
            Err(error) => Err(error),
        };
        finished.push((node, result));
    }
    finished
}

/// A node's share of a session.
fn task(context: &Context, node: usize) -> Result<Task, Problem> {
    let planned = &context.plan.nodes[node];
    let key = planned.key.clone().ok_or("its source is not pinned")?;
    let work = nodes::inference(context, node)?;
    Ok(Task::new(planned.id.clone(), key, work))
}

/// What a worker is started for.
fn job(
    context: &Context,
    model: &str,
    purpose: Purpose,
    (plain_text, longest): (bool, Option<usize>),
) -> Result<Job, Problem> {
    if let ModelSource::Endpoint(endpoint) = &context.experiment.models[model].source {
        return Ok(Job::Endpoint(endpoint.clone()));
    }
    let load = LoadModel {
        plain_text,
        longest,
        ..load_model(context, model)?
    };
    Ok(match purpose {
        Purpose::Generate => Job::Generate(load),
        Purpose::Score => Job::Score(load),
        Purpose::Diverge(reference) => Job::Diverge(LoadPair {
            reference: load_model(context, &reference)?,
            model: load,
        }),
    })
}

fn is_plain_text(ask: Ask) -> bool {
    matches!(ask, Ask::Generate(request) if request.text.is_some())
}

/// How many tokens a prompt and its answer can have: a token has a byte at least, and a template adds some to each turn.
fn most_tokens(ask: Ask) -> Option<usize> {
    match ask {
        Ask::Generate(request) => Some(
            match &request.text {
                Some(text) => text.len(),
                None => of_turns(&request.messages),
            } + request.max_tokens,
        ),
        Ask::Score(request) => {
            let texts = request.continuations.iter();
            Some(of_prompt(&request.prompt) + texts.map(of_continuation).max()?)
        }
        Ask::Diverge(request) => {
            Some(of_prompt(&request.prompt) + of_continuation(&request.continuation))
        }
    }
}

fn of_turns(turns: &[Message]) -> usize {
    const OF_A_TURN: usize = 32;
    let turns = turns.iter();
    turns.map(|turn| turn.content.len() + OF_A_TURN).sum()
}

fn of_prompt(prompt: &Prompt) -> usize {
    let turns = prompt.messages.as_deref().map_or(0, of_turns);
    let tokens = prompt.tokens.as_ref().map_or(0, Vec::len);
    turns + prompt.text.len() + tokens
}

fn of_continuation(continuation: &Continuation) -> usize {
    match continuation {
        Continuation::Text(text) => text.len(),
        Continuation::Tokens(tokens) => tokens.len(),
    }
}

/// Whether one process works on many prompts from one reading of the weights.
fn is_batched(context: &Context, job: &Job) -> bool {
    match job {
        Job::Generate(load) => load.engine == LocalEngine::Native,
        Job::Score(_) | Job::Diverge(_) => context.engine.device == "cpu",
        _ => false,
    }
}

/// A generous guess of the memory that one process with the models takes: weights stored in 16 bits are computed in 32, and what
/// is to be proven is loaded twice.
fn memory_of(context: &Context, models: &[String], job: &Job) -> u64 {
    const BESIDES: u64 = 256 << 20;
    let weights: u64 = models
        .iter()
        .filter_map(|model| in_memory(context, model))
        .sum();
    let proven = match job {
        Job::Generate(load) | Job::Score(load) => load.proof.is_some(),
        Job::Diverge(pair) => pair.model.proof.is_some() && pair.reference.proof.is_some(),
        _ => true,
    };
    match is_batched(context, job) {
        true => (2 - u64::from(proven)) * weights + LocalEngine::NATIVE_CACHE + BESIDES,
        false => weights + BESIDES,
    }
}

/// Bytes of a model in memory, at most; blocks stay blocks.
fn in_memory(context: &Context, model: &str) -> Option<u64> {
    let folder = model_folder(context, model)?;
    let resolved = context.experiment.models.get(model)?;
    match &resolved.source {
        ModelSource::Folder {
            gguf: Some(file), ..
        } => Some(std::fs::metadata(folder.join(file)).ok()?.len()),
        _ => match resolved.rounding() {
            Rounding::None => Some(2 * folder_size(&folder)),
            rounding => {
                Some(rounding.bytes_of(&driftgauge_folder::inspect(&folder).ok()?.shapes()))
            }
        },
    }
}

/// Forgets the answers that were given so far.
fn discard(context: &Context, key: &Digest) {
    // What cannot be removed is asked again all the same when it is an unanswered request.
    let _ = std::fs::remove_dir_all(context.store.partial_dir(key));
}

/// Whether something was asked, and nothing answered.
fn all_failed(answers: &Answers) -> bool {
    let mut asked = answers.answers.iter().flatten().peekable();
    asked.peek().is_some() && asked.all(Result::is_err)
}

/// A server that answered not one request is a failure of the node, not of its samples; so nothing of it is kept.
fn nothing_came(context: &Context, node: usize, answers: &Answers) -> Problem {
    if let Some(key) = &context.plan.nodes[node].key {
        discard(context, key);
    }
    let count = answers.answers.iter().flatten().count();
    let server =
        match asked(context, node).map(|(model, _)| &context.experiment.models[&model].source) {
            Some(ModelSource::Endpoint(endpoint)) => format!("{}: ", endpoint.base_url),
            _ => String::new(),
        };
    let answered = format!("{server}not one of {count} requests was answered; the first: ");
    match first_error(answers) {
        Some(first) => first.clone().prefixed(&answered),
        None => answered.into(),
    }
}

fn first_error(answers: &Answers) -> Option<&Problem> {
    let mut errors = answers.answers.iter().flatten();
    errors.find_map(|answer| answer.as_ref().err())
}

/// Makes the artifact of an inference node from its answers.
fn commit(context: &Context, node: usize, task: &Task, answers: Answers) -> Result<(), Problem> {
    let planned = &context.plan.nodes[node];
    // A shard has claimed its part alone.
    let _claim = match context.shard {
        None => None,
        Some(_) => match context.writer.claim(&task.key)? {
            Claimed::Mine(_) if context.store.is_finished(&task.key) => {
                // It was put together meanwhile: what a late one wrote is of no use.
                discard(context, &task.key);
                return Ok(());
            }
            Claimed::Mine(claim) => Some(claim),
            Claimed::Theirs(_) => return Ok(()),
        },
    };
    machines::complete(context, &task.key);
    let unanswered = answers.unanswered;
    if unanswered > 0 {
        let note = format!(
            "{unanswered} of {} requests got no answer; the next run asks again; the first: {}",
            answers.answers.iter().flatten().count(),
            first_error(&answers)
                .map(ToString::to_string)
                .unwrap_or_default()
        );
        context.note(&planned.id, note);
    }
    let scratch = context.store.scratch(&task.key)?;
    for note in task.work.notes(&answers.answers) {
        context.note(&context.plan.nodes[node].id, note);
    }
    let failures = task.work.write(answers.answers, &scratch)?;
    if unanswered == 0 {
        note_failures(context, node, &failures);
    }
    keep(context, node, &scratch, unanswered)
}

/// Says which samples came to nothing, and why the first did.
fn note_failures(context: &Context, node: usize, failures: &[Failure]) {
    let [first, others @ ..] = failures else {
        return;
    };
    let more = match others.len() {
        0 => String::new(),
        others => format!(" ({others} more failed)"),
    };
    let text = format!("sample `{}`: {}{more}", first.sample_id, first.error);
    context.note(&context.plan.nodes[node].id, text);
}
