//! Random plans with random worlds around them.

use std::fmt;

use proptest::prelude::*;
use runbook_core::plan::{Action, Batch, Each, OnFailure, OnInterrupt, Plan, Rollback, Step};

use crate::plans;
use crate::sketch::{Before, Draft, Holds, Rate, Settings, Sketch};
use crate::world::{Ending, Reply, Script, Scripts};

/// A plan, its world and the seed of everything that is left to chance.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) plan: Plan,
    pub(crate) scripts: Scripts,
    pub(crate) attended: bool,
    pub(crate) seed: u64,
}

impl fmt::Debug for Case {
    /// A line a step: what shrinking leaves is read by people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "max_parallel {}, attended {}, seed {}",
            self.plan.max_parallel, self.attended, self.seed
        )?;
        let declared = self.plan.declared();
        declared.into_iter().try_for_each(|(index, step)| self.tell(f, &self.plan, index, step, 1))
    }
}

impl Case {
    fn tell(
        &self,
        f: &mut fmt::Formatter<'_>,
        plan: &Plan,
        index: usize,
        step: &Step,
        depth: usize,
    ) -> fmt::Result {
        let inside =
            |group: &usize| std::iter::successors(Some(*group), |group| plan.steps[*group].group).count();
        let depth = depth + step.group.as_ref().map_or(0, inside);
        let background = if step.action.is_background() { "background " } else { "" };
        let finally = if step.finally { " finally" } else { "" };
        let asks = if step.ask.is_some() { " asks" } else { "" };
        let cleanup = if step.cleanup { " cleanup" } else { "" };
        let what = match &step.action {
            Action::Steps(group) => {
                format!("group repeat {:?}", group.repeat.as_ref().map(|again| again.times))
            }
            Action::Call(_) => "call".to_owned(),
            Action::Each(each) => {
                let Each { items, max_parallel, max_failures, batches, .. } = &**each;
                format!("each {items:?} {max_parallel} at a time, {max_failures} may fail, {batches:?}")
            }
            action => action.kind().to_owned(),
        };
        writeln!(
            f,
            "{:depth$}#{index} {} {background}{what} needs {:?}{finally}{cleanup}{asks} {:?} {:?} retry {:?} done_when {} {:?}",
            "",
            step.id,
            step.needs,
            step.on_failure,
            step.on_interrupt,
            step.retry.as_ref().map(|retry| (retry.times, &retry.exit_codes)),
            step.done_when.is_some(),
            self.scripts.of(plan, index),
            depth = 2 * depth,
        )?;
        let (body, undo) = match (&step.action, &step.undo) {
            (Action::Each(each), undo) => (each.body.as_slice(), undo),
            (_, undo) => (&[][..], undo),
        };
        if let Some(undo) = undo {
            writeln!(
                f,
                "{:depth$}undo {} always {}",
                "",
                undo.action.kind(),
                undo.always,
                depth = 2 * depth
            )?;
        }
        for steps in [body, undo.as_ref().map_or(&[][..], |undo| &undo.steps)] {
            let plan = Plan { steps: steps.to_vec(), ..plan.clone() };
            for (index, step) in plan.steps.iter().enumerate() {
                self.tell(f, &plan, index, step, depth + 1)?;
            }
        }
        Ok(())
    }
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => Just(plans::run()),
        2 => Just(plans::check()),
        1 => Just(plans::wait()),
        2 => Just(plans::approve()),
        1 => Just(plans::manual(&[])),
        1 => Just(plans::manual(&["one", "two"])),
        1 => Just(plans::background()),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        3 => Just(Ending::Success),
        1 => Just(Ending::Exit(1)),
        1 => Just(Ending::Exit(75)),
        1 => Just(Ending::Killed),
    ]
}

fn endings() -> impl Strategy<Value = Vec<Ending>> {
    prop_oneof![8 => Just(vec![Ending::Success]), 3 => proptest::collection::vec(ending(), 1..4)]
}

