//! Prompts that a model cannot read, told before anything runs: too long for its context, or refused by its chat template.

use std::path::PathBuf;

use driftgauge_engine::LongPrompt;
use driftgauge_graph::asked::{Asked, asked};
use driftgauge_graph::resolved::{ModelSource, ResolvedExperiment, ResolvedModel};
use driftgauge_lm::{ChatTemplate, DecoderConfig, GgufFile, Message, Tokenizer};
use driftgauge_mistralrs::whole_blocks;
use driftgauge_spec::{Diagnostic, ExperimentSpec};
use indexmap::IndexMap;
use serde_json::Value;

/// Complaints about the prompts of every evaluation, one for a model and a condition at most.
pub(crate) fn complaints(
    spec: &ExperimentSpec,
    experiment: &ResolvedExperiment,
) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let mut readers: IndexMap<PathBuf, Option<Reader>> = IndexMap::new();
    for (id, evaluation) in &spec.evaluations {
        let Some(resolved) = experiment.evaluations.get(id.get()) else {
            continue;
        };
        let models: Vec<_> = evaluation
            .models
            .iter()
            .filter_map(|model| Some((model, files_of(experiment, model.get())?)))
            .collect();
        if models.is_empty() || resolved.generate.on_long_prompt != LongPrompt::Error {
            continue;
        }
        for condition in resolved.conditions.keys() {
            // What cannot be filled was told by whoever tried the templates.
            let Ok(mut prompts) = asked(experiment, id.get(), condition) else {
                continue;
            };
            prompts.sort_by_key(|prompt| std::cmp::Reverse(prompt.bytes()));
            for (model, files) in &models {
                let reader = readers
                    .entry(files.key())
                    .or_insert_with(|| Reader::open(files));
                let Some(problem) = reader.as_ref().and_then(|reader| reader.problem(&prompts))
                else {
                    continue;
                };
                let place = match resolved.conditions.len() {
                    1 => format!("evaluation `{id}`"),
                    _ => format!("evaluation `{id}`, condition `{condition}`"),
                };
                let scored = prompts.iter().any(|prompt| !prompt.texts.is_empty());
                out.push(
                    problem
                        .told(&place, model.get(), scored)
                        .at(model.span(), ""),
                );
            }
        }
    }
    out
}

/// The files that say how a model reads a prompt.
struct Files {
    folder: PathBuf,
    gguf: Option<String>,
    tokenizer: Option<PathBuf>,
    chat_template: Option<PathBuf>,
}

impl Files {
    fn key(&self) -> PathBuf {
        let more = [
            self.gguf.as_ref().map(PathBuf::from),
            self.tokenizer.clone(),
            self.chat_template.clone(),
        ];
        more.into_iter()
            .flatten()
            .fold(self.folder.clone(), |key, path| {
                // No part may stand for another: absolute paths would replace what is before them.
                key.join("|").join(path.to_string_lossy().replace('/', "|"))
            })
    }
}

/// Of models on this machine, and of fine-tunes of such.
fn files_of(experiment: &ResolvedExperiment, id: &str) -> Option<Files> {
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
                return Some(Files {
                    folder: path.clone(),
                    gguf: gguf.clone(),
                    tokenizer: tokenizer.clone(),
                    chat_template: model.chat_template.as_ref().map(|file| file.path.clone()),
                });
            }
            ModelSource::Finetune { base, .. } => source = experiment.models.get(base)?,
            _ => return None,
        }
    }
}

/// What a model reads a prompt with.
struct Reader {
    tokenizer: Tokenizer,
    template: Result<ChatTemplate, String>,
    leading: Vec<u32>,
    /// Tokens that fit where the model answers, and where given text is scored.
    context: usize,
    scored: usize,
}

/// Why a model cannot read the prompts.
enum Problem {
    Template {
        sample: String,
        why: String,
    },
    Long {
        sample: String,
        tokens: usize,
        context: usize,
        count: usize,
        of: usize,
    },
}

