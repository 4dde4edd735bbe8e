//! Where a model folder has its chat template: the one that transformers 5 takes, or a refusal where several could be meant.

use std::path::Path;

use serde_json::Value;

use super::{of_file, tokenizer_config};
use crate::error::{Error, Result};

/// The file of a folder's template.
const OWN: &str = "chat_template.jinja";
/// The folder of further ones, by their names.
const FURTHER: &str = "additional_chat_templates";

const NAME_ONE: &str =
    "write the one that is meant into a file and name it with the model's `chat_template: FILE`";

/// The template of a model folder: [`OWN`], else that of `tokenizer_config.json`.
///
/// # Errors
/// When there is none, one without text, or several that could be meant.
pub(super) fn of_folder(folder: &Path) -> Result<String> {
    let own = folder.join(OWN);
    let source = match own.exists() {
        true => Some(of_file(&own)?),
        false => None,
    };
    check_further(folder, source.as_deref())?;
    match source {
        Some(source) => Ok(source),
        None => of_config(&tokenizer_config(folder)?, folder)?.ok_or_else(|| {
            Error::Template(format!(
                "`{}` has neither `{OWN}` nor `chat_template` in `tokenizer_config.json`",
                folder.display()
            ))
            .hint("this is a base model without a chat format, give it a template")
        }),
    }
}

/// Whether a folder says anything of a template, be it one that cannot be taken.
pub(crate) fn speaks(folder: &Path) -> bool {
    let config =
        || tokenizer_config(folder).map_or(true, |config| !config["chat_template"].is_null());
    folder.join(OWN).exists() || folder.join(FURTHER).exists() || config()
}

/// A template, unless it would make nothing of every conversation.
pub(crate) fn not_empty(source: String, place: &str) -> Result<String> {
    match source.trim().is_empty() {
        true => Err(
            Error::Template(format!("the chat template in {place} is empty"))
                .hint("take it out, or name another one with the model's `chat_template: FILE`"),
        ),
        false => Ok(source),
    }
}

/// Further templates are asked for by name, but for `default`: transformers takes that before the folder's own, and with further
/// ones alone it has none.
fn check_further(folder: &Path, own: Option<&str>) -> Result<()> {
    let further = folder.join(FURTHER);
    let mut names: Vec<String> = match std::fs::read_dir(&further) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".jinja").map(str::to_owned))
            .collect(),
        Err(_) => return Ok(()),
    };
    names.sort_unstable();
    if names.iter().any(|name| name == "default") {
        let default = further.join("default.jinja");
        return match own == Some(of_file(&default)?.as_str()) {
            true => Ok(()),
            false => Err(Error::Template(format!(
                "`{}` is another template than the folder's own, and transformers takes it instead",
                default.display()
            ))
            .hint(NAME_ONE)),
        };
    }
    if own.is_none() && !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        return Err(Error::Template(format!(
            "`{}` has the templates {}, and no `default`: transformers then takes none of `tokenizer_config.json`",
            further.display(),
            names.join(", ")
        ))
        .hint(NAME_ONE));
    }
    Ok(())
}

/// The template inside `tokenizer_config.json`.
fn of_config(config: &Value, folder: &Path) -> Result<Option<String>> {
    let place = format!("`{}`", folder.join("tokenizer_config.json").display());
    let named: Vec<(&str, &Value)> = match &config["chat_template"] {
        Value::Null => return Ok(None),
        Value::String(source) => return not_empty(source.clone(), &place).map(Some),
        Value::Array(list) => list
            .iter()
            .map(|entry| {
                (
                    entry["name"].as_str().unwrap_or_default(),
                    &entry["template"],
                )
            })
            .collect(),
        Value::Object(table) => table
            .iter()
            .map(|(name, source)| (name.as_str(), source))
            .collect(),
        _ => Vec::new(),
    };
    let mut defaults = named
        .iter()
        .filter(|(name, _)| *name == "default")
        .map(|(_, source)| *source);
    let default = defaults.next();
    if defaults.any(|other| Some(other) != default) {
        return Err(Error::Template(format!(
            "`chat_template` in {place} has two templates `default` that differ"
        ))
        .hint(NAME_ONE));
    }
    if let Some(source) = default.and_then(Value::as_str) {
        return not_empty(source.to_owned(), &place).map(Some);
    }
    let names: Vec<String> = named.iter().map(|(name, _)| format!("`{name}`")).collect();
    Err(Error::Template(format!(
        "`chat_template` in {place} has no template `default`, only {}",
        names.join(", ")
    ))
    .hint(NAME_ONE))
}
