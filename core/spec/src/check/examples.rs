//! Examples before a prompt: what they are made of, and where they can stand.

use super::{Checker, unknown};
use crate::diagnostic::Diagnostic;
use crate::spec::{Evaluation, Examples, Turn};

impl Checker<'_> {
    pub(super) fn examples(&mut self, evaluation: &Evaluation, examples: &Examples) {
        let spec = self.spec;
        if !spec.datasets.contains_key(examples.dataset.get().as_str()) {
            self.error(unknown("dataset", &examples.dataset, &spec.datasets));
        }
        self.turns(&examples.messages);
        let conditions = evaluation
            .conditions
            .values()
            .map(|condition| &condition.prompt);
        let prompts: Vec<&Vec<Turn>> = conditions
            .chain([&evaluation.prompt])
            .filter(|prompt| !prompt.is_empty())
            .collect();
        let span = examples.dataset.span();
        if prompts.is_empty() {
            self.error(
                Diagnostic::error(
                    "not-together",
                    "examples stand before a prompt, and there is none",
                )
                .at(span, "")
                .help("add `prompt`, or take `examples` out"),
            );
            return;
        }
        let is_text = |turns: &[Turn]| matches!(turns, [Turn::Text(_)]);
        let text = prompts.iter().any(|prompt| is_text(prompt));
        if text && !prompts.iter().all(|prompt| is_text(prompt)) && !examples.messages.is_empty() {
            self.error(
                Diagnostic::error(
                    "not-together",
                    "some prompts are plain text and some conversations, and the examples are one of both",
                )
                .at(span, "")
                .help("leave `messages` out, or put the question in one way"),
            );
        }
        match examples.messages.as_slice() {
            [] if evaluation.reference.is_none() && evaluation.score.is_none() => self.error(
                Diagnostic::error("no-answer", "no answer of the examples is known")
                    .at(span, "shown before each prompt")
                    .help("add `messages` that end with the assistant's turn, or the accepted answers as `reference`"),
            ),
            [] => {}
            turns if text != is_text(turns) => self.error(
                Diagnostic::error(
                    "not-together",
                    match text {
                        true => "the prompt is plain text, and the examples are a conversation",
                        false => "the prompt is a conversation, and the examples are plain text",
                    },
                )
                .at(turns[0].template().span(), "")
                .help(match text {
                    true => "write them as one `text` as well, with its line breaks",
                    false => "write them as turns of a user and the assistant",
                }),
            ),
            turns => {
                if let Some(last) = turns.last()
                    && !matches!(last, Turn::Assistant(_) | Turn::Text(_))
                {
                    self.error(
                        Diagnostic::error("no-answer", "an example ends with its answer")
                            .at(last.template().span(), format!("this is the {}'s turn", last.role()))
                            .help("add the assistant's turn: `{assistant: \"{{ answer }}\"}`"),
                    );
                }
            }
        }
        let judge = evaluation
            .judges
            .iter()
            .find(|(_, judge)| judge.model().is_some());
        if let (true, None, Some((id, _))) = (text, &evaluation.behavior, judge) {
            self.error(
                Diagnostic::error(
                    "not-together",
                    format!("judge `{id}` would be shown the examples as part of the request"),
                )
                .at(span, "put before the text of the prompt")
                .help("say what judges see as the request: `behavior: \"{{ question }}\"`"),
            );
        }
    }
}
