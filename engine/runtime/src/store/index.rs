//! The index of all runs: one line a run, so that 10,000 of them are listed
//! without opening a journal.
//!
//! Derived, and never trusted for more than a list: it can be deleted at any
//! time, and is rebuilt from the runs. A run's last line counts. What it says
//! of finished runs is taken; of unfinished ones, lock and journal are asked.
//! That a line is missing is harmless, so failing to write one must not fail a
//! run.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use runbook_core::id::RunId;
use runbook_core::moment::Moment;
use rustix::fs::{FlockOperation, OFlags};

use super::error::StoreError;
use super::files::Directory;
use super::lock;
use super::mode;
use super::place::Place;
use super::run_directory::{RunDir, segment_name};
use super::state_directory::Store;
use super::summary::{Runbook, Standing, Summary, Tail, summarize};
use crate::journal::{self, JournalError};

const INDEX: &str = "index.jsonl";
/// Replacing the index gives it another inode, so its lock is a file beside it.
const INDEX_LOCK: &str = "index.lock";
/// The largest index that is read, in bytes: above, it is written anew.
const BYTES_MAX: u64 = 1 << 30;
/// How long a line waits for another process's line.
const PATIENCE: Duration = Duration::from_secs(2);
/// Lines beyond two a run that are left before the index is written anew.
const SPARE_LINES: usize = 256;
/// What every line begins with, and the length of a run id.
const LINE_START: &[u8] = b"{\"run\":\"";
const ID_LENGTH: usize = 20;
/// What stands in the line of a run that succeeded.
const SUCCEEDED: &[u8] = b"\"outcome\":\"succeeded\"";
/// What stands in a line before the moment at which its run ended.
const FINISHED: &[u8] = b"\"finished_at\":\"";
/// What ends the part of a line that is about the runbook, and what begins its file.
const OUTCOME: &[u8] = b"\",\"outcome\":\"";
const FILE: &[u8] = b"\",\"file\":\"";
/// The length of the second that a run id begins with.
const SECOND: usize = 15;

/// Which runs are listed. Nothing set: all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this runbook.
    pub runbook: Option<Runbook>,
    /// That stand like one of these; empty: any.
    pub outcomes: Vec<Standing>,
    /// Started at that moment or later.
    pub since: Option<Moment>,
    /// Started by this user.
    pub user: Option<String>,
    /// Only so many, the latest.
    pub limit: Option<usize>,
}

impl Filter {
    /// What can be said without asking lock and journal.
    fn fits(&self, summary: &Summary) -> bool {
        self.runbook.as_ref().is_none_or(|runbook| summary.is_of(runbook))
            && self.since.is_none_or(|since| summary.started_at >= since)
            && self.user.as_deref().is_none_or(|user| summary.user == user)
    }

    fn fits_standing(&self, summary: &Summary) -> bool {
        self.outcomes.is_empty() || self.outcomes.contains(&summary.outcome)
    }
}

/// Writes where a run stands into the index: at its creation, when it parks and
/// when it ends. Not flushed: a lost line is found missing.
///
/// # Errors
/// Where it can't be written; nothing is lost by ignoring that.
pub fn record(store: &Store, summary: &Summary) -> Result<(), StoreError> {
    // The run is still held: only who finds it at rest can say how its journal
    // ended.
    let summary = Summary { tail: None, ..summary.clone() };
    append(store, std::slice::from_ref(&summary))
}

