//! Carrying a run on in this process: keepers, signals, reports and prompts put
//! together, and the exit status at the end.

use std::rc::Rc;
use std::sync::Arc;

use runbook_core::document::model::Keep;
use runbook_core::event::{AheadAnswer, Gate, Outcome, RunOutcome};
use runbook_core::plan::{OnFailure, Plan};
use runbook_core::schedule::{
    self, Attendance, Refusal, RefusalKind, ResumeRequest, check_ahead_again, decided_ahead, plan_adoption,
    plan_resume,
};
use runbook_core::state::RunState;
use runbook_runtime::keeper::Helper;
use runbook_runtime::run::{
    self, Carry, Conduct, Edited, Ending, Environment, NewRun, Observer, Operator, SessionError, Signal,
    Surroundings, Unattended, View,
};
use runbook_runtime::store::identity::current_user;
use runbook_runtime::store::{RunDir, Store};

use crate::adopting::Proposal;
use crate::commands::rollback;
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::exit_code;
use crate::keeping;
use crate::options::{Format, Patience};
use crate::prompt::TerminalOperator;
use crate::report::ending::culprit;
use crate::report::next::Paste;
use crate::report::wording::harmless;
use crate::report::{Closing, Reporter, Screen};

impl From<SessionError> for CommandError {
    fn from(error: SessionError) -> Self {
        let error = match error {
            SessionError::Lock(error) => return error.into(),
            error => error,
        };
        let kind = match error.exit_code() {
            exit_code::USAGE => ErrorKind::Usage,
            exit_code::REFUSED => ErrorKind::Refused,
            exit_code::UNDECIDED => ErrorKind::Undecided,
            _ => ErrorKind::Store,
        };
        Self::new(kind, error.to_string()).with_cause(&error)
    }
}

/// The one process that starts commands. To be started before anything else
/// makes this process large or gives it threads.
pub(crate) fn helper() -> Result<Arc<Helper>, CommandError> {
    Helper::start().map(Arc::new).map_err(|error| {
        CommandError::store("the process that starts commands can't be started").with_cause(&error)
    })
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        CommandError::new(ErrorKind::Store, "the system gives no event loop").with_cause(&error)
    })?;
    let output = runtime.block_on(future);
    // A blocking task that never ends (a name look-up) must not hold the process.
    runtime.shutdown_background();
    Ok(output)
}

/// How the command line wants runs to be carried out.
pub(crate) fn conduct(context: &Context) -> Conduct {
    let wait_for = match context.global.wait {
        Some(Patience::For(span)) => Some(span),
        Some(Patience::Forever) | None => None,
    };
    Conduct { max_parallel: context.global.max_parallel, wait_for }
}

/// Whether somebody can be asked.
pub(crate) fn is_attended(context: &Context) -> bool {
    !context.console.non_interactive
}

/// Tells what a run waits for before it is there.
fn notice(context: &Context) -> impl FnMut(String) + '_ {
    |what| context.console.say(&format!("{}\n", harmless(&what)))
}

/// Whoever can be asked, and the screen that questions and reports share.
fn operator(context: &Context, screen: &Rc<Screen>) -> Box<dyn Operator> {
    if is_attended(context) {
        return Box::new(TerminalOperator::new(Rc::clone(screen)));
    }
    let attendance = if context.global.wait.is_some() { Attendance::Waiting } else { Attendance::Nobody };
    Box::new(Unattended { attendance })
}

/// A run that is to be started.
pub(crate) struct Start<'a> {
    /// What runs.
    pub(crate) plan: Plan,
    /// The runbook's text.
    pub(crate) text: &'a str,
    /// How long runs of its project are kept.
    pub(crate) keep: Keep,
    /// What it keeps from outside.
    pub(crate) environment: Environment,
    /// Whether somebody can be asked.
    pub(crate) interactive: bool,
    /// Answers given ahead of time.
    pub(crate) ahead: Vec<AheadAnswer>,
    /// Why it may start outside its windows.
    pub(crate) override_window: Option<String>,
}

/// Creates a run and carries it as far as it goes; the exit status.
pub(crate) async fn start(
    context: &Context,
    helper: Arc<Helper>,
    start: Start<'_>,
) -> Result<u8, CommandError> {
    let outside = run::outside();
    let store = context.store()?;
    let root = start.environment.root.clone();
    let override_matters = start.override_window.is_none()
        || schedule::override_matters(&RunState::new(Arc::new(start.plan.clone())), &[], run::now());
    let runbook = start.plan.runbook.clone();
    let new = NewRun {
        plan: start.plan,
        runbook_text: start.text,
        environment: start.environment,
        outside: &outside,
        interactive: start.interactive,
        ahead: start.ahead,
        override_window: start.override_window.filter(|_| override_matters),
        id: None,
    };
    let held = match run::create(&store, new, &mut notice(context)).await {
        Err(error @ SessionError::NamedLockBusy { skip: true, .. }) => {
            context.console.say(&format!("no run: {}\n", harmless(&error.to_string())));
            return Ok(exit_code::SUCCEEDED);
        }
        other => other?,
    };
    let dir = held.dir.clone();
    if !override_matters {
        nothing_to_override(context, &dir, &runbook);
    }
    let expired = keeping::apply(&store, &root, &start.keep);
    let screen = Screen::new(context.console.clone());
    let operator = operator(context, &screen);
    // The latest run of all is this one: the shortest name for it.
    let mut reporter = Reporter::new(context, &screen, "last");
    let surroundings = surroundings(context, helper, store, &mut reporter, &*operator)?;
    let ending = held.start(surroundings).await;
    keeping::tell(context, &expired);
    let ending = ending?;
    finish(context, &mut reporter, &dir, &ending, "last")
}

