//! Steps that hold others: what of them starts, waits and ends, where that went wrong once.

use runbook_core::event::{EventKind, RunOutcome};
use runbook_core::plan::{Action, OnFailure, OnInterrupt, Plan, Rollback, Step};
use runbook_core::schedule::{Attendance, Found, Input};

use super::desk::Desk;
use crate::plans::{
    approve, background, call, check, each, group, plan, probe, question, run, step, undo_by_call,
};
use crate::simulator::answer;

fn inside(id: &str, needs: &[usize], action: Action) -> Step {
    Step { group: Some(0), ..step(id, needs, action) }
}

/// A command in the background that ends with the engine, as when the run is parked.
fn ends(desk: &mut Desk, step: usize) -> Vec<String> {
    assert!(desk.end_backgrounds, "the run is about to be parked");
    desk.input(Input::BackgroundEnded { step, expected: true, reason: "ended".into() })
}

#[test]
fn an_interrupted_item_keeps_its_place() {
    let body = Step { on_interrupt: OnInterrupt::Rerun, ..step("e", &[], run()) };
    let mut desk = Desk::new(plan(vec![step("e", &[], each(2, 0, vec![body]))]));
    assert_eq!(desk.start(), ["step_started e", "items e", "step_started e[0]"]);
    assert_eq!(
        desk.resumes(vec![(1, Found::Unknown)]),
        ["run_resumed", "step_finished e[0] interrupted", "step_started e[0] 2"]
    );
}

#[test]
fn whether_to_do_an_item_is_asked_while_all_places_are_taken_and_when_it_is_its_turn() {
    let asked = |max_parallel| {
        let body = Step { ask: Some(Box::new(question())), ..step("e", &[], run()) };
        let mut items = each(3, 0, vec![body]);
        if let Action::Each(each) = &mut items {
            each.max_parallel = max_parallel;
        }
        let mut plan = plan(vec![step("a", &[], run()), step("e", &[], items)]);
        plan.max_parallel = 1;
        Desk::new(plan)
    };
    let begins = ["step_started a", "step_started e", "items e", "gate_opened e[0] ask"];
    assert_eq!(asked(2).start(), [&begins[..], &["gate_opened e[1] ask"]].concat());
    let mut desk = asked(1);
    assert_eq!(desk.start(), begins);
    // One after the other: the next is asked about when this one is over.
    desk.says(answer(&crate::plans::id("e[0]"), "yes", "bob"));
    let events = desk.succeeds(0);
    assert_eq!(events.last().map(String::as_str), Some("step_started e[0]"), "{events:?}");
    let events = desk.succeeds(2);
    assert_eq!(events.last().map(String::as_str), Some("gate_opened e[1] ask"), "{events:?}");
}

#[test]
fn items_that_begin_again_do_so_one_after_the_other() {
    let body = vec![step("e", &[], group(None)), inside("e.a", &[], run())];
    let mut desk = Desk::new(plan(vec![step("e", &[], each(2, 1, body))]));
    desk.start();
    desk.fails(2);
    desk.fails(4);
    assert_eq!(desk.state.outcome, Some(RunOutcome::Failed));
    let again = ["e[0].a", "e[1].a"].map(|id| answer(&crate::plans::id(id), "retry", "carol"));
    let events = desk.resumes_with(Vec::new(), Vec::new(), vec![2, 4], again.to_vec());
    assert_eq!(events.iter().filter(|event| event.ends_with(".a 2")).count(), 1, "{events:?}");
    assert!(desk.succeeds(2).contains(&"step_started e[1].a 2".to_owned()));
}

