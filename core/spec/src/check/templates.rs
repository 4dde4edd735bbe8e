//! Templates and expressions: tried as far as they can be without data.

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::expression::{ends_early, is_too_deep};
use crate::located::Text;
use crate::spec::Turn;

impl Checker<'_> {
    pub(super) fn turns(&mut self, turns: &[Turn]) {
        for turn in turns {
            self.template(turn.template());
            if let (Turn::Prefill(prefill), false) = (turn, turns.last() == Some(turn)) {
                self.error(
                    Diagnostic::error("not-together", "an answer is begun at the end of a prompt")
                        .at(prefill.prefill.span(), "turns follow")
                        .help("make it the last turn, or write `assistant`"),
                );
            }
            if let Turn::Text(text) = turn
                && turns.len() > 1
            {
                self.error(
                    Diagnostic::error(
                        "not-together",
                        "plain `text` cannot stand among the turns of a conversation",
                    )
                    .at(text.span(), "")
                    .help(
                        "make it the only turn, or say who speaks: `system`, `user` or `assistant`",
                    ),
                );
            }
        }
    }

    pub(super) fn template(&mut self, template: &Text) {
        let environment = minijinja::Environment::new();
        let wrong = match is_too_deep(template, false) {
            true => Some("too many brackets stand within one another".to_owned()),
            false => environment
                .template_from_str(template)
                .err()
                .map(|error| first_line(&error)),
        };
        if let Some(wrong) = wrong {
            self.error(
                Diagnostic::error("bad-template", format!("this is no template: {wrong}"))
                    .at(template.span(), "")
                    .help("templates are minijinja: `{{ column }}`"),
            );
        }
    }

    pub(super) fn expression(&mut self, expression: &Text) {
        let environment = minijinja::Environment::new();
        let early = ends_early(expression).map(str::to_owned);
        let wrong = early.or_else(|| {
            let error = environment.compile_expression(expression).err()?;
            Some(first_line(&error))
        });
        if let Some(wrong) = wrong {
            self.error(
                Diagnostic::error("bad-expression", format!("this is no expression: {wrong}"))
                    .at(expression.span(), "")
                    .help("for example `category == \"doors\" and n > 3`"),
            );
        }
    }
}

fn first_line(error: &minijinja::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
