//! What a server says: completions read from its answers, and its errors in its own words.

use driftgauge_engine::GenerateRequest;
use driftgauge_problem::Problem;
use driftgauge_record::{Completion, FinishReason};
use reqwest::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::logprobs::{self, TOP, Unfit};
use crate::message::{ChoiceMessage, Said};
use crate::own;
use crate::retry::{self, Failure};
use crate::stream;

/// A completion and what the server says made it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The completion.
    pub(crate) completion: Completion,
    /// Who made it.
    pub(crate) served: Served,
    /// How many of the most likely tokens the server listed at every position; `None` where it gave no log-probabilities of a text.
    pub(crate) listed: Option<usize>,
    /// Why the log-probabilities that it gave are left out.
    pub(crate) unfit: Option<Unfit>,
    /// Tokens that it made, beyond those of its reasoning, where it counts them.
    pub(crate) made: Option<u64>,
}

/// What a server says of the model that answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Served {
    /// Its name, which may be more exact than the name that was asked for.
    pub(crate) model: Option<String>,
    /// A name for the server's configuration.
    pub(crate) fingerprint: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    system_fingerprint: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    prompt_filter_results: Value,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    message: Option<ChoiceMessage>,
    #[serde(default)]
    text: Option<String>,
    /// Null says that the answer goes on; a server that does not know the key says nothing.
    #[serde(default, deserialize_with = "said")]
    finish_reason: Option<Option<String>>,
    #[serde(default)]
    logprobs: Value,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    content_filter_results: Value,
}

/// A key that is there, also where its value is null.
fn said<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Reads the body of a successful answer.
pub(crate) fn read(body: &str, request: &GenerateRequest) -> Result<Answer, Failure> {
    let unreadable = |error: String| Failure::Unanswered(error.into());
    let whole = if stream::is_stream(body) {
        stream::whole(body).map_err(unreadable)?
    } else {
        serde_json::from_str(body)
            .map_err(|error| unreadable(format!("the server's answer is no completion: {error}")))?
    };
    if !whole["error"].is_null() {
        return Err(failed_within(&whole));
    }
    let response: Response = serde_json::from_value(whole)
        .map_err(|error| unreadable(format!("the server's answer is no completion: {error}")))?;
    let made = made(&response.usage);
    let choice = only_one(response.choices)?;
    if !choice.error.is_null() {
        return Err(failed_within(&json!({ "error": choice.error })));
    }
    withheld("answer", &choice.content_filter_results)?;
    withheld("prompt", &response.prompt_filter_results)?;
    let reason = choice.finish_reason.as_ref().map(Option::as_deref);
    let finish = finish_of(reason, made, request.max_tokens)?;
    let Said { text, reasoning } = match choice.message {
        Some(message) => message
            .said()
            .map_err(|error| unreadable(format!("the server's answer cannot be used: {error}")))?,
        None => Said {
            text: choice.text,
            reasoning: None,
        },
    };
    if text.is_none() && choice.finish_reason.is_none() {
        return Err(Failure::Unanswered(
            "the server's answer holds neither a text nor a reason for its end".into(),
        ));
    }
    // A model that stops at once says nothing; that is an answer, and servers write it as null too.
    let text = text.unwrap_or_default();
    let mut completion = Completion::of_text(before_stop(&text, &request.stop).to_owned(), finish);
    let positions = logprobs::positions(&choice.logprobs).map_err(|error| {
        Failure::Unusable(
            Problem::new(
                "unusable-answer",
                format!("the server's answer cannot be used: {error}"),
            )
            .help("set `logprobs: false` for this model"),
        )
    })?;
    if request.strip_thinking {
        completion.keep_thinking_apart(None);
    }
    // Whoever serves the model has taken it out already, whatever is asked for here.
    completion.thinking = match (reasoning, completion.thinking.take()) {
        (Some(reasoning), Some(further)) => Some(format!("{reasoning}\n\n{further}")),
        (reasoning, further) => reasoning.or(further),
    };
    let own = own::own(&positions, &completion, &request.stop).ok_or(Unfit::OtherText);
    let own = own.and_then(|own| match logprobs::unfit(own.positions) {
        None => Ok(own),
        Some(unfit) => Err(unfit),
    });
    let watched = &request.watch_first_token;
    match own {
        Ok(own) => {
            completion.ends_with_eos = finish == FinishReason::Stop && own.ended;
            logprobs::fill(&mut completion, own.positions, request.top_logprobs);
            logprobs::watch(&mut completion, own.positions, watched);
        }
        // The token of a verdict is known where the list ends before the answer does.
        Err(Unfit::OtherText)
            if own::begin(&positions, &completion) && logprobs::unfit(&positions).is_none() =>
        {
            logprobs::watch(&mut completion, &positions, watched);
        }
        Err(_) => {}
    }
    let fewest = positions.iter().map(|at| at.top.len()).min();
    Ok(Answer {
        listed: fewest.or(completion.text.is_empty().then_some(TOP)),
        unfit: own.err(),
        made,
        completion,
        served: Served {
            model: response.model,
            fingerprint: response.system_fingerprint,
        },
    })
}

