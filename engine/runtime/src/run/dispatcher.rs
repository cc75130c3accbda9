//! The one loop: inputs in, decisions journalled, effects started.
//!
//! ```text
//!  messages of tasks ─┐
//!  answers ───────────┤             ┌─► observer
//!  signals ───────────┼─► advance ─►│ journal, durable
//!  timers ────────────┘             └─► effects: keepers, probes, prompts
//! ```
//!
//! Nothing else changes the state, and nothing takes effect before its event
//! is durable. All messages that have come together are decided together and
//! share one flush.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use runbook_core::event::{EventKind, Identity, LeakedProcess, RunOutcome, Via, WaitingFor};
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_core::plan::Action;
use runbook_core::render::{SecretView, Texts};
use runbook_core::schedule::{
    Answer, Attendance, Circumstances, Decision, Input, LockStanding, Refusal, advance, next_due, rule_of,
};
use runbook_core::state::{OpenGate, Outliving, RunState, Status};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::conclude::Conclusion;
use super::files;
use super::lending::Loan;
use super::mailbox::{Mail, Mailbox};
use super::message::Message;
use super::process::{Attempt, EndOrder, Lending, Workshop};
use super::surface::{Asking, Interruption, Observer, Operator, Question, Reply, View};
use crate::journal::{JournalError, Recorded, Replay, Writer};
use crate::keeper::{self, Claim, Control, Ending as KeeperEnding, Verdict, Witness};
use crate::store::{NewFiles, RunDir, Store, SummaryFold, index};

/// How long an answer's writer waits for word; see `cli.md`. Here: how often a
/// run without anything else to do looks at the clock for its observer.
const TICK: Duration = Duration::from_secs(1);
/// How often a window is looked at that is waited for.
const WINDOW_LOOK: Duration = Duration::from_secs(60);

/// A signal that the process got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// Asked to end.
    Terminate,
    /// The terminal is gone.
    HangUp,
    /// Ctrl-Z, or the shell's `stop`.
    Suspend,
    /// Brought back.
    Continue,
}

impl Signal {
    /// As in `SIGINT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "SIGHUP",
            Self::Suspend => "SIGTSTP",
            Self::Continue => "SIGCONT",
        }
    }
}

/// How a run is carried out, beside what its plan says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conduct {
    /// Bounds the plan's `max_parallel`.
    pub max_parallel: Option<u32>,
    /// With `--wait=DURATION`: nobody is waited for any longer after so much time.
    pub wait_for: Option<Duration>,
}

/// How the run stands when the process is done with it.
#[derive(Debug)]
pub struct Ending {
    /// Where it stands.
    pub state: RunState,
    /// How it ended, where it has.
    pub outcome: Option<RunOutcome>,
    /// What it waits for, where it is parked.
    pub parked: Option<Vec<WaitingFor>>,
    /// The signal that stopped it.
    pub stopped: Option<Signal>,
    /// The hash that vouches for the whole journal.
    pub head: Option<String>,
    /// The store failed: nothing new was started since.
    pub store_failure: Option<String>,
    /// The run in a line, for the index.
    pub summary: SummaryFold,
}

/// What runs for a step.
pub(super) struct Task {
    pub(super) attempt: u32,
    pub(super) control: Option<Control>,
    /// Set to true when the check is to end.
    pub(super) end_check: Option<watch::Sender<bool>>,
    pub(super) order: Option<EndOrder>,
    /// A background command that was not ready in time, and why.
    pub(super) not_ready: Option<String>,
    /// The terminal that it was at is gone.
    pub(super) hung_up: bool,
    /// Where it was started by an earlier engine: slot and boot id.
    pub(super) attached: Option<(u32, String)>,
}

impl Task {
    pub(super) fn new(attempt: u32) -> Self {
        Self {
            attempt,
            control: None,
            end_check: None,
            order: None,
            not_ready: None,
            hung_up: false,
            attached: None,
        }
    }
}

