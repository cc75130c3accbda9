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
use std::time::Duration;

use runbook_core::event::{EventKind, LeakedProcess, RunOutcome, WaitingFor};
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_core::render::Texts;
use runbook_core::schedule::{
    Attendance, Circumstances, Decision, Input, LockStanding, Refusal, advance, next_due,
};
use runbook_core::state::{RunState, Status};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::conclude::Conclusion;
use super::exit::EndOrder;
use super::lending::Loan;
use super::mailbox::Mailbox;
use super::message::Message;
use super::process::Workshop;
use super::surface::{Asking, Interruption, Observer, Operator, Reply, View};
use crate::journal::{Replay, Writer};
use crate::keeper::{Claim, Control};
use crate::store::{NewFiles, RunDir, Store, SummaryFold};

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
    pub(super) opening: Option<Opening>,
    pub(super) writer: Option<Writer>,
    pub(super) head: Option<String>,
    pub(super) opened: bool,
    pub(super) store: Store,
    pub(super) observer: &'o mut dyn Observer,
    pub(super) operator: &'o dyn Operator,
    pub(super) conduct: Conduct,
    pub(super) boot: String,
    pub(super) user: String,
    /// Where the run is found, where that isn't the default.
    pub(super) state_directory: Option<String>,
    pub(super) tasks: HashMap<usize, Task>,
    pub(super) backgrounds: HashMap<usize, (Control, bool)>,
    pub(super) concluded: HashMap<usize, Conclusion>,
    /// Steps whose `done_when` is being looked at; true ends the look.
    pub(super) looks: HashMap<usize, watch::Sender<bool>>,
    pub(super) survivors: BTreeMap<usize, Vec<LeakedProcess>>,
    /// Who had started the attempts that were interrupted.
    pub(super) claims: BTreeMap<usize, Claim>,
    /// What came of the named locks that steps want.
    pub(super) lock_standings: BTreeMap<usize, LockStanding>,
    /// When a window opens that a step waits for.
    pub(super) wake_at: Option<Moment>,
    /// When the observer is told the time next.
    pub(super) tick_at: tokio::time::Instant,
    /// Messages on their way that no step waits for.
    pub(super) asides: tokio::task::JoinSet<()>,
    /// Steps whose survivors are waited for.
    pub(super) outlasting: BTreeSet<usize>,
    pub(super) messages: UnboundedSender<Message>,
    pub(super) inbox: UnboundedReceiver<Message>,
    pub(super) mailbox: Mailbox,
    pub(super) signals: UnboundedReceiver<Signal>,
    pub(super) pending: Vec<EventKind>,
    /// Answers whose verdict is told once their events are durable.
    pub(super) verdicts: Vec<(String, Result<(), Refusal>)>,
    pub(super) end_backgrounds: bool,
    pub(super) operator_left: bool,
    /// The moment of the last decision.
    pub(super) decided_at: Moment,
    pub(super) waiting_until: Option<tokio::time::Instant>,
    pub(super) signal: Option<Signal>,
    pub(super) signals_seen: u32,
    pub(super) asking: Option<(StepId, String, Asking<Reply>)>,
    pub(super) interruption: Option<Asking<Interruption>>,
    /// The terminal, while an `interactive` step has it.
    pub(super) loan: Option<Loan>,
    pub(super) refused: Option<(StepId, String)>,
    pub(super) store_failure: Option<String>,
    pub(super) summary: SummaryFold,
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
    /// Where it is found, where that isn't the default.
    pub state_directory: Option<String>,
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
            state_directory: parts.state_directory,
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

    pub(super) fn is_over(&self) -> bool {
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

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
