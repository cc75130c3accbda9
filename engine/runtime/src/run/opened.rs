//! A run as it is read from its folder.

use std::sync::Arc;

use runbook_core::event::Event;
use runbook_core::moment::Moment;
use runbook_core::plan::Plan;
use runbook_core::render::{RunFacts, Texts};
use runbook_core::state::RunState;
use sha2::{Digest, Sha256};

use super::adopt;
use super::environment::Environment;
use super::error::SessionError;
use super::files::hex;
use super::printed::Printed;
use crate::journal::{self, Replay};
use crate::store::{ENVIRONMENT, ENVIRONMENT_BYTES_MAX, RunDir};

/// The largest plan that is read back, in bytes.
pub(super) const PLAN_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A plan as it is written to `plan.json`.
#[must_use]
pub fn plan_text(plan: &Plan) -> String {
    let mut text = serde_json::to_string(plan).expect("a plan is plain data: its maps have text keys");
    text.push('\n');
    text
}

/// The digest of a plan: SHA-256 of the text of `plan.json`, as `sha256sum` gives it.
#[must_use]
pub fn plan_digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// A run that was read from its folder.
pub struct Opened {
    /// Its folder.
    pub dir: RunDir,
    /// Where it stands, with the plan that it runs.
    pub state: RunState,
    /// Everything that was recorded.
    pub events: Vec<Event>,
    /// The journal as it was read.
    pub replay: Replay,
}

/// Reads a run: its journal, checked, and the plan that the journal names.
///
/// # Errors
/// Where anything of it is missing, damaged or not what the journal says.
pub fn open(dir: &RunDir) -> Result<Opened, SessionError> {
    let replay = journal::read(dir)?;
    let mut events = Vec::with_capacity(replay.events.len());
    let Standing { state, .. } = follow(dir, &replay, |event| events.push(event))?;
    Ok(Opened { dir: dir.clone(), state, events, replay })
}

/// Where a run stands by its journal.
pub(super) struct Standing {
    pub(super) state: RunState,
    /// Whether `plan.json` is the plan that the journal names last.
    pub(super) plan_is_in_place: bool,
}

/// Follows a journal from its beginning; `each` gets every event once it is taken in.
pub(super) fn follow(
    dir: &RunDir,
    replay: &Replay,
    mut each: impl FnMut(Event),
) -> Result<Standing, SessionError> {
    let mut followed = || {
        let (mut state, plan_is_in_place) = adopt::first_state(dir, replay)?;
        for event in &replay.events {
            let event = event.typed(&replay.run)?;
            state.apply(event.at, &event.kind)?;
            each(event);
        }
        Ok(Standing { state, plan_is_in_place })
    };
    followed().or_else(|error| {
        // What this version doesn't know explains whatever else it makes no sense of.
        replay.typed()?;
        Err(error)
    })
}

/// The run's environment, and the digest of its file.
///
/// # Errors
/// Where it can't be read.
pub fn read_environment(dir: &RunDir) -> Result<(Environment, String), SessionError> {
    let bytes = dir.directory().read(ENVIRONMENT, ENVIRONMENT_BYTES_MAX)?;
    let environment = serde_json::from_slice(&bytes)
        .map_err(|source| SessionError::Malformed { path: dir.path().join(ENVIRONMENT), source })?;
    Ok((environment, hex(&Sha256::digest(&bytes))))
}

/// Renders the texts of a run.
#[must_use]
pub fn texts_of(dir: &RunDir, state: &RunState) -> Texts {
    let created = state.created.as_ref();
    Texts {
        facts: RunFacts {
            id: dir.run().clone(),
            user: created.map_or_else(String::new, |created| created.user.clone()),
            host: created.map_or_else(String::new, |created| created.host.clone()),
            started_at: created.map_or_else(Moment::default, |created| created.at),
            dir: dir.files_path().to_string_lossy().into_owned(),
            interactive: created.is_some_and(|created| created.interactive),
        },
        recorded: Arc::new(Printed::new(dir.clone())),
    }
}
