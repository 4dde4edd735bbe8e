//! Servers for tests: real sockets, each in a process of its own.
//!
//! A test binary starts itself as the server. For that it has one test at its root, called `stand_in_server`, which does
//! nothing but call [`serve_or_check`]: it serves when it is told to, and checks the server otherwise.

mod http;
mod hub;
mod openai;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use http::{Request, Response};

/// Name of the test that serves.
const TEST: &str = "stand_in_server";
/// Variable that tells it to.
const SETTINGS: &str = "DRIFTGAUGE_TEST_SERVER";
/// Begins the line in which the server says where it is.
const LISTENING: &str = "stand-in server listening on ";
/// Path that gives the requests so far, for tests.
const JOURNAL: &str = "/requests-so-far";

/// A running server; it ends with its owner.
pub struct Server {
    child: Child,
    address: String,
    /// Closed when the test ends, however it ends; the server then ends too.
    _alive: Option<ChildStdin>,
}

impl Server {
    /// An OpenAI-compatible server. `settings` may hold:
    /// - `key`: the key it wants, `logprobs` (default true), `refuses_logprobs`, `most_logprobs`,
    ///   `wants_max_completion_tokens`, `wants_stream`, `unknown_fields` (refused with 422), `parts` (content as a list),
    ///   `makes` (so many tokens, whatever `max_tokens` says);
    /// - `rules`: list of `{when, then, say, think, refuse}`: a request whose last message contains `when` is met with the words of
    ///   `then`, one a request and the last of them for all further ones, and answered with `say`, with the reasoning `think`
    ///   apart from it. Words: `ok`, a status
    ///   (`500`, or `429:3` with a `Retry-After`), `hang`, `malformed`, `drop` (half of the body), `filter`, `empty` (no choice), `error in 200`, and `meet`
    ///   (answered when another `meet` is under way at the same time).
    #[must_use]
    pub fn openai(settings: &Value) -> Self {
        Self::start("openai", settings)
    }

    /// A hub. `settings` is `{models, datasets}`, each by `organisation/name`: `{folder, commit, branch, token}`.
    #[must_use]
    pub fn hub(settings: &Value) -> Self {
        Self::start("hub", settings)
    }

    fn start(kind: &str, settings: &Value) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test's own file"))
            .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
            .env(
                SETTINGS,
                json!({ "kind": kind, "settings": settings }).to_string(),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = BufReader::new(child.stdout.take().expect("the server's output"));
        let address = stdout
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once(LISTENING)?.1.to_owned()))
            .expect("the server says where it is; is there a test `stand_in_server` at the root?");
        let alive = child.stdin.take();
        Self {
            child,
            address,
            _alive: alive,
        }
    }

    /// `http://host:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far: `path`, `authorization`, `body`, what became of them (`met`), and how many were under way,
    /// this one among them (`at_once`).
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        let body = get(&self.address, JOURNAL);
        let (_, body) = body.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("a list")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

/// Serves for ever when this process was started as a server; otherwise checks that a server can be started.
pub fn serve_or_check() {
    match std::env::var(SETTINGS) {
        Ok(text) => {
            let start: Value = serde_json::from_str(&text).expect("settings");
            serve(
                start["kind"].as_str().unwrap_or_default(),
                &start["settings"],
            );
        }
        Err(_) => check(),
    }
}

fn check() {
    let server = Server::openai(&json!({}));
    let answer = get(&server.address, "/v1/models");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert_eq!(server.requests()[0]["path"], "/v1/models");
}

/// What a kind of server does with a request.
trait Service: Send + Sync {
    fn answer(&self, request: &Request) -> Response;
}

fn serve(kind: &str, settings: &Value) {
    let service: Arc<dyn Service> = match kind {
        "openai" => Arc::new(openai::OpenAi::new(settings)),
        "hub" => Arc::new(hub::Hub::new(settings)),
        other => panic!("no server is called {other}"),
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{LISTENING}{}", listener.local_addr().expect("an address"));
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    });
    let journal = Arc::new(Mutex::new(Vec::new()));
    let under_way = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        let (service, journal) = (Arc::clone(&service), Arc::clone(&journal));
        let under_way = Arc::clone(&under_way);
        std::thread::spawn(move || {
            let Some(request) = Request::read(&stream) else {
                return;
            };
            if request.path == JOURNAL {
                let list: Vec<Value> = journal.lock().expect("the journal").clone();
                Response::json(200, &json!(list)).send(&stream);
                return;
            }
            let at_once = under_way.fetch_add(1, Ordering::SeqCst) + 1;
            let response = service.answer(&request);
            journal.lock().expect("the journal").push(json!({
                "path": request.path,
                "authorization": request.header("authorization"),
                "body": serde_json::from_str::<Value>(&request.body).unwrap_or(Value::Null),
                "met": response.describe(),
                "at_once": at_once,
            }));
            // Before the client can hear of the end of this one and start another.
            under_way.fetch_sub(1, Ordering::SeqCst);
            response.send(&stream);
        });
    }
}
