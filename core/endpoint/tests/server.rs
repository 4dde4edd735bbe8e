//! The worker of an endpoint against a real server in a process of its own.

use driftgauge_endpoint::serve;
use driftgauge_engine::Endpoint;
use driftgauge_engine::worker::{Ask, MARK, Replies, Reply, Request, Requests};
use driftgauge_engine::{GenerateRequest, LongPrompt, Sampling};
use driftgauge_record::{Completion, FinishReason, Message};
use driftgauge_tests::server::Server;
use serde_json::{Value, json};

#[test]
fn stand_in_server() {
    driftgauge_tests::server::serve_or_check();
}

fn endpoint(server: &Server) -> Endpoint {
    Endpoint {
        base_url: format!("{}/v1", server.url()),
        model: "subject".to_owned(),
        api_key_env: None,
        concurrency: 2,
        requests_per_minute: None,
        timeout_seconds: 20,
        retries: 2,
        logprobs: true,
    }
}

fn chat(question: &str) -> GenerateRequest {
    GenerateRequest {
        messages: vec![Message {
            role: "user".to_owned(),
            content: question.to_owned(),
        }],
        text: None,
        max_tokens: 16,
        sampling: Sampling::greedy(),
        stop: Vec::new(),
        watch_first_token: Vec::new(),
        top_logprobs: 0,
        on_long_prompt: LongPrompt::Error,
        strip_thinking: false,
        prefill_tokens: None,
    }
}

/// What the worker says to these requests, ids in their order.
fn replies(endpoint: &Endpoint, asks: Vec<GenerateRequest>) -> Vec<Reply> {
    let lines: Vec<String> = asks
        .into_iter()
        .zip(0..)
        .map(|(ask, id)| {
            let ask = Ask::Generate(ask);
            serde_json::to_string(&Request { id, ask }).expect("JSON")
        })
        .collect();
    // The parent closes the input only when everything is answered, so the input stays open behind the requests.
    let (asked, expected) = (lines.join("\n") + "\n", lines.len());
    let (sink, said) = Said::new(expected);
    let input = std::io::BufReader::new(OpenInput::new(asked, said));
    let mut out = sink;
    serve(endpoint, Requests::from(input), &mut Replies::new(&mut out)).expect("it serves");
    out.replies()
}

/// Standard output of the worker, which closes its input once so many requests are answered.
struct Said {
    text: Vec<u8>,
    expected: usize,
    done: Option<std::sync::mpsc::Sender<()>>,
}

impl Said {
    fn new(expected: usize) -> (Self, std::sync::mpsc::Receiver<()>) {
        let (done, wait) = std::sync::mpsc::channel();
        let said = Self {
            text: Vec::new(),
            expected,
            done: Some(done),
        };
        (said, wait)
    }

    fn replies(&self) -> Vec<Reply> {
        std::str::from_utf8(&self.text)
            .expect("UTF-8")
            .lines()
            .filter_map(|line| line.strip_prefix(MARK))
            .map(|line| serde_json::from_str(line).expect("a reply"))
            .collect()
    }
}

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let through =
            |reply: &Reply| matches!(reply, Reply::Answered { .. } | Reply::Failed { .. });
        if self.replies().iter().filter(|reply| through(reply)).count() == self.expected {
            self.done = None;
        }
        Ok(())
    }
}

/// Text, then an end that comes when the other side lets go.
struct OpenInput {
    text: std::io::Cursor<Vec<u8>>,
    wait: std::sync::mpsc::Receiver<()>,
}

impl OpenInput {
    fn new(text: String, wait: std::sync::mpsc::Receiver<()>) -> Self {
        Self {
            text: std::io::Cursor::new(text.into_bytes()),
            wait,
        }
    }
}

impl std::io::Read for OpenInput {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.text.read(buffer)?;
        if read == 0 {
            let _ = self.wait.recv();
        }
        Ok(read)
    }
}

fn only(replies: &[Reply]) -> Result<Completion, (String, bool)> {
    let outcome = replies.iter().find_map(|reply| match reply {
        Reply::Answered { answer, .. } => {
            Some(Ok(answer.clone().completion().expect("a completion")))
        }
        Reply::Failed {
            error, unanswered, ..
        } => Some(Err((error.to_string(), *unanswered))),
        _ => None,
    });
    outcome.expect("an outcome")
}

