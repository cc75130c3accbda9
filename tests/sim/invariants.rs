//! What must hold of every record, judged from the events alone and in other
//! words than the scheduler's own.

use std::sync::Arc;

use runbook_core::event::{EventKind, Gate, Outcome};
use runbook_core::plan::{Action, OnInterrupt, Plan};

use crate::unwinding::Unwinding;

/// What the events so far say of one step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) started: u32,
    finished: u32,
    pub(crate) running: bool,
    pub(crate) delayed: bool,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) gate: Option<(Gate, Vec<String>)>,
    closed_with: Option<String>,
    /// It is over for good in this life of the run: nothing about it is open.
    pub(crate) skip_pending: bool,
    pub(crate) background_lives: bool,
    /// A background command that was ready once: what starts it again is what needs it.
    pub(crate) was_ready: bool,
    pub(crate) never_started: bool,
    /// A stop of the run, or a cancel, ended it while it ran.
    pub(crate) cut_off: bool,
    /// A cancel has told its attempt to end.
    told_by_cancel: bool,
    /// Its command in the background has ended by itself.
    pub(crate) background_died: bool,
    /// A person lets it run again from here on.
    is_rewound: bool,
    /// What the question before it came to, since it is to be done.
    pub(crate) asked: Option<String>,
    /// Its attempt is one that ends without anything having been done: nobody has said that it may.
    pub(crate) is_unasked: bool,
    /// What `done_when` said since it last started.
    pub(crate) done: Option<Option<bool>>,
    /// It has started since all around it began, or began anew.
    pub(crate) was_tried: bool,
    /// What holds it has begun anew since it last started.
    pub(crate) again_with: bool,
    /// It holds others, and is done again with all of them.
    pub(crate) is_whole_again: bool,
    /// Its items are settled.
    pub(crate) has_items: bool,
}

/// The events so far.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) steps: Vec<Seen>,
    /// The plan as it was before the event in hand.
    plan: Arc<Plan>,
    created: bool,
    asleep: bool,
    ended: bool,
    pub(crate) ending: bool,
    pub(crate) background_failed: bool,
    pub(crate) unwinding: Unwinding,
}

