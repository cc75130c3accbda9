//! A person decides about a failure (language §8, `on_failure: ask`).

use crate::helpers::{TestEnvironment, eventually};

const ASK: &str = r#"
rollback: manual
steps:
  - {id: one, run: "true", undo: {run: echo undo-one >> "$LEDGER"}}
  - id: shaky
    env: {MODE: bad}
    run: 'echo "shaky $MODE" >> "$LEDGER"; [ "$MODE" = good ]'
    on_failure: ask
  - {id: beside, needs: [one], run: echo beside >> "$LEDGER"}
  - {id: after, needs: [shaky], run: 'echo "after {{ steps.shaky.outputs.id | default("none") }}" >> "$LEDGER"'}
"#;

/// A run that waits for a decision, and what it is called.
fn parked() -> (TestEnvironment, String) {
    let test = TestEnvironment::with(ASK);
    let run = test.runbook(&["run", "main"]).exits(3).ends("waiting").run_id();
    let mut ledger = test.ledger();
    ledger.sort();
    assert_eq!(ledger, ["beside", "shaky bad"], "what doesn't depend on it goes on");
    (test, run)
}

fn last(test: &TestEnvironment) -> String {
    test.ledger().last().cloned().unwrap_or_default()
}

#[test]
fn a_question_about_a_failure_parks_a_run_without_anyone() {
    let (test, run) = parked();
    let status = test.runbook(&["status", &run, "--format", "json"]).succeeds().json();
    assert_eq!(status["waiting_for"][0]["gate"], "failure", "{status}");
    assert_eq!(status["waiting_for"][0]["step"], "shaky");
}

#[test]
fn retry_with_another_environment() {
    let (test, run) = parked();
    test.runbook(&["answer", &run, "shaky", "retry", "--env", "OTHER=x"]).exits(2);
    test.runbook(&["answer", &run, "shaky", "skip", "--env", "MODE=good", "--reason", "x"]).exits(2);
    let output = test.runbook(&["answer", &run, "shaky", "retry", "--env", "MODE=good", "--resume"]);
    output.succeeds().ends("succeeded");
    assert_eq!(test.ledger()[2..], ["shaky good", "after none"]);
    let journal = test.journal(&run);
    assert_eq!(journal.one("gate_answered", "shaky")["env"]["MODE"], "good");
    let again = journal.of("step_started", "shaky")[1]["why"].as_str().unwrap().to_owned();
    assert!(again.contains("MODE=good"), "{again}");
}

#[test]
fn skip_and_done_go_on() {
    let (test, run) = parked();
    test.runbook(&["answer", &run, "shaky", "skip"]).exits(2);
    test.runbook(&["answer", &run, "shaky", "skip", "--reason", "known", "--resume"]).exits(0);
    assert_eq!(test.step_outcome(&run, "shaky"), "skipped");
    let (test, run) = parked();
    let done = ["answer", &run, "shaky", "done", "--reason", "by hand", "--output", "id=7", "--resume"];
    test.runbook(&done).succeeds();
    assert_eq!(last(&test), "after 7");
    assert_eq!(test.step_outcome(&run, "shaky"), "succeeded");
}

#[test]
fn undo_and_abort_end_the_run_failed() {
    let (test, run) = parked();
    test.runbook(&["answer", &run, "shaky", "undo", "--resume"]).exits(1);
    assert_eq!(last(&test), "undo-one");
    let (test, run) = parked();
    test.runbook(&["answer", &run, "shaky", "abort", "--resume"]).exits(1);
    assert_eq!(test.step_outcome(&run, "after"), "blocked");
    test.runbook(&["rollback", &run]).succeeds();
    assert_eq!(last(&test), "undo-one");
}

#[test]
fn a_live_run_waits_for_the_decision() {
    let test = TestEnvironment::with(ASK);
    let mut live = test.spawn(&["run", "main", "--wait"]);
    let run = live.run_id();
    eventually("the question", || (!test.journal(&run).of("gate_opened", "shaky").is_empty()).then_some(()));
    test.runbook(&["answer", &run, "shaky", "retry", "--env", "MODE=good"]).succeeds();
    live.wait().succeeds();
}

#[test]
fn rollback_of_a_run_that_waits_for_a_decision_undoes_it() {
    let (test, run) = parked();
    test.runbook(&["rollback", &run]).succeeds().ends("failed");
    assert_eq!(last(&test), "undo-one");
}

#[test]
fn what_is_said_on_the_command_line_holds_where_a_step_says_nothing() {
    let test = TestEnvironment::with("steps:\n  - {id: bad, run: exit 1}\n");
    test.runbook(&["run", "main"]).exits(1);
    test.runbook(&["run", "main", "--on-failure", "ask"]).exits(3);
    test.runbook(&["run", "main", "--on-failure", "ask", "--answer", "bad=skip:known"]).succeeds();
}

/// `undo` is offered where there is something to undo, and refused with the reason where there isn't.
#[test]
fn undo_is_offered_only_where_something_can_be_undone() {
    let failing = "  - {id: bad, on_failure: ask, run: exit 3}\n";
    let rows = [
        ("nothing has an undo", String::new(), false),
        (
            "what has one did not run",
            "  - {id: a, when: 'false', run: 'true', undo: {run: 'true'}}\n".into(),
            false,
        ),
        (
            "something can be undone",
            "  - {id: a, run: 'true', undo: {run: echo undone >> \"$LEDGER\"}}\n".into(),
            true,
        ),
    ];
    for (what, before, offered) in rows {
        let test = TestEnvironment::with(&format!("\nsteps:\n{before}{failing}"));
        let run = test.runbook(&["run", "main"]).exits(3).run_id();
        let words = test.journal(&run).one("gate_opened", "bad")["words"].clone();
        assert_eq!(words.as_array().unwrap().contains(&"undo".into()), offered, "{what}: {words}");
        let answer = test.runbook(&["answer", &run, "bad", "undo", "--resume"]);
        if offered {
            answer.exits(1);
            assert_eq!(test.ledger(), ["undone"], "{what}");
        } else {
            answer.exits(5).stderr_has("nothing that was done can be undone");
            assert!(test.journal(&run).of("gate_answered", "bad").is_empty(), "{what}");
            // Nor has `rollback` anything to do, and it says how the run stands.
            test.runbook(&["rollback", &run]).whatever_status().ends("waiting");
        }
    }
}
