//! Random plans with random worlds around them.

use std::fmt;

use proptest::prelude::*;
use runbook_core::duration::Duration;
use runbook_core::plan::{Action, OnExpiry, OnFailure, OnInterrupt, Plan, Rollback, Step};

use crate::plans;
use crate::world::{Dice, Ending, Reply, Script};

/// A plan, its world and the seed of everything that is left to chance.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) plan: Plan,
    pub(crate) scripts: Vec<Script>,
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
        for (step, script) in self.plan.steps.iter().zip(&self.scripts) {
            let background = if step.action.is_background() { "background " } else { "" };
            let finally = if step.finally { " finally" } else { "" };
            writeln!(
                f,
                "  {} {background}{} needs {:?}{finally} {:?} {:?} retry {:?} {script:?}",
                step.id,
                step.action.kind(),
                step.needs,
                step.on_failure,
                step.on_interrupt,
                step.retry.as_ref().map(|retry| (retry.times, &retry.exit_codes)),
            )?;
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
    let done = prop_oneof![6 => Just(Some(false)), 2 => Just(Some(true)), 1 => Just(None)];
    (endings(), reply, when, prop::bool::weighted(0.97), done, decision).prop_map(
        |(endings, reply, when, renders, done, decision)| Script {
            endings,
            reply,
            when,
            renders,
            done,
            decision,
        },
    )
}

fn settings() -> impl Strategy<Value = (OnFailure, OnInterrupt, Option<(u32, bool)>)> {
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

type Draft =
    (Action, Script, (OnFailure, OnInterrupt, Option<(u32, bool)>), Option<Vec<prop::sample::Index>>, u8);

fn draft() -> impl Strategy<Value = Draft> {
    let needs = prop_oneof![
        2 => Just(None),
        3 => proptest::collection::vec(any::<prop::sample::Index>(), 0..4).prop_map(Some),
    ];
    (action(), script(), settings(), needs, 0_u8..8)
}

/// Plans of so many steps, a few of the last ones under `finally`.
pub(crate) fn cases(steps: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Case> {
    (
        proptest::collection::vec(draft(), steps),
        0_usize..4,
        prop_oneof![Just(1_u32), Just(2), Just(16)],
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(drafts, finally, max_parallel, attended, seed)| {
            let main = drafts.len().saturating_sub(finally).max(1);
            let (steps, scripts) = drafts
                .into_iter()
                .enumerate()
                .map(|(index, draft)| build(index, main, draft))
                .unzip::<_, _, Vec<Step>, Vec<Script>>();
            let mut plan = plans::plan(steps);
            plan.max_parallel = max_parallel;
            plan.rollback =
                [Rollback::Auto, Rollback::Ask, Rollback::Manual][usize::try_from(seed % 3).unwrap_or(0)];
            plan.complete(0);
            let scripts = with_undos(&plan, scripts, seed);
            Case { plan, scripts, attended, seed }
        })
}

fn build(index: usize, main: usize, draft: Draft) -> (Step, Script) {
    let (action, mut script, (on_failure, on_interrupt, retry), needs, spice) = draft;
    let finally = index >= main;
    // The steps of `finally` wait for each other alone.
    let before: Vec<usize> = if finally { (main..index).collect() } else { (0..index).collect() };
    let mut needed = match needs {
        None => before,
        Some(_) if before.is_empty() => Vec::new(),
        Some(picks) => picks.iter().map(|pick| before[pick.index(before.len())]).collect(),
    };
    needed.sort_unstable();
    needed.dedup();
    let mut step = plans::step(&format!("s{index}"), &needed, action);
    step.finally = finally;
    if !finally && step.action.question().is_none() && spice < 5 {
        let undo = if spice == 0 { plans::manual(&[]) } else { plans::run() };
        step.undo = plans::undo(undo, spice % 2 == 0);
    }
    if spice >= 5 && !matches!(step.action, Action::Approve(_)) {
        step.done_when = Some(Box::new(plans::probe()));
    }
    step.when = (script.when != Ok(true)).then(|| "params.x".to_owned());
    if step.action.question().is_none() {
        step.retry = retry.map(|(times, by_code)| plans::retry(times, if by_code { &[75] } else { &[] }));
        step.on_failure = on_failure;
        step.on_interrupt = on_interrupt;
        // A server that fails to come up is started again in vain; one that is up stays so.
        if step.action.is_background() {
            script.endings.push(Ending::Success);
        }
    }
    // Only where nobody ever answers: else it would depend on the clock how a run ends.
    if script.reply == Reply::Silence {
        let on_expiry = if spice % 2 == 0 { OnExpiry::Reject } else { OnExpiry::Fail };
        if let Action::Approve(question) | Action::Manual(question) = &mut step.action {
            question.expires = Some(Duration::from_secs(600));
            question.on_expiry = on_expiry;
        }
    }
    (step, script)
}

/// The world of what undoes the steps: some of it fails at first, and some for good.
fn with_undos(plan: &Plan, mut scripts: Vec<Script>, seed: u64) -> Vec<Script> {
    let mut dice = Dice(seed ^ 0x0dd);
    while scripts.len() < plan.steps.len() {
        let endings = match dice.roll(6) {
            0 => vec![Ending::Exit(1), Ending::Success],
            1 => vec![Ending::Exit(1)],
            _ => vec![Ending::Success],
        };
        scripts.push(Script { endings, ..Script::default() });
    }
    scripts
}
