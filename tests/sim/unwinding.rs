//! What must hold of undoing, judged from the events alone.

use std::collections::{BTreeMap, BTreeSet};

use runbook_core::event::{EventKind, Gate, Outcome};
use runbook_core::plan::Plan;

use crate::invariants::Watch;

/// What the events so far say of one undo.
#[derive(Debug, Clone, Default)]
pub(crate) struct Undoing {
    started: u32,
    running: bool,
    outcome: Option<Outcome>,
    gate: Option<Gate>,
    skipped: bool,
}

/// What the events so far say of undoing the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unwinding {
    undos: BTreeMap<usize, Undoing>,
    /// Steps in the order in which they ended last.
    order: Vec<usize>,
    rollback_gate: bool,
    /// A person said `keep`, or `abort`, in this life of the run.
    given_up: bool,
    /// Something has been undone, or is to be without further questions.
    begun: bool,
    finally_began: bool,
}

impl Unwinding {
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    pub(crate) fn ended(&mut self, step: usize) {
        self.order.retain(|other| *other != step);
        self.order.push(step);
    }

    pub(crate) fn finally_begins(&mut self) {
        self.finally_began = true;
    }

    /// What was known by the places of steps in one plan is known by those in another.
    pub(crate) fn adopt(&mut self, moved: &[Option<usize>]) {
        let undos = std::mem::take(&mut self.undos).into_iter();
        self.undos = undos.filter_map(|(step, undo)| Some((moved[step]?, undo))).collect();
        self.order = self.order.iter().filter_map(|step| moved[*step]).collect();
    }

    /// Whether the undo of a step runs.
    pub(crate) fn runs(&self, step: usize) -> bool {
        self.undos.get(&step).is_some_and(|undo| undo.running)
    }

    /// A person has stopped the undoing.
    pub(crate) fn gives_up(&mut self) {
        self.given_up = true;
    }

    pub(crate) fn decided(&mut self) {
        self.begun = true;
    }

    /// What is done anew is undone anew.
    pub(crate) fn rewound(&mut self, step: usize) {
        if let Some(undo) = self.undos.get_mut(&step) {
            assert!(!undo.running && undo.gate.is_none(), "its undo is open: {undo:?}");
            *undo = Undoing { started: undo.started, ..Undoing::default() };
        }
    }

    pub(crate) fn resumed(&mut self, had_ended: bool, rollback: bool) {
        if had_ended {
            self.finally_began = false;
        }
        if had_ended || rollback {
            self.given_up = false;
        }
        // A run that had ended and goes on is not being undone any more.
        self.begun = rollback || (self.begun && !had_ended);
        // What a stop has ended while it ran.
        for undo in self.undos.values_mut().filter(|undo| undo.outcome == Some(Outcome::Cancelled)) {
            undo.outcome = Some(Outcome::Interrupted);
        }
    }
}

impl Watch {
    /// Takes in an event about undoing; whether it was one.
    #[track_caller]
    pub(crate) fn sees_undo(&mut self, plan: &Plan, kind: &EventKind) -> bool {
        let step = kind.step().and_then(|id| plan.index_of(id));
        match (kind, step) {
            (EventKind::UndoStarted { attempt, why, .. }, Some(step)) => {
                self.undo_starts(plan, step, *attempt, why.as_deref());
            }
            (EventKind::AttemptReissued { attempt, undo: true, .. }, Some(step)) => {
                let known = &self.unwinding.undos[&step];
                assert!(known.running && known.started == *attempt, "{kind:?}: it doesn't run");
            }
            (EventKind::UndoFinished { attempt, outcome, reason, .. }, Some(step)) => {
                let undo = plan.undo_of(step).expect("it has an undo");
                self.ends_to_hold(plan, undo, *outcome, reason.as_deref());
                let known = self.unwinding.undos.get_mut(&step).expect("it has started");
                assert!(known.running && known.started == *attempt, "{kind:?}: it doesn't run");
                assert!(known.gate.is_none(), "{kind:?}: its question is open");
                known.running = false;
                known.outcome = Some(*outcome);
            }
            (EventKind::GateOpened { gate: Gate::Rollback, .. }, _) => {
                assert!(!self.unwinding.begun && !self.unwinding.rollback_gate, "it is decided already");
                self.main_is_over(plan);
                self.unwinding.rollback_gate = true;
            }
            (EventKind::GateOpened { gate: Gate::Undo, .. }, Some(step)) => {
                let known = self.unwinding.undos.get_mut(&step).expect("it has started");
                assert!(matches!(known.outcome, Some(Outcome::Failed | Outcome::Interrupted)), "{known:?}");
                known.gate = Some(Gate::Undo);
            }
            (EventKind::GateOpened { gate: Gate::Manual, .. }, Some(step)) => {
                let Some(known) = self.unwinding.undos.get_mut(&step).filter(|known| known.running) else {
                    return false;
                };
                known.gate = Some(Gate::Manual);
            }
            (EventKind::GateAnswered { .. }, _) => return self.is_about_undo(kind, step),
            (EventKind::GateClosed { result, .. }, _) => {
                if !self.is_about_undo(kind, step) {
                    return false;
                }
                self.undo_gate_closed(step, result);
            }
            _ => return false,
        }
        true
    }