/// Runs one plan to its end, to a gate, or to a stop.
pub(super) struct Dispatcher<'o> {
    pub(super) state: RunState,
    pub(super) texts: Texts,
    pub(super) workshop: Workshop,
    opening: Option<Opening>,
    writer: Option<Writer>,
    head: Option<String>,
    opened: bool,
    pub(super) store: Store,
    observer: &'o mut dyn Observer,
    pub(super) operator: &'o dyn Operator,
    conduct: Conduct,
    boot: String,
    user: String,
    pub(super) tasks: HashMap<usize, Task>,
    backgrounds: HashMap<usize, (Control, bool)>,
    pub(super) concluded: HashMap<usize, Conclusion>,
    /// Steps whose `done_when` is being looked at; true ends the look.
    pub(super) looks: HashMap<usize, watch::Sender<bool>>,
    survivors: BTreeMap<usize, Vec<LeakedProcess>>,
    /// Who had started the attempts that were interrupted.
    pub(super) claims: BTreeMap<usize, Claim>,
    /// What came of the named locks that steps want.
    pub(super) lock_standings: BTreeMap<usize, LockStanding>,
    /// When a window opens that a step waits for.
    pub(super) wake_at: Option<Moment>,
    /// When the observer is told the time next.
    tick_at: tokio::time::Instant,
    /// Messages on their way that no step waits for.
    pub(super) asides: tokio::task::JoinSet<()>,
    /// Steps whose survivors are waited for.
    outlasting: BTreeSet<usize>,
    pub(super) messages: UnboundedSender<Message>,
    inbox: UnboundedReceiver<Message>,
    mailbox: Mailbox,
    signals: UnboundedReceiver<Signal>,
    pending: Vec<EventKind>,
    /// Answers whose verdict is told once their events are durable.
    verdicts: Vec<(String, Result<(), Refusal>)>,
    end_backgrounds: bool,
    pub(super) operator_left: bool,
    /// The moment of the last decision.
    decided_at: Moment,
    waiting_until: Option<tokio::time::Instant>,
    signal: Option<Signal>,
    signals_seen: u32,
    pub(super) asking: Option<(StepId, String, Asking<Reply>)>,
    pub(super) interruption: Option<Asking<Interruption>>,
    /// The terminal, while an `interactive` step has it.
    pub(super) loan: Option<Loan>,
    refused: Option<(StepId, String)>,
    store_failure: Option<String>,
    summary: SummaryFold,
}

/// Everything that a dispatcher is made of.
pub(super) struct Parts<'o> {
    /// Where it stands, all recorded.
    pub state: RunState,
    /// Renders its texts.
    pub texts: Texts,
    /// Starts its commands.
    pub workshop: Workshop,
    /// How its journal is opened.
    pub opening: Opening,
    /// Where all runs are.
    pub store: Store,
    /// Sees everything.
    pub observer: &'o mut dyn Observer,
    /// Is asked.
    pub operator: &'o dyn Operator,
    /// How it is carried out.
    pub conduct: Conduct,
    /// The machine's boot id.
    pub boot: String,
    /// Who runs it.
    pub user: String,
    /// What the process gets.
    pub signals: UnboundedReceiver<Signal>,
    /// Processes of interrupted steps that still run.
    pub survivors: BTreeMap<usize, Vec<LeakedProcess>>,
    /// Who had started the attempts that were interrupted.
    pub claims: BTreeMap<usize, Claim>,
    /// Named locks that steps have already: those that were cut off with them.
    pub lock_standings: BTreeMap<usize, LockStanding>,
    /// Files of the inbox that the journal has taken already.
    pub handled: Vec<String>,
    /// The run in a line so far.
    pub summary: SummaryFold,
}

/// How the journal begins, with the first batch.
pub(super) enum Opening {
    /// The run is new: its creation is applied to the state, and goes first.
    New {
        /// The run's first events.
        first: Vec<EventKind>,
        /// What it needs beside its journal, still to be flushed.
        files: NewFiles,
    },
    /// It goes on from what was read.
    Again {
        /// The journal so far.
        replay: Replay,
    },
}

/// What woke the loop.
enum Wake {
    Message(Message),
    Mail,
    Signal(Signal),
    Reply(StepId, Reply),
    Interruption(Interruption),
    TerminalGone,
    Timer,
    Tick,
}

impl<'o> Dispatcher<'o> {
    /// Puts the parts together.
    #[must_use]
    pub(super) fn new(parts: Parts<'o>) -> Self {
        let (messages, inbox) = unbounded_channel();
        let pending = match &parts.opening {
            Opening::New { first, .. } => first.clone(),
            Opening::Again { .. } => Vec::new(),
        };
        let mut mailbox = Mailbox::new(&parts.workshop.dir, parts.state.plan.people.clone());
        mailbox.handled(parts.handled);
        let waiting_until = parts.conduct.wait_for.map(|span| tokio::time::Instant::now() + span);
        Self {
            state: parts.state,
            texts: parts.texts,
            workshop: parts.workshop,
            opening: Some(parts.opening),
            writer: None,
            head: None,
            opened: false,
            store: parts.store,
            observer: parts.observer,
            operator: parts.operator,
            conduct: parts.conduct,
            boot: parts.boot,
            user: parts.user,
            tasks: HashMap::new(),
            backgrounds: HashMap::new(),
            concluded: HashMap::new(),
            looks: HashMap::new(),
            survivors: parts.survivors,
            claims: parts.claims,
            lock_standings: parts.lock_standings,
            wake_at: None,
            tick_at: tokio::time::Instant::now() + TICK,
            asides: tokio::task::JoinSet::new(),
            outlasting: BTreeSet::new(),
            messages,
            inbox,
            mailbox,
            signals: parts.signals,
            pending,
            verdicts: Vec::new(),
            end_backgrounds: false,
            operator_left: false,
            decided_at: Moment::default(),
            waiting_until,
            signal: None,
            signals_seen: 0,
            asking: None,
            interruption: None,
            loan: None,
            refused: None,
            store_failure: None,
            summary: parts.summary,
        }
    }

