//! The worker process of an endpoint: requests in, answers out as they come, several at a time.

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::sync::{Arc, mpsc};

use driftgauge_engine::Endpoint;
use driftgauge_engine::worker::{Answered, Ask, Replies, Reply, Requests};
use driftgauge_engine::{Check, CheckOutcome, Loaded};
use driftgauge_problem::Problem;

use crate::EndpointError;
use crate::client::Client;
use crate::draws::{Draw, Draws};
use crate::logprobs::Unfit;
use crate::protocol::{Answer, Served};
use crate::retry::Failure;

/// After so many requests in a row without an answer, each with all its retries, the server counts as gone.
const GIVE_UP: usize = 10;

/// What the threads of the worker tell the one that speaks to the parent.
enum News {
    /// A request is through.
    Answered(u64, Option<Draw>, Result<Box<Answer>, Failure>),
    /// The parent closed the input.
    End,
}

/// Answers generation requests until the parent closes the input, at most `concurrency` at a time.
///
/// # Errors
/// When the key is missing, or the parent is gone.
pub fn serve<W: Write>(
    endpoint: &Endpoint,
    requests: Requests,
    replies: &mut Replies<W>,
) -> Result<(), EndpointError> {
    let client = Arc::new(Client::new(endpoint.clone())?);
    let mut served = Seen::default();
    let mut loaded = served.loaded(endpoint, &client);
    replies.send(&Reply::Ready(loaded.clone()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (news, heard) = mpsc::channel();
    listen(runtime.handle().clone(), endpoint, &client, requests, news);
    let mut lost_in_a_row = 0;
    while let Ok(News::Answered(id, draw, outcome)) = heard.recv() {
        lost_in_a_row = match &outcome {
            Err(Failure::Unanswered(_)) => lost_in_a_row + 1,
            _ => 0,
        };
        match outcome {
            Ok(answer) => {
                served.lists(answer.listed);
                served.unfit.extend(answer.unfit);
                if let Some(draw) = draw {
                    served.draws.add(draw, &answer.completion.text);
                }
                served.add(answer.served);
                let learned = served.loaded(endpoint, &client);
                if learned != loaded {
                    loaded = learned;
                    replies.send(&Reply::Ready(loaded.clone()))?;
                }
                replies.send(&Reply::Answered {
                    id,
                    answer: Answered::Completion(Box::new(answer.completion)),
                })?;
            }
            Err(Failure::Unusable(error)) => {
                replies.send(&Reply::Fatal(
                    format!("{}: {error}", endpoint.base_url).into(),
                ))?;
                break;
            }
            Err(failure) => {
                replies.send(&Reply::Failed {
                    id,
                    error: failure.problem().clone(),
                    unanswered: matches!(failure, Failure::Unanswered(_)),
                })?;
                if lost_in_a_row == GIVE_UP {
                    let message = format!(
                        "{}: {GIVE_UP} requests in a row got no answer; the last one: {}",
                        endpoint.base_url,
                        failure.problem().message
                    );
                    let problem = Problem::new("no-answers", message)
                        .help("what was answered is kept; run again when the server works");
                    replies.send(&Reply::Fatal(problem))?;
                    break;
                }
            }
        }
    }
    replies.send(&Reply::Done(serde_json::Value::Null))?;
    // Requests that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    Ok(())
}

/// Reads requests on a thread of its own and starts each as soon as there is room.
fn listen(
    runtime: tokio::runtime::Handle,
    endpoint: &Endpoint,
    client: &Arc<Client>,
    requests: Requests,
    news: mpsc::Sender<News>,
) {
    let room = Arc::new(tokio::sync::Semaphore::new(endpoint.concurrency.max(1)));
    let client = Arc::clone(client);
    std::thread::spawn(move || {
        while let Some(request) = requests.wait() {
            let Ok(place) = runtime.block_on(Arc::clone(&room).acquire_owned()) else {
                break;
            };
            let (client, news) = (Arc::clone(&client), news.clone());
            let draw = match &request.ask {
                Ask::Generate(ask) => Draw::of(ask),
                _ => None,
            };
            runtime.spawn(async move {
                let outcome = match request.ask {
                    Ask::Generate(ask) => client.complete(&ask, request.id).await,
                    Ask::Score(_) | Ask::Diverge(_) => Err(no_scores()),
                };
                // A closed channel means that the worker is ending.
                let _ = news.send(News::Answered(request.id, draw, outcome));
                drop(place);
            });
        }
        let _ = news.send(News::End);
    });
}

fn no_scores() -> Failure {
    Failure::Unusable("a server cannot score given text".into())
}

/// The models and configurations that the server says answered.
#[derive(Default)]
struct Seen {
    known: HashSet<Served>,
    in_order: Vec<Served>,
    /// How many of the most likely tokens the answers so far list at least; `Some(None)` where one has no log-probabilities.
    fewest: Option<Option<usize>>,
    /// Why log-probabilities of answers were left out.
    unfit: BTreeSet<Unfit>,
    draws: Draws,
}

impl Seen {
    /// Remembers one; a server that gives every answer another name is not listed without end.
    fn add(&mut self, served: Served) {
        const LISTED: usize = 8;
        if served != Served::default()
            && self.in_order.len() < LISTED
            && self.known.insert(served.clone())
        {
            self.in_order.push(served);
        }
    }

    fn lists(&mut self, listed: Option<usize>) {
        // None is less than any number.
        self.fewest = Some(self.fewest.map_or(listed, |fewest| fewest.min(listed)));
    }

    /// What provenance says of the model.
    fn loaded(&self, endpoint: &Endpoint, client: &Client) -> Loaded {
        let mut detail = format!(
            "the weights behind {} cannot be pinned: the server decides what `{}` means, and may change it",
            endpoint.base_url, endpoint.model
        );
        let names: Vec<String> = self
            .in_order
            .iter()
            .map(|served| {
                let model = served.model.as_deref().unwrap_or("a model without a name");
                match &served.fingerprint {
                    Some(fingerprint) => format!("{model} (fingerprint {fingerprint})"),
                    None => model.to_owned(),
                }
            })
            .collect();
        if !names.is_empty() {
            detail.push_str("; it says that its answers came from ");
            detail.push_str(&names.join(", "));
        }
        let mut checks = vec![Check {
            name: "weights-pinned".to_owned(),
            outcome: CheckOutcome::Skipped,
            detail,
        }];
        let lacking = client.logprobs_lacking(self.fewest);
        let unfit = self.unfit.iter().map(|unfit| unfit.told());
        let told: Vec<&str> = lacking.into_iter().chain(unfit).collect();
        if endpoint.logprobs && !told.is_empty() {
            checks.push(Check {
                name: "logprobs".to_owned(),
                outcome: CheckOutcome::Avoided,
                detail: told.join("; "),
            });
        }
        if self.draws.lacking() {
            checks.push(Check {
                name: "draws".to_owned(),
                outcome: CheckOutcome::Unproven,
                detail: "the server gave one answer to every seed: at the temperature that it was asked for it does not draw, so several \
                         samples of a prompt are one"
                    .to_owned(),
            });
        }
        Loaded {
            engine: format!("{} at {}", endpoint.model, endpoint.base_url),
            device: "remote".to_owned(),
            dtype: "unknown".to_owned(),
            max_in_flight: endpoint.concurrency.max(1),
            checks,
            proof: None,
        }
    }
}