    fn is_about_undo(&self, kind: &EventKind, step: Option<usize>) -> bool {
        let rollback = kind.step().is_some_and(|id| id.as_str() == "rollback");
        rollback || step.and_then(|step| self.unwinding.undos.get(&step)).is_some_and(|u| u.gate.is_some())
    }

    fn undo_gate_closed(&mut self, step: Option<usize>, result: &str) {
        let unwinding = &mut self.unwinding;
        let Some(known) = step.and_then(|step| unwinding.undos.get_mut(&step)) else {
            unwinding.rollback_gate = false;
            unwinding.begun |= result == "undo";
            unwinding.given_up |= result == "keep";
            return;
        };
        match (known.gate.take(), result) {
            (Some(Gate::Undo), "retry") => known.outcome = None,
            (Some(Gate::Undo), "skip") => known.skipped = true,
            (Some(Gate::Undo), "done") => known.outcome = Some(Outcome::Succeeded),
            (Some(Gate::Undo), "abort") => unwinding.given_up = true,
            _ => {}
        }
    }

    /// Whether a step is one whose effect is to be undone and isn't yet.
    fn is_to_be_undone(&self, plan: &Plan, step: usize) -> bool {
        let Some(undo) = &plan.steps[step].undo else { return false };
        let fits = match self.outcome_of(step) {
            Some(Outcome::Succeeded) => true,
            Some(Outcome::Failed | Outcome::Interrupted) => undo.always,
            Some(Outcome::Cancelled) => undo.always && self.was_cut_off(step),
            _ => false,
        };
        let known = self.unwinding.undos.get(&step);
        let over = known.is_some_and(|u| u.skipped || u.outcome == Some(Outcome::Succeeded));
        fits && !over && !plan.steps[step].finally
    }

    #[track_caller]
    fn undo_starts(&mut self, plan: &Plan, step: usize, attempt: u32, why: Option<&str>) {
        let id = &plan.steps[step].id;
        assert!(self.is_awake(), "{id} is undone in a run that rests");
        self.main_is_over(plan);
        assert!(!self.unwinding.finally_began, "{id} is undone after finally has begun");
        assert!(!self.unwinding.given_up, "{id} is undone after somebody said not to");
        assert!(!self.unwinding.rollback_gate, "{id} is undone while it is asked whether");
        assert!(self.unwinding.undos.values().all(|undo| !undo.running), "{id}: one at a time");
        assert!(self.is_to_be_undone(plan, step), "{id} is undone but {:?}", self.outcome_of(step));
        let left: Vec<usize> = (0..plan.steps.len())
            .filter(|other| !plan.steps[*other].is_added() && self.is_to_be_undone(plan, *other))
            .collect();
        let needed = |by: usize, what: usize| depends(plan, by, what);
        for &other in &left {
            assert!(!needed(other, step), "{id} is undone before {}, which needs it", plan.steps[other].id);
            let later = self.place(other) > self.place(step);
            let held = left.iter().any(|by| needed(*by, other));
            assert!(!later || held, "{id} is undone before {}, which ended later", plan.steps[other].id);
        }
        let known = self.unwinding.undos.entry(step).or_default();
        assert_eq!(attempt, known.started + 1, "{id}: attempts are counted without gaps");
        assert!(attempt == 1 || why.is_some(), "{id}: another attempt doesn't say why");
        assert!(known.gate.is_none(), "{id}: its question is open");
        let again = match known.outcome {
            None => true,
            Some(Outcome::Interrupted) => why == Some("it had never started"),
            Some(Outcome::Failed) => why.is_some_and(|why| why.starts_with("rollback by")),
            Some(_) => false,
        };
        assert!(again, "{id} is undone twice: {known:?}, {why:?}");
        known.started += 1;
        known.running = true;
        known.outcome = None;
        self.unwinding.begun = true;
        if attempt > 1 {
            self.all_again(plan, plan.undo_of(step).expect("it has an undo"));
        }
    }

    fn place(&self, step: usize) -> Option<usize> {
        self.unwinding.order.iter().position(|other| *other == step)
    }

    /// Nothing of undoing may be left open when a run ends.
    pub(crate) fn undoing_is_over(&self) {
        assert!(!self.unwinding.rollback_gate, "the question whether to undo is open at the end");
        for undo in self.unwinding.undos.values() {
            assert!(!undo.running && undo.gate.is_none(), "an undo is open at the end: {undo:?}");
        }
    }
}

/// Whether `step` waits for `other`, directly or not: what needs a group needs what is in it, and what is in a group needs what that
/// needs.
fn depends(plan: &Plan, step: usize, other: usize) -> bool {
    let mut open = vec![step];
    let mut seen = BTreeSet::new();
    while let Some(at) = open.pop() {
        let needs = plan.steps[at].needs.iter().copied();
        for need in needs {
            if need == other || plan.containers_of(other).any(|around| around == need) {
                return true;
            }
            open.extend(seen.insert(need).then_some(need));
        }
        open.extend(plan.steps[at].group.filter(|group| seen.insert(*group)));
    }
    false
}
