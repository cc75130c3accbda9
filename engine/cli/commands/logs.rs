//! `runbook logs`: what a step printed.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use clap::Args;
use runbook_core::event::EventKind;
use runbook_core::id::StepId;
use runbook_core::state::RunState;
use runbook_runtime::capture::{CaptureLog, Follower, Frame, Stream};
use runbook_runtime::journal;
use runbook_runtime::run::{self, Opened};
use runbook_runtime::sanitize::{Colour, TerminalStream};
use runbook_runtime::store::{RunDir, lock};

use crate::console::{Console, STRONG, styled};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code;
use crate::report::wording::count;
use crate::values::step_id;

/// How often is looked for more.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Options of `logs`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step; without it all steps, each with its name
    #[arg(value_name = "STEP", value_parser = step_id)]
    pub(crate) step: Option<StepId>,
    /// Go on printing while the run goes on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// This attempt instead of the last one
    #[arg(long, value_name = "N", requires = "step", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: Option<u32>,
    /// What its undo printed
    #[arg(long, conflicts_with = "follow")]
    pub(crate) undo: bool,
    /// Only what was printed to standard error
    #[arg(long)]
    pub(crate) stderr: bool,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let store = context.store()?;
    let dir = store.run(&context.resolve(&store, &options.run)?)?;
    let opened = run::open(&dir)?;
    if let Some(step) = &options.step {
        check(&opened, step, options.attempt, options.undo)?;
    }
    let mut printer = Printer::new(&context.console, options);
    if options.follow {
        follow(&dir, options, &mut printer)?;
    } else {
        for (step, attempt) in wanted(&opened, options) {
            print_log(&dir, &step, attempt, &mut printer)?;
        }
    }
    Ok(exit_code::SUCCEEDED)
}

/// Refuses a step or an attempt that the run doesn't have.
fn check(opened: &Opened, step: &StepId, attempt: Option<u32>, undo: bool) -> Result<(), CommandError> {
    let Some(index) = opened.state.index_of(step) else {
        let ids = opened.state.plan.declared().map(|(_, step)| step.id.as_str());
        let error = CommandError::usage(format!("the run has no step `{step}`"));
        return Err(match runbook_core::diagnostic::suggest(step.as_str(), ids) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        });
    };
    let index = if undo { opened.state.undo_of(index) } else { Some(index) };
    let Some(index) = index else { return Err(CommandError::usage(format!("`{step}` has no undo"))) };
    let attempts = opened.state.steps[index].attempts;
    match attempt {
        Some(attempt) if attempt > attempts => Err(CommandError::usage(format!(
            "`{step}` has no attempt {attempt}: there {} {} so far",
            if attempts == 1 { "was" } else { "were" },
            count(attempts as usize, "attempt")
        ))),
        _ => Ok(()),
    }
}

/// The attempts whose output is printed, in the order of the plan.
fn wanted(opened: &Opened, options: &Options) -> Vec<(StepId, u32)> {
    let last = |state: &RunState, index: usize| options.attempt.unwrap_or(state.steps[index].attempts);
    opened
        .state
        .plan
        .steps
        .iter()
        .enumerate()
        .filter(|(index, step)| {
            let undone = opened.state.plan.undone_by(*index).filter(|_| options.undo);
            let is_meant = if options.undo { undone.is_some() } else { !step.waits_for_unwinding() };
            let of = undone.map_or(&step.id, |undone| &opened.state.plan.steps[undone].id);
            is_meant && options.step.as_ref().is_none_or(|wanted| wanted == of)
        })
        .map(|(index, step)| (step.files_id(), last(&opened.state, index)))
        .filter(|(_, attempt)| *attempt > 0)
        .collect()
}

fn print_log(
    dir: &RunDir,
    step: &StepId,
    attempt: u32,
    printer: &mut Printer<'_>,
) -> Result<(), CommandError> {
    let unreadable = |error: io::Error| {
        CommandError::store(format!("the log of `{step}`, attempt {attempt}, can't be read"))
            .with_cause(&error)
    };
    let log = match CaptureLog::open(&dir.log_path(step, attempt)) {
        // What prints nothing has no log.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(unreadable)?,
    };
    for frame in log.frames().map_err(unreadable)? {
        printer.frame(step, attempt, &frame.map_err(unreadable)?);
    }
    printer.end_of_log();
    Ok(())
}

