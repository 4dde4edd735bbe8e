//! Statistics of the tokens that a server reports, where it reports enough for them.

use driftgauge_record::{Completion, answer_start, is_no_logprob};
use serde::Deserialize;
use serde_json::Value;

/// Most likely tokens asked of a chat completion; the interface allows no more.
pub(crate) const TOP: usize = driftgauge_engine::Endpoint::MOST_LISTED;
/// Most likely tokens asked of a plain completion, and of servers that refuse to give more.
pub(crate) const FEW: usize = 5;
/// Tokens behind the entropy and the mass of the ten most likely.
pub(crate) const TEN: usize = 10;
/// Rounding above 0 that servers' 16-bit arithmetic leaves.
const ROUNDING: f64 = 1e-3;
/// Room for the rounding of several numbers, or of two that were rounded apart.
const LOOSE: f64 = 0.01;

/// One token with what the server says of its position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Position {
    /// The token's text.
    pub(crate) token: String,
    /// Its bytes, where the server gives them: a text has none of a part of a character.
    pub(crate) bytes: Option<Vec<u8>>,
    /// ln p of it.
    pub(crate) logprob: f64,
    /// The most likely tokens of the position with their ln p, most likely first.
    pub(crate) top: Vec<(String, f64)>,
}

/// Why log-probabilities that came with an answer are not used for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unfit {
    /// They are those of another text.
    OtherText,
    /// One of them is no number.
    NoNumber,
    /// The likeliest tokens of a position are no distribution, or not that of its own token.
    NoDistribution,
}

impl Unfit {
    /// What provenance says.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::OtherText => {
                "the server gives some answers log-probabilities of tokens that do not spell them; what needs these is absent there"
            }
            Self::NoNumber => {
                "the server gives tokens of some answers a log-probability that stands for minus infinity or an unknown one; what needs these is absent there"
            }
            Self::NoDistribution => {
                "the server lists likeliest tokens of some answers that are no distribution (more than 1 together, or less likely than the token itself); what needs log-probabilities is absent there"
            }
        }
    }
}

#[derive(Deserialize)]
struct ChatToken {
    token: String,
    #[serde(default)]
    bytes: Value,
    logprob: f64,
    #[serde(default)]
    top_logprobs: Vec<TopToken>,
}

#[derive(Deserialize)]
struct TopToken {
    token: String,
    logprob: f64,
}

#[derive(Deserialize)]
struct TextTokens {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f64>>,
    #[serde(default)]
    top_logprobs: Option<Vec<Option<indexmap::IndexMap<String, f64>>>>,
}