impl Reader {
    /// `None` where a file is missing or of a kind that is not known here; others tell that.
    fn open(files: &Files) -> Option<Self> {
        let path = files.chat_template.as_deref();
        let (tokenizer, template, context, scored) = match &files.gguf {
            Some(name) => {
                let file = GgufFile::open(&files.folder.join(name)).ok()?;
                // As much of it as mistral.rs can use.
                let context = whole_blocks(file.context()?);
                match &files.tokenizer {
                    Some(folder) => {
                        let template =
                            ChatTemplate::of_model(folder, path).or_else(|_| file.template(path));
                        (
                            Tokenizer::from_folder(folder).ok()?,
                            template,
                            context,
                            context,
                        )
                    }
                    None => (
                        file.tokenizer().ok()?,
                        file.template(path),
                        context,
                        context,
                    ),
                }
            }
            None => {
                let config = std::fs::read(files.folder.join("config.json")).ok()?;
                let config: Value = serde_json::from_slice(&config).ok()?;
                let context = config["max_position_embeddings"].as_u64()?;
                let context = usize::try_from(context).ok()?;
                let scored = DecoderConfig::from_folder(&files.folder)
                    .map_or(context, |config| config.longest_sequence());
                let template = ChatTemplate::of_model(&files.folder, path);
                (
                    Tokenizer::from_folder(&files.folder).ok()?,
                    template,
                    context,
                    scored,
                )
            }
        };
        Some(Self {
            leading: tokenizer.leading().ok()?,
            tokenizer,
            template: template.map_err(|error| error.to_string()),
            context,
            scored,
        })
    }

    /// The first problem among prompts that are sorted by their length, the longest first.
    fn problem(&self, prompts: &[Asked]) -> Option<Problem> {
        let longest = prompts.first()?;
        let refused = |prompt: &Asked, why: String| Problem::Template {
            sample: prompt.sample_id.clone(),
            why,
        };
        let around = match self.text(longest) {
            Ok((text, _)) => text.len().saturating_sub(longest.bytes()),
            Err(why) => return Some(refused(longest, why)),
        };
        let mut found: Option<(String, usize, usize)> = None;
        let mut count = 0;
        for prompt in prompts {
            // No token stands for less than a byte.
            if prompt.bytes() + around + 64 < self.context.min(self.scored) {
                break;
            }
            let Ok((tokens, context)) = self.tokens(prompt) else {
                continue;
            };
            if tokens >= context {
                count += 1;
                found.get_or_insert((prompt.sample_id.clone(), tokens, context));
            }
        }
        let (sample, tokens, context) = found?;
        Some(Problem::Long {
            sample,
            tokens,
            context,
            count,
            of: prompts.len(),
        })
    }

    /// The prompt as text, and what begins it.
    fn text(&self, asked: &Asked) -> Result<(String, &[u32]), String> {
        let Some(messages) = &asked.prompt.messages else {
            return Ok((asked.prompt.text.clone(), &self.leading));
        };
        let messages: Vec<Message> = messages
            .iter()
            .map(|message| Message::new(message.role.clone(), message.content.clone()))
            .collect();
        let template = self.template.as_ref().map_err(Clone::clone)?;
        let text = template
            .render(&messages, true)
            .map_err(|error| error.to_string())?;
        Ok((text, &[]))
    }

    /// Tokens that have to be read, and how many have to be fewer.
    fn tokens(&self, asked: &Asked) -> Result<(usize, usize), String> {
        let (text, before) = self.text(asked)?;
        let count = |scored: &str| {
            let pair = self.tokenizer.pair(&text, scored, before);
            let pair = pair.map_err(|error| error.to_string())?;
            Ok::<_, String>(pair.prompt.len() + pair.continuation.len())
        };
        if asked.texts.is_empty() {
            return Ok((count("")?, self.context));
        }
        // The last token is scored, not read.
        let counts = asked.texts.iter().map(|text| count(text));
        let longest = counts.collect::<Result<Vec<_>, _>>()?.into_iter().max();
        Ok((longest.unwrap_or(0).saturating_sub(1), self.scored + 1))
    }
}

impl Problem {
    fn told(&self, place: &str, model: &str, scored: bool) -> Diagnostic {
        match self {
            Self::Template { sample, why } => {
                let (why, hint) = why.split_once("; hint: ").unwrap_or((why, ""));
                let told = Diagnostic::error(
                    "chat-template",
                    format!(
                        "model `{model}` cannot be asked the prompts of {place} (sample `{sample}`): {why}"
                    ),
                );
                match hint {
                    "" => told.help("write turns that the template takes, or name another with the model's `chat_template: FILE`"),
                    hint => told.help(hint),
                }
            }
            Self::Long {
                sample,
                tokens,
                context,
                count,
                of,
            } => {
                let holds = if scored { context - 1 } else { *context };
                let told = Diagnostic::error(
                    "prompt-too-long",
                    format!(
                        "in {place}, {count} of {of} prompts are too long for model `{model}`: sample `{sample}` has {tokens} tokens, and the \
                         model's context holds {holds}"
                    ),
                );
                told.help(match scored {
                    true => "shorten the text, or leave such rows out with the dataset's `filter`; given text is never cut",
                    false => "shorten the prompt, leave such rows out with the dataset's `filter`, or set `generate: {on_long_prompt: skip}` (such \
                              samples fail) or `truncate` (their beginning is cut)",
                })
            }
        }
    }
}
