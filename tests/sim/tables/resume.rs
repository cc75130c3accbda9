//! Resuming: interrupted, failed and ended runs (`language.md` §8, `cli.md`).

use runbook_core::event::{LeakedProcess, Outcome, RunOutcome};
use runbook_core::plan::{OnFailure, OnInterrupt, Plan, Step};
use runbook_core::schedule::{
    Answer, AttemptResult, Attendance, Found, Input, RefusalKind, ResumeRequest, plan_resume,
};
use runbook_core::state::Outliving;

use super::desk::{Desk, exit};
use crate::plans::{approve, check, finally, id, plan, retry, run, step};
use crate::simulator::answer;

fn chain() -> Plan {
    plan(vec![step("a", &[], run()), step("b", &[0], run()), finally("tell", &[])])
}

fn failed() -> Desk {
    let mut desk = Desk::new(chain());
    desk.start();
    desk.fails(0);
    desk.succeeds(2);
    assert_eq!(desk.state.outcome, Some(RunOutcome::Failed));
    desk
}

fn request() -> ResumeRequest {
    ResumeRequest { by: "carol".into(), ..ResumeRequest::default() }
}

#[test]
fn what_was_found_decides_what_becomes_of_an_attempt() {
    let ended = |result: AttemptResult| Found::Ended(Box::new(result));
    for (found, expected) in [
        (Found::StillRunning, vec!["run_resumed"]),
        (Found::NeverStarted, vec!["run_resumed", "attempt_reissued a"]),
        (ended(AttemptResult::default()), vec!["run_resumed", "step_finished a succeeded", "step_started b"]),
        (
            ended(exit(1)),
            vec!["run_resumed", "step_finished a failed", "step_blocked b by a", "step_started tell"],
        ),
        (Found::Unknown, vec!["run_resumed", "step_finished a interrupted", "gate_opened a interrupted"]),
    ] {
        let mut desk = Desk::new(chain());
        desk.start();
        assert_eq!(desk.resumes(vec![(0, found)]), expected);
    }
}

#[test]
fn an_interrupted_step_is_settled_as_it_is_declared() {
    let a = |on_interrupt| Step { on_interrupt, ..step("a", &[], run()) };
    for (a, expected) in [
        (a(OnInterrupt::Ask), vec!["gate_opened a interrupted"]),
        (a(OnInterrupt::Rerun), vec!["step_started a 2"]),
        (step("a", &[], check()), vec!["step_started a 2"]),
        (
            a(OnInterrupt::Fail),
            vec![
                "gate_opened a interrupted",
                "gate_closed a failed",
                "step_blocked b by a",
                "run_finished failed",
            ],
        ),
    ] {
        let mut desk = Desk::new(plan(vec![a, step("b", &[0], run())]));
        desk.start();
        assert_eq!(desk.resumes(vec![(0, Found::Unknown)])[2..], expected);
    }
}

#[test]
fn an_interrupted_step_is_decided_by_a_word() {
    for (word, expected, outcome) in [
        ("retry", vec!["step_started a 2"], None),
        ("skip", vec!["step_skipped a", "step_started b"], Some(Outcome::Skipped)),
        ("done", vec!["step_started b"], Some(Outcome::Succeeded)),
        ("failed", vec!["step_blocked b by a", "step_started tell"], Some(Outcome::Failed)),
        ("abort", vec!["step_blocked b by a", "step_started tell"], Some(Outcome::Failed)),
    ] {
        let mut desk = Desk::new(chain());
        desk.start();
        desk.resumes(vec![(0, Found::Unknown)]);
        let mut given = answer(&id("a"), word, "bob");
        given.outputs.insert("file".into(), "x.sql".into());
        assert_eq!(desk.says(given)[2..], expected, "{word}");
        assert_eq!(desk.state.steps[0].outcome(), outcome, "{word}");
        let output = desk.state.steps[0].result.outputs.get("file").and_then(|value| value.as_str());
        assert_eq!(output, (word == "done").then_some("x.sql"), "{word}");
    }
}

