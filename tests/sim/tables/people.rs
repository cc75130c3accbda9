//! Questions to people (`language.md` §6, `cli.md`).

use runbook_core::duration::Duration;
use runbook_core::event::{AheadAnswer, EventKind, Evidence, RunOutcome};
use runbook_core::plan::{Action, EvidenceRule, OnExpiry, Plan, Question};
use runbook_core::schedule::{Answer, Attendance, Found, Input, RefusalKind, needs_reason};

use super::desk::Desk;
use crate::plans::{approve, background, finally, id, manual, plan, question, run, step};
use crate::simulator::answer;

fn says(step: &str, word: &str, by: &str) -> Answer {
    answer(&id(step), word, by)
}

fn gated() -> Plan {
    plan(vec![step("ok", &[], approve()), step("b", &[0], run())])
}

#[test]
fn an_approval_lets_go_on_and_the_same_again_changes_nothing() {
    let mut desk = Desk::new(gated());
    desk.start();
    assert_eq!(
        desk.says(says("ok", "approve", "bob")),
        [
            "gate_answered ok approve",
            "gate_closed ok approve",
            "step_finished ok succeeded",
            "step_started b"
        ]
    );
    assert_eq!(desk.state.steps[0].result.by, ["bob"]);
    assert_eq!(desk.refused(says("ok", "approve", "bob")), RefusalKind::Unchanged);
    assert_eq!(desk.refused(says("ok", "approve", "eve")), RefusalKind::NotAllowed);
    assert_eq!(desk.refused(says("ok", "reject", "bob")), RefusalKind::NotAllowed);
}

#[test]
fn a_rejection_ends_the_run() {
    let mut desk = Desk::new(gated());
    desk.start();
    assert_eq!(
        desk.says(says("ok", "reject", "bob")),
        [
            "gate_answered ok reject",
            "gate_closed ok reject",
            "step_finished ok rejected",
            "step_blocked b by ok",
            "run_finished rejected"
        ]
    );
}

#[test]
fn what_is_off_is_refused_with_its_family() {
    type Mistake = fn(&mut Answer);
    let cases: [(&str, Mistake, RefusalKind); 8] = [
        ("an unknown step", |a| a.step = id("nowhere"), RefusalKind::Usage),
        ("a step that asks nothing", |a| a.step = id("b"), RefusalKind::NotAllowed),
        ("an unknown word", |a| a.word = "yes".into(), RefusalKind::Usage),
        ("no word", |a| a.word = String::new(), RefusalKind::Usage),
        ("an item that is not there", |a| a.items = vec![1], RefusalKind::Usage),
        ("no reason", |a| (a.word, a.reason) = ("reject".into(), Some("  ".into())), RefusalKind::Usage),
        ("another question's nonce", |a| a.nonce = Some("old".into()), RefusalKind::NotAllowed),
        ("another digest", |a| a.digest = Some("old".into()), RefusalKind::NotAllowed),
    ];
    for (name, spoil, kind) in cases {
        let mut desk = Desk::new(gated());
        desk.start();
        let mut given = says("ok", "approve", "bob");
        spoil(&mut given);
        assert_eq!(desk.refused(given), kind, "{name}");
        assert!(desk.state.gates.contains_key(&0), "{name}: the question stays open");
    }
}

#[test]
fn reasons_are_needed_for_what_ends_or_passes_over_a_step() {
    use runbook_core::event::Gate::{Approve, Failure, Interrupted, Manual};
    for (gate, word, needed) in [
        (Approve, "approve", false),
        (Approve, "reject", true),
        (Manual, "done", false),
        (Manual, "failed", true),
        (Failure, "retry", false),
        (Failure, "skip", true),
        (Failure, "done", true),
        (Interrupted, "done", true),
        (Interrupted, "failed", true),
        (Interrupted, "abort", false),
    ] {
        assert_eq!(needs_reason(gate, word), needed, "{gate} {word}");
    }
}