    /// Where the tasks of an earlier engine's attempts report to.
    #[must_use]
    pub(super) fn messages(&self) -> UnboundedSender<Message> {
        self.messages.clone()
    }

    /// Runs, from the first input on, until there is nothing left to do here.
    pub(super) async fn run(mut self, first: Vec<Input>) -> Ending {
        for input in first {
            self.take(input);
        }
        // Answers may have come before anybody looked.
        self.read_mail();
        self.commit();
        while !self.is_over() {
            if self.ask() {
                // The terminal is free now for a step that waits for it.
                self.take(Input::Tick);
                self.commit();
                continue;
            }
            let wake = self.wake().await;
            self.handle(wake);
            // What came meanwhile is decided together, and shares the flush.
            while let Ok(message) = self.inbox.try_recv() {
                self.handle(Wake::Message(message));
            }
            self.commit();
        }
        self.asking = None;
        self.loan = None;
        // Each has a clock of its own: a message that was recorded as told is not lost with the process.
        while self.asides.join_next().await.is_some() {}
        self.end()
    }

    fn is_over(&self) -> bool {
        if !self.tasks.is_empty() {
            return false;
        }
        if self.store_failure.is_some() {
            return true;
        }
        let ended =
            self.state.outcome.is_some() || self.state.parked.is_some() || self.state.stopped.is_some();
        ended && self.backgrounds.is_empty() && self.looks.is_empty()
    }

