//! From drafts of steps, and of those that they hold, to the steps of a plan as resolving a runbook gives them.

use std::collections::HashMap;

use indexmap::IndexMap;
use proptest::prelude::prop::sample::Index;
use runbook_core::duration::Duration;
use runbook_core::id::StepId;
use runbook_core::plan::{Action, Batch, Each, Items, OnExpiry, OnFailure, OnInterrupt, Step, Undo};
use serde_json::json;

use crate::plans;
use crate::world::{Dice, Ending, Reply, Script};

/// `on_failure`, `on_interrupt`, and `retry` with how often and whether by exit code.
pub(crate) type Settings = (OnFailure, OnInterrupt, Option<(u32, bool)>);

/// A step before it has a place.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) action: Action,
    pub(crate) script: Script,
    pub(crate) settings: Settings,
    /// Which of those above it; none where it waits for all.
    pub(crate) needs: Option<Vec<Index>>,
    pub(crate) spice: u8,
    pub(crate) before: Before,
    pub(crate) holds: Holds,
    /// The steps, and the last steps, of the runbook that undoes it.
    pub(crate) undoes: Option<(Vec<Self>, Vec<Self>)>,
}

/// What stands before a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    /// A question whether to do it at all.
    pub(crate) asks: bool,
}

/// What a step holds.
#[derive(Debug, Clone)]
pub(crate) enum Holds {
    Nothing,
    /// A group, and how many rounds of it there are at most.
    Group(Vec<Draft>, Option<u32>),
    /// A called runbook, and its `finally`.
    Call(Vec<Draft>, Vec<Draft>),
    /// What is done for each item.
    Each(Box<Draft>, Rate),
}

/// How a step goes through its items.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    pub(crate) items: usize,
    pub(crate) max_parallel: u32,
    pub(crate) max_failures: u32,
    pub(crate) batches: Vec<Batch>,
}

/// Where a list of steps stands.
#[derive(Clone, Copy)]
struct Place<'p> {
    prefix: &'p str,
    group: Option<usize>,
    finally: bool,
    /// In the runbook by which a step is undone: nothing there is undone itself.
    in_undo: bool,
}

/// The steps of a plan in the making, with what is scripted of them.
pub(crate) struct Sketch {
    scripts: HashMap<String, Script>,
    dice: Dice,
}

impl Sketch {
    pub(crate) fn new(seed: u64) -> Self {
        Self { scripts: HashMap::new(), dice: Dice(seed ^ 0x0dd) }
    }

    /// The steps of a run; those from `main` on stand under `finally`.
    pub(crate) fn of_run(
        mut self,
        mut drafts: Vec<Draft>,
        main: usize,
    ) -> (Vec<Step>, HashMap<String, Script>) {
        let last = drafts.split_off(main.min(drafts.len()));
        let mut steps = Vec::new();
        let place = Place { prefix: "s", group: None, finally: false, in_undo: false };
        self.list(drafts, place, false, &mut steps);
        self.list(last, Place { prefix: "z", finally: true, ..place }, false, &mut steps);
        (steps, self.scripts)
    }

    /// A list of steps that wait for each other alone.
    fn list(&mut self, drafts: Vec<Draft>, place: Place<'_>, cleanup: bool, steps: &mut Vec<Step>) {
        let mut before: Vec<usize> = Vec::new();
        for draft in drafts {
            let needs = match &draft.needs {
                None => before.clone(),
                Some(_) if before.is_empty() => Vec::new(),
                Some(picks) => {
                    let mut needs: Vec<usize> =
                        picks.iter().map(|pick| before[pick.index(before.len())]).collect();
                    needs.sort_unstable();
                    needs.dedup();
                    needs
                }
            };
            let id = format!("{}{}", place.prefix, before.len());
            let index = steps.len();
            self.step(draft, &id, place, steps);
            (steps[index].needs, steps[index].cleanup) = (needs, cleanup);
            before.push(index);
        }
    }

