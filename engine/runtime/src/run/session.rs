//! A run from outside: created, carried on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::event::{AheadAnswer, EventKind};
use runbook_core::id::RunId;
use runbook_core::plan::{Plan, SecretSource};
use runbook_core::render::Texts;
use runbook_core::schedule::{Answer, Input, LockStanding};
use runbook_core::state::RunState;
use sha2::{Digest, Sha256};

use super::adopt::{self, Edited};
use super::dispatcher::{Conduct, Dispatcher, Ending, Opening, Parts, now};
use super::entry::{Entry, enter, enter_again, overridden, refuse_outside};
use super::environment::Environment;
use super::error::SessionError;
use super::files::hex;
use super::locks::Locks;
use super::message::Message;
use super::opened::{Standing, follow, plan_digest, plan_text, read_environment, texts_of};
use super::process::Workshop;
use super::recover::{Recovery, changed_inputs, recover};
use super::said;
use super::shell::find_program;
use super::surface::{Observer, Operator};
use crate::journal::{self};
use crate::keeper::{self, Helper, Witness};
use crate::redact::{Masker, Secrets};
use crate::secrets::{self};
use crate::store::identity::{current_user, hostname};
use crate::store::index;
use crate::store::lock::RunLock;
use crate::store::{ENVIRONMENT, NewFiles, PLAN, Place, RUNBOOK, RunDir, Store, StoreError, SummaryFold};

/// How often an id that is taken is replaced by another.
const ID_TRIES: u32 = 8;

/// What a new run is made of.
pub struct NewRun<'a> {
    /// What runs.
    pub plan: Plan,
    /// The runbook's text, kept as it was run.
    pub runbook_text: &'a str,
    /// What the run keeps from outside.
    pub environment: Environment,
    /// Everything outside, for secrets.
    pub outside: &'a IndexMap<String, String>,
    /// Whether somebody can be asked.
    pub interactive: bool,
    /// Answers given ahead of time.
    pub ahead: Vec<AheadAnswer>,
    /// Why it may start outside its windows, where somebody says so.
    pub override_window: Option<String>,
    /// A given id, for tests; else a new one.
    pub id: Option<RunId>,
}

/// Where and by whom a run is carried out.
pub struct Surroundings<'o> {
    /// Forks keepers.
    pub helper: Arc<Helper>,
    /// The state directory.
    pub store: Store,
    /// Sees everything.
    pub observer: &'o mut dyn Observer,
    /// Is asked.
    pub operator: &'o dyn Operator,
    /// How it is carried out.
    pub conduct: Conduct,
    /// What the process gets.
    pub signals: tokio::sync::mpsc::UnboundedReceiver<super::dispatcher::Signal>,
    /// `$XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// The state directory as it is to be named to others, who wouldn't find it by themselves.
    pub state_directory: Option<String>,
}

/// Where the plan's secrets are read from.
pub(super) fn secret_sources(plan: &Plan) -> IndexMap<String, secrets::SecretSource> {
    let sources = plan.secrets.iter().map(|(name, source)| {
        let source = match source {
            SecretSource::Env(name) => secrets::SecretSource::Env(name.clone()),
            SecretSource::File(path) => secrets::SecretSource::File(path.into()),
            SecretSource::Command(argv) => secrets::SecretSource::Command(argv.clone()),
        };
        (name.clone(), source)
    });
    sources.collect()
}

/// Reads the plan's secrets, all before anything runs.
///
/// # Errors
/// All that can't be had, and a parameter that holds one.
pub async fn read_secrets(
    plan: &Plan,
    root: &std::path::Path,
    outside: &IndexMap<String, String>,
) -> Result<Secrets, SessionError> {
    let read =
        secrets::read_all(&secret_sources(plan), root, outside).await.map_err(SessionError::Secrets)?;
    let masker = Masker::new(&read);
    for (param, value) in &plan.params {
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if let Some(secret) = masker.holds_secret(&text) {
            return Err(SessionError::SecretInParam { param: param.clone(), secret: secret.to_owned() });
        }
    }
    Ok(read)
}

/// A run that exists and is held by this process, ready to go.
pub struct Held {
    /// The run's id.
    pub run: RunId,
    /// Its folder.
    pub dir: RunDir,
    state: RunState,
    opening: Opening,
    secrets: Secrets,
    environment: Environment,
    handled: Vec<String>,
    fold: SummaryFold,
    named: Arc<Locks>,
    lock_standings: BTreeMap<usize, LockStanding>,
    lock: RunLock,
}

