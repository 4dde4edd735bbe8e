//! What the parent process and a worker process say to each other.
//!
//! A worker is the same binary, started as `driftgauge worker`. The parent writes one JSON [`Job`] line to its standard
//! input, then, for inference jobs, one [`Request`] line per prompt; closing the input ends the worker. The worker
//! answers with [`Reply`] lines on standard output, each behind [`MARK`], since libraries print there too.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::mpsc;

use driftgauge_problem::Problem;
use driftgauge_record::{Completion, TrainingStep};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::training::{DecoderShape, TrainingSettings};
use crate::{
    BatchGenerator, DivergenceMeter, DivergenceRequest, DivergenceResponse, Endpoint, EngineError,
    GenerateRequest, Generator, LoadModel, LoadPair, Loaded, Probes, ScoreRequest, ScoreResponse,
    TextScorer,
};

/// Begins every reply line.
pub const MARK: &str = "@driftgauge ";

/// What a worker is started for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Load a model and generate.
    Generate(LoadModel),
    /// Load a model and score given text.
    Score(LoadModel),
    /// Ask a server. The key is not among it: the worker reads it from the environment.
    Endpoint(Endpoint),
    /// Load a model in mistral.rs and answer probes.
    Testify(Box<TestifyJob>),
    /// Load two models and compare their distributions.
    Diverge(LoadPair),
    /// Train.
    Train(Box<TrainJob>),
    /// Merge an adapter into its base.
    Merge(MergeJob),
}

/// A training, from scratch or of a base model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainJob {
    /// Folder of the base model; `None` to train from scratch.
    pub base: Option<PathBuf>,
    /// Adapter to start from.
    pub init_adapter: Option<PathBuf>,
    /// Chat template file: that of a model trained from scratch, or instead of the base's own.
    pub chat_template: Option<PathBuf>,
    /// Shape of a model trained from scratch.
    pub architecture: Option<DecoderShape>,
    /// What decides the result.
    pub settings: TrainingSettings,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// A checkpoint every so many steps.
    pub save_steps: Option<u64>,
    /// Steps after which the model is kept as it is then.
    #[serde(default)]
    pub keep: Vec<u64>,
    /// Steps after which the training ends, before its time.
    #[serde(default)]
    pub stop_at: Option<u64>,
    /// JSON Lines of `{"id", "messages"}`.
    pub examples: PathBuf,
    /// The same of held-out examples; empty when there are none.
    pub eval_examples: PathBuf,
    /// Where checkpoints live between runs, and the finished model or adapter goes.
    pub out: PathBuf,
    /// File that the worker holds locked while it writes: a worker whose parent was killed may outlive it by a moment.
    pub lock: PathBuf,
}

impl TrainJob {
    /// Folder inside of `out` in which the model of a step is kept.
    #[must_use]
    pub fn kept(step: u64) -> String {
        format!("kept-{step:08}")
    }
}

/// What a parent writes to a training's worker so that it saves what was done, and ends.
pub const STOP: &str = "stop";

/// What mistral.rs says of probes, for another engine to be held against.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestifyJob {
    /// The model.
    pub model: LoadModel,
    /// What it is asked.
    pub probes: Probes,
}

/// A merge of an adapter into a plain model folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergeJob {
    /// Folder of the base model.
    pub base: PathBuf,
    /// Folder of what was trained: an adapter, or a whole model.
    pub adapter: PathBuf,
    /// Whether it is a whole model, every weight of which was trained: it is taken as it is.
    pub whole: bool,
    /// Where the merged folder goes.
    pub out: PathBuf,
    /// As for a training.
    pub lock: PathBuf,
}

/// One item of work for an inference worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Returned with the answer.
    pub id: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What an inference worker can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A completion.
    Generate(GenerateRequest),
    /// Log-likelihoods.
    Score(ScoreRequest),
    /// Divergences.
    Diverge(DivergenceRequest),
}

/// What one item came to: the answer of the engine, or why there is none. A journal keeps it as it came.
pub type Answer = Result<Answered, Problem>;

/// The answer to an [`Ask`], each kind to its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// A completion.
    Completion(Box<Completion>),
    /// Log-likelihoods.
    Scores(ScoreResponse),
    /// Divergences.
    Divergences(DivergenceResponse),
}

impl Answered {
    /// The completion.
    ///
    /// # Errors
    /// When it is an answer to another kind of question.
    pub fn completion(self) -> Result<Completion, Problem> {
        match self {
            Self::Completion(completion) => Ok(*completion),
            other => Err(other.is_no("completion")),
        }
    }

