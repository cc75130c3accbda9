//! What a run shows to its surroundings, and whom it asks.
//!
//! The dispatcher knows neither terminal nor formats: it reports to one
//! [`Observer`] and asks one [`Operator`], which the command line provides.

use std::future::Future;
use std::pin::Pin;

use indexmap::IndexMap;
use runbook_core::document::model::ParamSpec;
use runbook_core::event::Event;
use runbook_core::id::StepId;
use runbook_core::moment::Moment;
use runbook_core::plan::Plan;
use runbook_core::schedule::{Answer, Attendance};
use runbook_core::state::{OpenGate, RunState};

use crate::capture::Stream;
use crate::keeper::{CommandTerminal, OperatorTerminal};

/// The plan and where its run stands, after the event that is told.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What runs.
    pub plan: &'a Plan,
    /// Where it stands.
    pub state: &'a RunState,
}

impl<'a> View<'a> {
    /// What a state shows: itself, and the plan as it has grown.
    #[must_use]
    pub fn of(state: &'a RunState) -> Self {
        Self { plan: &state.plan, state }
    }
}

/// Sees everything that happens, after it is durable.
pub trait Observer {
    /// An event, and its line in the journal.
    fn event(&mut self, event: &Event, line: &str, view: View<'_>);
    /// Output of a running attempt, masked; pieces may be missing under pressure.
    fn output(&mut self, step: &StepId, attempt: u32, stream: Stream, bytes: &[u8]);
    /// Time has passed: about once a second while something runs.
    fn tick(&mut self, now: Moment, view: View<'_>);
    /// Something to say that is no event, as in `press Ctrl-C again to …`.
    fn remark(&mut self, text: &str);
}

/// A question to the person at the terminal.
#[derive(Debug, Clone)]
pub struct Question {
    /// The step it is about.
    pub step: StepId,
    /// What the step is called, where that isn't its id.
    pub title: Option<String>,
    /// The question as it is open.
    pub gate: OpenGate,
    /// Whether a random word must be typed in place of the deciding one.
    pub confirm_typed: bool,
    /// Whether a note, link or file is wanted with `done`.
    pub evidence: runbook_core::plan::EvidenceRule,
    /// What happens after yes: the steps that wait for it, in order.
    pub next: Vec<StepId>,
    /// The end of what was printed last by the step itself, or by the steps that it needs.
    pub last_output: Vec<String>,
    /// The step that printed it, where that is another one.
    pub printed_by: Option<StepId>,
    /// Whether the step belongs to what undoes another one.
    pub in_undo: bool,
    /// What is filled in with the answer, with the rule of each value.
    pub fields: IndexMap<String, ParamSpec>,
    /// The people whom `from` means; empty: anyone.
    pub members: Vec<String>,
    /// Why the answer before was not taken.
    pub refused: Option<String>,
    /// The words that this person may not say, each with why.
    pub barred: IndexMap<String, String>,
}

/// What came of asking.
#[derive(Debug)]
pub enum Reply {
    /// An answer; `by`, `via` and `identity` are set by whoever asked.
    Answer(Box<Answer>),
    /// The person left the prompt, or the terminal is gone: nobody is there any more.
    Left,
}

/// What to do about Ctrl-C while steps run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// End the running steps and stop; the run can be resumed.
    Stop,
    /// End the running steps and the run, and undo what was done.
    Undo,
    /// Go on as if nothing had happened.
    GoOn,
}

/// The future of a question, dropped when it is settled elsewhere.
pub type Asking<T> = Pin<Box<dyn Future<Output = T>>>;

/// The operator's terminal while an `interactive` command has it. Dropping it gives the terminal back as it was.
pub trait Lent {
    /// The terminal itself, for the command's keeper: to be given back where this process can't any more.
    ///
    /// # Errors
    /// The terminal is gone.
    fn operator(&self) -> std::io::Result<OperatorTerminal>;
    /// Which kind of terminal it is: `TERM`.
    fn kind(&self) -> Option<String>;
    /// Shows what the command printed.
    fn show(&mut self, bytes: &[u8]);
    /// Carries what is typed, and each new size, to the command. Ends where the terminal is gone; may be dropped and begun again at any time.
    fn carry(&mut self) -> Pin<Box<dyn Future<Output = ()> + '_>>;
    /// Gives the terminal back for a while: this process is stopped.
    fn pause(&mut self);
    /// Takes it again.
    fn resume(&mut self);
}

/// Whoever can be asked.
pub trait Operator {
    /// Whether somebody is there.
    fn attendance(&self) -> Attendance;
    /// Puts a question. Dropping the future takes the prompt away.
    fn ask(&self, question: Question) -> Asking<Reply>;
    /// Asks what a Ctrl-C was meant to do, while steps run.
    fn interrupted(&self, running: Vec<StepId>) -> Asking<Interruption>;
    /// Lends the terminal to a command, whose own one is `terminal`. No question is asked meanwhile.
    ///
    /// # Errors
    /// Where there is none after all.
    fn lend(&self, terminal: &CommandTerminal) -> std::io::Result<Box<dyn Lent>>;
}

/// An operator for runs at which nobody can be asked.
#[derive(Debug, Clone, Copy)]
pub struct Unattended {
    /// [`Attendance::Nobody`], or [`Attendance::Waiting`] with `--wait`.
    pub attendance: Attendance,
}

impl Operator for Unattended {
    fn attendance(&self) -> Attendance {
        self.attendance
    }

    fn ask(&self, _: Question) -> Asking<Reply> {
        Box::pin(std::future::pending())
    }

    fn interrupted(&self, _: Vec<StepId>) -> Asking<Interruption> {
        Box::pin(std::future::ready(Interruption::Stop))
    }

    fn lend(&self, _: &CommandTerminal) -> std::io::Result<Box<dyn Lent>> {
        Err(std::io::Error::from(std::io::ErrorKind::NotConnected))
    }
}
