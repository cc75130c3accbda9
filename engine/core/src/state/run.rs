//! What is known of a whole run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::gate::{GivenAnswer, OpenGate, Outliving, SettledGate};
use super::step::{Said, Status, StepState};
use super::structure::Structure;
use crate::event::{AheadAnswer, Outcome, RunOutcome, WaitingFor};
use crate::id::StepId;
use crate::moment::Moment;
use crate::plan::{OnFailure, Plan, Role, Step};
use crate::template::canonical_name;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    /// What runs: the frozen plan, grown by the steps that the run itself has settled.
    pub plan: Arc<Plan>,
    pub(super) index: HashMap<StepId, usize>,
    /// Steps by the name that expressions know them under.
    pub(super) names: HashMap<String, usize>,
    pub(super) dependents: Vec<Vec<usize>>,
    pub(super) is_gate: Vec<bool>,
    pub(super) is_container: Vec<bool>,
    pub(super) structure: Structure,
    /// Groups, calls and steps with items that have begun and not ended.
    pub open: BTreeSet<usize>,
    /// Those that have ended and hold steps of which nothing is recorded yet.
    pub abandoned: BTreeSet<usize>,
    /// Steps whose items are settled.
    pub itemized: BTreeSet<usize>,
    /// Whether unwinding alone starts a step.
    pub(super) waits_for_unwinding: Vec<bool>,
    pub(super) needs_unmet: Vec<u32>,
    /// Whether the dependents of a step count it as passed.
    pub(super) counted: Vec<bool>,
    /// One for each step of the plan, in its order.
    pub steps: Vec<StepState>,
    /// Open questions by step.
    pub gates: BTreeMap<usize, OpenGate>,
    /// Questions that are closed while what they came to is still to be recorded.
    pub settled: BTreeMap<usize, SettledGate>,
    /// Steps whose attempt runs and whose own question is not open.
    pub unasked: BTreeSet<usize>,
    /// Waits that run.
    pub waits: BTreeSet<usize>,
    /// Waits that a person has cut short, while that is still to be recorded.
    pub cut_short: BTreeMap<usize, GivenAnswer>,
    /// Approvals that are void, and why, while that is still to be recorded.
    pub void_due: BTreeMap<usize, String>,
    /// Steps that are pending with all that they need passed.
    pub ready: BTreeSet<usize>,
    /// Those of them that ask people, and so take no place.
    pub ready_gates: BTreeSet<usize>,
    /// Steps with an attempt that runs, gates not included.
    pub running: BTreeSet<usize>,
    /// Steps whose next attempt waits for its time.
    pub delayed: BTreeSet<usize>,
    /// Failed steps whose declared `retry` is not used up and whose next attempt
    /// is not scheduled.
    pub retrying: BTreeSet<usize>,
    /// Steps that stop the run: failed with `stop`, neither in question nor to be
    /// retried, or rejected, or cancelled.
    pub failing: BTreeSet<usize>,
    /// Steps of which it isn't known how they ended.
    pub interrupted: BTreeSet<usize>,
    /// Interrupted steps whose surviving processes are waited for or ended, as a
    /// person decided: for whoever carries the run on to do.
    pub outliving: BTreeMap<usize, Outliving>,
    /// Background commands that live.
    pub backgrounds: BTreeSet<usize>,
    /// Passed background steps whose command does not live any more and is started
    /// again before anything else is.
    pub lost: BTreeSet<usize>,
    /// Those of them that are starting again.
    pub restarting: BTreeSet<usize>,
    /// Steps that are neither pending, running nor delayed.
    pub(super) ended_count: [usize; 3],
    pub(super) step_count: [usize; 3],
    /// Steps with a deadline or an escalation of their own.
    pub timed: Vec<usize>,
    /// When the last event happened.
    pub(super) at: Moment,
    /// Who started it, and when: the run's facts.
    pub created: Option<Created>,
    /// The next free slot of the witness file.
    pub next_slot: u32,
    /// Where the undo of each step stands that has one, and whose undo it is.
    pub(super) undos: BTreeMap<usize, usize>,
    /// Where the question whether to undo stands.
    pub(super) rollback_question: Option<usize>,
    /// How many ends of steps there were.
    pub(super) ends: u64,
    /// What was done is being undone: nothing else starts any more but `finally`.
    pub unwinding: bool,
    /// A step under `finally` has started since the run was last taken on from its end:
    /// nothing is undone before it any more.
    pub finally_has_begun: bool,
    /// A person has stopped the unwinding.
    pub unwinding_stopped: bool,
    /// How the run had ended before it was taken on to be undone: that stays.
    pub ended_before: Option<RunOutcome>,
    /// Whether somebody took it on to undo what was done (`runbook rollback`), and it has not ended since.
    pub taken_on_to_undo: bool,
    /// Who asked for its end, and why.
    pub cancel: Option<(String, Option<String>)>,
    /// Somebody answered `abort`.
    pub aborted: Option<String>,
    /// A background command that died early.
    pub background_failure: Option<String>,
    /// The signal that stopped the last engine.
    pub stopped: Option<String>,
    /// The gates that it was parked for.
    pub parked: Option<Vec<WaitingFor>>,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
    /// When it ended.
    pub finished_at: Option<Moment>,
    /// Why, where no step says it.
    pub finish_reason: Option<String>,
    /// Inputs that are no longer what the plan has seen: (step, path) to SHA-256.
    pub changed_inputs: BTreeMap<(usize, String), Option<String>>,
    /// Named locks as they were recorded: of the run (`None`) or of a step, to the name.
    pub locks: BTreeMap<Option<usize>, String>,
    /// Whether a step has started since the run began or was taken on: its own window is about that.
    pub entered: bool,
    /// Somebody let the run begin outside its own window.
    pub entry_overridden: bool,
    /// Windows that somebody overrode: all (`None`), or that of a step.
    pub window_overridden: BTreeSet<Option<usize>>,
    /// Windows that somebody decided to wait for: the run's (`None`), or that of a step.
    pub window_waits: BTreeSet<Option<usize>>,
    /// Steps that could start and wait for a lock or a window, and why.
    pub waiting: BTreeMap<usize, String>,
    /// Plans that the record of an adoption may name, by their digests.
    pub(super) offered: BTreeMap<String, Arc<Plan>>,
    /// How often it was resumed.
    pub resumes: u32,
    /// Ahead-of-time answers not used yet.
    pub ahead: Vec<AheadAnswer>,
}