    /// The log-likelihoods.
    ///
    /// # Errors
    /// When it is an answer to another kind of question.
    pub fn scores(self) -> Result<ScoreResponse, Problem> {
        match self {
            Self::Scores(response) => Ok(response),
            other => Err(other.is_no("list of log-likelihoods")),
        }
    }

    /// The divergences.
    ///
    /// # Errors
    /// When it is an answer to another kind of question.
    pub fn divergences(self) -> Result<DivergenceResponse, Problem> {
        match self {
            Self::Divergences(response) => Ok(response),
            other => Err(other.is_no("list of divergences")),
        }
    }

    fn is_no(&self, wanted: &str) -> Problem {
        let found = match self {
            Self::Completion(_) => "a completion",
            Self::Scores(_) => "log-likelihoods",
            Self::Divergences(_) => "divergences",
        };
        Problem::failed(format!(
            "the engine answered with {found}, which is no {wanted}"
        ))
    }
}

/// What a worker says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The model is loaded and passed its self-check. Said again when more is known of it.
    Ready(Loaded),
    /// What was asked for.
    Answered {
        /// Id of the request.
        id: u64,
        /// The answer.
        answer: Answered,
    },
    /// One request failed; others go on.
    Failed {
        /// Id of the request.
        id: u64,
        /// Why.
        error: Problem,
        /// Whether another run may get an answer; the item is then not finished, and asked again.
        #[serde(default)]
        unanswered: bool,
    },
    /// One optimiser step is done, of so many.
    Step {
        /// The step.
        step: TrainingStep,
        /// Steps in all.
        total: u64,
        /// Tokens per second, prompts included.
        tokens_per_second: f64,
    },
    /// Something worth the log.
    Note(String),
    /// The job is finished; the summary goes to provenance.
    Done(Value),
    /// The job failed.
    Fatal(Problem),
}

/// Sends replies to the parent.
pub struct Replies<W: Write>(W);

impl<W: Write> Replies<W> {
    /// Replies go to `sink`.
    pub fn new(sink: W) -> Self {
        Self(sink)
    }

    /// Sends one reply.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn send(&mut self, reply: &Reply) -> io::Result<()> {
        let text = serde_json::to_string(reply)?;
        // The leading line break ends whatever a library printed without one.
        self.0.write_all(format!("\n{MARK}{text}\n").as_bytes())?;
        self.0.flush()
    }
}

/// The requests of the parent, read on a thread of their own so that the next one is there when the engine is free.
pub struct Requests(mpsc::Receiver<Request>);

