//! From a rendered command to a keeper, and what the keeper tells of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runbook_core::id::StepId;
use runbook_core::plan::Step;
use runbook_core::render::Launch;
use tokio::sync::mpsc::UnboundedSender;

use super::environment::Environment;
use super::locks::Locks;
use super::message::Message;
use super::shell::Shells;
use crate::keeper::{self, AttemptSpec, CommandTerminal, Control, Exit, Helper, NotStarted, Script, Verdict};
use crate::redact::{Masker, Secrets};
use crate::store::RunDir;

/// What every command of a run is started with.
#[derive(Clone)]
pub(super) struct Workshop {
    /// Forks keepers.
    pub helper: Arc<Helper>,
    /// The run's folder.
    pub dir: RunDir,
    /// What the run keeps from outside.
    pub environment: Arc<Environment>,
    /// Named locks, which keepers hold as well.
    pub locks: Arc<Locks>,
    /// For masking what commands print.
    pub secrets: Arc<Secrets>,
    /// For masking what probes see.
    pub masker: Masker,
    /// For files that live as long as an attempt.
    pub runtime_dir: Arc<PathBuf>,
    /// The shell where a step names none: `bash`, else `sh`.
    pub default_shell: Arc<str>,
    /// The options of shells that were looked at already.
    pub shells: Arc<Shells>,
}

/// How one attempt of a command is run.
pub(super) struct Attempt {
    /// The step.
    pub step: StepId,
    /// The name under which its files are kept.
    pub files: StepId,
    /// The attempt.
    pub number: u32,
    /// Its slot in the witness file; none for a probe.
    pub slot: Option<u32>,
    /// Bounds it.
    pub timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How much output is kept.
    pub log_limit: u64,
    /// Whether output is recorded.
    pub logged: bool,
    /// Whether it lives on.
    pub background: bool,
}

impl Attempt {
    /// A command beside the step's own: a probe, or what tells a message. It has no slot and no log, and is ended with the engine's need of it.
    pub(super) fn beside(step: &Step, number: u32) -> Self {
        Self {
            step: step.id.clone(),
            files: step.files_id(),
            number,
            slot: None,
            timeout: step.timeout.map(Into::into),
            grace: step.grace.into(),
            log_limit: step.log_limit,
            logged: false,
            background: false,
        }
    }

    /// The step's own command.
    pub(super) fn of(step: &Step, number: u32, slot: Option<u32>) -> Self {
        let background = step.action.is_background();
        let beside = Self::beside(step, number);
        Self { slot, timeout: beside.timeout.filter(|_| !background), logged: true, background, ..beside }
    }
}

/// A terminal for a command.
pub(super) struct Lending {
    /// The command's own.
    pub terminal: CommandTerminal,
    /// Which kind the operator's is: that of today, and not of the run's first process.
    pub kind: Option<String>,
}

/// How a command ended, seen by the engine.
#[derive(Debug)]
pub(super) enum ProcessEnd {
    /// It is over.
    Exited(Exit),
    /// Nothing was started.
    NotStarted(NotStarted),
    /// The keeper is gone: the witness tells.
    Lost,
}

/// Distinguishes the script files of one engine.
static SCRIPT: AtomicU64 = AtomicU64::new(0);

impl Workshop {
    /// Describes a command to its keeper.
    #[must_use]
    pub(super) fn spec(
        &self,
        attempt: &Attempt,
        mut launch: Launch,
        lending: Option<Lending>,
    ) -> AttemptSpec {
        if let Some(kind) = lending.as_ref().and_then(|lending| lending.kind.clone())
            && !launch.env.iter().any(|(name, _)| name == "TERM")
        {
            launch.env.push(("TERM".into(), kind));
        }
        let mut argv: Vec<OsString> = Vec::new();
        let mut script = None;
        if let Some(text) = launch.script {
            argv.extend(
                self.shells
                    .argv(&launch.argv, &self.default_shell, &self.environment)
                    .into_iter()
                    .map(Into::into),
            );
            let number = SCRIPT.fetch_add(1, Ordering::Relaxed);
            let name =
                format!("{}.{}.{}.{number}.sh", self.dir.run(), attempt.files.file_stem(), attempt.number);
            script = Some(Script { path: self.runtime_dir.join(name), content: text.into_bytes() });
        } else {
            argv.extend(launch.argv.into_iter().map(Into::into));
        }
        let cwd = match &launch.cwd {
            Some(cwd) => self.environment.root.join(cwd),
            None => self.environment.root.clone(),
        };
        let output_file = attempt.logged.then(|| {
            self.runtime_dir.join(format!(
                "{}.{}.{}.out",
                self.dir.run(),
                attempt.files.file_stem(),
                attempt.number
            ))
        });
        let mut spec = AttemptSpec::new(argv, cwd);
        spec.script = script;
        spec.env = self.variables(attempt, launch.env, output_file.as_deref());
        spec.stdin = launch.stdin.map(String::into_bytes);
        spec.timeout = attempt.timeout;
        spec.grace = attempt.grace;
        spec.log = attempt.logged.then(|| self.dir.log_path(&attempt.files, attempt.number));
        spec.log_mode = self.dir.file_mode();
        spec.log_limit = attempt.log_limit;
        spec.output_file = output_file;
        spec.secrets = (*self.secrets).clone();
        spec.inherit = self.locks.inherited(&attempt.step);
        spec.slot = attempt.slot.map(|slot| (self.dir.witness_path(), slot));
        spec.background = attempt.background;
        spec.terminal = lending.map(|lending| lending.terminal);
        spec
    }

