//! How the models of an experiment read prompts, told before anything runs: by their files, or by the rows that a model is to be
//! trained from nothing on.

use std::path::PathBuf;

use driftgauge_engine::{PromptReader, TextFiles, Untrained};
use driftgauge_problem::Problem;
use driftgauge_spec::ExperimentSpec;
use indexmap::IndexMap;

use super::{ResolveOptions, place};
use crate::model_files::has_template;
use crate::resolved::{ModelSource, ResolvedExperiment, ResolvedModel, Training};
use crate::training_data::examples;

/// What tells how a model reads prompts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ReadBy {
    /// Its files, or those of its base.
    Files(TextFiles),
    /// The rows that it will be trained from nothing on, and its chat template.
    Rows(String, Option<PathBuf>),
}

/// How the models of an experiment read prompts; each set of files is opened once.
pub(super) struct Readers<'a> {
    experiment: &'a ResolvedExperiment,
    options: &'a ResolveOptions,
    opened: IndexMap<ReadBy, Option<Box<dyn PromptReader>>>,
    /// Why files could not be read, by the model that asked first.
    untold: IndexMap<String, Problem>,
}

impl<'a> Readers<'a> {
    pub(super) fn new(experiment: &'a ResolvedExperiment, options: &'a ResolveOptions) -> Self {
        Self {
            experiment,
            options,
            opened: IndexMap::new(),
            untold: IndexMap::new(),
        }
    }

    /// What tells how a model reads; `None` for one that is elsewhere.
    pub(super) fn reads(&self, id: &str) -> Option<ReadBy> {
        if let Some(files) = text_files(self.experiment, id) {
            return Some(ReadBy::Files(files));
        }
        let (root, training) = from_nothing(self.experiment, id)?;
        let model = self.experiment.models.get(id)?;
        let template = model.chat_template.as_ref();
        let template = template.or(training.chat_template.as_ref());
        let template = template.map(|file| file.path.clone());
        Some(ReadBy::Rows(root.to_owned(), template))
    }

    /// Whether a model has a chat template of its own; `None` for one that is elsewhere.
    pub(super) fn has_template(&self, id: &str) -> Option<bool> {
        let model = self.experiment.models.get(id)?;
        let found = match self.reads(id)? {
            ReadBy::Rows(..) => true,
            ReadBy::Files(files) => match (&files.gguf, &files.tokenizer) {
                (None, _) => has_template(&files.folder),
                (Some(_), Some(folder)) => has_template(folder),
                // The template inside a GGUF file is not looked for: judges then have the layout that is documented for them.
                (Some(_), None) => false,
            },
        };
        Some(found || model.chat_template.is_some())
    }

    /// How a model reads prompts, where its files or rows tell.
    pub(super) fn of(&mut self, id: &str) -> Option<&dyn PromptReader> {
        let by = self.reads(id)?;
        let (experiment, options) = (self.experiment, self.options);
        let untold = &mut self.untold;
        let opened = self.opened.entry(by).or_insert_with_key(|by| match by {
            ReadBy::Files(files) => (options.reader)(files).unwrap_or_else(|problem| {
                untold.insert(id.to_owned(), problem);
                None
            }),
            ReadBy::Rows(root, template) => {
                let (_, training) = from_nothing(experiment, root)?;
                let shape = training.architecture.as_ref()?;
                let examples = examples(training, &experiment.datasets).ok()?;
                let messages = examples.train.iter().flat_map(|row| &row.messages);
                (options.untrained)(Untrained {
                    context: shape.max_position_embeddings,
                    vocab_size: shape.vocab_size,
                    chat_template: template.clone(),
                    texts: messages
                        .flat_map(|message| [message.role.clone(), message.content.clone()])
                        .collect(),
                })
            }
        });
        opened.as_deref()
    }

    /// Why files that somebody asked for could not be read, each at the first model that has them.
    pub(super) fn unreadable(self, spec: &ExperimentSpec) -> Vec<Problem> {
        let told = self.untold.into_iter().map(|(id, problem)| {
            let model = spec.models.keys().find(|model| *model.get() == id);
            let problem = Problem {
                code: "bad-model".into(),
                ..problem.prefixed(&format!("model `{id}`: "))
            };
            let problem = problem.of_input();
            match model {
                Some(model) => problem.at(place(model.span())),
                None => problem,
            }
        });
        told.collect()
    }
}

/// The model that is trained from nothing and that a chain of fine-tunes begins with, and its training.
fn from_nothing<'a>(
    experiment: &'a ResolvedExperiment,
    id: &str,
) -> Option<(&'a str, &'a Training)> {
    let (mut id, mut model) = experiment.models.get_key_value(id)?;
    loop {
        match &model.source {
            ModelSource::Pretrain(training) => return Some((id, training)),
            made => (id, model) = experiment.models.get_key_value(made.base()?)?,
        }
    }
}

/// The files by which a model on this machine reads prompts; those of its base where it is made from one.
pub(super) fn text_files(experiment: &ResolvedExperiment, id: &str) -> Option<TextFiles> {
    let model = experiment.models.get(id)?;
    let mut source: &ResolvedModel = model;
    loop {
        match &source.source {
            ModelSource::Folder {
                path,
                gguf,
                tokenizer,
                ..
            } => {
                return Some(TextFiles {
                    folder: path.clone(),
                    gguf: gguf.clone(),
                    tokenizer: tokenizer.clone(),
                    chat_template: model.chat_template.as_ref().map(|file| file.path.clone()),
                    engine: model.engine.unwrap_or_default(),
                });
            }
            made => source = experiment.models.get(made.base()?)?,
        }
    }
}