impl Requests {
    /// Reads requests from `source` until it ends.
    pub fn from(source: impl BufRead + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in source.lines() {
                let Ok(line) = line else { return };
                if line.trim().is_empty() {
                    continue;
                }
                let Ok(request) = serde_json::from_str(&line) else {
                    return;
                };
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// Waits for a request; `None` when the parent is done.
    #[must_use]
    pub fn wait(&self) -> Option<Request> {
        self.0.recv().ok()
    }

    /// Waits for a request and takes up to `limit` of those already there; `None` when the parent is done.
    fn take(&self, limit: usize) -> Option<Vec<Request>> {
        let mut requests = vec![self.0.recv().ok()?];
        requests.extend(self.take_more(limit.saturating_sub(1)));
        Some(requests)
    }

    /// Up to `limit` requests, as many as are there.
    fn take_more(&self, limit: usize) -> Vec<Request> {
        std::iter::from_fn(|| self.0.try_recv().ok())
            .take(limit)
            .collect()
    }
}

/// Answers generation requests until the parent closes the input.
///
/// # Errors
/// When the parent is gone.
pub fn serve_generation<W: Write>(
    engine: &mut impl Generator,
    requests: &Requests,
    replies: &mut Replies<W>,
) -> io::Result<()> {
    replies.send(&Reply::Ready(engine.loaded().clone()))?;
    let limit = engine.loaded().max_in_flight.max(1);
    while let Some(batch) = requests.take(limit) {
        let mut ids = Vec::new();
        let mut asked = Vec::new();
        for request in batch {
            match request.ask {
                Ask::Generate(ask) => {
                    ids.push(request.id);
                    asked.push(ask);
                }
                Ask::Score(_) | Ask::Diverge(_) => replies.send(&wrong_kind(request.id))?,
            }
        }
        for (id, outcome) in ids.into_iter().zip(engine.generate(&asked)) {
            replies.send(&completed(id, outcome))?;
        }
    }
    replies.send(&Reply::Done(Value::Null))
}

/// Answers generation requests side by side, until the parent closes the input: one that comes meanwhile is taken at once.
///
/// # Errors
/// When the parent is gone.
pub fn serve_batches<W: Write>(
    engine: &mut impl BatchGenerator,
    requests: &Requests,
    replies: &mut Replies<W>,
) -> io::Result<()> {
    replies.send(&Reply::Ready(engine.loaded().clone()))?;
    let limit = engine.loaded().max_in_flight.max(1);
    loop {
        let taken = match engine.pending() {
            0 => match requests.take(limit) {
                Some(taken) => taken,
                None => break,
            },
            pending => requests.take_more(limit.saturating_sub(pending)),
        };
        for Request { id, ask } in taken {
            match ask {
                Ask::Generate(ask) => engine.put(id, &ask),
                Ask::Score(_) | Ask::Diverge(_) => replies.send(&wrong_kind(id))?,
            }
        }
        for (id, outcome) in engine.advance() {
            replies.send(&completed(id, outcome))?;
        }
    }
    replies.send(&Reply::Done(Value::Null))
}

fn completed(id: u64, outcome: Result<Completion, EngineError>) -> Reply {
    match outcome {
        Ok(completion) => answered(id, Answered::Completion(Box::new(completion))),
        Err(EngineError::Request(error)) => failed(id, error),
        Err(EngineError::Model(error)) => Reply::Fatal(error),
    }
}

/// Answers scoring requests until the parent closes the input.
///
/// # Errors
/// When the parent is gone.
pub fn serve_scoring<W: Write>(
    scorer: &mut impl TextScorer,
    requests: &Requests,
    replies: &mut Replies<W>,
) -> io::Result<()> {
    let loaded = scorer.loaded().clone();
    let of = |ask| match ask {
        Ask::Score(ask) => Some(ask),
        _ => None,
    };
    serve_some(loaded, requests, replies, of, |asked| {
        let scored = scorer.score(asked).into_iter();
        scored
            .map(|response| response.map(Answered::Scores))
            .collect()
    })
}

/// Answers divergence requests until the parent closes the input.
///
/// # Errors
/// When the parent is gone.
pub fn serve_divergence<W: Write>(
    meter: &mut impl DivergenceMeter,
    requests: &Requests,
    replies: &mut Replies<W>,
) -> io::Result<()> {
    let loaded = meter.loaded().clone();
    let of = |ask| match ask {
        Ask::Diverge(ask) => Some(ask),
        _ => None,
    };
    serve_some(loaded, requests, replies, of, |asked| {
        let compared = meter.compare(asked).into_iter();
        compared
            .map(|response| response.map(Answered::Divergences))
            .collect()
    })
}

/// Answers as many requests at a time as the engine takes and as are there.
fn serve_some<W: Write, A>(
    loaded: Loaded,
    requests: &Requests,
    replies: &mut Replies<W>,
    of: impl Fn(Ask) -> Option<A>,
    mut answer: impl FnMut(&[A]) -> Vec<Result<Answered, EngineError>>,
) -> io::Result<()> {
    let limit = loaded.max_in_flight.max(1);
    replies.send(&Reply::Ready(loaded))?;
    while let Some(batch) = requests.take(limit) {
        let (mut ids, mut asked) = (Vec::new(), Vec::new());
        for Request { id, ask } in batch {
            match of(ask) {
                Some(ask) => {
                    ids.push(id);
                    asked.push(ask);
                }
                None => replies.send(&wrong_kind(id))?,
            }
        }
        for (id, outcome) in ids.into_iter().zip(answer(&asked)) {
            replies.send(&match outcome {
                Ok(said) => answered(id, said),
                Err(error) => failed(id, error.problem()),
            })?;
        }
    }
    replies.send(&Reply::Done(Value::Null))
}

fn answered(id: u64, answer: Answered) -> Reply {
    Reply::Answered { id, answer }
}

fn wrong_kind(id: u64) -> Reply {
    failed(
        id,
        Problem::failed("this worker was started for another kind of request"),
    )
}

/// A request that would fail again in the same way.
fn failed(id: u64, error: Problem) -> Reply {
    Reply::Failed {
        id,
        error,
        unanswered: false,
    }
}
