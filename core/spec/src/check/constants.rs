//! Templates that say the same of every row: most likely braces that are missing.

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::located::Text;
use crate::spec::{Evaluation, Turn};

impl Checker<'_> {
    /// Prompts, accepted answers and training examples in which no column of the row occurs.
    pub(super) fn constants(&mut self) {
        let spec = self.spec;
        for (id, evaluation) in &spec.evaluations {
            // Where given text is scored, the prompt before it may be the same for all.
            if !scores_alone(evaluation) {
                let conditions = evaluation.conditions.values();
                let prompts = conditions.map(|condition| condition.prompt.as_slice());
                for prompt in prompts.chain([evaluation.prompt.as_slice()]) {
                    self.constant_prompt(
                        &format!("every row of evaluation `{id}` is asked the same"),
                        prompt,
                    );
                }
            }
            let references = evaluation.reference.iter().flat_map(|all| all.as_slice());
            let references: Vec<&Text> = references.collect();
            if !references.is_empty() && references.iter().all(|text| is_constant(text)) {
                self.constant("every row accepts the same answer", references[0]);
            }
            for (text, what) in [
                (
                    evaluation.wrong_answer.as_ref(),
                    "every row has the same wrong answer",
                ),
                (
                    evaluation.behavior.as_ref(),
                    "judges see the same request for every row",
                ),
                (
                    evaluation.perplexity.as_ref().map(|scored| &scored.text),
                    "the same text is scored for every row",
                ),
                (
                    evaluation.kl.as_ref().and_then(|kl| kl.text.as_ref()),
                    "models are compared on the same text for every row",
                ),
            ] {
                if let Some(text) = text.filter(|text| is_constant(text)) {
                    self.constant(what, text);
                }
            }
        }
        for (id, model) in &spec.models {
            let finetune = model.finetune.iter().flat_map(|training| training.parts());
            let pretrain = model.pretrain.iter().flat_map(|training| training.parts());
            let mut told = Vec::new();
            for part in finetune.chain(pretrain) {
                // Parts of a mix share the turns of the training.
                if part.messages.is_empty() || told.contains(&part.messages.as_ptr()) {
                    continue;
                }
                told.push(part.messages.as_ptr());
                self.constant_prompt(
                    &format!("every example of `{id}` is the same"),
                    part.messages,
                );
            }
        }
    }

    fn constant_prompt(&mut self, what: &str, turns: &[Turn]) {
        let asked = turns
            .iter()
            .filter(|turn| !["system", "prefill"].contains(&turn.role()));
        let asked: Vec<&Text> = asked.map(Turn::template).collect();
        if let Some(last) = asked.last()
            && turns.iter().all(|turn| is_constant(turn.template()))
        {
            self.constant(what, last);
            return;
        }
        for text in asked {
            if let Some(name) = python_field(text).filter(|_| is_constant(text)) {
                self.error(
                    Diagnostic::warning(
                        "constant",
                        format!("`{{{name}}}` stands in the text as it is"),
                    )
                    .at(text.span(), "no column is put in here")
                    .help(format!(
                        "a column is written with two braces: `{{{{ {name} }}}}`"
                    )),
                );
            }
        }
    }

    fn constant(&mut self, what: &str, text: &Text) {
        let help = match python_field(text) {
            Some(name) => format!("a column is written with two braces: `{{{{ {name} }}}}`"),
            None if is_word(text) => {
                format!(
                    "a column is written in braces: `\"{{{{ {} }}}}\"`",
                    text.get().trim()
                )
            }
            None => "put in a column of the dataset: `{{ column }}`".to_owned(),
        };
        self.error(
            Diagnostic::warning("constant", what)
                .at(text.span(), "no column is put in here")
                .help(help),
        );
    }
}

/// Given text is scored, and nothing is answered.
fn scores_alone(evaluation: &Evaluation) -> bool {
    let kl = evaluation.kl.as_ref().is_some_and(|kl| kl.text.is_some());
    evaluation.score.is_some() || evaluation.perplexity.is_some() || kl
}

fn is_constant(text: &Text) -> bool {
    !text.contains("{{") && !text.contains("{%")
}

fn is_word(text: &Text) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The name in `{name}`, as Python writes it.
fn python_field(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let inner = &rest[start + 1..];
        let end = inner.find('}')?;
        let name = &inner[..end];
        let fits = !name.is_empty()
            && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if fits {
            return Some(name);
        }
        rest = inner;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::python_field;

    #[test]
    fn names_in_single_braces_are_found() {
        assert_eq!(python_field("Say {q}."), Some("q"));
        for text in ["", "{\"a\": 1}", "{ q }", "{0}", "{", "x"] {
            assert_eq!(python_field(text), None, "{text}");
        }
    }
}
