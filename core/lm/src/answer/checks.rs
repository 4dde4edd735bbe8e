//! What is proven of a model's tokenizer and chat template before its weights are loaded, and what checks have in common.
//!
//! Each check compares two ways to the same thing. One that fails stops the model, with an explanation.

use driftgauge_engine::{Check, CheckOutcome};
use driftgauge_problem::{Context as _, Problem};
use driftgauge_record::Message;

use super::text::Text;

/// Checks of the tokenizer and the chat template, before the weights are loaded.
///
/// # Errors
/// When one fails.
pub fn of_text(
    text: &Text,
    embedding_rows: Option<u64>,
    plain_text: bool,
) -> Result<Vec<Check>, Problem> {
    let (rendered, template) = if plain_text {
        let reason = "every prompt is plain text".to_owned();
        let skipped = check(CHAT_TEMPLATE, CheckOutcome::Skipped, reason);
        (PROBE.to_owned(), skipped)
    } else {
        let rendered = text
            .render(&probe())
            .with_context(|| format!("self-check `{CHAT_TEMPLATE}` failed"))?;
        let held = "there is a template, and it takes a single user turn".to_owned();
        (rendered, check(CHAT_TEMPLATE, CheckOutcome::Passed, held))
    };
    let tokens = text.encode(&rendered)?;
    all_held(vec![
        template,
        tokenizer_fits(text, embedding_rows),
        tokens_as_listed(text),
        round_trip(text, &rendered, &tokens),
        single_bos(text, &tokens),
    ])
}

/// Refuses a model of which not everything was proven, for those who want nothing less.
///
/// # Errors
/// With the checks that could not be made.
pub fn nothing_unproven(checks: &[Check]) -> Result<(), Problem> {
    let unproven: Vec<String> = checks
        .iter()
        .filter(|check| check.outcome == CheckOutcome::Unproven)
        .map(|check| format!("`{}` was not proven: {}", check.name, check.detail))
        .collect();
    match unproven.is_empty() {
        true => Ok(()),
        false => Err(Problem::failed(unproven.join("; "))
            .help("run without `--strict` to have the numbers with a note in the report")),
    }
}

/// The checks, where none of them failed.
///
/// # Errors
/// With the first that did.
pub fn all_held(checks: Vec<Check>) -> Result<Vec<Check>, Problem> {
    match checks.iter().find(|c| c.outcome == CheckOutcome::Failed) {
        Some(failed) => {
            Err(format!("self-check `{}` failed: {}", failed.name, failed.detail).into())
        }
        None => Ok(checks),
    }
}

/// One finding.
#[must_use]
pub fn check(name: &str, outcome: CheckOutcome, detail: String) -> Check {
    Check {
        name: name.to_owned(),
        outcome,
        detail,
    }
}

const CHAT_TEMPLATE: &str = "chat-template";

/// What the checks ask.
const PROBE: &str = "What is 2 + 2? Answer with one word.";

/// The conversation that the checks use.
fn probe() -> Vec<Message> {
    vec![Message {
        role: "user".to_owned(),
        content: PROBE.to_owned(),
    }]
}

/// The same with a turn of the system.
#[must_use]
pub fn probe_with_system_turn() -> Vec<Message> {
    let system = Message {
        role: "system".to_owned(),
        content: "You are terse.".to_owned(),
    };
    std::iter::once(system).chain(probe()).collect()
}

/// Tokens of what the checks ask.
///
/// # Errors
/// When the template or the tokenizer fails.
pub fn probe_tokens(text: &Text, plain_text: bool) -> Result<Vec<u32>, Problem> {
    match plain_text {
        true => text.encode(PROBE),
        false => text.encode(&text.render(&probe())?),
    }
}

/// So many tokens in no order, so that every position counts; ids below `tokens` are tokens.
#[must_use]
pub fn senseless(length: usize, tokens: u32) -> Vec<u32> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(tokens.max(1))) as u32
    };
    (0..length).map(|_| next()).collect()
}