/// Prints what comes until the step, or the run, is over or nobody carries it on any more.
fn follow(dir: &RunDir, options: &Options, printer: &mut Printer<'_>) -> Result<(), CommandError> {
    let mut events = journal::Follower::from_start(dir);
    let mut logs: HashMap<(StepId, u32), Option<Follower>> = HashMap::new();
    let mut order: Vec<(StepId, u32)> = Vec::new();
    let fits = |step: &StepId| options.step.as_ref().is_none_or(|wanted| wanted == step);
    loop {
        // Asked first: what is written after that is seen in the next round, and after the last there is none.
        let is_over = lock::is_held(dir)?.is_none();
        let mut ended = false;
        for event in events.read_new()? {
            match event.typed(dir.run())?.kind {
                EventKind::StepStarted { step, attempt, .. } if fits(&step) => {
                    ended = false;
                    if options.attempt.is_none_or(|wanted| wanted == attempt) {
                        if options.step.is_some() {
                            order.clear();
                        }
                        order.push((step.clone(), attempt));
                        logs.entry((step, attempt)).or_default();
                    }
                }
                EventKind::StepFinished { step, attempt, .. } if options.step.as_ref() == Some(&step) => {
                    ended = options.attempt.is_none_or(|wanted| wanted == attempt);
                }
                EventKind::RetryScheduled { step, .. } if fits(&step) && options.attempt.is_none() => {
                    ended = false;
                }
                _ => {}
            }
        }
        for key in &order {
            let Some(log) = logs.get_mut(key) else { continue };
            if log.is_none() {
                *log = CaptureLog::open(&dir.log_path(&key.0, key.1)).and_then(|log| log.follow()).ok();
            }
            let Some(log) = log else { continue };
            let frames = log.read_new().map_err(|error| {
                CommandError::store(format!("the log of `{}` can't be read", key.0)).with_cause(&error)
            })?;
            for frame in frames {
                printer.frame(&key.0, key.1, &frame);
            }
        }
        if is_over || ended || !printer.is_read {
            printer.end_of_log();
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Prints frames: as recorded, or harmless at a terminal.
struct Printer<'a> {
    console: &'a Console,
    only_stderr: bool,
    with_names: bool,
    current: Option<(StepId, u32)>,
    terminal: Option<TerminalStream>,
    /// A reader that has gone away doesn't come back.
    is_read: bool,
}

impl<'a> Printer<'a> {
    fn new(console: &'a Console, options: &Options) -> Self {
        Self {
            console,
            only_stderr: options.stderr,
            with_names: options.step.is_none(),
            current: None,
            terminal: console.stdout_terminal.then(|| Self::stream(console)),
            is_read: true,
        }
    }

    fn stream(console: &Console) -> TerminalStream {
        TerminalStream::new(if console.stdout_color { Colour::Keep } else { Colour::Drop })
    }

    fn frame(&mut self, step: &StepId, attempt: u32, frame: &Frame) {
        match frame {
            Frame::Bytes { stream: Stream::Outputs, .. } => {}
            Frame::Bytes { stream: Stream::Stdout, .. } if self.only_stderr => {}
            Frame::Bytes { bytes, .. } => {
                self.name(step, attempt);
                self.bytes(bytes);
            }
            Frame::Dropped(dropped) => {
                // Not part of what was printed, so not on standard output.
                self.console
                    .say(&format!("({} bytes were left out here, as log_limit says)\n", dropped.total()));
            }
            Frame::Lost(lost) => {
                self.console.say(&format!(
                    "({} bytes are missing here: the log could not be written)\n",
                    lost.total()
                ));
            }
        }
    }

    /// With several steps: whose output follows.
    fn name(&mut self, step: &StepId, attempt: u32) {
        let now = (step.clone(), attempt);
        if self.with_names && self.current.as_ref() != Some(&now) {
            self.end_of_log();
            let step = match step.as_str().strip_suffix("..undo") {
                Some(step) => format!("undo of {step}"),
                None => step.to_string(),
            };
            let text =
                if attempt > 1 { format!("==> {step}, attempt {attempt}") } else { format!("==> {step}") };
            self.console.print(&format!("{}\n", styled(STRONG, text)));
            self.current = Some(now);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.terminal {
            None => self.is_read = self.is_read && self.console.print_bytes(bytes),
            Some(terminal) => {
                let mut text = String::new();
                terminal.push(bytes, &mut text);
                self.console.print(&text);
            }
        }
    }

    fn end_of_log(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            let mut text = String::new();
            terminal.finish(&mut text);
            self.console.print(&text);
        }
    }
}
