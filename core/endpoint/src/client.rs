//! One request after another to one server, each with its retries.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use driftgauge_engine::Endpoint;
use driftgauge_engine::GenerateRequest;
use driftgauge_problem::Problem;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use crate::EndpointError;
use crate::key::ApiKey;
use crate::logprobs::{TEN, TOP};
use crate::pace::Pace;
use crate::protocol::{self, Answer, Dialect};
use crate::retry::{self, Failure};

/// Asks one server.
pub(crate) struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    key: ApiKey,
    pace: Mutex<Pace>,
    dialect: Mutex<Dialect>,
}

/// What one try came to.
enum Try {
    /// Final, one way or the other.
    Over(Result<Box<Answer>, Failure>),
    /// Worth another try, not before the server's own pause is over.
    Again {
        why: Problem,
        pause: Option<Duration>,
    },
    /// The server does not know a word of the request and another dialect may do; no failure yet.
    Reworded,
}

impl Client {
    /// Sets up the client and reads the key.
    pub(crate) fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(endpoint.timeout_seconds))
            .user_agent(concat!("driftgauge/", env!("CARGO_PKG_VERSION")))
            // A redirect would turn the question into another one, and could carry the key elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| EndpointError::Client(error.to_string()))?;
        Ok(Self {
            http,
            key: ApiKey::from_env(endpoint.api_key_env.as_deref())?,
            pace: Mutex::new(Pace::new(endpoint.requests_per_minute, Instant::now())),
            dialect: Mutex::new(Dialect::of(&endpoint)),
            endpoint,
        })
    }

    /// What the server turned out not to give of the log-probabilities that the spec asks for.
    /// `fewest`: how many of the most likely tokens its answers listed at least, once there are any.
    pub(crate) fn logprobs_lacking(&self, fewest: Option<Option<usize>>) -> Option<&'static str> {
        const FEW_GIVEN: &str =
            "the server gives few of the most likely tokens; what needs ten of them is absent";
        match (self.dialect().top, fewest) {
            _ if !self.endpoint.logprobs => None,
            (None, _) => {
                Some("the server refuses to give log-probabilities; it was asked without them")
            }
            (_, Some(None)) => Some(
                "the server was asked for log-probabilities and gives none; what needs them is absent",
            ),
            (Some(top), _) if top < TOP => Some(FEW_GIVEN),
            (_, Some(Some(listed))) if listed < TEN => Some(FEW_GIVEN),
            _ => None,
        }
    }

    /// Asks for one completion. `id` keys the jitter between tries.
    pub(crate) async fn complete(
        &self,
        request: &GenerateRequest,
        id: u64,
    ) -> Result<Box<Answer>, Failure> {
        let mut attempt = 0;
        loop {
            let slot = lock(&self.pace).reserve(Instant::now());
            tokio::time::sleep_until(slot.into()).await;
            let (why, pause) = match self.try_once(request).await {
                Try::Over(outcome) => return outcome,
                Try::Reworded => continue,
                Try::Again { why, pause } => (why, pause),
            };
            if let Some(long) = pause.filter(|pause| *pause > retry::LONGEST_RETRY_AFTER) {
                return Err(Failure::Unanswered(why.followed(&format!(
                    "; the server wants to be asked again in {} s",
                    long.as_secs()
                ))));
            }
            if attempt == self.endpoint.retries {
                let tries = attempt + 1;
                let times = if tries == 1 { "try" } else { "tries" };
                return Err(Failure::Unanswered(
                    why.followed(&format!(" ({tries} {times})")),
                ));
            }
            if let Some(pause) = pause {
                lock(&self.pace).hold(Instant::now() + pause);
            }
            let own = retry::pause(attempt, id);
            tokio::time::sleep(own.max(pause.unwrap_or_default())).await;
            attempt += 1;
        }
    }

    async fn try_once(&self, request: &GenerateRequest) -> Try {
        let dialect = self.dialect();
        let url = format!(
            "{}/{}",
            self.endpoint.base_url.trim_end_matches('/'),
            protocol::path(request)
        );
        let mut post = self
            .http
            .post(url)
            .json(&protocol::body(&self.endpoint, request, dialect));
        if let Some(value) = self.key.header() {
            post = post.header(AUTHORIZATION, value);
        }
        let response = match post.send().await {
            Ok(response) => response,
            Err(error) => return self.broken(error),
        };
        let status = response.status();
        let pause = retry_after(&response);
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return self.broken(error),
        };
        let body = match text_of(&body) {
            Ok(body) => self.key.redact(body),
            // What a server says of an error may be in any encoding, and is shown alone.
            Err(_) if !status.is_success() => {
                self.key.redact(String::from_utf8_lossy(&body).into_owned())
            }
            Err(why) => return Try::Again { why, pause: None },
        };
        if status.is_success() {
            return match protocol::read(&body, request) {
                Ok(answer) => self.kept_to_its_limit(answer, request, dialect),
                Err(Failure::Unanswered(why)) => Try::Again { why, pause: None },
                Err(failure) => Try::Over(Err(failure)),
            };
        }
        let said = protocol::explanation(&body);
        let refused = [
            StatusCode::BAD_REQUEST,
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::NOT_IMPLEMENTED,
        ];
        // Some servers stumble over log-probabilities instead of refusing them.
        let stumbled = status == StatusCode::INTERNAL_SERVER_ERROR && said.contains("logprobs");
        if (refused.contains(&status) || stumbled) && self.reword(dialect, &said) {
            return Try::Reworded;
        }
        if refused.contains(&status)
            && let Some(setting) = protocol::refused_setting(request, &said)
        {
            let problem = Problem::new(
                "server-refused",
                format!("the server answered {}: {said}", status.as_u16()),
            );
            return Try::Over(Err(Failure::Unusable(problem.help(format!(
                "the server does not take this `{setting}`; change it in `generate`, or leave it to the server"
            )))));
        }
        match retry::failure(status, &said) {
            Failure::Unanswered(why) if retry::worth_another_try(status) => {
                Try::Again { why, pause }
            }
            failure => Try::Over(Err(failure)),
        }
    }

    /// An answer, unless the server made more tokens than it was let to: it does not know the word for the limit then.
    fn kept_to_its_limit(&self, answer: Answer, request: &GenerateRequest, used: Dialect) -> Try {
        // The token that ends an answer is counted by some.
        let most = request.max_tokens as u64 + 1;
        let Some(made) = answer.made.filter(|made| *made > most) else {
            return Try::Over(Ok(Box::new(answer)));
        };
        if request.text.is_none() && self.reword(used, "max_completion_tokens") {
            return Try::Reworded;
        }
        let problem = Problem::new(
            "unusable-answer",
            format!(
                "the server made {made} tokens where {} were the most",
                request.max_tokens
            ),
        );
        Try::Over(Err(Failure::Unusable(problem.help(
            "it keeps to neither `max_tokens` nor `max_completion_tokens`, so its answers are not those that the spec asks for",
        ))))
    }

    /// No answer came, or not a whole one.
    fn broken(&self, error: reqwest::Error) -> Try {
        let why = if error.is_timeout() {
            format!(
                "the server gave no answer within the `timeout` of {} s",
                self.endpoint.timeout_seconds
            )
        } else if error.is_connect() {
            format!("cannot connect to the server: {}", cause(&error))
        } else {
            format!("the connection broke: {}", cause(&error))
        };
        Try::Again {
            why: self.key.redact(why).into(),
            pause: None,
        }
    }

    /// Whether the complaint names a word that can be said otherwise; requests that were under way in the old dialect
    /// when another one learned the new are simply said again.
    fn reword(&self, used: Dialect, complaint: &str) -> bool {
        let mut dialect = lock(&self.dialect);
        if *dialect != used {
            return true;
        }
        match dialect.after(complaint) {
            Some(other) => {
                *dialect = other;
                true
            }
            None => false,
        }
    }

    fn dialect(&self) -> Dialect {
        *lock(&self.dialect)
    }
}

/// The text of a body. JSON is UTF-8; in another encoding it would be another text.
fn text_of(body: &[u8]) -> Result<String, Problem> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    std::str::from_utf8(body)
        .map(str::to_owned)
        .map_err(|error| {
            let message = format!(
                "the server's answer is not UTF-8: its byte {} begins no character",
                error.valid_up_to() + 1
            );
            Problem::failed(message).help("have the server send `application/json` in UTF-8")
        })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that holds these locks can panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let precise = response.headers().get("retry-after-ms");
    let precise = precise.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    if let Some(milliseconds) = precise {
        return Some(Duration::from_millis(milliseconds));
    }
    let header = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    retry::retry_after(header, SystemTime::now())
}

/// The innermost cause, which says what happened; the outer ones only say where.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_another_encoding_is_no_text() {
        assert_eq!(text_of("caf\u{e9}".as_bytes()).unwrap(), "caf\u{e9}");
        assert_eq!(text_of(b"\xef\xbb\xbf{}").unwrap(), "{}");
        let error = text_of(b"{\"content\": \"caf\xe9\"}").unwrap_err();
        assert!(
            error.message.contains("not UTF-8") && error.message.contains("byte 17"),
            "{error}"
        );
    }
}
