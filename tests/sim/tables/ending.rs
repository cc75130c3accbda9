//! What a stop, a cancel or a failure ends, and what not, where that went wrong once.

use runbook_core::event::{Outcome, RunOutcome};
use runbook_core::plan::{OnFailure, Plan, Rollback, Step};
use runbook_core::schedule::{AttemptResult, Attendance, Found, Input};

use super::desk::{Desk, told_to_stop};
use crate::plans::{approve, background, call, check, finally, group, id, plan, retry, run, step, undo};
use crate::simulator::answer;

/// A called runbook with one step and two last words, of which the second needs the first.
fn called() -> Plan {
    let inside = |name: &str| Step { group: Some(0), ..step(name, &[], run()) };
    let last = |name: &str, needs: &[usize]| Step { cleanup: true, needs: needs.to_vec(), ..inside(name) };
    plan(vec![step("c", &[], call()), inside("c.a"), last("c.y", &[]), last("c.z", &[2])])
}

/// The same under the run's own `finally`.
fn ending() -> Plan {
    plan(vec![
        step("g", &[], group(None)),
        Step { group: Some(0), ..step("g.a", &[], run()) },
        finally("y", &[]),
        finally("z", &[2]),
    ])
}

/// A run that is cancelled while its first step runs, and is at what comes last.
fn cancelled(plan: Plan) -> Desk {
    let mut desk = Desk::new(plan);
    desk.start();
    desk.input(Input::Cancelled { by: "bob".into(), reason: None, undo: false });
    let events = desk.ends(1, told_to_stop());
    assert_eq!(desk.state.running.iter().copied().collect::<Vec<_>>(), [2], "{events:?}");
    desk
}

#[test]
fn what_a_stop_ends_of_what_comes_last_is_interrupted_although_the_run_ends() {
    for plan in [called(), ending()] {
        let mut desk = cancelled(plan);
        let last = desk.state.plan.steps[2].id.clone();
        desk.input(Input::Stopped { signal: "SIGTERM".into() });
        desk.ends(2, told_to_stop());
        assert_eq!(desk.state.steps[2].outcome(), Some(Outcome::Cancelled));
        assert_eq!(
            desk.resumes(Vec::new()),
            ["run_resumed".to_owned(), format!("gate_opened {last} interrupted")]
        );
        desk.says(answer(&last, "skip", "carol"));
        assert_eq!(desk.state.running.iter().copied().collect::<Vec<_>>(), [3], "the rest of it goes on");
    }
}

#[test]
fn what_a_cancel_ends_of_what_comes_last_stays_so() {
    for plan in [called(), ending()] {
        let mut desk = Desk::new(plan);
        desk.start();
        desk.succeeds(1);
        desk.input(Input::Cancelled { by: "bob".into(), reason: None, undo: false });
        // The engine dies before the run has ended.
        let result = AttemptResult { recovered: true, ..told_to_stop() };
        desk.resumes(vec![(2, Found::Ended(Box::new(result)))]);
        assert_eq!(desk.state.steps[2].outcome(), Some(Outcome::Cancelled));
        assert_eq!(desk.state.outcome, Some(RunOutcome::Cancelled));
    }
}

#[test]
fn what_began_after_a_cancel_was_not_ended_by_it() {
    for plan in [called(), ending()] {
        let mut desk = cancelled(plan);
        let failure = Some((Outcome::Failed, "signal SIGKILL".into()));
        let killed = AttemptResult { failure, signal: Some("SIGKILL".into()), ..AttemptResult::default() };
        desk.resumes(vec![(2, Found::Ended(Box::new(killed)))]);
        assert_eq!(desk.state.steps[2].outcome(), Some(Outcome::Failed));
    }
}

#[test]
fn a_failure_that_people_decide_about_takes_no_other_question_back() {
    let b = Step { on_failure: OnFailure::Ask, when: Some("params.x".into()), ..step("b", &[], run()) };
    let mut desk = Desk::new(plan(vec![step("ok", &[], approve()), b]));
    desk.scripts[1].when = Err("`when` is not a boolean".to_owned());
    desk.attendance = Attendance::Nobody;
    assert_eq!(
        desk.start(),
        [
            "step_started ok",
            "step_started b",
            "step_finished b failed",
            "gate_opened b failure",
            "gate_opened ok approve",
            "run_parked"
        ]
    );
}