/// The completion of an answer: one was asked for.
fn only_one(choices: Vec<Choice>) -> Result<Choice, Failure> {
    let several = choices.len();
    let mut choices = choices.into_iter();
    let problem = match (choices.next(), several) {
        (Some(choice), 1) if choice.message.is_some() || choice.text.is_some() => {
            return Ok(choice);
        }
        (Some(_), 1) => "the server's answer holds neither a `message` nor a `text`".to_owned(),
        (None, _) => "the server's answer holds no completion".to_owned(),
        _ => format!("the server's answer holds {several} completions where one was asked for"),
    };
    Err(Failure::Unanswered(problem.into()))
}

/// Why an answer ended, of a server that made so many tokens of at most `most`. Without the key, tokens that were counted tell whether it
/// was cut.
fn finish_of(
    said: Option<Option<&str>>,
    made: Option<u64>,
    most: usize,
) -> Result<FinishReason, Failure> {
    let unsaid = |why: &str| {
        let problem = Problem::failed(format!("the server's answer {why}"));
        let help = "have the server say its `finish_reason`, or count `usage.completion_tokens`";
        Failure::Unanswered(problem.help(help))
    };
    let reason = match (said, made) {
        (Some(Some(reason)), _) => reason,
        (Some(None), _) => return Err(unsaid("is not finished: its `finish_reason` is null")),
        (None, Some(made)) if made >= most as u64 => "length",
        (None, Some(_)) => "stop",
        (None, None) => return Err(unsaid("does not say why it ended")),
    };
    match reason {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => Ok(FinishReason::Stop),
        "length" | "max_tokens" | "model_length" => Ok(FinishReason::Length),
        "content_filter" => Err(Failure::Rejected(
            "the server's content filter withheld the answer".into(),
        )),
        other => Err(Failure::Unanswered(
            format!("the server ended the answer for a reason that is not known here: `{other}`")
                .into(),
        )),
    }
}

/// Refuses an answer of which the server's content filter says that it acted, whatever reason the answer has for its end.
fn withheld(what: &str, results: &Value) -> Result<(), Failure> {
    match filtered(results) {
        None => Ok(()),
        Some(name) => Err(Failure::Rejected(
            format!("the server's content filter acted on the {what}: `{name}` is filtered").into(),
        )),
    }
}

/// The name of the first filter that acted, at whatever depth servers list them.
fn filtered(results: &Value) -> Option<String> {
    match results {
        Value::Object(filters) => filters.iter().find_map(|(name, value)| {
            let acted = value["filtered"] == true;
            acted.then(|| name.clone()).or_else(|| filtered(value))
        }),
        Value::Array(list) => list.iter().find_map(|value| {
            let id = value["id"].as_str().unwrap_or("custom_blocklists");
            let acted = value["filtered"] == true;
            acted.then(|| id.to_owned()).or_else(|| filtered(value))
        }),
        _ => None,
    }
}

/// A failure that came with the status of a success.
fn failed_within(whole: &Value) -> Failure {
    let said = explanation(&whole.to_string());
    let code = whole["error"]["code"].as_u64();
    let status = code.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
    match status.filter(|status| status.is_client_error() || status.is_server_error()) {
        Some(status) => retry::failure(status, &said),
        None => Failure::Unanswered(format!("the server answered with an error: {said}").into()),
    }
}

/// Tokens of the answer itself: the limit of some servers does not count those of reasoning.
fn made(usage: &Value) -> Option<u64> {
    let reasoning = &usage["completion_tokens_details"]["reasoning_tokens"];
    let all = usage["completion_tokens"].as_u64()?;
    Some(all.saturating_sub(reasoning.as_u64().unwrap_or(0)))
}

/// The text before the first of the strings that end an answer; some servers leave them in.
fn before_stop<'a>(text: &'a str, stop: &[String]) -> &'a str {
    let first = stop
        .iter()
        .filter(|end| !end.is_empty())
        .filter_map(|end| text.find(end.as_str()))
        .min();
    &text[..first.unwrap_or(text.len())]
}