/// The runs that fit, the latest first.
///
/// # Errors
/// Where the state directory can't be read. A run that can't be read itself is
/// listed as interrupted, so that it isn't overlooked.
pub fn list(store: &Store, filter: &Filter) -> Result<Vec<Summary>, StoreError> {
    let names = store.run_names()?;
    let bytes = read_index(store)?;
    let (lines, line_count) = last_lines(&bytes);
    let mut listed = Vec::new();
    let mut learned = Vec::new();
    for name in names.iter().rev() {
        // Ids order by the second; all of the last one are looked at.
        if filter.limit.is_some_and(|limit| listed.len() >= limit)
            && listed.last().is_none_or(|last: &Summary| last.run.as_str()[..SECOND] != name[..SECOND])
        {
            break;
        }
        let indexed = lines.get(name.as_bytes()).and_then(|line| read_line(line));
        if indexed.as_ref().is_some_and(|summary| summary.is_placed() && !filter.fits(summary)) {
            continue;
        }
        let Some((mut summary, is_news)) = refresh(store, name, indexed)? else { continue };
        if is_news {
            learned.push(summary.clone());
        }
        if filter.fits(&summary) && filter.fits_standing(&summary) {
            summary.tail = None;
            listed.push(summary);
        }
    }
    // Runs of one second are in the order of their ids, which is by chance.
    listed.sort_by(|one, other| other.started_at.cmp(&one.started_at).then_with(|| other.run.cmp(&one.run)));
    listed.truncate(filter.limit.unwrap_or(usize::MAX));
    // The list is right with or without the index.
    let _ = append(store, &learned);
    if line_count > 2 * names.len() + SPARE_LINES {
        let _ = compact(store, &names);
    }
    Ok(listed)
}

/// The latest run of each runbook that could be meant, in no order.
///
/// # Errors
/// Where the state directory can't be read.
pub(super) fn latest_of_each(store: &Store, runbook: &Runbook) -> Result<Vec<Summary>, StoreError> {
    let names = store.run_names()?;
    let bytes = read_index(store)?;
    let (lines, _) = last_lines(&bytes);
    let (mut found, mut learned) = (Vec::new(), Vec::new());
    // What stands in a line about its runbook, and the second of the latest run of which it does.
    let mut seen: HashMap<&[u8], &str> = HashMap::new();
    for name in names.iter().rev() {
        let line = lines.get(name.as_bytes());
        // Runs of one second are in the order of their ids, which is by chance.
        if let Some(about) = line.and_then(|line| about_runbook(line))
            && *seen.entry(about).or_insert(&name[..SECOND]) != &name[..SECOND]
        {
            continue;
        }
        let indexed = line.and_then(|line| read_line(line));
        if indexed.as_ref().is_some_and(|summary| summary.is_placed() && !summary.is_of(runbook)) {
            continue;
        }
        let Some((summary, is_news)) = refresh(store, name, indexed)? else { continue };
        if is_news {
            learned.push(summary.clone());
        }
        if summary.is_of(runbook) {
            found.push(summary);
        }
    }
    let _ = append(store, &learned);
    Ok(found)
}

fn read_line(line: &[u8]) -> Option<Summary> {
    serde_json::from_slice(line).ok()
}

/// What a line says of its runbook, in bytes: equal only where that is the same. Nothing of one that lacks the file.
fn about_runbook(line: &[u8]) -> Option<&[u8]> {
    let rest = line.get(LINE_START.len() + ID_LENGTH..)?;
    let end = memchr::memmem::find(rest, OUTCOME)?;
    let about = &rest[..end];
    memchr::memmem::find(about, FILE).map(|_| about)
}

