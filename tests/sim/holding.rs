//! What must hold of steps that hold others, judged from the events alone: groups, called runbooks, steps with items, and the runbook
//! by which a step is undone.

use runbook_core::event::Outcome;
use runbook_core::plan::{Action, OnFailure, Plan, Role};

use crate::invariants::{Seen, Watch};

/// Where each step of a plan stands in another one: by its id and by what it is to its plan.
pub(crate) fn moved(before: &Plan, after: &Plan) -> Vec<Option<usize>> {
    let name = |plan: &Plan, step: usize| {
        (plan.steps[step].files_id(), matches!(plan.steps[step].role, Role::Rollback))
    };
    (0..before.steps.len())
        .map(|old| (0..after.steps.len()).find(|new| name(after, *new) == name(before, old)))
        .collect()
}

/// The steps that a step holds; the undo of one of them stands beside it, and is no part of it.
pub(crate) fn children(plan: &Plan, of: usize) -> impl Iterator<Item = usize> + '_ {
    (of..plan.steps.len()).filter(move |child| {
        plan.steps[*child].group == Some(of) && !plan.steps[*child].waits_for_unwinding()
    })
}

/// A step, what holds it, and so on, up to the last words of a called runbook or the undo of a step: what failed further out keeps
/// nothing inside from starting.
fn levels(plan: &Plan, step: usize) -> impl Iterator<Item = usize> + '_ {
    std::iter::successors(Some(step), |at| {
        let group = plan.steps[*at].group.filter(|_| !plan.steps[*at].cleanup)?;
        plan.steps[group].undoes().is_none().then_some(group)
    })
}

/// Those that stand in one list with a step, the step included.
fn alike(plan: &Plan, step: usize) -> impl Iterator<Item = usize> + '_ {
    let list = |step: usize| {
        let step = &plan.steps[step];
        (step.group, step.cleanup, step.finally, step.is_added())
    };
    (0..plan.steps.len())
        .filter(move |other| list(*other) == list(step) && !plan.steps[*other].waits_for_unwinding())
}

impl Seen {
    /// It has ended, and nothing about it is open.
    fn is_over(&self) -> bool {
        self.outcome.is_some() && self.gate.is_none() && !self.running && !self.skip_pending
    }

    /// It has failed, was rejected, or it is not known how it ended, and that is not in question.
    fn went_wrong(&self) -> bool {
        self.is_over() && matches!(self.outcome, Some(Outcome::Failed | Outcome::Rejected))
    }
}

impl Watch {
    /// What was known by the places of steps in one plan is known by those of another.
    pub(crate) fn adopt(&mut self, before: &Plan, after: &Plan) {
        let moved = moved(before, after);
        let mut steps = vec![Seen::default(); after.steps.len()];
        for (old, new) in moved.iter().enumerate() {
            if let Some(new) = *new {
                steps[new] = self.steps[old].clone();
            }
        }
        self.steps = steps;
        self.unwinding.adopt(&moved);
    }

    /// What holds a step has begun and not ended, and lets it start.
    #[track_caller]
    pub(crate) fn is_let_start(&self, plan: &Plan, i: usize) {
        let step = &plan.steps[i];
        // A command in the background that is brought up again is no more than what it was.
        if self.steps[i].was_ready {
            return;
        }
        let Some(group) = step.group else { return };
        let open = match plan.steps[group].undoes() {
            Some(undone) => self.unwinding.runs(undone),
            None => self.steps[group].running,
        };
        let open = open && self.may_run(group);
        assert!(open, "{} starts and {} does not hold it", step.id, plan.steps[group].id);
        // What only fails because nobody answered whether to do it starts nothing.
        if self.steps[i].asked.as_deref() == Some("expired") {
            return;
        }
        if step.cleanup {
            for other in children(plan, group).filter(|other| !plan.steps[*other].cleanup) {
                let again =
                    self.steps[other].outcome == Some(Outcome::Interrupted) && !self.is_given_up(plan, other);
                assert!(
                    self.steps[other].is_over() && !again,
                    "{} starts before {} is over",
                    step.id,
                    plan.steps[other].id
                );
            }
        }
        self.item_is_let_start(plan, i, group);
    }

