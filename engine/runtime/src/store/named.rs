//! A runbook's name as the name of its latest run: a path below the folder of runbooks, a stem that is unique, or the
//! name that the runbook gives itself.

use std::collections::HashMap;

use runbook_core::id::RunId;
use runbook_core::moment::Moment;

use super::index;
use super::resolve::ResolveError;
use super::state_directory::Store;
use super::summary::{Runbook, Summary};

/// The latest run of a runbook; `None` where it has none.
///
/// # Errors
/// Where a name means several runbooks, or the state directory can't be read.
pub(super) fn latest_run(store: &Store, runbook: &Runbook) -> Result<Option<RunId>, ResolveError> {
    let runs = index::latest_of_each(store, runbook)?;
    let Runbook::Name(text) = runbook else {
        return Ok(latest_of(&runs).map(|run| run.run.clone()));
    };
    // The whole path says which one is meant, also where another one ends like it.
    let exact: Vec<&Summary> = runs.iter().filter(|run| run.path == *text).collect();
    let meant = if exact.is_empty() { runs.iter().collect() } else { exact };
    let mut latest: HashMap<&str, &Summary> = HashMap::new();
    for run in meant {
        let known = latest.entry(&run.path).or_insert(run);
        if order(run) > order(known) {
            *known = run;
        }
    }
    if latest.len() > 1 {
        let mut paths: Vec<String> = latest.into_keys().map(str::to_owned).collect();
        paths.sort();
        return Err(ResolveError::AmbiguousName { text: text.clone(), paths });
    }
    Ok(latest.into_values().next().map(|run| run.run.clone()))
}

fn latest_of(runs: &[Summary]) -> Option<&Summary> {
    runs.iter().max_by(|one, other| order(one).cmp(&order(other)))
}

fn order(run: &Summary) -> (Moment, &RunId) {
    (run.started_at, &run.run)
}