/// The positions of a `logprobs` object, of a chat completion (`content`) or of a plain one (`tokens`); empty when the
/// server offers none.
pub(crate) fn positions(logprobs: &Value) -> Result<Vec<Position>, String> {
    let unreadable =
        |error: serde_json::Error| format!("its log-probabilities are unreadable: {error}");
    let mut positions: Vec<Position> = if logprobs["content"].is_array() {
        let tokens: Vec<ChatToken> =
            serde_json::from_value(logprobs["content"].clone()).map_err(unreadable)?;
        let position = |token: ChatToken| Position {
            token: token.token,
            bytes: serde_json::from_value(token.bytes).ok(),
            logprob: token.logprob,
            top: token
                .top_logprobs
                .into_iter()
                .map(|top| (top.token, top.logprob))
                .collect(),
        };
        tokens.into_iter().map(position).collect()
    } else if logprobs["tokens"].is_array() {
        let list: TextTokens = serde_json::from_value(logprobs.clone()).map_err(unreadable)?;
        let mut tops = list.top_logprobs.unwrap_or_default().into_iter();
        let known = list.tokens.into_iter().zip(list.token_logprobs);
        let position = |(token, logprob): (String, Option<f64>)| Position {
            token,
            bytes: None,
            logprob: logprob.unwrap_or(f64::NAN),
            top: tops
                .next()
                .flatten()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        };
        known.map(position).collect()
    } else {
        Vec::new()
    };
    for position in &mut positions {
        position.top.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    let numbers = |position: &Position| {
        let tops: Vec<f64> = position.top.iter().map(|(_, logprob)| *logprob).collect();
        [vec![position.logprob], tops].concat()
    };
    match positions
        .iter()
        .flat_map(numbers)
        .find(|number| number.is_nan() || *number > ROUNDING)
    {
        Some(number) => Err(format!(
            "it sent {number} as a log-probability, which is no logarithm of a probability"
        )),
        None => Ok(positions),
    }
}

/// Why the positions of an answer tell nothing of it, if they do not.
pub(crate) fn unfit(positions: &[Position]) -> Option<Unfit> {
    let mut own = positions.iter().map(|at| at.logprob);
    let none = own.any(is_no_logprob).then_some(Unfit::NoNumber);
    let other = || {
        let other = positions.iter().any(|at| !is_distribution(at));
        other.then_some(Unfit::NoDistribution)
    };
    none.or_else(other)
}

/// Whether the likeliest tokens of a position can be those of one distribution with its own token.
fn is_distribution(at: &Position) -> bool {
    let whole: f64 = at.top.iter().map(|(_, logprob)| logprob.exp()).sum();
    let near = |number: f64| (number - at.logprob).abs() <= LOOSE * (1.0 + at.logprob.abs());
    // Parts of characters look alike.
    let named = !at.token.is_empty() && !at.token.contains('\u{fffd}');
    let mut listed = at
        .top
        .iter()
        .filter(|(token, _)| named && *token == at.token);
    let likeliest = at.top.first();
    let above = likeliest.is_some_and(|(_, most)| at.logprob > *most && !near(*most));
    let other = listed.clone().next().is_some() && !listed.any(|(_, logprob)| near(*logprob));
    whole <= 1.0 + LOOSE && !above && !other
}

/// Fills the statistics that the positions of the answer suffice for, with ln p of the `likeliest` most likely tokens. Lists are whole or empty: what needs the
/// whole distribution (the full entropy) stays empty, and so does what needs more of the most likely tokens than every position has.
pub(crate) fn fill(completion: &mut Completion, positions: &[Position], likeliest: usize) {
    completion.token_logprob = positions
        .iter()
        .map(|at| narrow(at.logprob.min(0.0)))
        .collect();
    let everywhere = |count: usize| positions.iter().all(|at| at.top.len() >= count);
    let p = |at: &Position, rank: usize| at.top[rank].1.min(0.0).exp();
    if everywhere(1) {
        // The token that was drawn may be likelier than the listed ones only by rounding.
        completion.token_top1_logprob = positions
            .iter()
            .map(|at| narrow(at.top[0].1.max(at.logprob).min(0.0)))
            .collect();
    }
    if everywhere(2) {
        completion.token_margin = positions
            .iter()
            .map(|at| narrow(p(at, 0) - p(at, 1)))
            .collect();
    }
    if everywhere(TEN) {
        let ten = |at: &Position| (0..TEN).map(|rank| p(at, rank)).collect::<Vec<f64>>();
        completion.token_top10_mass = positions
            .iter()
            .map(|at| narrow(ten(at).iter().sum::<f64>().min(1.0)))
            .collect();
        completion.token_top10_entropy = positions
            .iter()
            .map(|at| {
                let terms = ten(at).into_iter().filter(|p| *p > 0.0);
                narrow(terms.map(|p| -p * p.ln()).sum())
            })
            .collect();
    }
    let numbers = |at: &Position| {
        at.top
            .iter()
            .take_while(|top| !is_no_logprob(top.1))
            .count()
    };
    if positions.iter().all(|at| numbers(at) >= likeliest) {
        let tops = positions.iter().flat_map(|at| &at.top[..likeliest]);
        completion.token_top_logprobs = tops.map(|(_, logprob)| narrow(logprob.min(0.0))).collect();
    }
}

/// Fills ln p of the strings that are watched where the answer proper begins. The positions may end before the answer does.
pub(crate) fn watch(completion: &mut Completion, positions: &[Position], watch: &[String]) {
    if let Some(at) = answer_position(positions) {
        completion.first_token_logprob = watched(at, watch);
    }
}

/// The position of the token with which the answer proper begins: behind reasoning that was left in, and marks.
fn answer_position(positions: &[Position]) -> Option<&Position> {
    let spelt: String = positions.iter().map(|at| at.token.as_str()).collect();
    let start = answer_start(&spelt)?;
    let mut end = 0;
    positions.iter().find(|at| {
        end += at.token.len();
        end > start
    })
}

/// ln p, at one position, of the first token of each watched string: the longest listed token that begins it, in all its
/// spellings together (` Unsafe`, `unsafe`). A token that begins several of the strings tells them apart no more, and is left
/// out.
fn watched(at: &Position, watch: &[String]) -> indexmap::IndexMap<String, f32> {
    let spelt = |token: &str| {
        let start = answer_start(token).unwrap_or(token.len());
        token[start..].to_lowercase()
    };
    let begins = |token: &str, word: &str| !token.is_empty() && word.starts_with(token);
    let mut out = indexmap::IndexMap::new();
    for word in watch {
        let own: Vec<(String, f64)> = at
            .top
            .iter()
            .map(|(token, logprob)| (spelt(token), logprob.min(0.0)))
            .filter(|(token, _)| begins(token, word))
            .filter(|(token, _)| watch.iter().filter(|other| begins(token, other)).count() == 1)
            .collect();
        let longest = own.iter().map(|(token, _)| token.len()).max();
        let p: f64 = own
            .iter()
            .filter(|(token, _)| Some(token.len()) == longest)
            .map(|(_, logprob)| logprob.exp())
            .sum();
        if longest.is_some() {
            out.insert(word.clone(), narrow(p.ln().clamp(f64::from(f32::MIN), 0.0)));
        }
    }
    out
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "statistics are stored as f32"
)]
fn narrow(number: f64) -> f32 {
    number as f32
}