/// The runs that had ended by some moment, which may be another one for those that succeeded, as far as the index knows, in no order: no folder is opened,
/// and no line read but those of runs that old.
///
/// # Errors
/// Where the state directory can't be read.
pub(super) fn ended_by(
    store: &Store,
    succeeded: Option<Moment>,
    others: Option<Moment>,
) -> Result<Vec<Summary>, StoreError> {
    let mut bytes = read_index(store)?;
    if bytes.is_empty() {
        // It was deleted: listing all writes it anew.
        list(store, &Filter::default())?;
        bytes = read_index(store)?;
    }
    // Moments are written so that their texts order as they do.
    let [latest_succeeded, latest_other] = [succeeded, others].map(|moment| moment.map(|at| at.to_string()));
    let (lines, _) = last_lines(&bytes);
    let is_old = |line: &[u8]| {
        let has_succeeded = memchr::memmem::find(line, SUCCEEDED).is_some();
        let latest = if has_succeeded { &latest_succeeded } else { &latest_other };
        let (Some(latest), Some(at)) = (latest, memchr::memmem::find(line, FINISHED)) else { return false };
        let at = at + FINISHED.len();
        line.get(at..at + latest.len()).is_some_and(|text| text <= latest.as_bytes())
    };
    let old = lines.into_values().filter(|line| is_old(line));
    let known = old.filter_map(|line| serde_json::from_slice::<Summary>(line).ok());
    Ok(known
        .filter(|run| {
            let latest = if run.outcome == Standing::Succeeded { succeeded } else { others };
            run.outcome.is_final()
                && run.finished_at.zip(latest).is_some_and(|(finished, latest)| finished <= latest)
        })
        .collect())
}

/// Asks lock and journal of a run, where the index isn't enough. Returns what
/// is true now and whether the index doesn't know it; `None` where the run's
/// creation was cut short or it is gone.
fn refresh(
    store: &Store,
    name: &str,
    indexed: Option<Summary>,
) -> Result<Option<(Summary, bool)>, StoreError> {
    if let Some(summary) = &indexed
        && summary.outcome.is_final()
    {
        return Ok(indexed.map(|summary| with_place(store, summary)));
    }
    let Ok(run) = name.parse::<RunId>() else { return Ok(None) };
    let dir = match store.run(&run) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    if indexed.is_none() && store.opened(&run)?.is_none() {
        return Ok(None);
    }
    // The lock first: what a process that is gone left behind no longer moves.
    let is_held = lock::is_held(&dir)?.is_some();
    let now = tail(&dir)?;
    let at_rest = |summary: &Summary| {
        !is_held
            && now == summary.tail
            && matches!(summary.outcome, Standing::Waiting | Standing::Interrupted)
    };
    if let Some(summary) = indexed.as_ref().filter(|summary| at_rest(summary)) {
        return Ok(Some(with_place(store, summary.clone())));
    }
    let fresh = match journal::read(&dir) {
        Ok(replay) => summarize(&replay, is_held),
        Err(JournalError::Store(error)) if error.is_missing() => None,
        Err(_) => Some(unreadable(run, indexed.as_ref())),
    };
    Ok(fresh.map(|mut fresh| {
        if let Some(indexed) = &indexed {
            fresh.path.clone_from(&indexed.path);
            fresh.file.clone_from(&indexed.file);
        }
        let (mut fresh, _) = with_place(store, fresh);
        fresh.tail = if is_held || fresh.outcome.is_final() { None } else { now };
        // A live run would be news at every look.
        let is_news = indexed.is_none() || (!is_held && indexed.as_ref() != Some(&fresh));
        (fresh, is_news)
    }))
}

/// Fills in where the runbook lies, where the line is of an earlier version, or of a journal alone: its name, where nothing
/// tells. Returns whether anything was filled in.
fn with_place(store: &Store, mut summary: Summary) -> (Summary, bool) {
    if summary.is_placed() {
        return (summary, false);
    }
    let (path, file) = match store.run(&summary.run).ok().and_then(|dir| Place::of_run(&dir)) {
        Some(place) => (place.path, place.file),
        None if summary.path.is_empty() => (summary.runbook.clone(), summary.file.clone()),
        None => (summary.path.clone(), summary.file.clone()),
    };
    let is_news = (&path, &file) != (&summary.path, &summary.file);
    (summary.path, summary.file) = (path, file);
    (summary, is_news)
}