impl Watch {
    pub(crate) fn new(plan: &Arc<Plan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            steps: vec![Seen::default(); plan.steps.len()],
            created: false,
            asleep: false,
            ended: false,
            ending: false,
            background_failed: false,
            unwinding: Unwinding::default(),
        }
    }

    pub(crate) fn outcome_of(&self, step: usize) -> Option<Outcome> {
        self.steps[step].outcome
    }

    pub(crate) fn was_cut_off(&self, step: usize) -> bool {
        self.steps[step].cut_off
    }

    /// Whether nothing new of the steps proper is done any more, whatever became of them.
    pub(crate) fn ends(&self) -> bool {
        self.ending || self.background_failed
    }

    pub(crate) fn is_awake(&self) -> bool {
        self.created && !self.asleep && !self.ended
    }

    #[track_caller]
    pub(crate) fn main_is_over(&self, plan: &Plan) {
        for (index, step) in plan.declared().filter(|(_, step)| !step.finally) {
            let seen = &self.steps[index];
            let over = seen.outcome.is_some() && !seen.running && !seen.skip_pending;
            // A command in the background that was up already may come up again for what is still to come.
            let over = (over || seen.was_ready) && seen.gate.is_none();
            assert!(over, "{} is not over when what was done is undone", step.id);
        }
    }

    /// Takes in one event.
    ///
    /// # Panics
    /// Where it breaks a promise.
    #[track_caller]
    pub(crate) fn see(&mut self, plan: &Arc<Plan>, kind: &EventKind) {
        let before = std::mem::replace(&mut self.plan, Arc::clone(plan));
        if matches!(kind, EventKind::RunAdopted { .. }) {
            self.adopt(&before, plan);
        }
        self.steps.resize(plan.steps.len(), Seen::default());
        if self.sees_undo(plan, kind) {
            return;
        }
        let index = kind.step().map(|id| plan.index_of(id).expect("the plan has the step"));
        match (kind, index) {
            (EventKind::RunCreated { .. }, _) => self.created = true,
            (EventKind::RunResumed { rollback, .. }, _) => self.resumed(plan, *rollback),
            (EventKind::Rewound { steps, .. }, Some(_)) => {
                for id in steps {
                    self.rewound(plan, plan.index_of(id).expect("the plan has the step"));
                }
            }
            (EventKind::RunStopped { .. } | EventKind::RunParked { .. }, _) => self.asleep = true,
            (EventKind::CancelRequested { undo, .. }, _) => {
                self.ending = true;
                if *undo {
                    self.unwinding.decided();
                }
                if !self.asleep {
                    self.steps
                        .iter_mut()
                        .filter(|seen| seen.running)
                        .for_each(|seen| seen.told_by_cancel = true);
                }
            }
            (EventKind::RunFinished { .. }, _) => self.run_finished(plan),
            (EventKind::Items { .. }, Some(i)) => {
                assert!(self.steps[i].running && !self.steps[i].has_items, "{kind:?}: it waits for none");
                self.steps[i].has_items = true;
            }
            (EventKind::StepStarted { attempt, why, .. }, Some(i)) => {
                self.may_start(plan, i);
                self.is_let_start(plan, i);
                self.begins_to_hold(plan, i, why.as_deref());
                let step = &mut self.steps[i];
                assert_eq!(*attempt, step.started + 1, "{kind:?}: attempts are counted without gaps");
                assert_eq!(step.started, step.finished, "{kind:?}: the attempt before is not over");
                assert!(*attempt == 1 || why.is_some(), "{kind:?}: another attempt doesn't say why");
                if let Some(why) = why {
                    self.why_holds(plan, i, why);
                }
                let step = &mut self.steps[i];
                assert!(
                    plan.steps[i].done_when.is_none() || step.started > 0 || step.done != Some(Some(true)),
                    "{kind:?}: it is done already"
                );
                step.done = None;
                step.is_unasked = plan.steps[i].ask.is_some() && step.asked.as_deref() != Some("yes");
                step.started += 1;
                step.told_by_cancel = false;
                step.background_died = false;
                step.running = true;
                step.was_tried = true;
                step.again_with = false;
                step.delayed = false;
                step.outcome = None;
                step.closed_with = None;
                self.places(plan);
            }
            (EventKind::AttemptReissued { attempt, .. }, Some(i)) => {
                assert!(
                    self.steps[i].running && self.steps[i].started == *attempt,
                    "{kind:?}: it doesn't run"
                );
                self.steps[i].told_by_cancel = false;
                for need in &plan.steps[i].needs {
                    assert!(self.passed(plan, *need), "{kind:?}: it starts before {}", plan.steps[*need].id);
                }
            }
            (EventKind::StepFinished { attempt, outcome, reason, .. }, Some(i)) => {
                self.ends_to_hold(plan, i, *outcome, reason.as_deref());
                let step = &mut self.steps[i];
                assert!(step.running && *attempt == step.started, "{kind:?}: it doesn't run");
                assert!(step.gate.is_none(), "{kind:?}: its question is open");
                let says_so = |reason: &String| {
                    ["template", "expired", "spawn", "stopped"].iter().any(|word| reason.starts_with(word))
                };
                assert!(
                    !step.is_unasked || reason.as_ref().is_some_and(says_so),
                    "{kind:?}: nobody said yes"
                );
                if plan.steps[i].action.question().is_some() && *outcome == Outcome::Succeeded {
                    let word = step.closed_with.as_deref();
                    assert!(matches!(word, Some("approve" | "done")), "{kind:?}: nobody said so: {word:?}");
                }
                // Questions and waits are taken back without an end that nobody knows.
                step.cut_off = plan.steps[i].action.takes_slot()
                    && *outcome == Outcome::Cancelled
                    && reason.as_ref().is_some_and(|reason| reason.starts_with("stopped"));
                step.never_started = *outcome == Outcome::Interrupted
                    && reason.as_ref().is_some_and(|reason| reason.ends_with("before it had started"));
                step.finished += 1;
                step.running = false;
                step.outcome = Some(*outcome);
                if !step.was_ready {
                    self.unwinding.ended(i);
                }
                let step = &mut self.steps[i];
                step.background_lives =
                    *outcome == Outcome::Succeeded && plan.steps[i].action.is_background();
                step.was_ready |= step.background_lives;
            }
            (EventKind::StepSkipped { .. }, Some(i)) => self.end_without(i, Outcome::Skipped),
            (EventKind::StepBlocked { .. }, Some(i)) => self.end_without(i, Outcome::Blocked),
            (EventKind::StepCancelled { .. }, Some(i)) => self.end_without(i, Outcome::Cancelled),
            (EventKind::DoneChecked { attempt, done, .. }, Some(i)) => {
                let step = &mut self.steps[i];
                assert!(plan.steps[i].done_when.is_some() && *attempt == step.started, "{kind:?}");
                assert!(matches!(step.outcome, None | Some(Outcome::Interrupted)), "{kind:?}");
                assert!(step.gate.is_none() && !step.running, "{kind:?}: something else decides");
                step.done = Some(*done);
                if step.outcome.is_some() && *done == Some(true) {
                    step.outcome = Some(Outcome::Succeeded);
                }
            }
            (EventKind::RetryScheduled { .. }, Some(i)) => {
                assert_eq!(self.steps[i].outcome, Some(Outcome::Failed), "{kind:?}");
                self.steps[i].delayed = true;
                self.steps[i].outcome = None;
            }
            (EventKind::BackgroundEnded { expected, .. }, Some(i)) => {
                assert!(self.steps[i].background_lives, "{kind:?}: it is over already");
                self.steps[i].background_lives = false;
                self.steps[i].background_died = !expected;
                self.background_failed |= !expected;
            }
            (EventKind::GateOpened { gate, .. }, Some(i)) => {
                assert!(!self.asleep && !self.ended, "{kind:?}: nobody carries the run on");
                assert!(self.steps[i].gate.is_none(), "{kind:?}: it is open already");
                self.steps[i].gate = Some((*gate, Vec::new()));
                if matches!(gate, Gate::Failure | Gate::Interrupted) {
                    self.goes_on_inside(plan, i);
                }
                if *gate == Gate::Ask {
                    self.may_ask_before(plan, i);
                } else if matches!(gate, Gate::Approve | Gate::Manual) {
                    assert!(self.may_run(i), "{kind:?}: nobody said that it may be asked");
                }
            }
            (EventKind::GateAnswered { .. }, Some(i))
                if matches!(plan.steps[i].action, Action::Wait(_)) && self.steps[i].gate.is_none() =>
            {
                assert!(self.steps[i].running, "{kind:?}: a wait is cut short that doesn't run");
            }
            (EventKind::GateAnswered { answer, .. }, Some(i)) => {
                let (_, answers) = self.steps[i].gate.as_mut().expect("an open question is answered");
                answers.push(answer.clone());
            }
            (EventKind::GateClosed { result, .. }, Some(i)) => self.gate_closed(plan, i, result),
            _ => {}
        }
    }

    fn resumed(&mut self, plan: &Plan, rollback: bool) {
        self.asleep = false;
        if self.ended {
            for (seen, _) in self.steps.iter_mut().zip(&plan.steps).filter(|(_, step)| step.finally) {
                (seen.outcome, seen.asked, seen.was_ready) = (None, None, false);
            }
        }
        self.unwinding.resumed(self.ended, rollback);
        if rollback || self.unwinding.has_begun() {
            self.ending = true;
        }
        if self.ended && rollback {
            self.ended = false;
        } else if self.ended {
            self.ended = false;
            self.ending = false;
            self.background_failed = false;
        }
        for (i, (step, declared)) in self.steps.iter_mut().zip(&plan.steps).enumerate() {
            let added = declared.is_added();
            // What is under a `finally` runs to its end although the run ends, unless a cancel has ended it, too.
            let outlasts = plan.outlasts_the_rest(i) && !step.told_by_cancel;
            if step.cut_off && (!self.ending || added || outlasts) {
                step.cut_off = false;
                step.outcome = Some(Outcome::Interrupted);
            }
            if matches!(step.outcome, Some(Outcome::Blocked | Outcome::Cancelled)) && !self.ending && !added {
                step.outcome = None;
            }
        }
    }

    /// A person lets a step run again although it has ended.
    fn rewound(&mut self, plan: &Plan, i: usize) {
        let step = &mut self.steps[i];
        assert!(!step.running && step.gate.is_none(), "{} runs again while it runs", plan.steps[i].id);
        assert!(!step.background_lives, "{} starts again while it lives", plan.steps[i].id);
        let Seen { started, finished, has_items, .. } = *step;
        *step = Seen {
            started,
            finished,
            has_items,
            is_rewound: true,
            is_whole_again: plan.steps[i].is_container(),
            ..Seen::default()
        };
        self.unwinding.rewound(i);
        self.goes_on_inside(plan, i);
    }

    fn end_without(&mut self, i: usize, outcome: Outcome) {
        let step = &mut self.steps[i];
        assert!(!step.running, "step {i} is {outcome} while it runs");
        assert!(step.gate.is_none(), "step {i} is {outcome} while its question is open");
        let by_hand = std::mem::take(&mut step.skip_pending);
        assert!(step.outcome.is_none() || by_hand, "step {i} is {outcome} but was {:?}", step.outcome);
        step.delayed = false;
        step.outcome = Some(outcome);
    }

    fn gate_closed(&mut self, plan: &Plan, i: usize, result: &str) {
        let step = &mut self.steps[i];
        let Some((gate, answers)) = step.gate.take() else {
            assert_eq!(result, "void", "step {i}: nothing is open");
            assert!(matches!(plan.steps[i].action, Action::Approve(_)));
            assert_eq!(step.outcome, Some(Outcome::Succeeded));
            step.outcome = None;
            self.goes_on_inside(plan, i);
            return;
        };
        let said = answers.iter().any(|answer| answer == result);
        let declared = gate == Gate::Interrupted
            && result == "failed"
            && plan.steps[i].on_interrupt == OnInterrupt::Fail;
        assert!(
            said || declared || matches!(result, "expired" | "cancelled" | "void"),
            "step {i}: {gate} closed as {result}, and the answers are {answers:?}"
        );
        match (gate, result) {
            (Gate::Failure | Gate::Interrupted, "retry") => {
                step.outcome = None;
                step.asked = step.asked.take().filter(|asked| asked == "yes");
                step.is_whole_again = plan.steps[i].is_container();
            }
            (Gate::Failure | Gate::Interrupted, "done") => {
                step.outcome = Some(Outcome::Succeeded);
                self.unwinding.ended(i);
            }
            (Gate::Failure, "undo") => {
                self.unwinding.decided();
                self.ending = true;
            }
            (Gate::Failure | Gate::Interrupted, "skip") => step.skip_pending = true,
            (Gate::Failure | Gate::Interrupted, "abort") => {
                step.outcome = Some(Outcome::Failed);
                if plan.steps[i].is_added() {
                    self.unwinding.gives_up();
                } else {
                    self.ending = true;
                }
            }
            (Gate::Interrupted, "failed") => step.outcome = Some(Outcome::Failed),
            (Gate::Ask, "yes" | "no" | "expired") => step.asked = Some(result.to_owned()),
            _ => step.closed_with = Some(result.to_owned()),
        }
    }

    /// Whether what a step needs lets it go on.
    fn passed(&self, plan: &Plan, need: usize) -> bool {
        let step = &self.steps[need];
        step.gate.is_none()
            && match step.outcome {
                Some(Outcome::Succeeded | Outcome::Skipped) => true,
                Some(Outcome::Failed) => !plan.steps[need].on_failure.stops(),
                _ => false,
            }
    }

    fn may_start(&mut self, plan: &Plan, i: usize) {
        let step = &plan.steps[i];
        if step.finally {
            self.undoing_is_over();
            self.unwinding.finally_begins();
        }
        // What nobody answered in time only fails.
        let expired = self.steps[i].asked.as_deref() == Some("expired");
        let rests = self.asleep && !step.is_container() && !expired;
        assert!(self.created && !rests && !self.ended, "{} starts in a run that rests", step.id);
        if expired {
            return;
        }
        for need in &step.needs {
            assert!(self.passed(plan, *need), "{} starts before {}", step.id, plan.steps[*need].id);
        }
        let restarts = self.steps[i].was_ready;
        // What only holds others begins again around one of them that goes on.
        let reopens = step.is_container() && self.steps[i].started > 0;
        assert!(
            reopens
                || self.steps[i].outcome != Some(Outcome::Succeeded)
                || (restarts && !self.steps[i].background_lives),
            "{} has succeeded and starts again",
            step.id
        );
        // What `finally` may rely on comes up again for it, however the rest ended.
        let main_is_over = self.steps.iter().zip(&plan.steps).all(|(seen, step)| {
            step.finally
                || step.is_added()
                || seen.was_ready
                || (seen.outcome.is_some() && seen.gate.is_none())
        });
        let for_finally =
            restarts && main_is_over && plan.steps.iter().any(|step| step.finally || step.undo.is_some());
        for (j, other) in self.steps.iter().enumerate() {
            let declared = other.never_started
                || other.done == Some(Some(false))
                || plan.steps[j].action.is_repeatable()
                || plan.steps[j].action.is_background()
                || plan.steps[j].on_interrupt == OnInterrupt::Rerun;
            let moot = self.ending && !plan.steps[j].finally && !plan.steps[j].is_added();
            let unresolved = other.outcome == Some(Outcome::Interrupted)
                && (other.gate.is_some() || other.skip_pending || !declared)
                && !moot;
            assert!(!unresolved || reopens, "{} starts while {} is unresolved", step.id, plan.steps[j].id);
            if step.finally && !plan.steps[j].finally && !plan.steps[j].is_added() {
                let over = other.outcome.is_some() && other.gate.is_none() && !other.running;
                assert!(over || reopens, "{} starts before {} is over", step.id, plan.steps[j].id);
            }
        }
        if let Some(culprit) = self.stopped_by(plan, i) {
            assert!(
                for_finally || reopens,
                "{} starts after {} did not pass",
                step.id,
                plan.steps[culprit].id
            );
        }
        let ends = self.ends() && !plan.outlasts_the_rest(i) && !reopens;
        assert!(!ends || for_finally, "{} starts in a run that is being ended", step.id);
    }

    /// Whether what a step does may be done: whoever is asked before it said so.
    pub(crate) fn may_run(&self, i: usize) -> bool {
        !self.steps[i].is_unasked
    }

    /// What is asked before a step is asked once, when all else lets it start.
    #[track_caller]
    fn may_ask_before(&self, plan: &Plan, i: usize) {
        let (step, seen) = (&plan.steps[i], &self.steps[i]);
        let open = !seen.running && seen.outcome.is_none() && seen.asked.is_none();
        assert!(step.ask.is_some() && open, "{} is asked about, but is {seen:?}", step.id);
        for need in &step.needs {
            assert!(self.passed(plan, *need), "{} is asked about before {}", step.id, plan.steps[*need].id);
        }
        let held = step.group.is_none_or(|group| match plan.steps[group].undoes() {
            Some(undone) => self.unwinding.runs(undone),
            None => self.steps[group].running,
        });
        assert!(held, "{} is asked about and nothing holds it", step.id);
        assert!(self.stopped_by(plan, i).is_none(), "{} is asked about and will not start", step.id);
    }

    /// What the record gives as the reason of another attempt must be true.
    fn why_holds(&self, plan: &Plan, i: usize, why: &str) {
        let (step, seen) = (&plan.steps[i], &self.steps[i]);
        let interrupted = seen.outcome == Some(Outcome::Interrupted);
        let around = |wanted: fn(&Action) -> bool| {
            plan.containers_of(i).any(|group| wanted(&plan.steps[group].action))
        };
        let repeated = |action: &Action| matches!(action, Action::Steps(group) if group.repeat.is_some());
        let holds = if why.starts_with("round ") && why.contains(" of ") {
            repeated(&step.action) && seen.delayed
        } else if why.starts_with("round ") {
            seen.again_with || around(repeated)
        } else if matches!(why, "a step inside goes on" | "an approval inside is asked again") {
            step.is_container()
        } else if why.starts_with("retry ") {
            seen.delayed && step.retry.is_some()
        } else if why == "on_interrupt: rerun" {
            interrupted && step.on_interrupt == OnInterrupt::Rerun
        } else if why == "done_when: it did not take effect" {
            interrupted && seen.done == Some(Some(false))
        } else if why.starts_with("a check changes nothing") {
            interrupted && step.action.is_repeatable()
        } else if why == "its question expired" {
            seen.asked.as_deref() == Some("expired")
        } else if why == "it had never started" {
            interrupted && seen.never_started
        } else if why.starts_with("the background command") {
            step.action.is_background()
        } else if why.starts_with("answered retry by") || why.starts_with("resume --retry by") {
            seen.outcome.is_none()
        } else if why.starts_with("resume --from ") {
            let inside = |other: usize| plan.containers_of(other).any(|around| around == i);
            seen.is_rewound
                || (0..plan.steps.len()).any(|other| self.steps[other].is_rewound && inside(other))
        } else if why.starts_with("the run went on after it had ended") {
            step.finally
        } else if why.starts_with("the approval is void") {
            matches!(step.action, Action::Approve(_)) && seen.closed_with.as_deref() != Some("reject")
        } else {
            why.starts_with("it was held back")
        };
        assert!(holds, "{} starts again because of `{why}`, but is {seen:?}", step.id);
    }

    fn places(&self, plan: &Plan) {
        let running = self
            .steps
            .iter()
            .zip(&plan.steps)
            .filter(|(seen, step)| seen.running && !seen.is_unasked && step.action.takes_slot());
        assert!(running.count() <= plan.max_parallel as usize, "more run than max_parallel");
    }

    fn run_finished(&mut self, plan: &Plan) {
        assert!(!self.ended, "a run ends once");
        self.ended = true;
        self.undoing_is_over();
        self.all_is_passed_on(plan);
        for (step, seen) in plan.declared().map(|(index, step)| (step, &self.steps[index])) {
            assert!(seen.outcome.is_some(), "{} has no outcome at the end", step.id);
            assert!(seen.gate.is_none(), "{} has an open question at the end", step.id);
            assert_eq!(seen.started, seen.finished, "{}: each attempt ends once", step.id);
            assert!(!seen.background_lives, "{} lives on after the end", step.id);
        }
    }
}
