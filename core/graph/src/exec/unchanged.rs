//! Whether what a worker loads is still what the keys of its results were made from.

use driftgauge_problem::Problem;

use crate::context::Context;
use crate::model_files::source_digest;
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

fn changed(what: &str, model: &str, path: &std::path::Path) -> Problem {
    let message = format!(
        "{what} of model `{model}` (`{}`) changed since this run was planned",
        path.display()
    );
    Problem::new("files-changed", message).help("run again")
}
