//! What a failed request means, and how long to wait before it is tried again.

use std::time::{Duration, SystemTime};

use driftgauge_data::Random;
use driftgauge_problem::Problem;
use reqwest::StatusCode;

/// The pause before the first retry, before jitter; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause of our own is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A server that wants to be left alone for longer is not waited for in this run.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// What became of a request that gave no completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No answer now; another try or another run may get one.
    Unanswered(Problem),
    /// The server will not answer this request, whenever it is asked.
    Rejected(Problem),
    /// Every further request would fail the same way: wrong key, unknown model, wrong address.
    Unusable(Problem),
}

impl Failure {
    /// What happened.
    pub(crate) fn problem(&self) -> &Problem {
        match self {
            Self::Unanswered(problem) | Self::Rejected(problem) | Self::Unusable(problem) => {
                problem
            }
        }
    }
}

/// What an HTTP status other than success means. `said` is the server's own explanation.
pub(crate) fn failure(status: StatusCode, said: &str) -> Failure {
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    };
    let answered = Problem::new(
        "server-refused",
        format!("the server answered {}{said}", status.as_u16()),
    );
    match status.as_u16() {
        // OpenAI answers 429 also when the account has run out of money, which no pause mends.
        429 if said.contains("insufficient_quota")
            || said.contains("exceeded your current quota") =>
        {
            Failure::Unusable(answered)
        }
        401 => Failure::Unusable(answered.help(
            "the key was not accepted; look at the variable that `api_key_env` names",
        )),
        404 | 405 => Failure::Unusable(answered.help(
            "`base_url` has to end before `/chat/completions`, and `model` has to be a name that the server knows",
        )),
        300..=399 => Failure::Unusable(answered.help(
            "the server has moved; write its new address as `base_url`",
        )),
        400 | 413 | 422 => Failure::Rejected(answered),
        // 403 is a key without rights on one server and a single refused request on another, so nothing is concluded.
        _ => Failure::Unanswered(answered),
    }
}

/// Whether another try a little later may do better.
pub(crate) fn worth_another_try(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 409 | 425 | 429) || status.is_server_error()
}

/// The pause before try `attempt + 1`: doubled each time, and shortened by up to a half so that requests that failed
/// together do not come back together. `request` keys the randomness, so that nothing depends on a global state.
pub(crate) fn pause(attempt: u32, request: u64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt));
    let longest = doubled.min(LONGEST_PAUSE);
    let purpose = format!("endpoint retry {attempt}");
    let jitter = Random::new(request, &purpose).below(1001) as f64 / 1000.0;
    longest.mul_f64(1.0 - jitter / 2.0)
}

/// How long a `Retry-After` header asks to wait: seconds, or a date.
pub(crate) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0)
            .then(|| Duration::from_secs_f64(seconds.min(1e9)));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ() {
        for attempt in 0..12 {
            let full = Duration::from_millis(500 * 2_u64.pow(attempt)).min(LONGEST_PAUSE);
            let pauses: Vec<_> = (0..20).map(|request| pause(attempt, request)).collect();
            assert!(
                pauses
                    .iter()
                    .all(|pause| *pause <= full && *pause >= full / 2)
            );
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
        assert_eq!(pause(3, 7), pause(3, 7));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(retry_after("3", now), Some(Duration::from_secs(3)));
        assert_eq!(retry_after(" 0.5 ", now), Some(Duration::from_millis(500)));
        // 784111777 is the date of the HTTP specification's own example.
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(7)));
        let later = now + Duration::from_secs(60);
        assert_eq!(retry_after(date, later), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }

    #[test]
    fn statuses_mean_what_people_mean_by_them() {
        let of = |status: u16, said: &str| failure(StatusCode::from_u16(status).unwrap(), said);
        assert!(matches!(of(401, "bad key"), Failure::Unusable(_)));
        assert!(matches!(of(404, ""), Failure::Unusable(_)));
        assert!(matches!(of(400, "too long"), Failure::Rejected(_)));
        assert!(matches!(of(503, ""), Failure::Unanswered(_)));
        assert!(matches!(of(429, "slow down"), Failure::Unanswered(_)));
        assert!(matches!(
            of(429, "insufficient_quota"),
            Failure::Unusable(_)
        ));
        assert!(matches!(of(403, ""), Failure::Unanswered(_)));
        assert!(!worth_another_try(StatusCode::FORBIDDEN));
        assert!(worth_another_try(StatusCode::TOO_MANY_REQUESTS));
        assert!(worth_another_try(StatusCode::BAD_GATEWAY));
    }
}