    #[track_caller]
    fn item_is_let_start(&self, plan: &Plan, i: usize, group: usize) {
        let Action::Each(each) = &plan.steps[group].action else { return };
        // One that begins again only to end starts nothing.
        let reopens = plan.steps[i].is_container() && self.steps[i].started > 0;
        if reopens && self.is_given_up(plan, i) {
            return;
        }
        let id = &plan.steps[i].id;
        let items: Vec<usize> = children(plan, group).collect();
        let place = items.iter().position(|item| *item == i).expect("it is one of them");
        let runs = |item: &&usize| **item != i && (self.steps[**item].running || self.steps[**item].delayed);
        let running = items.iter().filter(runs).count();
        assert!(running < each.max_parallel as usize, "{id} starts while {running} others run");
        if self.steps[i].was_tried {
            return;
        }
        let mut reached = 0;
        for bound in each.batches.iter().map(|batch| batch.bound(items.len())) {
            // One that is reached already is no wave.
            if bound <= reached {
                continue;
            }
            reached = bound;
            if place < bound {
                break;
            }
            for before in &items[..bound] {
                assert!(self.steps[*before].is_over(), "{id} starts before {}", plan.steps[*before].id);
            }
        }
        let failed = items.iter().filter(|item| self.steps[**item].went_wrong()).count();
        assert!(failed <= each.max_failures as usize, "{id} starts after {failed} others failed");
    }

    /// Whether something in the list of a step, or in one around it, has failed so that nothing new starts there.
    pub(crate) fn stopped_by(&self, plan: &Plan, i: usize) -> Option<usize> {
        levels(plan, i).find_map(|at| {
            let stops = |other: &usize| {
                let seen = &self.steps[*other];
                match seen.outcome {
                    Some(Outcome::Rejected) => true,
                    Some(Outcome::Failed) => plan.steps[*other].on_failure.stops() && seen.gate.is_none(),
                    _ => false,
                }
            };
            let tolerates = plan.steps[at].group.map_or(0, |group| match &plan.steps[group].action {
                Action::Each(each) => each.max_failures as usize,
                _ => 0,
            });
            let mut stopping = alike(plan, at).filter(stops);
            let rejected =
                alike(plan, at).find(|other| self.steps[*other].outcome == Some(Outcome::Rejected));
            rejected.or_else(|| stopping.nth(tolerates))
        })
    }

    /// Whether nothing of a step is done again: the run ends, or something beside it or around it has failed, or will have.
    fn is_given_up(&self, plan: &Plan, i: usize) -> bool {
        let will_stop = |at: usize| alike(plan, at).any(|other| self.will_stop(plan, other));
        self.ends() || self.stopped_by(plan, i).is_some() || levels(plan, i).any(will_stop)
    }

    /// Whether a step that holds others, and runs, will stop what stands beside it because of what has failed inside.
    fn will_stop(&self, plan: &Plan, i: usize) -> bool {
        let inside = || children(plan, i);
        let is = |child: usize, outcome: Outcome| self.steps[child].outcome == Some(outcome);
        let tolerates = match &plan.steps[i].action {
            Action::Each(each) => each.max_failures as usize,
            _ => 0,
        };
        let stops = |child: &usize| {
            let failed = is(*child, Outcome::Failed) && self.steps[*child].gate.is_none();
            (failed && plan.steps[*child].on_failure.stops()) || self.will_stop(plan, *child)
        };
        self.steps[i].outcome.is_none()
            && (self.will_be_rejected(plan, i)
                || (plan.steps[i].on_failure.stops() && inside().filter(stops).nth(tolerates).is_some()))
    }

    /// Whether a step that holds others, and runs, will end rejected because of what was rejected inside.
    fn will_be_rejected(&self, plan: &Plan, i: usize) -> bool {
        let rejected = |child: usize| {
            self.steps[child].outcome == Some(Outcome::Rejected) || self.will_be_rejected(plan, child)
        };
        self.steps[i].outcome.is_none() && children(plan, i).any(rejected)
    }