fn script() -> impl Strategy<Value = Script> {
    let reply = prop_oneof![
        10 => Just(Reply::Yes),
        1 => Just(Reply::No),
        1 => Just(Reply::Silence),
        2 => Just(Reply::Ahead),
    ];
    let when = prop_oneof![
        12 => Just(Ok(true)),
        2 => Just(Ok(false)),
        1 => Just(Err("`when` is not a boolean".to_owned())),
    ];
    let decision = prop_oneof![
        8 => Just("retry"),
        1 => Just("skip"),
        1 => Just("done"),
        1 => Just("failed"),
        1 => Just("abort"),
    ];
    let done = prop_oneof![
        6 => Just((Some(false), "connection refused")),
        2 => Just((Some(true), "connection refused")),
        1 => Just((None, "connection refused")),
        1 => Just((None, "template: `steps.gone` is not defined")),
    ];
    (endings(), reply, when, prop::bool::weighted(0.03), done, decision).prop_map(
        |(endings, reply, when, fails, (done, unknown), decision)| Script {
            endings,
            reply,
            when,
            renders: !fails,
            done,
            unknown,
            decision,
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    (
        prop_oneof![
            4 => Just(OnFailure::Stop),
            1 => Just(OnFailure::Unsaid),
            1 => Just(OnFailure::Ask),
            1 => Just(OnFailure::Continue),
            1 => Just(OnFailure::Warn),
        ],
        prop_oneof![3 => Just(OnInterrupt::Ask), 2 => Just(OnInterrupt::Rerun), 1 => Just(OnInterrupt::Fail)],
        prop_oneof![2 => Just(None), 1 => (1_u32..4, any::<bool>()).prop_map(Some)],
    )
}

/// What stands before a step.
fn before() -> impl Strategy<Value = Before> {
    prop::bool::weighted(0.12).prop_map(|asks| Before { asks })
}

/// A step that holds `depth` levels of steps at most.
fn draft(depth: u32) -> BoxedStrategy<Draft> {
    let needs = prop_oneof![
        2 => Just(None),
        3 => proptest::collection::vec(any::<prop::sample::Index>(), 0..4).prop_map(Some),
    ];
    let undoes = prop_oneof![
        7 => Just(None),
        1 => (list(0, 1..=2), list(0, 0..=1)).prop_map(Some),
    ];
    (action(), script(), settings(), needs, 0_u8..8, before(), holds(depth), undoes)
        .prop_map(|(action, script, settings, needs, spice, before, holds, undoes)| Draft {
            before,
            action,
            script,
            settings,
            needs,
            spice,
            holds,
            undoes,
        })
        .boxed()
}

fn list(depth: u32, steps: std::ops::RangeInclusive<usize>) -> BoxedStrategy<Vec<Draft>> {
    if depth == 0 {
        // The steps of a runbook that undoes have no undo, and so hold nothing that goes deeper.
        let leaf = (action(), script(), settings(), 0_u8..8, before());
        let leaf = leaf.prop_map(|(action, script, settings, spice, before)| Draft {
            action,
            script,
            settings,
            needs: None,
            spice,
            before,
            holds: Holds::Nothing,
            undoes: None,
        });
        return proptest::collection::vec(leaf, steps).boxed();
    }
    proptest::collection::vec(draft(depth - 1), steps).boxed()
}

fn holds(depth: u32) -> BoxedStrategy<Holds> {
    if depth == 0 {
        return Just(Holds::Nothing).boxed();
    }
    let repeat = prop_oneof![2 => Just(None), 1 => (1_u32..=3).prop_map(Some)];
    let batch = prop_oneof![(1_u32..=3).prop_map(Batch::Count), (1_u8..=100).prop_map(Batch::Percent)];
    let rate = (0_usize..=4, 1_u32..=3, 0_u32..=2, proptest::collection::vec(batch, 0..=2));
    let rate = rate.prop_map(|(items, max_parallel, max_failures, batches)| Rate {
        items,
        max_parallel,
        max_failures,
        batches,
    });
    prop_oneof![
        6 => Just(Holds::Nothing),
        1 => (list(depth, 1..=3), repeat).prop_map(|(steps, repeat)| Holds::Group(steps, repeat)),
        1 => (list(depth, 1..=2), list(depth, 0..=2)).prop_map(|(steps, last)| Holds::Call(steps, last)),
        1 => (draft(depth - 1), rate).prop_map(|(step, rate)| Holds::Each(Box::new(step), rate)),
    ]
    .boxed()
}

/// Plans of so many steps and those that they hold, a few of the last ones under `finally`.
pub(crate) fn cases(steps: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Case> {
    let flat = proptest::collection::vec(draft(0), steps.clone());
    let deep = proptest::collection::vec(draft(2), (steps.start() / 2).max(2)..=steps.end() / 2);
    (
        prop_oneof![1 => flat, 2 => deep],
        0_usize..4,
        prop_oneof![Just(1_u32), Just(2), Just(16)],
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(drafts, finally, max_parallel, attended, seed)| {
            let main = drafts.len().saturating_sub(finally).max(1);
            let (steps, scripts) = Sketch::new(seed).of_run(drafts, main);
            let mut plan = plans::plan(steps);
            plan.max_parallel = max_parallel;
            plan.rollback =
                [Rollback::Auto, Rollback::Ask, Rollback::Manual][usize::try_from(seed % 3).unwrap_or(0)];
            plan.complete(0);
            Case { plan, scripts: Scripts::named(scripts, seed), attended, seed }
        })
}
