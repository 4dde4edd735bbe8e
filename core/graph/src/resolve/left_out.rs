//! Turns that a chat template leaves out: a template that knows no system turn, as the first ones of Phi-3, drops it without a word,
//! and one that misspells `content` asks every row the same.

use std::collections::HashSet;

use driftgauge_engine::{PREFILL_ROLE, Prompt, PromptReader};
use driftgauge_record::{Message, thinking};

/// Which turns of a prompt have to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turns {
    /// All of them.
    All,
    /// The last one: a judge may look at the answer alone.
    Last,
}

/// The first turn that the model does not get to see, by the place of its prompt and its role. Of prompts with the same roles one
/// is tried.
pub(super) fn first_left_out<'a>(
    reader: &dyn PromptReader,
    prompts: impl Iterator<Item = &'a Prompt>,
    turns: Turns,
) -> Option<(usize, String)> {
    let mut tried = HashSet::new();
    prompts.enumerate().find_map(|(place, prompt)| {
        let messages = prompt.messages.as_deref()?;
        let roles: Vec<&str> = messages.iter().map(|turn| turn.role.as_str()).collect();
        if !tried.insert(roles) {
            return None;
        }
        let rendered = squeezed(&reader.render(prompt).ok()?);
        let seen = messages.iter().filter(|turn| turn.role != PREFILL_ROLE);
        let looked_at = match turns {
            Turns::All => 0,
            Turns::Last => seen.clone().count().saturating_sub(1),
        };
        let lost = seen.skip(looked_at).find(|turn| !shows(&rendered, turn))?;
        Some((place, lost.role.clone()))
    })
}

/// Whether a rendered conversation has a turn in it. Templates trim and fold white space, some write JSON, and reasoning of earlier
/// answers is left out on purpose.
fn shows(rendered: &str, turn: &Message) -> bool {
    let (_, said) = thinking::apart(&turn.content, None);
    let json = serde_json::to_string(&said).unwrap_or_default();
    let json = json.trim_matches('"');
    rendered.contains(&squeezed(&said)) || rendered.contains(&squeezed(json))
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