/// The server's own words in an error: the message of the usual error object, else the body's beginning.
pub(crate) fn explanation(body: &str) -> String {
    const LONGEST: usize = 300;
    let message = serde_json::from_str::<Value>(body).ok().and_then(|value| {
        let error = &value["error"];
        [
            &error["message"],
            error,
            &value["message"],
            &value["detail"],
        ]
        .into_iter()
        .find_map(|text| text.as_str().map(str::to_owned))
        .map(|text| match error["code"].as_str() {
            Some(code) if !text.contains(code) => format!("{text} ({code})"),
            _ => text,
        })
    });
    let text = message.unwrap_or_else(|| body.to_owned());
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() > LONGEST {
        let cut: String = text.chars().take(LONGEST).collect();
        return format!("{cut}...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fixture::request;

    #[test]
    fn an_error_in_place_of_an_answer_is_told() {
        let read = |body: &str| read(body, &request()).unwrap_err();
        let busy = read(r#"{"error": {"message": "overloaded", "code": 502}}"#);
        assert!(
            matches!(&busy, Failure::Unanswered(why) if why.message.contains("502: overloaded")),
            "{busy:?}"
        );
        let wrong = read(r#"{"error": {"message": "no such model", "code": 404}}"#);
        assert!(matches!(wrong, Failure::Unusable(_)));
        let plain = read(r#"{"error": "out of memory"}"#);
        assert!(
            plain.problem().message.contains("out of memory"),
            "{plain:?}"
        );
        let stream = read("data: {\"error\": {\"message\": \"gone\"}}\n\n");
        assert!(stream.problem().message.contains("gone"), "{stream:?}");
    }

    #[test]
    fn what_a_server_counts_and_lists_is_known() {
        let usage = |usage: &str| {
            let body =
                format!(r#"{{"choices": [{{"message": {{"content": "a"}}}}], "usage": {usage}}}"#);
            let answer = read(&body, &request()).unwrap();
            (answer.made, answer.completion.finish_reason, answer.listed)
        };
        assert_eq!(
            usage(r#"{"completion_tokens": 4}"#),
            (Some(4), FinishReason::Stop, None)
        );
        assert_eq!(
            usage(r#"{"completion_tokens": 5}"#),
            (Some(5), FinishReason::Length, None)
        );
        let thought =
            r#"{"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 6}}"#;
        assert_eq!(usage(thought), (Some(3), FinishReason::Stop, None));
    }

    #[test]
    fn answers_are_read() {
        let read = |body: &str| read(body, &request());
        let answer = read(
            r#"{"model": "m-1", "system_fingerprint": "fp", "choices": [{"message": {"content": "ok"}, "finish_reason": "length",
            "logprobs": null}]}"#,
        )
        .unwrap();
        assert_eq!(answer.completion.text, "ok");
        assert_eq!(answer.completion.finish_reason, FinishReason::Length);
        assert_eq!(answer.served.model.as_deref(), Some("m-1"));
        assert!(answer.completion.token_logprob.is_empty());
        let passed = r#"{"choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop",
            "content_filter_results": {"hate": {"filtered": false, "severity": "safe"}, "error": {"code": "content_filter_error"}}}]}"#;
        assert_eq!(read(passed).unwrap().completion.text, "ok");
        let text = read(r#"{"choices": [{"text": "plain", "finish_reason": "stop"}]}"#).unwrap();
        assert_eq!(text.completion.text, "plain");
        let refusal =
            read(r#"{"choices": [{"message": {"content": null, "refusal": "no"}, "finish_reason": "stop"}]}"#).unwrap();
        assert_eq!(refusal.completion.text, "no");
    }

    #[test]
    fn reasoning_that_a_server_took_out_stands_apart() {
        let read = |message: &str, strip_thinking: bool| {
            let body =
                format!(r#"{{"choices": [{{"message": {message}, "finish_reason": "stop"}}]}}"#);
            let request = GenerateRequest {
                strip_thinking,
                ..request()
            };
            let completion = read(&body, &request).unwrap().completion;
            (completion.thinking, completion.text)
        };
        let some = |text: &str| Some(text.to_owned());
        for strip in [false, true] {
            for key in ["reasoning_content", "reasoning"] {
                let message = format!(r#"{{"content": "the queen", "{key}": "\nhm\n"}}"#);
                assert_eq!(read(&message, strip), (some("hm"), "the queen".to_owned()));
            }
            // Cut off while reasoning, and none at all.
            assert_eq!(
                read(
                    r#"{"content": null, "reasoning_content": "hm, the"}"#,
                    strip
                ),
                (some("hm, the"), String::new())
            );
            assert_eq!(
                read(
                    r#"{"content": "x", "reasoning_content": null, "reasoning": {"effort": "low"}}"#,
                    strip
                ),
                (None, "x".to_owned())
            );
        }
        assert_eq!(
            read(
                r#"{"content": "<think>b</think>c", "reasoning_content": "a"}"#,
                true
            ),
            (some("a\n\nb"), "c".to_owned())
        );
    }

    #[test]
    fn strings_that_end_an_answer_are_no_part_of_it() {
        let stop = ["city".to_owned(), "of".to_owned(), String::new()];
        assert_eq!(before_stop("the city of", &stop), "the ");
        assert_eq!(before_stop("a house", &stop), "a house");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let read = |body: &str| read(body, &request()).unwrap_err();
        for body in [
            "",
            "{\"choices\": [",
            "{}",
            "{\"choices\": []}",
            "{\"choices\": [{}]}",
            "{\"choices\": [{\"delta\": {\"content\": \"x\"}, \"finish_reason\": \"stop\"}]}",
            "{\"choices\": [{\"text\": \"x\", \"finish_reason\": \"stop\"}, {\"text\": \"y\", \"finish_reason\": \"stop\"}]}",
            "{\"choices\": [{\"message\": {\"content\": null}, \"finish_reason\": null}]}",
            "{\"choices\": [{\"message\": {\"content\": \"x\"}, \"finish_reason\": null}], \"usage\": {\"completion_tokens\": 2}}",
            "{\"choices\": [{\"message\": {\"content\": \"x\"}}]}",
            "{\"choices\": [{\"message\": {\"role\": \"user\", \"content\": \"x\"}, \"finish_reason\": \"stop\"}]}",
            "{\"choices\": [{\"message\": {\"content\": null, \"tool_calls\": [{\"id\": 1}]}, \"finish_reason\": \"stop\"}]}",
            "{\"choices\": [{\"message\": {\"content\": \"x\"}, \"finish_reason\": \"stop\", \"error\": {\"message\": \"gone\"}}]}",
            "<html>busy</html>",
        ] {
            assert!(matches!(read(body), Failure::Unanswered(_)), "{body}");
        }
        let filtered =
            r#"{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}"#;
        assert!(matches!(read(filtered), Failure::Rejected(_)));
        for (results, name) in [
            (
                r#"{"hate": {"filtered": false}, "violence": {"filtered": true, "severity": "high"}}"#,
                "violence",
            ),
            (
                r#"{"custom_blocklists": [{"id": "mine", "filtered": true}]}"#,
                "mine",
            ),
            (
                r#"{"custom_blocklists": {"filtered": false, "details": [{"id": "mine", "filtered": true}]}}"#,
                "mine",
            ),
        ] {
            let body = format!(
                r#"{{"choices": [{{"message": {{"content": "x"}}, "finish_reason": "stop", "content_filter_results": {results}}}]}}"#
            );
            let failure = read(&body);
            assert!(matches!(failure, Failure::Rejected(_)), "{results}");
            assert!(failure.problem().message.contains(name), "{results}");
        }
        let odd = r#"{"choices": [{"message": {"content": "x"}, "finish_reason": "tool_calls"}]}"#;
        assert!(read(odd).problem().message.contains("`tool_calls`"));
    }

    #[test]
    fn the_end_token_is_known_when_it_is_listed() {
        let with = |last: &str| {
            let token = |text: &str| json!({ "token": text, "logprob": -0.5 });
            let tokens: Vec<Value> = ["Hel", "lo", last].into_iter().map(token).collect();
            json!({ "choices": [{
                "message": { "content": "Hello" }, "finish_reason": "stop", "logprobs": { "content": tokens }
            }] })
            .to_string()
        };
        assert!(
            read(&with("<|eot|>"), &request())
                .unwrap()
                .completion
                .ends_with_eos
        );
        assert!(
            !read(&with(""), &request())
                .unwrap()
                .completion
                .ends_with_eos
        );
    }

    #[test]
    fn an_error_is_explained_in_the_servers_words() {
        let body = r#"{"error": {"message": "too   many", "code": "insufficient_quota"}}"#;
        assert_eq!(explanation(body), "too many (insufficient_quota)");
        assert_eq!(explanation("<h1>busy</h1>"), "<h1>busy</h1>");
        assert_eq!(explanation(&"x".repeat(1000)).len(), 303);
    }
}
