//! What other processes put into a run: answers, and the wish to cancel or to
//! note something.
//!
//! Each is one file that its author puts in place whole and nobody changes
//! again. Who answered is who owns the file: the kernel vouches for it
//! (`engine.md` §3, §5). The engine that holds the run judges it and journals
//! the decision; a refusal is told by a verdict beside it.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::str::FromStr;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use runbook_core::event::{Evidence, Via};
use runbook_core::id::{RunId, StepId};
use runbook_core::moment::Moment;
use rustix::fs::{FlockOperation, RenameFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::StoreError;
use super::files::Directory;
use super::run_directory::RunDir;
use super::{identity, lock, mode};

/// The largest file that is read from an inbox, in bytes.
pub const BYTES_MAX: u64 = 1 << 20;
/// How long withdrawing waits for an engine that is judging the answer.
const WITHDRAW_PATIENCE: Duration = Duration::from_secs(1);

/// What somebody asks of a run; `kind` in the file says which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Request {
    /// An answer to a question.
    Answer(AnswerFile),
    /// To end the run.
    Cancel(CancelFile),
    /// To add a line to the timeline.
    Note(NoteFile),
}

/// An answer to a question, complete: what the question was, and what was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerFile {
    /// The run.
    pub run: RunId,
    /// The step that the question is about.
    pub step: StepId,
    /// The question's nonce: an answer to an earlier one doesn't fit.
    pub nonce: String,
    /// SHA-256 of what was shown for approval.
    pub digest: String,
    /// The word, as it would be typed at the prompt.
    pub word: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Values for the question's fields.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub fields: IndexMap<String, Value>,
    /// Items of a checklist that are ticked, from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<u32>,
    /// Environment that a retry gets changed.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// Values for later steps, where the step was done by hand.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: IndexMap<String, Value>,
    /// Notes, links and files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// The way it came.
    pub via: Via,
    /// When it was given.
    pub at: Moment,
    /// The process that wrote the file; only to find it.
    pub pid: u32,
    /// An armoured SSH signature over the statement, where it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// The wish to end a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelFile {
    /// The run.
    pub run: RunId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Moment,
    /// The process that wrote the file.
    pub pid: u32,
}

/// A line for the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteFile {
    /// The run.
    pub run: RunId,
    /// The line.
    pub text: String,
    /// When.
    pub at: Moment,
    /// The process that wrote the file.
    pub pid: u32,
}

impl Request {
    /// The run that it is meant for.
    #[must_use]
    pub fn run(&self) -> &RunId {
        match self {
            Self::Answer(answer) => &answer.run,
            Self::Cancel(cancel) => &cancel.run,
            Self::Note(note) => &note.run,
        }
    }
}

/// The name of a request's file: nanoseconds since 1970, process id and random
/// digits, so that names sort in order of arrival. Nothing else is a path here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

/// A text that is no name of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of an answer's file")]
pub struct InvalidFileName(String);

impl FileName {
    fn new() -> Self {
        let nanos = jiff::Timestamp::now().as_nanosecond().max(0);
        Self(format!("{nanos:020}-{}-{}.json", std::process::id(), identity::random_tail()))
    }

    /// The name, as `gate_answered` records it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the verdict on it.
    fn verdict(&self) -> String {
        format!("{}{VERDICT_SUFFIX}", self.0.trim_end_matches(".json"))
    }
}

const VERDICT_SUFFIX: &str = ".verdict.json";

impl FromStr for FileName {
    type Err = InvalidFileName;

    fn from_str(text: &str) -> Result<Self, InvalidFileName> {
        let stem = text.strip_suffix(".json").unwrap_or_default();
        let is_name = (1..=100).contains(&stem.len())
            && stem.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
            && stem.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidFileName(text.chars().take(120).collect()))
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A request that lies in the inbox.
#[derive(Debug)]
pub struct Received {
    /// Its file.
    pub file: FileName,
    /// Who owns it: who answers.
    pub owner_uid: u32,
    /// That user's name.
    pub owner: String,
    /// What it says, or why it can't be taken: to be refused with these words.
    pub content: Result<Request, String>,
    /// Keeps the author from withdrawing it while it is judged and journaled.
    _held: Option<File>,
}

/// What the engine says to a request that it does not take; what it takes is
/// in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it was taken.
    pub accepted: bool,
    /// The exit status for the command that asked (`cli.md`).
    pub exit_code: u8,
    /// Why, for its user.
    pub message: String,
}

/// Puts a request into a run's inbox, durably, and returns its name.
///
/// # Errors
/// Where it is too large or can't be written.
pub fn put(dir: &RunDir, request: &Request) -> Result<FileName, StoreError> {
    let inbox = dir.inbox()?;
    let name = FileName::new();
    let mut bytes = serde_json::to_vec(request)
        .map_err(|source| StoreError::io("write", &inbox.path().join(name.as_str()), source))?;
    bytes.push(b'\n');
    if bytes.len() as u64 > BYTES_MAX {
        return Err(StoreError::refused(inbox.path(), format!("takes no answer above {BYTES_MAX} bytes")));
    }
    inbox.put(name.as_str(), &bytes, mode::ANSWER, RenameFlags::NOREPLACE)?;
    Ok(name)
}

