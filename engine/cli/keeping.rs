//! `keep` of `project.yaml`: how long the runs of a project are kept, applied when one of them starts.

use std::path::Path;
use std::time::Duration;

use runbook_core::document::model::Keep;
use runbook_core::moment::Moment;
use runbook_runtime::run;
use runbook_runtime::store::old::{self, Kept};
use runbook_runtime::store::{Store, Summary};

use crate::context::Context;
use crate::report::wording::count;

/// How many old runs one start looks at. What is left is for the next ones.
const LOOKED_AT_MAX: usize = 64;

/// Deletes runs of a project that are older than it keeps them; those that are gone. A run that starts is not worse for what
/// can't be deleted, and doesn't wait for more than a few.
pub(crate) fn apply(store: &Store, root: &Path, keep: &Keep) -> Vec<Summary> {
    if keep.succeeded.is_none() && keep.failed.is_none() {
        return Vec::new();
    }
    let now = run::now();
    let before = |kept: Duration| {
        let ago = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        Moment::from_millis(now.as_millis().saturating_sub(ago))
    };
    let [succeeded, others] = [keep.succeeded, keep.failed].map(|kept| kept.map(|kept| before(kept.into())));
    let mut found = match old::ended_by(store, succeeded, others) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "old runs can't be found");
            return Vec::new();
        }
    };
    if found.len() > LOOKED_AT_MAX {
        // Those of other projects stay: from another one on each time, lest nobody ever gets past them.
        let turn = usize::try_from(now.as_millis().unsigned_abs()).unwrap_or(0) % found.len();
        found.rotate_left(turn);
        found.truncate(LOOKED_AT_MAX);
    }
    found.retain(|summary| is_of(store, summary, root));
    if found.is_empty() {
        return Vec::new();
    }
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
