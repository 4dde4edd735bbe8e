//! When an answer counts as correct.

use schemars::JsonSchema;
use serde::Deserialize;

use driftgauge_plugin_sdk::{MetricError, Sample};

/// How an answer is held against the accepted ones; the best of several references counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// A reference occurs anywhere in the answer, whatever the case (the rule of arXiv 2409.19476).
    #[default]
    Substring,
    /// The answer is a reference, but for case and white space around it.
    Exact,
    /// Token F1 after TriviaQA's normalisation: a score between 0 and 1.
    F1,
    /// The answer equals a reference after TriviaQA's normalisation.
    Triviaqa,
}

impl Match {
    /// All rules.
    pub const ALL: [Self; 4] = [Self::Substring, Self::Exact, Self::F1, Self::Triviaqa];

    /// Its name in configurations and results.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Substring => "substring",
            Self::Exact => "exact",
            Self::F1 => "f1",
            Self::Triviaqa => "triviaqa",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Substring => "substring",
            Self::Exact => "exact match",
            Self::F1 => "token F1",
            Self::Triviaqa => "TriviaQA match",
        }
    }

    /// Score of `answer` in [0, 1]; 0 without references.
    #[must_use]
    pub fn score(self, answer: &str, references: &[&str]) -> f64 {
        let matches = |hit: bool| f64::from(u8::from(hit));
        match self {
            Self::Substring => {
                let answer = answer.to_lowercase();
                // An empty reference would be a part of every answer.
                let mut named = references.iter().filter(|reference| !reference.is_empty());
                matches(named.any(|reference| answer.contains(&reference.to_lowercase())))
            }
            Self::Exact => {
                let answer = answer.trim().to_lowercase();
                matches(
                    references
                        .iter()
                        .any(|reference| reference.trim().to_lowercase() == answer),
                )
            }
            Self::Triviaqa => {
                let answer = normalise(answer);
                matches(
                    references
                        .iter()
                        .any(|reference| normalise(reference) == answer),
                )
            }
            Self::F1 => {
                let answer = normalise(answer);
                let best = references
                    .iter()
                    .map(|reference| token_f1(&answer, &normalise(reference)));
                best.fold(0.0, f64::max)
            }
        }
    }

    /// The rule as a formula.
    #[must_use]
    pub fn formula(self) -> &'static str {
        match self {
            Self::Substring => {
                "mean over prompts of 1[a reference occurs in the answer, ignoring case]"
            }
            Self::Exact => {
                "mean over prompts of 1[answer = a reference, ignoring case and outer white space]"
            }
            Self::F1 => {
                "mean over prompts of max over references of token F1, TriviaQA normalisation"
            }
            Self::Triviaqa => {
                "mean over prompts of 1[answer = a reference after TriviaQA normalisation]"
            }
        }
    }
}

/// Score of a sample: the recorded one (`value.correct`) when there is one, else by `rule` when the sample has references.
/// `None` when neither exists, or no completion was made.
///
/// # Errors
/// When the sample cannot be read, or a recorded score is outside [0, 1].
pub fn score(sample: &Sample<'_>, rule: Match) -> Result<Option<f64>, MetricError> {
    if sample.opt_str("finish_reason")? == Some("error") {
        return Ok(None);
    }
    if let Some(recorded) = sample.opt_f64("value.correct")? {
        if (0.0..=1.0).contains(&recorded) {
            return Ok(Some(recorded));
        }
        let id = sample.str("sample_id")?;
        return Err(
            MetricError::data(format!("recorded value `correct` is {recorded}"))
                .help("it is 0 for a wrong answer and 1 for a correct one")
                .code("bad-correct")
                .sample(id),
        );
    }
    let references = sample.strs("references")?;
    if references.is_empty() {
        return Ok(None);
    }
    let answer = sample.opt_str("completion")?.unwrap_or_default();
    Ok(Some(rule.score(answer, &references)))
}

/// TriviaQA's normalisation: lower case, `_` and punctuation to spaces, articles dropped, white space squeezed.
#[must_use]
pub fn normalise(text: &str) -> String {
    let spaced: String = text
        .to_lowercase()
        .chars()
        .map(|c| match c {
            '\u{2018}' | '\u{2019}' | '\u{b4}' => ' ',
            c if c.is_ascii_punctuation() => ' ',
            c => c,
        })
        .collect();
    let mut kept = String::with_capacity(spaced.len());
    // Articles are whole words; a word ends at anything that is no letter or digit.
    let mut rest = spaced.as_str();
    while !rest.is_empty() {
        let word = rest
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(word);
        if !matches!(run, "a" | "an" | "the") {
            kept.push_str(run);
        }
        let gap = after.find(char::is_alphanumeric).unwrap_or(after.len());
        kept.push_str(&after[..gap]);
        if matches!(run, "a" | "an" | "the") {
            kept.push(' ');
        }
        rest = &after[gap..];
    }
    let words: Vec<&str> = kept.split_whitespace().collect();
    words.join(" ")
}

/// F1 of two bags of tokens, 0 without overlap.
fn token_f1(answer: &str, reference: &str) -> f64 {
    let answer: Vec<&str> = answer
        .split(' ')
        .filter(|token| !token.is_empty())
        .collect();
    let mut left: Vec<&str> = reference
        .split(' ')
        .filter(|token| !token.is_empty())
        .collect();
    let reference = left.len();
    let mut common = 0usize;
    for token in &answer {
        if let Some(place) = left.iter().position(|other| other == token) {
            left.swap_remove(place);
            common += 1;
        }
    }
    if common == 0 {
        return 0.0;
    }
    let precision = common as f64 / answer.len() as f64;
    let recall = common as f64 / reference as f64;
    2.0 * precision * recall / (precision + recall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triviaqa_normalisation() {
        assert_eq!(
            normalise("The  \u{2018}Great_Gatsby\u{2019}!"),
            "great gatsby"
        );
        assert_eq!(normalise("a-b, an apple"), "b apple");
        assert_eq!(normalise("Theatre"), "theatre");
        assert_eq!(normalise("the"), "");
    }

    #[test]
    fn each_rule() {
        let references = ["New York City", "NYC"];
        let cases = [
            ("It is new york city, I think.", [1.0, 0.0, 0.0, 0.6]),
            (" nyc ", [1.0, 1.0, 1.0, 1.0]),
            ("N.Y.C.", [0.0, 0.0, 0.0, 0.0]),
            ("the New York-City", [0.0, 0.0, 1.0, 1.0]),
            ("", [0.0, 0.0, 0.0, 0.0]),
        ];
        for (answer, expected) in cases {
            let rules = [Match::Substring, Match::Exact, Match::Triviaqa, Match::F1];
            let scores = rules.map(|rule| rule.score(answer, &references));
            assert_eq!(scores, expected, "{answer}");
        }
        assert_eq!(Match::Substring.score("anything", &[""]), 0.0);
    }
}