#[test]
fn a_group_that_people_decide_about_ends_nothing_around_it_before_they_have() {
    let g = Step { on_failure: OnFailure::Ask, ..step("g", &[], group(None)) };
    let a = Step { group: Some(0), ..step("g.a", &[], run()) };
    let mut desk = Desk::new(plan(vec![g, a, step("h", &[], approve()), step("i", &[0], run())]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    assert_eq!(
        desk.fails(1),
        ["step_finished g.a failed", "step_finished g failed", "gate_opened g failure", "run_parked"]
    );
    // The same where the group could not begin: what is in it is not cancelled before it is decided.
    let g = Step { when: Some("params.x".into()), ..desk.state.plan.steps[0].clone() };
    let a = desk.state.plan.steps[1].clone();
    let mut desk = Desk::new(plan(vec![g, a, step("h", &[], approve())]));
    desk.attendance = Attendance::Nobody;
    desk.scripts[0].when = Err("`when` is not a boolean".to_owned());
    let events = desk.start();
    assert!(events.contains(&"gate_opened g failure".to_owned()), "{events:?}");
    assert!(!events.iter().any(|event| event.starts_with("step_cancelled")), "{events:?}");
    assert_eq!(desk.state.gates.len(), 2, "{events:?}");
}

#[test]
fn it_is_asked_whether_to_undo_although_a_command_in_the_background_comes_up_again() {
    let a = Step { undo: undo(run(), false), ..step("a", &[0], run()) };
    let c = Step { retry: Some(retry(1, &[])), ..step("c", &[1], run()) };
    let b = Step { on_failure: OnFailure::Ask, ..step("b", &[1], run()) };
    let mut plan = plan(vec![step("serve", &[], background()), a, b, c]);
    plan.rollback = Rollback::Ask;
    plan.complete(0);
    let mut desk = Desk::new(plan);
    desk.start();
    desk.succeeds(0);
    desk.succeeds(1);
    desk.fails(3);
    desk.fails(2);
    desk.resumes(vec![(0, Found::Unknown)]);
    // What it is brought up for is given up while it comes up.
    assert_eq!(desk.passes(5), ["step_started serve 2"]);
    let events = desk.says(answer(&id("b"), "abort", "carol"));
    assert_eq!(events.last().map(String::as_str), Some("gate_opened rollback rollback"), "{events:?}");
}

#[test]
fn the_last_words_of_a_called_runbook_wait_for_what_is_asked_again_although_they_had_begun() {
    let inside = |name: &str, action| Step { group: Some(0), ..step(name, &[], action) };
    let last = Step { cleanup: true, ..inside("c.z", check()) };
    let mut desk = Desk::new(plan(vec![step("c", &[], call()), inside("c.ok", approve()), last]));
    desk.start();
    desk.says(answer(&id("c.ok"), "approve", "bob"));
    let changed = vec![(0, "deploy.sh".to_owned(), Some("ab".to_owned()))];
    assert_eq!(
        desk.resumes_with(vec![(2, Found::Unknown)], changed, Vec::new(), Vec::new()),
        [
            "run_resumed",
            "step_finished c.z interrupted",
            "input_changed c",
            "gate_closed c.ok void",
            "step_started c.ok 2",
            "gate_opened c.ok approve"
        ]
    );
    let events = desk.says(answer(&id("c.ok"), "approve", "bob"));
    assert_eq!(events.last().map(String::as_str), Some("step_started c.z 2"), "{events:?}");
}

#[test]
fn nothing_is_asked_about_a_failure_once_what_comes_last_has_begun() {
    let b = Step { on_failure: OnFailure::Unsaid, ..step("b", &[], run()) };
    let mut desk = Desk::new(plan(vec![b, finally("z", &[])]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.fails(0);
    // The engine dies; the next one has somebody to ask.
    desk.attendance = Attendance::Operator;
    assert_eq!(desk.resumes(vec![(1, Found::StillRunning)]), ["run_resumed"]);
}

#[test]
fn what_comes_last_begins_anew_with_what_holds_it_and_not_with_its_command_in_the_background() {
    let z = Step { finally: true, ..step("z", &[], group(None)) };
    let serve = Step { finally: true, group: Some(1), ..step("z.serve", &[], background()) };
    let mut desk = Desk::new(plan(vec![step("a", &[], run()), z, serve]));
    desk.start();
    desk.fails(0);
    desk.succeeds(2);
    desk.input(Input::BackgroundEnded { step: 2, expected: true, reason: "ended".into() });
    assert_eq!(desk.state.outcome, Some(RunOutcome::Failed));
    let again = answer(&id("a"), "retry", "carol");
    desk.resumes_with(Vec::new(), Vec::new(), vec![0], vec![again]);
    assert_eq!(desk.succeeds(0), ["step_finished a succeeded", "step_started z 2", "step_started z.serve 2"]);
}