/// What the run's first event says.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The runbook.
    pub runbook: String,
    /// The plan's digest.
    pub plan_digest: String,
    /// Who.
    pub user: String,
    /// Where.
    pub host: String,
    /// When.
    pub at: Moment,
    /// Whether somebody could be asked then.
    pub interactive: bool,
    /// Of `environment.json`.
    pub environment_digest: Option<String>,
}

impl RunState {
    /// The state before the first event.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let mut dependents = vec![Vec::new(); plan.steps.len()];
        let mut step_count = [0, 0, 0];
        for (index, step) in plan.steps.iter().enumerate() {
            step_count[bucket(step)] += 1;
            for need in &step.needs {
                dependents[*need].push(index);
            }
        }
        let mut state = Self {
            index: by_id(&plan),
            names: named(&plan).map(|(i, step)| (canonical_name(step.id.as_str()), i)).collect(),
            dependents,
            is_gate: plan.steps.iter().map(Step::begins_without_slot).collect(),
            is_container: plan.steps.iter().map(crate::plan::Step::is_container).collect(),
            structure: Structure::of(&plan),
            open: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            itemized: BTreeSet::new(),
            waits_for_unwinding: plan.steps.iter().map(Step::waits_for_unwinding).collect(),
            needs_unmet: Vec::new(),
            counted: Vec::new(),
            steps: plan.steps.iter().map(|_| StepState::new()).collect(),
            gates: BTreeMap::new(),
            settled: BTreeMap::new(),
            unasked: BTreeSet::new(),
            waits: BTreeSet::new(),
            cut_short: BTreeMap::new(),
            void_due: BTreeMap::new(),
            ready: BTreeSet::new(),
            ready_gates: BTreeSet::new(),
            running: BTreeSet::new(),
            delayed: BTreeSet::new(),
            retrying: BTreeSet::new(),
            failing: BTreeSet::new(),
            interrupted: BTreeSet::new(),
            outliving: BTreeMap::new(),
            backgrounds: BTreeSet::new(),
            lost: BTreeSet::new(),
            restarting: BTreeSet::new(),
            ended_count: [0, 0, 0],
            step_count,
            timed: Vec::new(),
            at: Moment::default(),
            created: None,
            next_slot: 0,
            undos: plan.steps.iter().enumerate().filter_map(|(i, step)| Some((step.undoes()?, i))).collect(),
            rollback_question: plan.steps.iter().position(|step| step.role == Role::Rollback),
            ends: 0,
            unwinding: false,
            finally_has_begun: false,
            unwinding_stopped: false,
            ended_before: None,
            taken_on_to_undo: false,
            cancel: None,
            aborted: None,
            background_failure: None,
            stopped: None,
            parked: None,
            outcome: None,
            finished_at: None,
            finish_reason: None,
            changed_inputs: BTreeMap::new(),
            locks: BTreeMap::new(),
            entered: false,
            entry_overridden: false,
            window_overridden: BTreeSet::new(),
            window_waits: BTreeSet::new(),
            waiting: BTreeMap::new(),
            offered: BTreeMap::new(),
            resumes: 0,
            ahead: Vec::new(),
            plan,
        };
        let plan = Arc::clone(&state.plan);
        state.reindex(&plan);
        state
    }

    /// The step that an expression means by a name, in which `-` may be written `_`.
    #[must_use]
    pub fn index_of_name(&self, name: &str) -> Option<usize> {
        self.names.get(&canonical_name(name)).copied()
    }

    /// The step with this id.
    #[must_use]
    pub fn index_of(&self, id: &StepId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// Where the undo of a step stands, where it has one.
    #[must_use]
    pub fn undo_of(&self, index: usize) -> Option<usize> {
        self.undos.get(&index).copied()
    }

    /// Each step that has an undo, and where that stands.
    pub fn undos(&self) -> impl Iterator<Item = (usize, usize)> {
        self.undos.iter().map(|(step, undo)| (*step, *undo))
    }

    /// Whether a step was undone.
    #[must_use]
    pub fn is_undone(&self, index: usize) -> bool {
        self.undo_of(index).is_some_and(|undo| self.steps[undo].outcome() == Some(Outcome::Succeeded))
    }

    /// Where the question whether to undo stands.
    #[must_use]
    pub fn rollback_question(&self) -> Option<usize> {
        self.rollback_question
    }

    /// What an open question with this step's id is about: the step, its undo, or
    /// the run as a whole.
    #[must_use]
    pub fn asked_about(&self, id: &StepId) -> Option<usize> {
        let step = self.index_of(id);
        let undo = step.and_then(|step| self.undo_of(step));
        let rollback = self.rollback_question.filter(|question| self.plan.steps[*question].id == *id);
        let open = [step, undo, rollback].into_iter().flatten().find(|index| self.gates.contains_key(index));
        open.or(step)
    }

    /// How people settled the last question that bears this step's id: about its undo, the run as a whole, or the step.
    #[must_use]
    pub fn last_said(&self, step: usize) -> Option<&Said> {
        let rollback = self
            .rollback_question
            .filter(|question| self.plan.steps[*question].id == self.plan.steps[step].id);
        let about = [self.undo_of(step), rollback, Some(step)];
        about.into_iter().flatten().find_map(|index| self.steps[index].said.as_deref())
    }

    /// Whether every step outside `finally` is over.
    #[must_use]
    pub fn main_is_over(&self) -> bool {
        self.ended_count[0] == self.step_count[0]
    }

    /// Whether every step outside `finally` is over, or has passed already and only starts again for what is still to come.
    pub(crate) fn main_is_over_but_for_restarts(&self) -> bool {
        let again = self.restarting.iter().filter(|step| bucket(&self.plan.steps[**step]) == 0);
        self.ended_count[0] + again.count() == self.step_count[0]
    }

    /// Whether every step of `finally` is over, too.
    #[must_use]
    pub fn all_is_over(&self) -> bool {
        self.main_is_over() && self.ended_count[1] == self.step_count[1]
    }

    /// Whether all that a step needs has passed.
    #[must_use]
    pub fn needs_are_met(&self, index: usize) -> bool {
        self.needs_unmet[index] == 0
    }

    /// Whether a step lets those that need it go on (`language.md` §2).
    #[must_use]
    pub fn passed(&self, plan: &Plan, index: usize) -> bool {
        if self.gates.contains_key(&index) {
            return false;
        }
        match self.steps[index].status {
            Status::Ended(Outcome::Succeeded | Outcome::Skipped) => true,
            Status::Ended(Outcome::Failed) => !plan.steps[index].on_failure.stops(),
            Status::Ended(
                Outcome::Rejected | Outcome::Blocked | Outcome::Cancelled | Outcome::Interrupted,
            )
            | Status::Pending
            | Status::Running(_)
            | Status::Delayed { .. } => false,
        }
    }

    /// How the run would end if it ended now: the first that applies of
    /// cancelled, rejected, failed and succeeded (`language.md` §2).
    #[must_use]
    pub fn verdict(&self, plan: &Plan) -> RunOutcome {
        // What is inside a group counts by what the group came to.
        let outside = |(step, _): &(&crate::plan::Step, &StepState)| step.group.is_none();
        let failed = |(step, known): (&crate::plan::Step, &StepState)| match known.outcome() {
            Some(Outcome::Failed) => step.on_failure != OnFailure::Warn,
            Some(Outcome::Blocked | Outcome::Cancelled | Outcome::Interrupted) => true,
            Some(Outcome::Succeeded | Outcome::Skipped | Outcome::Rejected) | None => false,
        };
        let declared = || plan.declared().map(|(index, step)| (step, &self.steps[index]));
        if let Some(outcome) = self.ended_before {
            outcome
        } else if self.cancel.is_some() {
            RunOutcome::Cancelled
        } else if declared().filter(outside).any(|(_, known)| known.outcome() == Some(Outcome::Rejected)) {
            RunOutcome::Rejected
        } else if self.aborted.is_some()
            || self.background_failure.is_some()
            || declared().filter(outside).any(failed)
        {
            RunOutcome::Failed
        } else {
            RunOutcome::Succeeded
        }
    }
}

/// Steps proper, those of `finally`, and what is added to the plan.
pub(super) fn bucket(step: &Step) -> usize {
    if step.is_added() { 2 } else { usize::from(step.finally) }
}

/// The steps that have an id of their own.
fn named(plan: &Plan) -> impl Iterator<Item = (usize, &Step)> {
    plan.steps.iter().enumerate().filter(|(_, step)| !step.waits_for_unwinding())
}

/// Steps by their ids; the question whether to undo where no step is called like it.
fn by_id(plan: &Plan) -> HashMap<StepId, usize> {
    let mut index: HashMap<StepId, usize> = named(plan).map(|(i, step)| (step.id.clone(), i)).collect();
    let questions = plan.steps.iter().enumerate().filter(|(_, step)| step.role == Role::Rollback);
    for (i, step) in questions {
        index.entry(step.id.clone()).or_insert(i);
    }
    index
}
