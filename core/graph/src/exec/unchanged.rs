//! Whether what a worker loads is still what the keys of its results were made from.

use driftgauge_problem::Problem;

use crate::context::Context;
use crate::model_files::{adapter_digest, source_digest};
use crate::resolved::ModelSource;

/// Whether the files of a model that lies on this machine are those that the plan knew. Large files are known by size, time of
/// change and inode.
///
/// # Errors
/// When they are others now, or cannot be read.
pub(super) fn check_files(context: &Context, model: &str) -> Result<(), Problem> {
    let resolved = &context.experiment.models[model];
    let digests = context.store.digests();
    if let Some(template) = &resolved.chat_template
        && digests.of(&template.path).ok().as_ref() != Some(&template.digest)
    {
        return Err(changed("the chat template", model, &template.path));
    }
    let ModelSource::Folder { path, digest, .. } = &resolved.source else {
        return Ok(());
    };
    match source_digest(&resolved.source, &|file| digests.of(file)) {
        Some(Err(error)) => Err(format!(
            "cannot read the files of model `{model}` (`{}`): {error}",
            path.display()
        )
        .into()),
        Some(Ok(now)) if now != *digest => Err(changed("the files", model, path)),
        _ => Ok(()),
    }
}

/// Whether an adapter that a model is made from, or whose training begins with it, is the one that the plan knew.
///
/// # Errors
/// When it is another one now, or cannot be read.
pub(super) fn check_adapter(context: &Context, model: &str) -> Result<(), Problem> {
    let adapter = match &context.experiment.models[model].source {
        ModelSource::Adapter { adapter, .. } => adapter,
        ModelSource::Finetune { init_adapter, .. } => init_adapter,
        _ => &None,
    };
    let Some(adapter) = adapter else {
        return Ok(());
    };
    let files = driftgauge_folder::adapter::files(&adapter.path)?;
    let digests = context.store.digests();
    match adapter_digest(&files, &|file| digests.of(file)) {
        Ok(now) if now == adapter.digest => Ok(()),
        Ok(_) => Err(changed("the adapter", model, &adapter.path)),
        Err(error) => Err(format!(
            "cannot read the adapter of model `{model}` (`{}`): {error}",
            adapter.path.display()
        )
        .into()),
    }
}

fn changed(what: &str, model: &str, path: &std::path::Path) -> Problem {
    let message = format!(
        "{what} of model `{model}` (`{}`) changed since this run was planned",
        path.display()
    );
    Problem::new("files-changed", message).help("run again")
}