/// Creates a run: everything that it needs is on disk, and its creation is recorded.
///
/// # Errors
/// Where secrets are missing or the store can't be written; then there is no run.
pub async fn create(
    store: &Store,
    mut new: NewRun<'_>,
    notice: &mut dyn FnMut(String),
) -> Result<Held, SessionError> {
    if new.override_window.is_none() {
        refuse_outside(&new.plan)?;
    }
    let secrets = read_secrets(&new.plan, &new.environment.root, new.outside).await?;
    let stored = new.environment.masked(&secrets)?;
    let masker = Masker::new(&secrets);
    said::mask_ahead(&masker, &mut new.ahead);
    said::mask(&masker, new.override_window.as_mut());
    let plan_text = plan_text(&new.plan);
    let plan = Arc::new(new.plan);
    let Created { dir, lock, entry } = create_folder(store, &plan, new.id, new.interactive, notice).await?;
    let digest = plan_digest(&plan_text);
    let environment_text =
        serde_json::to_string(&stored).expect("an environment is plain data: its maps have text keys");
    let directory = dir.directory();
    let files: [(&str, &[u8]); 3] = [
        (RUNBOOK, new.runbook_text.as_bytes()),
        (PLAN, plan_text.as_bytes()),
        (ENVIRONMENT, environment_text.as_bytes()),
    ];
    let files = NewFiles::write(directory, &files, store.runs())?;
    Witness::create(&dir.witness_path(), dir.file_mode())?;
    dir.files()?;
    let at = now();
    let created = EventKind::RunCreated {
        runbook: plan.runbook.clone(),
        plan_digest: digest,
        params: plan.params.clone(),
        user: current_user(),
        host: hostname(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        interactive: new.interactive,
        environment_digest: Some(hex(&Sha256::digest(environment_text.as_bytes()))),
        ahead: new.ahead,
    };
    let mut state = RunState::new(plan);
    let mut first = vec![created];
    first.extend(entry.events);
    first.extend(overridden(new.override_window.as_ref()));
    for event in &first {
        state.apply(at, event)?;
    }
    Ok(Held {
        run: dir.run().clone(),
        dir,
        state,
        opening: Opening::New { first, files },
        secrets,
        handled: Vec::new(),
        fold: SummaryFold::default().with_place(Place::new(&new.environment.root, &new.environment.file)),
        environment: new.environment,
        named: entry.locks,
        lock_standings: entry.standings,
        lock,
    })
}

/// The folder of a new run, held, with what stands before the run.
struct Created {
    dir: RunDir,
    lock: RunLock,
    entry: Entry,
}

/// Takes the run's named lock first, so that a run that is refused was never there.
async fn create_folder(
    store: &Store,
    plan: &Arc<Plan>,
    id: Option<RunId>,
    interactive: bool,
    notice: &mut dyn FnMut(String),
) -> Result<Created, SessionError> {
    let mut tries = 0;
    loop {
        let run = match &id {
            Some(id) => id.clone(),
            None => new_id(store)?,
        };
        let entry = enter(store, plan, &run, interactive, notice).await?;
        match store.create_run(&run) {
            Err(StoreError::RunExists { .. }) if id.is_none() && tries < ID_TRIES => tries += 1,
            other => {
                let (dir, lock) = other?;
                return Ok(Created { dir, lock, entry });
            }
        }
    }
}

fn new_id(store: &Store) -> Result<RunId, StoreError> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| StoreError::Refused {
        path: store.path().to_owned(),
        what: format!("no randomness for a run's id: {error}"),
    })?;
    Ok(RunId::new(jiff::Timestamp::now(), random))
}

impl Held {
    /// Runs a new run.
    ///
    /// # Errors
    /// Where the machine lacks what every run needs, and where not even the run's creation can be recorded: then nothing
    /// was started, and there is no run.
    pub async fn start(self, surroundings: Surroundings<'_>) -> Result<Ending, SessionError> {
        let dir = self.dir.clone();
        let ending = self.carry_on(surroundings, vec![Input::Started], Recovery::default()).await?;
        match &ending.store_failure {
            Some(failure) if ending.summary.summary(dir.run(), false).is_none() => {
                // What is left of it would only take the room that is missing.
                if let Err(error) = std::fs::remove_dir_all(dir.path()) {
                    tracing::warn!(%error, "the folder of a run that never began can't be removed");
                }
                Err(SessionError::NothingRecorded(failure.clone()))
            }
            _ => Ok(ending),
        }
    }