#[cfg(test)]
impl Position {
    /// A token without likely ones.
    pub(crate) fn of(token: &str, logprob: f64) -> Self {
        Self {
            token: token.to_owned(),
            bytes: None,
            logprob,
            top: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgauge_record::FinishReason;
    use serde_json::json;

    fn chat(top: usize) -> Value {
        let tops: Vec<Value> = (0..top)
            .map(|rank| json!({ "token": format!("t{rank}"), "logprob": 0.5_f64.powi(rank as i32 + 1).ln() }))
            .collect();
        json!({ "content": [{ "token": "t1", "logprob": 0.25_f64.ln(), "top_logprobs": tops }] })
    }

    fn filled(logprobs: &Value) -> Completion {
        let mut completion =
            driftgauge_record::Completion::of_text(String::new(), FinishReason::Stop);
        fill(&mut completion, &positions(logprobs).unwrap(), 12);
        completion
    }

    #[test]
    fn ten_tokens_give_the_statistics_of_ten() {
        let completion = filled(&chat(20));
        assert!((completion.token_logprob[0] - 0.25_f32.ln()).abs() < 1e-6);
        assert!((completion.token_top1_logprob[0] - 0.5_f32.ln()).abs() < 1e-6);
        assert!((completion.token_margin[0] - 0.25).abs() < 1e-6);
        // Halves: the mass is 1 - 2^-10, the entropy ln 2 times the sum of k / 2^k.
        assert!((completion.token_top10_mass[0] - 0.999_023_44).abs() < 1e-6);
        assert!((completion.token_top10_entropy[0] - 1.378_170_6).abs() < 1e-5);
        assert!(completion.token_entropy.is_empty());
        assert_eq!(completion.token_top_logprobs.len(), 12);
        assert!((completion.token_top_logprobs[11] - 0.5_f32.powi(12).ln()).abs() < 1e-6);
    }

    #[test]
    fn too_few_tokens_leave_lists_empty_and_never_zero() {
        let completion = filled(&chat(5));
        assert_eq!(completion.token_margin.len(), 1);
        assert!(completion.token_top10_entropy.is_empty());
        assert!(completion.token_top10_mass.is_empty());
        assert!(completion.token_top_logprobs.is_empty());
        let completion = filled(&chat(0));
        assert_eq!(completion.token_logprob.len(), 1);
        assert!(completion.token_top1_logprob.is_empty());
        assert!(filled(&Value::Null).token_logprob.is_empty());
    }

    #[test]
    fn the_older_interface_is_read_too() {
        let logprobs = json!({
            "tokens": [" yes", "."], "token_logprobs": [-0.1, -0.2],
            "top_logprobs": [{" yes": -0.1, " no": -2.5}, {".": -0.2}]
        });
        let positions = positions(&logprobs).unwrap();
        assert_eq!(positions[0].top[1], (" no".to_owned(), -2.5));
        let watch = ["yes".to_owned(), "no".to_owned()];
        let watched = watched(&positions[0], &watch);
        assert!((watched["yes"] + 0.1).abs() < 1e-6 && (watched["no"] + 2.5).abs() < 1e-6);
    }

    #[test]
    fn a_watched_string_is_known_by_its_longest_own_beginning() {
        let top = [
            ("un", -0.5),
            ("unsafe", -0.7),
            ("safe", -1.0),
            ("s", -3.0),
            ("", -4.0),
        ];
        let at = Position {
            top: top
                .map(|(token, logprob)| (token.to_owned(), logprob))
                .to_vec(),
            ..Position::of("un", -0.5)
        };
        let found = watched(&at, &["safe".to_owned(), "unsafe".to_owned()]);
        assert!((found["unsafe"] + 0.7).abs() < 1e-6 && (found["safe"] + 1.0).abs() < 1e-6);
        // "s" begins both and tells nothing.
        let found = watched(
            &Position {
                top: vec![("s".to_owned(), -0.1)],
                ..at
            },
            &["safe".to_owned(), "sound".to_owned()],
        );
        assert!(found.is_empty());
    }

    #[test]
    fn the_verdict_is_watched_where_it_stands() {
        let token = |token: &str, top: &[(&str, f64)]| Position {
            top: top.iter().map(|(t, l)| ((*t).to_owned(), *l)).collect(),
            ..Position::of(token, -0.1)
        };
        let positions = [
            token("\n\n", &[("\n\n", -0.1), ("safe", -8.0), ("unsafe", -10.5)]),
            token(
                " Unsafe",
                &[
                    (" Unsafe", 0.5_f64.ln()),
                    ("unsafe", 0.25_f64.ln()),
                    ("Safe", 0.125_f64.ln()),
                ],
            ),
            token("\n", &[("\n", -0.1), ("safe", -0.2)]),
        ];
        let mut completion = Completion::of_text(String::new(), FinishReason::Stop);
        watch(
            &mut completion,
            &positions,
            &["safe".to_owned(), "unsafe".to_owned()],
        );
        let found = &completion.first_token_logprob;
        assert!((found["unsafe"] - 0.75_f32.ln()).abs() < 1e-6, "{found:?}");
        assert!((found["safe"] - 0.125_f32.ln()).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn what_stands_for_minus_infinity_is_no_log_probability() {
        for none in [-9999.0, f64::from(f32::MIN), -750.0] {
            let own = [Position::of("a", -0.5), Position::of("b", none)];
            assert_eq!(unfit(&own), Some(Unfit::NoNumber), "{none}");
        }
        assert_eq!(unfit(&[Position::of("a", -100.0)]), None);
        // A token that is never drawn has a place among the others all the same.
        let top = [("a", -0.1), ("b", -9999.0)].map(|(token, logprob)| (token.to_owned(), logprob));
        let at = Position {
            top: top.to_vec(),
            ..Position::of("a", -0.1)
        };
        assert_eq!(unfit(std::slice::from_ref(&at)), None);
        let mut completion = Completion::of_text("a".to_owned(), FinishReason::Stop);
        fill(&mut completion, &[at], 2);
        assert!((completion.token_margin[0] - (-0.1_f32).exp()).abs() < 1e-6);
        assert!(completion.token_top_logprobs.is_empty());
    }

    #[test]
    fn the_likeliest_tokens_are_one_distribution() {
        let at = |logprob: f64, top: &[(&str, f64)]| Position {
            top: top.iter().map(|(t, l)| ((*t).to_owned(), *l)).collect(),
            ..Position::of("a", logprob)
        };
        for fit in [
            at(-0.1, &[("a", -0.1), ("b", -2.5)]),
            at(-0.1, &[("a", -0.1005), ("b", -2.35)]),
            at(-3.0, &[("b", -0.1)]),
            at(-0.1, &[]),
            // Another token of the same spelling.
            at(-3.0, &[("a", -0.2), ("a", -3.0)]),
        ] {
            assert_eq!(unfit(std::slice::from_ref(&fit)), None, "{fit:?}");
        }
        for unfit_at in [
            at(-0.1, &[("a", -0.1), ("b", -0.2)]),
            at(-2.0, &[("b", -0.1), ("c", -0.5)]),
            at(-0.1, &[("a", -0.2), ("b", -3.0)]),
            at(-0.5, &[("b", -1.0), ("c", -2.0)]),
        ] {
            let found = unfit(&[Position::of("x", -1.0), unfit_at.clone()]);
            assert_eq!(found, Some(Unfit::NoDistribution), "{unfit_at:?}");
        }
    }

    #[test]
    fn a_probability_above_one_is_noticed() {
        let error =
            positions(&json!({ "content": [{ "token": "a", "logprob": 0.7 }] })).unwrap_err();
        assert!(error.contains("0.7"), "{error}");
        assert!(positions(&json!({ "content": [{ "token": "a" }] })).is_err());
    }
}