#[test]
fn nothing_starts_while_a_step_is_undecided() {
    let mut desk = Desk::new(plan(vec![
        step("a", &[], run()),
        step("b", &[], run()),
        step("c", &[1], run()),
        Step { on_interrupt: OnInterrupt::Rerun, ..step("d", &[], run()) },
    ]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    assert_eq!(
        desk.resumes(vec![(0, Found::Unknown), (1, Found::StillRunning), (3, Found::Unknown)])[3..],
        ["gate_opened a interrupted"]
    );
    // What runs ends; what it would let go on, and what would be done again, waits.
    assert_eq!(desk.succeeds(1), ["step_finished b succeeded", "run_parked"]);
    desk.file(&answer(&id("a"), "done", "bob"));
    assert_eq!(desk.resumes(Vec::new()), ["run_resumed", "step_started c", "step_started d 2"]);
}

#[test]
fn survivors_are_waited_for_or_ended_before_anything_else() {
    for (word, decided) in [("wait", Outliving::Wait), ("end", Outliving::End)] {
        let mut desk = Desk::new(chain());
        desk.start();
        desk.survivors.insert(0, vec![LeakedProcess { pid: 7, command: "sleep".into(), ended: false }]);
        desk.resumes(vec![(0, Found::Unknown)]);
        assert_eq!(desk.state.gates[&0].words, ["wait", "end"]);
        assert_eq!(desk.refused(answer(&id("a"), "retry", "bob")), RefusalKind::Usage);
        let events = desk.says(answer(&id("a"), word, "bob"));
        assert_eq!(events, [format!("gate_answered a {word}"), format!("gate_closed a {word}")]);
        assert_eq!(desk.state.outliving.get(&0), Some(&decided));
        desk.survivors.clear();
        assert_eq!(desk.input(Input::Tick), ["gate_opened a interrupted"]);
        assert_eq!(desk.state.gates[&0].words, ["retry", "skip", "done", "failed", "abort"]);
    }
}

#[test]
fn a_failure_does_not_hide_that_another_step_is_undecided() {
    let mut desk = Desk::new(plan(vec![step("a", &[], run()), step("b", &[], run()), finally("tell", &[])]));
    desk.start();
    desk.resumes(vec![(0, Found::Unknown), (1, Found::StillRunning)]);
    assert_eq!(desk.fails(1), ["step_finished b failed"]);
    assert_eq!(
        desk.says(answer(&id("a"), "done", "bob")),
        ["gate_answered a done", "gate_closed a done", "step_started tell"]
    );
}

#[test]
fn a_failed_run_goes_on_by_request() {
    for (word, expected) in [
        ("retry", vec!["gate_answered a retry", "gate_closed a retry", "step_started a 2"]),
        ("skip", vec!["gate_answered a skip", "gate_closed a skip", "step_skipped a", "step_started b"]),
        ("done", vec!["gate_answered a done", "gate_closed a done", "step_started b"]),
    ] {
        let mut desk = failed();
        let named = vec![(id("a"), "because".to_owned())];
        let asked = match word {
            "retry" => ResumeRequest { retry: vec![id("a")], ..request() },
            "skip" => ResumeRequest { skip: named, ..request() },
            _ => ResumeRequest { done: named, ..request() },
        };
        let (question, answers) = plan_resume(&desk.state, &asked).expect("it may be");
        let events = desk.resumes_with(Vec::new(), Vec::new(), question, answers);
        assert_eq!(events[..2], ["run_resumed", "gate_opened a failure"], "{word}");
        assert_eq!(events[2..], expected, "{word}");
    }
}

#[test]
fn finally_runs_again_when_an_ended_run_goes_on() {
    let mut desk = failed();
    let asked = ResumeRequest { retry_failed: true, ..request() };
    let (question, answers) = plan_resume(&desk.state, &asked).expect("it may be");
    desk.resumes_with(Vec::new(), Vec::new(), question, answers);
    desk.succeeds(0);
    assert_eq!(desk.succeeds(1), ["step_finished b succeeded", "step_started tell 2"]);
    assert_eq!(desk.succeeds(2), ["step_finished tell succeeded", "run_finished succeeded"]);
}

#[test]
fn a_person_can_end_the_run_at_the_question_of_a_failed_step() {
    let mut desk = failed();
    let attended = ResumeRequest { attended: true, ..request() };
    let (question, answers) = plan_resume(&desk.state, &attended).expect("it may be");
    assert_eq!(desk.resumes_with(Vec::new(), Vec::new(), question, answers)[1..], ["gate_opened a failure"]);
    assert_eq!(
        desk.says(answer(&id("a"), "abort", "bob"))[1..],
        ["gate_closed a abort", "step_blocked b by a", "step_started tell 2"]
    );
    assert_eq!(desk.succeeds(2)[1..], ["run_finished failed"]);
}

#[test]
fn requests_that_cannot_be_are_refused_before_anything_is_written() {
    let because = |step: &str, reason: &str| vec![(id(step), reason.to_owned())];
    let cases: [(&str, ResumeRequest, RefusalKind); 7] = [
        ("unknown", ResumeRequest { retry: vec![id("nowhere")], ..request() }, RefusalKind::Usage),
        ("not started", ResumeRequest { skip: because("b", "x"), ..request() }, RefusalKind::Usage),
        ("no reason", ResumeRequest { skip: because("a", " "), ..request() }, RefusalKind::Usage),
        (
            "named twice",
            ResumeRequest { retry: vec![id("a")], skip: because("a", "x"), ..request() },
            RefusalKind::Usage,
        ),
        ("an approval skipped", ResumeRequest { skip: because("ok", "x"), ..request() }, RefusalKind::Usage),
        ("an approval done", ResumeRequest { done: because("ok", "x"), ..request() }, RefusalKind::Usage),
        ("undecided", request(), RefusalKind::Undecided),
    ];
    for (name, asked, kind) in cases {
        let mut desk =
            Desk::new(plan(vec![step("a", &[], run()), step("b", &[0], run()), step("ok", &[0], approve())]));
        desk.start();
        desk.fails(0);
        let refusal = plan_resume(&desk.state, &asked).expect_err(name);
        assert_eq!(refusal.kind, kind, "{name}: {refusal}");
    }
}

#[test]
fn a_parked_run_that_is_cancelled_ends_and_starts_nothing() {
    // Nothing stands in the way any more: a resume would start what was approved.
    let mut desk = Desk::new(plan(vec![step("ok", &[], approve()), step("a", &[0], run())]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.file(&answer(&id("ok"), "approve", "bob"));
    let events = desk.resumes_to_end();
    assert_eq!(events, ["cancel_requested", "run_resumed", "step_cancelled a", "run_finished cancelled"]);
}

#[test]
fn runs_that_are_over_are_not_resumed() {
    let mut rejected = Desk::new(plan(vec![step("ok", &[], approve())]));
    rejected.start();
    rejected.says(answer(&id("ok"), "reject", "bob"));
    let mut cancelled = Desk::new(plan(vec![step("ok", &[], approve())]));
    cancelled.start();
    cancelled.input(Input::Cancelled { by: "bob".into(), reason: None, undo: false });
    let mut succeeded = Desk::new(plan(vec![step("a", &[], run())]));
    succeeded.start();
    succeeded.succeeds(0);
    for (desk, kind) in [
        (rejected, RefusalKind::NotAllowed),
        (cancelled, RefusalKind::NotAllowed),
        (succeeded, RefusalKind::Unchanged),
    ] {
        let refusal = plan_resume(&desk.state, &request()).expect_err("it is over");
        assert_eq!(refusal.kind, kind, "{refusal}");
    }
}

#[test]
fn a_step_whose_failure_let_others_go_on_is_asked_about_too() {
    let mut desk = Desk::new(plan(vec![Step { on_failure: OnFailure::Continue, ..step("a", &[], run()) }]));
    desk.start();
    desk.fails(0);
    let refusal = plan_resume(&desk.state, &request()).expect_err("nobody can be asked");
    assert_eq!(refusal.kind, RefusalKind::Undecided);
}

#[test]
fn a_retry_that_a_stop_kept_from_being_scheduled_is_made_up_for() {
    let again = Some(retry(1, &[]));
    let mut desk = Desk::new(plan(vec![Step { retry: again, ..step("a", &[], run()) }]));
    desk.start();
    desk.input(Input::Stopped { signal: "SIGTERM".into() });
    assert_eq!(desk.fails(0), ["step_finished a failed"]);
    assert_eq!(desk.resumes(Vec::new()), ["run_resumed", "retry_scheduled a 1000"]);
}

#[test]
fn a_word_on_the_command_line_wins_over_what_is_declared() {
    let rerun = Step { on_interrupt: OnInterrupt::Rerun, ..step("a", &[], run()) };
    let mut desk = Desk::new(plan(vec![rerun, step("b", &[0], run())]));
    desk.start();
    let asked = ResumeRequest { skip: vec![(id("a"), "it is there".into())], ..request() };
    let (question, answers): (Vec<usize>, Vec<Answer>) = plan_resume(&desk.state, &asked).expect("it may be");
    let events = desk.resumes_with(vec![(0, Found::Unknown)], Vec::new(), question, answers);
    assert_eq!(
        events[2..],
        [
            "gate_opened a interrupted",
            "gate_answered a skip",
            "gate_closed a skip",
            "step_skipped a",
            "step_started b"
        ]
    );
}
