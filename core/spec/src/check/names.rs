//! Names that a report prints beside each other, and that a reader would take for one thing.

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::located::Text;

impl Checker<'_> {
    /// A condition, or an evaluation, that is called like a model which answers under it: "55.1 % of `base` under `base`".
    pub(super) fn names(&mut self) {
        let spec = self.spec;
        for (id, evaluation) in &spec.evaluations {
            let conditions = evaluation.conditions.keys();
            let conditions = conditions.map(|condition| ("condition", condition));
            for (what, name) in std::iter::once(("evaluation", id)).chain(conditions) {
                let like = |model: &&Text| alike(model, name);
                if let Some(model) = evaluation.models.iter().find(like) {
                    self.shared_name(what, name, model);
                }
            }
        }
    }

    fn shared_name(&mut self, what: &str, name: &Text, model: &Text) {
        let called = format!("{what} `{name}` is called like a model that it asks");
        let help = format!(
            "a report prints the two beside each other; give the {what} a name that says how the models are asked, such as `{}`",
            if what == "condition" {
                "plain"
            } else {
                "harmfulness"
            }
        );
        self.error(
            Diagnostic::warning("same-name", called)
                .at(name.span(), format!("the {what}"))
                .at(model.span(), "the model")
                .help(help),
        );
    }
}

/// Readers do not tell names apart by their case.
fn alike(model: &Text, name: &Text) -> bool {
    model.get().eq_ignore_ascii_case(name.get())
}
