//! Texts of the data in which a special token is spelled out, such as `<|im_end|>`: the tokenizer reads it as that token, so that a turn
//! ends in the middle of a question, or another one begins there.

use driftgauge_engine::{PREFILL_ROLE, Prompt, PromptReader};
use driftgauge_problem::Problem;

/// The special tokens that texts may be found to hold.
pub(super) struct Spellings(Vec<String>);

impl Spellings {
    /// Those of a model whose spelling no plain text has by chance.
    pub(super) fn of(reader: &dyn PromptReader) -> Self {
        let marked = |token: &String| token.len() > 2 && token.starts_with(['<', '[', '|']);
        Self(reader.special().into_iter().filter(marked).collect())
    }

    /// The first one that a turn of the conversation holds.
    fn within(&self, prompt: &Prompt) -> Option<&str> {
        let turns = prompt.messages.iter().flatten();
        // What begins an answer is written for the template.
        let turns = turns.filter(|turn| turn.role != PREFILL_ROLE);
        let mut marked = turns.filter(|turn| turn.content.contains(['<', '[', '|']));
        marked.find_map(|turn| {
            let mut tokens = self.0.iter();
            let found = tokens.find(|token| turn.content.contains(token.as_str()));
            found.map(String::as_str)
        })
    }

    /// A warning where some of the conversations hold one. `of` says whose they are.
    pub(super) fn warning<'a>(
        &self,
        of: &str,
        model: &str,
        all: impl Iterator<Item = (&'a str, &'a Prompt)>,
    ) -> Option<Problem> {
        let mut first = None;
        let (mut count, mut rows) = (0, 0);
        for (id, prompt) in all {
            rows += 1;
            if let Some(token) = self.within(prompt) {
                count += 1;
                first.get_or_insert((id, token));
            }
        }
        let (id, token) = first?;
        Some(
            Problem::new(
                "special-token",
                format!(
                    "{count} of {rows} rows of {of} hold a special token of model `{model}` in their text, the first of them row `{id}` with `{token}`"
                ),
            )
            .help(
                "the tokenizer makes the control token of it, which ends a turn or begins one: put it otherwise in the data, or say that it is meant \
                 with `allow: [special-token]`",
            )
            .of_input(),
        )
    }
}
