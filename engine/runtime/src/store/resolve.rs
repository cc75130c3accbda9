//! Which run is meant (`cli.md`): a run's id, a unique beginning of one, a
//! runbook's name for its latest run, or `last`.

use runbook_core::id::RunId;
use runbook_core::moment::Moment;

use super::error::{Family, StoreError};
use super::named;
use super::run_directory::{RunDir, segment_name};
use super::state_directory::Store;
use super::summary::Runbook;
use crate::journal;
use crate::keeper::Witness;

/// The word for the latest of all runs.
const LAST: &str = "last";
/// How many runs an ambiguous beginning lists.
const CANDIDATES_MAX: usize = 10;

/// Why a text names no run.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is no run at all.
    #[error("there are no runs yet")]
    NoRuns,
    /// Neither a run nor a runbook with runs.
    #[error("`{text}` is neither a run nor a runbook that has runs")]
    Unknown {
        /// What was given.
        text: String,
    },
    /// The beginning of several ids.
    #[error("`{text}` is the beginning of {count} runs: {}", listed(candidates))]
    Ambiguous {
        /// What was given.
        text: String,
        /// Some of them, the latest first.
        candidates: Vec<RunId>,
        /// How many there are.
        count: usize,
    },
    /// The name of several runbooks.
    #[error("`{text}` could be any of {}; write which one", paths.join(", "))]
    AmbiguousName {
        /// What was given.
        text: String,
        /// Their paths below the folder of runbooks.
        paths: Vec<String>,
    },
    /// The state directory can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn listed(candidates: &[RunId]) -> String {
    candidates.iter().map(RunId::as_str).collect::<Vec<_>>().join(", ")
}

impl ResolveError {
    /// Which exit status this means.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::NoRuns | Self::Unknown { .. } | Self::Ambiguous { .. } | Self::AmbiguousName { .. } => {
                Family::NotFound
            }
            Self::Store(error) => error.family(),
        }
    }
}

impl Store {
    /// The run whose id `text` is, or the beginning of its id; the latest of all for `last`. `None` where it may be the name of a runbook.
    ///
    /// # Errors
    /// Where it means no run or several, or the state directory can't be read.
    pub fn run_of_id(&self, text: &str) -> Result<Option<RunId>, ResolveError> {
        if let Ok(run) = text.parse::<RunId>() {
            return match self.run(&run) {
                Ok(_) if self.opened(&run)?.is_some() => Ok(Some(run)),
                Ok(_) => Err(ResolveError::Unknown { text: text.to_owned() }),
                Err(error) if error.is_missing() => Err(ResolveError::Unknown { text: text.to_owned() }),
                Err(error) => Err(error.into()),
            };
        }
        if text == LAST {
            return self.latest()?.ok_or(ResolveError::NoRuns).map(Some);
        }
        if !text.is_empty() && text.len() < 20 && text.starts_with(|first: char| first.is_ascii_digit()) {
            let candidates = self.beginning_with(text)?;
            match candidates.as_slice() {
                [] => {}
                [run] => return Ok(Some(run.clone())),
                [..] => {
                    let count = candidates.len();
                    let candidates = candidates.into_iter().rev().take(CANDIDATES_MAX).collect();
                    return Err(ResolveError::Ambiguous { text: text.to_owned(), candidates, count });
                }
            }
        }
        Ok(None)
    }

    /// The latest run of a runbook; `None` where it has none.
    ///
    /// # Errors
    /// Where a name means several runbooks, or the state directory can't be read.
    pub fn latest_run(&self, runbook: &Runbook) -> Result<Option<RunId>, ResolveError> {
        named::latest_run(self, runbook)
    }

    fn beginning_with(&self, text: &str) -> Result<Vec<RunId>, StoreError> {
        let mut runs: Vec<RunId> = self.run_ids()?;
        runs.retain(|run| run.as_str().starts_with(text));
        // Leftovers of creations cut short don't make a beginning ambiguous;
        // with many runs it is anyway.
        if runs.len() <= CANDIDATES_MAX {
            let mut opened = Vec::with_capacity(runs.len());
            for run in runs {
                if self.opened(&run)?.is_some() {
                    opened.push(run);
                }
            }
            return Ok(opened);
        }
        Ok(runs)
    }

    /// The latest of all runs. Ids order by the second; within one, the first
    /// line of the journal tells.
    fn latest(&self) -> Result<Option<RunId>, StoreError> {
        let mut best = None;
        let mut second = String::new();
        for name in self.run_names()?.iter().rev() {
            if best.is_some() && !name.starts_with(&second) {
                break;
            }
            let Ok(run) = name.parse::<RunId>() else { continue };
            let Some(opened) = self.opened(&run)? else { continue };
            name[..15].clone_into(&mut second);
            if best.as_ref().is_none_or(|(latest, _)| opened > *latest) {
                best = Some((opened, run));
            }
        }
        Ok(best.map(|(_, run)| run))
    }

    /// When a run's journal was opened first; `None` where it has none, or where the process was gone before the run's
    /// creation was recorded: nothing of it ever started. One that can't be read still is a run, opened at an unknown time.
    pub(super) fn opened(&self, run: &RunId) -> Result<Option<i64>, StoreError> {
        let dir = match self.run(run) {
            Err(error) if error.is_missing() => return Ok(None),
            other => other?,
        };
        if dir.directory().stat(&segment_name(1))?.is_none() {
            return Ok(None);
        }
        let opened = journal::opened_at(&dir)?;
        if !opened.is_created && !has_witnesses(&dir) {
            return Ok(None);
        }
        Ok(Some(opened.at.map_or(i64::MIN, Moment::as_millis)))
    }
}

/// Whether a command of the run was ever started: then its journal has lost records, and is no leftover.
fn has_witnesses(dir: &RunDir) -> bool {
    match Witness::open(&dir.witness_path()) {
        Ok(witness) => witness.used_slots(0).map_or(true, |used| !used.is_empty()),
        Err(error) => error.source.kind() != std::io::ErrorKind::NotFound,
    }
}