    /// A step that holds others begins: all in it is done anew where it is done again as a whole.
    #[track_caller]
    pub(crate) fn begins_to_hold(&mut self, plan: &Plan, i: usize, why: Option<&str>) {
        let is_whole_again = std::mem::take(&mut self.steps[i].is_whole_again);
        let Some(why) = why else { return };
        let rounds = why.strip_prefix("round ").and_then(|rounds| rounds.split_once(" of "));
        if let (Some((round, times)), Action::Steps(group)) = (rounds, &plan.steps[i].action) {
            let [round, times] = [round, times].map(|number| number.parse::<u32>().expect("a number"));
            let declared = group.repeat.as_ref().expect("it is repeated").times;
            assert!(times == declared && round <= times, "{}: {why}, of {declared}", plan.steps[i].id);
        }
        if is_whole_again || why.starts_with("round ") {
            self.all_again(plan, i);
        }
    }

    /// All that a step holds is as if it had not run.
    #[track_caller]
    pub(crate) fn all_again(&mut self, plan: &Plan, i: usize) {
        let inside: Vec<usize> = children(plan, i).collect();
        for child in inside {
            let seen = &mut self.steps[child];
            let id = &plan.steps[child].id;
            // One command in the background is enough: it lives on, or is brought up again.
            if seen.was_ready && !seen.background_died && seen.outcome == Some(Outcome::Succeeded) {
                continue;
            }
            assert!(
                !seen.running && seen.gate.is_none(),
                "{id} runs when all around it begins anew: {seen:?}"
            );
            assert!(!seen.background_lives, "{id} lives when all around it begins anew");
            (seen.outcome, seen.done, seen.was_tried) = (None, None, false);
            (seen.was_ready, seen.background_died, seen.asked) = (false, false, None);
            (seen.delayed, seen.cut_off, seen.never_started, seen.skip_pending) =
                (false, false, false, false);
            seen.again_with = true;
            self.all_again(plan, child);
        }
    }

    /// What is decided about a step lets those go on that hold it and had ended.
    pub(crate) fn goes_on_inside(&mut self, plan: &Plan, i: usize) {
        for around in plan.containers_of(i).filter(|_| !plan.steps[i].waits_for_unwinding()) {
            let seen = &mut self.steps[around];
            if seen.gate.is_none()
                && !matches!(seen.outcome, Some(Outcome::Skipped))
                && seen.outcome.take().is_some()
            {
                self.waits_again(plan, around);
            }
            if plan.steps[around].waits_for_unwinding() {
                break;
            }
        }
    }

    /// What a failure inside a step kept from starting waits again for what becomes of that.
    fn waits_again(&mut self, plan: &Plan, i: usize) {
        for child in children(plan, i).collect::<Vec<_>>() {
            let seen = &mut self.steps[child];
            if seen.outcome == Some(Outcome::Blocked) && seen.started == 0 {
                seen.outcome = None;
                self.waits_again(plan, child);
            }
        }
    }