/// How a run is taken on, beside what is decided about its steps.
#[derive(Default)]
pub(crate) struct Taking {
    /// Why it may go on outside its windows.
    pub(crate) override_window: Option<String>,
    /// The edited runbook that it goes on with.
    pub(crate) edited: Option<Proposal>,
}

/// Takes a run on as the command line says; the exit status.
pub(crate) fn resume(
    context: &Context,
    helper: Arc<Helper>,
    dir: &RunDir,
    named: &str,
    request: &ResumeRequest,
    taking: Taking,
) -> Result<u8, CommandError> {
    let Taking { override_window, edited } = taking;
    let decide = |state: &RunState| {
        // Judged again as the run stands now that it is held.
        let adopt = match edited {
            Some(Proposal { plan, digest, text }) if state.outcome != Some(RunOutcome::Succeeded) => {
                let adoption = plan_adoption(state, plan, digest)?;
                adoption.map(|adoption| Edited { adoption, text })
            }
            _ => None,
        };
        let after = adopt.as_ref().map(|edited| edited.adoption.applied(state, run::now())).transpose()?;
        let state = after.as_ref().unwrap_or(state);
        let (request, ahead) = decided_ahead(state, request, ahead_by_whoever_resumes(context));
        let (question, answers) = plan_resume(state, &request)?;
        let rewind = request.from.as_ref().and_then(|id| state.index_of(id));
        let mut again = rewind.map(|from| state.following(from)).unwrap_or_default();
        again.extend(&question);
        again.extend(answers.iter().filter_map(|answer| state.index_of(&answer.step)));
        let mut override_window = override_window.clone();
        if override_window.is_some() && !schedule::override_matters(state, &again, run::now()) {
            nothing_to_override(context, dir, &state.plan.runbook);
            override_window = None;
        }
        check_ahead_again(state, &ahead, &current_user())?;
        Ok(Carry { question, answers, ahead, override_window, cancel: None, adopt, rewind, rollback: false })
    };
    match carry_on(context, helper, dir, named, decide)? {
        Ok(status) => Ok(status),
        Err(Refusal { kind: RefusalKind::Unchanged, message }) => {
            nothing_to_do(context, dir, &message)?;
            Ok(exit_code::SUCCEEDED)
        }
        Err(refusal) if refusal.kind == RefusalKind::Undecided => {
            Err(with_decisions(context, dir, named, refusal.into()))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Says that `--override-window` was given where no window is in the way; nothing is recorded of it.
fn nothing_to_override(context: &Context, dir: &RunDir, runbook: &str) {
    let line = context.console.announcement(dir.run(), runbook).unwrap_or_default();
    context.console.say(&format!(
        "{line}--override-window: no window needed overriding, so nothing is recorded of it\n"
    ));
}

/// Answers to questions that are still to come, with who gives them.
pub(crate) fn ahead_by_whoever_resumes(context: &Context) -> Vec<AheadAnswer> {
    let by = Some(current_user());
    context.global.ahead().into_iter().map(|answer| AheadAnswer { by: by.clone(), ..answer }).collect()
}

/// The same with the commands that decide about the step that failed first.
fn with_decisions(context: &Context, dir: &RunDir, named: &str, error: CommandError) -> CommandError {
    let Ok(opened) = run::open(dir) else { return error };
    let Some(step) = culprit(View::of(&opened.state)) else { return error };
    let step = opened.state.plan.steps[step].id.as_str();
    let paste = Paste::new(context, named);
    error
        .with_hint(paste.command("logs", &[step]))
        .with_hint(paste.command("resume", &["--retry", step]))
        .with_hint(paste.command("resume", &["--skip", &format!("{step}=WHY")]))
}

/// Takes a run on to undo what it has done; the exit status.
pub(crate) fn rollback(
    context: &Context,
    helper: Arc<Helper>,
    dir: &RunDir,
    named: &str,
    decide: impl FnOnce(&RunState) -> Result<Carry, Refusal>,
) -> Result<u8, CommandError> {
    let status = |ending: &Ending| match (exit_status(ending), ending.outcome) {
        // How the run had ended is not what this was about.
        (_, Some(_)) if ending.store_failure.is_none() && ending.stopped.is_none() => {
            if rollback::is_incomplete(&ending.state) {
                exit_code::FAILED
            } else {
                exit_code::SUCCEEDED
            }
        }
        (status, _) => status,
    };
    match carry_on_with(context, helper, dir, named, decide, status)? {
        Ok(status) => Ok(status),
        Err(Refusal { kind: RefusalKind::Unchanged, message }) => {
            nothing_to_do(context, dir, &message)?;
            Ok(exit_code::SUCCEEDED)
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Says of a run that is over what every resumed run says.
fn nothing_to_do(context: &Context, dir: &RunDir, message: &str) -> Result<(), CommandError> {
    let opened = run::open(dir)?;
    let line = context.console.announcement(dir.run(), &opened.state.plan.runbook).unwrap_or_default();
    context.console.say(&format!("{line}{}\n", harmless(message)));
    let outcome = match opened.state.outcome {
        Some(outcome) => outcome.as_str(),
        None if opened.state.parked.is_some() => "waiting",
        None => "interrupted",
    };
    if context.global.format == Format::Text
        && !(context.console.stdout_terminal && context.console.stderr_terminal)
    {
        context.console.print(&format!("run {} {outcome}\n", dir.run()));
    }
    Ok(())
}

/// Takes a run on. `decide` says what to do with it as it stands, or refuses;
/// then nothing was changed.
pub(crate) fn carry_on(
    context: &Context,
    helper: Arc<Helper>,
    dir: &RunDir,
    named: &str,
    decide: impl FnOnce(&RunState) -> Result<Carry, Refusal>,
) -> Result<Result<u8, Refusal>, CommandError> {
    carry_on_with(context, helper, dir, named, decide, exit_status)
}

/// The same, with another opinion of what its ending means.
fn carry_on_with(
    context: &Context,
    helper: Arc<Helper>,
    dir: &RunDir,
    named: &str,
    decide: impl FnOnce(&RunState) -> Result<Carry, Refusal>,
    status: impl FnOnce(&Ending) -> u8,
) -> Result<Result<u8, Refusal>, CommandError> {
    block_on(async {
        let outside = run::outside();
        let store = context.store()?;
        let screen = Screen::new(context.console.clone());
        let operator = operator(context, &screen);
        let mut reporter = Reporter::new(context, &screen, named);
        let surroundings = surroundings(context, helper, store, &mut reporter, &*operator)?;
        let carried = run::resume(dir, &outside, surroundings, decide, &mut notice(context)).await?;
        match carried {
            Ok(ending) => {
                finish(context, &mut reporter, dir, &ending, named)?;
                Ok(Ok(status(&ending)))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    })?
}

/// Says how the run stands; the exit status.
fn finish(
    context: &Context,
    reporter: &mut Reporter,
    dir: &RunDir,
    ending: &Ending,
    named: &str,
) -> Result<u8, CommandError> {
    let view = View::of(&ending.state);
    let closing = Closing::new(context, dir, view, ending.store_failure.clone(), named);
    reporter.finish(view, &closing)?;
    Ok(exit_status(ending))
}

/// Where a run is carried out.
pub(crate) fn surroundings<'o>(
    context: &Context,
    helper: Arc<Helper>,
    store: Store,
    observer: &'o mut dyn Observer,
    operator: &'o dyn Operator,
) -> Result<Surroundings<'o>, CommandError> {
    let signals =
        run::listen().map_err(|error| CommandError::store("signals can't be handled").with_cause(&error))?;
    Ok(Surroundings {
        helper,
        store,
        observer,
        operator,
        conduct: conduct(context),
        signals,
        xdg_runtime_dir: context.environment.runtime_dir.clone(),
        state_directory: context.state_to_name(),
    })
}

/// Whether a question is one that a resume needs answered, and not one that the
/// runbook puts to people.
fn is_undecided(state: &RunState, step: usize, gate: Gate) -> bool {
    match gate {
        Gate::Interrupted => true,
        Gate::Failure => state.plan.steps[step].on_failure != OnFailure::Ask,
        Gate::Undo => state.steps[step].outcome() == Some(Outcome::Interrupted),
        _ => false,
    }
}

/// The exit status of a run that this process has carried (`cli.md`).
pub(crate) fn exit_status(ending: &Ending) -> u8 {
    if ending.store_failure.is_some() {
        return exit_code::STORE;
    }
    if let Some(signal) = ending.stopped {
        return match signal {
            Signal::Terminate => exit_code::TERMINATED,
            Signal::HangUp => exit_code::HUNG_UP,
            Signal::Interrupt | Signal::Suspend | Signal::Continue => exit_code::INTERRUPTED,
        };
    }
    match (&ending.parked, ending.outcome) {
        (Some(gates), None) => {
            if ending.state.gates.iter().any(|(step, gate)| is_undecided(&ending.state, *step, gate.gate))
                && !gates.is_empty()
            {
                exit_code::UNDECIDED
            } else {
                exit_code::WAITING
            }
        }
        (_, Some(RunOutcome::Succeeded)) => exit_code::SUCCEEDED,
        (_, Some(RunOutcome::Rejected)) => exit_code::REJECTED,
        (_, Some(RunOutcome::Failed | RunOutcome::Cancelled)) => exit_code::FAILED,
        (None, None) => exit_code::STORE,
    }
}