    async fn carry_on(
        self,
        surroundings: Surroundings<'_>,
        first: Vec<Input>,
        recovery: Recovery,
    ) -> Result<Ending, SessionError> {
        let Surroundings {
            helper,
            store,
            observer,
            operator,
            conduct,
            signals,
            xdg_runtime_dir,
            state_directory,
        } = surroundings;
        let texts = texts_of(&self.dir, &self.state);
        let runtime_dir =
            keeper::runtime_directory(xdg_runtime_dir.as_deref()).map_err(SessionError::RuntimeDirectory)?;
        let bash = find_program("bash", &self.environment);
        let workshop = Workshop {
            helper,
            dir: self.dir.clone(),
            environment: Arc::new(self.environment),
            masker: Masker::new(&self.secrets),
            secrets: Arc::new(self.secrets),
            locks: self.named,
            runtime_dir: Arc::new(runtime_dir),
            shells: Arc::default(),
            default_shell: if bash.is_some() { "bash".into() } else { "sh".into() },
        };
        let dispatcher = Dispatcher::new(Parts {
            state: self.state,
            texts,
            workshop,
            opening: self.opening,
            store: store.clone(),
            observer,
            operator,
            conduct,
            boot: keeper::boot_id().map_err(SessionError::Boot)?,
            user: current_user(),
            state_directory,
            signals,
            survivors: recovery.survivors,
            claims: recovery.claims,
            lock_standings: self.lock_standings,
            handled: self.handled,
            summary: self.fold,
        });
        let dispatcher = dispatcher.attached(recovery.attached);
        let ending = dispatcher.run(first).await;
        update_index(&store, &self.dir, &ending.summary, false);
        drop(self.lock);
        Ok(ending)
    }
}

/// The index is derived: a run is not worse for an index that can't be written.
fn update_index(store: &Store, dir: &RunDir, fold: &SummaryFold, is_held: bool) {
    let Some(summary) = fold.summary(dir.run(), is_held) else { return };
    if let Err(error) = index::record(store, &summary) {
        tracing::warn!(%error, "the index of runs can't be written");
    }
}

/// What a resume, or a cancel of a parked run, does first.
pub struct Carry {
    /// Failed steps about which the question is put.
    pub question: Vec<usize>,
    /// Answers that the command line gives.
    pub answers: Vec<Answer>,
    /// Answers to questions that are still to come, given by who takes it on.
    pub ahead: Vec<AheadAnswer>,
    /// Why it may go on outside its windows, where somebody says so.
    pub override_window: Option<String>,
    /// The run is to end: why.
    pub cancel: Option<Option<String>>,
    /// It is taken on only to undo what was done.
    pub rollback: bool,
    /// The edited runbook that it goes on with; all indexes here are then those of its plan.
    pub adopt: Option<Edited>,
    /// The step from which on all runs again.
    pub rewind: Option<usize>,
}