fn fatal(replies: &[Reply]) -> Option<&str> {
    replies.iter().find_map(|reply| match reply {
        Reply::Fatal(error) => Some(error.message.as_str()),
        _ => None,
    })
}

fn ask(settings: &Value, change: impl FnOnce(&mut Endpoint)) -> (Vec<Reply>, Vec<Value>) {
    let server = Server::openai(settings);
    let mut endpoint = endpoint(&server);
    change(&mut endpoint);
    let replies = replies(&endpoint, vec![chat("hello")]);
    (replies, server.requests())
}

#[test]
fn an_answer_comes_with_the_statistics_that_are_offered() {
    let (replies, requests) = ask(&json!({}), |_| {});
    let completion = only(&replies).expect("an answer");
    assert_eq!(completion.text, "You said: hello");
    assert_eq!(completion.finish_reason, FinishReason::Stop);
    assert_eq!(completion.token_logprob.len(), 3);
    assert!((completion.token_margin[0] - 0.25).abs() < 1e-6);
    assert_eq!(completion.token_top10_entropy.len(), 3);
    assert!(completion.token_entropy.is_empty(), "no server offers it");
    assert_eq!(requests[0]["body"]["top_logprobs"], 20);
    let Some(Reply::Ready(loaded)) = replies
        .iter()
        .rfind(|reply| matches!(reply, Reply::Ready(_)))
    else {
        panic!("it was never ready");
    };
    let detail = &loaded.checks[0].detail;
    assert!(
        detail.contains("cannot be pinned") && detail.contains("stand-in-2026 (fingerprint fp-1)"),
        "{detail}"
    );
}

#[test]
fn a_server_without_log_probabilities_leaves_them_absent() {
    let (replies, _) = ask(&json!({ "logprobs": false }), |_| {});
    assert!(only(&replies).expect("an answer").token_logprob.is_empty());
    let settings = json!({ "refuses_logprobs": true });
    let (replies, requests) = ask(&settings, |endpoint| endpoint.retries = 0);
    assert!(only(&replies).expect("an answer").token_logprob.is_empty());
    assert_eq!(requests.len(), 3);
    assert!(requests[2]["body"]["logprobs"].is_null());
}

#[test]
fn a_server_that_gives_few_likely_tokens_is_asked_for_few() {
    let (replies, requests) = ask(&json!({ "most_logprobs": 5 }), |endpoint| {
        endpoint.retries = 0;
    });
    let completion = only(&replies).expect("an answer");
    assert_eq!(completion.token_margin.len(), 3);
    assert!(completion.token_top10_entropy.is_empty());
    assert_eq!(requests[1]["body"]["top_logprobs"], 5);
}

#[test]
fn the_limit_is_named_as_the_server_wants_it() {
    let (replies, requests) = ask(&json!({ "wants_max_completion_tokens": true }), |_| {});
    only(&replies).expect("an answer");
    assert_eq!(requests[1]["body"]["max_completion_tokens"], 16);
}

#[test]
fn passing_failures_are_tried_again() {
    for word in [
        "429:0",
        "429",
        "500",
        "503:0",
        "malformed",
        "drop",
        "empty",
        "error in 200",
    ] {
        let rules = json!({ "rules": [{ "when": "hello", "then": [word, "ok"] }] });
        let (replies, requests) = ask(&rules, |_| {});
        let completion = only(&replies).unwrap_or_else(|error| panic!("{word}: {error:?}"));
        assert_eq!(completion.text, "You said: hello", "{word}");
        assert_eq!(requests.len(), 2, "{word}");
    }
}

#[test]
fn a_hanging_server_is_left_after_the_timeout_and_asked_again() {
    let rules = json!({ "rules": [{ "when": "hello", "then": ["hang", "ok"] }] });
    let (replies, requests) = ask(&rules, |endpoint| endpoint.timeout_seconds = 1);
    only(&replies).expect("an answer");
    assert_eq!(requests.len(), 2);
}

