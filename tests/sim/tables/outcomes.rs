//! Order, outcomes, retries and stops (`language.md` §2, §3).

use runbook_core::duration::Duration;
use runbook_core::event::{EventKind, RunOutcome};
use runbook_core::plan::{OnFailure, Retry, Step};
use runbook_core::schedule::{AttemptResult, Attendance, Found, Input};

use super::desk::{Desk, exit, told_to_stop};
use crate::plans::{approve, background, finally, plan, retry, run, step};

#[test]
fn after_a_failure_what_depends_is_blocked_and_the_rest_cancelled() {
    let mut desk = Desk::new(plan(vec![
        step("build", &[], run()),
        step("docs", &[], run()),
        step("gate", &[], approve()),
        step("deploy", &[0], run()),
        step("smoke", &[1, 3], run()),
        step("publish", &[1], run()),
        finally("tell", &[]),
    ]));
    assert_eq!(
        desk.start(),
        ["step_started build", "step_started docs", "step_started gate", "gate_opened gate approve"]
    );
    // What runs is let finish; what waits is closed at once.
    assert_eq!(
        desk.fails(0),
        ["step_finished build failed", "gate_closed gate cancelled", "step_finished gate cancelled"]
    );
    assert_eq!(
        desk.succeeds(1),
        [
            "step_finished docs succeeded",
            "step_blocked deploy by build",
            "step_blocked smoke by deploy",
            "step_cancelled publish",
            "step_started tell"
        ]
    );
    assert_eq!(desk.succeeds(6), ["step_finished tell succeeded", "run_finished failed"]);
}

#[test]
fn on_failure_decides_whether_dependents_and_the_run_go_on() {
    for (on_failure, next, outcome) in [
        (OnFailure::Stop, "step_blocked b by a", RunOutcome::Failed),
        (OnFailure::Continue, "step_started b", RunOutcome::Failed),
        (OnFailure::Warn, "step_started b", RunOutcome::Succeeded),
    ] {
        let mut desk =
            Desk::new(plan(vec![Step { on_failure, ..step("a", &[], run()) }, step("b", &[0], run())]));
        desk.start();
        assert_eq!(desk.fails(0)[1], next);
        if desk.state.outcome.is_none() {
            desk.succeeds(1);
        }
        assert_eq!(desk.state.outcome, Some(outcome), "{on_failure:?}");
    }
}

#[test]
fn a_finally_step_that_fails_makes_a_succeeded_run_failed() {
    let mut desk = Desk::new(plan(vec![step("a", &[], run()), finally("tell", &[])]));
    desk.start();
    assert_eq!(desk.succeeds(0), ["step_finished a succeeded", "step_started tell"]);
    assert_eq!(desk.fails(1), ["step_finished tell failed", "run_finished failed"]);
}

#[test]
fn max_parallel_bounds_what_runs_and_gates_take_no_place() {
    let mut plan = plan(vec![
        step("a", &[], run()),
        step("b", &[], run()),
        step("ok", &[], approve()),
        step("c", &[], run()),
    ]);
    plan.max_parallel = 1;
    let mut desk = Desk::new(plan);
    assert_eq!(desk.start(), ["step_started a", "step_started ok", "gate_opened ok approve"]);
    assert_eq!(desk.succeeds(0), ["step_finished a succeeded", "step_started b"]);
    assert_eq!(desk.succeeds(1), ["step_finished b succeeded", "step_started c"]);
}

#[test]
fn delays_grow_up_to_their_bound_and_jitter_shortens_them() {
    let patient = Retry {
        times: 4,
        delay: Duration::from_secs(1),
        backoff: 3.0,
        max_delay: Duration::from_secs(5),
        jitter: false,
        exit_codes: Vec::new(),
    };
    for (jitter, chance, delays) in [
        (false, 1.0, [1000, 3000, 5000, 5000]),
        (true, 1.0, [500, 1500, 2500, 2500]),
        (true, 0.0, [1000, 3000, 5000, 5000]),
    ] {
        let retry = Some(Retry { jitter, ..patient.clone() });
        let mut desk = Desk::new(plan(vec![Step { retry, ..step("a", &[], run()) }]));
        desk.start();
        for (count, delay) in (2..).zip(delays) {
            let events = desk.ends(0, AttemptResult { jitter: chance, ..exit(1) });
            assert_eq!(events, ["step_finished a failed".to_owned(), format!("retry_scheduled a {delay}")]);
            assert_eq!(desk.passes(0), Vec::<String>::new(), "it is not due yet");
            assert_eq!(desk.passes(5), [format!("step_started a {count}")]);
        }
        assert_eq!(desk.fails(0), ["step_finished a failed", "run_finished failed"]);
    }
}

#[test]
fn only_the_named_exit_codes_are_retried() {
    let codes = Some(retry(3, &[75]));
    let mut desk = Desk::new(plan(vec![Step { retry: codes, ..step("a", &[], run()) }]));
    desk.start();
    assert_eq!(desk.ends(0, exit(75)), ["step_finished a failed", "retry_scheduled a 1000"]);
    assert_eq!(desk.passes(1), ["step_started a 2"]);
    let Some(EventKind::StepStarted { why, .. }) = desk.last.first() else { panic!("it starts") };
    assert_eq!(why.as_deref(), Some("retry 1 of 3"));
    assert_eq!(desk.ends(0, exit(1)), ["step_finished a failed", "run_finished failed"]);
}

