//! The inbox as the dispatcher sees it: what came, and what it was told.

use std::collections::HashSet;

use runbook_core::event::Identity;
use runbook_core::id::RunId;
use runbook_core::plan::People;
use runbook_core::schedule::{Answer, Refusal, RefusalKind};

use super::dispatcher::now;
use crate::signature;
use crate::store::inbox::{self, AnswerFile, FileName, Received, Request, Verdict};
use crate::store::{RunDir, StoreError, Watch};

/// A request from another process.
pub(super) enum Mail {
    /// An answer to a question.
    Answer {
        /// Its file.
        file: String,
        /// The answer; `by` is the owner of the file.
        answer: Box<Answer>,
    },
    /// The wish to end the run.
    Cancel {
        /// Its file.
        file: String,
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// A line for the timeline.
    Note {
        /// Its file.
        file: String,
        /// Who.
        by: String,
        /// The line.
        text: String,
    },
    /// A file that can't be taken.
    Unfit {
        /// The file.
        file: String,
        /// Why.
        refusal: Refusal,
    },
}

/// A run's inbox while the run lives.
pub(super) struct Mailbox {
    dir: RunDir,
    /// Whose keys sign.
    people: People,
    watch: Watch,
    handled: HashSet<String>,
    /// Requests that are judged and not yet told: held, so that nobody
    /// withdraws them meanwhile.
    held: Vec<Received>,
}

impl Mailbox {
    /// Begins to watch.
    #[must_use]
    pub(super) fn new(dir: &RunDir, people: People) -> Self {
        Self { people, dir: dir.clone(), watch: Watch::new(dir), handled: HashSet::new(), held: Vec::new() }
    }

    /// Requests that an earlier process has taken already.
    pub(super) fn handled(&mut self, files: impl IntoIterator<Item = String>) {
        self.handled.extend(files);
    }

    /// Waits until something may have come.
    pub(super) async fn changed(&mut self) {
        self.watch.changed().await;
    }

    /// What has come since.
    pub(super) fn read(&mut self) -> Vec<Mail> {
        let received = match inbox::pending(&self.dir, &self.handled) {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(%error, "the inbox can't be read");
                return Vec::new();
            }
        };
        received
            .into_iter()
            .map(|received| {
                let file = received.file.as_str().to_owned();
                self.handled.insert(file.clone());
                let by = received.owner.clone();
                let mail = match &received.content {
                    Ok(Request::Answer(answer)) => match answer_of(answer, by, file.clone(), &self.people) {
                        Ok(answer) => Mail::Answer { answer: Box::new(answer), file },
                        Err(refusal) => Mail::Unfit { file, refusal },
                    },
                    Ok(Request::Cancel(cancel)) => Mail::Cancel { file, by, reason: cancel.reason.clone() },
                    Ok(Request::Note(note)) => Mail::Note { file, by, text: note.text.clone() },
                    Err(why) => Mail::Unfit { file, refusal: Refusal::usage(why.clone()) },
                };
                self.held.push(received);
                mail
            })
            .collect()
    }

    /// Tells the author of a request what became of it, and lets it go.
    pub(super) fn tell(&mut self, file: &str, refusal: Option<&Refusal>) {
        let Ok(name) = file.parse::<FileName>() else { return };
        let verdict = match refusal {
            None => Verdict { accepted: true, exit_code: 0, message: String::new() },
            Some(refusal) => Verdict {
                accepted: false,
                exit_code: exit_code(refusal.kind),
                message: refusal.message.clone(),
            },
        };
        if let Err(error) = inbox::write_verdict(&self.dir, &name, &verdict) {
            tracing::warn!(%error, "a verdict can't be written");
        }
        self.held.retain(|received| received.file != name);
    }

    /// Writes an answer that was given here as a file, as every answer is.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(super) fn file_of(&mut self, answer: &Answer, run: &RunId) -> Result<String, StoreError> {
        let name = put_answer(&self.dir, run, answer)?;
        self.handled.insert(name.as_str().to_owned());
        Ok(name.as_str().to_owned())
    }
}

/// Puts an answer into a run's inbox.
///
/// # Errors
/// Where it can't be written.
pub fn put_answer(dir: &RunDir, run: &RunId, answer: &Answer) -> Result<FileName, StoreError> {
    let file = AnswerFile {
        run: run.clone(),
        step: answer.step.clone(),
        nonce: answer.nonce.clone().unwrap_or_default(),
        digest: answer.digest.clone().unwrap_or_default(),
        word: answer.word.clone(),
        reason: answer.reason.clone(),
        fields: answer.fields.clone(),
        items: answer.items.clone(),
        env: answer.env.clone(),
        outputs: answer.outputs.clone(),
        evidence: answer.evidence.clone(),
        via: answer.via,
        at: now(),
        pid: std::process::id(),
        signature: None,
    };
    inbox::put(dir, &Request::Answer(file))
}

/// The answer that a file holds. Who gave it is who owns the file, or whose key has signed it.
///
/// # Errors
/// Where a signature is nobody's of these people, or over something else.
pub fn answer_of(file: &AnswerFile, owner: String, name: String, people: &People) -> Result<Answer, Refusal> {
    let (by, identity) = match &file.signature {
        None => (owner, Identity::User),
        Some(signature) => {
            let signer = signature::signer(file, signature, people)
                .map_err(|error| Refusal::not_allowed(error.to_string()))?;
            (signer, Identity::Signed)
        }
    };
    Ok(Answer {
        step: file.step.clone(),
        nonce: Some(file.nonce.clone()),
        digest: Some(file.digest.clone()),
        word: file.word.clone(),
        by,
        via: file.via,
        identity,
        reason: file.reason.clone(),
        fields: file.fields.clone(),
        items: file.items.clone(),
        all_items: false,
        evidence: file.evidence.clone(),
        outputs: file.outputs.clone(),
        env: file.env.clone(),
        file: Some(name),
    })
}

/// The exit status of a refusal (`cli.md`).
#[must_use]
pub fn exit_code(kind: RefusalKind) -> u8 {
    match kind {
        RefusalKind::Unchanged => 0,
        RefusalKind::Usage => 2,
        RefusalKind::NotAllowed => 5,
        RefusalKind::Undecided => 7,
    }
}