#[test]
fn a_command_in_the_background_is_not_brought_up_for_items_that_wait() {
    let body = vec![step("e", &[], approve())];
    let mut desk = Desk::new(plan(vec![step("pf", &[], background()), step("e", &[0], each(2, 0, body))]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.succeeds(0);
    assert_eq!(ends(&mut desk, 0), ["background_ended pf", "run_parked"]);
}

fn undone_by(first: Action, inner: Vec<Step>) -> Plan {
    let a = Step { undo: undo_by_call("a.undo", inner), ..step("a", &[], run()) };
    let mut plan = plan(vec![step("pf", &[], first), a, step("b", &[1], run())]);
    plan.rollback = Rollback::Auto;
    plan.complete(0);
    plan
}

#[test]
fn a_command_in_the_background_is_not_brought_up_for_an_undo_that_waits_for_people() {
    let mut desk = Desk::new(undone_by(background(), vec![step("a.undo.x", &[], approve())]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.succeeds(0);
    desk.succeeds(1);
    let events = desk.fails(2);
    assert_eq!(events.last().map(String::as_str), Some("gate_opened a.undo.x approve"), "{events:?}");
    assert_eq!(ends(&mut desk, 0), ["background_ended pf", "run_parked"]);
}

#[test]
fn a_run_does_not_end_while_an_undo_brings_a_command_in_the_background_up() {
    let mut desk = Desk::new(undone_by(
        run(),
        vec![step("a.undo.serve", &[], background()), step("a.undo.x", &[1], run())],
    ));
    desk.start();
    desk.succeeds(0);
    desk.succeeds(1);
    desk.fails(2);
    let [serve, x] = ["a.undo.serve", "a.undo.x"]
        .map(|id| desk.state.index_of(&crate::plans::id(id)).expect("it is there"));
    desk.succeeds(serve);
    let events = desk.resumes(vec![(serve, Found::Unknown), (x, Found::NeverStarted)]);
    assert_eq!(desk.state.outcome, None, "{events:?}");
}

#[test]
fn what_could_not_begin_does_not_begin_after_a_crash() {
    let condition = Err("`when` is not a boolean".to_owned());
    for (action, done) in
        [(group(None), false), (each(1, 0, vec![step("g", &[], run())]), false), (run(), true)]
    {
        let g = Step {
            when: (!done).then(|| "params.x".to_owned()),
            done_when: done.then(|| Box::new(probe())),
            ..step("g", &[], action)
        };
        let held = matches!(g.action, Action::Steps(_)).then(|| inside("g.a", &[], run()));
        let mut desk = Desk::new(plan(std::iter::once(g).chain(held).collect()));
        if !done {
            desk.scripts[0].when = condition.clone();
        }
        let id = crate::plans::id("g");
        if done {
            let reason = Some("template: `steps.gone` is not defined".to_owned());
            let looked = EventKind::DoneChecked { step: id.clone(), attempt: 0, done: None, reason };
            desk.state.apply(desk.now, &looked).expect("legal");
        }
        let started = EventKind::StepStarted {
            step: id,
            attempt: 1,
            command: None,
            digest: None,
            boot: None,
            slot: None,
            why: None,
            until: None,
        };
        desk.state.apply(desk.now, &started).expect("legal");
        let found = if done { vec![(0, Found::NeverStarted)] } else { Vec::new() };
        let events = desk.resumes(found);
        assert_eq!(events[..2], ["run_resumed", "step_finished g failed"], "{events:?}");
    }
}

#[test]
fn what_is_asked_about_keeps_its_group_from_ending() {
    let a = Step { on_failure: OnFailure::Ask, ..inside("g.a", &[], run()) };
    let mut desk = Desk::new(plan(vec![step("g", &[], group(None)), a]));
    desk.start();
    assert_eq!(desk.fails(1), ["step_finished g.a failed", "gate_opened g.a failure"]);
}

#[test]
fn the_last_words_of_a_called_runbook_wait_for_what_is_done_again() {
    let last = Step { cleanup: true, ..inside("c.z", &[], run()) };
    let mut desk = Desk::new(plan(vec![step("c", &[], call()), inside("c.a", &[], check()), last]));
    desk.start();
    assert_eq!(
        desk.resumes(vec![(1, Found::Unknown)]),
        ["run_resumed", "step_finished c.a interrupted", "step_started c.a 2"]
    );
}

#[test]
fn a_group_ends_around_what_a_failure_keeps_from_being_done_again() {
    let mut desk = Desk::new(plan(vec![
        step("g", &[], group(None)),
        inside("g.a", &[], check()),
        inside("g.b", &[], run()),
    ]));
    desk.start();
    desk.fails(2);
    assert_eq!(
        desk.resumes(vec![(1, Found::Unknown)]),
        ["run_resumed", "step_finished g.a interrupted", "step_finished g failed", "run_finished failed"]
    );
}

#[test]
fn a_command_in_the_background_is_there_once_however_often_its_group_is_repeated() {
    let mut desk = Desk::new(plan(vec![
        step("g", &[], group(Some(2))),
        inside("g.serve", &[], background()),
        inside("g.a", &[1], run()),
    ]));
    desk.start();
    desk.succeeds(1);
    assert_eq!(
        desk.succeeds(2),
        [
            "step_finished g.a succeeded",
            "step_finished g failed",
            "retry_scheduled g 0",
            "step_started g 2",
            "step_started g.a 2"
        ]
    );
}

#[test]
fn what_was_blocked_in_a_group_is_blocked_after_a_resume() {
    let g = Step { on_failure: OnFailure::Continue, ..step("g", &[], group(None)) };
    let mut desk = Desk::new(plan(vec![
        g,
        inside("g.a", &[], run()),
        inside("g.b", &[1], run()),
        step("c", &[0], approve()),
    ]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.fails(1);
    assert_eq!(desk.resumes(Vec::new()), ["run_resumed", "step_blocked g.b by g.a", "run_parked"]);
}

#[test]
fn an_approval_in_an_undo_is_asked_again_when_what_it_is_about_changes() {
    let mut desk = Desk::new(undone_by(run(), vec![step("a.undo.x", &[], approve())]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.succeeds(0);
    desk.succeeds(1);
    desk.fails(2);
    let changed = vec![(1, "deploy.sh".to_owned(), Some("ab".to_owned()))];
    assert_eq!(
        desk.resumes_with(Vec::new(), changed, Vec::new(), Vec::new()),
        [
            "run_resumed",
            "input_changed a",
            "gate_closed a.undo.x void",
            "gate_opened a.undo.x approve",
            "run_parked"
        ]
    );
}

#[test]
fn a_group_under_finally_that_runs_again_looks_at_its_condition_first() {
    let z = Step { finally: true, when: Some("params.x".into()), ..step("z", &[], group(Some(2))) };
    let x = Step { finally: true, group: Some(1), ..step("z.x", &[], run()) };
    let mut desk = Desk::new(plan(vec![step("a", &[], run()), z, x]));
    desk.scripts[1].when = Err("`when` is not a boolean".to_owned());
    desk.start();
    desk.fails(0);
    assert_eq!(desk.state.outcome, Some(RunOutcome::Failed));
    let again = answer(&crate::plans::id("a"), "retry", "carol");
    desk.resumes_with(Vec::new(), Vec::new(), vec![0], vec![again]);
    let events = desk.succeeds(0);
    assert!(events.contains(&"step_finished z failed".to_owned()), "{events:?}");
    assert!(!events.iter().any(|event| event.starts_with("step_started z.x")), "{events:?}");
}

#[test]
fn what_an_undo_kept_in_the_background_is_not_brought_up_once_it_is_over() {
    let first = Step { undo: crate::plans::undo(run(), false), ..step("z", &[], run()) };
    let a = Step {
        undo: undo_by_call("a.undo", vec![step("a.undo.serve", &[], background())]),
        ..step("a", &[0], run())
    };
    let mut plan = plan(vec![first, a, step("b", &[1], run())]);
    plan.rollback = Rollback::Auto;
    plan.complete(0);
    let mut desk = Desk::new(plan);
    desk.start();
    desk.succeeds(0);
    desk.succeeds(1);
    desk.fails(2);
    let serve = desk.state.index_of(&crate::plans::id("a.undo.serve")).expect("it is there");
    let events = desk.succeeds(serve);
    assert!(events.contains(&"undo_finished a".to_owned()), "{events:?}");
    // The engine dies before the next undo has begun.
    let z = desk.state.undo_of(0).expect("it has one");
    let events = desk.resumes(vec![(serve, Found::Unknown), (z, Found::NeverStarted)]);
    assert!(events.contains(&"undo_started z".to_owned()), "{events:?}");
    assert!(!events.iter().any(|event| event.starts_with("step_started")), "{events:?}");
}

#[test]
fn what_a_failure_kept_from_starting_goes_on_with_what_is_decided_about_it() {
    let g = Step { on_failure: OnFailure::Continue, ..step("g", &[], group(None)) };
    let a = Step { on_failure: OnFailure::Unsaid, ..inside("g.a", &[], run()) };
    let mut desk = Desk::new(plan(vec![g, a, inside("g.b", &[1], run()), step("l", &[], run())]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    let events = desk.fails(1);
    assert!(events.contains(&"step_blocked g.b by g.a".to_owned()), "{events:?}");
    // The engine dies; the next one has somebody to ask.
    desk.attendance = Attendance::Operator;
    let events = desk.resumes(vec![(3, Found::StillRunning)]);
    assert!(events.contains(&"gate_opened g.a failure".to_owned()), "{events:?}");
    let mut skip = answer(&crate::plans::id("g.a"), "skip", "carol");
    skip.reason = Some("seen".into());
    let events = desk.input(Input::Answered(Box::new(skip)));
    assert!(events.contains(&"step_started g.b".to_owned()), "{events:?}");
}

#[test]
fn an_item_is_undone_although_another_was_interrupted() {
    let body = Step { undo: crate::plans::undo(run(), false), ..step("e", &[], check()) };
    let mut plan = plan(vec![step("e", &[], each(2, 0, vec![body])), step("b", &[], run())]);
    plan.rollback = Rollback::Auto;
    plan.complete(0);
    let mut desk = Desk::new(plan);
    desk.attendance = Attendance::Nobody;
    desk.start();
    let first = desk.state.index_of(&crate::plans::id("e[0]")).expect("it is there");
    let second = desk.state.index_of(&crate::plans::id("e[1]")).expect("it is there");
    desk.succeeds(first);
    // The engine dies while the second item runs; the other step has failed meanwhile.
    let failed = runbook_core::schedule::AttemptResult {
        failure: Some((runbook_core::event::Outcome::Failed, "exit 1".into())),
        ..Default::default()
    };
    let events = desk.resumes(vec![(second, Found::Unknown), (1, Found::Ended(Box::new(failed)))]);
    assert!(events.contains(&"undo_started e[0]".to_owned()), "{events:?}");
}

/// A retry that a failure elsewhere keeps from being made is not waited for.
#[test]
fn a_retry_that_will_not_be_made_holds_nothing_up() {
    let tried = |id: &str| Step { retry: Some(crate::plans::retry(1, &[])), ..inside(id, &[], run()) };
    // The last words of a called runbook.
    let last = Step { cleanup: true, ..inside("c.last", &[], run()) };
    let mut desk = Desk::new(plan(vec![
        step("c", &[], crate::plans::call()),
        tried("c.a"),
        last,
        step("b", &[], run()),
    ]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.fails(3);
    let events = desk.fails(1);
    assert!(events.contains(&"step_started c.last".to_owned()), "{events:?}");
    desk.succeeds(2);
    assert_eq!(desk.state.outcome, Some(RunOutcome::Failed));
    // A group of which the failure lets the run go on.
    let g = Step { on_failure: OnFailure::Continue, ..step("g", &[], group(None)) };
    let mut desk =
        Desk::new(plan(vec![g, tried("g.a"), inside("g.b", &[], run()), step("after", &[0], run())]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.fails(2);
    let events = desk.fails(1);
    assert!(events.contains(&"step_started after".to_owned()), "{events:?}");
    desk.succeeds(3);
    assert_eq!(desk.state.outcome, Some(RunOutcome::Failed));
}

/// The same for what is done again after a crash: held in a group of which the failure lets the run go on.
#[test]
fn what_is_held_in_a_group_is_not_waited_for_after_a_crash() {
    let g = Step { on_failure: OnFailure::Continue, ..step("g", &[], group(None)) };
    let again = Step { on_interrupt: OnInterrupt::Rerun, ..inside("g.b", &[], run()) };
    let mut desk = Desk::new(plan(vec![g, inside("g.a", &[], run()), again]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.fails(1);
    let events = desk.resumes(vec![(2, Found::Unknown)]);
    assert_eq!(desk.state.outcome, Some(RunOutcome::Failed), "{events:?}");
}