#[test]
fn items_are_ticked_singly_by_different_people_before_done() {
    let mut desk = Desk::new(plan(vec![step("list", &[], manual(&["one", "two"]))]));
    desk.start();
    assert_eq!(desk.refused(says("list", "done", "bob")), RefusalKind::NotAllowed);
    let tick = |item: u32, by: &str| Answer { items: vec![item], ..says("list", "", by) };
    assert_eq!(desk.says(tick(1, "bob")), ["gate_answered list "]);
    assert_eq!(desk.refused(tick(1, "bob")), RefusalKind::Unchanged);
    assert_eq!(desk.refused(tick(3, "bob")), RefusalKind::Usage);
    assert_eq!(desk.refused(says("list", "done", "bob")), RefusalKind::NotAllowed);
    desk.says(tick(2, "eve"));
    assert_eq!(desk.state.gates[&0].ticked[&2].0, "eve");
    let events = desk.says(says("list", "done", "bob"));
    assert_eq!(events[1..3], ["gate_closed list done", "step_finished list succeeded"]);
    assert_eq!(desk.state.steps[0].result.by, ["bob", "eve"]);
}

#[test]
fn all_ticks_the_rest_and_evidence_can_be_required() {
    let strict = Action::Manual(Question {
        checklist: vec!["one".into()],
        evidence: EvidenceRule::Required,
        ..question()
    });
    let mut desk = Desk::new(plan(vec![step("list", &[], strict)]));
    desk.start();
    let mut done = Answer { all_items: true, ..says("list", "done", "bob") };
    assert_eq!(desk.refused(done.clone()), RefusalKind::Usage);
    done.evidence = vec![Evidence::Note { text: "seen".into() }];
    desk.says(done);
    assert_eq!(desk.state.outcome, Some(RunOutcome::Succeeded));
}

#[test]
fn nobody_in_time_rejects_or_fails() {
    for (on_expiry, outcome) in
        [(OnExpiry::Reject, RunOutcome::Rejected), (OnExpiry::Fail, RunOutcome::Failed)]
    {
        let expires = Some(Duration::from_secs(60));
        let ask = Action::Approve(Question { expires, on_expiry, ..question() });
        let mut desk = Desk::new(plan(vec![step("ok", &[], ask), step("b", &[0], run())]));
        desk.start();
        assert_eq!(desk.passes(59), Vec::<String>::new());
        let events = desk.passes(1);
        assert_eq!(events[0], "gate_closed ok expired");
        assert_eq!(desk.state.outcome, Some(outcome));
    }
}