    fn variables(
        &self,
        attempt: &Attempt,
        declared: Vec<(String, String)>,
        output_file: Option<&Path>,
    ) -> Vec<(OsString, OsString)> {
        let mut variables: indexmap::IndexMap<OsString, OsString> =
            self.environment.variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        for (name, value) in declared {
            variables.insert(name.into(), value.into());
        }
        let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
        set("RUNBOOK_RUN_ID", self.dir.run().as_str().into());
        set("RUNBOOK_STEP", attempt.step.as_str().into());
        set("RUNBOOK_ATTEMPT", attempt.number.to_string().into());
        set("RUNBOOK_RUN_DIR", self.dir.files_path().into());
        if let Some(path) = output_file {
            set("RUNBOOK_OUTPUT", path.into());
        }
        variables.into_iter().collect()
    }

    /// Starts a command and tells its story to `messages`. The end is told by
    /// what is returned, so that the caller can say more about it.
    pub(super) async fn run(
        &self,
        attempt: &Attempt,
        launch: Launch,
        lending: Option<Lending>,
        messages: &UnboundedSender<Message>,
        mut control: impl FnMut(Control),
    ) -> ProcessEnd {
        // A terminal is lent once.
        let again = lending.is_none().then(|| launch.clone());
        let told = self.try_run(attempt, launch, lending, messages, &mut control).await;
        match (told, again) {
            (Told { unheard: true, .. }, Some(launch)) if self.was_never_claimed(attempt) => {
                tracing::warn!(step = %attempt.step, "its keeper ended before it had begun: another one takes its place");
                self.try_run(attempt, launch, None, messages, &mut control).await.end
            }
            (told, _) => told.end,
        }
    }

    /// Whether nobody can have started the command. Only for an attempt whose keeper is gone: its connection is closed on the other side, so no
    /// process has it, nor ever will, and the slot shows what it came to. What has no slot is a look at the world or a message, which a crash may repeat.
    fn was_never_claimed(&self, attempt: &Attempt) -> bool {
        let Some(slot) = attempt.slot else { return true };
        let seen = keeper::boot_id().ok().and_then(|boot| {
            keeper::Witness::open(&self.dir.witness_path())
                .and_then(|witness| witness.inspect(slot, &boot))
                .ok()
        });
        seen == Some(Verdict::NeverStarted)
    }

    async fn try_run(
        &self,
        attempt: &Attempt,
        launch: Launch,
        lending: Option<Lending>,
        messages: &UnboundedSender<Message>,
        control: &mut impl FnMut(Control),
    ) -> Told {
        let mut started = false;
        let spec = self.spec(attempt, launch, lending);
        let mut running = match self.helper.launch(spec).await {
            Ok(running) => running,
            Err(error) => {
                tracing::error!(step = %attempt.step, ?error, "no keeper");
                // Another try would meet the same.
                return Told { end: ProcessEnd::NotStarted(error.into()), unheard: false };
            }
        };
        control(running.control());
        while let Some(message) = running.next().await {
            let end = match message {
                keeper::Message::Started { pid } => {
                    started = true;
                    tracing::debug!(step = %attempt.step, attempt = attempt.number, pid, "started");
                    continue;
                }
                keeper::Message::Output { stream, bytes, .. } => {
                    let _ = messages.send(Message::Output {
                        step: attempt.step.clone(),
                        attempt: attempt.number,
                        stream,
                        bytes,
                    });
                    continue;
                }
                keeper::Message::Exited(exit) => ProcessEnd::Exited(exit),
                keeper::Message::NotStarted(reason) => ProcessEnd::NotStarted(reason),
                keeper::Message::Lost => ProcessEnd::Lost,
            };
            let unheard = !started && matches!(end, ProcessEnd::Lost);
            return Told { end, unheard };
        }
        Told { end: ProcessEnd::Lost, unheard: false }
    }
}

/// What a keeper told.
struct Told {
    end: ProcessEnd,
    /// Whether it was lost without a word.
    unheard: bool,
}
