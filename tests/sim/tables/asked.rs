//! The question before a step (`language.md` §3): nothing is done that nobody said yes to.

use runbook_core::duration::Duration;
use runbook_core::event::{EventKind, RunOutcome};
use runbook_core::plan::{OnExpiry, OnFailure, Question, Step};
use runbook_core::schedule::{Attendance, Found};

use super::desk::Desk;
use crate::plans::{approve, finally, group, id, plan, question, retry, run, step};
use crate::simulator::answer;

/// A command that fails where nobody says in ten minutes whether to run it.
fn asked(name: &str) -> Step {
    let expires = Some(Duration::from_secs(600));
    let question = Question { expires, on_expiry: OnExpiry::Fail, ..question() };
    Step { ask: Some(Box::new(question)), ..step(name, &[], run()) }
}

/// The record that a step starts.
fn started(name: &str) -> EventKind {
    EventKind::StepStarted {
        step: id(name),
        attempt: 1,
        command: None,
        digest: None,
        boot: None,
        slot: None,
        why: None,
        until: None,
    }
}

#[test]
fn what_nobody_answered_is_not_retried() {
    let mut desk = Desk::new(plan(vec![Step { retry: Some(retry(1, &[])), ..asked("a") }]));
    assert_eq!(desk.start(), ["gate_opened a ask"]);
    assert_eq!(
        desk.passes(601),
        ["gate_closed a expired", "step_started a", "step_finished a failed", "run_finished failed"]
    );
}

#[test]
fn what_nobody_answered_is_not_done_after_a_crash() {
    let mut desk = Desk::new(plan(vec![asked("a")]));
    desk.start();
    let closed = EventKind::GateClosed { step: id("a"), result: "expired".into(), reason: None };
    for event in [closed, started("a")] {
        desk.state.apply(desk.now, &event).expect("legal");
    }
    assert_eq!(
        desk.resumes(vec![(0, Found::NeverStarted)]),
        ["run_resumed", "step_finished a failed", "run_finished failed"]
    );
}

#[test]
fn what_expired_while_the_run_was_parked_fails_with_the_next_answer() {
    let mut desk = Desk::new(plan(vec![asked("a"), step("ok", &[], approve())]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.now = desk.now.after(Duration::from_secs(601).into());
    let events = desk.file(&answer(&id("ok"), "approve", "bob"));
    assert!(events.contains(&"step_finished a failed".to_owned()), "{events:?}");
    assert_eq!(desk.state.outcome, Some(RunOutcome::Failed), "{events:?}");
}

#[test]
fn what_nobody_answered_is_asked_again_where_a_person_has_it_tried_again() {
    let mut desk = Desk::new(plan(vec![Step { on_failure: OnFailure::Ask, ..asked("a") }]));
    desk.start();
    let events = desk.passes(601);
    assert_eq!(events.last().map(String::as_str), Some("gate_opened a failure"), "{events:?}");
    let events = desk.says(answer(&id("a"), "retry", "carol"));
    assert_eq!(events.last().map(String::as_str), Some("gate_opened a ask"), "{events:?}");
}

#[test]
fn each_round_of_a_group_asks_anew() {
    let a = Step { group: Some(0), ..asked("g.a") };
    let mut desk = Desk::new(plan(vec![step("g", &[], group(Some(3))), a]));
    desk.start();
    desk.says(answer(&id("g.a"), "yes", "bob"));
    let events = desk.succeeds(1);
    assert_eq!(events.last().map(String::as_str), Some("gate_opened g.a ask"), "{events:?}");
}

#[test]
fn what_comes_last_is_asked_about_anew_where_an_ended_run_goes_on() {
    let z = Step { finally: true, ..asked("z") };
    let mut desk = Desk::new(plan(vec![step("a", &[], run()), z, finally("y", &[1])]));
    desk.start();
    desk.fails(0);
    desk.says(answer(&id("z"), "no", "bob"));
    desk.succeeds(2);
    assert_eq!(desk.state.outcome, Some(RunOutcome::Failed));
    let again = answer(&id("a"), "retry", "carol");
    desk.resumes_with(Vec::new(), Vec::new(), vec![0], vec![again]);
    let events = desk.succeeds(0);
    assert_eq!(events.last().map(String::as_str), Some("gate_opened z ask"), "{events:?}");
}

/// A group of which it can't be asked whether to begin it: the engine dies after the record that it begins, which goes on to say so.
#[test]
fn what_could_not_be_asked_about_does_not_begin_after_a_crash() {
    let g = Step { ask: Some(Box::new(question())), ..step("g", &[], group(None)) };
    let a = Step { group: Some(0), ..step("g.a", &[], run()) };
    let mut desk = Desk::new(plan(vec![g, a]));
    desk.scripts[0].renders = false;
    desk.state.apply(desk.now, &started("g")).expect("legal");
    assert_eq!(desk.resumes(Vec::new())[..2], ["run_resumed", "step_finished g failed"]);
}