#[test]
fn an_answer_after_the_expiry_finds_the_question_closed() {
    let expires = Some(Duration::from_secs(60));
    let ask = Action::Approve(Question { expires, ..question() });
    let mut desk = Desk::new(plan(vec![step("ok", &[], ask), step("b", &[0], run())]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.now = desk.now.after(std::time::Duration::from_secs(61));
    let events = desk.file(&says("ok", "approve", "bob"));
    assert_eq!(
        events,
        [
            "gate_closed ok expired",
            "step_finished ok rejected",
            "step_blocked b by ok",
            "run_finished rejected"
        ]
    );
    assert_eq!(desk.refusal.map(|refusal| refusal.kind), Some(RefusalKind::NotAllowed));
}

#[test]
fn answers_ahead_of_time_count_when_the_question_opens() {
    let ahead =
        |step: &str, word: &str| AheadAnswer { step: id(step), word: word.into(), reason: None, by: None };
    let mut desk = Desk::ahead(
        plan(vec![step("ok", &[], approve()), step("list", &[0], manual(&["one"]))]),
        vec![ahead("ok", "approve"), ahead("list", "done")],
    );
    desk.attendance = Attendance::Nobody;
    let events = desk.start();
    assert_eq!(
        events[2..5],
        ["gate_answered ok approve", "gate_closed ok approve", "step_finished ok succeeded"]
    );
    assert_eq!(events.last().map(String::as_str), Some("run_finished succeeded"));
    assert_eq!(desk.state.steps[1].result.by, ["alice"], "it is the starter's own answer");
}

#[test]
fn a_decision_while_nobody_carries_the_run_on_starts_nothing() {
    for (mut given, with_finally, expected) in [
        (
            "approve",
            false,
            vec!["gate_answered ok approve", "gate_closed ok approve", "step_finished ok succeeded"],
        ),
        (
            "reject",
            true,
            vec!["gate_answered ok reject", "gate_closed ok reject", "step_finished ok rejected"],
        ),
        (
            "reject",
            false,
            vec![
                "gate_answered ok reject",
                "gate_closed ok reject",
                "step_finished ok rejected",
                "step_blocked b by ok",
                "run_finished rejected",
            ],
        ),
    ]
    .map(|(word, with_finally, expected)| (says("ok", word, "bob"), with_finally, expected))
    {
        let mut plan = gated();
        if with_finally {
            plan.steps.push(finally("tell", &[]));
        }
        let mut desk = Desk::new(plan);
        desk.attendance = Attendance::Nobody;
        desk.start();
        given.nonce = Some(desk.state.gates[&0].nonce.clone());
        assert_eq!(desk.file(&given), expected);
    }
}

#[test]
fn an_operator_who_leaves_parks_the_run() {
    let mut desk = Desk::new(gated());
    desk.start();
    assert_eq!(desk.input(Input::OperatorLeft), ["run_parked"]);
}

#[test]
fn changed_inputs_void_what_was_approved_and_what_is_asked() {
    let mut desk = Desk::new(plan(vec![
        step("given", &[], approve()),
        step("open", &[], approve()),
        step("b", &[0, 1], run()),
    ]));
    desk.attendance = Attendance::Nobody;
    desk.start();
    desk.file(&says("given", "approve", "bob"));
    let old = desk.state.gates[&1].clone();
    let change = vec![(2, "deploy.sh".to_owned(), Some("ff".to_owned()))];
    assert_eq!(
        desk.resumes_with(Vec::new(), change.clone(), Vec::new(), Vec::new()),
        [
            "run_resumed",
            "input_changed b",
            "gate_closed given void",
            "gate_closed open void",
            "gate_opened open approve",
            "step_started given 2",
            "gate_opened given approve",
            "run_parked"
        ]
    );
    let new = &desk.state.gates[&1];
    assert!(new.digest != old.digest && new.nonce != old.nonce, "another thing is asked");
    let stale = Answer { nonce: Some(old.nonce), ..says("open", "approve", "bob") };
    assert_eq!(desk.refused(stale), RefusalKind::NotAllowed);
    desk.file(&says("given", "approve", "bob"));
    // The same change again is no news.
    assert_eq!(desk.resumes_with(Vec::new(), change, Vec::new(), Vec::new()), ["run_resumed", "run_parked"]);
}

#[test]
fn the_record_of_a_question_names_its_words_and_items() {
    let mut desk = Desk::new(plan(vec![step("list", &[], manual(&["one"]))]));
    desk.start();
    let Some(EventKind::GateOpened { words, checklist, quorum, .. }) = desk.last.last() else {
        panic!("it is asked")
    };
    assert_eq!((words.join(" ").as_str(), checklist.join(" ").as_str(), *quorum), ("done failed", "one", 1));
}

#[test]
fn what_no_step_depends_on_any_more_is_not_asked_again_while_finally_runs() {
    let mut desk = Desk::new(plan(vec![
        step("ok", &[], approve()),
        step("server", &[0], background()),
        step("deploy", &[1], run()),
        finally("tell", &[]),
    ]));
    desk.start();
    desk.says(says("ok", "approve", "bob"));
    desk.succeeds(1);
    assert_eq!(desk.succeeds(2), ["step_finished deploy succeeded", "step_started tell"]);
    // The server comes up again for `tell`; the engine dies while it does, and an input has changed.
    let lost = vec![(1, Found::Unknown), (3, Found::Unknown)];
    desk.resumes(lost);
    let retry = vec![Answer { word: "retry".into(), ..says("tell", "retry", "bob") }];
    let change = vec![(2, "deploy.sh".to_owned(), Some("ff".to_owned()))];
    let events = desk.resumes_with(vec![(1, Found::Unknown)], change, Vec::new(), retry);
    assert!(!events.iter().any(|event| event.starts_with("gate_closed ok")), "{events:?}");
    assert!(events.iter().any(|event| event == "step_started server 2"), "{events:?}");
    let events = desk.resumes_with(vec![(1, Found::Unknown)], Vec::new(), Vec::new(), Vec::new());
    assert!(!events.iter().any(|event| event.starts_with("gate_closed ok")), "{events:?}");
    assert!(events.iter().any(|event| event == "step_started server 3"), "{events:?}");
}