#[test]
fn retries_end() {
    for (word, said) in [
        ("500", "the server answered 500: as told (3 tries)"),
        ("malformed", "no completion"),
        ("drop", "the connection broke"),
    ] {
        let rules = json!({ "rules": [{ "when": "hello", "then": [word] }] });
        let (replies, requests) = ask(&rules, |_| {});
        let (error, unanswered) = only(&replies).expect_err("no answer");
        assert!(error.contains(said) && unanswered, "{error}");
        assert_eq!(requests.len(), 3);
    }
    let rules = json!({ "rules": [{ "when": "hello", "then": ["hang"] }] });
    let (replies, _) = ask(&rules, |endpoint| {
        endpoint.timeout_seconds = 1;
        endpoint.retries = 0;
    });
    let (error, unanswered) = only(&replies).expect_err("no answer");
    assert!(unanswered);
    assert_eq!(
        error,
        "the server gave no answer within the `timeout` of 1 s (1 try)"
    );
}

#[test]
fn a_long_pause_is_not_waited_for() {
    let rules = json!({ "rules": [{ "when": "hello", "then": ["429:86400"] }] });
    let (replies, requests) = ask(&rules, |_| {});
    let (error, unanswered) = only(&replies).expect_err("no answer");
    assert!(error.contains("86400 s") && unanswered, "{error}");
    assert_eq!(requests.len(), 1);
}

#[test]
fn a_refused_request_is_not_repeated() {
    for word in ["400", "filter"] {
        let rules = json!({ "rules": [{ "when": "hello", "then": [word] }] });
        let (replies, requests) = ask(&rules, |_| {});
        let (error, unanswered) = only(&replies).expect_err("no answer");
        assert!(!unanswered, "{error}");
        assert_eq!(requests.len(), 1, "{word}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let mut endpoint = endpoint(&Server::openai(&json!({})));
    endpoint.retries = 0;
    // Its process ended with the statement above.
    let replies = replies(&endpoint, vec![chat("hello")]);
    let (error, unanswered) = only(&replies).expect_err("no answer");
    assert!(error.contains("cannot connect") && unanswered, "{error}");
}

#[test]
fn a_server_that_answers_nothing_is_given_up() {
    let server = Server::openai(&json!({ "rules": [{ "when": "", "then": ["500"] }] }));
    let mut endpoint = endpoint(&server);
    endpoint.retries = 0;
    let asks = (0..30)
        .map(|index| chat(&format!("question {index}")))
        .collect();
    let replies = replies(&endpoint, asks);
    let error = fatal(&replies).expect("it gives up");
    assert!(
        error.contains("10 requests in a row") && error.contains("as told"),
        "{error}"
    );
    assert!(server.requests().len() < 30);
}

#[test]
fn an_unknown_path_says_what_to_write() {
    let (replies, requests) = ask(&json!({}), |endpoint| {
        endpoint.base_url.push_str("/wrong");
    });
    let error = fatal(&replies).expect("a failure of the model");
    assert!(
        error.contains("404") && error.contains("`base_url`"),
        "{error}"
    );
    assert_eq!(requests.len(), 1);
}

#[test]
fn every_request_is_answered_whatever_the_order() {
    let server =
        Server::openai(&json!({ "rules": [{ "when": "3", "then": ["429:0", "500", "ok"] }] }));
    let mut endpoint = endpoint(&server);
    endpoint.concurrency = 4;
    let asks = (0..12)
        .map(|index| chat(&format!("question {index}")))
        .collect();
    let mut answers: Vec<(u64, String)> = replies(&endpoint, asks)
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::Answered { id, answer } => Some((id, answer.completion().unwrap().text)),
            _ => None,
        })
        .collect();
    answers.sort();
    let expected: Vec<_> = (0..12)
        .map(|index| (index, format!("You said: question {index}")))
        .collect();
    assert_eq!(answers, expected);
}

#[test]
fn as_many_requests_are_under_way_as_the_spec_allows() {
    // Each of the two is answered only when the other is there too.
    let server = Server::openai(&json!({ "rules": [{ "when": "together", "then": ["meet"] }] }));
    let mut endpoint = endpoint(&server);
    endpoint.retries = 0;
    let asks = (0..2)
        .map(|index| chat(&format!("together {index}")))
        .chain((0..10).map(|index| chat(&format!("question {index}"))))
        .collect();
    let through = replies(&endpoint, asks)
        .iter()
        .filter(|reply| matches!(reply, Reply::Answered { .. }))
        .count();
    assert_eq!(through, 12);
    let most = server
        .requests()
        .iter()
        .filter_map(|request| request["at_once"].as_u64())
        .max();
    assert_eq!(most, Some(2));
}