/// The requests that wait, in order of arrival: without those named in
/// `handled` (taken: the journal's `file`s) and those that have a verdict.
///
/// Each is held while its [`Received`] lives: judge, journal, then drop it.
///
/// # Errors
/// Where the inbox can't be read; a file that can't be taken is no error but a
/// [`Received`] that says so.
pub fn pending<S: std::hash::BuildHasher>(
    dir: &RunDir,
    handled: &HashSet<String, S>,
) -> Result<Vec<Received>, StoreError> {
    let inbox = dir.inbox()?;
    let names: HashSet<String> = inbox.names()?.into_iter().collect();
    let mut waiting: Vec<FileName> = names
        .iter()
        .filter(|name| !handled.contains(name.as_str()))
        .filter_map(|name| name.parse::<FileName>().ok())
        .filter(|name| !names.contains(&name.verdict()))
        .collect();
    waiting.sort_unstable();
    let mut received = Vec::with_capacity(waiting.len());
    for file in waiting {
        received.extend(receive(&inbox, dir.run(), file)?);
    }
    Ok(received)
}

/// Reads a request again, as it was taken: for `verify`.
///
/// # Errors
/// Where it isn't there or the inbox can't be read.
pub fn read(dir: &RunDir, file: &FileName) -> Result<Received, StoreError> {
    let inbox = dir.inbox()?;
    let path = inbox.path().join(file.as_str());
    receive(&inbox, dir.run(), file.clone())?
        .ok_or_else(|| StoreError::io("open", &path, std::io::Error::from(std::io::ErrorKind::NotFound)))
}

/// Opens and reads one file; `None` where it was withdrawn meanwhile.
fn receive(inbox: &Directory, run: &RunId, name: FileName) -> Result<Option<Received>, StoreError> {
    let Some(status) = inbox.stat(name.as_str())? else { return Ok(None) };
    let (content, held) = match inbox.open(name.as_str()) {
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => (Err(error.to_string()), None),
        Ok(file) => {
            // The owner withdraws only under the exclusive lock.
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err() {
                return Ok(None);
            }
            let opened = rustix::fs::fstat(&file)
                .map_err(|errno| StoreError::io("stat", &inbox.path().join(name.as_str()), errno))?;
            match opened.st_nlink {
                0 => return Ok(None),
                1 if opened.st_uid == status.st_uid => (read_request(inbox, run, &name, &file), Some(file)),
                1 => (Err("the file changed its owner while it was read".to_owned()), Some(file)),
                _ => (Err("the file has more than one name".to_owned()), Some(file)),
            }
        }
    };
    let owner_uid = status.st_uid;
    let owner = identity::user_name(owner_uid);
    Ok(Some(Received { file: name, owner_uid, owner, content, _held: held }))
}

fn read_request(inbox: &Directory, run: &RunId, name: &FileName, file: &File) -> Result<Request, String> {
    let reading = file.try_clone().map_err(|error| error.to_string())?;
    let bytes = inbox.read_open(name.as_str(), reading, BYTES_MAX).map_err(|error| error.to_string())?;
    let request: Request =
        serde_json::from_slice(&bytes).map_err(|error| format!("is not understood: {error}"))?;
    if request.run() != run {
        return Err(format!("it is meant for run {}", request.run()));
    }
    Ok(request)
}

/// Takes a request back, if nobody has taken it: `is_untaken` is asked (does
/// the journal not name it?) while no engine can be judging it. Returns whether
/// it is gone.
///
/// # Errors
/// Where it can't be opened or removed.
pub fn withdraw(
    dir: &RunDir,
    file: &FileName,
    is_untaken: impl FnOnce() -> bool,
) -> Result<bool, StoreError> {
    let inbox = dir.inbox()?;
    let open = inbox.open(file.as_str())?;
    let deadline = Instant::now() + WITHDRAW_PATIENCE;
    while rustix::fs::flock(&open, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        lock::pause(Duration::from_millis(10));
    }
    if !is_untaken() {
        return Ok(false);
    }
    inbox.remove(file.as_str())?;
    inbox.sync()?;
    Ok(true)
}

/// Tells the author of a request why it was not taken.
///
/// # Errors
/// Where it can't be written.
pub fn write_verdict(dir: &RunDir, file: &FileName, verdict: &Verdict) -> Result<(), StoreError> {
    let inbox = dir.inbox()?;
    let name = file.verdict();
    let bytes = serde_json::to_vec(verdict)
        .map_err(|source| StoreError::io("write", &inbox.path().join(&name), source))?;
    inbox.put(&name, &bytes, mode::VERDICT, RenameFlags::empty())
}

/// What the engine said to a request, if it has said something.
///
/// # Errors
/// Where the verdict can't be read.
pub fn verdict(dir: &RunDir, file: &FileName) -> Result<Option<Verdict>, StoreError> {
    let inbox = dir.inbox()?;
    let name = file.verdict();
    match inbox.read(&name, BYTES_MAX) {
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            StoreError::refused(&inbox.path().join(&name), format!("is not a verdict: {error}"))
        }),
    }
}
