//! Comparing a run's record with what lies beside it (`cli.md`: `verify`).
//!
//! The chain says that the journal is one; here every log, artifact, answer and
//! the plan is held against what the journal says of it. Findings are
//! collected, none ends the check.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use indexmap::IndexMap;
use runbook_core::event::{Event, EventKind, Evidence, Gate, Identity, Outcome};
use runbook_core::id::StepId;
use runbook_core::plan::{People, Plan};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::evidence::EVIDENCE;
use super::files::Directory;
use super::inbox::{self, FileName, Request};
use super::run_directory::{
    ARTIFACTS, ENVIRONMENT, INBOX, LOGS, PLAN, RunDir, artifact_parts, former_plan, log_name,
};
use crate::journal::{self, JournalError, Replay};
use crate::signature;

/// The largest plan that is read, in bytes.
const PLAN_BYTES_MAX: u64 = 256 << 20;

/// Something that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the run's folder.
    pub file: String,
    /// The line, where it is one of the journal's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What is wrong, to be read after the file's name.
    pub what: String,
}

/// Checks everything that was recorded of a run. `plan_digest` gives the digest
/// of a plan's text, or says why it is none.
///
/// # Errors
/// [`StoreError::NoSuchRun`] where there is nothing to check, and where the
/// run's folder can't be read.
pub fn verify(
    dir: &RunDir,
    plan_digest: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<Problem>, StoreError> {
    let replay = match journal::read(dir) {
        Ok(replay) => replay,
        Err(JournalError::Damaged { file, line, what }) => {
            let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(vec![Problem { file, line: Some(line), what }]);
        }
        Err(JournalError::Store(StoreError::Symlink { path })) => {
            let file = path.strip_prefix(dir.path()).unwrap_or(&path).display().to_string();
            return Ok(vec![Problem { file, line: None, what: "is a symbolic link".into() }]);
        }
        Err(JournalError::Store(error)) => return Err(error),
        Err(error) => {
            return Ok(vec![Problem { file: "journal".into(), line: None, what: error.to_string() }]);
        }
    };
    let mut check = Check { dir, problems: Vec::new() };
    let events = check.understood(&replay);
    check.plan(&events, plan_digest);
    check.logs(&events)?;
    check.artifacts(&events);
    check.answers(&events);
    Ok(check.problems)
}

struct Check<'a> {
    dir: &'a RunDir,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, file: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem { file: file.into(), line: None, what: what.into() });
    }

    /// The events that this version knows; of the others the chain is all that
    /// can be checked.
    fn understood(&mut self, replay: &Replay) -> Vec<Event> {
        let mut events = Vec::with_capacity(replay.events.len());
        for event in &replay.events {
            match event.typed(&replay.run) {
                Ok(event) => events.push(event),
                Err(error) => self.problem("journal", error.to_string()),
            }
        }
        events
    }

    fn plan(&mut self, events: &[Event], digest_of: impl Fn(&str) -> Result<String, String>) {
        let mut recorded = None;
        let mut former: Vec<&String> = Vec::new();
        let mut environment = None;
        for event in events {
            match &event.kind {
                EventKind::RunCreated { plan_digest, environment_digest, .. } => {
                    recorded = Some(plan_digest);
                    environment = environment_digest.as_ref();
                }
                EventKind::RunAdopted { plan_digest, .. } => former.extend(recorded.replace(plan_digest)),
                _ => {}
            }
        }
        let Some(recorded) = recorded else {
            self.problem("journal", "does not say that the run was created");
            return;
        };
        let text = self
            .dir
            .directory()
            .read(PLAN, PLAN_BYTES_MAX)
            .map_err(|error| error.to_string())
            .and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
        match text.and_then(|text| digest_of(&text)) {
            Ok(digest) if digest == *recorded => {}
            Ok(digest) => {
                self.problem(
                    PLAN,
                    format!("is not the plan that was recorded: its digest is {digest}, not {recorded}"),
                );
            }
            Err(error) => self.problem(PLAN, format!("can't be checked: {error}")),
        }
        let directory = self.dir.directory().clone();
        for digest in former {
            let name = former_plan(digest);
            self.content(&directory, &name, &name, digest);
        }
        if let Some(expected) = environment {
            let directory = self.dir.directory().clone();
            self.content(&directory, ENVIRONMENT, ENVIRONMENT, expected);
        }
    }

    /// Compares a file's content with the hash that was recorded.
    fn content(&mut self, directory: &Directory, name: &str, shown: &str, expected: &str) {
        match hash_file(directory, name) {
            Ok(actual) if actual == expected => {}
            Ok(_) => self.problem(shown, "has not the content that was recorded"),
            Err(error) if error.is_missing() => self.problem(shown, "is missing"),
            Err(error) => self.problem(shown, format!("can't be checked: {error}")),
        }
    }

    fn logs(&mut self, events: &[Event]) -> Result<(), StoreError> {
        let logs = match self.dir.logs() {
            Ok(logs) => logs,
            Err(error) => {
                self.problem(LOGS, format!("can't be checked: {error}"));
                return Ok(());
            }
        };
        let mut begun: HashSet<String> = HashSet::new();
        // The last word on each attempt.
        let mut ended: IndexMap<String, (Option<&String>, Outcome)> = IndexMap::new();
        for event in events {
            match &event.kind {
                EventKind::StepStarted { step, attempt, .. } => {
                    begun.insert(log_name(step, *attempt));
                }
                EventKind::StepFinished { step, attempt, outcome, log_sha256, .. } => {
                    ended.insert(log_name(step, *attempt), (log_sha256.as_ref(), *outcome));
                }
                EventKind::UndoStarted { step, attempt, .. } => {
                    begun.insert(log_name(&step.of_undo(), *attempt));
                }
                EventKind::UndoFinished { step, attempt, outcome, log_sha256, .. } => {
                    ended.insert(log_name(&step.of_undo(), *attempt), (log_sha256.as_ref(), *outcome));
                }
                _ => {}
            }
        }
        for (name, (hash, _)) in &ended {
            if let Some(hash) = hash {
                self.content(&logs, name, &format!("{LOGS}/{name}"), hash);
            }
        }
        let mut names = logs.names()?;
        names.sort_unstable();
        for name in names.iter().filter(|name| name.ends_with(".log")) {
            match ended.get(name) {
                // How an interrupted attempt ended isn't known, so neither is its log.
                Some((Some(_), _) | (None, Outcome::Interrupted | Outcome::Cancelled)) => {}
                Some((None, _)) if is_empty(&logs, name) => {}
                Some((None, _)) => {
                    self.problem(format!("{LOGS}/{name}"), "is not in the record of its attempt");
                }
                None if begun.contains(name) => {}
                None => self.problem(
                    format!("{LOGS}/{name}"),
                    "belongs to an attempt that the journal does not know",
                ),
            }
        }
        Ok(())
    }

    fn artifacts(&mut self, events: &[Event]) {
        // A later attempt's copy takes the place of an earlier one's.
        let mut last = IndexMap::new();
        for event in events {
            if let EventKind::Artifact { step, path, sha256, .. } = &event.kind {
                let place = artifact_parts(path).join("/");
                last.insert(format!("{ARTIFACTS}/{}/{place}", step.file_stem()), sha256);
            }
        }
        for (path, expected) in last {
            let (folders, name) = path.rsplit_once('/').unwrap_or_default();
            let folder = folders
                .split('/')
                .try_fold(self.dir.directory().clone(), |folder, part| folder.subdirectory(part));
            match folder {
                Ok(folder) => self.content(&folder, name, &path, expected),
                Err(error) if error.is_missing() => self.problem(&*path, "is missing"),
                Err(error) => self.problem(&*path, format!("can't be checked: {error}")),
            }
        }
    }

    fn answers(&mut self, events: &[Event]) {
        let people = self.people();
        let mut options: HashMap<&StepId, &[String]> = HashMap::new();
        for event in events {
            match &event.kind {
                EventKind::GateOpened { step, gate: Gate::Choose, words, .. } => {
                    options.insert(step, words);
                }
                EventKind::GateAnswered {
                    step, answer, by, identity, file: Some(file), evidence, ..
                } => {
                    self.evidence(evidence);
                    let recorded = Recorded {
                        step,
                        word: answer,
                        options: options.get(step).copied().unwrap_or_default(),
                        by,
                        identity: *identity,
                    };
                    if let Err(what) = self.answer(file, &recorded, &people) {
                        self.problem(format!("{INBOX}/{file}"), what);
                    }
                }
                _ => {}
            }
        }
    }

    /// The files that were given with an answer.
    fn evidence(&mut self, given: &[Evidence]) {
        for evidence in given {
            let Evidence::File { sha256, .. } = evidence else { continue };
            let path = format!("{ARTIFACTS}/{EVIDENCE}/{sha256}");
            let artifacts = self.dir.directory().subdirectory(ARTIFACTS);
            match artifacts.and_then(|artifacts| artifacts.subdirectory(EVIDENCE)) {
                Ok(folder) => self.content(&folder, sha256, &path, sha256),
                Err(error) if error.is_missing() => self.problem(path, "is missing"),
                Err(error) => self.problem(path, format!("can't be checked: {error}")),
            }
        }
    }

    /// Who is who, as the plan has it; a plan that can't be read is found elsewhere.
    fn people(&self) -> People {
        let bytes = self.dir.directory().read(PLAN, PLAN_BYTES_MAX);
        let plan = bytes.ok().and_then(|bytes| serde_json::from_slice::<Plan>(&bytes).ok());
        plan.map(|plan| plan.people).unwrap_or_default()
    }

    fn answer(&self, file: &str, recorded: &Recorded<'_>, people: &People) -> Result<(), String> {
        let Recorded { step, word, by, identity, .. } = *recorded;
        let name: FileName = file.parse().map_err(|error: inbox::InvalidFileName| error.to_string())?;
        let received = inbox::read(self.dir, &name).map_err(|error| {
            if error.is_missing() { "is missing".to_owned() } else { format!("can't be checked: {error}") }
        })?;
        // Whose a signature is, its key says.
        if identity == Identity::User && people.person_of_user(&received.owner) != by {
            return Err(format!("belongs to {}, but the journal says that {by} answered", received.owner));
        }
        let content = received.content?;
        if let (Identity::Signed, Request::Answer(answer)) = (identity, &content) {
            let signature = answer
                .signature
                .as_ref()
                .ok_or("has no signature, but the journal says that it was signed")?;
            match signature::signer(answer, signature, people) {
                Ok(signer) if signer == by => {}
                Ok(signer) => {
                    return Err(format!("is signed by {signer}, but the journal says that {by} answered"));
                }
                Err(error) => return Err(format!("does not hold: {error}")),
            }
        }
        match content {
            Request::Answer(answer) if answer.step == *step && recorded.is_meant_by(&answer.word) => Ok(()),
            Request::Answer(answer) => Err(format!(
                "says `{}` to {}, but the journal says `{word}` to {step}",
                answer.word, answer.step
            )),
            Request::Cancel(_) | Request::Note(_) => Err("is no answer".to_owned()),
        }
    }
}