    /// A step, and behind it those that it holds.
    fn step(&mut self, draft: Draft, id: &str, place: Place<'_>, steps: &mut Vec<Step>) {
        let Draft { action, script, settings, spice, before, holds, undoes, .. } = draft;
        let of_leaf = (spice, before);
        let index = steps.len();
        let inside = format!("{id}.s");
        let last = format!("{id}.z");
        match holds {
            Holds::Nothing => {
                let mut step = self.leaf(action, script, settings, id, place, of_leaf);
                step.group = place.group;
                self.undone_by_call(&mut step, undoes);
                steps.push(step);
            }
            Holds::Group(inner, times) => {
                let mut step = self.leaf(plans::group(times), script, settings, id, place, of_leaf);
                step.group = place.group;
                self.undone_by_call(&mut step, undoes);
                steps.push(step);
                let place = Place { prefix: &inside, group: Some(index), ..place };
                self.list(inner, place, false, steps);
            }
            Holds::Call(inner, cleanup) => {
                let mut step = self.leaf(plans::call(), script, settings, id, place, of_leaf);
                step.group = place.group;
                self.undone_by_call(&mut step, undoes);
                steps.push(step);
                let place = Place { prefix: &inside, group: Some(index), ..place };
                self.list(inner, place, false, steps);
                self.list(cleanup, Place { prefix: &last, ..place }, true, steps);
            }
            Holds::Each(inner, rate) => {
                let mut inner = inner;
                // One step has one list of items.
                while let Holds::Each(deeper, _) = inner.holds {
                    inner = deeper;
                }
                let mut body = Vec::new();
                self.step(*inner, id, Place { group: None, ..place }, &mut body);
                let first = &mut body[0];
                // What doesn't name the item is settled once, before there are items.
                let mut outer = first.clone();
                (first.when, first.done_when) = (None, None);
                // What asks names the item, or it doesn't.
                let asks_of_each = rate.items % 2 == 0;
                if asks_of_each { &mut outer } else { &mut *first }.ask = None;
                first.on_failure = OnFailure::Stop;
                (outer.retry, outer.undo) = (None, None);
                outer.group = place.group;
                outer.action = Action::Each(Box::new(Each {
                    items: Items::List((0..rate.items).map(|item| json!(item)).collect()),
                    max_parallel: rate.max_parallel,
                    max_failures: rate.max_failures,
                    batches: rate.batches,
                    body,
                }));
                steps.push(outer);
            }
        }
    }

    /// A step without what it holds.
    fn leaf(
        &mut self,
        action: Action,
        mut script: Script,
        (on_failure, on_interrupt, retry): Settings,
        id: &str,
        place: Place<'_>,
        (spice, before): (u8, Before),
    ) -> Step {
        let mut step = plans::step(id, &[], action);
        step.finally = place.finally;
        let undoable = !place.finally && !place.in_undo && step.action.question().is_none();
        // Each step in it has one, too.
        if undoable && (spice == 1 || (1..5).contains(&spice) && !step.is_container()) {
            let undo = if spice == 1 { plans::manual(&[]) } else { plans::run() };
            step.undo = plans::undo(undo, spice.is_multiple_of(2));
            self.undo_script(&step.id);
        }
        if spice >= 5 && !matches!(step.action, Action::Approve(_)) {
            step.done_when = Some(Box::new(plans::probe()));
        }
        if before.asks && !matches!(step.action, Action::Approve(_)) {
            step.ask = Some(Box::new(plans::question()));
        }
        step.when = (script.when != Ok(true)).then(|| "params.x".to_owned());
        if step.action.question().is_none() {
            step.on_failure = on_failure;
        }
        if step.action.question().is_none() && !step.is_container() {
            step.retry = retry.map(|(times, by_code)| plans::retry(times, if by_code { &[75] } else { &[] }));
            step.on_interrupt = on_interrupt;
            // A server that fails to come up is started again in vain; one that is up stays so.
            if step.action.is_background() {
                script.endings.push(Ending::Success);
            }
        }
        // Only where nobody ever answers: else it would depend on the clock how a run ends.
        if script.reply == Reply::Silence {
            let on_expiry = if spice.is_multiple_of(2) { OnExpiry::Reject } else { OnExpiry::Fail };
            let own = match &mut step.action {
                Action::Approve(question) | Action::Manual(question) => Some(question),
                _ => None,
            };
            for question in own.into_iter().chain(step.ask.as_deref_mut()) {
                question.expires = Some(Duration::from_secs(600));
                question.on_expiry = on_expiry;
            }
        }
        self.scripts.insert(id.to_owned(), script);
        step
    }

    /// Has a step undone by a runbook.
    fn undone_by_call(&mut self, step: &mut Step, undoes: Option<(Vec<Draft>, Vec<Draft>)>) {
        let Some((inner, cleanup)) = undoes.filter(|_| step.undo.is_some()) else { return };
        let id = format!("{}.undo", step.id);
        let mut steps = vec![plans::step(&id, &[], plans::call())];
        self.scripts.insert(id.clone(), Script::default());
        let (inside, last) = (format!("{id}.s"), format!("{id}.z"));
        let place = Place { prefix: &inside, group: Some(0), finally: false, in_undo: true };
        self.list(inner, place, false, &mut steps);
        self.list(cleanup, Place { prefix: &last, ..place }, true, &mut steps);
        let always = step.undo.as_ref().is_some_and(|undo| undo.always);
        self.scripts.insert(step.id.of_undo().to_string(), Script::default());
        step.undo = Some(Box::new(Undo {
            action: plans::group(None),
            steps,
            timeout: None,
            env: IndexMap::new(),
            always,
        }));
    }

    /// The world of what undoes a step: some of it fails at first, and some for good.
    fn undo_script(&mut self, id: &StepId) {
        let endings = match self.dice.roll(6) {
            0 => vec![Ending::Exit(1), Ending::Success],
            1 => vec![Ending::Exit(1)],
            _ => vec![Ending::Success],
        };
        self.scripts.insert(id.of_undo().to_string(), Script { endings, ..Script::default() });
    }
}