#[test]
fn texts_that_cannot_be_rendered_fail_their_step_without_running_it() {
    for (renders, when) in [(false, Ok(true)), (true, Err("`when` is not a boolean".to_owned()))] {
        for action in [run(), approve()] {
            let mut a = step("a", &[], action);
            a.when = Some("params.x".into());
            let mut desk = Desk::new(plan(vec![a, step("b", &[], run())]));
            desk.scripts[0].renders = renders;
            desk.scripts[0].when = when.clone();
            let events = desk.start();
            assert_eq!(events[0], "step_started a");
            assert!(events.contains(&"step_finished a failed".to_owned()), "{events:?}");
            assert!(!events.iter().any(|event| event.starts_with("gate_opened")), "{events:?}");
        }
    }
}

#[test]
fn a_false_condition_skips_and_lets_dependents_go_on() {
    let mut a = step("a", &[], run());
    a.when = Some("params.x".into());
    let mut desk = Desk::new(plan(vec![a, step("b", &[0], run())]));
    desk.scripts[0].when = Ok(false);
    assert_eq!(desk.start(), ["step_skipped a", "step_started b"]);
}

#[test]
fn a_live_cancel_ends_what_runs_and_still_does_finally() {
    let mut desk = Desk::new(plan(vec![
        step("a", &[], run()),
        step("b", &[0], run()),
        step("ok", &[], approve()),
        finally("tell", &[]),
    ]));
    desk.start();
    assert_eq!(
        desk.input(Input::Cancelled { by: "bob".into(), reason: None, undo: false }),
        ["cancel_requested", "gate_closed ok cancelled", "step_finished ok cancelled"]
    );
    assert_eq!(
        desk.ends(0, told_to_stop()),
        ["step_finished a cancelled", "step_cancelled b", "step_started tell"]
    );
    assert_eq!(desk.succeeds(3), ["step_finished tell succeeded", "run_finished cancelled"]);
}

#[test]
fn cancelling_a_parked_run_starts_nothing_but_finally() {
    let mut desk =
        Desk::new(plan(vec![step("ok", &[], approve()), step("b", &[0], run()), finally("tell", &[])]));
    desk.attendance = Attendance::Nobody;
    assert_eq!(desk.start(), ["step_started ok", "gate_opened ok approve", "run_parked"]);
    assert_eq!(
        desk.input(Input::Cancelled { by: "bob".into(), reason: Some("late".into()), undo: false }),
        ["cancel_requested"]
    );
    assert_eq!(
        desk.resumes(Vec::new()),
        [
            "run_resumed",
            "gate_closed ok cancelled",
            "step_finished ok cancelled",
            "step_cancelled b",
            "step_started tell"
        ]
    );
    assert_eq!(desk.succeeds(2), ["step_finished tell succeeded", "run_finished cancelled"]);
}

#[test]
fn a_stop_leaves_finally_and_asks_on_resume_about_what_it_ended() {
    let mut desk = Desk::new(plan(vec![step("a", &[], run()), step("b", &[0], run()), finally("tell", &[])]));
    desk.start();
    assert_eq!(desk.input(Input::Stopped { signal: "SIGTERM".into() }), ["run_stopped"]);
    assert_eq!(desk.ends(0, told_to_stop()), ["step_finished a cancelled"]);
    assert_eq!(desk.resumes(Vec::new()), ["run_resumed", "gate_opened a interrupted"]);
    let events = desk.says(crate::simulator::answer(&crate::plans::id("a"), "retry", "bob"));
    assert_eq!(events, ["gate_answered a retry", "gate_closed a retry", "step_started a 2"]);
}

#[test]
fn a_background_command_that_dies_early_fails_the_run() {
    let mut desk = Desk::new(plan(vec![step("pf", &[], background()), step("a", &[0], run())]));
    desk.start();
    desk.succeeds(0);
    let died = Input::BackgroundEnded { step: 0, expected: false, reason: "exit 1".into() };
    assert_eq!(desk.input(died), ["background_ended pf"]);
    assert_eq!(desk.succeeds(1), ["step_finished a succeeded", "run_finished failed"]);
    let reason = desk.state.finish_reason.clone().unwrap_or_default();
    assert!(reason.contains("`pf` ended early: exit 1"), "{reason}");
}

#[test]
fn a_background_command_is_ended_for_a_park_and_started_again_before_what_relies_on_it() {
    let mut desk = Desk::new(plan(vec![
        step("pf", &[], background()),
        step("ok", &[0], approve()),
        step("a", &[1], run()),
    ]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    assert_eq!(desk.succeeds(0), ["step_finished pf succeeded", "step_started ok", "gate_opened ok approve"]);
    assert!(desk.end_backgrounds);
    let ended = Input::BackgroundEnded { step: 0, expected: true, reason: "parked".into() };
    assert_eq!(desk.input(ended), ["background_ended pf", "run_parked"]);
    desk.file(&crate::simulator::answer(&crate::plans::id("ok"), "approve", "bob"));
    assert_eq!(desk.resumes(Vec::new()), ["run_resumed", "step_started pf 2"]);
    assert_eq!(desk.succeeds(0), ["step_finished pf succeeded", "step_started a"]);
    assert_eq!(desk.succeeds(2), ["step_finished a succeeded"]);
    assert!(desk.end_backgrounds, "the run can't end while it lives");
}

#[test]
fn a_background_command_that_a_crash_took_along_is_started_again() {
    let mut desk = Desk::new(plan(vec![step("pf", &[], background()), step("a", &[0], run())]));
    desk.start();
    desk.succeeds(0);
    let events = desk.resumes(vec![(0, Found::Unknown), (1, Found::NeverStarted)]);
    // What relies on it waits, though it could start at once by itself.
    assert_eq!(
        events,
        ["run_resumed", "background_ended pf", "step_finished a interrupted", "step_started pf 2"]
    );
    assert_eq!(desk.succeeds(0), ["step_finished pf succeeded", "step_started a 2"]);
}