/// An answer as the journal has it.
#[derive(Clone, Copy)]
struct Recorded<'a> {
    step: &'a StepId,
    word: &'a str,
    /// What there was to choose from; empty for other questions.
    options: &'a [String],
    by: &'a str,
    identity: Identity,
}

impl Recorded<'_> {
    /// Whether the word that was written means the one that was recorded. An option may be written as its number; a name
    /// wins over a number.
    fn is_meant_by(&self, written: &str) -> bool {
        if written == self.word {
            return true;
        }
        let number =
            written.parse::<usize>().ok().filter(|_| !self.options.iter().any(|name| name == written));
        let option = number.and_then(|number| self.options.get(number.checked_sub(1)?));
        option.is_some_and(|option| option == self.word)
    }
}

fn is_empty(directory: &Directory, name: &str) -> bool {
    directory.stat(name).ok().flatten().is_some_and(|status| status.st_size == 0)
}

/// SHA-256 of a file's content in lower-case hexadecimal digits.
fn hash_file(directory: &Directory, name: &str) -> Result<String, StoreError> {
    let mut file = directory.open(name)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(|source| StoreError::io("read", &directory.path().join(name), source))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hasher.finalize().iter().flat_map(|byte| [byte >> 4, byte & 15]).map(hex_digit).collect())
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).expect("four bits are one digit")
}
