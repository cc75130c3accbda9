//! A runbook's name as the name of its latest run: a path below the folder of runbooks, a stem that is unique, or the
//! name that the runbook gives itself.

use std::collections::HashMap;

use runbook_core::id::RunId;

use super::index;
use super::resolve::ResolveError;
use super::state_directory::Store;
use super::summary::Summary;

/// The latest run of the runbook that `text` means; `None` where none has runs.
///
/// # Errors
/// Where it means several runbooks, or the state directory can't be read.
pub(super) fn latest_run(store: &Store, text: &str) -> Result<Option<RunId>, ResolveError> {
    let text = text.strip_suffix(".yaml").or_else(|| text.strip_suffix(".yml")).unwrap_or(text);
    let runs = index::latest_of_each(store, text)?;
    // The whole path says which one is meant, also where another one ends like it.
    let exact: Vec<&Summary> = runs.iter().filter(|run| run.path == text).collect();
    let meant = if exact.is_empty() { runs.iter().collect() } else { exact };
    let mut latest: HashMap<&str, &Summary> = HashMap::new();
    for run in meant {
        let known = latest.entry(&run.path).or_insert(run);
        if (run.started_at, &run.run) > (known.started_at, &known.run) {
            *known = run;
        }
    }
    if latest.len() > 1 {
        let mut paths: Vec<String> = latest.into_keys().map(str::to_owned).collect();
        paths.sort();
        return Err(ResolveError::AmbiguousName { text: text.to_owned(), paths });
    }
    Ok(latest.into_values().next().map(|run| run.run.clone()))
}