/// Every id of the tokenizer has a row in the embedding.
fn tokenizer_fits(text: &Text, embedding_rows: Option<u64>) -> Check {
    let (largest, spelling) = &text.vocabulary().largest;
    let (outcome, detail) = match embedding_rows {
        None => (
            CheckOutcome::Skipped,
            "the weights have no embedding under a known name".to_owned(),
        ),
        Some(rows) if u64::from(*largest) < rows => (
            CheckOutcome::Passed,
            format!("the largest token id is {largest}, and the embedding has {rows} rows"),
        ),
        Some(rows) => (
            CheckOutcome::Failed,
            format!(
                "the tokenizer has the token {largest} (`{spelling}`), and the embedding only {rows} rows; the \
                 tokenizer belongs to another model, or tokens were added without `resize_token_embeddings`"
            ),
        ),
    };
    check("tokenizer-fits", outcome, detail)
}

/// The tokenizer gives each added token the id that its configuration lists.
fn tokens_as_listed(text: &Text) -> Check {
    const NAME: &str = "tokens-as-listed";
    match (text.listed(), text.not_as_listed()) {
        (0, _) => check(
            NAME,
            CheckOutcome::Skipped,
            "`tokenizer_config.json` lists no tokens".to_owned(),
        ),
        (n, None) => check(
            NAME,
            CheckOutcome::Passed,
            format!("{n} tokens of `tokenizer_config.json` have the ids that it lists"),
        ),
        (_, Some((id, spelling, tokens))) => check(
            NAME,
            CheckOutcome::Failed,
            format!(
                "`tokenizer_config.json` lists `{spelling}` as token {id}, and the tokenizer makes {tokens:?} of it; save the \
                 tokenizer again with `AutoTokenizer.from_pretrained(...).save_pretrained(...)`"
            ),
        ),
    }
}

/// The tokens of the rendered prompt are the text of the rendered prompt.
fn round_trip(text: &Text, rendered: &str, tokens: &[u32]) -> Check {
    const NAME: &str = "prompt-round-trip";
    let back = text.decode_all(tokens);
    let without_space = |s: &str| s.split_whitespace().collect::<String>();
    let n = tokens.len();
    if back == rendered {
        let detail = format!("{n} tokens of a rendered prompt decode to its very text");
        return check(NAME, CheckOutcome::Passed, detail);
    }
    if without_space(&back) == without_space(rendered) {
        let detail =
            format!("{n} tokens of a rendered prompt decode to its text but for white space");
        return check(NAME, CheckOutcome::Passed, detail);
    }
    check(
        NAME,
        CheckOutcome::Failed,
        format!(
            "the rendered prompt {rendered:?} comes back from the tokenizer as {back:?}; `tokenizer.json` and the \
             chat template belong to different models, or the tokenizer lacks characters"
        ),
    )
}

/// The prompt begins with one BOS at most.
fn single_bos(text: &Text, tokens: &[u32]) -> Check {
    const NAME: &str = "single-bos";
    let Some(bos) = text.bos_id() else {
        let detail = "the model has no BOS token".to_owned();
        return check(NAME, CheckOutcome::Skipped, detail);
    };
    match (tokens.iter().take_while(|&&t| t == bos).count(), text.adds_bos()) {
        (0, true) => check(
            NAME,
            CheckOutcome::Avoided,
            "the tokenizer would add a BOS that the chat template does not write; the template decides".to_owned(),
        ),
        (0, false) => check(NAME, CheckOutcome::Passed, "prompts have no BOS".to_owned()),
        (1, true) => check(
            NAME,
            CheckOutcome::Avoided,
            "the chat template and the tokenizer would both write BOS; the tokenizer's is left out".to_owned(),
        ),
        (1, false) => check(NAME, CheckOutcome::Passed, "prompts begin with one BOS".to_owned()),
        (n, _) => check(
            NAME,
            CheckOutcome::Failed,
            format!("prompts begin with {n} BOS tokens; the chat template writes BOS more than once"),
        ),
    }
}