    /// A step that holds others ends: all in it is over, and it comes to what they came to.
    #[track_caller]
    pub(crate) fn ends_to_hold(&self, plan: &Plan, i: usize, outcome: Outcome, reason: Option<&str>) {
        let step = &plan.steps[i];
        if !step.is_container() {
            return;
        }
        let id = &step.id;
        let inside: Vec<usize> = children(plan, i).collect();
        // A command in the background may live on from a round before.
        let untouched = inside
            .iter()
            .map(|child| &self.steps[*child])
            .all(|seen| seen.was_ready || (seen.outcome.is_none() && !seen.was_tried));
        if untouched
            && outcome == Outcome::Failed
            && reason.is_some_and(|reason| reason.starts_with("template") || reason.starts_with("expired"))
        {
            // It was not let begin at all.
            return;
        }
        for child in &inside {
            let seen = &self.steps[*child];
            assert!(seen.is_over(), "{id} ends before {}: {seen:?}", plan.steps[*child].id);
            let unknown = seen.outcome == Some(Outcome::Interrupted) && !self.is_given_up(plan, *child);
            assert!(!unknown, "{id} ends and it isn't known how {} did", plan.steps[*child].id);
        }
        self.last_words_were_said(plan, i);
        let came_to = |wanted: &[Outcome]| {
            let wanted =
                |child: &&usize| self.steps[**child].outcome.is_some_and(|known| wanted.contains(&known));
            inside.iter().filter(wanted).count()
        };
        let failed = |child: &&usize| {
            let fails = plan.steps[**child].on_failure != OnFailure::Warn;
            self.steps[**child].outcome == Some(Outcome::Failed) && fails
        };
        let tolerates = match &step.action {
            Action::Each(_) if !self.steps[i].has_items => {
                assert!(
                    matches!(outcome, Outcome::Failed | Outcome::Cancelled),
                    "{id} without items: {outcome}"
                );
                return;
            }
            Action::Each(each) => each.max_failures as usize,
            _ => 0,
        };
        let repeats = matches!(&step.action, Action::Steps(group) if group.repeat.is_some());
        let expected = if came_to(&[Outcome::Rejected]) > 0 {
            Outcome::Rejected
        } else if inside.iter().filter(failed).count() > tolerates {
            Outcome::Failed
        } else if came_to(&[Outcome::Blocked, Outcome::Cancelled, Outcome::Interrupted]) > 0 {
            Outcome::Cancelled
        } else if repeats && outcome == Outcome::Failed {
            // `until` did not hold.
            Outcome::Failed
        } else {
            Outcome::Succeeded
        };
        let expected = match expected {
            Outcome::Succeeded => Outcome::Succeeded,
            _ if step.undoes().is_some() => Outcome::Failed,
            expected => expected,
        };
        assert_eq!(outcome, expected, "{id}: {}", self.told(plan, &inside));
    }

    /// The `finally` of a called runbook that has begun is kept from running by nothing but itself.
    #[track_caller]
    fn last_words_were_said(&self, plan: &Plan, call: usize) {
        let last: Vec<usize> = children(plan, call).filter(|child| plan.steps[*child].cleanup).collect();
        let hindered = last.iter().any(|child| self.stops_inside(plan, *child));
        for child in last {
            let left = matches!(self.steps[child].outcome, Some(Outcome::Blocked | Outcome::Cancelled));
            assert!(!left || hindered, "{} was kept from running", plan.steps[child].id);
        }
    }

    /// Whether a step, or something in one that was ended with that, keeps what stands beside it from starting.
    fn stops_inside(&self, plan: &Plan, i: usize) -> bool {
        let seen = &self.steps[i];
        match seen.outcome {
            Some(Outcome::Failed) => plan.steps[i].on_failure.stops(),
            Some(Outcome::Rejected | Outcome::Interrupted) => true,
            Some(Outcome::Cancelled) => {
                seen.cut_off || children(plan, i).any(|child| self.stops_inside(plan, child))
            }
            Some(Outcome::Succeeded | Outcome::Skipped | Outcome::Blocked) | None => false,
        }
    }

    fn told(&self, plan: &Plan, steps: &[usize]) -> String {
        let tell = |step: &usize| format!("{} {:?}; ", plan.steps[*step].id, self.steps[*step].outcome);
        steps.iter().map(tell).collect()
    }

    /// What a step that never began came to is what all in it came to.
    #[track_caller]
    pub(crate) fn all_is_passed_on(&self, plan: &Plan) {
        for (index, step) in plan.declared().filter(|(_, step)| step.is_container()) {
            let seen = &self.steps[index];
            for child in children(plan, index).filter(|_| seen.started == 0) {
                let (id, came_to) = (&plan.steps[child].id, self.steps[child].outcome);
                let fits = match seen.outcome {
                    Some(Outcome::Skipped) => came_to == Some(Outcome::Skipped),
                    Some(Outcome::Blocked) => came_to == Some(Outcome::Blocked),
                    _ => matches!(came_to, Some(Outcome::Cancelled | Outcome::Blocked)),
                };
                assert!(fits, "{} never began, is {:?}, and {id} is {came_to:?}", step.id, seen.outcome);
            }
        }
    }
}