/// What can be said of a run whose journal can't be read.
fn unreadable(run: RunId, indexed: Option<&Summary>) -> Summary {
    let started_at = indexed.map_or_else(|| created_at(&run), |summary| summary.started_at);
    let (runbook, user) =
        indexed.map_or_else(Default::default, |summary| (summary.runbook.clone(), summary.user.clone()));
    Summary {
        run,
        runbook,
        // The index or the run's other files tell.
        path: String::new(),
        file: PathBuf::new(),
        outcome: Standing::Interrupted,
        started_at,
        finished_at: None,
        user,
        waiting_for: Vec::new(),
        tail: None,
    }
}

/// The second that a run's id names.
fn created_at(run: &RunId) -> Moment {
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", &run.as_str()[..SECOND])
        .and_then(|datetime| datetime.to_zoned(jiff::tz::TimeZone::UTC))
        .map_or_else(|_| Moment::default(), |zoned| zoned.timestamp().into())
}

/// The end of a run's journal; `None` where it has none.
fn tail(dir: &RunDir) -> Result<Option<Tail>, StoreError> {
    let Some(segment) = dir.segments()?.last().copied() else { return Ok(None) };
    let status = dir.directory().stat(&segment_name(segment))?;
    Ok(status.map(|status| Tail { segment, bytes: u64::try_from(status.st_size).unwrap_or(0) }))
}

fn read_index(store: &Store) -> Result<Vec<u8>, StoreError> {
    match store.root().read(INDEX, BYTES_MAX) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.is_missing() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The last line of each run, by its id, and how many lines there are.
fn last_lines(index: &[u8]) -> (HashMap<&[u8], &[u8]>, usize) {
    let mut lines = HashMap::with_capacity(index.len() / 300);
    let mut count = 0;
    let mut rest = index;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        count += 1;
        if let Some(id) = line.strip_prefix(LINE_START).and_then(|line| line.get(..ID_LENGTH)) {
            lines.insert(id, line);
        }
        rest = &rest[end + 1..];
    }
    (lines, count)
}

fn append(store: &Store, summaries: &[Summary]) -> Result<(), StoreError> {
    if summaries.is_empty() {
        return Ok(());
    }
    let root = store.root();
    let _lock = lock_index(root)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND;
    let mut file = root.open_with(INDEX, flags, mode::FILE)?;
    let path = root.path().join(INDEX);
    let failed = |source| StoreError::io("write", &path, source);
    let mut text = Vec::new();
    // A line that was cut short must not swallow this one.
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1).map_err(failed)?;
    }
    if last != *b"\n" {
        text.push(b'\n');
    }
    for summary in summaries {
        serde_json::to_writer(&mut text, summary).map_err(|source| failed(source.into()))?;
        text.push(b'\n');
    }
    file.write_all(&text).map_err(failed)
}

/// Writes the index anew, without the runs that are gone.
///
/// # Errors
/// Where it can't be written; nothing is lost by ignoring that.
pub(super) fn renew(store: &Store) -> Result<(), StoreError> {
    compact(store, &store.run_names()?)
}

/// Writes the index anew: one line for each run that still is there.
fn compact(store: &Store, names: &[String]) -> Result<(), StoreError> {
    let root = store.root();
    let _lock = lock_index(root)?;
    let bytes = read_index(store)?;
    let (lines, _) = last_lines(&bytes);
    let mut text = Vec::with_capacity(bytes.len() / 2);
    // A run that was created since is found missing, and comes back.
    for line in names.iter().filter_map(|name| lines.get(name.as_bytes())) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    root.replace(INDEX, &text)
}

fn lock_index(root: &Directory) -> Result<File, StoreError> {
    let file = root.open_with(INDEX_LOCK, OFlags::RDWR | OFlags::CREATE, mode::FILE)?;
    let deadline = Instant::now() + PATIENCE;
    while let Err(errno) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if Instant::now() >= deadline {
            return Err(StoreError::io("lock", &root.path().join(INDEX_LOCK), errno));
        }
        lock::pause(Duration::from_millis(5));
    }
    Ok(file)
}