    /// Waits for the next thing to happen.
    async fn wake(&mut self) -> Wake {
        let due = self.next_due();
        let ticking = !self.tasks.is_empty() || !self.state.waits.is_empty();
        let asking = async {
            match &mut self.asking {
                Some((step, _, future)) => (step.clone(), future.await),
                None => std::future::pending().await,
            }
        };
        let interruption = async {
            match &mut self.interruption {
                Some(future) => future.await,
                None => std::future::pending().await,
            }
        };
        let gone = async {
            match &mut self.loan {
                Some(loan) => loan.lent.carry().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(signal) = self.signals.recv() => Wake::Signal(signal),
            Some(message) = self.inbox.recv() => Wake::Message(message),
            () = self.mailbox.changed() => Wake::Mail,
            (step, reply) = asking => Wake::Reply(step, reply),
            interruption = interruption => Wake::Interruption(interruption),
            () = gone => Wake::TerminalGone,
            () = sleep_until(due) => Wake::Timer,
            () = tokio::time::sleep_until(self.tick_at), if ticking => Wake::Tick,
        }
    }

    /// The next moment at which time alone changes something.
    fn next_due(&self) -> Option<tokio::time::Instant> {
        if self.store_failure.is_some() || self.state.stopped.is_some() {
            return None;
        }
        let now = now();
        let delayed = self.state.delayed.iter().filter_map(|step| match self.state.steps[*step].status {
            // One that was due at the last decision waits for something else: a place, a person, a guard.
            Status::Delayed { due_at } if !self.is_held_up(*step) => {
                Some(due_at).filter(|due_at| *due_at > self.decided_at)
            }
            Status::Delayed { .. } | Status::Pending | Status::Running(_) | Status::Ended(_) => None,
        });
        // A clock can be set, and a machine sleep: a window is looked at again each minute.
        let window = self.wake_at.map(|at| at.min(now.after(WINDOW_LOOK)));
        let next = delayed.chain(next_due(&self.state)).chain(window).min();
        let instant = next.map(|at| tokio::time::Instant::now() + at.since(now));
        match (instant, self.waiting_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    pub(super) fn attendance(&self) -> Attendance {
        if self.operator_left {
            return Attendance::Nobody;
        }
        match (self.operator.attendance(), self.waiting_until) {
            (Attendance::Waiting, Some(until)) if until <= tokio::time::Instant::now() => Attendance::Nobody,
            (attendance, _) => attendance,
        }
    }

    /// Lets the core decide about one input.
    pub(super) fn take(&mut self, input: Input) -> Option<Refusal> {
        self.decided_at = now();
        let circumstances = Circumstances {
            now: self.decided_at,
            attendance: self.attendance(),
            terminal: self.terminal(),
            boot: &self.boot,
            max_parallel: self.conduct.max_parallel,
            survivors: &self.survivors,
            locks: &self.lock_standings,
            renderer: &self.texts,
        };
        // With a store that failed nothing new may start: only what ran is noted.
        if self.store_failure.is_some() {
            self.take_last_words(&input);
            return None;
        }
        let decision: Decision = match advance(&mut self.state, input, &circumstances) {
            Ok(decision) => decision,
            Err(error) => {
                // A bug of ours: stop before anything is done on its ground.
                debug_assert!(false, "illegal event: {error}");
                self.store_failure = Some(format!("this is a bug in runbook: {error}"));
                self.order_all("stopped: the engine failed");
                return None;
            }
        };
        self.pending.extend(decision.events);
        self.end_backgrounds = decision.end_backgrounds;
        self.wish(decision.wishes);
        decision.refusal
    }

    /// After the store failed: the ends of what ran are recorded if that is
    /// still possible, and nothing follows from them.
    fn take_last_words(&mut self, input: &Input) {
        let Input::Finished { step, attempt, result } = input else { return };
        let (outcome, reason) = match &result.failure {
            None => (runbook_core::event::Outcome::Succeeded, None),
            Some((outcome, reason)) => (*outcome, Some(reason.clone())),
        };
        let event = EventKind::StepFinished {
            step: self.state.plan.steps[*step].id.clone(),
            attempt: *attempt,
            outcome,
            reason,
            exit_code: result.exit_code,
            signal: result.signal.clone(),
            duration_ms: result.duration_ms,
            outputs: result.outputs.clone(),
            log_sha256: result.log_sha256.clone(),
            dropped_bytes: result.dropped_bytes,
            recovered: false,
            by: Vec::new(),
            choice: None,
            fields: indexmap::IndexMap::new(),
            values: result.values.clone(),
            warnings: result.warnings.clone(),
        };
        let event = if self.state.plan.steps[*step].is_added() { event.of_undo() } else { event };
        if let Some(writer) = &mut self.writer
            && let Ok(recorded) = writer.last_words(now(), std::slice::from_ref(&event))
        {
            let _ = self.state.apply(now(), &event);
            self.show(&recorded);
        }
    }

    /// Makes durable what was decided, shows it, and starts what it asks for.
    fn commit(&mut self) {
        // Effects may decide more (a command that can't be started): until all is said.
        while !self.pending.is_empty() {
            let events = std::mem::take(&mut self.pending);
            match self.record(&events) {
                Ok(recorded) => {
                    self.show(&recorded);
                    self.tell_verdicts();
                    for event in &events {
                        self.effect(event);
                    }
                    self.list_run();
                }
                Err(error) => self.store_failed(&error),
            }
        }
        self.tell_verdicts();
        self.release_locks();
        self.outlast_survivors();
        if self.end_backgrounds || self.state.stopped.is_some() && self.tasks.is_empty() {
            self.end_backgrounds = false;
            for (control, expected) in self.backgrounds.values_mut() {
                if !*expected {
                    *expected = true;
                    control.terminate();
                }
            }
        }
    }

    /// Makes a batch durable: with the opening of the journal if it is the
    /// first, with its seal if nothing can follow.
    fn record(&mut self, events: &[EventKind]) -> Result<Vec<Recorded>, JournalError> {
        if let Some(opening) = self.opening.take() {
            let dir = &self.workshop.dir;
            let (writer, recorded) = match opening {
                Opening::New { files, .. } => Writer::create_with(dir, files, now(), events)?,
                Opening::Again { replay } => Writer::reopen(dir, &replay, now(), events)?,
            };
            self.writer = Some(writer);
            self.opened = true;
            return Ok(recorded);
        }
        if self.is_over()
            && let Some(writer) = self.writer.take()
        {
            let (head, recorded) = writer.append_and_seal(now(), events)?;
            self.head = Some(head);
            return Ok(recorded);
        }
        match &mut self.writer {
            Some(writer) => writer.append(now(), events),
            None => Ok(Vec::new()),
        }
    }

    /// The run is listed from its first record on.
    fn list_run(&mut self) {
        if !std::mem::take(&mut self.opened) {
            return;
        }
        if let Some(summary) = self.summary.summary(self.workshop.dir.run(), true)
            && let Err(error) = index::record(&self.store, &summary)
        {
            tracing::warn!(%error, "the index of runs can't be written");
        }
    }

    fn store_failed(&mut self, error: &JournalError) {
        tracing::error!(%error, "the journal can't be written");
        self.store_failure.get_or_insert_with(|| error.to_string());
        for (file, verdict) in &mut self.verdicts {
            tracing::debug!(file, "not recorded");
            *verdict = Err(Refusal::not_allowed("the journal can't be written"));
        }
        for (control, expected) in self.backgrounds.values_mut() {
            *expected = true;
            control.terminate();
        }
    }

    fn show(&mut self, recorded: &[Recorded]) {
        for record in recorded {
            self.summary.apply(record.event.at, &record.event.kind);
            let view = View::of(&self.state);
            self.observer.event(&record.event, &record.line, view);
        }
    }

    fn tell_verdicts(&mut self) {
        for (file, verdict) in std::mem::take(&mut self.verdicts) {
            self.mailbox.tell(&file, verdict.as_ref().err());
        }
    }

    /// Starts what a durable event asks for.
    fn effect(&mut self, event: &EventKind) {
        match event {
            EventKind::StepStarted { step, attempt, slot, .. } => {
                self.start(self.state.index_of(step), *attempt, *slot);
            }
            EventKind::UndoStarted { step, attempt, slot, .. } => {
                self.start(self.undo_of(step), *attempt, *slot);
            }
            EventKind::AttemptReissued { step, attempt, slot, undo, .. } => {
                let index = if *undo { self.undo_of(step) } else { self.state.index_of(step) };
                self.start(index, *attempt, Some(*slot));
            }
            EventKind::StepFinished { step, .. } => self.forget_busy_lock(step),
            EventKind::Escalated { step, notify, .. } => self.escalate(step, notify),
            EventKind::CancelRequested { by, .. } => {
                self.order_all(&format!("stopped: cancelled by {by}"));
            }
            EventKind::RunStopped { signal } => self.order_all(&format!("stopped: {signal}")),
            _ => {}
        }
    }

    fn undo_of(&self, id: &StepId) -> Option<usize> {
        self.state.index_of(id).and_then(|step| self.state.undo_of(step))
    }

    /// Starts the attempt of a step, where it is still to be started.
    fn start(&mut self, index: Option<usize>, attempt: u32, slot: Option<u32>) {
        let Some(step) = index else { return };
        let still =
            matches!(&self.state.steps[step].status, Status::Running(running) if running.number == attempt);
        if !still || !self.state.plan.steps[step].action.takes_slot() || self.store_failure.is_some() {
            return;
        }
        self.tasks.insert(step, Task::new(attempt));
        let plan = Arc::clone(&self.state.plan);
        let secrets = Arc::clone(&self.workshop.secrets);
        let real = |name: &str| secrets.get(name).and_then(|secret| secret.expose_text().map(str::to_owned));
        let view = SecretView::Real(&real);
        let changed = self.inputs_now_changed(step);
        let started = if let Some(path) = changed {
            Err(("inputs", format!("{path} changed since it was approved")))
        } else {
            match &plan.steps[step].action {
                Action::Run(run) if run.interactive => self
                    .texts
                    .launch(&plan, &self.state, step, &view)
                    .map_err(|error| ("template", error))
                    .and_then(|launch| {
                        let lending = self.lend(step).map_err(|error| {
                            ("spawn", format!("the terminal can't be lent to it: {error}"))
                        })?;
                        self.spawn_process(step, attempt, slot, launch, Some(lending));
                        Ok(())
                    }),
                Action::Run(run) => self
                    .texts
                    .launch(&plan, &self.state, step, &view)
                    .map(|launch| self.spawn_process(step, attempt, slot, launch, None))
                    .and_then(|()| match &run.background {
                        Some(ready) => self.spawn_check(step, attempt, ready, &view),
                        None => Ok(()),
                    })
                    .map_err(|error| ("template", error)),
                Action::Check(check) => {
                    self.spawn_check(step, attempt, check, &view).map_err(|error| ("template", error))
                }
                Action::Http(_) | Action::Notify(_) => {
                    self.spawn_errand(step, attempt, &view).map_err(|error| ("template", error))
                }
                _ => Ok(()),
            }
        };
        if let Err((kind, error)) = started {
            self.tasks.remove(&step);
            self.finish_unstarted(step, attempt, &format!("{kind}: {error}"));
        }
    }

    /// The first input of a step that isn't what was approved.
    fn inputs_now_changed(&self, step: usize) -> Option<String> {
        let inputs = &self.state.plan.steps[step].inputs;
        if inputs.is_empty() {
            return None;
        }
        let mut seen = inputs.files.clone();
        for ((of, path), sha256) in &self.state.changed_inputs {
            if *of == step {
                match sha256 {
                    Some(sha256) => seen.insert(path.clone(), sha256.clone()),
                    None => seen.shift_remove(path),
                };
            }
        }
        let folder = self.folder_of(step)?;
        files::changed_inputs(&folder, &inputs.globs, &seen).into_iter().next().map(|(path, _)| path)
    }

    /// The step's working folder.
    pub(super) fn folder_of(&self, step: usize) -> Option<std::path::PathBuf> {
        let root = &self.workshop.environment.root;
        let cwd = self.texts.cwd(&self.state.plan, &self.state, step).ok()?;
        Some(cwd.map_or_else(|| root.clone(), |cwd| root.join(cwd)))
    }

    fn spawn_process(
        &self,
        step: usize,
        attempt: u32,
        slot: Option<u32>,
        launch: runbook_core::render::Launch,
        terminal: Option<Lending>,
    ) {
        let known = &self.state.plan.steps[step];
        let description = Attempt {
            step: known.id.clone(),
            files: known.files_id(),
            number: attempt,
            slot,
            timeout: known.timeout.map(Into::into).filter(|_| !known.action.is_background()),
            grace: known.grace.into(),
            log_limit: known.log_limit,
            logged: true,
            background: known.action.is_background(),
        };
        let workshop = self.workshop.clone();
        let messages = self.messages.clone();
        tokio::spawn(async move {
            let controls = messages.clone();
            let end = workshop
                .run(&description, launch, terminal, &messages, move |control| {
                    let _ = controls.send(Message::Controllable { step, attempt, control });
                })
                .await;
            let _ = messages.send(Message::Process { step, attempt, end });
        });
    }

    fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Message(message) => self.hear(message),
            Wake::Mail => self.read_mail(),
            Wake::Signal(signal) => self.signalled(signal),
            Wake::Reply(step, reply) => self.replied(&step, reply),
            Wake::Interruption(choice) => {
                self.interruption = None;
                match choice {
                    Interruption::Stop => self.stop(Signal::Interrupt),
                    Interruption::Undo => {
                        self.signals_seen = 0;
                        let (by, reason) = (self.user.clone(), Some("Ctrl-C, and undo".to_owned()));
                        self.take(Input::Cancelled { by, reason, undo: true });
                    }
                    Interruption::GoOn => self.signals_seen = 0,
                }
            }
            Wake::TerminalGone => self.terminal_gone(),
            Wake::Timer => {
                self.take(Input::Tick);
            }
            Wake::Tick => {
                // From tick to tick: what happens in between puts none off.
                self.tick_at = tokio::time::Instant::now() + TICK;
                let view = View::of(&self.state);
                self.observer.tick(now(), view);
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Output { step, attempt, stream, bytes } => {
                if let Some(loan) = &mut self.loan
                    && self.state.plan.steps[loan.step].id == step
                {
                    // Whoever sits here sees it; nobody need be told again.
                    loan.lent.show(&bytes);
                    return;
                }
                self.observer.output(&step, attempt, stream, &bytes);
            }
            Message::Controllable { step, attempt, control } => self.controllable(step, attempt, control),
            Message::Process { step, attempt, end } => {
                self.take_back(step);
                if let Some((_, expected)) = self.backgrounds.remove(&step) {
                    let reason = super::conclude::words(&end);
                    self.take(Input::BackgroundEnded { step, expected, reason });
                } else {
                    self.process_ended(step, attempt, end);
                }
            }
            Message::Attached { step, attempt, verdict } => self.attached_ended(step, attempt, verdict),
            Message::Judge { step, purpose, measured, own_success, reply } => {
                if let Some(verdict) = self.judge_sample(step, purpose, &measured, own_success) {
                    let _ = reply.send(verdict);
                }
            }
            Message::Looked { step, attempt, end } => self.looked(step, attempt, *end),
            Message::Lock { step, standing, lock } => self.lock_tried(step, standing, lock),
            Message::Record(event) => {
                self.take(Input::Recorded(event));
            }
            Message::Check { step, attempt, end } => self.check_ended(step, attempt, *end),
            Message::Errand { step, attempt, end } => self.errand_ended(step, attempt, *end),
            Message::Kept { step, attempt, files } => self.kept(step, attempt, files),
            Message::SurvivorsEnded { step } => {
                self.survivors.remove(&step);
                self.outlasting.remove(&step);
                self.take(Input::Tick);
            }
        }
    }

    fn controllable(&mut self, step: usize, attempt: u32, control: Control) {
        let Some(task) = self.tasks.get_mut(&step).filter(|task| task.attempt == attempt) else { return };
        // An order that came before there was anybody to give it to.
        if task.order.is_some() || task.not_ready.is_some() {
            if self.signals_seen > 1 { control.kill() } else { control.terminate() }
        } else if task.hung_up {
            control.hang_up();
        }
        task.control = Some(control);
    }

    /// The step of a background command has passed; the command lives on.
    pub(super) fn lives_on(&mut self, step: usize) {
        if let Some(Task { control: Some(control), .. }) = self.tasks.remove(&step) {
            self.backgrounds.insert(step, (control, false));
        }
    }

    /// Tells everything that runs to end, for this reason.
    fn order_all(&mut self, reason: &str) {
        let path = self.workshop.dir.witness_path();
        for task in self.tasks.values_mut() {
            task.order.get_or_insert_with(|| EndOrder { reason: reason.to_owned() });
            if let Some(control) = &task.control {
                control.terminate();
            }
            if let Some(end) = &task.end_check {
                let _ = end.send(true);
            }
            if let Some((slot, boot)) = &task.attached {
                end_attached(&path, *slot, boot);
            }
        }
        for end in self.looks.values() {
            let _ = end.send(true);
        }
    }

    fn signalled(&mut self, signal: Signal) {
        match signal {
            Signal::HangUp => {
                // The run goes on until it needs somebody.
                self.terminal_gone();
            }
            Signal::Suspend => {
                self.each_control(Control::pause);
                self.loan.iter_mut().for_each(|loan| loan.lent.pause());
            }
            Signal::Continue => {
                self.loan.iter_mut().for_each(|loan| loan.lent.resume());
                self.each_control(Control::resume);
            }
            Signal::Interrupt | Signal::Terminate => {
                self.signals_seen += 1;
                match self.signals_seen {
                    1 if signal == Signal::Interrupt && self.can_ask() => {
                        let running =
                            self.tasks.keys().map(|step| self.state.plan.steps[*step].id.clone()).collect();
                        self.interruption = Some(self.operator.interrupted(running));
                    }
                    1 => self.stop(signal),
                    2 if self.signal.is_none() => self.stop(signal),
                    _ => self.each_control(Control::kill),
                }
            }
        }
    }

    fn can_ask(&self) -> bool {
        self.attendance() == Attendance::Operator && !self.tasks.is_empty() && self.loan.is_none()
    }

    fn each_control(&self, order: impl Fn(&Control)) {
        let tasks = self.tasks.values().filter_map(|task| task.control.as_ref());
        for control in tasks.chain(self.backgrounds.values().map(|(control, _)| control)) {
            order(control);
        }
    }

    fn stop(&mut self, signal: Signal) {
        self.interruption = None;
        self.asking = None;
        self.signal = Some(signal);
        self.take(Input::Stopped { signal: signal.name().to_owned() });
    }

    /// Puts the first open question to the operator, and takes a prompt away
    /// whose question is settled. Says whether that made room for a step that waits for the terminal.
    fn ask(&mut self) -> bool {
        let mut freed = false;
        if let Some((step, nonce, _)) = &self.asking {
            let open = self.state.asked_about(step).and_then(|step| self.state.gates.get(&step));
            if open.is_some_and(|gate| gate.nonce == *nonce) {
                return false;
            }
            self.asking = None;
            freed = self.wants_terminal();
        }
        let silent =
            self.state.stopped.is_some() || self.state.cancel.is_some() || self.store_failure.is_some();
        let taken = self.interruption.is_some() || self.loan.is_some();
        if freed || silent || taken || self.attendance() != Attendance::Operator {
            return freed;
        }
        // In plan order; those that this person can decide nothing about come last.
        let by_use = |(step, gate): &(&usize, &OpenGate)| (!self.is_of_use(**step, gate), **step);
        let Some((&step, gate)) = self.state.gates.iter().min_by_key(by_use) else { return false };
        let plan = &self.state.plan;
        let id = plan.steps[step].id.clone();
        let question = plan.steps[step].question(gate.gate);
        let fields = question.into_iter().flat_map(|question| &question.fields);
        let refused = self.refused.take().filter(|(of, _)| *of == id).map(|(_, why)| why);
        let asked = Question {
            step: id.clone(),
            confirm_typed: question.is_some_and(|question| question.confirm_typed),
            evidence: question.map_or_else(Default::default, |question| question.evidence),
            next: self.next_steps(step),
            last_output: self.last_output(step),
            refused,
            fields: fields.map(|(name, spec)| (name.clone(), rule_of(spec, gate.fields.get(name)))).collect(),
            members: plan.people.members(&gate.from).into_iter().map(str::to_owned).collect(),
            gate: gate.clone(),
        };
        self.asking = Some((id, gate.nonce.clone(), self.operator.ask(asked)));
        false
    }

    /// Whether the person at the terminal can still decide something about a question.
    pub(super) fn is_of_use(&self, step: usize, gate: &OpenGate) -> bool {
        let people = &self.state.plan.people;
        let person = people.person_of_user(&self.user);
        let signed = self.state.plan.steps[step].question(gate.gate).is_some_and(|question| question.signed);
        let said = gate.answers.iter().any(|given| given.by == person && given.word == "approve");
        people.may_answer(&gate.from, person) && !signed && !said
    }

    fn next_steps(&self, step: usize) -> Vec<StepId> {
        self.state
            .plan
            .steps
            .iter()
            .filter(|other| other.needs.contains(&step) && !other.finally)
            .map(|other| other.id.clone())
            .take(12)
            .collect()
    }

    /// What was printed last by the step in question, or by what it needs.
    fn last_output(&self, step: usize) -> Vec<String> {
        const LINES: usize = 12;
        let of = std::iter::once(step).chain(self.state.plan.steps[step].needs.iter().rev().copied());
        for index in of {
            let attempt = self.state.steps[index].attempts;
            let path = self.workshop.dir.log_path(&self.state.plan.steps[index].files_id(), attempt);
            if let Ok(lines) = crate::capture::CaptureLog::open(&path).and_then(|log| log.tail_lines(LINES))
                && !lines.is_empty()
            {
                return lines
                    .into_iter()
                    .map(|(_, line)| String::from_utf8_lossy(&line).into_owned())
                    .collect();
            }
        }
        Vec::new()
    }

    fn replied(&mut self, step: &StepId, reply: Reply) {
        let Some((_, nonce, _)) = self.asking.take() else { return };
        match reply {
            Reply::Left => {
                self.operator_left = true;
                self.take(Input::OperatorLeft);
            }
            Reply::Answer(mut answer) => {
                let digest = self
                    .state
                    .asked_about(step)
                    .and_then(|index| self.state.gates.get(&index))
                    .map(|gate| gate.digest.clone());
                answer.step = step.clone();
                answer.nonce = Some(nonce);
                answer.digest = digest;
                answer.by.clone_from(&self.user);
                answer.via = Via::Terminal;
                answer.identity = Identity::User;
                self.mask_answer(&mut answer);
                // Every answer is a file first, whatever the surface.
                match self.mailbox.file_of(&answer, self.workshop.dir.run()) {
                    Ok(file) => answer.file = Some(file),
                    Err(error) => {
                        self.refused = Some((step.clone(), format!("the answer can't be written: {error}")));
                        return;
                    }
                }
                if let Some(refusal) = self.take(Input::Answered(answer)) {
                    self.refused = Some((step.clone(), refusal.message));
                }
            }
        }
    }

    fn mask_answer(&self, answer: &mut Answer) {
        let masker = &self.workshop.masker;
        if masker.is_empty() {
            return;
        }
        answer.reason = answer.reason.take().map(|reason| masker.text(&reason));
        for value in answer.fields.values_mut().chain(answer.outputs.values_mut()) {
            *value = masker.json(value);
        }
        for value in answer.env.values_mut() {
            *value = masker.text(value);
        }
    }

    /// Takes in what other processes have left in the inbox.
    fn read_mail(&mut self) {
        for mail in self.mailbox.read() {
            match mail {
                Mail::Answer { file, answer } => {
                    let mut answer = *answer;
                    self.mask_answer(&mut answer);
                    let verdict = match self.take(Input::Answered(Box::new(answer))) {
                        Some(refusal) => Err(refusal),
                        None if self.store_failure.is_some() => {
                            Err(Refusal::not_allowed("the journal can't be written"))
                        }
                        None => Ok(()),
                    };
                    self.verdicts.push((file, verdict));
                }
                Mail::Cancel { file, by, reason } => {
                    self.take(Input::Cancelled { by, reason, undo: false });
                    self.verdicts.push((file, Ok(())));
                }
                Mail::Note { file, by, text } => {
                    let text = self.workshop.masker.text(&text);
                    self.take(Input::Recorded(EventKind::Note { by, text }));
                    self.verdicts.push((file, Ok(())));
                }
                Mail::Unfit { file, refusal } => self.verdicts.push((file, Err(refusal))),
            }
        }
    }

    /// Waits for what interrupted steps have left running, or ends it first, as
    /// a person has decided.
    fn outlast_survivors(&mut self) {
        if self.store_failure.is_some() || self.state.stopped.is_some() {
            return;
        }
        for (&step, &decided) in &self.state.outliving {
            if !self.outlasting.insert(step) {
                continue;
            }
            let run = self.workshop.dir.run().as_str().to_owned();
            let name = self.state.plan.steps[step].id.as_str().to_owned();
            let grace: Duration = self.state.plan.steps[step].grace.into();
            let messages = self.messages.clone();
            let claim = self.claims.get(&step).cloned();
            tokio::spawn(async move {
                loop {
                    let found = keeper::survivors(&run, &name, claim.as_ref()).unwrap_or_default();
                    if found.is_empty() {
                        break;
                    }
                    match decided {
                        Outliving::End => {
                            keeper::end_survivors(&found, grace).await;
                        }
                        Outliving::Wait => tokio::time::sleep(Duration::from_millis(200)).await,
                    }
                }
                let _ = messages.send(Message::SurvivorsEnded { step });
            });
        }
    }

    /// Notes what an interrupted step has left running.
    pub(super) fn survive(&mut self, step: usize, found: &[keeper::Survivor]) {
        if !found.is_empty() {
            self.survivors.insert(step, super::recover::named(found));
        }
    }

    pub(super) fn has_store_failed(&self) -> bool {
        self.store_failure.is_some()
    }

    pub(super) fn store_broke(&mut self, why: String) {
        self.store_failure.get_or_insert(why);
    }

    /// Closes the journal and says how the run stands.
    fn end(mut self) -> Ending {
        let mut head = self.head.take();
        if self.store_failure.is_none()
            && let Some(writer) = self.writer.take()
        {
            match writer.seal(now()) {
                Ok((sealed, recorded)) => {
                    self.show(std::slice::from_ref(&recorded));
                    head = Some(sealed);
                }
                Err(error) => self.store_failure = Some(error.to_string()),
            }
        }
        self.workshop.locks.release_all(self.state.parked.is_some());
        Ending {
            outcome: self.state.outcome,
            parked: self.state.parked.clone(),
            stopped: self.signal.filter(|_| self.state.stopped.is_some()),
            head,
            store_failure: self.store_failure,
            summary: self.summary,
            state: self.state,
        }
    }

    /// The run's folder.
    pub(super) fn dir(&self) -> &RunDir {
        &self.workshop.dir
    }
}

/// The wall clock.
#[must_use]
pub fn now() -> Moment {
    crate::clock::now()
}

/// Asks the keeper of an earlier engine's attempt to end its command.
fn end_attached(witness: &std::path::Path, slot: u32, boot: &str) {
    let verdict = Witness::open_to_look(witness).and_then(|witness| witness.inspect(slot, boot));
    if let Ok(Verdict::StillRunning { claim: Some(claim) }) = verdict
        && let Err(error) = keeper::end_keeper(&claim, KeeperEnding::Terminate)
    {
        tracing::warn!(slot, %error, "the keeper can't be told to end");
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