/// Takes a run on that no other process holds. `decide` looks at the run, as it
/// stands once it is held, and says what to do, or why not.
///
/// # Errors
/// `Err` of this function where the run can't be opened or held; the inner one
/// is what `decide` refused with, and nothing was changed then.
pub async fn resume<R>(
    dir: &RunDir,
    outside: &IndexMap<String, String>,
    surroundings: Surroundings<'_>,
    decide: impl FnOnce(&RunState) -> Result<Carry, R>,
    notice: &mut dyn FnMut(String),
) -> Result<Result<Ending, R>, SessionError> {
    let lock = RunLock::acquire(dir, crate::store::lock::PATIENCE)?;
    let replay = journal::read(dir)?;
    let mut fold = SummaryFold::default();
    let mut handled = Vec::new();
    let Standing { mut state, plan_is_in_place } = follow(dir, &replay, |event| {
        fold.apply(event.at, &event.kind);
        if let EventKind::GateAnswered { file: Some(file), .. } = event.kind {
            handled.push(file);
        }
    })?;
    if !plan_is_in_place {
        adopt::mend(dir, &state)?;
    }
    let mut carry = match decide(&state) {
        Ok(carry) => carry,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let after = carry.adopt.as_ref().map(|edited| edited.applied(&state)).transpose()?;
    let after = after.as_ref().unwrap_or(&state);
    let plan = Arc::clone(&after.plan);
    let (environment, digest) = read_environment(dir)?;
    let recorded = state.created.as_ref().and_then(|created| created.environment_digest.clone());
    if recorded.is_some_and(|recorded| recorded != digest) {
        return Err(SessionError::ForeignEnvironment { path: dir.path().join(ENVIRONMENT) });
    }
    let secrets = read_secrets(&plan, &environment.root, outside).await?;
    let masker = Masker::new(&secrets);
    said::mask_carry(&masker, &mut carry);
    let environment = environment.unmasked(&secrets);
    let texts = texts_of(dir, &state);
    let mut entry = entry_again(&surroundings.store, after, &texts, dir, &carry, notice).await?;
    entry.events.extend(overridden(carry.override_window.as_ref()));
    if !carry.ahead.is_empty() {
        entry.events.push(EventKind::AnsweredAhead { answers: carry.ahead.clone() });
    }
    // What ran did so as the plan was then.
    let recovery = recover(&state.plan, &state, &texts, dir, &replay, &masker).await?;
    refuse_while_it_runs(&state.plan, &recovery, &carry.answers)?;
    let again = carry.rewind.map(|step| after.following(step)).unwrap_or_default();
    adopt::refuse_while_it_runs(&state, after, &recovery, &again, carry.adopt.is_some())?;
    let mut recovery = adopt::moved(recovery, &state, after);
    let changed = changed_inputs(&plan, &adopt::before_again(after, &again), &texts, &environment.root);
    entry.events.splice(0..0, carry.adopt.iter().map(Edited::event));
    if recovery.attached.is_empty() {
        // Scripts and output files of attempts that nobody keeps any more.
        let folder = keeper::runtime_directory(surroundings.xdg_runtime_dir.as_deref())
            .map_err(SessionError::RuntimeDirectory)?;
        if let Err(error) = keeper::remove_leftover_files(&folder, dir.run().as_str()) {
            tracing::warn!(%error, "leftovers can't be removed");
        }
    }
    let first = vec![Input::Resumed {
        by: current_user(),
        host: hostname(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        found: std::mem::take(&mut recovery.found),
        changed_inputs: changed,
        guards: entry.events,
        question: carry.question,
        answers: carry.answers,
        rewind: carry.rewind.map(|step| (step, current_user())),
        cancel: carry.cancel.map(|reason| (current_user(), reason)),
        rollback: carry.rollback,
    }];
    if let Some(edited) = carry.adopt {
        adopt::put(dir, &mut state, edited)?;
    }
    let held = Held {
        run: dir.run().clone(),
        dir: dir.clone(),
        state,
        opening: Opening::Again { replay },
        secrets,
        fold: fold.with_place(Place::new(&environment.root, &environment.file)),
        environment,
        handled,
        named: entry.locks,
        lock_standings: entry.standings,
        lock,
    };
    let ending = held.carry_on(surroundings, first, recovery).await?;
    Ok(Ok(ending))
}

/// What stands before a run that is taken on. To be ended it needs no window, and its lock only where something is still to run.
async fn entry_again(
    store: &Store,
    state: &RunState,
    texts: &Texts,
    dir: &RunDir,
    carry: &Carry,
    notice: &mut dyn FnMut(String),
) -> Result<Entry, SessionError> {
    let ends = carry.cancel.is_some();
    if ends && !state.plan.steps.iter().any(|step| step.finally) {
        return Ok(Entry::default());
    }
    if !ends && carry.override_window.is_none() && !state.window_overridden.contains(&None) {
        refuse_outside(&state.plan)?;
    }
    enter_again(store, state, texts, dir.run(), notice).await
}

/// Whether a step took effect can't be decided while processes of it still run.
fn refuse_while_it_runs(plan: &Plan, recovery: &Recovery, answers: &[Answer]) -> Result<(), SessionError> {
    for (step, processes) in &recovery.survivors {
        let step = &plan.steps[*step].id;
        if answers.iter().any(|answer| answer.step == *step) {
            let named: Vec<String> =
                processes.iter().map(|process| format!("{} ({})", process.pid, process.command)).collect();
            return Err(SessionError::StillRuns { step: step.clone(), processes: named.join(", ") });
        }
    }
    Ok(())
}

impl Dispatcher<'_> {
    /// Waits for attempts of an earlier engine that still run.
    #[must_use]
    fn attached(mut self, attempts: Vec<(usize, u32, u32, String)>) -> Self {
        for (step, attempt, slot, boot) in attempts {
            let path = self.dir().witness_path();
            let messages = self.messages();
            self.tasks.insert(
                step,
                super::dispatcher::Task {
                    attached: Some((slot, boot.clone())),
                    ..super::dispatcher::Task::new(attempt)
                },
            );
            tokio::spawn(async move {
                let verdict =
                    keeper::wait_for_slot(&path, slot, &boot).await.map_err(|error| error.to_string());
                let _ = messages.send(Message::Attached { step, attempt, verdict });
            });
        }
        self
    }
}
