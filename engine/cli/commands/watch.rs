//! `runbook watch`: a run in another process, live, by its journal alone.
//!
//! The same reports as of a run in this process, fed from the journal and from the logs of what runs. Nothing is written: leaving
//! leaves the run alone.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use runbook_core::event::EventKind;
use runbook_core::id::StepId;
use runbook_core::state::RunState;
use runbook_runtime::capture::{CaptureLog, Follower, Frame, Stream};
use runbook_runtime::journal;
use runbook_runtime::run::{self, Observer as _, View};
use runbook_runtime::store::{RunDir, Watch, lock};
use tokio::signal::unix::{SignalKind, signal};

use crate::console::{ATTENTION, DIM, STRONG, styled};
use crate::context::Context;
use crate::drive::block_on;
use crate::error::CommandError;
use crate::exit_code;
use crate::options::{Format, Patience};
use crate::report::next::Paste;
use crate::report::wording::{Signs, harmless};
use crate::report::{Closing, Reporter, Screen};

/// How often is looked at logs, which nothing tells of, and at the clock.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Options of `watch`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: String,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let store = context.store()?;
    let dir = store.run(&context.resolve(&store, &options.run)?)?;
    let context = onlooker(context);
    block_on(async {
        // Before anything is shown: who sees something may press Ctrl-C.
        let mut interrupt = signal(SignalKind::interrupt())
            .map_err(|error| CommandError::store("Ctrl-C can't be listened for").with_cause(&error))?;
        let mut view = Viewer::open(&context, &dir, &options.run)?;
        let mut changes = Watch::journal(&dir);
        let mut time = tokio::time::interval(LOOK_EVERY);
        loop {
            // Asked first: what is written after that is seen in the next round, and after the last there is none.
            let is_over = lock::is_held(&dir)?.is_none();
            view.look()?;
            if is_over {
                view.finish()?;
                return Ok(exit_code::SUCCEEDED);
            }
            tokio::select! {
                _ = interrupt.recv() => {
                    view.leave();
                    return Ok(exit_code::INTERRUPTED);
                }
                () = changes.changed() => {}
                _ = time.tick() => {}
            }
        }
    })?
}

/// Who only looks on is not asked, but is told how to answer.
fn onlooker(context: &Context) -> Context {
    let (mut global, mut console) = (context.global.clone(), context.console.clone());
    global.wait.get_or_insert(Patience::Forever);
    console.non_interactive = true;
    Context { global, environment: context.environment.clone(), console }
}

/// What is known of the run, and who shows it.
struct Viewer<'a> {
    context: &'a Context,
    dir: &'a RunDir,
    named: &'a str,
    reporter: Reporter,
    events: journal::Follower,
    state: RunState,
    /// The logs of attempts that run; `None` until something is printed.
    logs: HashMap<(StepId, u32), Option<Follower>>,
    is_parked: bool,
}

impl<'a> Viewer<'a> {
    fn open(context: &'a Context, dir: &'a RunDir, named: &'a str) -> Result<Self, CommandError> {
        let digest = run::open(dir)?.events.into_iter().find_map(|event| match event.kind {
            EventKind::RunCreated { plan_digest, .. } => Some(plan_digest),
            _ => None,
        });
        // The plan as the run began; how it grew, and which took its place, is in the events.
        let plan = run::read_plan(dir, &digest.unwrap_or_default())?;
        let screen = Screen::new(context.console.clone());
        Ok(Self {
            context,
            dir,
            named,
            reporter: Reporter::new(context, &screen, named),
            events: journal::Follower::from_start(dir),
            state: RunState::new(plan),
            logs: HashMap::new(),
            is_parked: false,
        })
    }

    /// Shows what is new.
    fn look(&mut self) -> Result<(), CommandError> {
        for raw in self.events.read_new()? {
            let event = raw.typed(self.dir.run())?;
            if let EventKind::RunAdopted { plan_digest, .. } = &event.kind {
                self.state.offer(plan_digest.clone(), run::read_plan(self.dir, plan_digest)?);
            }
            self.state.apply(event.at, &event.kind).map_err(|error| {
                CommandError::store(format!("the journal of run {} can't be followed", self.dir.run()))
                    .with_cause(&error)
            })?;
            match &event.kind {
                EventKind::StepStarted { step, attempt, .. } => {
                    self.logs.insert((step.clone(), *attempt), None);
                }
                EventKind::StepFinished { step, attempt, .. } => {
                    let key = (step.clone(), *attempt);
                    self.output_of(&key)?;
                    self.logs.remove(&key);
                }
                _ => {}
            }
            match &event.kind {
                EventKind::RunParked { .. } => self.is_parked = true,
                EventKind::RunResumed { .. } => self.is_parked = false,
                _ => {}
            }
            self.reporter.event(&event, raw.line(), View::of(&self.state));
        }
        let running: Vec<(StepId, u32)> = self.logs.keys().cloned().collect();
        for key in &running {
            self.output_of(key)?;
        }
        self.reporter.tick(run::now(), View::of(&self.state));
        Ok(())
    }

    /// Shows what an attempt printed since the last look.
    fn output_of(&mut self, key: &(StepId, u32)) -> Result<(), CommandError> {
        let Some(log) = self.logs.get_mut(key) else { return Ok(()) };
        let (step, attempt) = key;
        if log.is_none() {
            // What has printed nothing has no log.
            *log = CaptureLog::open(&self.dir.log_path(step, *attempt)).and_then(|log| log.follow()).ok();
        }
        let Some(log) = log else { return Ok(()) };
        let frames = log.read_new().map_err(|error| {
            CommandError::store(format!("the log of `{step}` can't be read")).with_cause(&error)
        })?;
        for frame in frames {
            if let Frame::Bytes { stream: stream @ (Stream::Stdout | Stream::Stderr), bytes } = frame {
                self.reporter.output(step, *attempt, stream, &bytes);
            }
        }
        Ok(())
    }

    /// No process carries the run any more: how it stands.
    fn finish(&mut self) -> Result<(), CommandError> {
        let state = &self.state;
        if state.outcome.is_some() || state.stopped.is_some() || self.is_parked {
            let view = View::of(state);
            let closing = Closing::new(self.context, self.dir, view, None, self.named);
            return self.reporter.finish(view, &closing);
        }
        self.reporter.leave(View::of(state));
        let console = &self.context.console;
        let signs = Signs::new(console.plain);
        let paste = Paste::new(self.context, self.named);
        let arrow = styled(DIM, signs.next);
        console.say(&format!(
            "{} {} is interrupted: the process that ran it is gone    {}\n  {arrow} {}\n  {arrow} {}\n",
            styled(ATTENTION, signs.attention),
            styled(STRONG, harmless(&state.plan.runbook)),
            styled(DIM, self.dir.run()),
            paste.command("status", &[]),
            paste.command("resume", &[]),
        ));
        if self.context.global.format == Format::Text && !(console.stdout_terminal && console.stderr_terminal)
        {
            console.print(&format!("run {} interrupted\n", self.dir.run()));
        }
        Ok(())
    }

    /// The one who looks goes away.
    fn leave(&mut self) {
        self.reporter.leave(View::of(&self.state));
        self.context.console.say("The run goes on; only this view of it has ended.\n");
    }
}
