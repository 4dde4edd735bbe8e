//! What model folders lack, as far as their settings and the headers of their weights tell it: said before anything runs.

use std::path::Path;

use driftgauge_data::prompt::TEXT_ROLE;
use driftgauge_folder::ends;
use driftgauge_folder::generation::{NotApplied, not_applied};
use driftgauge_folder::rebuilt::{Rebuilt, rebuilt};
use driftgauge_folder::special::{SpecialTokens, largest_token};
use driftgauge_problem::Problem;
use driftgauge_spec::Text;
use indexmap::IndexMap;

use super::Resolver;
use super::adapters::root_folder;
use crate::model_files::{TOKENIZER, has_template};
use crate::resolved::{ResolvedEvaluation, ResolvedModel};

impl Resolver<'_> {
    /// Holds the files of a model folder against each other: one whole set of weights, a head, an embedding with a row for
    /// every token, a tokenizer.
    pub(super) fn sound_folder(&mut self, place: &Text, folder: &Path) -> Option<()> {
        match folder_problem(folder) {
            None => {
                self.settings_passed_over(place, folder);
                self.endless(place, folder);
                self.tokenizer_built_elsewhere(place, folder);
                Some(())
            }
            Some(problem) => {
                self.refuse("bad-model", place.span(), problem);
                None
            }
        }
    }

    /// Says that no token ends an answer of a model, where its files name none.
    fn endless(&mut self, place: &Text, folder: &Path) {
        let ends = ends::of_folder(folder);
        let named =
            SpecialTokens::read(folder).is_ok_and(|tokens| tokens.get("eos_token").is_some());
        if !named && ends.is_ok_and(|ends| ends.is_empty()) {
            self.note(format!(
                "No file of `{place}` names a token that ends an answer (`eos_token_id`, `eos_token`): every answer goes on to `max_tokens`."
            ));
        }
    }

    /// Says what a folder's generation settings ask for that is not done: users may know other answers of the model.
    fn settings_passed_over(&mut self, place: &Text, folder: &Path) {
        // A file that cannot be read is refused by itself.
        let Ok(Some(NotApplied { file, settings })) = not_applied(folder) else {
            return;
        };
        self.note(format!(
            "`{file}` of `{place}` asks for {}, which is not applied: answers are drawn as `generate` says, and transformers by itself would \
             write others.",
            settings.join(", ")
        ));
    }

    /// Says where transformers makes other tokens of a text than the folder's `tokenizer.json`, which counts here.
    pub(super) fn tokenizer_built_elsewhere(&mut self, place: &Text, folder: &Path) {
        // A file that cannot be read is refused by itself.
        let Ok(Some(Rebuilt { class, parts })) = rebuilt(folder) else {
            return;
        };
        let parts: Vec<String> = parts.iter().map(|part| format!("`{part}`")).collect();
        let how = match parts.is_empty() {
            true => "in a way that is not known here".to_owned(),
            false => format!("with another {}", parts.join(", ")),
        };
        self.note(format!(
            "transformers 5 builds the tokenizer of `{place}` anew as a `{class}`, {how}: a text may be other tokens there. Here it is what \
             `tokenizer.json` says."
        ));
    }

    /// Reports models that are asked or trained in conversations and have no chat template.
    pub(super) fn templates(
        &mut self,
        models: &IndexMap<String, ResolvedModel>,
        evaluations: &IndexMap<String, ResolvedEvaluation>,
    ) {
        let spec = self.spec;
        let mut lacking: Vec<(&Text, &str)> = Vec::new();
        for (id, evaluation) in &spec.evaluations {
            let conversations = evaluations.get(id.get()).is_some_and(|resolved| {
                let turns = resolved.conditions.values().flat_map(|c| &c.turns);
                turns.into_iter().any(|turn| turn.role != TEXT_ROLE)
            });
            if conversations {
                let asked = evaluation.models.iter();
                lacking.extend(asked.map(|id| (id, "is asked in turns")));
            }
        }
        for model in spec.models.values() {
            if let Some(finetune) = &model.finetune
                && model.chat_template.is_none()
            {
                lacking.push((&finetune.base, "is the base of a training on turns"));
            }
        }
        let without = |id: &str| {
            let asked = models
                .get(id)
                .filter(|model| model.chat_template.is_none())?;
            let folder = root_folder(id, models)?;
            (!has_template(folder) && asked.source.base().is_none()).then(|| folder.clone())
        };
        let mut seen = std::collections::HashSet::new();
        for (id, purpose) in lacking {
            let Some(folder) = without(id.get()).filter(|_| seen.insert(id.get().clone())) else {
                continue;
            };
            self.problem(
                "no-template",
                id.span(),
                format!(
                    "model `{id}` {purpose}, but `{}` has no chat template",
                    folder.display()
                ),
                Some(
                    "a base model has none: name one with `chat_template: FILE`, or ask with plain text (`text:` instead of turns)"
                        .to_owned(),
                ),
            );
        }
    }
}

fn folder_problem(folder: &Path) -> Option<Problem> {
    let weights = match driftgauge_folder::inspect(folder) {
        Ok(weights) => weights,
        Err(error) => return Some(error.into()),
    };
    let ends = match ends::of_folder(folder) {
        Ok(ends) => ends,
        Err(error) => return Some(error.into()),
    };
    let problem = |message: String| Problem::new("bad-model", message);
    if let Some(rows) = weights.embedding_rows()
        && let Some(end) = ends.iter().find(|end| u64::from(**end) >= rows)
    {
        let message = format!(
            "`{}` says that token {end} ends an answer, but its embedding has only {rows} rows: no answer would end by it",
            folder.display()
        );
        let help = "write the ids of the model's own end tokens into `eos_token_id` of `config.json` and `generation_config.json`";
        return Some(problem(message).help(help));
    }
    if !folder.join(TOKENIZER).is_file() {
        let message = format!("`{}` has no `{TOKENIZER}`", folder.display());
        let help = "save the fast tokenizer with `AutoTokenizer.from_pretrained(...).save_pretrained(FOLDER)`";
        return Some(problem(message).help(help));
    }
    let (id, spelling) = match largest_token(folder) {
        Ok(largest) => largest,
        Err(error) => return Some(error.into()),
    };
    let rows = weights
        .embedding_rows()
        .filter(|rows| u64::from(id) >= *rows)?;
    let message = format!(
        "the tokenizer of `{}` has the token {id} (`{spelling}`), but the embedding only {rows} rows",
        folder.display()
    );
    let help = "tokenizer and weights belong to different models, or the embedding was not resized (`resize_token_embeddings`)";
    Some(problem(message).help(help))
}
