//! `driftgauge show SPEC --sample ask/3 --model tuned`: what a model is shown for a sample, as text and as tokens.

use driftgauge_graph::asked::{Asked, asked, folder_of};
use driftgauge_graph::resolved::{ModelSource, ResolvedExperiment};
use driftgauge_lm::GgufFile;
use driftgauge_lm::answer::Text;
use driftgauge_problem::{Problem, Result};
use driftgauge_record::visible;
use driftgauge_store::Store;
use serde_json::{Value, json};

use super::load::{self, Network, Outcome, Prepared};
use crate::args::{Diagnosing, Format, ShowArgs, SpecArgs, SpecFormat, StoreArgs};
use crate::exit::Exit;

/// A prompt as a model gets it.
struct Shown {
    condition: String,
    row: String,
    text: String,
    tokens: Vec<u32>,
    /// What is scored behind it, each with its tokens.
    scored: Vec<(String, Vec<u32>)>,
}

pub(super) fn run(args: &ShowArgs, sample: &str) -> Result<Exit> {
    let store = Store::look(&args.store);
    let how = Diagnosing {
        format: SpecFormat::Text,
        deny: None,
    };
    let spec = SpecArgs {
        spec: args.dir.clone(),
        set: args.set.clone(),
    };
    let options = StoreArgs {
        store: args.store.clone(),
        plugin_dirs: Vec::new(),
        limit: None,
        device: "cpu".to_owned(),
        offline: true,
    };
    let prepared = match load::prepare(&spec, &options, &store, Network::Closed, how)? {
        Outcome::Ready(prepared) => prepared,
        Outcome::Refused => return Ok(Exit::Usage),
    };
    let experiment = &prepared.planned.experiment;
    let (evaluation, row) = sample.split_once('/').ok_or_else(|| {
        let message = format!("`--sample {sample}` names no evaluation");
        let help = "write `EVALUATION/ROW`, for example `ask/3`: the row's id, or its number from 1 where no id is that";
        Problem::new("bad-sample", message).help(help).of_input()
    })?;
    let resolved = experiment
        .evaluations
        .get(evaluation)
        .ok_or_else(|| unknown("evaluation", evaluation, experiment.evaluations.keys()))?;
    let model = match (&args.model, resolved.models.as_slice()) {
        (Some(model), models) if models.contains(model) => model,
        (None, [only]) => only,
        (Some(model), models) => return Err(unknown("model", model, models)),
        (None, models) => {
            let message = format!("evaluation `{evaluation}` asks several models");
            let help = format!("name one with `--model`: {}", models.join(", "));
            return Err(Problem::new("no-model", message).help(help).of_input());
        }
    };
    let conditions: Vec<&String> = match &args.condition {
        Some(condition) if resolved.conditions.contains_key(condition) => vec![condition],
        Some(condition) => return Err(unknown("condition", condition, resolved.conditions.keys())),
        None => resolved.conditions.keys().collect(),
    };
    let text = text_of(&prepared, &store, model)?;
    let shown: Vec<Shown> = conditions
        .into_iter()
        .map(|condition| shown(experiment, evaluation, condition, row, &text))
        .collect::<Result<_>>()?;
    match args.format {
        Format::Json => println!("{}", as_json(evaluation, model, &shown)),
        Format::Text => shown
            .iter()
            .for_each(|shown| tell(evaluation, model, shown)),
    }
    Ok(Exit::Done)
}

fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a String>) -> Problem {
    let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
    let message = format!("there is no {what} `{name}` here");
    let help = format!("one of {}", known.join(", "));
    Problem::new("unknown-value", message).help(help).of_input()
}

