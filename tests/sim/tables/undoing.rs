//! Undos that failed, and what is said about them with the command that takes the run on to undo it.

use runbook_core::event::{AheadAnswer, EventKind};
use runbook_core::plan::{Plan, Rollback, Step};
use runbook_core::schedule::{Attendance, Found, Input};
use runbook_core::state::Status;

use super::desk::Desk;
use crate::plans::{id, plan, run, step, undo, undo_by_call};

/// Two steps that can be undone, and one that fails; the undo of the second is a command, or the call of a runbook.
fn undoable(by_call: bool) -> Plan {
    let of_b =
        if by_call { undo_by_call("b.undo", vec![step("b.undo.x", &[], run())]) } else { undo(run(), false) };
    let a = Step { undo: undo(run(), false), ..step("a", &[], run()) };
    let b = Step { undo: of_b, ..step("b", &[0], run()) };
    let mut plan = plan(vec![a, b, step("bad", &[1], run())]);
    plan.rollback = Rollback::Auto;
    plan.complete(0);
    plan
}

/// The run has failed, and so has the undo of `b`; nobody was there to be asked.
fn failed(by_call: bool) -> Desk {
    let mut desk = Desk::new(undoable(by_call));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.succeeds(0);
    desk.succeeds(1);
    desk.fails(2);
    let running = *desk.state.running.iter().next_back().expect("the undo runs");
    let events = desk.fails(running);
    assert_eq!(events.last().map(String::as_str), Some("run_finished failed"), "{events:?}");
    desk
}

fn rollback(desk: &mut Desk, word: &str, reason: Option<&str>) -> Vec<String> {
    let answers = vec![AheadAnswer {
        step: id("b"),
        word: word.into(),
        reason: reason.map(str::to_owned),
        by: Some("alice".into()),
    }];
    desk.input(Input::Resumed {
        by: "alice".into(),
        host: "there".into(),
        version: "0".into(),
        found: Vec::new(),
        changed_inputs: Vec::new(),
        guards: vec![EventKind::AnsweredAhead { answers }],
        question: Vec::new(),
        answers: Vec::new(),
        rewind: None,
        cancel: None,
        rollback: true,
    })
}

/// What is running succeeds until nothing runs.
fn carry_out(desk: &mut Desk) {
    while let Some(&running) = desk.state.running.iter().next_back() {
        desk.succeeds(running);
    }
}

#[test]
fn what_is_said_about_a_failed_undo_is_heard_before_it_is_tried_again() {
    for by_call in [false, true] {
        for (word, reason, expected) in [
            ("skip", Some("gone"), "undo_started a"),
            ("abort", None, "run_finished failed"),
            ("retry", None, "undo_started b"),
        ] {
            let mut desk = failed(by_call);
            let events = rollback(&mut desk, word, reason);
            assert_eq!(events[..3], ["run_resumed", "answered_ahead", "gate_opened b undo"], "{events:?}");
            assert!(events.contains(&expected.to_owned()), "{word}: {events:?}");
            let tried = events.contains(&"undo_started b".to_owned());
            assert_eq!(tried, word == "retry", "{events:?}");
        }
    }
}

#[test]
fn it_is_said_once_and_asked_no_more() {
    let mut desk = failed(false);
    rollback(&mut desk, "retry", None);
    let running = *desk.state.running.iter().next_back().expect("it is tried again");
    let events = desk.fails(running);
    assert_eq!(events.last().map(String::as_str), Some("run_finished failed"), "{events:?}");
    assert!(!events.contains(&"gate_opened b undo".to_owned()), "{events:?}");
}

#[test]
fn a_crash_at_any_record_of_it_leaves_a_run_that_comes_to_its_end() {
    for by_call in [false, true] {
        for (word, reason) in [("skip", Some("gone")), ("abort", None), ("retry", None)] {
            let mut whole = failed(by_call);
            let before = whole.state.clone();
            rollback(&mut whole, word, reason);
            let events = whole.last.clone();
            for durable in 1..=events.len() {
                let mut desk = failed(by_call);
                desk.state = before.clone();
                for event in &events[..durable] {
                    desk.state.apply(desk.now, event).expect("a journal that was written");
                }
                let running = desk.state.running.iter().copied();
                let found = running.map(|step| (step, Found::NeverStarted)).collect();
                if desk.state.outcome.is_none() {
                    desk.resumes(found);
                }
                carry_out(&mut desk);
                assert!(desk.state.outcome.is_some(), "{word} {durable} of {events:?}");
                let b = desk.state.undo_of(1).expect("it has one");
                let tried = desk.state.steps[b].attempts > 1;
                assert!(durable < 2 || tried == (word == "retry"), "{word} {durable} of {events:?}");
                assert!(!matches!(desk.state.steps[b].status, Status::Running(_)));
            }
        }
    }
}
