//! A decision recorded by a process that doesn't carry the run on.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use runbook_core::event::EventKind;
use runbook_core::schedule::{Answer, Attendance, Circumstances, Refusal, Terminal, record_answer};
use runbook_core::state::RunState;

use super::dispatcher::now;
use super::error::SessionError;
use super::opened::{Opened, open, texts_of};
use crate::journal::{Recorded, Writer};
use crate::store::lock::{PATIENCE, RunLock};
use crate::store::{Place, RunDir, Store, SummaryFold, index};

/// What came of a decision.
pub struct Noted {
    /// What was recorded; empty where nothing was.
    pub recorded: Vec<Recorded>,
    /// Why the answer was not taken.
    pub refusal: Option<Refusal>,
    /// Where the run stands now.
    pub state: RunState,
    /// The journal's head, where something was recorded.
    pub head: Option<String>,
}

/// Takes the run's lock, judges an answer, and records it: nothing runs.
///
/// # Errors
/// Where the run is held elsewhere, can't be read, or can't be written.
pub fn note_answer(store: &Store, dir: &RunDir, answer: &Answer) -> Result<Noted, SessionError> {
    note(store, dir, |opened, circumstances| {
        let (events, verdict) = record_answer(&mut opened.state, answer, circumstances)?;
        Ok((events, verdict.err()))
    })
}

/// Takes the run's lock and adds a line to its timeline.
///
/// # Errors
/// As [`note_answer`].
pub fn note_line(store: &Store, dir: &RunDir, by: &str, text: &str) -> Result<Noted, SessionError> {
    note(store, dir, |opened, circumstances| {
        let event = EventKind::Note { by: by.to_owned(), text: text.to_owned() };
        opened.state.apply(circumstances.now, &event)?;
        Ok((vec![event], None))
    })
}

fn note(
    store: &Store,
    dir: &RunDir,
    decide: impl FnOnce(
        &mut Opened,
        &Circumstances<'_>,
    ) -> Result<(Vec<EventKind>, Option<Refusal>), SessionError>,
) -> Result<Noted, SessionError> {
    let lock = RunLock::acquire(dir, PATIENCE)?;
    let mut opened = open(dir)?;
    let texts = texts_of(dir, &opened.state);
    let boot = crate::keeper::boot_id().map_err(SessionError::Boot)?;
    let survivors = BTreeMap::new();
    let circumstances = Circumstances {
        now: now(),
        attendance: Attendance::Nobody,
        terminal: Terminal::Absent,
        boot: &boot,
        max_parallel: None,
        survivors: &survivors,
        locks: &BTreeMap::new(),
        renderer: &texts,
    };
    let (events, refusal) = decide(&mut opened, &circumstances)?;
    if events.is_empty() {
        return Ok(Noted { recorded: Vec::new(), refusal, state: opened.state, head: None });
    }
    let (writer, mut recorded) = Writer::reopen(dir, &opened.replay, circumstances.now, &events)?;
    let (head, sealed) = writer.seal(now())?;
    recorded.push(sealed);
    let mut fold = SummaryFold::default().with_place(Place::of_run(dir));
    for event in &opened.events {
        fold.apply(event.at, &event.kind);
    }
    for record in &recorded {
        fold.apply(record.event.at, &record.event.kind);
    }
    if let Some(summary) = fold.summary(dir.run(), false)
        && let Err(error) = index::record(store, &summary)
    {
        tracing::warn!(%error, "the index of runs can't be written");
    }
    drop(lock);
    Ok(Noted { recorded, refusal, state: opened.state, head: Some(head) })
}

/// Everything outside that a run may take something from.
#[must_use]
pub fn outside() -> IndexMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
