//! `keep` of `project.yaml`: how long the runs of a project are kept, applied when one of them starts.

use std::path::Path;
use std::time::Duration;

use runbook_core::document::model::Keep;
use runbook_runtime::run;
use runbook_runtime::store::old::{self, Kept};
use runbook_runtime::store::{Standing, Store, Summary};

use crate::context::Context;
use crate::report::wording::count;

/// Deletes the runs of a project that are older than it keeps them; those that are gone. A run that starts is not worse for what
/// can't be deleted.
pub(crate) fn apply(store: &Store, root: &Path, keep: &Keep) -> Vec<Summary> {
    if keep.succeeded.is_none() && keep.failed.is_none() {
        return Vec::new();
    }
    let now = run::now();
    let is_old = |summary: &Summary| {
        let kept = if summary.outcome == Standing::Succeeded { keep.succeeded } else { keep.failed };
        kept.zip(summary.finished_at)
            .is_some_and(|(kept, finished)| now.since(finished) >= Duration::from(kept))
    };
    let mut found = match old::finished(store) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "old runs can't be found");
            return Vec::new();
        }
    };
    found.retain(|summary| is_old(summary) && is_of(store, summary, root));
    let (gone, kept) = old::delete_all(store, found);
    for Kept { run, why } in kept {
        tracing::warn!(%run, %why, "an old run stays");
    }
    gone
}

/// Says what is gone.
pub(crate) fn tell(context: &Context, gone: &[Summary]) {
    if !gone.is_empty() && !context.console.quiet {
        let runs = count(gone.len(), "old run");
        context.console.say(&format!("deleted as `keep` of project.yaml says: {runs}\n"));
        for summary in gone {
            tracing::info!(run = %summary.run, "an old run was deleted");
        }
    }
}

/// A state directory may hold the runs of several projects.
fn is_of(store: &Store, summary: &Summary, root: &Path) -> bool {
    let environment = store.run(&summary.run).ok().and_then(|dir| run::read_environment(&dir).ok());
    environment.is_some_and(|(environment, _)| environment.root == root)
}