/// The tokenizer and chat template of a model, wherever it lies.
fn text_of(prepared: &Prepared, store: &Store, model: &str) -> Result<Text> {
    let experiment = &prepared.planned.experiment;
    let resolved = &experiment.models[model];
    let template = resolved
        .chat_template
        .as_ref()
        .map(|file| file.path.as_path());
    if let ModelSource::Folder {
        path,
        gguf: Some(file),
        tokenizer,
        ..
    } = &resolved.source
    {
        let file = GgufFile::open(&path.join(file))?;
        return Text::of_gguf(&file, tokenizer.as_deref(), template);
    }
    let folder = folder_of(experiment, &prepared.planned.plan, store, model);
    let folder = folder.filter(|folder| folder.is_dir()).ok_or_else(|| {
        let (why, help) = match &resolved.source {
            ModelSource::Endpoint(_) => (
                "is behind a server, which alone knows its tokens",
                "`driftgauge check --resolved` prints the templates of its prompts",
            ),
            ModelSource::Recorded(_) => (
                "was recorded: nothing is asked of it",
                "name a model that is asked",
            ),
            ModelSource::Hub(_) => (
                "is still to be fetched",
                "`driftgauge run` fetches it, or `hf download`",
            ),
            _ => (
                "is still to be trained: its tokenizer is made with it",
                "run the spec first, with the same `--store`",
            ),
        };
        let message = format!("model `{model}` {why}");
        Problem::new("no-tokenizer", message).help(help).of_input()
    })?;
    Text::of_model(&folder, template)
}

fn shown(
    experiment: &ResolvedExperiment,
    evaluation: &str,
    condition: &str,
    row: &str,
    text: &Text,
) -> Result<Shown> {
    let all = asked(experiment, evaluation, condition)?;
    let by_id = all.iter().find(|asked| asked.sample_id == row);
    let number = row.parse::<usize>().ok();
    let by_number = || all.get(number?.checked_sub(1)?);
    let one = by_id.or_else(by_number).ok_or_else(|| {
        let ids = all.iter().take(5).map(|asked| asked.sample_id.as_str());
        let ids: Vec<&str> = ids.collect();
        let message = format!("evaluation `{evaluation}` has no row `{row}`");
        let help = format!("its {} rows begin with {}", all.len(), ids.join(", "));
        Problem::new("unknown-value", message).help(help).of_input()
    })?;
    let limit = experiment.evaluations[evaluation].conditions[condition].prefill_tokens;
    let (rendered, tokens) = encoded(one, text, limit)?;
    let scored = one.texts.iter().map(|scored| {
        let whole = if one.prompt.messages.is_some() {
            text.encode(&format!("{rendered}{scored}"))
        } else {
            text.encode_plain(&format!("{rendered}{scored}"))
        };
        // Prompt and text are encoded together; where a token reaches over the boundary, it is the text's.
        let whole = whole?;
        let same = whole.iter().zip(&tokens).take_while(|(a, b)| a == b);
        let begins = same.count();
        Ok((scored.clone(), whole[begins..].to_vec()))
    });
    Ok(Shown {
        condition: condition.to_owned(),
        row: one.sample_id.clone(),
        scored: scored.collect::<Result<_>>()?,
        text: rendered,
        tokens,
    })
}

fn encoded(one: &Asked, text: &Text, limit: Option<usize>) -> Result<(String, Vec<u32>)> {
    match &one.prompt.messages {
        Some(messages) => {
            let (tokens, _) = text.encode_conversation(messages, limit)?;
            Ok((text.render(messages)?, tokens))
        }
        None => {
            let tokens = text.encode_plain(&one.prompt.text)?;
            Ok((one.prompt.text.clone(), tokens))
        }
    }
}

fn as_json(evaluation: &str, model: &str, shown: &[Shown]) -> Value {
    let prompts: Vec<Value> = shown
        .iter()
        .map(|shown| {
            let scored = shown.scored.iter();
            let scored: Vec<Value> = scored
                .map(|(text, tokens)| json!({ "text": text, "token_ids": tokens }))
                .collect();
            json!({
                "evaluation": evaluation,
                "condition": shown.condition,
                "model": model,
                "sample": shown.row,
                "prompt": shown.text,
                "prompt_token_ids": shown.tokens,
                "scored": scored,
            })
        })
        .collect();
    json!(prompts)
}

fn tell(evaluation: &str, model: &str, shown: &Shown) {
    let Shown {
        condition,
        row,
        text,
        tokens,
        scored,
    } = shown;
    println!(
        "`{evaluation}/{row}` under `{condition}`, as `{model}` is asked ({} tokens)\n\n{}\n\n{}",
        tokens.len(),
        visible(text),
        ids(tokens)
    );
    for (text, tokens) in scored {
        println!("\nscored behind it: {}\n{}", visible(text), ids(tokens));
    }
    println!();
}

fn ids(tokens: &[u32]) -> String {
    let ids: Vec<String> = tokens.iter().map(u32::to_string).collect();
    ids.join(" ")
}