#[test]
fn plain_text_is_completed_by_the_older_interface() {
    let server = Server::openai(&json!({}));
    let request = GenerateRequest {
        messages: Vec::new(),
        text: Some("[INST] yes?".to_owned()),
        ..chat("")
    };
    let replies = replies(&endpoint(&server), vec![request]);
    let completion = only(&replies).expect("an answer");
    assert_eq!(completion.text, "You said: [INST] yes?");
    assert_eq!(completion.token_logprob, vec![-0.5; 4]);
    assert!(completion.token_top10_entropy.is_empty());
    assert_eq!(server.requests()[0]["path"], "/v1/completions");
}

#[test]
fn a_server_that_only_streams_is_asked_for_pieces() {
    let (replies, requests) = ask(&json!({ "wants_stream": true }), |_| {});
    let completion = only(&replies).expect("an answer");
    assert_eq!(completion.text, "You said: hello");
    assert_eq!(completion.token_logprob.len(), 3);
    assert_eq!(completion.token_top10_entropy.len(), 3);
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1]["body"]["stream"], true);
}

#[test]
fn content_in_parts_and_a_refusal_apart_are_what_was_said() {
    let (replies, _) = ask(&json!({ "parts": true }), |_| {});
    assert_eq!(only(&replies).expect("an answer").text, "You said: hello");
    let rules = json!({ "rules": [{ "when": "hello", "refuse": "I cannot help with that." }] });
    let (replies, _) = ask(&rules, |_| {});
    let completion = only(&replies).expect("an answer");
    assert_eq!(completion.text, "I cannot help with that.");
    // The tokens that the server lists spell another text.
    assert!(completion.token_logprob.is_empty());
    assert!(tells(&replies, "do not spell"), "{replies:?}");
}

#[test]
fn a_setting_that_the_server_does_not_know_ends_the_run_by_name() {
    let server = Server::openai(&json!({ "unknown_fields": ["top_k", "min_p"] }));
    let mut request = chat("hello");
    request.sampling.top_k = Some(5);
    let replies = replies(&endpoint(&server), vec![request]);
    let error = fatal(&replies).expect("a failure of the model");
    assert!(
        error.contains("422") && error.contains("this `top_k`"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_limit_is_held_against_what_the_server_counts() {
    // It knows the newer word alone, and says nothing of the older one.
    let (replies, requests) = ask(&json!({ "makes": 99 }), |_| {});
    only(&replies).expect("an answer");
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1]["body"]["max_completion_tokens"], 16);
    let server = Server::openai(&json!({ "makes": 99 }));
    let request = GenerateRequest {
        messages: Vec::new(),
        text: Some("hello".to_owned()),
        ..chat("")
    };
    let error = crate::replies(&endpoint(&server), vec![request]);
    let error = fatal(&error).expect("a failure of the model");
    assert!(
        error.contains("99 tokens where 16 were the most"),
        "{error}"
    );
}

#[test]
fn log_probabilities_that_never_come_are_told() {
    let (replies, requests) = ask(&json!({ "logprobs": false }), |_| {});
    assert!(only(&replies).expect("an answer").token_logprob.is_empty());
    assert_eq!(requests.len(), 1);
    assert!(tells(&replies, "gives none"), "{replies:?}");
}

/// Whether provenance says so of the log-probabilities.
fn tells(replies: &[Reply], what: &str) -> bool {
    replies.iter().any(|reply| match reply {
        Reply::Ready(loaded) => {
            let mut checks = loaded.checks.iter();
            checks.any(|check| check.name == "logprobs" && check.detail.contains(what))
        }
        _ => false,
    })
}

#[test]
fn a_server_that_does_not_draw_is_told() {
    let server = Server::openai(&json!({}));
    let ask = |seed: u64| {
        let mut request = chat("a question that is long enough to tell");
        request.sampling.temperature = 1.0;
        request.sampling.seed = seed << 40;
        request
    };
    let told = |replies: &[Reply]| {
        replies.iter().any(|reply| match reply {
            Reply::Ready(loaded) => loaded.checks.iter().any(|check| check.name == "draws"),
            _ => false,
        })
    };
    let same = replies(&endpoint(&server), (1..=4).map(ask).collect());
    assert!(told(&same), "{same:?}");
    let few = replies(&endpoint(&server), (1..=2).map(ask).collect());
    assert!(!told(&few));
    let greedy = (0..4).map(|_| chat("a question that is long enough to tell"));
    assert!(!told(&replies(&endpoint(&server), greedy.collect())));
}
